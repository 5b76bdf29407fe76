//! Credentials that a running guest takes over (spec/virtctl.md §13).

use super::{at, exact, exclusive, owner, required};
use crate::error::{Error, Result, bail};
use crate::{ConnectionArgs, Deps, Machine, Session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// How often a Secret that somebody else changed is tried again.
const ATTEMPTS: u32 = 5;

/// `credentials`.
#[derive(Debug, clap::Args)]
pub struct Credentials {
    #[command(subcommand)]
    command: Change,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Add an SSH key of a user
    AddSshKey(AddSshKey),
    /// Remove an SSH key of a user
    RemoveSshKey(RemoveSshKey),
    /// Set the password of a user
    SetPassword(SetPassword),
}

/// An SSH key.
#[derive(Debug, clap::Args)]
struct Key {
    /// File with the public key
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    /// The public key
    #[arg(long, value_name = "KEY")]
    value: Option<String>,
}

#[derive(Debug, clap::Args)]
struct AddSshKey {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// User of the guest (required)
    #[arg(short, long)]
    user: Option<String>,
    #[command(flatten)]
    key: Key,
    /// Secret to change
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Put the key into a new Secret
    #[arg(long)]
    create_secret: bool,
    /// Put the key into a Secret that the virtual machine has
    #[arg(long)]
    update_secret: bool,
    /// Also while the guest runs, and also a Secret that belongs to somebody else
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct RemoveSshKey {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// User of the guest (required)
    #[arg(short, long)]
    user: Option<String>,
    #[command(flatten)]
    key: Key,
    /// Secret to change; all of the user's, if not given
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Also a Secret that belongs to somebody else
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct SetPassword {
    /// Name of the virtual machine
    #[arg(value_name = "VM")]
    names: Vec<String>,
    /// User of the guest (required)
    #[arg(short, long)]
    user: Option<String>,
    /// The new password (required)
    #[arg(short, long)]
    password: Option<String>,
    /// Secret to change
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Also a Secret that belongs to somebody else
    #[arg(long)]
    force: bool,
}

impl Key {
    fn read(&self, deps: &Deps) -> Result<String> {
        exclusive(&[("file", self.file.is_some()), ("value", self.value.is_some())])?;
        let text = match (&self.file, &self.value) {
            (Some(path), _) => String::from_utf8_lossy(&deps.host.read(path)?).into_owned(),
            (None, Some(value)) => value.clone(),
            (None, None) => bail!("one of --file, or --value must be specified"),
        };
        Ok(text.trim().to_owned())
    }
}

fn credentials(vm: &Value) -> Vec<Value> {
    vm.pointer("/spec/template/spec/accessCredentials").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Secrets with keys of a user that the guest agent carries over.
fn ssh_secrets(vm: &Value, user: &str) -> Vec<String> {
    let all = credentials(vm);
    let ours = all.iter().filter(|credential| {
        let users = credential.pointer("/sshPublicKey/propagationMethod/qemuGuestAgent/users").and_then(Value::as_array);
        users.is_some_and(|users| users.iter().any(|known| known == user))
    });
    ours.map(|credential| at(credential, "/sshPublicKey/source/secret/secretName").to_owned()).filter(|name| !name.is_empty()).collect()
}

fn password_secrets(vm: &Value) -> Vec<String> {
    let all = credentials(vm);
    let ours = all.iter().filter(|credential| credential.pointer("/userPassword/propagationMethod/qemuGuestAgent").is_some());
    ours.map(|credential| at(credential, "/userPassword/source/secret/secretName").to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The one Secret to change.
fn choose(found: &[String], asked: Option<&str>, none: &str) -> Result<String> {
    match (asked, found) {
        (Some(name), _) if found.iter().any(|known| known == name) => Ok(name.to_owned()),
        (Some(name), _) => bail!("secret {name} was not assigned"),
        (None, []) => bail!("{none}"),
        (None, [one]) => Ok(one.clone()),
        (None, _) => bail!("multiple secrets specified, use option --secret to specify which secret to modify"),
    }
}

fn is_owned(secret: &Value, vm: &Value) -> bool {
    let owners = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == vm["metadata"]["uid"]))
}

fn must_own(secret: &Value, vm: &Value, force: bool) -> Result<()> {
    if force || is_owned(secret, vm) {
        return Ok(());
    }
    bail!("secret {} does not have an owner reference pointing to VM {}", at(secret, "/metadata/name"), at(vm, "/metadata/name"))
}

/// Values of a Secret, decoded.
fn decoded(secret: &Value) -> Vec<(String, String)> {
    let data = secret["data"].as_object().cloned().unwrap_or_default();
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    data.iter().map(|(key, value)| (key.clone(), String::from_utf8_lossy(&decode(value)).into_owned())).collect()
}

/// Adds a value to a Secret, whether it has data or not.
async fn add_value(session: &Session, path: &str, key: &str, value: &str) -> Result<()> {
    let value = STANDARD.encode(value);
    let segment = key.replace('~', "~0").replace('/', "~1");
    let add = json!([{"op": "add", "path": format!("/data/{segment}"), "value": value}]);
    match session.patch(path, &add).await {
        Ok(_) => Ok(()),
        Err(_) => {
            let first = json!([
                {"op": "test", "path": "/data", "value": null},
                {"op": "add", "path": "/data", "value": {key: value}},
            ]);
            session.patch(path, &first).await.map(drop)
        }
    }
}

async fn get_vm(session: &Session, name: &str) -> Result<Value> {
    let mut vm = session.get(&session.machine(Machine::Vm, name)).await?;
    vm["apiVersion"] = json!("kubevirt.io/v1");
    vm["kind"] = json!("VirtualMachine");
    Ok(vm)
}

impl AddSshKey {
    async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        required(&[("user", self.user.is_some())])?;
        exclusive(&[("create-secret", self.create_secret), ("update-secret", self.update_secret)])?;
        let user = self.user.clone().unwrap_or_default();
        let key = self.key.read(deps)?;
        let session = deps.connect.connect(flags).await?;
        let vm = get_vm(&session, name).await?;
        let secrets = ssh_secrets(&vm, &user);
        let create = self.create_secret || (!self.update_secret && secrets.is_empty());
        if create { self.create(&session, &vm, &user, &key, deps).await } else { self.update(&session, &vm, &secrets, &key, deps).await }
    }

    async fn create(&self, session: &Session, vm: &Value, user: &str, key: &str, deps: &Deps) -> Result<()> {
        let name = at(vm, "/metadata/name");
        if !self.force && session.find(&session.machine(Machine::Vmi, name)).await?.is_some() {
            bail!("virtual machine {name} is running. Use --force flag to update a running VM, it will take effect after restart");
        }
        let mut metadata = json!({"ownerReferences": [owner(vm, false)]});
        match &self.secret {
            Some(secret) => metadata["name"] = json!(secret),
            None => metadata["generateName"] = json!(format!("{name}-ssh-key-")),
        }
        let entry = format!("ssh-key-{}", deps.entropy.name_suffix(5));
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {entry: STANDARD.encode(key)},
        });
        let secret = session.create(&session.core("secrets", ""), &secret).await?;
        let credential = json!({"sshPublicKey": {
            "source": {"secret": {"secretName": at(&secret, "/metadata/name")}},
            "propagationMethod": {"qemuGuestAgent": {"users": [user]}},
        }});
        let list = "/spec/template/spec/accessCredentials";
        let path = session.machine(Machine::Vm, name);
        let add = json!([{"op": "add", "path": format!("{list}/-"), "value": credential}]);
        if session.patch(&path, &add).await.is_ok() {
            return Ok(());
        }
        let first = json!([{"op": "test", "path": list, "value": null}, {"op": "add", "path": list, "value": [credential]}]);
        session.patch(&path, &first).await.map(drop)
    }

    async fn update(&self, session: &Session, vm: &Value, secrets: &[String], key: &str, deps: &Deps) -> Result<()> {
        let none = format!("no secrets specified for user: {}", self.user.as_deref().unwrap_or_default());
        let name = choose(secrets, self.secret.as_deref(), &none)?;
        let path = session.core("secrets", &name);
        let secret = session.get(&path).await?;
        if decoded(&secret).iter().any(|(_, value)| value.lines().any(|line| line.trim() == key)) {
            deps.out.line(format!("Secret {name:?} already contains this SSH key."));
            return Ok(());
        }
        must_own(&secret, vm, self.force)?;
        add_value(session, &path, &format!("ssh-key-{}", deps.entropy.name_suffix(5)), key).await?;
        deps.out.line(format!("Successfully added the key to secret {name:?}"));
        Ok(())
    }
}

/// The Secret's data without a key; `None` when it was not there.
fn without(secret: &Value, key: &str) -> Option<Value> {
    let mut found = false;
    let mut data = Map::new();
    for (entry, value) in decoded(secret) {
        let kept: Vec<&str> = value.lines().filter(|line| line.trim() != key).collect();
        if kept.len() == value.lines().count() {
            data.insert(entry, json!(STANDARD.encode(&value)));
            continue;
        }
        found = true;
        if kept.iter().any(|line| !line.trim().is_empty()) {
            data.insert(entry, json!(STANDARD.encode(kept.join("\n"))));
        }
    }
    found.then_some(Value::Object(data))
}

impl RemoveSshKey {
    async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        required(&[("user", self.user.is_some())])?;
        let user = self.user.clone().unwrap_or_default();
        let key = self.key.read(deps)?;
        let session = deps.connect.connect(flags).await?;
        let vm = get_vm(&session, name).await?;
        let mut secrets = ssh_secrets(&vm, &user);
        if secrets.is_empty() {
            deps.out.line(format!("No secrets associated with user {user}"));
            return Ok(());
        }
        if let Some(asked) = &self.secret {
            if !secrets.contains(asked) {
                bail!("secret {asked} is not associated with user {user}");
            }
            secrets = vec![asked.clone()];
        }
        for secret in secrets {
            self.remove(&session, &vm, &session.core("secrets", &secret), &key).await?;
        }
        Ok(())
    }

    async fn remove(&self, session: &Session, vm: &Value, path: &str, key: &str) -> Result<()> {
        let mut last = Error::new("");
        for _ in 0..ATTEMPTS {
            let mut secret = session.get(path).await?;
            let Some(data) = without(&secret, key) else { return Ok(()) };
            must_own(&secret, vm, self.force)?;
            secret["data"] = data;
            match session.put(path, &secret).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code == Some(409) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

impl SetPassword {
    async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [name] = exact(&self.names)?;
        required(&[("password", self.password.is_some()), ("user", self.user.is_some())])?;
        let session = deps.connect.connect(flags).await?;
        let vm = get_vm(&session, name).await?;
        let chosen = choose(&password_secrets(&vm), self.secret.as_deref(), "no secrets assigned to UserPassword AccessCredentials")?;
        let path = session.core("secrets", &chosen);
        must_own(&session.get(&path).await?, &vm, self.force)?;
        add_value(&session, &path, self.user.as_deref().unwrap_or_default(), self.password.as_deref().unwrap_or_default()).await?;
        deps.out.line(format!("Successfully set password in secret {chosen:?}"));
        Ok(())
    }
}

impl Credentials {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        match self.command {
            Change::AddSshKey(args) => args.run(flags, deps).await,
            Change::RemoveSshKey(args) => args.run(flags, deps).await,
            Change::SetPassword(args) => args.run(flags, deps).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leaves_no_empty_entry_behind() {
        let secret = json!({"data": {"a": STANDARD.encode("one\ntwo"), "b": STANDARD.encode("two")}});
        assert_eq!(without(&secret, "two"), Some(json!({"a": STANDARD.encode("one")})));
        assert_eq!(without(&secret, "three"), None);
    }
}
