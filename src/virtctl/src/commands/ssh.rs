//! SSH and SCP, by the local clients over a forwarded port (spec/virtctl.md §7).

use super::exact;
use super::forward::Target;
use crate::error::{Result, bail};
use crate::{ConnectionArgs, Deps};

/// What `ssh` and `scp` share.
#[derive(Debug, clap::Args)]
struct Client {
    /// User to log in as, unless the target names one
    #[arg(short = 'l', long)]
    username: Option<String>,
    /// Private key to log in with
    #[arg(short, long, value_name = "PATH")]
    identity_file: Option<String>,
    /// Port of the guest
    #[arg(short, long, default_value_t = 22)]
    port: u16,
    /// Further argument of the local client; may be repeated
    #[arg(short = 't', long, allow_hyphen_values = true, value_name = "ARGUMENT")]
    local_ssh_opts: Vec<String>,
    /// Accepted for compatibility; the local client keeps its own
    #[arg(long, value_name = "PATH")]
    known_hosts: Option<String>,
}

/// `ssh`.
#[derive(Debug, clap::Args)]
pub struct Ssh {
    /// [USER@]TYPE/NAME[/NAMESPACE] of the guest
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    client: Client,
    /// Command to run in the guest
    #[arg(short, long, default_value = "", hide_default_value = true)]
    command: String,
}

/// `scp`.
#[derive(Debug, clap::Args)]
pub struct Scp {
    /// Local path and [USER@]TYPE/NAME[/NAMESPACE]:PATH, in either order
    #[arg(value_name = "SOURCE DESTINATION")]
    paths: Vec<String>,
    #[command(flatten)]
    client: Client,
    /// Copy folders with what is in them
    #[arg(short, long)]
    recursive: bool,
    /// Keep times and modes
    #[arg(long)]
    preserve: bool,
}

/// A guest and who logs in to it.
#[derive(Debug)]
struct Login {
    user: Option<String>,
    target: Target,
}

impl Login {
    fn parse(text: &str, username: Option<&str>) -> Result<Self> {
        let (user, target) = match text.split_once('@') {
            None => (username.map(str::to_owned), text),
            Some(("", _)) => bail!("expected username before '@'"),
            Some((_, "")) => bail!("expected target after '@'"),
            Some((user, target)) => (Some(user.to_owned()), target),
        };
        Ok(Self { user, target: Target::parse(target)? })
    }

    /// The name the local client knows the guest by.
    fn host(&self, namespace: &str) -> String {
        let Target { kind, name, .. } = &self.target;
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let kind = kind.short();
        format!("{user}{kind}.{name}.{}", self.target.namespace.as_deref().unwrap_or(namespace))
    }

    /// The option by which the local client reaches the guest.
    fn proxy(&self, namespace: &str, program: &str, port: u16) -> String {
        let Target { kind, name, .. } = &self.target;
        let namespace = self.target.namespace.as_deref().unwrap_or(namespace);
        format!("ProxyCommand={program} port-forward --stdio=true {}/{name}/{namespace} {port}", kind.short())
    }
}

impl Client {
    /// `-o ProxyCommand=…`, what was asked for, the key.
    fn arguments(&self, login: &Login, namespace: &str, deps: &Deps) -> Vec<String> {
        let mut arguments = vec!["-o".to_owned(), login.proxy(namespace, &deps.program, self.port)];
        arguments.extend(self.local_ssh_opts.iter().cloned());
        if let Some(key) = &self.identity_file {
            arguments.extend(["-i".to_owned(), key.clone()]);
        }
        arguments
    }

    /// The user, by flag or environment.
    fn user(&self) -> Option<String> {
        let variables = ["USER", "USERNAME", "LOGNAME"];
        self.username.clone().or_else(|| variables.iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty())))
    }
}

/// Runs the local client; its failure is ours.
async fn call(program: &str, arguments: &[String], deps: &Deps) -> Result<()> {
    let Some(path) = deps.host.find_program(program) else { bail!("exec: {program:?}: executable file not found in $PATH") };
    match deps.host.run_program(&path, arguments).await? {
        0 => Ok(()),
        code => bail!("exit status {code}"),
    }
}

async fn namespace(login: &Login, flags: &ConnectionArgs, deps: &Deps) -> Result<String> {
    match (&login.target.namespace, &flags.namespace) {
        (Some(namespace), _) | (None, Some(namespace)) => Ok(namespace.clone()),
        (None, None) => Ok(deps.connect.connect(flags).await?.namespace),
    }
}

impl Ssh {
    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let [target] = exact(&self.targets)?;
        let login = Login::parse(target, self.client.user().as_deref())?;
        let namespace = namespace(&login, flags, deps).await?;
        let mut arguments = self.client.arguments(&login, &namespace, deps);
        arguments.push(login.host(&namespace));
        if !self.command.is_empty() {
            arguments.push(self.command.clone());
        }
        call("ssh", &arguments, deps).await
    }
}

/// A path of the guest: `[USER@]TYPE/NAME[/NAMESPACE]:PATH`.
fn remote(text: &str, username: Option<&str>) -> Result<Option<(Login, String)>> {
    let Some((target, path)) = text.split_once(':') else { return Ok(None) };
    if target.is_empty() || path.is_empty() {
        bail!("invalid remote argument format: {text:?}");
    }
    Ok(Some((Login::parse(target, username)?, path.to_owned())))
}

impl Scp {
    /// Who is logged in to, and the arguments that name both sides.
    fn sides(&self, user: Option<&str>) -> Result<(Login, [String; 2], bool)> {
        let [source, destination] = exact(&self.paths)?;
        match (remote(source, user)?, remote(destination, user)?) {
            (Some((login, path)), None) => Ok((login, [path, destination.to_owned()], true)),
            (None, Some((login, path))) => Ok((login, [source.to_owned(), path], false)),
            (Some(_), Some(_)) => {
                bail!("copying from a remote location to another remote location is not supported: {source:?} to {destination:?}")
            }
            (None, None) => bail!("none of the two provided locations seems to be a remote location: {source:?} to {destination:?}"),
        }
    }

    pub(crate) async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
        let (login, [mut source, mut destination], from_guest) = self.sides(self.client.user().as_deref())?;
        let namespace = namespace(&login, flags, deps).await?;
        let mut arguments = self.client.arguments(&login, &namespace, deps);
        if self.recursive {
            arguments.push("-r".to_owned());
        }
        if self.preserve {
            arguments.push("-p".to_owned());
        }
        let side = if from_guest { &mut source } else { &mut destination };
        *side = format!("{}:{side}", login.host(&namespace));
        arguments.extend([source, destination]);
        call("scp", &arguments, deps).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("vm/a", Ok("pat@vm.a.ns"))]
    #[case("fedora@vmi/a/other", Ok("fedora@vmi.a.other"))]
    #[case("@vm/a", Err("expected username before '@'"))]
    #[case("fedora@", Err("expected target after '@'"))]
    fn logins(#[case] text: &str, #[case] expected: std::result::Result<&str, &str>) {
        let login = Login::parse(text, Some("pat"));
        assert_eq!(login.map(|login| login.host("ns")).map_err(|error| error.text), expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn the_local_client_comes_back_through_this_program() {
        let login = Login::parse("vm/a", None).unwrap();
        assert_eq!(login.proxy("ns", "/bin/virtctl", 2222), "ProxyCommand=/bin/virtctl port-forward --stdio=true vm/a/ns 2222");
    }

    #[test]
    fn exactly_one_side_of_a_copy_is_a_guest() {
        let scp = |source: &str, destination: &str| Scp {
            paths: vec![source.to_owned(), destination.to_owned()],
            client: Client { username: None, identity_file: None, port: 22, local_ssh_opts: Vec::new(), known_hosts: None },
            recursive: false,
            preserve: false,
        };
        let (_, sides, from_guest) = scp("vm/a:/etc/hosts", "hosts").sides(None).unwrap();
        assert_eq!((sides, from_guest), (["/etc/hosts".to_owned(), "hosts".to_owned()], true));
        assert!(scp("vm/a:x", "vm/b:y").sides(None).unwrap_err().text.contains("vm/a:x"));
        assert!(scp("x", "y").sides(None).is_err());
        assert_eq!(scp("vm/a:", "y").sides(None).unwrap_err().text, "invalid remote argument format: \"vm/a:\"");
    }
}
