//! virt-tail: the guest's serial console as its pod's log (node.md §1.7).
//!
//! It prints a growing file from its beginning, whole lines only, and goes on with the new file where the old one was replaced or cut.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use runtime::process::{Failure, Options, interrupted, log};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// How often the file is looked at: at once while it grows, and ever more seldom while it does not.
const EAGER: Duration = Duration::from_millis(50);
const PATIENT: Duration = Duration::from_secs(1);
/// A line without an end is printed when it is this long, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// The command line of the program.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "virt-tail", version, about = "Prints a file as it grows.", long_about = None)]
pub struct Tail {
    /// The file.
    #[arg(long, value_name = "FILE")]
    pub logfile: String,
    /// How much is logged.
    #[arg(short, long = "v", default_value_t = 2)]
    pub v: u8,
    /// Where it does that.
    #[command(flatten)]
    pub process: Options,
}

impl Tail {
    /// Prints until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// The file cannot be read, or standard output is gone.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        log(self.v);
        follow(&self.process.path(&self.logfile), &mut tokio::io::stdout(), &interrupted()?).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What is known of the file that is followed.
struct Followed {
    path: PathBuf,
    file: Option<(File, u64)>,
    read: u64,
    line: Vec<u8>,
}

/// Prints a file as it grows until `stop`; one that is not there yet is waited for.
///
/// Guarantees: lines are printed whole; what was written before `stop` is printed, a last line without its end too.
///
/// # Errors
/// The file is there and cannot be read, or `output` fails.
pub async fn follow(path: &Path, output: &mut (impl AsyncWrite + Unpin), stop: &CancellationToken) -> io::Result<()> {
    let mut followed = Followed { path: path.to_owned(), file: None, read: 0, line: Vec::new() };
    let mut pause = EAGER;
    loop {
        let stopped = stop.is_cancelled();
        pause = if followed.print(output).await? { EAGER } else { (pause * 2).min(PATIENT) };
        if stopped {
            output.write_all(&followed.line).await?;
            return output.flush().await;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Followed {
    /// Prints what is new; whether there was anything.
    async fn print(&mut self, output: &mut (impl AsyncWrite + Unpin)) -> io::Result<bool> {
        self.reopen().await?;
        let Some((file, _)) = &mut self.file else { return Ok(false) };
        let mut buffer = vec![0; 8 << 10];
        let mut any = false;
        loop {
            let count = file.read(&mut buffer).await?;
            let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
            self.read += count as u64;
            self.line.extend_from_slice(read);
            any = true;
            let whole = self.line.iter().rposition(|byte| *byte == b'\n').map(|end| end + 1);
            let whole = whole.or_else(|| (self.line.len() >= LONGEST_LINE).then_some(self.line.len()));
            if let Some(end) = whole {
                let rest = self.line.split_off(end);
                output.write_all(&self.line).await?;
                self.line = rest;
            }
        }
        output.flush().await?;
        Ok(any)
    }

    /// Takes the file that has the name now; from its beginning where it is another one, or shorter than what was read.
    async fn reopen(&mut self) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let there = match tokio::fs::metadata(&self.path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            there => there?,
        };
        match &mut self.file {
            Some((file, inode)) if *inode == there.ino() => {
                if there.len() < self.read {
                    file.rewind().await?;
                    self.read = 0;
                }
            }
            Some(_) | None => {
                self.file = Some((File::open(&self.path).await?, there.ino()));
                self.read = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    #[tokio::test]
    async fn lines_are_printed_whole_as_the_file_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (reader, mut writer) = tokio::io::duplex(1 << 10);
        let stop = CancellationToken::new();
        let following = tokio::spawn({
            let (path, stop) = (path.clone(), stop.clone());
            async move { follow(&path, &mut writer, &stop).await }
        });
        let mut lines = BufReader::new(reader).lines();
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "one");
        file.write_all(b"o\n").unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "two");
        file.set_len(0).unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"3\n").unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "3");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another file\nno end").unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "another file");
        stop.cancel();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "no end");
        following.await.unwrap().unwrap();
        assert_eq!(lines.next_line().await.unwrap(), None);
    }
}
