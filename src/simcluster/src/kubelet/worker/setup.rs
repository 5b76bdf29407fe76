//! What must be there before containers start: the objects that volumes are filled from.

use std::time::Duration;

use tokio::time::Instant;

use super::{SETUP_RETRY, Worker};
use crate::kubelet::environment::{has_config_map, has_secret};

/// Longest pause between looks.
const MAX_PAUSE: Duration = Duration::from_secs(122);

impl Worker {
    /// Whether all volumes can be set up; otherwise says why not and looks again later.
    pub(super) async fn set_up(&mut self, now: Instant) -> bool {
        if self.setup_at.is_some_and(|at| at > now) {
            return false;
        }
        self.setup_at = None;
        match self.missing().await {
            None => {
                self.volumes_ready = true;
                true
            }
            Some(why) => {
                self.setup_at = Some(now + self.setup_pause);
                self.setup_pause = (self.setup_pause * 2).min(MAX_PAUSE).max(SETUP_RETRY);
                self.agent.tell(&self.pod, "Warning", "FailedMount", &why).await;
                false
            }
        }
    }

    /// The first required object that is missing, in the words of kubelet.
    async fn missing(&self) -> Option<String> {
        let client = &self.agent.shared.client;
        let namespace = &self.key.namespace;
        for volume in self.pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default() {
            let name = &volume.name;
            let failed = |why: String| Some(format!("MountVolume.SetUp failed for volume {name:?} : {why}"));
            if let Some(source) = &volume.config_map
                && source.optional != Some(true)
            {
                match has_config_map(client, namespace, &source.name).await {
                    Ok(true) => {}
                    Ok(false) => return failed(format!("configmap {:?} not found", source.name)),
                    Err(why) => return failed(why),
                }
            }
            if let Some(source) = &volume.secret
                && source.optional != Some(true)
            {
                let secret = source.secret_name.clone().unwrap_or_default();
                match has_secret(client, namespace, &secret).await {
                    Ok(true) => {}
                    Ok(false) => return failed(format!("secret {secret:?} not found")),
                    Err(why) => return failed(why),
                }
            }
        }
        None
    }
}
