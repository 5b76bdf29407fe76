//! Launchers that end without a word, and domains whose word was lost (node.md §5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use launcher_rpc::{GhostRecord, Presence};
use runtime::ObjectKey;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::domains::{Domains, observed, unknown};
use crate::launchers::{Launchers, Owner, query};

/// Looks after every launcher that is written down.
pub(crate) struct Watchdog {
    pub(crate) domains: Arc<Domains>,
    pub(crate) launchers: Arc<Launchers>,
    /// How long a launcher may not answer.
    pub(crate) timeout: Duration,
    /// How often every domain is looked at again.
    pub(crate) resync: Duration,
}

impl Watchdog {
    /// What the launchers say about their domains, once; who cannot be asked has an unknown one.
    pub(crate) async fn list(&self) {
        for record in self.launchers.directory.records().await {
            let key = key(&record);
            match self.launchers.directory.presence(&record.pod_uid).await {
                Presence::Gone => self.domains.mark_gone(&key, &record.uid),
                Presence::Ready => match self.ask(&record).await {
                    Some(Some(domain)) => self.domains.put(&key, domain),
                    // Reachable and without a domain: nothing to say yet.
                    Some(None) => {}
                    None => self.domains.put(&key, unknown(&record.uid)),
                },
                Presence::NotListening | Presence::Unresponsive => self.domains.put(&key, unknown(&record.uid)),
            }
        }
    }

    async fn ask(&self, record: &GhostRecord) -> Option<Option<planner::node::Domain>> {
        let owner = Owner { namespace: &record.namespace, name: &record.name, uid: &record.uid };
        let launcher = self.launchers.connect(owner, None).await.ok()?;
        let answer = query(launcher.get_domain()).await;
        if answer.is_err() {
            self.launchers.disconnect(&record.uid);
        }
        answer.ok().map(|domain| domain.as_ref().map(observed))
    }

    /// Runs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut failing: BTreeMap<String, Instant> = BTreeMap::new();
        let mut tick = tokio::time::interval(self.timeout / 3 + Duration::from_secs(1));
        let mut resync = tokio::time::interval(self.resync);
        for interval in [&mut tick, &mut resync] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick of an interval is at once.
            interval.reset();
        }
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = tick.tick() => self.check(&mut failing).await,
                _ = resync.tick() => self.resync().await,
            }
        }
    }

    async fn check(&self, failing: &mut BTreeMap<String, Instant>) {
        let records = self.launchers.directory.records().await;
        failing.retain(|uid, _| records.iter().any(|record| record.uid == *uid));
        for record in &records {
            let answers = self.launchers.directory.presence(&record.pod_uid).await == Presence::Ready && {
                let owner = Owner { namespace: &record.namespace, name: &record.name, uid: &record.uid };
                match self.launchers.connect(owner, None).await {
                    Ok(launcher) => query(launcher.ping()).await.is_ok(),
                    Err(_) => false,
                }
            };
            if answers {
                failing.remove(&record.uid);
                continue;
            }
            let since = *failing.entry(record.uid.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= self.timeout {
                tracing::warn!(vmi = %key(record), "the launcher does not answer any more");
                self.launchers.directory.mark_unresponsive(&record.pod_uid).await;
                self.domains.mark_gone(&key(record), &record.uid);
            }
        }
    }

    async fn resync(&self) {
        for record in self.launchers.directory.records().await {
            if self.launchers.directory.presence(&record.pod_uid).await == Presence::Ready
                && let Some(Some(domain)) = self.ask(&record).await
            {
                self.domains.put(&key(&record), domain);
            }
        }
    }
}

pub(crate) fn key(record: &GhostRecord) -> ObjectKey {
    ObjectKey::new(&record.namespace, &record.name)
}
