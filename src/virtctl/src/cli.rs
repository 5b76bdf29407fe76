//! The command line.

use crate::Deps;
use crate::commands::{
    adm, completion, console, create, credentials, expand, expose, forward, graph, guest, guestfs, lifecycle, memory_dump, permitted, ssh,
    template, upload, usb, version, vmexport, vnc, volumes, why,
};
use crate::connect::ConnectionArgs;
use crate::error::Result;
use clap::builder::ArgAction;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};
use std::ffi::OsString;

/// Does with virtual machines what kubectl has no command for.
#[derive(Debug, clap::Parser)]
#[command(name = "virtctl", subcommand_required = true, arg_required_else_help = true, disable_version_flag = true)]
pub struct Args {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

macro_rules! commands {
    ($($(#[$attribute:meta])* $name:ident($args:ty),)*) => {
        /// The commands (spec/virtctl.md §2).
        #[derive(Debug, clap::Subcommand)]
        pub enum Command { $($(#[$attribute])* $name($args),)* }

        impl Command {
            /// Does it.
            ///
            /// # Errors
            /// The text to show.
            pub async fn run(self, flags: &ConnectionArgs, deps: &Deps) -> Result<()> {
                match self { $(Self::$name(args) => args.run(flags, deps).await,)* }
            }
        }
    };
}

commands! {
    /// Start a virtual machine
    Start(lifecycle::Start),
    /// Stop a virtual machine
    Stop(lifecycle::Stop),
    /// Restart a virtual machine
    Restart(lifecycle::Restart),
    /// Pause a running guest
    Pause(lifecycle::Pause),
    /// Let a paused guest go on
    Unpause(lifecycle::Unpause),
    /// Ask a guest to reboot
    SoftReboot(lifecycle::SoftReboot),
    /// Reset a guest as its reset button would
    Reset(lifecycle::Reset),
    /// Move a running virtual machine to another node
    Migrate(lifecycle::Migrate),
    /// Call the migration of a virtual machine off
    MigrateCancel(lifecycle::MigrateCancel),
    /// Call the evacuation of a virtual machine off
    EvacuateCancel(lifecycle::EvacuateCancel),
    /// Show why a virtual machine is in its state: every condition and event from the VM to the node
    Why(why::Why),
    /// Connect to a guest's serial console
    Console(console::Console),
    /// Connect to a guest's screen
    Vnc(vnc::Vnc),
    /// Redirect a local USB device to a guest
    Usbredir(usb::UsbRedir),
    /// Forward local ports to a guest
    PortForward(forward::PortForward),
    /// Open an SSH session with a guest
    Ssh(ssh::Ssh),
    /// Copy files to or from a guest
    Scp(ssh::Scp),
    /// Expose a guest's ports as a Service
    Expose(expose::Expose),
    /// Show what the guest agent says about the operating system
    Guestosinfo(guest::GuestOsInfo),
    /// List the users who are logged in
    Userlist(guest::UserList),
    /// List the file systems that are mounted
    Fslist(guest::FsList),
    /// Attach a volume to a running guest
    Addvolume(volumes::AddVolume),
    /// Detach a volume from a running guest
    Removevolume(volumes::RemoveVolume),
    /// Dump a guest's memory to a volume
    MemoryDump(memory_dump::MemoryDump),
    /// Write manifests
    Create(create::Create),
    /// Change the credentials of a virtual machine
    Credentials(credentials::Credentials),
    /// Print a virtual machine with its instance type and preference folded in
    Expand(expand::Expand),
    /// Print the objects a virtual machine depends on
    Objectgraph(graph::ObjectGraph),
    /// Upload a disk image to a volume
    ImageUpload(upload::ImageUpload),
    /// Export volumes of virtual machines
    Vmexport(vmexport::VmExport),
    /// Open a shell with libguestfs tools on a volume
    Guestfs(guestfs::GuestFs),
    /// Work with virtual machine templates
    Template(template::Template),
    /// List the host devices that may be used
    PermittedDevices(permitted::PermittedDevices),
    /// Administer the installation
    Adm(adm::Adm),
    /// Show the versions of client and server
    Version(version::Version),
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// Print the flags that every command has
    #[command(hide = true)]
    Options(completion::Options),
}

/// The whole command line, as clap has it. Switches take `=true` and `=false` too, as kubectl's do.
pub fn command() -> clap::Command {
    switches(Args::command())
}

fn switches(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .value_parser(clap::value_parser!(bool))
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .hide_default_value(true)
            .hide_possible_values(true),
        _ => arg,
    });
    command.mut_subcommands(switches)
}

impl Args {
    /// Parses a command line, its first word being the program.
    ///
    /// # Errors
    /// clap's; [`complaint`] is its text.
    pub fn parse_words(words: Vec<OsString>) -> Result<Self, clap::Error> {
        let mut args = Self::from_arg_matches(&command().try_get_matches_from(words)?)?;
        // These have a flag `--user` of their own, which is not kubectl's.
        if matches!(args.command, Command::Create(_) | Command::Credentials(_)) {
            args.connection.user = None;
        }
        Ok(args)
    }
}

/// A mistake in the command line, in the words of the original's library.
pub fn complaint(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => match flag.strip_prefix('-') {
            Some(short) if !short.starts_with('-') => {
                format!("unknown shorthand flag: '{}' in {flag}", short.chars().next().unwrap_or_default())
            }
            _ => format!("unknown flag: {flag}"),
        },
        ErrorKind::InvalidSubcommand => format!("unknown command {:?} for \"virtctl\"", context(ContextKind::InvalidSubcommand)),
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => format!("flag needs an argument: {flag}"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let given = context(ContextKind::InvalidValue);
            let why = std::error::Error::source(error).map(|source| match source.to_string().as_str() {
                "invalid digit found in string" | "cannot parse integer from empty string" => {
                    let function = if matches!(flag, "--cpu" | "--wait-secs") { "ParseUint" } else { "ParseInt" };
                    format!(": strconv.{function}: parsing {given:?}: invalid syntax")
                }
                other => format!(": {other}"),
            });
            format!("invalid argument {given:?} for {flag:?} flag{}", why.unwrap_or_default())
        }
        _ => {
            let text = error.render().to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::parse_words(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[rstest]
    #[case("virtctl start --nope vm", "unknown flag: --nope")]
    #[case("virtctl fly", "unknown command \"fly\" for \"virtctl\"")]
    #[case(
        "virtctl stop vm --grace-period=soon",
        "invalid argument \"soon\" for \"--grace-period\" flag: strconv.ParseInt: parsing \"soon\": invalid syntax"
    )]
    #[case("virtctl start vm --namespace", "flag needs an argument: --namespace")]
    #[case("virtctl start -x vm", "unknown shorthand flag: 'x' in -x")]
    fn mistakes_are_named(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(complaint(&parse(line).unwrap_err()), expected);
    }

    #[test]
    fn switches_take_values_and_a_commands_user_is_its_own() {
        let Command::Stop(stop) = parse("virtctl stop vm --force=true --grace-period=0").unwrap().command else {
            panic!("another command")
        };
        assert!(stop.force);
        let args = parse("virtctl credentials set-password vm --user=u --password=p --as pat").unwrap();
        assert_eq!((args.connection.user, args.connection.impersonate.as_deref()), (None, Some("pat")));
        assert_eq!(parse("virtctl start vm --user=u").unwrap().connection.user.as_deref(), Some("u"));
    }

    /// One help text a command: what users read is reviewed.
    #[test]
    fn help() {
        fn of(command: &mut clap::Command, name: &str) {
            let text = command.clone().bin_name(name).term_width(0).render_help().to_string();
            insta::with_settings!({ snapshot_path => "../../../snapshots/virtctl", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(name.replace(' ', "-"), text);
            });
            let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).filter(|sub| sub != "help").collect();
            for sub in names {
                if let Some(found) = command.find_subcommand_mut(&sub) {
                    of(found, &format!("{name} {sub}"));
                }
            }
        }
        let mut command = command();
        // Unwrapped: terminals may be of any width, and wrapping is a feature that another crate may switch on.
        command = command.mut_args(|arg| arg.global(false)).term_width(0);
        of(&mut command, "virtctl");
    }
}
