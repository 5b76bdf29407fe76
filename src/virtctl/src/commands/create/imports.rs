//! `--volume-import`: what fills a new volume.

use super::Around;
use super::boot::Volumes;
use super::params::Params;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// What each kind of import takes, beside `type`, `name`, `bootorder` and `size`; `!` marks what it needs.
const KINDS: &[(&str, &[&str])] = &[
    ("blank", &[]),
    ("gcs", &["url!", "secretref"]),
    ("http", &["url!", "certconfigmap", "extraheaders", "secretextraheaders", "secretref"]),
    ("imageio", &["url!", "diskid!", "certconfigmap", "secretref"]),
    ("pvc", &["src!"]),
    ("snapshot", &["src!"]),
    ("ds", &["src!"]),
    ("registry", &["url", "imagestream", "pullmethod", "certconfigmap", "secretref"]),
    ("s3", &["url!", "certconfigmap", "secretref"]),
    ("vddk", &["url!", "uuid!", "thumbprint!", "secretref!", "backingfile!", "initimageurl"]),
];

/// Names in the API of parameters.
const MEMBERS: &[(&str, &str)] = &[
    ("url", "url"),
    ("secretref", "secretRef"),
    ("certconfigmap", "certConfigMap"),
    ("diskid", "diskId"),
    ("uuid", "uuid"),
    ("thumbprint", "thumbprint"),
    ("backingfile", "backingFile"),
    ("initimageurl", "initImageURL"),
    ("imagestream", "imageStream"),
    ("pullmethod", "pullMethod"),
];

/// Adds the volume of one `--volume-import` flag.
pub(super) fn add(volumes: &mut Volumes, flag: &'static str, text: &str, around: &Around<'_>) -> Result<()> {
    let kind = text.split(',').find_map(|param| param.strip_prefix("type:")).unwrap_or_default();
    let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    let Some((_, members)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let why = if kind.is_empty() { "type must be specified".to_owned() } else { format!("unknown type {kind:?}") };
        return Err(Error::new(format!("failed to parse \"--{flag}\" flag: {why}, supported values are: {}", known.join(", "))));
    };
    let mut keys: Vec<&str> = members.iter().map(|member| member.trim_end_matches('!')).collect();
    keys.extend(["type", "name", "bootorder", "size"]);
    let params = Params::parse(flag, text, &keys)?;
    for member in *members {
        if let Some(needed) = member.strip_suffix('!') {
            params.require(needed)?;
        }
    }
    let size = params.size()?;
    if size.is_none() && !matches!(kind, "pvc" | "snapshot" | "ds") {
        return Err(params.error("size must be specified"));
    }
    let name = params.get("name").map_or_else(|| around.name("imported-volume"), str::to_owned);
    volumes.add_template(&params, &name, source(kind, &params)?, size.as_deref())
}

/// `source` or `sourceRef` of the DataVolume.
fn source(kind: &str, params: &Params) -> Result<Value> {
    let mut body: Map<String, Value> =
        MEMBERS.iter().filter_map(|(key, member)| params.get(key).map(|value| ((*member).to_owned(), json!(value)))).collect();
    match kind {
        "ds" => {
            let (namespace, name) = params.source()?;
            let mut reference = json!({"kind": "DataSource", "name": name});
            if let Some(namespace) = namespace {
                reference["namespace"] = json!(namespace);
            }
            return Ok(json!({"sourceRef": reference}));
        }
        "pvc" | "snapshot" => {
            let (namespace, name) = params.source()?;
            let namespace = namespace.ok_or_else(|| params.error("namespace of src must be specified"))?;
            body.extend([("namespace".to_owned(), json!(namespace)), ("name".to_owned(), json!(name))]);
        }
        "http" => {
            for (key, member) in [("extraheaders", "extraHeaders"), ("secretextraheaders", "secretExtraHeaders")] {
                let list = params.list(key);
                if !list.is_empty() {
                    body.insert(member.to_owned(), json!(list));
                }
            }
        }
        "registry" => {
            if params.get("url").is_some() == params.get("imagestream").is_some() {
                return Err(params.error("exactly one of url or imagestream must be specified"));
            }
            if params.get("pullmethod").is_some_and(|method| !matches!(method, "pod" | "node")) {
                return Err(params.error("pullmethod must be set to pod or node"));
            }
        }
        _ => {}
    }
    Ok(json!({"source": {kind: body}}))
}
