//! What is served of the agent's answers, in the API's words (node.md §8.3).

use serde_json::{Value, json};

use crate::agent::AgentStore;

/// Users and file systems that the summary carries.
const SUMMARY: usize = 10;

impl AgentStore {
    /// VirtualMachineInstanceGuestAgentInfo.
    pub(crate) fn guest_info(&self) -> String {
        let Some(info) = &self.info else {
            return json!({"guestAgentVersion": self.version, "supportedCommands": self.commands_json()}).to_string();
        };
        let os = &info.os;
        let mut served = json!({
            "guestAgentVersion": self.version,
            "supportedCommands": self.commands_json(),
            "hostname": info.hostname,
            "os": {
                "name": os.name, "kernelRelease": os.kernel_release, "version": os.version,
                "prettyName": os.pretty_name, "versionId": os.version_id, "kernelVersion": os.kernel_version,
                "machine": os.machine, "id": os.id,
            },
            "timezone": format!("{}, {}", info.timezone.name, info.timezone.offset_seconds),
            "userList": self.user_items(SUMMARY),
            "fsInfo": {"disks": self.filesystem_items(SUMMARY)},
        });
        if let Some(status) = &self.frozen {
            served["fsFreezeStatus"] = json!(status);
        }
        if let Some(load) = &info.load {
            served["load"] = json!({"load1m": load.one, "load5m": load.five, "load15m": load.fifteen});
        }
        served.to_string()
    }

    /// All users, as a list.
    pub(crate) fn users(&self) -> String {
        Value::Array(self.user_items(usize::MAX)).to_string()
    }

    /// All file systems, as a list.
    pub(crate) fn filesystems(&self) -> String {
        Value::Array(self.filesystem_items(usize::MAX)).to_string()
    }

    fn commands_json(&self) -> Vec<Value> {
        self.commands.iter().map(|(name, enabled)| json!({"name": name, "enabled": enabled})).collect()
    }

    fn user_items(&self, limit: usize) -> Vec<Value> {
        let users = self.info.as_ref().map(|info| info.users.as_slice()).unwrap_or_default();
        let item = |user: &hypervisor::GuestUser| {
            let mut item = json!({"userName": user.name, "loginTime": user.login_time});
            if !user.domain.is_empty() {
                item["domain"] = json!(user.domain);
            }
            item
        };
        users.iter().take(limit).map(item).collect()
    }

    fn filesystem_items(&self, limit: usize) -> Vec<Value> {
        let filesystems = self.info.as_ref().map(|info| info.filesystems.as_slice()).unwrap_or_default();
        let item = |fs: &hypervisor::GuestFilesystem| {
            json!({
                "diskName": fs.name, "mountPoint": fs.mountpoint, "fileSystemType": fs.kind,
                "usedBytes": fs.used_bytes, "totalBytes": fs.total_bytes,
            })
        };
        filesystems.iter().take(limit).map(item).collect()
    }
}
