//! How traffic reaches pods: Ingresses, NetworkPolicies, Endpoints.

use serde_json::{Value, json};

use crate::builtin::{Context, Strategy};
use crate::error::{ApiError, FieldError, printed};
use crate::object;
use crate::registry::names;

const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

fn is_port(number: i64) -> bool {
    (1..=65_535).contains(&number)
}

/// `Ingress`.
#[derive(Debug)]
pub struct Ingress;

impl Strategy for Ingress {
    fn has_generation(&self) -> bool {
        true
    }

    fn has_status(&self) -> bool {
        true
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut Value) -> Result<(), ApiError> {
        object::set(object, &["status"], json!({"loadBalancer": {}}));
        Ok(())
    }

    fn validate(&self, cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if cx.subresource == "status" {
            return wrong;
        }
        let rules = object::list(object, &["spec", "rules"]);
        let default = object::at(object, &["spec", "defaultBackend"]);
        if rules.is_empty() && default.is_none() {
            let class = object::at(object, &["spec", "ingressClassName"]).cloned().unwrap_or(Value::Null);
            let shown = format!("{{\"IngressClassName\":{class},\"DefaultBackend\":null,\"TLS\":null,\"Rules\":null}}");
            wrong.push(FieldError::invalid("spec", printed(shown), "either `defaultBackend` or `rules` must be specified"));
        }
        if let Some(backend) = default {
            check_backend(backend, "spec.defaultBackend", &mut wrong);
        }
        for (index, rule) in rules.iter().enumerate() {
            check_rule(rule, &format!("spec.rules[{index}]"), &mut wrong);
        }
        let class = object::text(object, &["spec", "ingressClassName"]);
        if !class.is_empty() {
            let texts = names::subdomain(class);
            wrong.extend(texts.into_iter().map(|text| FieldError::invalid("spec.ingressClassName", class, text)));
        }
        wrong
    }
}

fn check_rule(rule: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    let host = object::text(rule, &["host"]);
    if !host.is_empty() {
        if host.parse::<std::net::IpAddr>().is_ok() {
            wrong.push(FieldError::invalid(format!("{at}.host"), host, "must be a DNS name, not an IP address"));
        }
        if host.contains('*') {
            let rest = host.strip_prefix("*.").filter(|rest| names::subdomain(rest).is_empty());
            if rest.is_none() {
                wrong.push(FieldError::invalid(format!("{at}.host"), host, WILDCARD));
            }
        } else {
            let texts = names::subdomain(host);
            wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{at}.host"), host, text)));
        }
    }
    let Some(http) = rule.get("http").filter(|http| http.is_object()) else { return };
    let paths = object::list(http, &["paths"]);
    if paths.is_empty() {
        wrong.push(FieldError::required(format!("{at}.http.paths"), ""));
    }
    for (index, path) in paths.iter().enumerate() {
        let at = format!("{at}.http.paths[{index}]");
        let text = object::text(path, &["path"]);
        let known = ["Exact", "ImplementationSpecific", "Prefix"];
        match object::text(path, &["pathType"]) {
            "" => wrong.push(FieldError::required(format!("{at}.pathType"), "pathType must be specified")),
            "Exact" | "Prefix" => {
                if !text.starts_with('/') {
                    wrong.push(FieldError::invalid(format!("{at}.path"), text, "must be an absolute path"));
                }
                for part in ["//", "/./", "/../", "%2f", "%2F"] {
                    if text.contains(part) {
                        wrong.push(FieldError::invalid(format!("{at}.path"), text, format!("must not contain '{part}'")));
                    }
                }
            }
            "ImplementationSpecific" => {
                if !text.is_empty() && !text.starts_with('/') {
                    wrong.push(FieldError::invalid(format!("{at}.path"), text, "must be an absolute path"));
                }
            }
            other => wrong.push(FieldError::not_supported(format!("{at}.pathType"), other, &known)),
        }
        check_backend(path.get("backend").unwrap_or(&Value::Null), &format!("{at}.backend"), wrong);
    }
}

const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower \
                        case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used \
                        for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn check_backend(backend: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    let has = |field: &str| backend.get(field).is_some_and(Value::is_object);
    match (has("service"), has("resource")) {
        (true, true) => wrong.push(FieldError::invalid(at, "", "cannot set both resource and service backends")),
        (false, false) => wrong.push(FieldError::required(at, "must specify a service or resource backend")),
        (false, true) => {}
        (true, false) => {
            let name = object::text(backend, &["service", "name"]);
            if name.is_empty() {
                wrong.push(FieldError::required(format!("{at}.service.name"), ""));
            } else {
                let texts = names::label_1035(name);
                wrong.extend(texts.into_iter().map(|text| FieldError::invalid(format!("{at}.service.name"), name, text)));
            }
            let port_name = object::text(backend, &["service", "port", "name"]);
            let number = object::number(backend, &["service", "port", "number"]).unwrap_or(0);
            match (port_name.is_empty(), number) {
                (false, 1..) => wrong.push(FieldError::invalid(at, "", "cannot set both port name & port number")),
                (true, 0) => wrong.push(FieldError::required(at, "port name or number is required")),
                (true, number) if !is_port(number) => {
                    wrong.push(FieldError::invalid(format!("{at}.service.port.number"), number, PORT_RANGE));
                }
                _ => {}
            }
        }
    }
}

/// `NetworkPolicy`.
#[derive(Debug)]
pub struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn has_generation(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        object::set_default(object, &["spec", "podSelector"], json!({}));
        let egress = !object::list(object, &["spec", "egress"]).is_empty();
        let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        object::set_default(object, &["spec", "policyTypes"], types);
        for direction in ["ingress", "egress"] {
            for rule in object::list_mut(object, &["spec", direction]) {
                for port in object::list_mut(rule, &["ports"]) {
                    object::set_default(port, &["protocol"], "TCP");
                }
            }
        }
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            for (index, rule) in object::list(object, &["spec", direction]).iter().enumerate() {
                let at = format!("spec.{direction}[{index}]");
                for (index, port) in object::list(rule, &["ports"]).iter().enumerate() {
                    check_policy_port(port, &format!("{at}.ports[{index}]"), &mut wrong);
                }
                for (index, peer) in object::list(rule, &[peers]).iter().enumerate() {
                    check_peer(peer, &format!("{at}.{peers}[{index}]"), &mut wrong);
                }
            }
        }
        let types = object::strings(object, &["spec", "policyTypes"]);
        if types.len() > 2 {
            wrong.push(FieldError::invalid("spec.policyTypes", json!(types), "may not specify more than two policyTypes"));
            return wrong;
        }
        for (index, kind) in types.iter().enumerate() {
            if !matches!(*kind, "Egress" | "Ingress") {
                wrong.push(FieldError::not_supported(format!("spec.policyTypes[{index}]"), *kind, &["Egress", "Ingress"]));
            }
        }
        wrong
    }
}

fn check_policy_port(port: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    let protocol = object::text(port, &["protocol"]);
    if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
        wrong.push(FieldError::not_supported(format!("{at}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
    }
    let end = object::number(port, &["endPort"]);
    match port.get("port") {
        Some(Value::Number(number)) => {
            let number = number.as_i64().unwrap_or(0);
            if !is_port(number) {
                wrong.push(FieldError::invalid(format!("{at}.port"), number, PORT_RANGE));
            }
            if let Some(end) = end {
                if end < number {
                    wrong.push(FieldError::invalid(format!("{at}.endPort"), number, "must be greater than or equal to `port`"));
                }
                if !is_port(end) {
                    wrong.push(FieldError::invalid(format!("{at}.endPort"), end, PORT_RANGE));
                }
            }
        }
        Some(Value::String(_)) if end.is_some() => {
            let detail = "may not be specified when `port` is non-numeric";
            wrong.push(FieldError::invalid(format!("{at}.endPort"), end.unwrap_or(0), detail));
        }
        None | Some(Value::Null) if end.is_some() => {
            wrong.push(FieldError::invalid(format!("{at}.endPort"), end.unwrap_or(0), "may not be specified when `port` is not specified"));
        }
        _ => {}
    }
}

fn check_peer(peer: &Value, at: &str, wrong: &mut Vec<FieldError>) {
    let has = |field: &str| peer.get(field).is_some_and(Value::is_object);
    let selectors = has("podSelector") || has("namespaceSelector");
    if has("ipBlock") {
        let cidr = object::text(peer, &["ipBlock", "cidr"]);
        let valid = cidr.split_once('/').is_some_and(|(address, bits)| {
            let most = address.parse::<std::net::IpAddr>().map(|address| if address.is_ipv4() { 32 } else { 128 });
            most.is_ok_and(|most| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
        });
        if cidr.is_empty() {
            wrong.push(FieldError::required(format!("{at}.ipBlock.cidr"), ""));
        } else if !valid {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            wrong.push(FieldError::invalid(format!("{at}.ipBlock.cidr"), cidr, detail));
        }
    }
    if !selectors && !has("ipBlock") {
        wrong.push(FieldError::required(at, "must specify a peer"));
    } else if selectors && has("ipBlock") {
        wrong.push(FieldError::forbidden(at, "may not specify both ipBlock and another peer"));
    }
}

/// `Endpoints`.
#[derive(Debug)]
pub struct Endpoints;

impl Strategy for Endpoints {
    fn create_on_update(&self) -> bool {
        true
    }

    fn default(&self, object: &mut Value, _version: &str) {
        for subset in object::list_mut(object, &["subsets"]) {
            for port in object::list_mut(subset, &["ports"]) {
                object::set_default(port, &["protocol"], "TCP");
            }
        }
    }

    fn validate(&self, _cx: &Context<'_>, object: &Value) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        for (index, subset) in object::list(object, &["subsets"]).iter().enumerate() {
            let at = format!("subsets[{index}]");
            let lists = ["addresses", "notReadyAddresses"];
            if lists.iter().all(|list| object::list(subset, &[list]).is_empty()) {
                wrong.push(FieldError::required(at.as_str(), "must specify `addresses` or `notReadyAddresses`"));
            }
            for list in lists {
                for (index, address) in object::list(subset, &[list]).iter().enumerate() {
                    let ip = object::text(address, &["ip"]);
                    if ip.parse::<std::net::IpAddr>().is_err() {
                        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                        wrong.push(FieldError::invalid(format!("{at}.{list}[{index}].ip"), ip, detail));
                    }
                }
            }
            let ports = object::list(subset, &["ports"]);
            for (index, port) in ports.iter().enumerate() {
                let at = format!("{at}.ports[{index}]");
                if ports.len() > 1 && object::text(port, &["name"]).is_empty() {
                    wrong.push(FieldError::required(format!("{at}.name"), ""));
                }
                let number = object::number(port, &["port"]).unwrap_or(0);
                if !is_port(number) {
                    wrong.push(FieldError::invalid(format!("{at}.port"), number, PORT_RANGE));
                }
                let protocol = object::text(port, &["protocol"]);
                if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
                    wrong.push(FieldError::not_supported(format!("{at}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
                }
            }
        }
        wrong
    }

    fn warnings(&self, _cx: &Context<'_>, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()]
    }
}
