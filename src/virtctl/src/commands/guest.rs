//! What the guest agent knows (spec/virtctl.md §4).

use super::exact;
use crate::error::Result;
use crate::{ConnectionArgs, Deps, Machine};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `guestosinfo`.
#[derive(Debug, clap::Args)]
pub struct GuestOsInfo {
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
}

/// `userlist`.
#[derive(Debug, clap::Args)]
pub struct UserList {
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
}

/// `fslist`.
#[derive(Debug, clap::Args)]
pub struct FsList {
    /// Name of the virtual machine instance
    #[arg(value_name = "VMI")]
    names: Vec<String>,
}

async fn show(names: &[String], verb: &str, what: &str, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
    let [name] = exact(names)?;
    let session = deps.connect.connect(flags).await?;
    let path = session.subresource(Machine::Vmi, name, verb);
    let answer = session.send(http::Method::GET, &path, "", Vec::new()).await;
    let answer = answer.map_err(|error| error.after(format!("Error {what} of VirtualMachineInstance {name}, ")))?;
    deps.out.line(indented(&answer)?);
    Ok(())
}

/// JSON whose members keep their order.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Ordered {
    List(Vec<Ordered>),
    Members(IndexMap<String, Ordered>),
    Plain(Value),
}

/// The JSON with two spaces a level, its members in the order they came.
pub(crate) fn indented(json: &[u8]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&serde_json::from_slice::<Ordered>(json)?)?)
}

impl GuestOsInfo {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        show(&self.names, "guestosinfo", "getting guestosinfo", flags, deps).await
    }
}

impl UserList {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        show(&self.names, "userlist", "listing users", flags, deps).await
    }
}

impl FsList {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        show(&self.names, "filesystemlist", "listing filesystems", flags, deps).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order() {
        assert_eq!(
            indented(br#"{"b":1,"a":[{"d":"x","c":null}]}"#).unwrap(),
            "{\n  \"b\": 1,\n  \"a\": [\n    {\n      \"d\": \"x\",\n      \"c\": null\n    }\n  ]\n}"
        );
    }
}
