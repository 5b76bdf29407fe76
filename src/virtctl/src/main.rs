//! The `virtctl` program.

use std::process::ExitCode;
use std::sync::Arc;
use virtctl::{Deps, FromKubeconfig, LocalHost, Output};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let words: Vec<_> = std::env::args_os().collect();
    let deps = Deps {
        connect: Arc::new(FromKubeconfig),
        host: Arc::new(LocalHost),
        net: Arc::new(runtime::TcpNet::default()),
        clock: runtime::Clock::system(),
        entropy: runtime::Entropy::system(),
        out: Output::new(std::io::stdout()),
        err: Output::new(std::io::stderr()),
        program: words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default(),
    };
    let code = runtime.block_on(virtctl::main(words, deps));
    // A pending read of standard input must not keep the program.
    runtime.shutdown_background();
    ExitCode::from(code)
}
