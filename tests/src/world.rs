//! The world of one scenario: its own cluster, what it noted, and what was refused last.

use crate::desk::Desk;
use crate::trace::Trace;
use crate::wait::{self, PATIENCE};
use crate::watching::Watching;
use anyhow::{Context as _, Result, anyhow, bail};
use fake_hypervisor::GuestEvent;
use ferrovirt::cluster::{Cluster, Options};
use futures::StreamExt as _;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// An answer of the API server that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The message of the Status.
    pub message: String,
}

/// The state that the steps of one scenario share.
#[derive(Default, cucumber::World)]
pub struct SpecWorld {
    cluster: Option<Cluster>,
    trace: Option<Trace>,
    noted: BTreeMap<(String, String), String>,
    refusal: Option<Refusal>,
    user: Option<String>,
    /// The computer of the user who runs virtctl.
    pub desk: Desk,
    /// The clients that watch.
    pub watching: Vec<Watching>,
}

impl std::fmt::Debug for SpecWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpecWorld").field("noted", &self.noted).field("refusal", &self.refusal).finish_non_exhaustive()
    }
}

/// Whether objects of a kind belong to no namespace.
fn is_cluster_scoped(kind: &str) -> bool {
    matches!(kind, "Node" | "Namespace") || kind.starts_with("VirtualMachineCluster")
}

/// The seed of the run: `SPECS_SEED`, else 1.
pub fn seed() -> u64 {
    std::env::var("SPECS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

impl SpecWorld {
    /// Starts the scenario's cluster and begins to record what happens in it.
    pub async fn start(&mut self, nodes: usize) -> Result<()> {
        self.start_with(Options { nodes, ..Options::simulated(seed()) }).await
    }

    /// As [`SpecWorld::start`], with other options.
    pub async fn start_with(&mut self, options: Options) -> Result<()> {
        let cluster = Cluster::start(options).await?;
        self.trace = Some(Trace::start(&cluster.client()));
        self.cluster = Some(cluster);
        Ok(())
    }

    /// Stops the cluster; nothing of a scenario outlives it.
    pub async fn end(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().await;
        }
    }

    /// The scenario's cluster.
    pub fn cluster(&self) -> Result<&Cluster> {
        self.cluster.as_ref().context("the scenario has no cluster")
    }

    /// What happened so far.
    pub fn trace(&self) -> Result<&Trace> {
        self.trace.as_ref().context("the scenario has no cluster")
    }

    /// Acts as this user from now on.
    pub fn impersonate(&mut self, user: &str) {
        self.user = Some(user.to_owned());
    }

    /// Acts as the cluster's administrator from now on.
    pub fn be_admin(&mut self) {
        self.user = None;
    }

    /// A client of who acts now.
    ///
    /// # Errors
    /// There is no cluster yet.
    pub fn client(&self) -> Result<Client> {
        let cluster = self.cluster()?;
        Ok(match &self.user {
            Some(user) => cluster.client_as(user, &["system:authenticated"]),
            None => cluster.client(),
        })
    }

    /// The API of a kind: in namespace `default`, or of the cluster.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        let namespace = if is_cluster_scoped(kind) { None } else { Some("default") };
        match self.client() {
            Ok(client) => wait::api(&client, kind, namespace),
            Err(error) => panic!("{error}"),
        }
    }

    /// The object, or an error naming it.
    pub async fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.find(kind, name).await?.ok_or_else(|| anyhow!("there is no {kind} {name}"))
    }

    /// The object, if there is one.
    pub async fn find(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        Ok(self.api(kind).get_opt(name).await?.map(serde_json::to_value).transpose()?)
    }

    /// Waits until the object satisfies `holds`.
    pub async fn until(
        &self,
        kind: &str,
        name: &str,
        what: &str,
        patience: Duration,
        holds: impl FnMut(Option<&Value>) -> bool,
    ) -> Result<Option<Value>> {
        wait::until(&self.api(kind), name, what, patience, holds).await
    }

    /// Waits until the newest launcher pod of a VMI, or its absence, satisfies `holds`.
    pub async fn until_pod(&self, vmi: &str, what: &str, mut holds: impl FnMut(Option<&Value>) -> bool) -> Result<Option<Value>> {
        let prefix = format!("virt-launcher-{vmi}-");
        let config = watcher::Config::default().labels("kubevirt.io=virt-launcher");
        let mut pods: BTreeMap<String, Value> = BTreeMap::new();
        let found = tokio::time::timeout(PATIENCE, async {
            let mut events = std::pin::pin!(watcher(self.api("Pod"), config));
            let mut listed = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init) => pods.clear(),
                    Ok(watcher::Event::InitApply(pod) | watcher::Event::Apply(pod)) => {
                        let name = pod.metadata.name.clone().unwrap_or_default();
                        if name.starts_with(&prefix) {
                            pods.insert(name, serde_json::to_value(pod).unwrap_or_default());
                        }
                    }
                    Ok(watcher::Event::Delete(pod)) => drop(pods.remove(&pod.metadata.name.unwrap_or_default())),
                    Ok(watcher::Event::InitDone) => listed = true,
                    Err(_) => {}
                }
                let newest = pods.values().max_by_key(|pod| pod.pointer("/metadata/creationTimestamp").and_then(Value::as_str));
                if listed && holds(newest) {
                    return Some(newest.cloned());
                }
            }
            None
        })
        .await;
        match found {
            Ok(Some(pod)) => Ok(pod),
            _ => bail!(
                "{what} of the VMI {vmi}: last seen {}",
                pods.values().map(|pod| pod["status"].to_string()).collect::<Vec<_>>().join("\n")
            ),
        }
    }

    /// Waits for an event about an object.
    pub async fn until_event(&self, kind: &str, name: &str, mut holds: impl FnMut(&Value) -> bool) -> Result<()> {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let mut seen = Vec::new();
        let found = tokio::time::timeout(PATIENCE, async {
            let mut events = std::pin::pin!(watcher(self.api("Event"), watcher::Config::default().fields(&fields)));
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::InitApply(event) | watcher::Event::Apply(event)) = event {
                    let event = serde_json::to_value(event).unwrap_or_default();
                    if holds(&event) {
                        return true;
                    }
                    seen.push(format!("{} {} {}", event["type"], event["reason"], event["message"]));
                }
            }
            false
        })
        .await;
        anyhow::ensure!(matches!(found, Ok(true)), "no such event of {kind} {name}; there are:\n{}", seen.join("\n"));
        Ok(())
    }

    /// Creates an object; a refusal is an error.
    pub async fn create(&mut self, manifest: &Value) -> Result<()> {
        self.attempt_create(manifest, "").await?;
        self.not_refused()
    }

    /// Tries to create an object; a refusal is noted.
    pub async fn attempt_create(&mut self, manifest: &Value, query: &str) -> Result<()> {
        let api_version = manifest["apiVersion"].as_str().unwrap_or("v1");
        let kind = manifest["kind"].as_str().context("a manifest needs a kind")?;
        let plural = kind.to_lowercase() + "s";
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let scope = if is_cluster_scoped(kind) { "" } else { "/namespaces/default" };
        let path = format!("/{root}/{api_version}{scope}/{plural}{query}");
        self.attempt_raw("POST", &path, "application/json", serde_json::to_vec(manifest)?).await
    }

    /// Judges the creation of an object of any of KubeVirt's kinds, without storing it; a refusal is noted.
    pub async fn attempt_dry(&mut self, manifest: &Value) -> Result<()> {
        let path = format!("{}?dryRun=All", collection(manifest)?);
        self.attempt_raw("POST", &path, "application/json", serde_json::to_vec(manifest)?).await
    }

    /// Tries to create an object of any of KubeVirt's kinds; a refusal is noted.
    pub async fn attempt_stored(&mut self, manifest: &Value) -> Result<()> {
        self.attempt_raw("POST", &collection(manifest)?, "application/json", serde_json::to_vec(manifest)?).await
    }

    /// Sends a request as it is; a refusal is noted.
    pub async fn attempt_raw(&mut self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Result<()> {
        let mut request = http::Request::builder().method(method).uri(path);
        if !content_type.is_empty() {
            request = request.header("Content-Type", content_type);
        }
        self.attempt(request.body(body)?).await
    }

    /// What an object of any of KubeVirt's kinds would be stored as.
    pub async fn admitted(&mut self, manifest: &Value) -> Result<Value> {
        let path = format!("{}?dryRun=All", collection(manifest)?);
        let request = http::Request::post(path).header("Content-Type", "application/json").body(serde_json::to_vec(manifest)?)?;
        Ok(serde_json::from_str(&self.client()?.request_text(request).await?)?)
    }

    /// Judges a merge patch of an object of any of KubeVirt's kinds, without storing it; a refusal is noted.
    pub async fn attempt_change(&mut self, manifest: &Value, name: &str, patch: &str) -> Result<()> {
        let path = format!("{}/{name}?dryRun=All", collection(manifest)?);
        self.attempt_raw("PATCH", &path, "application/merge-patch+json", patch.as_bytes().to_vec()).await
    }

    /// The warnings that come with the creation of an object of any of KubeVirt's kinds; it is not stored.
    pub async fn warnings(&mut self, manifest: &Value) -> Result<Vec<String>> {
        let path = format!("{}?dryRun=All", collection(manifest)?);
        let request = http::Request::post(path).header("Content-Type", "application/json");
        let answer = self.client()?.send(request.body(serde_json::to_vec(manifest)?.into())?).await?;
        anyhow::ensure!(answer.status().is_success(), "refused with {}", answer.status());
        let warnings = answer.headers().get_all("Warning").iter();
        Ok(warnings.filter_map(|warning| warning.to_str().ok()).map(str::to_owned).collect())
    }

    /// Sends a request; a refusal is noted.
    pub async fn attempt(&mut self, request: http::Request<Vec<u8>>) -> Result<()> {
        let answer = self.client()?.request_text(request).await;
        self.note(answer.map(drop))
    }

    /// Merge-patches an object; a refusal is an error.
    pub async fn merge(&mut self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        self.attempt_merge(kind, name, patch).await?;
        self.not_refused()
    }

    /// Tries to merge-patch an object; a refusal is noted.
    pub async fn attempt_merge(&mut self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        let answer = self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        self.note(answer.map(drop))
    }

    /// Deletes an object.
    pub async fn delete(&mut self, kind: &str, name: &str, propagation: Option<&str>) -> Result<()> {
        let params = match propagation {
            None => DeleteParams::default(),
            Some("Orphan") => DeleteParams::orphan(),
            Some("Foreground") => DeleteParams::foreground(),
            Some("Background") => DeleteParams::background(),
            Some(other) => bail!("{other} is no propagation policy"),
        };
        self.api(kind).delete(name, &params).await.map(drop).with_context(|| format!("deleting {kind} {name}"))
    }

    /// Opens so many watches of a kind, from a resource version on.
    pub async fn watch(&mut self, kind: &str, version: &str, count: usize) -> Result<()> {
        let api = self.api(kind);
        for _ in 0..count {
            self.watching.push(Watching::open(&api, version).await?);
        }
        Ok(())
    }

    /// Calls a subresource of KubeVirt's aggregated API with PUT; a refusal is noted.
    pub async fn subresource(&mut self, kind: &str, name: &str, verb: &str) -> Result<()> {
        let plural = kind.to_lowercase() + "s";
        let path = format!("/apis/subresources.kubevirt.io/v1/namespaces/default/{plural}/{name}/{verb}");
        self.attempt_raw("PUT", &path, "application/json", b"{}".to_vec()).await
    }

    fn note(&mut self, answer: kube::Result<()>) -> Result<()> {
        self.refusal = match answer {
            Ok(()) => None,
            Err(kube::Error::Api(status)) => Some(Refusal { code: status.code, message: status.message.clone() }),
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// What was refused last; an error when nothing was.
    pub fn refusal(&self) -> Result<&Refusal> {
        self.refusal.as_ref().context("it was not refused")
    }

    /// The last request's refusal, if it was refused.
    pub fn last_refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Whether a user may do something in the namespace of the scenario; the resource as `RESOURCE.GROUP` or `RESOURCE/SUB.GROUP`.
    ///
    /// # Errors
    /// The API server does not say.
    pub async fn may(&self, user: &str, verb: &str, resource: &str) -> Result<bool> {
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
            "user": user, "groups": ["system:authenticated"],
            "resourceAttributes": {
                "namespace": "default", "verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": "any",
            },
        }}))?;
        let reviews: Api<SubjectAccessReview> = Api::all(self.client()?);
        Ok(reviews.create(&PostParams::default(), &review).await?.status.is_some_and(|status| status.allowed))
    }

    /// An error when the last request was refused.
    pub fn not_refused(&self) -> Result<()> {
        match &self.refusal {
            Some(refusal) => bail!("refused with {} and {:?}", refusal.code, refusal.message),
            None => Ok(()),
        }
    }

    /// Notes a value under a kind and name.
    pub fn remember(&mut self, kind: &str, name: &str, value: &str) {
        self.noted.insert((kind.to_owned(), name.to_owned()), value.to_owned());
    }

    /// Notes the UID of an object.
    pub async fn note_uid(&mut self, kind: &str, name: &str) -> Result<()> {
        let object = self.get(kind, name).await?;
        self.remember(kind, name, object["metadata"]["uid"].as_str().unwrap_or_default());
        Ok(())
    }

    /// What was noted; before anything was, the UID of the first object of that name.
    pub fn noted_uid(&self, kind: &str, name: &str) -> Result<String> {
        if let Some(noted) = self.noted.get(&(kind.to_owned(), name.to_owned())) {
            return Ok(noted.clone());
        }
        self.trace()?.values(kind, name, "/metadata/uid").into_iter().next().with_context(|| format!("no {kind} {name} was seen"))
    }

    /// Scales a component: a Deployment by its replicas.
    pub async fn scale(&mut self, component: &str, replicas: u32) -> Result<()> {
        let namespace = self.cluster()?.namespace().to_owned();
        let api = wait::api(&self.client()?, "Deployment", Some(&namespace));
        api.patch(component, &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": replicas}}))).await?;
        let what = format!("{replicas} ready replicas");
        let scaled = wait::until(&api, component, &what, PATIENCE, |deployment| {
            let status = deployment.map(|d| d["status"].clone()).unwrap_or_default();
            let count = |key: &str| status[key].as_u64().unwrap_or_default();
            count("replicas") == u64::from(replicas) && count("readyReplicas") == u64::from(replicas)
        });
        scaled.await?;
        // Who is reached through the Service follows the pods.
        let endpoints = wait::api(&self.client()?, "Endpoints", Some(&namespace));
        wait::until(&endpoints, component, &what, PATIENCE, |endpoints| {
            let ready = endpoints.is_some_and(|object| object.pointer("/subsets/0/addresses/0").is_some());
            ready == (replicas > 0)
        })
        .await
        .map(drop)
    }

    /// Kills every process of a component; its kubelet starts it again.
    pub fn restart(&self, component: &str) -> Result<()> {
        let crashed = self.cluster()?.launchers().crash_component(component);
        anyhow::ensure!(crashed > 0, "no {component} runs");
        Ok(())
    }

    /// Makes the guest of a VMI `power off`, `crash` or `panic` by itself.
    pub fn guest(&self, name: &str, how: &str) -> Result<()> {
        let event = match how {
            "powers off" => GuestEvent::PowersOff,
            "panics" => GuestEvent::Panics,
            _ => GuestEvent::ProcessDies,
        };
        Ok(self.cluster()?.launchers().inject("default", name, &event)?)
    }

    /// The state of a VMI's domain, as its hypervisor tells it.
    pub async fn domain_state(&self, name: &str) -> Result<String> {
        Ok(self.cluster()?.launchers().domain_state("default", name).await?)
    }

    /// Seconds from now to a timestamp, on the cluster's clock.
    pub fn seconds_until(&self, timestamp: &str) -> Result<i64> {
        let at: jiff::Timestamp = timestamp.parse().with_context(|| format!("{timestamp:?} is no time"))?;
        Ok(at.as_second() - self.cluster()?.clock().now().as_second())
    }

    /// Creates many objects of one kind from a function of their index.
    pub async fn create_many(&self, kind: &str, count: usize, manifest: impl Fn(usize) -> Value) -> Result<()> {
        let api = self.api(kind);
        for index in 0..count {
            let object: DynamicObject = serde_json::from_value(manifest(index))?;
            api.create(&PostParams::default(), &object).await?;
        }
        Ok(())
    }
}

/// Where objects of one of KubeVirt's kinds are: by its CustomResourceDefinition.
fn collection(manifest: &Value) -> Result<String> {
    let api_version = manifest["apiVersion"].as_str().context("a manifest needs an apiVersion")?;
    let kind = manifest["kind"].as_str().context("a manifest needs a kind")?;
    let (plural, namespaced) = api::crd::plural(kind).with_context(|| format!("{kind} is no kind of KubeVirt's"))?;
    let scope = if namespaced { "/namespaces/default" } else { "" };
    Ok(format!("/apis/{api_version}{scope}/{plural}"))
}
