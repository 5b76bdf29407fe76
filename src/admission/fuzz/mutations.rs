//! Objects that go wrong in the ways objects do: real ones, changed at random places with an eye for their structure.
//!
//! Part of the tests, which ask whether an answer comes, and of the bench that tells how long it takes. The same seed gives the
//! same objects.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::admission::review::{self, Known, Request, Stop};
use super::admission::{Denial, Operation, Requester, Seeds};
use api::config::ClusterConfig;

/// A seeded source of numbers (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).unwrap_or_default()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// One sound object of each kind that is not measured, with as many fields set as rules look at.
fn written() -> Vec<Value> {
    let machine = json!({"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm"});
    let spec = |api: &str, kind: &str, spec: Value| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "o", "namespace": "default"}, "spec": spec});
    vec![
        spec(
            "plugin.kubevirt.io/v1alpha1",
            "Plugin",
            json!({
                "condition": "vmi.Labels['a'] == 'b' && vmi.Spec.Domain.Devices.Disks.exists(d, d.Name == 'x')", "failureStrategy": "Fail",
                "domainHooks": [
                    {"cel": {"expression": "Domain{Memory: DomainMemory{Value: uint(2048), Unit: 'MiB'}}"}, "condition": "has(domainSpec.CPU)"},
                    {"sidecar": {"socketPath": "/var/run/kubevirt-plugin/o/hook.sock"}},
                ],
                "nodeHooks": [{"socket": "/s.sock", "permittedHooks": ["PreVMStart"], "condition": "vmi.spec.domain.cpu.cores > 2"}],
            }),
        ),
        spec("backup.kubevirt.io/v1alpha1", "VirtualMachineBackup", json!({"source": machine, "pvcName": "p", "mode": "Push"})),
        spec("backup.kubevirt.io/v1alpha1", "VirtualMachineBackupTracker", json!({"source": machine})),
        spec(
            "kubevirt.io/v1",
            "VirtualMachineInstancePreset",
            json!({"selector": {"matchLabels": {"a": "b"}}, "domain": {"cpu": {"cores": 2}, "firmware": {"uuid": "u"}, "devices": {"disks": [{"name": "d", "disk": {"bus": "sata"}}]}}}),
        ),
        spec(
            "migrations.kubevirt.io/v1alpha1",
            "MigrationPolicy",
            json!({"selectors": {"namespaceSelector": {"a": "b"}}, "bandwidthPerMigration": "64Mi", "completionTimeoutPerGiB": 3, "maxDowntimeMs": 300}),
        ),
        spec(
            "instancetype.kubevirt.io/v1beta1",
            "VirtualMachineClusterInstancetype",
            json!({"cpu": {"guest": 2}, "memory": {"guest": "1Gi", "overcommitPercent": 10}}),
        ),
        spec(
            "instancetype.kubevirt.io/v1beta1",
            "VirtualMachineClusterPreference",
            json!({"cpu": {"preferredCPUTopology": "spread", "spreadOptions": {"across": "CoresThreads", "ratio": 2}}}),
        ),
        spec("export.kubevirt.io/v1", "VirtualMachineExport", json!({"source": machine, "ttlDuration": "1h"})),
        spec(
            "kubevirt.io/v1",
            "KubeVirt",
            json!({
                "certificateRotateStrategy": {"selfSigned": {"ca": {"duration": "48h", "renewBefore": "24h"}, "server": {"duration": "1h"}}},
                "infra": {"replicas": 2, "nodePlacement": {"nodeSelector": {"a": "b"}}},
                "configuration": {
                    "developerConfiguration": {"featureGates": ["Snapshot"], "disabledFeatureGates": ["Template"]},
                    "additionalGuestMemoryOverheadRatio": "1.5", "migrations": {"maxDowntimeMs": 300},
                    "tlsConfiguration": {"minTLSVersion": "VersionTLS12", "ciphers": ["TLS_AES_128_GCM_SHA256"]},
                    "seccompConfiguration": {"virtualMachineInstanceProfile": {"customProfile": {"localhostProfile": "p"}}},
                },
                "customizeComponents": {"patches": [{"patch": "[]", "resourceName": "n", "resourceType": "t", "type": "json"}]},
            }),
        ),
    ]
}

/// Measured objects, sound and unsound, and one of each kind that is not measured.
pub static EXAMPLES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let files = [
        include_str!("../../../tests/parity/vmi.jsonl"),
        include_str!("../../../tests/parity/vm.jsonl"),
        include_str!("../../../tests/parity/instancetype.jsonl"),
        include_str!("../../../tests/parity/admission-other.jsonl"),
        include_str!("../../../tests/parity/migration-policy.jsonl"),
    ];
    let cases = files.iter().flat_map(|f| f.lines()).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let documents = cases.flat_map(|case| case["documents"].as_array().cloned().unwrap_or_default());
    let mut all: Vec<Value> = documents.filter(|d| KINDS.contains(&d["kind"].as_str().unwrap_or_default())).collect();
    all.extend(written());
    all
});

/// Every kind that is reviewed.
pub const KINDS: &[&str] = &[
    "VirtualMachine",
    "VirtualMachineInstance",
    "VirtualMachineInstanceReplicaSet",
    "VirtualMachinePool",
    "VirtualMachineInstancePreset",
    "VirtualMachineInstanceMigration",
    "MigrationPolicy",
    "VirtualMachineInstancetype",
    "VirtualMachineClusterInstancetype",
    "VirtualMachinePreference",
    "VirtualMachineClusterPreference",
    "Plugin",
    "KubeVirt",
    "VirtualMachineSnapshot",
    "VirtualMachineRestore",
    "VirtualMachineExport",
    "VirtualMachineBackup",
    "VirtualMachineBackupTracker",
    "VirtualMachineClone",
];

/// Words that mean something to some rule.
const WORDS: &[&str] = &[
    "",
    "0",
    "-1",
    "1",
    "h",
    "%",
    "!",
    "/",
    "..",
    "a b",
    "1Gi",
    "-1Gi",
    "1e-30",
    "999999999999Ei",
    "0x10",
    "1h-",
    "LiveMigrate",
    "Always",
    "virtio",
    "sata",
    "scsi",
    "q35",
    "arm64",
    "s390x",
    "amd64",
    "VirtualMachine",
    "kubevirt.io",
    "*",
    "a.b",
    "A",
    "default",
    "\u{0}\u{202e}é\u{1F980}",
    "kubevirt.io/nodeName",
    "{\"op\": \"add\"",
    "02:00:00:00:00:01",
    "10DE:2342",
    "true",
    "null",
    "spread",
    "CoresThreads",
    "2Mi",
    "0Mi",
];

/// Pieces of expressions, also of broken ones.
const PIECES: &[&str] = &[
    "vmi",
    ".Spec",
    ".spec",
    ".Domain",
    ".domain",
    ".CPU",
    ".cpu",
    ".Cores",
    ".Name",
    "domainSpec",
    "Domain{",
    "}",
    "Title: 'a'",
    "(",
    ")",
    "[",
    "]",
    "[0]",
    " == ",
    " > ",
    " + ",
    " && ",
    " || ",
    " ? ",
    " : ",
    " in ",
    "!",
    "-",
    "1",
    "2u",
    "1.5",
    "'a'",
    "\"",
    "b'x'",
    "null",
    "true",
    ".all(x, ",
    ".exists(x, ",
    ".map(x, x)",
    ".filter(x, x == 1)",
    "size(",
    "has(",
    "type(",
    "dyn(",
    ".?a",
    "`",
    "\\",
    "\n",
    "é",
    "{'a': 1}",
    ",",
    "x",
    "@",
    "duration('1h')",
];

/// An expression that may or may not be one.
pub fn expression(dice: &mut Dice) -> String {
    (0..=dice.below(24)).map(|_| *dice.pick(PIECES)).collect()
}

/// A leaf that some rule may choke on.
fn leaf(dice: &mut Dice) -> Value {
    match dice.below(14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(u32::MAX),
        7 => json!(1.5e300),
        8 => json!([]),
        9 => json!({}),
        10 => json!("x".repeat(1 + dice.below(5000))),
        11 => json!(expression(dice)),
        _ => json!(dice.pick(WORDS)),
    }
}

/// The node at the end of a random walk.
fn walk<'a>(mut node: &'a mut Value, dice: &mut Dice) -> &'a mut Value {
    for _ in 0..=dice.below(10) {
        let children = match &*node {
            Value::Object(fields) => fields.len(),
            Value::Array(list) => list.len(),
            _ => 0,
        };
        if children == 0 {
            return node;
        }
        let at = dice.below(children);
        node = match node {
            Value::Object(fields) => match fields.iter_mut().nth(at) {
                Some((_, child)) => child,
                None => unreachable!("there are {children} fields"),
            },
            Value::Array(list) => &mut list[at],
            _ => unreachable!("it has children"),
        };
    }
    node
}

/// Changes an object: one to six steps, each of a kind that real objects go wrong in.
pub fn mutate(object: &mut Value, dice: &mut Dice) {
    for _ in 0..=dice.below(6) {
        let donor = dice.pick(&EXAMPLES).clone();
        step(walk(object, dice), donor, dice);
    }
}

fn step(node: &mut Value, mut donor: Value, dice: &mut Dice) {
    match (dice.below(9), &mut *node) {
        // A field that is forgotten, written twice under another name, or in the wrong case.
        (0, Value::Object(fields)) if !fields.is_empty() => {
            let key = fields.keys().nth(dice.below(fields.len())).cloned().unwrap_or_default();
            fields.remove(&key);
        }
        (1, Value::Object(fields)) if !fields.is_empty() => {
            let key = fields.keys().nth(dice.below(fields.len())).cloned().unwrap_or_default();
            let value = fields.get(&key).cloned().unwrap_or_default();
            fields.insert(if dice.below(2) == 0 { key.to_uppercase() } else { format!("{key}2") }, value);
        }
        // A list with an element more, with many more, in another order, or cut off.
        (2, Value::Array(list)) if !list.is_empty() => list.push(list[dice.below(list.len())].clone()),
        (3, Value::Array(list)) if !list.is_empty() => *node = Value::Array(vec![list[dice.below(list.len())].clone(); dice.below(300)]),
        (4, Value::Array(list)) => list.reverse(),
        // A part of another object in the place of this one.
        (5, _) => *node = walk(&mut donor, dice).take(),
        // One thing where a list of them is wanted, and the other way round.
        (6, Value::Array(list)) if !list.is_empty() => *node = list[0].take(),
        (6, _) => *node = Value::Array(vec![node.take()]),
        // A text with a slip.
        (7, Value::String(text)) => {
            let at = text.char_indices().map(|(at, _)| at).nth(dice.below(text.chars().count())).unwrap_or_default();
            text.insert_str(at, dice.pick::<&str>(WORDS));
        }
        (8, _) => {
            let mut fields = Map::new();
            fields.insert((*dice.pick(WORDS)).to_owned(), node.take());
            *node = Value::Object(fields);
        }
        _ => *node = leaf(dice),
    }
}

/// A review of an object where nothing else exists.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The kind that is reviewed.
    pub kind: &'a str,
    /// What is to be done.
    pub operation: Operation,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// The object.
    pub object: &'a Value,
    /// The object before.
    pub old: Option<&'a Value>,
}

impl Asked<'_> {
    /// What a review says to it.
    ///
    /// # Errors
    /// It is refused.
    pub fn answer<T>(
        &self,
        config: &ClusterConfig,
        act: impl Fn(&Request<'_>, &ClusterConfig, &Known) -> Result<T, Stop>,
    ) -> Result<T, Denial> {
        let requester = Requester::named("pat");
        let request = Request {
            kind: self.kind,
            subresource: self.subresource,
            operation: self.operation,
            namespace: "default",
            name: "subject",
            object: self.object,
            old: self.old,
            requester: &requester,
        };
        let mut known = Known::default();
        for trial in review::trials(&request) {
            known.refused(trial.kind, "it cannot be placed".to_owned());
        }
        for _ in 0..16 {
            match act(&request, config, &known) {
                Ok(answer) => return Ok(answer),
                Err(Stop::Denied(denial)) => return Err(denial),
                Err(Stop::Need(need)) => known.add(need, Vec::new()),
            }
        }
        panic!("{} asks for ever more objects", self.kind);
    }

    /// What the mutating webhook makes of it.
    ///
    /// # Errors
    /// It is refused.
    pub fn mutated(&self, config: &ClusterConfig) -> Result<Option<Value>, Denial> {
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        self.answer(config, |request, config, known| {
            let mut count = 0_u64;
            let mut uuid = || {
                count += 1;
                format!("b450946b-0623-4d5e-ba73-{count:012x}")
            };
            let mut seeds = Seeds { uuid: &mut uuid, now: now.clone() };
            review::mutate(request, config, known, &mut seeds).map(|mutated| mutated.object)
        })
    }

    /// What the validating webhook says to it.
    ///
    /// # Errors
    /// It is refused.
    pub fn validated(&self, config: &ClusterConfig) -> Result<Vec<String>, Denial> {
        self.answer(config, review::validate)
    }
}
