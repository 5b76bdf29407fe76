//! Services and what belongs to them.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError};
use crate::object;
use crate::registry::names::{self, NameRule};
use crate::resource::Gvk;

/// `Service`.
#[derive(Debug)]
pub struct Service;

fn is_type(service: &Value, kinds: &[&str]) -> bool {
    kinds.contains(&object::text(service, &["spec", "type"]))
}

const EXTERNAL: &[&str] = &["NodePort", "LoadBalancer"];

impl Strategy for Service {
    fn name_rule(&self) -> NameRule {
        // Since 1.35 names of Services may start with a digit.
        NameRule::Label
    }

    fn has_status(&self) -> bool {
        true
    }

    fn create_on_update(&self) -> bool {
        true
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["spec.clusterIP", "spec.type"]
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "sessionAffinity"], "None");
        if object::text(object, &["spec", "sessionAffinity"]) == "ClientIP" {
            object::set_default(object, &["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10_800);
        }
        object::set_default(object, &["spec", "type"], "ClusterIP");
        for port in object::list_mut(object, &["spec", "ports"]) {
            object::set_default(port, &["protocol"], "TCP");
            let number = port.get("port").cloned().unwrap_or(Value::Null);
            let unset = matches!(port.get("targetPort"), None | Some(Value::Null))
                || port["targetPort"] == json!("")
                || port["targetPort"] == json!(0);
            if unset {
                object::set(port, &["targetPort"], number);
            }
        }
        if is_type(object, EXTERNAL) {
            object::set_default(object, &["spec", "externalTrafficPolicy"], "Cluster");
        }
        if !is_type(object, &["ExternalName"]) {
            object::set_default(object, &["spec", "internalTrafficPolicy"], "Cluster");
        }
        if is_type(object, &["LoadBalancer"]) {
            object::set_default(object, &["spec", "allocateLoadBalancerNodePorts"], true);
        }
        object::set_default(object, &["status", "loadBalancer"], json!({}));
    }

    fn prepare_create(&self, cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({"loadBalancer": {}}));
        if self.validate(cx, object).is_empty() {
            allocate(cx, object)?;
        }
        Ok(())
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        if cx.subresource == "status" {
            object::copy(object, old, &["spec"]);
            return Ok(());
        }
        keep_allocated(object, old);
        if self.validate_update(cx, object, old).is_empty() {
            allocate(cx, object)?;
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let kind = object::text(object, &["spec", "type"]);
        let headless = object::text(object, &["spec", "clusterIP"]) == "None";
        let ports = object::list(object, &["spec", "ports"]);
        if ports.is_empty() && !headless && kind != "ExternalName" {
            wrong.push(FieldError::required("spec.ports", ""));
        }
        if headless && EXTERNAL.contains(&kind) {
            wrong.push(FieldError::invalid("spec.clusterIPs[0]", "None", format!("may not be set to 'None' for {kind} services")));
        }
        if kind == "ExternalName" {
            let name = object::text(object, &["spec", "externalName"]).trim_end_matches('.');
            if name.is_empty() {
                wrong.push(FieldError::required("spec.externalName", ""));
            } else {
                let texts = names::subdomain(name);
                wrong.extend(texts.into_iter().map(|text| FieldError::invalid("spec.externalName", name, text)));
            }
        }
        check_ports(ports, &mut wrong);
        let selector = object::at(object, &["spec", "selector"]);
        crate::registry::meta::validate_labels(selector, "spec.selector", &mut wrong);
        let affinity = object::text(object, &["spec", "sessionAffinity"]);
        if !matches!(affinity, "ClientIP" | "None") {
            wrong.push(FieldError::not_supported("spec.sessionAffinity", affinity, &["ClientIP", "None"]));
        }
        if !matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName") {
            let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
            wrong.push(FieldError::not_supported("spec.type", kind, &known));
        }
        for (index, address) in object::strings(object, &["spec", "clusterIPs"]).into_iter().enumerate() {
            if address != "None" && address.parse::<IpAddr>().is_err() {
                let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                wrong.push(FieldError::invalid(format!("spec.clusterIPs[{index}]"), address, detail));
            }
        }
        wrong
    }

    fn validate_update(&self, cx: &Context<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if cx.subresource == "status" {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        let external = |service: &Value| is_type(service, &["ExternalName"]);
        let (new, before) = (object::list(object, &["spec", "clusterIPs"]), object::list(old, &["spec", "clusterIPs"]));
        if !external(object) && !external(old) && !before.is_empty() && new.first() != before.first() {
            wrong.push(FieldError::invalid("spec.clusterIPs[0]", json!(new), "may not change once set"));
        }
        wrong.extend(self.validate(cx, object));
        wrong
    }
}

fn check_ports(ports: &[Value], wrong: &mut Vec<FieldError>) {
    const RANGE: &str = "must be between 1 and 65535, inclusive";
    let valid = |port: i64| (1..=65_535).contains(&port);
    let mut names_seen: Vec<&str> = Vec::new();
    let mut numbers: Vec<(&str, i64)> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let field = |name: &str| format!("spec.ports[{index}].{name}");
        let name = object::text(port, &["name"]);
        if ports.len() > 1 && name.is_empty() {
            wrong.push(FieldError::required(field("name"), ""));
        } else if !name.is_empty() {
            wrong.extend(names::label(name).into_iter().map(|text| FieldError::invalid(field("name"), name, text)));
            if names_seen.contains(&name) {
                wrong.push(FieldError::duplicate(field("name"), name));
            }
            names_seen.push(name);
        }
        let number = object::number(port, &["port"]).unwrap_or(0);
        if !valid(number) {
            wrong.push(FieldError::invalid(field("port"), number, RANGE));
        }
        let protocol = object::text(port, &["protocol"]);
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            wrong.push(FieldError::not_supported(field("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
        if let Some(target) = port.get("targetPort").and_then(Value::as_i64).filter(|target| !valid(*target)) {
            wrong.push(FieldError::invalid(field("targetPort"), target, RANGE));
        }
        if numbers.contains(&(protocol, number)) {
            let value = json!({"protocol": protocol, "port": number});
            wrong.push(FieldError::duplicate(format!("spec.ports[{index}]"), value));
        }
        numbers.push((protocol, number));
    }
}

/// An update that leaves out what was allocated keeps it.
fn keep_allocated(object: &mut Value, old: &Value) {
    let external = is_type(object, &["ExternalName"]);
    if external {
        object::remove(object, &["spec", "clusterIP"]);
        object::remove(object, &["spec", "clusterIPs"]);
        return;
    }
    for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let unset = match object::at(object, &["spec", key]) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            Some(_) => false,
        };
        if unset {
            object::copy(object, old, &["spec", key]);
        }
    }
    if !is_type(object, EXTERNAL) {
        return;
    }
    let before = object::list(old, &["spec", "ports"]).to_vec();
    for port in object::list_mut(object, &["spec", "ports"]) {
        let same = before.iter().find(|old| ["port", "protocol"].iter().all(|key| old.get(*key) == port.get(*key)));
        if object::number(port, &["nodePort"]).unwrap_or(0) == 0
            && let Some(number) = same.and_then(|old| old.get("nodePort"))
        {
            object::set(port, &["nodePort"], number.clone());
        }
    }
}

/// Gives addresses and node ports to a Service that needs them.
fn allocate(cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
    if is_type(object, &["ExternalName"]) {
        return Ok(());
    }
    let invalid = |object: &Value, error: FieldError| ApiError::invalid(&Gvk::new("", "v1", "Service"), object::name(object), &[error]);
    let (store, entropy) = (&cx.core.store, &cx.core.env.entropy);
    let wanted = match object::text(object, &["spec", "clusterIP"]) {
        "" => object::strings(object, &["spec", "clusterIPs"]).first().map(|text| (*text).to_owned()),
        text => Some(text.to_owned()),
    };
    match wanted.as_deref() {
        Some("None") => {
            let selectorless = object::map(object, &["spec", "selector"]).is_none_or(serde_json::Map::is_empty);
            object::set(object, &["spec", "clusterIP"], "None");
            object::set(object, &["spec", "clusterIPs"], json!(["None"]));
            // Without a selector nothing says which families the endpoints will have.
            let families = if selectorless { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) };
            object::set_default(object, &["spec", "ipFamilies"], families);
            object::set_default(object, &["spec", "ipFamilyPolicy"], if selectorless { "RequireDualStack" } else { "SingleStack" });
        }
        Some(address) => {
            let stored = object::uid(object);
            let own = store
                .list(&crate::resource::GroupResource::new("", "services"), None)
                .0
                .iter()
                .any(|s| s.uid == stored && s.fields.get("spec.clusterIP").is_some_and(|ip| ip == address));
            if !own && let Ok(parsed) = address.parse::<Ipv4Addr>() {
                let why = match cx.core.service_addresses.is_free(store, parsed) {
                    Some(true) => None,
                    Some(false) => Some("failed to allocate IP %s: provided IP is already allocated".replace("%s", address)),
                    None => Some(format!(
                        "failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. The range of valid IPs is 10.96.0.0/16"
                    )),
                };
                if let Some(why) = why {
                    return Err(invalid(object, FieldError::invalid("spec.clusterIPs", json!([address]), why)));
                }
            }
            finish_address(object, address);
        }
        None => {
            let Some(address) = cx.core.service_addresses.address(store, entropy.next_u64()) else {
                return Err(ApiError::internal("failed to allocate a serviceIP: range is full"));
            };
            finish_address(object, &address.to_string());
        }
    }
    let wants_ports = is_type(object, &["NodePort"])
        || (is_type(object, &["LoadBalancer"]) && object::flag(object, &["spec", "allocateLoadBalancerNodePorts"]));
    if wants_ports {
        let own = own_ports(cx, object);
        let (kind, name) = (Gvk::new("", "v1", "Service"), object::name(object).to_owned());
        for (index, port) in object::list_mut(object, &["spec", "ports"]).iter_mut().enumerate() {
            let chosen = object::number(port, &["nodePort"]).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            if let Some(number) = chosen.filter(|number| !own.contains(number)) {
                let why = match cx.core.service_addresses.is_port_free(store, number) {
                    Some(true) => None,
                    Some(false) => Some("provided port is already allocated"),
                    None => Some("provided port is not in the valid range. The range of valid ports is 30000-32767"),
                };
                if let Some(why) = why {
                    let wrong = FieldError::invalid(format!("spec.ports[{index}].nodePort"), number, why);
                    return Err(ApiError::invalid(&kind, &name, &[wrong]));
                }
            }
            if chosen.is_none() {
                let Some(number) = cx.core.service_addresses.port(store, entropy.next_u64()) else {
                    return Err(ApiError::internal("failed to allocate a nodePort: range is full"));
                };
                object::set(port, &["nodePort"], number);
            }
        }
    }
    Ok(())
}

/// Node ports that the stored Service has already.
fn own_ports(cx: &Context<'_>, object: &Value) -> Vec<u16> {
    let key = crate::store::Key::new(crate::resource::GroupResource::new("", "services"), cx.namespace, object::name(object));
    let stored = cx.core.store.get(&key).map(|stored| stored.value()).unwrap_or_default();
    let ports = object::list(&stored, &["spec", "ports"]).iter();
    ports.filter_map(|port| object::number(port, &["nodePort"]).and_then(|port| u16::try_from(port).ok())).collect()
}

fn finish_address(object: &mut Value, address: &str) {
    object::set(object, &["spec", "clusterIP"], address);
    object::set_default(object, &["spec", "clusterIPs"], json!([address]));
    object::set_default(object, &["spec", "ipFamilies"], json!(["IPv4"]));
    object::set_default(object, &["spec", "ipFamilyPolicy"], "SingleStack");
}

/// `EndpointSlice`.
#[derive(Debug)]
pub struct EndpointSlice;

impl Strategy for EndpointSlice {
    fn has_generation(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        for port in object::list_mut(object, &["ports"]) {
            object::set_default(port, &["name"], "");
            object::set_default(port, &["protocol"], "TCP");
        }
    }

    fn prepare_update(&self, _cx: &Context<'_>, object: &mut Value, old: &Value) -> Result<(), ApiError> {
        if ["endpoints", "ports"].iter().any(|key| object.get(*key) != old.get(*key)) {
            crate::registry::meta::raise_generation(object, old);
        }
        Ok(())
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let kind = object::text(object, &["addressType"]);
        let known = ["FQDN", "IPv4", "IPv6"];
        if kind.is_empty() {
            wrong.push(FieldError::required("addressType", ""));
        } else if !known.contains(&kind) {
            wrong.push(FieldError::not_supported("addressType", kind, &known));
        }
        for (index, endpoint) in object::list(object, &["endpoints"]).iter().enumerate() {
            if object::list(endpoint, &["addresses"]).is_empty() {
                wrong.push(FieldError::required(format!("endpoints[{index}].addresses"), "must contain at least 1 address"));
            }
        }
        wrong
    }
}
