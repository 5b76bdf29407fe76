//! Utility volumes, access credentials, DNS (spec/admission.md §5.8).

use std::net::IpAddr;

use api::v1::AccessCredential;

use super::spec::SpecContext;
use crate::{Causes, text};

/// U1.
pub(super) fn utility_volumes(cx: &SpecContext<'_>, causes: &mut Causes) {
    if !cx.spec.utility_volumes.is_empty() {
        let message = "cannot create VMI with utility volumes in spec, utility volumes can only be added via hotplug";
        causes.invalid(cx.at("utilityVolumes"), message);
    }
}

/// C1-C8, DN1-DN9.
pub(super) fn validate(cx: &SpecContext<'_>, causes: &mut Causes) {
    for (i, credential) in cx.spec.access_credentials.iter().enumerate() {
        validate_credential(cx, &cx.at(&format!("accessCredentials[{i}]")), credential, causes);
    }
    dns(cx, causes);
}

fn validate_credential(cx: &SpecContext<'_>, field: &str, credential: &AccessCredential, causes: &mut Causes) {
    if let Some(ssh) = &credential.ssh_public_key {
        let at = format!("{field}.sshPublicKey");
        let method_at = format!("{at}.propagationMethod");
        let method = &ssh.propagation_method;
        if method.no_cloud.is_some() && !cx.spec.volumes.iter().any(|v| v.cloud_init_no_cloud.is_some()) {
            let message = format!("{field} requires a noCloud volume to exist when the noCloud propagationMethod is in use.");
            causes.invalid(&method_at, message);
        }
        if method.config_drive.is_some() && !cx.spec.volumes.iter().any(|v| v.cloud_init_config_drive.is_some()) {
            let message = format!("{field} requires a configDrive volume to exist when the configDrive propagationMethod is in use.");
            causes.invalid(&method_at, message);
        }
        if method.qemu_guest_agent.as_ref().is_some_and(|a| a.users.is_empty()) {
            let users = format!("{method_at}.qemuGuestAgent.users");
            let message = format!("{field} requires at least one user to be present in the users list");
            causes.invalid(users, message);
        }
        if ssh.source.secret.is_none() {
            causes.invalid(format!("{at}.source"), format!("{field} must have exactly one source set"));
        }
        let methods = [method.no_cloud.is_some(), method.config_drive.is_some(), method.qemu_guest_agent.is_some()];
        if methods.iter().filter(|m| **m).count() != 1 {
            causes.invalid(method_at, format!("{field} must have exactly one propagationMethod set"));
        }
    }
    if let Some(password) = &credential.user_password {
        let at = format!("{field}.userPassword");
        if password.source.secret.is_none() {
            causes.invalid(format!("{at}.source"), format!("{field} must have exactly one source set"));
        }
        if password.propagation_method.qemu_guest_agent.is_none() {
            causes.invalid(format!("{at}.propagationMethod"), format!("{field} must have exactly one propagationMethod set"));
        }
    }
    if credential.ssh_public_key.is_some() == credential.user_password.is_some() {
        causes.invalid(field, format!("{field} must have exactly one access credential type set"));
    }
}

/// DN1-DN9.
fn dns(cx: &SpecContext<'_>, causes: &mut Causes) {
    let policy = cx.spec.dns_policy.as_deref().unwrap_or_default();
    if !["", "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"].contains(&policy) {
        let message = format!("DNSPolicy: {policy} is not supported, valid values: [ClusterFirstWithHostNet ClusterFirst Default None ]");
        causes.not_supported(cx.at("dnsPolicy"), message);
    }
    let Some(config) = &cx.spec.dns_config else {
        if policy == "None" {
            causes.required(cx.at("dnsConfig"), "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    if policy == "None" && servers.is_empty() {
        causes.required("nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None");
        return;
    }
    if servers.len() > 3 {
        causes.invalid("nameservers", format!("must not have more than 3 nameservers: [{}]", servers.join(" ")));
    }
    for server in servers {
        if server.parse::<IpAddr>().is_err() {
            causes.invalid("nameservers", format!("must be valid IP address: {server}"));
        }
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    if searches.len() > 6 {
        causes.invalid("searchDomains", "must not have more than 6 search paths");
    }
    if searches.join(" ").len() > 256 {
        causes.invalid("searchDomains", "must not have more than 256 characters (including spaces) in the search list");
    }
    for search in searches {
        for error in text::dns_subdomain(search) {
            causes.invalid("searchDomains", error);
        }
    }
    for option in config.options.iter().flatten() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            causes.invalid("options", "Option.Name must not be empty");
        }
    }
}
