//! A daemon behind a socket passes the suite that every backend passes, and its death is survived: guests go on, the connection comes
//! back, and every domain is announced.

#[allow(dead_code, reason = "the suites share it, and each uses a part")]
mod bench;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use bench::{LibvirtBench, folder, open_up};
use ferrovirt_hypervisor_libvirt::Libvirt;
use futures::StreamExt;
use hypervisor::conformance::{Bench, Guest, PATIENCE};
use hypervisor::{Domain, DomainState, EventKind, EventStream, Hypervisor, StartMode};
use lifecycle::ShutoffReason;

/// The user the daemon runs as when the test is root: QEMU as root is another thing than what a launcher has.
const NOBODY: u32 = 65534;

/// A daemon of the session kind with all its state under one folder.
struct Daemon {
    program: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Daemon {
    fn start(folder: &Path) -> Result<Self, String> {
        let candidates = ["/usr/sbin/virtqemud", "/usr/sbin/libvirtd"];
        let program = candidates.iter().map(PathBuf::from).find(|path| path.exists()).ok_or("no virtqemud, no libvirtd")?;
        let settings = folder.join("config/libvirt");
        fs::create_dir_all(&settings).map_err(|error| error.to_string())?;
        for sub in ["config", "config/libvirt", "cache", "run", "data"] {
            let _ = fs::create_dir(folder.join(sub));
            open_up(&folder.join(sub));
        }
        let quiet = "security_driver = \"none\"\nstdio_handler = \"file\"\nnamespaces = []\ncgroup_controllers = []\n";
        fs::write(settings.join("qemu.conf"), quiet).map_err(|error| error.to_string())?;
        let daemon = format!("unix_sock_dir = \"{}\"\nlog_outputs = \"3:file:{}\"\n", folder.display(), folder.join("log").display());
        fs::write(folder.join("daemon.conf"), daemon).map_err(|error| error.to_string())?;
        let child = Self::spawn(&program, folder)?;
        Ok(Self { program, folder: folder.to_owned(), child })
    }

    fn spawn(program: &Path, folder: &Path) -> Result<Child, String> {
        let mut command = Command::new(program);
        command
            .args(["--config".as_ref(), folder.join("daemon.conf").as_os_str()])
            .args(["--pid-file".as_ref(), folder.join("pid").as_os_str()])
            .env("HOME", folder)
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("XDG_RUNTIME_DIR", folder.join("run"))
            .env("XDG_DATA_HOME", folder.join("data"))
            .current_dir(folder);
        // A file's owner tells whether we are root.
        use std::os::unix::fs::MetadataExt;
        if fs::metadata(folder).is_ok_and(|metadata| metadata.uid() == 0) {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.spawn().map_err(|error| format!("{}: {error}", program.display()))
    }

    fn uri(&self) -> String {
        let name = self.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let socket = if name == "libvirtd" { "libvirt-sock" } else { "virtqemud-sock" };
        format!("qemu+unix:///session?socket={}", self.folder.join(socket).display())
    }

    async fn connect(&self) -> Result<Libvirt, String> {
        let mut last = String::new();
        for _ in 0..100 {
            match Libvirt::connect(&self.uri()).await {
                Ok(hypervisor) => return Ok(hypervisor),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(last)
    }

    fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        let _ = fs::remove_file(self.folder.join("pid"));
    }

    fn start_again(&mut self) {
        self.child = Self::spawn(&self.program, &self.folder).expect("daemon");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until(events: &mut EventStream, name: &str, wanted: impl Fn(&EventKind) -> bool) {
    let found = async {
        while let Some(event) = events.next().await {
            if event.domain == name && wanted(&event.kind) {
                return;
            }
        }
        panic!("the event stream ended");
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no such event of {name}"));
}

fn process_of(folder: &Path, name: &str) -> i32 {
    let path = folder.join(format!("run/libvirt/qemu/run/{name}.pid"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_conforms_and_its_death_is_survived() {
    let folder = folder();
    let mut daemon = match Daemon::start(folder.path()) {
        Ok(daemon) => daemon,
        Err(why) => return println!("skipped: libvirt is not installed: {why}"),
    };
    let hypervisor = match daemon.connect().await {
        Ok(hypervisor) => hypervisor,
        Err(why) => return println!("skipped: libvirt's daemon does not serve: {why}"),
    };
    let bench = LibvirtBench::new(hypervisor.clone(), folder.path());
    let report = bench.report().await;
    println!("libvirt, daemon: {report}");
    assert!(report.deviations().is_empty(), "{report}");

    // Three guests: one lives on, one dies while nobody watches, one is off.
    let mut events = hypervisor.events();
    let mut domains: Vec<Arc<dyn Domain>> = Vec::new();
    for (index, name) in ["lives", "dies", "off"].into_iter().enumerate() {
        let mut definition = bench.definition(Guest::Deaf, name);
        definition.uuid = Some(format!("6a1a24a1-4061-4607-8bf4-a3963d0c589{index}"));
        let domain = hypervisor.define(&definition).await.expect("define");
        if name != "off" {
            domain.create(StartMode::Running).await.expect("create");
        }
        domains.push(domain);
    }
    let victim = process_of(folder.path(), "dies");
    daemon.kill();
    let error = domains[0].state().await.expect_err("there is no daemon");
    assert!(error.is_connection_lost(), "{error}");
    assert!(Command::new("kill").args(["-9", &victim.to_string()]).status().expect("kill").success());
    daemon.start_again();
    let mut announced = Vec::new();
    while announced.len() < 3 {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("announced").expect("an event");
        if event.kind == EventKind::Reconnected {
            announced.push(event.domain);
        }
    }
    assert_eq!(announced, ["dies", "lives", "off"]);
    let state = domains[0].state().await.expect("state");
    assert!(matches!(state, DomainState::Running(_)), "{state:?}");
    let state = domains[1].state().await.expect("state");
    assert_eq!(state, DomainState::Shutoff(ShutoffReason::Crashed));
    // The new connection has the callbacks of the old one.
    domains[0].destroy().await.expect("destroy");
    until(&mut events, "lives", |kind| matches!(kind, EventKind::Lifecycle(event) if event.to_string() == "STOPPED/DESTROYED")).await;
    bench.clear().await;
}
