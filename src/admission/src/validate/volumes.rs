//! Volumes and container disks (spec/admission.md §5.8).

use std::collections::BTreeMap;

use api::quantity;
use api::v1::Volume;
use k8s_openapi::api::core::v1::LocalObjectReference;

use super::spec::SpecContext;
use crate::{CauseKind, Causes, text};

/// The largest inline cloud-init payload, in bytes.
const CLOUD_INIT_LIMIT: usize = 2048;

/// V1-V21.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    let base = cx.at("volumes");
    let list = &cx.spec.volumes;
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, volume) in list.iter().enumerate() {
        let field = format!("{base}[{i}]");
        let j = *first.entry(volume.name.as_str()).or_insert(i);
        if j != i {
            causes.invalid(format!("{field}.name"), format!("{field} and {base}[{j}] must not have the same Name."));
        }
        if volume.data_volume.as_ref().is_some_and(|d| d.name.is_empty()) {
            causes.required(format!("{field}.name"), "DataVolume 'name' must be set");
        }
        if sources(volume) != 1 {
            causes.invalid(&field, format!("{field} must have exactly one source type set"));
        }
        cloud_init(&field, volume, causes);
        if volume.downward_metrics.is_some() && !cx.config.gate("DownwardMetrics") {
            causes.invalid(&field, "downwardMetrics disks are not allowed: DownwardMetrics feature gate is not enabled.");
        }
        host_disk(cx, &field, volume, causes);
        for (at, name) in [
            ("configMap.name", volume.config_map.as_ref().map(|v| &v.name)),
            ("secret.secretName", volume.secret.as_ref().map(|v| &v.secret_name)),
            ("serviceAccount.serviceAccountName", volume.service_account.as_ref().map(|v| &v.service_account_name)),
        ] {
            if name.is_some_and(|n| n.as_deref().unwrap_or_default().is_empty()) {
                let at = format!("{field}.{at}");
                let message = format!("{at} is a required field");
                causes.invalid(at, message);
            }
        }
    }
    for (what, count) in [
        ("serviceAccount volume", list.iter().filter(|v| v.service_account.is_some()).count()),
        ("downwardMetric volume", list.iter().filter(|v| v.downward_metrics.is_some()).count()),
        ("memory dump volume", list.iter().filter(|v| v.memory_dump.is_some()).count()),
    ] {
        if count > 1 {
            causes.invalid(&base, format!("{base} must have max one {what} set"));
        }
    }
}

/// How many sources a volume has.
fn sources(v: &Volume) -> usize {
    [
        v.persistent_volume_claim.is_some(),
        v.sysprep.is_some(),
        v.cloud_init_no_cloud.is_some(),
        v.cloud_init_config_drive.is_some(),
        v.container_disk.is_some(),
        v.ephemeral.is_some(),
        v.empty_disk.is_some(),
        v.host_disk.is_some(),
        v.data_volume.is_some(),
        v.config_map.is_some(),
        v.secret.is_some(),
        v.downward_api.is_some(),
        v.service_account.is_some(),
        v.downward_metrics.is_some(),
        v.memory_dump.is_some(),
        v.container_path.is_some(),
    ]
    .into_iter()
    .filter(|set| *set)
    .count()
}

/// One kind of cloud-init data: where it may come from.
struct Payload<'a> {
    secret: Option<&'a LocalObjectReference>,
    base64: &'a str,
    plain: &'a str,
}

impl Payload<'_> {
    fn count(&self) -> usize {
        let secret = self.secret.is_some_and(|s| !s.name.is_empty());
        [secret, !self.base64.is_empty(), !self.plain.is_empty()].into_iter().filter(|s| *s).count()
    }
}

/// V4-V10.
fn cloud_init(field: &str, volume: &Volume, causes: &mut Causes) {
    let text = |v: &'_ Option<String>| v.clone().unwrap_or_default();
    let (name, secret, user, network_secret, network) = if let Some(c) = &volume.cloud_init_no_cloud {
        (
            "cloudInitNoCloud",
            &c.secret_ref,
            [text(&c.user_data_base64), text(&c.user_data)],
            &c.network_data_secret_ref,
            [text(&c.network_data_base64), text(&c.network_data)],
        )
    } else if let Some(c) = &volume.cloud_init_config_drive {
        (
            "cloudInitConfigDrive",
            &c.secret_ref,
            [text(&c.user_data_base64), text(&c.user_data)],
            &c.network_data_secret_ref,
            [text(&c.network_data_base64), text(&c.network_data)],
        )
    } else {
        return;
    };
    let [user64, user_plain] = &user;
    let [network64, network_plain] = &network;
    let user = Payload { secret: secret.as_ref(), base64: user64, plain: user_plain };
    let network = Payload { secret: network_secret.as_ref(), base64: network64, plain: network_plain };
    let at = format!("{field}.{name}");
    payload(name, &at, "userDataBase64", "userdata", "userdatasource", "UserDataSecretRef", &user, causes);
    payload(name, &at, "networkDataBase64", "networkdata", "networkdata source", "NetworkDataSecretRef", &network, causes);
    if user.count() == 0 && network.count() == 0 {
        causes.invalid(&at, format!("{at} must have at least one userdatasource or one networkdatasource set."));
    }
}

#[allow(clippy::too_many_arguments, reason = "the words of one sentence")]
fn payload(kind: &str, at: &str, key: &str, what: &str, source: &str, secret: &str, data: &Payload<'_>, causes: &mut Causes) {
    let mut length = 0;
    if !data.base64.is_empty() {
        let (decoded, valid) = decoded_length(data.base64);
        length = decoded;
        if !valid {
            let field = format!("{at}.{key}");
            // The doubled path is upstream's.
            let message = format!("{field}.{kind}.{key} is not a valid base64 value.");
            causes.invalid(field, message);
        }
    }
    if !data.plain.is_empty() {
        length = data.plain.len();
    }
    if data.count() > 1 {
        causes.invalid(at, format!("{at} must have only one {source} set."));
    }
    if length > CLOUD_INIT_LIMIT {
        let message = format!("{at} {what} exceeds {CLOUD_INIT_LIMIT} byte limit. Should use {secret} for larger data.");
        causes.invalid(at, message);
    }
}

/// How many bytes standard base64 text has, up to what is wrong with it, and whether nothing is. Line breaks are ignored, as Go
/// ignores them.
fn decoded_length(text: &str) -> (usize, bool) {
    let symbols: Vec<u8> = text.bytes().filter(|b| *b != b'\n' && *b != b'\r').collect();
    let is_symbol = |b: &u8| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/';
    let good = symbols.iter().take_while(|b| is_symbol(b)).count();
    let rest = symbols.get(good..).unwrap_or_default();
    let (whole, open) = (good / 4 * 3, good % 4);
    match (open, rest) {
        (0, []) => (whole, true),
        (2, [b'=', b'=']) => (whole + 1, true),
        (3, [b'=']) => (whole + 2, true),
        _ => (whole, false),
    }
}

/// V12-V15.
fn host_disk(cx: &SpecContext<'_>, field: &str, volume: &Volume, causes: &mut Causes) {
    let Some(disk) = &volume.host_disk else { return };
    if !cx.config.gate("HostDisk") {
        causes.invalid(field, "HostDisk feature gate is not enabled");
    }
    if disk.path.is_empty() {
        let at = format!("{field}.hostDisk.path");
        let message = format!("{at} is required for hostDisk volume");
        causes.add(CauseKind::NotFound, at, message);
    }
    let kind_at = format!("{field}.hostDisk.type");
    if !["Disk", "DiskOrCreate"].contains(&disk.r#type.as_str()) {
        let message = format!("{kind_at} has invalid value '{}', allowed are 'Disk' or 'DiskOrCreate'", disk.r#type);
        causes.invalid(&kind_at, message);
    }
    let capacity = disk.capacity.as_ref().map(quantity::amount).unwrap_or_default();
    if disk.r#type == "Disk" && !capacity.is_zero() {
        let at = format!("{field}.hostDisk.capacity");
        let message = format!("{at} is allowed to pass only with {kind_at} equal to 'DiskOrCreate'");
        causes.invalid(at, message);
    }
}

/// CD1, CD2.
pub(super) fn container_disks(cx: &SpecContext<'_>, causes: &mut Causes) {
    for (i, volume) in cx.spec.volumes.iter().enumerate() {
        let path = volume.container_disk.as_ref().and_then(|c| c.path.as_deref()).filter(|p| !p.is_empty());
        if let Some(Err(why)) = path.map(text::absolute_file) {
            let field = cx.at(&format!("volumes[{i}].containerDisk"));
            let message = format!("{field} {why}");
            causes.invalid(field, message);
        }
    }
}
