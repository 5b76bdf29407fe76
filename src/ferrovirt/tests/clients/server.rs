//! Servers that end with their tests, and client programs with a kubeconfig.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A running `ferrovirt`, killed with the value.
pub struct Server {
    child: Child,
    pub kubeconfig: PathBuf,
    pub folder: tempfile::TempDir,
    /// Kept open: the program may go on writing.
    _output: Box<dyn Read>,
}

impl Server {
    /// The API server without any controller.
    pub fn alone() -> Self {
        Self::start(&["apiserver"], "kubeconfig:")
    }

    /// A cluster with two nodes.
    pub fn cluster() -> Self {
        Self::start(&["up", "--nodes", "2"], "ready after")
    }

    fn start(args: &[&str], ready: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let (reader, writer) = std::io::pipe().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ferrovirt"))
            .args(args)
            .args(["--listen", "127.0.0.1:0", "--kubeconfig"])
            .arg(&kubeconfig)
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(reader);
        let mut seen = String::new();
        while !seen.lines().any(|line| line.starts_with(ready)) {
            assert!(output.read_line(&mut seen).unwrap() > 0, "it ended before it was ready: {seen}");
        }
        Self { child, kubeconfig, folder, _output: Box::new(output) }
    }

    /// The address in the kubeconfig.
    pub fn url(&self) -> String {
        let kubeconfig = std::fs::read_to_string(&self.kubeconfig).unwrap();
        kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server: ").map(|url| url.trim_matches('"').to_owned())).unwrap()
    }

    /// Writes a file beside the kubeconfig.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client program: named by an environment variable, or on the PATH.
pub struct Program(PathBuf);

impl Program {
    /// `None`, with a line that says so, when `probe` does not work.
    pub fn find(variable: &str, name: &str, probe: &[&str]) -> Option<Self> {
        let program = std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
        let works = Command::new(&program).args(probe).output().is_ok_and(|output| output.status.success());
        if !works {
            println!("skipped: `{name} {}` does not work here, and ${variable} names no other", probe.join(" "));
        }
        works.then_some(Self(program))
    }

    /// With the server's kubeconfig, and a folder of the test for what it keeps.
    pub fn with(&self, server: &Server) -> Session {
        Session {
            program: self.0.clone(),
            kubeconfig: server.kubeconfig.clone(),
            home: server.folder.path().to_owned(),
            editor: String::new(),
            working: Vec::new(),
        }
    }
}

/// A program that talks to a server.
#[derive(Clone)]
pub struct Session {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    editor: String,
    working: Vec<String>,
}

impl Session {
    /// With an editor for `edit`.
    pub fn editor(&self, editor: &str) -> Self {
        Self { editor: editor.to_owned(), ..self.clone() }
    }

    /// With arguments that come before those of each command.
    pub fn always(&self, line: &str) -> Self {
        Self { working: words(line), ..self.clone() }
    }

    /// The command that a line stands for; single quotes keep spaces.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.working)
            .args(words(line))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .env("KUBE_EDITOR", &self.editor)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, line: &str, stdin: &str) -> Output {
        let mut child = self.command(line).spawn().unwrap();
        // A program may end before it has read all.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs a command that has to work; its output, trimmed.
    pub fn ok(&self, line: &str) -> String {
        self.given(line, "")
    }

    /// Runs a command that has to work on its input; its output, trimmed.
    pub fn given(&self, line: &str, stdin: &str) -> String {
        let output = self.run(line, stdin);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {}\n{stdout}{stderr}", output.status);
        stdout.trim().to_owned()
    }

    /// Runs a command that has to fail; what it says on standard error, trimmed.
    pub fn fails(&self, line: &str, stdin: &str) -> String {
        let output = self.run(line, stdin);
        assert!(!output.status.success(), "{line} worked: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        let mut pieces = part.split(' ');
        words.last_mut().unwrap().push_str(pieces.next().unwrap());
        words.extend(pieces.map(ToOwned::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A table as rows of words.
pub fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
