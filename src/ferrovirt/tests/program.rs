//! The `ferrovirt` program as people start it: progress, errors, Ctrl-C, and kubectl against it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may assume, and say what they skip")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A running `ferrovirt up`, ended with the value.
struct Up {
    child: Child,
    kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
}

impl Up {
    fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ferrovirt"))
            .args(["up", "--listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(&kubeconfig)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says when it is ready: reading its output is the wait.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.starts_with("ready after"));
        assert!(ready, "it ended before it was ready");
        Self { child, kubeconfig, _folder: folder }
    }

    fn interrupt(&mut self) -> std::process::ExitStatus {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ferrovirt(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferrovirt")).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn ctrl_c_ends_it_and_nothing_is_left() {
    let mut up = Up::start(&["--nodes", "1"]);
    assert!(up.kubeconfig.exists());
    let status = up.interrupt();
    assert!(status.success(), "{status}");
    assert!(!up.kubeconfig.exists());
}

#[test]
fn a_busy_port_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = ferrovirt(&["up", "--listen", &address, "--kubeconfig", "/dev/null/none"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).trim(), format!("error: cannot listen on {address}: address already in use"));
}

#[test]
fn an_unusable_folder_is_a_clear_error() {
    let output = ferrovirt(&["up", "--listen", "127.0.0.1:0", "--kubeconfig", "/proc/nowhere/kubeconfig", "--nodes", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).trim(), "error: cannot write /proc/nowhere/kubeconfig: no such file or directory");
    let output = ferrovirt(&["up", "--listen", "127.0.0.1:0", "--data-dir", "/proc/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/proc/nowhere"), "{}", stderr(&output));
}

#[test]
fn objects_and_kubeconfig_survive_a_restart_with_a_data_folder() {
    let Some(kubectl) = Kubectl::find() else { return };
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap().to_owned();
    let mut up = Up::start(&["--nodes", "1", "--data-dir", &folder]);
    kubectl.of(&up).ok("create configmap kept --from-literal=a=b", "");
    // Killed, not asked: what was acknowledged is there all the same.
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let up = Up::start(&["--nodes", "1", "--data-dir", &folder]);
    assert_eq!(kubectl.of(&up).ok("get configmap kept -o jsonpath={.data.a}", ""), "b");
}

/// kubectl, where there is one: `$KUBECTL`, or on the PATH.
struct Kubectl {
    program: PathBuf,
}

struct Session<'a> {
    program: &'a Path,
    kubeconfig: &'a Path,
}

impl Kubectl {
    fn find() -> Option<Self> {
        let named = std::env::var_os("KUBECTL").map(PathBuf::from);
        let program = named.unwrap_or_else(|| PathBuf::from("kubectl"));
        let works = Command::new(&program).args(["version", "--client"]).output().is_ok_and(|output| output.status.success());
        if !works {
            println!("skipped: there is no kubectl on the PATH and none in $KUBECTL");
        }
        works.then_some(Self { program })
    }

    fn of<'a>(&'a self, up: &'a Up) -> Session<'a> {
        Session { program: &self.program, kubeconfig: &up.kubeconfig }
    }
}

impl Session<'_> {
    fn run(&self, line: &str, stdin: &str) -> Output {
        use std::io::Write as _;
        let mut child = Command::new(self.program)
            .arg("--kubeconfig")
            .arg(self.kubeconfig)
            .args(line.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a command that has to work; its output, trimmed.
    fn ok(&self, line: &str, stdin: &str) -> String {
        let output = self.run(line, stdin);
        assert!(output.status.success(), "kubectl {line}: {}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs a command that has to fail; what it says.
    fn fails(&self, line: &str, stdin: &str) -> String {
        let output = self.run(line, stdin);
        assert!(!output.status.success(), "kubectl {line} worked");
        stderr(&output).trim().to_owned()
    }
}

const VM: &str = "\
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata:
  name: vm
spec:
  runStrategy: Always
  template:
    spec:
      domain:
        memory:
          guest: 64Mi
        devices:
          disks:
          - name: containerdisk
            disk: {bus: virtio}
      volumes:
      - name: containerdisk
        containerDisk: {image: registry.example/alpine}
";

#[test]
fn kubectl_does_a_whole_job() {
    let Some(kubectl) = Kubectl::find() else { return };
    let up = Up::start(&["--nodes", "2"]);
    let k = kubectl.of(&up);

    assert_eq!(k.ok("apply -f -", VM), "virtualmachine.kubevirt.io/vm created");
    k.ok("wait --for=condition=Ready vm/vm --timeout=60s", "");
    let table = k.ok("get vm", "");
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "AGE", "STATUS", "READY"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[2], row[3]), ("vm", "Running", "True"));
    let table = k.ok("get vmi", "");
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "AGE", "PHASE", "IP", "NODENAME", "READY"]);

    let described = k.ok("describe vmi vm", "");
    for reason in ["SuccessfulCreate", "Created", "Started"] {
        assert!(described.contains(reason), "no {reason} in:\n{described}");
    }
    assert!(k.ok("explain vm.spec.runStrategy", "").contains("runStrategy"));
    assert!(k.ok("get pods -l kubevirt.io=virt-launcher", "").contains("virt-launcher-vm-"));
    assert_eq!(k.ok("apply -f -", VM), "virtualmachine.kubevirt.io/vm unchanged");

    k.ok("patch vm vm --type=merge -p {\"spec\":{\"runStrategy\":\"Halted\"}}", "");
    k.ok("wait --for=jsonpath={.status.printableStatus}=Stopped vm/vm --timeout=60s", "");
    let gone = k.fails("get vmi vm", "");
    assert_eq!(gone, "Error from server (NotFound): virtualmachineinstances.kubevirt.io \"vm\" not found");

    let unknown = k.fails("apply -f -", &VM.replace("runStrategy: Always", "runStrategy: Always\n  cores: 2"));
    assert!(unknown.contains("unknown field \"spec.cores\""), "{unknown}");
    let malformed = k.fails("apply -f -", "apiVersion: kubevirt.io/v1\nkind: [VirtualMachine");
    assert!(malformed.contains("error parsing"), "{malformed}");
    let both = k.fails("apply -f -", &VM.replace("runStrategy: Always", "runStrategy: Always\n  running: true"));
    assert!(both.contains("Running and RunStrategy are mutually exclusive"), "{both}");

    assert_eq!(k.ok("delete vm vm", ""), "virtualmachine.kubevirt.io \"vm\" deleted from default namespace");
    assert_eq!(k.ok("get vm,vmi", ""), "");
}

const REPLICA_SET: &str = "\
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstanceReplicaSet
metadata:
  name: testreplicaset
spec:
  replicas: 1
  selector:
    matchLabels:
      myvmi: myvmi
  template:
    metadata:
      labels:
        myvmi: myvmi
    spec:
      domain:
        memory:
          guest: 64Mi
        devices: {}
---
apiVersion: pool.kubevirt.io/v1beta1
kind: VirtualMachinePool
metadata:
  name: vm-pool
spec:
  replicas: 1
  selector:
    matchLabels:
      kubevirt.io/vmpool: vm-pool
  virtualMachineTemplate:
    metadata:
      labels:
        kubevirt.io/vmpool: vm-pool
    spec:
      runStrategy: Always
      template:
        metadata:
          labels:
            kubevirt.io/vmpool: vm-pool
        spec:
          domain:
            memory:
              guest: 64Mi
            devices: {}
";

#[test]
fn kubectl_scales() {
    let Some(kubectl) = Kubectl::find() else { return };
    let up = Up::start(&["--nodes", "2"]);
    let k = kubectl.of(&up);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();

    k.ok("create -f -", REPLICA_SET);
    k.ok("wait --for=jsonpath={.status.readyReplicas}=1 vmirs/testreplicaset --timeout=60s", "");
    let scaled = k.ok("scale vmirs testreplicaset --replicas=3", "");
    assert_eq!(scaled, "virtualmachineinstancereplicaset.kubevirt.io/testreplicaset scaled");
    k.ok("wait --for=jsonpath={.status.readyReplicas}=3 vmirs/testreplicaset --timeout=60s", "");
    let table = k.ok("get vmirs", "");
    let lines: Vec<Vec<String>> = table.lines().map(words).collect();
    assert_eq!(lines[0], ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]);
    assert_eq!(lines[1][..4], ["testreplicaset", "3", "3", "3"]);
    assert_eq!(k.ok("get vmi -l myvmi=myvmi -o name", "").lines().count(), 3);
    let refused = k.fails("scale vmirs testreplicaset --current-replicas=7 --replicas=1", "");
    assert!(refused.contains("Expected replicas to be 7, was 3"), "{refused}");
    let autoscaled = k.ok("autoscale vmirs testreplicaset --min=3 --max=9", "");
    assert_eq!(autoscaled, "horizontalpodautoscaler.autoscaling/testreplicaset autoscaled");
    let selector = k.ok("get --raw /apis/kubevirt.io/v1/namespaces/default/virtualmachineinstancereplicasets/testreplicaset/scale", "");
    assert!(selector.contains("\"selector\":\"myvmi=myvmi\""), "{selector}");
    let described = k.ok("describe vmirs testreplicaset", "");
    assert!(described.contains("SuccessfulCreate"), "{described}");

    k.ok("wait --for=jsonpath={.status.readyReplicas}=1 vmpool/vm-pool --timeout=60s", "");
    assert_eq!(k.ok("scale vmpool vm-pool --replicas 2", ""), "virtualmachinepool.pool.kubevirt.io/vm-pool scaled");
    k.ok("wait --for=jsonpath={.status.readyReplicas}=2 vmpool/vm-pool --timeout=60s", "");
    assert_eq!(k.ok("get vm -o name", ""), "virtualmachine.kubevirt.io/vm-pool-0\nvirtualmachine.kubevirt.io/vm-pool-1");
    k.ok("delete vmpool vm-pool --timeout=60s", "");
    k.ok("delete vmirs testreplicaset --timeout=60s", "");
    k.ok("wait --for=delete vm --all --timeout=60s", "");
    k.ok("wait --for=delete vmi --all --timeout=60s", "");
}

#[test]
fn kubectl_watches() {
    let Some(kubectl) = Kubectl::find() else { return };
    let up = Up::start(&["--nodes", "1"]);
    let k = kubectl.of(&up);
    k.ok("apply -f -", &VM.replace("Always", "Halted"));
    let mut watch = Command::new(&kubectl.program)
        .arg("--kubeconfig")
        .arg(&up.kubeconfig)
        .args(["get", "vm", "vm", "-w", "-o", "jsonpath={.status.printableStatus}{\"\\n\"}"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "Stopped"));
    k.ok("patch vm vm --type=merge -p {\"spec\":{\"runStrategy\":\"Always\"}}", "");
    assert!(lines.any(|line| line == "Running"));
    watch.kill().unwrap();
    watch.wait().unwrap();
}
