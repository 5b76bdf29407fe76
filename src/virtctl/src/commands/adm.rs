//! Administration of the installation (spec/virtctl.md §14).

use super::at;
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps};
use serde_json::{Map, Value, json};

/// What a component without a setting logs.
const USUAL: u64 = 2;

/// `adm`.
#[derive(Debug, clap::Args)]
pub struct Adm {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// Show, set or reset the log verbosity of the components
    LogVerbosity(LogVerbosity),
}

/// A flag that shows when bare, and sets with `=N`.
const SHOW: &str = "show";

#[derive(Debug, clap::Args)]
struct LogVerbosity {
    /// virt-api's: show, or set with =N
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = SHOW, value_name = "N")]
    virt_api: Option<String>,
    /// virt-controller's: show, or set with =N
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = SHOW, value_name = "N")]
    virt_controller: Option<String>,
    /// virt-handler's: show, or set with =N
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = SHOW, value_name = "N")]
    virt_handler: Option<String>,
    /// virt-launcher's: show, or set with =N
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = SHOW, value_name = "N")]
    virt_launcher: Option<String>,
    /// virt-operator's: show, or set with =N
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = SHOW, value_name = "N")]
    virt_operator: Option<String>,
    /// All components': show, or set with =N
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = SHOW, value_name = "N")]
    all: Option<String>,
    /// Back to what is usual
    #[arg(long)]
    reset: bool,
}

/// What the flags ask for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Show(Vec<&'static str>),
    Set { reset: bool, levels: Vec<(&'static str, u64)> },
}

/// Components, and their members of `logVerbosity`.
const COMPONENTS: &[(&str, &str)] = &[
    ("virt-api", "virtAPI"),
    ("virt-controller", "virtController"),
    ("virt-handler", "virtHandler"),
    ("virt-launcher", "virtLauncher"),
    ("virt-operator", "virtOperator"),
];

fn member(component: &str) -> &'static str {
    COMPONENTS.iter().find(|(name, _)| *name == component).map(|(_, member)| *member).unwrap_or_default()
}

impl LogVerbosity {
    fn asked(&self) -> Result<Asked> {
        let flags = [
            ("virt-api", &self.virt_api),
            ("virt-controller", &self.virt_controller),
            ("virt-handler", &self.virt_handler),
            ("virt-launcher", &self.virt_launcher),
            ("virt-operator", &self.virt_operator),
        ];
        super::exclusive(&[("all", self.all.is_some()), ("reset", self.reset)])?;
        let given: Vec<(&'static str, &String)> =
            flags.iter().filter_map(|(name, value)| value.as_ref().map(|value| (*name, value))).collect();
        if given.is_empty() && self.all.is_none() && !self.reset {
            bail!("no flag specified - expecting at least one flag");
        }
        let (mut shown, mut levels) = (Vec::new(), Vec::new());
        let everything = self.all.iter().flat_map(|value| COMPONENTS.iter().map(move |(name, _)| (*name, value)));
        // What is said of one component is said after what is said of all.
        for (name, value) in everything.chain(given.iter().copied()) {
            if value == SHOW {
                shown.push(name);
                continue;
            }
            match value.parse::<u64>() {
                Ok(level) if level < 10 => levels.push((name, level)),
                _ => bail!("{name}: log verbosity must be 0-9"),
            }
        }
        match (shown.is_empty(), levels.is_empty() && !self.reset) {
            (false, false) => bail!("only show or set is allowed"),
            (false, true) => {
                shown.dedup();
                Ok(Asked::Show(COMPONENTS.iter().map(|(name, _)| *name).filter(|name| shown.contains(name)).collect()))
            }
            (true, _) => Ok(Asked::Set { reset: self.reset, levels }),
        }
    }

    async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let asked = self.asked()?;
        let session = deps.connect.connect(flags).await?;
        let list = session.get("/apis/kubevirt.io/v1/kubevirts").await?;
        let kubevirt = match list["items"].as_array().map(Vec::as_slice).unwrap_or_default() {
            [] => bail!("could not detect a KubeVirt installation"),
            [kubevirt] => kubevirt,
            _ => bail!("invalid kubevirt installation, more than one KubeVirt resource found"),
        };
        let developer = kubevirt.pointer("/spec/configuration/developerConfiguration");
        let set = developer.and_then(|developer| developer["logVerbosity"].as_object()).cloned().unwrap_or_default();
        match asked {
            Asked::Show(components) => {
                for component in components {
                    let level = set.get(member(component)).and_then(Value::as_u64).filter(|level| *level > 0).unwrap_or(USUAL);
                    deps.out.line(format!("{component}={level}"));
                }
            }
            Asked::Set { reset, levels } => {
                let mut new = if reset { Map::new() } else { set };
                new.extend(levels.into_iter().map(|(component, level)| (member(component).to_owned(), json!(level))));
                let base = "/spec/configuration";
                let mut patch = Vec::new();
                if kubevirt.pointer(base).is_none() {
                    patch.push(json!({"op": "add", "path": base, "value": {}}));
                }
                if developer.is_none() {
                    patch.push(json!({"op": "add", "path": format!("{base}/developerConfiguration"), "value": {}}));
                }
                patch.push(json!({"op": "add", "path": format!("{base}/developerConfiguration/logVerbosity"), "value": new}));
                let path = format!(
                    "/apis/kubevirt.io/v1/namespaces/{}/kubevirts/{}",
                    at(kubevirt, "/metadata/namespace"),
                    at(kubevirt, "/metadata/name")
                );
                session.patch(&path, &json!(patch)).await?;
                deps.out.line("successfully set/reset the log verbosity");
            }
        }
        Ok(())
    }
}

impl Adm {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        match self.command {
            Task::LogVerbosity(args) => args.run(flags, deps).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(api: Option<&str>, all: Option<&str>, reset: bool) -> Result<Asked> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let flags = LogVerbosity {
            virt_api: text(api),
            virt_controller: None,
            virt_handler: None,
            virt_launcher: None,
            virt_operator: None,
            all: text(all),
            reset,
        };
        flags.asked()
    }

    #[test]
    fn show_or_set() {
        assert_eq!(flags(Some(SHOW), None, false), Ok(Asked::Show(vec!["virt-api"])));
        assert_eq!(flags(Some("5"), None, true), Ok(Asked::Set { reset: true, levels: vec![("virt-api", 5)] }));
        let text = |asked: Result<Asked>| asked.unwrap_err().text;
        assert_eq!(text(flags(Some(SHOW), Some("1"), false)), "only show or set is allowed");
        assert_eq!(text(flags(Some("10"), None, false)), "virt-api: log verbosity must be 0-9");
        assert_eq!(text(flags(None, None, false)), "no flag specified - expecting at least one flag");
    }
}
