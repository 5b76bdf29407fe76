//! A running `ferrovirt up --hypervisor libvirt`, and what a user does with it.

use futures::StreamExt as _;
use runtime::Entropy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use virtctl::{Connect as _, ConnectionArgs, FromKubeconfig, Machine, Session};

use super::guest::Images;

/// How long anything may take: emulated guests on a busy machine are slow.
const PATIENCE: Duration = Duration::from_mins(1);

/// The folder of the launcher that links libvirt: given, beside the program under test, or built.
///
/// # Errors
/// What this machine lacks.
fn programs() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("FERROVIRT_PROGRAMS") {
        return Ok(given.into());
    }
    for (program, package) in [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils"), ("pkg-config", "pkg-config")] {
        Command::new(program).arg("--version").output().map_err(|_| format!("{program} is missing (Debian: apt install {package})"))?;
    }
    let libvirt = Command::new("pkg-config").args(["--exists", "libvirt"]).status();
    if !libvirt.is_ok_and(|status| status.success()) {
        return Err("libvirt's headers are missing (Debian: apt install libvirt-dev libvirt-daemon-driver-qemu)".to_owned());
    }
    let own = Path::new(env!("CARGO_BIN_EXE_ferrovirt")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "-p", "virt-launcher", "--features", "libvirt", "--target-dir"]).arg(own.parent().unwrap());
    if own.ends_with("release") {
        build.arg("--release");
    }
    let built = build.status();
    if built.is_ok_and(|status| status.success()) {
        Ok(own.to_owned())
    } else {
        Err("virt-launcher cannot be built with libvirt".to_owned())
    }
}

/// What every test needs, made once.
fn needs() -> Result<(PathBuf, &'static Images), String> {
    static NEEDS: OnceLock<Result<(PathBuf, Images), String>> = OnceLock::new();
    let made = NEEDS.get_or_init(|| {
        if std::env::var_os("FERROVIRT_LIBVIRT").is_some_and(|value| value == "off") {
            return Err("$FERROVIRT_LIBVIRT is off".to_owned());
        }
        Ok((programs()?, Images::make()?))
    });
    made.as_ref().map(|(programs, images)| (programs.clone(), images)).map_err(Clone::clone)
}

/// A running platform, whose files are all in one folder; ended with the value.
pub struct Up {
    child: Child,
    folder: tempfile::TempDir,
    pub session: Session,
}

impl Up {
    /// Starts one; none, with the reason printed, where this machine cannot run guests.
    pub async fn start() -> Option<Self> {
        let (programs, images) = match needs() {
            Ok(needs) => needs,
            Err(why) => {
                println!("skipped: {why}");
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ferrovirt"))
            .args(["up", "--hypervisor", "libvirt", "--nodes", "1", "--listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(&kubeconfig)
            .arg("--images")
            .arg(images.path())
            .arg("--programs")
            .arg(programs)
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says when it is ready: reading its output is the wait.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).inspect(|line| println!("{line}")).any(|line| line.starts_with("ready after"));
        assert!(ready, "it ended before it was ready");
        let flags = ConnectionArgs {
            kubeconfig: Some(kubeconfig.display().to_string()),
            request_timeout: "0".to_owned(),
            ..ConnectionArgs::default()
        };
        let session = FromKubeconfig.connect(&flags).await.unwrap();
        Some(Self { child, folder, session })
    }

    /// Programs of its pods and what they started, by process: whatever was told a folder of its.
    pub fn processes(&self) -> BTreeMap<u32, String> {
        let own = self.folder.path().display().to_string();
        let names: Vec<String> = self.names().iter().map(|name| format!("{}/", name.display())).collect();
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| *pid != self.child.id())
            .filter_map(|pid| {
                let text =
                    |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).map(|text| String::from_utf8_lossy(&text).into_owned());
                let told = format!("{}\0{}", text("environ").ok()?, text("cmdline").ok()?);
                if !told.contains(&own) && !names.iter().any(|name| told.contains(name)) {
                    return None;
                }
                let words = text("cmdline").ok()?;
                let mut words = words.split('\0');
                let program = words.next()?.rsplit('/').next()?.to_owned();
                Some((pid, if program == "ferrovirt" { words.next()?.to_owned() } else { program }))
            })
            .collect()
    }

    /// The processes of one program.
    pub fn pids(&self, program: &str) -> Vec<u32> {
        self.processes().into_iter().filter(|(_, name)| name == program).map(|(pid, _)| pid).collect()
    }

    /// Short names of containers' roots that lead into its folder.
    pub fn names(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir("/tmp").unwrap().filter_map(Result::ok);
        let folders = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("fv-"));
        let links = folders.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten().filter_map(Result::ok));
        let ours = |link: &PathBuf| std::fs::read_link(link).is_ok_and(|target| target.starts_with(self.folder.path()));
        links.map(|entry| entry.path()).filter(ours).collect()
    }

    /// Paths below its folder whose name has a part.
    pub fn find(&self, part: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, part: &str, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                if entry.file_name().to_string_lossy().contains(part) {
                    found.push(entry.path());
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    walk(&entry.path(), part, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), part, &mut found);
        found
    }

    /// Everything of guests that is still there: processes, sockets and names.
    pub fn left_of_guests(&self) -> Vec<String> {
        let programs = ["virt-launcher", "virt-launcher-monitor", "virt-tail"];
        let processes = self.processes().into_values().filter(|name| programs.contains(&name.as_str()) || name.starts_with("qemu"));
        let files =
            ["launcher-sock", "virt-serial0", "virt-vnc", "monitor.sock", "disk.qcow2"].into_iter().flat_map(|name| self.find(name));
        let files = files.chain(self.names()).map(|path| path.display().to_string());
        processes.chain(files).collect()
    }

    /// Ends it as Ctrl-C does; how it ended, and what is left in its folder.
    pub fn interrupt(&mut self) -> (ExitStatus, Vec<std::ffi::OsString>) {
        signal("-INT", self.child.id());
        let status = self.child.wait().unwrap();
        (status, std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect())
    }

    pub async fn vmi(&self, name: &str) -> Option<Value> {
        self.session.find(&self.session.machine(Machine::Vmi, name)).await.unwrap()
    }

    pub async fn phase(&self, name: &str) -> String {
        self.vmi(name).await.map_or_else(String::new, |vmi| text(&vmi, "/status/phase").to_owned())
    }

    /// Asks until there is an answer; what it waited for last is told when it waited in vain.
    pub async fn until<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            let story = if began.elapsed() > PATIENCE { Some(self.story().await) } else { None };
            assert_eq!(story, None, "waited in vain: {what}; processes: {:?}", self.processes());
            // Processes of the operating system tell nobody when they change.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Pods with their logs, and VMIs, for who looks for the reason of a failure.
    async fn story(&self) -> String {
        let mut story = String::new();
        let vmis = self.session.get("/apis/kubevirt.io/v1/virtualmachineinstances").await.unwrap();
        for vmi in vmis["items"].as_array().unwrap() {
            story += &format!("{}: {}\n", text(vmi, "/metadata/name"), vmi["status"]);
        }
        for pod in self.session.get("/api/v1/namespaces/default/pods").await.unwrap()["items"].as_array().unwrap() {
            let name = text(pod, "/metadata/name");
            story += &format!("{name}: {}\n{}\n", pod["status"], self.log(name, "compute").await);
        }
        story
    }

    /// A container's log.
    pub async fn log(&self, pod: &str, container: &str) -> String {
        let path = format!("/api/v1/namespaces/default/pods/{pod}/log?container={container}");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        self.session.client.request_text(request).await.unwrap_or_else(|error| error.to_string())
    }

    /// The pod of a VMI.
    pub async fn pod(&self, vmi: &str) -> Value {
        let pods = self.session.get(&format!("/api/v1/namespaces/default/pods?labelSelector=vm.kubevirt.io/name%3D{vmi}")).await.unwrap();
        pods["items"].as_array().unwrap().last().cloned().unwrap_or_default()
    }

    /// Waits until a guest runs that is not `not`; its UID.
    pub async fn running(&self, name: &str, not: &str) -> String {
        self.until(&format!("{name} runs"), async || {
            let vmi = self.vmi(name).await?;
            let uid = text(&vmi, "/metadata/uid").to_owned();
            (text(&vmi, "/status/phase") == "Running" && uid != not).then_some(uid)
        })
        .await
    }

    /// Asks something of a machine.
    pub async fn put(&self, kind: Machine, name: &str, verb: &str) {
        self.session.put(&self.session.subresource(kind, name, verb), &json!({})).await.unwrap();
    }

    /// Opens the serial console, as soon as there is one.
    pub async fn console(&self, name: &str) -> Console {
        let path = self.session.subresource(Machine::Vmi, name, "console");
        let stream = self.until("the console", async || self.session.open(&path, &Entropy::system()).await.ok()).await;
        let (sink, mut stream) = stream.split();
        let heard = Arc::new(Mutex::new(String::new()));
        let writer = heard.clone();
        let reading = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                writer.lock().unwrap().push_str(&String::from_utf8_lossy(&message.into_data()));
            }
        });
        Console { heard, sink, reading }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // A test that failed leaves no guest behind: only Ctrl-C ends those.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// A serial console that somebody looks at.
pub struct Console {
    heard: Arc<Mutex<String>>,
    sink: futures::stream::SplitSink<virtctl::Stream, tokio_tungstenite::tungstenite::Message>,
    reading: tokio::task::JoinHandle<()>,
}

impl Console {
    pub fn text(&self) -> String {
        self.heard.lock().unwrap().clone()
    }

    /// How often something was said.
    pub fn count(&self, part: &str) -> usize {
        self.text().matches(part).count()
    }

    pub async fn type_line(&mut self, line: &str) {
        use futures::SinkExt as _;
        let bytes = format!("{line}\n").into_bytes();
        self.sink.send(tokio_tungstenite::tungstenite::Message::Binary(bytes.into())).await.unwrap();
    }

    /// Waits for the end of the stream; all that was said.
    pub async fn end(self) -> String {
        tokio::time::timeout(PATIENCE, self.reading).await.unwrap().unwrap();
        self.heard.lock().unwrap().clone()
    }
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn signal(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}
