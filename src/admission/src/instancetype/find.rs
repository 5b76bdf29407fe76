//! Which instance type and preference a virtual machine means (spec/instancetype.md §1).

use api::instancetype::v1beta1::{
    VirtualMachineClusterInstancetype, VirtualMachineClusterPreference, VirtualMachineInstancetype, VirtualMachinePreference,
};
use api::v1::{InstancetypeStatusRef, VirtualMachine};
use k8s_openapi::api::apps::v1::ControllerRevision;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Resolved;
use crate::Denial;
use crate::review::{Known, Stop, kinds};

/// The label of a stored revision with the object's name.
const OBJECT_NAME_LABEL: &str = "instancetype.kubevirt.io/object-name";

/// What a matcher says, of either kind.
struct Matcher<'a> {
    what: &'static str,
    name: &'a str,
    kind: &'a str,
    revision: &'a str,
    status: Option<&'a InstancetypeStatusRef>,
}

/// The instance type and the preference of a virtual machine: a stored revision where there is one, else the live object.
///
/// # Errors
/// One of them does not exist or cannot be read, or has to be looked up first.
pub fn find(vm: &VirtualMachine, namespace: &str, known: &Known) -> Result<Resolved, Stop> {
    Ok(Resolved { instancetype: instancetype(vm, namespace, known)?, preference: preference(vm, namespace, known)? })
}

/// The instance type alone.
pub(crate) fn instancetype(
    vm: &VirtualMachine,
    namespace: &str,
    known: &Known,
) -> Result<Option<api::instancetype::v1beta1::VirtualMachineInstancetypeSpec>, Stop> {
    let Some(matcher) = &vm.spec.instancetype else { return Ok(None) };
    let matcher = Matcher {
        what: "InstancetypeMatcher",
        name: matcher.name.as_deref().unwrap_or_default(),
        kind: matcher.kind.as_deref().unwrap_or_default(),
        revision: matcher.revision_name.as_deref().unwrap_or_default(),
        status: vm.status.as_ref().and_then(|s| s.instancetype_ref.as_ref()),
    };
    if let Some(spec) = stored(&matcher, namespace, known)? {
        return Ok(Some(spec));
    }
    let found = match scope(&matcher, "virtualmachineinstancetype", "virtualmachineclusterinstancetype")? {
        Scope::Namespaced => known.get::<VirtualMachineInstancetype>(kinds::INSTANCETYPE, namespace, matcher.name)?.map(|o| o.spec),
        Scope::Cluster => known.get::<VirtualMachineClusterInstancetype>(kinds::CLUSTER_INSTANCETYPE, "", matcher.name)?.map(|o| o.spec),
    };
    found.map(Some).ok_or_else(|| missing(&matcher, "virtualmachineinstancetypes", "virtualmachineclusterinstancetypes"))
}

/// The preference alone.
pub(crate) fn preference(
    vm: &VirtualMachine,
    namespace: &str,
    known: &Known,
) -> Result<Option<api::instancetype::v1beta1::VirtualMachinePreferenceSpec>, Stop> {
    let Some(matcher) = &vm.spec.preference else { return Ok(None) };
    let matcher = Matcher {
        what: "PreferenceMatcher",
        name: matcher.name.as_deref().unwrap_or_default(),
        kind: matcher.kind.as_deref().unwrap_or_default(),
        revision: matcher.revision_name.as_deref().unwrap_or_default(),
        status: vm.status.as_ref().and_then(|s| s.preference_ref.as_ref()),
    };
    if let Some(spec) = stored(&matcher, namespace, known)? {
        return Ok(Some(spec));
    }
    let found = match scope(&matcher, "virtualmachinepreference", "virtualmachineclusterpreference")? {
        Scope::Namespaced => known.get::<VirtualMachinePreference>(kinds::PREFERENCE, namespace, matcher.name)?.map(|o| o.spec),
        Scope::Cluster => known.get::<VirtualMachineClusterPreference>(kinds::CLUSTER_PREFERENCE, "", matcher.name)?.map(|o| o.spec),
    };
    found.map(Some).ok_or_else(|| missing(&matcher, "virtualmachinepreferences", "virtualmachineclusterpreferences"))
}

enum Scope {
    Namespaced,
    Cluster,
}

fn scope(matcher: &Matcher<'_>, namespaced: &str, cluster: &str) -> Result<Scope, Stop> {
    let kind = matcher.kind.to_lowercase();
    let is = |name: &str| kind == name || kind.strip_suffix('s') == Some(name);
    if kind.is_empty() || is(cluster) {
        Ok(Scope::Cluster)
    } else if is(namespaced) {
        Ok(Scope::Namespaced)
    } else {
        Err(Denial::bad_request(format!("got unexpected kind in {}: {}", matcher.what, matcher.kind)).into())
    }
}

fn missing(matcher: &Matcher<'_>, namespaced: &str, cluster: &str) -> Stop {
    let kind = matcher.kind.to_lowercase();
    let plural = if kind.is_empty() || kind.contains("cluster") { cluster } else { namespaced };
    Denial::bad_request(format!("{plural}.instancetype.kubevirt.io {:?} not found", matcher.name)).into()
}

/// The object inside a stored revision.
#[derive(Deserialize)]
struct StoredObject<S> {
    spec: S,
}

/// The revision a matcher names, or else the one its status names if that is still of the same object.
fn stored<S: DeserializeOwned>(matcher: &Matcher<'_>, namespace: &str, known: &Known) -> Result<Option<S>, Stop> {
    let revision = |name: &str| -> Result<ControllerRevision, Stop> {
        let found: Option<ControllerRevision> = known.get(kinds::REVISION, namespace, name)?;
        found.ok_or_else(|| Denial::bad_request(format!("controllerrevisions.apps {name:?} not found")).into())
    };
    let unpack = |revision: ControllerRevision| -> Result<Option<S>, Stop> {
        let data = revision.data.map(|d| d.0).unwrap_or_default();
        let object: StoredObject<S> = serde_json::from_value(data).map_err(|e| Stop::from(Denial::bad_request(e.to_string())))?;
        Ok(Some(object.spec))
    };
    if !matcher.revision.is_empty() {
        return unpack(revision(matcher.revision)?);
    }
    let reference = matcher.status.and_then(|s| s.controller_revision_ref.as_ref()).and_then(|r| r.name.as_deref());
    let Some(name) = reference.filter(|n| !n.is_empty()) else { return Ok(None) };
    let found = revision(name)?;
    let label = found.metadata.labels.as_ref().and_then(|l| l.get(OBJECT_NAME_LABEL)).map(String::as_str);
    if label == Some(matcher.name) { unpack(found) } else { Ok(None) }
}
