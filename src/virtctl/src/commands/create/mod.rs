//! Writing manifests; nothing is sent (spec/virtctl.md §12).

mod boot;
mod clone;
mod cloud_init;
mod imports;
mod params;
mod types;
mod vm;

use crate::error::Result;
use crate::{ConnectionArgs, Deps};
use serde_json::{Map, Value};

/// `create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    #[command(subcommand)]
    command: Manifest,
}

#[derive(Debug, clap::Subcommand)]
enum Manifest {
    /// Write a VirtualMachine
    Vm(Box<vm::CreateVm>),
    /// Write a VirtualMachineInstancetype or its cluster-wide kind
    Instancetype(types::CreateInstancetype),
    /// Write a VirtualMachinePreference or its cluster-wide kind
    Preference(types::CreatePreference),
    /// Write a VirtualMachineClone
    Clone(clone::CreateClone),
}

/// What the generators need besides their flags.
struct Around<'a> {
    /// The namespace, where it was given on the command line.
    namespace: Option<&'a str>,
    deps: &'a Deps,
}

impl Around<'_> {
    /// `prefix-` with five random characters.
    fn name(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.deps.entropy.name_suffix(5))
    }

    /// The metadata of a manifest.
    fn metadata(&self, name: &str) -> Value {
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), name.into());
        if let Some(namespace) = self.namespace {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        Value::Object(metadata)
    }
}

/// With its members sorted, all the way down.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

impl Create {
    #[allow(clippy::unused_async, reason = "every command is")]
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let around = Around { namespace: flags.namespace.as_deref(), deps };
        let manifest = match self.command {
            Manifest::Vm(args) => args.manifest(&around)?,
            Manifest::Instancetype(args) => args.manifest(&around)?,
            Manifest::Preference(args) => args.manifest(&around)?,
            Manifest::Clone(args) => args.manifest(&around)?,
        };
        deps.out.text(super::yaml(&sorted(manifest))?);
        Ok(())
    }
}
