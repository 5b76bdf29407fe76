//! Cloud-init and access credentials of a new virtual machine.

use super::Around;
use super::params::Params;
use crate::commands::exclusive;
use crate::error::{Error, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};

/// The name of the volume.
pub(super) const DISK: &str = "cloudinitdisk";

/// What the first start of a guest sets up.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "First start")]
#[allow(clippy::struct_field_names, reason = "flags are named as upstream's")]
pub(super) struct CloudInit {
    /// User of the guest
    #[arg(long)]
    user: Option<String>,
    /// File with the user's password
    #[arg(long, value_name = "PATH")]
    password_file: Option<String>,
    /// SSH public key of the user; may be repeated
    #[arg(long = "ssh-key", value_delimiter = ',', value_name = "KEY")]
    ssh_keys: Vec<String>,
    /// Let the guest agent manage SSH keys
    #[arg(long)]
    ga_manage_ssh: bool,
    /// Kind of the source: nocloud, configdrive or none
    #[arg(long)]
    cloud_init: Option<String>,
    /// User data, base64
    #[arg(long, value_name = "BASE64")]
    cloud_init_user_data: Option<String>,
    /// Network data, base64
    #[arg(long, value_name = "BASE64")]
    cloud_init_network_data: Option<String>,
    /// Credentials as type:ssh|password,src:SECRET,method:ga|nocloud|configdrive,user:USER; may be repeated
    #[arg(long = "access-cred", value_name = "PARAMS")]
    access_credentials: Vec<String>,
}

fn checked_base64<'a>(flag: &str, text: Option<&'a str>) -> Result<Option<&'a str>> {
    match text {
        Some(text) if base64::engine::general_purpose::STANDARD.decode(text).is_err() => {
            bail!("failed to parse \"--{flag}\" flag: illegal base64 data")
        }
        other => Ok(other),
    }
}

impl CloudInit {
    /// Access credentials, and whether they need the agent to manage keys.
    pub(super) fn credentials(&self) -> Result<(Vec<Value>, bool)> {
        let (mut all, mut managed) = (Vec::new(), self.ga_manage_ssh);
        for text in &self.access_credentials {
            let params = Params::parse("access-cred", text, &["type", "src", "method", "user"])?;
            let secret = params.require("src")?;
            let kind = match params.get("type") {
                None | Some("ssh") => "sshPublicKey",
                Some("password") => "userPassword",
                Some(other) => {
                    return Err(params.error(format!("invalid access credential type {other:?}, supported values are: ssh, password")));
                }
            };
            let method = params.get("method").unwrap_or("ga");
            let propagation = match (kind, method) {
                ("userPassword", "ga") => json!({"qemuGuestAgent": {}}),
                ("userPassword", _) => {
                    return Err(params.error(format!("invalid access credentials password method {method:?}, supported values are: ga")));
                }
                (_, "ga") => {
                    let user = params.get("user").or(self.user.as_deref());
                    let user = user.ok_or_else(|| {
                        params.error("user must be specified with access credential ssh method ga (\"--user\" flag or param \"user\")")
                    })?;
                    managed = true;
                    json!({"qemuGuestAgent": {"users": [user]}})
                }
                (_, "nocloud") => json!({"noCloud": {}}),
                (_, "configdrive") => json!({"configDrive": {}}),
                (_, other) => {
                    return Err(params.error(format!(
                        "invalid access credentials ssh method {other:?}, supported values are: ga, nocloud, configdrive"
                    )));
                }
            };
            all.push(json!({kind: {"source": {"secret": {"secretName": secret}}, "propagationMethod": propagation}}));
        }
        Ok((all, managed))
    }

    /// The volume, if one is asked for.
    pub(super) fn volume(&self, managed: bool, around: &Around<'_>) -> Result<Option<(&'static str, Value)>> {
        let given = [
            ("user", self.user.is_some()),
            ("password-file", self.password_file.is_some()),
            ("ssh-key", !self.ssh_keys.is_empty()),
            ("ga-manage-ssh", self.ga_manage_ssh),
        ];
        for flag in given {
            exclusive(&[("cloud-init-user-data", self.cloud_init_user_data.is_some()), flag])?;
        }
        let any =
            given.iter().any(|(_, set)| *set) || self.cloud_init_user_data.is_some() || self.cloud_init_network_data.is_some() || managed;
        let kind = match self.cloud_init.as_deref().map(str::to_lowercase).as_deref() {
            None | Some("nocloud") => "cloudInitNoCloud",
            Some("configdrive") => "cloudInitConfigDrive",
            Some("none") => {
                let beside_user = given.iter().any(|(flag, set)| *set && *flag != "user");
                if beside_user || self.cloud_init_user_data.is_some() || self.cloud_init_network_data.is_some() {
                    around.deps.err.line(
                        "WARNING: --cloud-init: was set to none, not creating a data source although other cloud-init options were set",
                    );
                }
                return Ok(None);
            }
            Some(other) => bail!(
                "failed to parse \"--cloud-init\" flag: invalid cloud-init data source type {other:?}, supported values are: nocloud, configdrive, none"
            ),
        };
        if !any && self.cloud_init.is_none() {
            return Ok(None);
        }
        let mut source = json!({});
        if let Some(data) = checked_base64("cloud-init-user-data", self.cloud_init_user_data.as_deref())? {
            source["userDataBase64"] = json!(data);
        } else {
            let text = self.user_data(managed, around)?;
            // A header alone says nothing, unless the volume itself was asked for.
            if text.lines().count() > 1 || self.cloud_init.is_some() {
                source["userData"] = json!(text);
            }
        }
        if let Some(data) = checked_base64("cloud-init-network-data", self.cloud_init_network_data.as_deref())? {
            source["networkDataBase64"] = json!(data);
        }
        Ok(Some((kind, source)))
    }

    fn user_data(&self, managed: bool, around: &Around<'_>) -> Result<String> {
        let mut lines = vec!["#cloud-config".to_owned()];
        if let Some(user) = &self.user {
            lines.push(format!("user: {user}"));
        }
        if let Some(path) = &self.password_file {
            around.deps.err.line("WARNING: --password-file: The password is stored in cleartext in the VM definition!");
            let password =
                around.deps.host.read(path).map_err(|error| Error::new(format!("failed to parse \"--password-file\" flag: {error}")))?;
            lines.push(format!("password: {}", String::from_utf8_lossy(&password).trim_end_matches(['\r', '\n'])));
            lines.push("chpasswd: { expire: False }".to_owned());
        }
        if !self.ssh_keys.is_empty() {
            lines.push("ssh_authorized_keys:".to_owned());
            lines.extend(self.ssh_keys.iter().map(|key| format!("  - {key}")));
        }
        if managed {
            lines.push("runcmd:".to_owned());
            lines.push("  - [ setsebool, -P, 'virt_qemu_ga_manage_ssh', 'on' ]".to_owned());
        }
        Ok(lines.join("\n"))
    }
}
