//! `ferrovirt render`: what a manifest becomes, by the code that the cluster runs.
//!
//! Flow, as in a cluster: a VM is completed and judged (`admission`), started (`planner::vm`), its VMI completed and judged,
//! given its pod (`planner::vmi`), and its domain (the launcher's conversion). Random values come from a fixed seed, so the
//! same manifest prints the same text. UIDs, which only a cluster gives, are [`UID`].

use crate::cli::{Output, Render};
use crate::cluster::TAG;
use admission::review::{Known, Mutated, Need, Request, Stop, mutate, validate};
use admission::{Denial, Operation, Requester, Seeds};
use api::config::ClusterConfig;
use api::v1::{KubeVirt, VirtualMachine, VirtualMachineInstance};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use planner::plan::Action;
use planner::storage::Storage;
use planner::{vm, vmi};
use runtime::Entropy;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use virt_launcher::HostFacts;

/// Stands where a cluster would give a UID.
pub const UID: &str = "00000000-0000-0000-0000-000000000000";

/// Why nothing could be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML or JSON.
    #[error("{file} is not YAML: {reason}")]
    Parse {
        /// The file.
        file: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// There is nothing to render.
    #[error("{0} has neither a VirtualMachine nor a VirtualMachineInstance")]
    Nothing(String),
    /// A document is not what its kind says.
    #[error("{object}: {reason}")]
    Object {
        /// Kind and name.
        object: String,
        /// What is wrong.
        reason: String,
    },
}

/// What became of one VM or VMI.
#[derive(Debug)]
pub struct Rendered {
    /// Kind and name.
    pub object: String,
    /// The text that was asked for; the causes where it was rejected.
    pub outcome: Result<String, Denial>,
}

/// Renders every VM and VMI of a file, in its order.
///
/// # Errors
/// [`Error`], when there is nothing to judge; a rejection is not an error but an outcome.
pub fn run(args: &Render) -> Result<Vec<Rendered>, Error> {
    let file = args.file.display().to_string();
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(&args.file)
    };
    let text = text.map_err(|source| Error::Read { file: file.clone(), source })?;
    render(&file, &text, args.output)
}

/// As [`run`], from a text.
///
/// # Errors
/// As [`run`].
pub fn render(file: &str, text: &str, output: Output) -> Result<Vec<Rendered>, Error> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| Error::Parse { file: file.to_owned(), reason: error.to_string() })?;
    let documents: Vec<Value> = documents.into_iter().flat_map(items).filter(|document| !document.is_null()).collect();
    let manifests = Manifests::new(documents)?;
    let subjects: Vec<&Value> =
        manifests.documents.iter().filter(|d| d["kind"] == "VirtualMachine" || d["kind"] == "VirtualMachineInstance").collect();
    if subjects.is_empty() {
        return Err(Error::Nothing(file.to_owned()));
    }
    Ok(subjects.into_iter().map(|subject| manifests.rendered(subject, output)).collect())
}

/// The items of a List; anything else is itself.
fn items(document: Value) -> Vec<Value> {
    match document.get("items") {
        Some(Value::Array(items)) if document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => items.clone(),
        _ => vec![document],
    }
}

/// The documents of a file, as a small cluster.
struct Manifests {
    documents: Vec<Value>,
    config: ClusterConfig,
    storage: Storage,
}

fn object_name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

fn typed<K: DeserializeOwned>(object: &Value) -> Result<K, Error> {
    serde_json::from_value(object.clone()).map_err(|error| Error::Object { object: object_name(object), reason: error.to_string() })
}

impl Manifests {
    fn new(mut documents: Vec<Value>) -> Result<Self, Error> {
        for document in &mut documents {
            if document.is_object() && document["metadata"].is_object() && document["metadata"]["namespace"].is_null() {
                document["metadata"]["namespace"] = json!("default");
            }
        }
        let of_kind = |kind: &'static str| documents.iter().filter(move |document| document["kind"] == kind);
        let kubevirt: Option<KubeVirt> = of_kind("KubeVirt").next().map(typed).transpose()?;
        let mut storage = Storage::default();
        for claim in of_kind("PersistentVolumeClaim") {
            let claim: PersistentVolumeClaim = typed(claim)?;
            storage.claims.insert(claim.metadata.name.clone().unwrap_or_default(), Arc::new(claim));
        }
        let config = ClusterConfig::from_kubevirt(kubevirt.as_ref());
        Ok(Self { documents, config, storage })
    }

    fn rendered(&self, subject: &Value, output: Output) -> Rendered {
        let object = object_name(subject);
        let outcome = match self.steps(subject) {
            Ok(steps) => Ok(steps.text(output)),
            Err(denial) if output == Output::Json => Ok(rejected(&denial)),
            Err(denial) => Err(denial),
        };
        Rendered { object, outcome }
    }

    /// From the manifest to the domain.
    fn steps(&self, subject: &Value) -> Result<Steps, Denial> {
        let entropy = Entropy::from_seed(0);
        let mutated = self.admitted(subject, &entropy)?;
        let vmi = if subject["kind"] == "VirtualMachine" { self.admitted(&self.started(&mutated)?, &entropy)? } else { mutated.clone() };
        let mut vmi = vmi;
        vmi["metadata"]["uid"] = json!(UID);
        let typed: VirtualMachineInstance = decode(&vmi)?;
        let pod = self.pod(&typed)?;
        let domain = self.domain(&typed)?;
        Ok(Steps { mutated, pod, domain })
    }

    /// What admission makes of an object.
    fn admitted(&self, object: &Value, entropy: &Entropy) -> Result<Value, Denial> {
        let requester = Requester::named("kubernetes-admin");
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        let request = |object| Request {
            kind,
            subresource: "",
            operation: Operation::Create,
            namespace,
            name,
            object,
            old: None,
            requester: &requester,
        };
        let mut known = Known::default();
        let Mutated { object: mutated, .. } = self.with_lookups(&mut known, |known| {
            let mut seeds = Seeds { uuid: &mut || entropy.uuid(), now: epoch() };
            mutate(&request(object), &self.config, known, &mut seeds)
        })?;
        let mutated = mutated.unwrap_or_else(|| object.clone());
        self.with_lookups(&mut known, |known| validate(&request(&mutated), &self.config, known))?;
        Ok(mutated)
    }

    /// Repeats a judgement until everything it has to see was looked up among the documents.
    fn with_lookups<T>(&self, known: &mut Known, mut judge: impl FnMut(&Known) -> Result<T, Stop>) -> Result<T, Denial> {
        loop {
            match judge(known) {
                Ok(judged) => return Ok(judged),
                Err(Stop::Denied(denial)) => return Err(denial),
                Err(Stop::Need(need)) => {
                    let found = self.look_up(&need);
                    known.add(need, found);
                }
            }
        }
    }

    fn look_up(&self, need: &Need) -> Vec<Value> {
        let fits = |document: &&Value| {
            document["kind"] == need.kind
                && (need.namespace.is_empty() || document["metadata"]["namespace"] == need.namespace)
                && need.name.as_ref().is_none_or(|name| document["metadata"]["name"] == *name)
        };
        self.documents.iter().filter(fits).cloned().collect()
    }

    /// The VMI that a VM starts, whatever its run strategy waits for.
    fn started(&self, vm: &Value) -> Result<Value, Denial> {
        let mut machine: VirtualMachine = decode(vm)?;
        machine.metadata.uid = Some(UID.to_owned());
        machine.spec.running = None;
        machine.spec.run_strategy = Some("Always".to_owned());
        // The controller's own mark is there before it starts anything.
        machine.metadata.finalizers.get_or_insert_default().push(api::names::VM_FINALIZER.to_owned());
        let settings = settings();
        let mut known = Known::default();
        let lookups = loop {
            match vm::look_up(&machine, &[], &self.storage, &known) {
                Ok(lookups) => break lookups,
                Err(need) => {
                    let found = self.look_up(&need);
                    known.add(need, found);
                }
            }
        };
        let plan = vm::sync(&vm::Observed {
            vm: &machine,
            vmi: None,
            revisions: &[],
            storage: &self.storage,
            lookups: &lookups,
            clone_denials: &BTreeMap::new(),
            expected: vm::Expected::default(),
            config: &self.config,
            settings: &settings,
            spread: 0.0,
            now: epoch(),
        });
        created(plan.actions, "VirtualMachineInstance").ok_or_else(|| {
            let why = plan.error.map_or_else(|| "it waits for its volumes".to_owned(), |error| error.to_string());
            Denial::bad_request(format!("the VirtualMachine does not start: {why}"))
        })
    }

    fn pod(&self, vmi: &VirtualMachineInstance) -> Result<Value, Denial> {
        let plan = vmi::sync(&vmi::Observed {
            vmi,
            pods: &[],
            storage: &self.storage,
            storage_classes: &[],
            migrations: &[],
            owner_exists: true,
            namespace: &convert::pod::Namespace::default(),
            config: &self.config,
            settings: &settings(),
            jitter_seconds: 0,
            free_vsock_cid: 3,
            now: epoch(),
        });
        created(plan.actions, "Pod").ok_or_else(|| {
            let why = plan.error.map_or_else(|| "it waits for its volumes".to_owned(), |error| error.to_string());
            Denial::bad_request(format!("there is no launcher pod: {why}"))
        })
    }

    fn domain(&self, vmi: &VirtualMachineInstance) -> Result<String, Denial> {
        let host = fake_hypervisor::Host::default();
        let convert = HostFacts::simulated(host.capabilities, self.config.use_emulation()).conversion();
        let domain = convert(vmi, &virt_handler::sync_options(vmi, &self.config)).map_err(Denial::bad_request)?;
        Ok(domain.to_xml())
    }
}

/// What became of a manifest, step by step.
struct Steps {
    mutated: Value,
    pod: Value,
    domain: String,
}

impl Steps {
    fn text(&self, output: Output) -> String {
        match output {
            Output::Mutated => yaml(&self.mutated),
            Output::Pod => yaml(&self.pod),
            Output::Domain => self.domain.clone(),
            Output::Json => json!({"allowed": true, "mutated": self.mutated, "pod": self.pod, "domain": self.domain}).to_string(),
        }
    }
}

fn rejected(denial: &Denial) -> String {
    let causes: Vec<Value> = denial
        .causes
        .iter()
        .map(|cause| json!({"reason": cause.kind.map(admission::CauseKind::as_str), "field": cause.field, "message": cause.message}))
        .collect();
    json!({"allowed": false, "message": denial.message, "causes": causes}).to_string()
}

/// The object of a kind that actions create.
fn created(actions: Vec<Action>, kind: &str) -> Option<Value> {
    actions.into_iter().find_map(|action| match action {
        Action::Create { object, body, .. } if object.kind == kind => Some(body),
        _ => None,
    })
}

fn settings() -> vmi::Settings {
    vmi::Settings {
        launcher_image: format!("virt-launcher:{TAG}"),
        sidecar_shim_image: format!("sidecar-shim:{TAG}"),
        image_pull_secret: None,
        qemu_timeout_seconds: convert::pod::QEMU_TIMEOUT_SECONDS,
        labels_sync: Vec::new(),
        annotations_sync: Vec::new(),
    }
}

fn epoch() -> Time {
    Time(jiff::Timestamp::UNIX_EPOCH)
}

fn decode<K: DeserializeOwned>(object: &Value) -> Result<K, Denial> {
    serde_json::from_value(object.clone()).map_err(|error| Denial::bad_request(error.to_string()))
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}
