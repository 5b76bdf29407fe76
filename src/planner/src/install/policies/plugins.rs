//! AP8-AP17: plugins and the launcher pods they reach into. In force while the gate Plugins is on.

use super::{Installation, Policy, rules};
use serde_json::{Value, json};

/// What a failing hook may lead to.
const STRATEGIES: &[&str] = &["Fail", "Ignore"];
/// When node hooks may run.
const HOOK_POINTS: &[&str] = &[
    "PreVMStart",
    "PostVMStart",
    "PreVMStop",
    "PostVMStop",
    "PreMigrationSource",
    "PostMigrationSource",
    "PreMigrationTarget",
    "PostMigrationTarget",
];
/// References that let a plugin have an effect without a hook.
const REFERENCES: &[&str] =
    &["mutatingAdmissionPolicies", "validatingAdmissionPolicies", "mutatingAdmissionWebhooks", "validatingAdmissionWebhooks"];
/// The pod volume with the sockets of plugins' sidecars, and where it is mounted; a folder below for every plugin.
const SOCKETS: (&str, &str) = ("kubevirt-plugin-sockets", "/var/run/kubevirt-plugin/");
/// Characters of a path to a Unix socket, at most.
const LONGEST_SOCKET_PATH: usize = 108;

/// The policies and their bindings.
pub(super) fn objects(installation: &Installation) -> Vec<Value> {
    [shape(), effect(), sub_paths(), socket_paths()].into_iter().flat_map(|policy| policy.objects(installation)).collect()
}

fn policy(name: &'static str, constraints: Value, validations: Vec<Value>) -> Policy {
    let (conditions, variables) = (Vec::new(), Vec::new());
    Policy { name, failure: "Fail", action: "Deny", gate: Some("Plugins"), constraints, conditions, variables, validations }
}

fn plugins() -> Value {
    rules("plugin.kubevirt.io", "v1alpha1", &["CREATE", "UPDATE"], &["plugins"])
}

fn validation(expression: &str, message: &str) -> Value {
    json!({"expression": expression, "message": message})
}

/// A condition on every element of a list that may be absent.
fn each(list: &str, item: &str, holds: &str) -> String {
    format!("!has({list}) || {list}.all({item}, {holds})")
}

/// A list of strings.
fn strings(values: &[&str]) -> String {
    format!("['{}']", values.join("', '"))
}

/// AP8-AP12.
fn shape() -> Policy {
    let (domain, node, strategies) = ("object.spec.domainHooks", "object.spec.nodeHooks", strings(STRATEGIES));
    let strategy = |of: &str| format!("!has({of}.failureStrategy) || {of}.failureStrategy in {strategies}");
    let unknown = "failureStrategy must be either 'Fail' or 'Ignore'";
    let points = format!("hook.permittedHooks.all(point, point in {})", strings(HOOK_POINTS));
    let validations = vec![
        validation(
            &each(domain, "hook", "has(hook.cel) != has(hook.sidecar)"),
            "exactly one of cel or sidecar must be specified for each domain hook",
        ),
        validation(&each(domain, "hook", &strategy("hook")), unknown),
        validation(&each(node, "hook", &strategy("hook")), unknown),
        validation(&each(node, "hook", &points), "permittedHooks must only contain valid node hook points"),
        validation(&strategy("object.spec"), unknown),
    ];
    policy("kubevirt-plugin-validation", plugins(), validations)
}

/// AP13: only a warning, and none at all where it cannot be told.
fn effect() -> Policy {
    let any = |field: &&str| format!("(has(object.spec.{field}) && size(object.spec.{field}) > 0)");
    let lists = ["domainHooks", "nodeHooks"];
    let expression = lists.iter().chain(REFERENCES).map(any).collect::<Vec<_>>().join(" || ");
    let message = "no hooks or admission references are defined; this plugin will have no effect";
    let warning = policy("kubevirt-plugin-warning", plugins(), vec![validation(&expression, message)]);
    Policy { failure: "Ignore", action: "Warn", ..warning }
}

/// AP14: a sidecar sees the folder of its own plugin's sockets, not those of others.
fn sub_paths() -> Policy {
    let mut constraints = rules("", "v1", &["CREATE", "UPDATE"], &["pods", "pods/ephemeralcontainers"]);
    constraints["objectSelector"] = json!({"matchLabels": {"kubevirt.io": "virt-launcher"}});
    let bounded = format!("container.volumeMounts.all(mount, mount.name != '{}' || has(mount.subPath) && mount.subPath != '')", SOCKETS.0);
    let mounts = format!("!has(container.volumeMounts) || {bounded}");
    // The compute container is the launcher: it serves the sockets of all plugins.
    let own = format!("container.name == 'compute' || {mounts}");
    let expression = [("containers", own.as_str()), ("initContainers", &mounts), ("ephemeralContainers", &mounts)]
        .map(|(list, holds)| format!("({})", each(&format!("object.spec.{list}"), "container", holds)))
        .join(" && ");
    let message = "sidecar containers must use subPath when mounting the plugin socket volume";
    policy("kubevirt-plugin-sidecar-subpath", constraints, vec![validation(&expression, message)])
}

/// AP15-AP17.
fn socket_paths() -> Policy {
    let path = "hook.sidecar.socketPath";
    let on_sidecars = |holds: String| each("object.spec.domainHooks", "hook", &format!("!has(hook.sidecar) || {holds}"));
    let validations = vec![
        validation(&on_sidecars(format!("{path}.endsWith('.sock')")), "sidecar socketPath must end with .sock"),
        validation(
            &on_sidecars(format!("size({path}) <= {LONGEST_SOCKET_PATH}")),
            "sidecar socketPath must not exceed 108 characters (Unix socket limit)",
        ),
        validation(
            &on_sidecars(format!("{path}.startsWith('{}' + object.metadata.name + '/')", SOCKETS.1)),
            "sidecar socketPath must start with /var/run/kubevirt-plugin/<plugin-name>/",
        ),
    ];
    policy("kubevirt-plugin-socket-path", plugins(), validations)
}
