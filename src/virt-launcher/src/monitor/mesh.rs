//! A service mesh's proxy in the pod: it never ends by itself, and so has to be told (node.md §1.6).

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::cleanup::pause;

const READY: (u16, &str) = (15021, "/healthz/ready");
const QUIT: (u16, &str) = (15020, "/quitquitquit");
const TIMEOUT: Duration = Duration::from_secs(2);
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What an HTTP server answers: its status, and who it says it is.
struct Answered {
    status: u16,
    server: String,
}

/// Tells an Envoy to end, if there is one.
pub(super) fn quit() {
    if !request("GET", READY).is_ok_and(|answered| answered.server == "envoy") {
        return;
    }
    let mut wait = FIRST_PAUSE;
    for _ in 0..TRIES {
        match request("POST", QUIT) {
            Ok(answered) if answered.status != 503 => return,
            Ok(_) => tracing::info!("the proxy is busy"),
            Err(error) => tracing::info!(%error, "the proxy cannot be told to end"),
        }
        pause(wait);
        wait *= 5;
    }
}

fn request(method: &str, (port, path): (u16, &str)) -> io::Result<Answered> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut writer = &stream;
    writer.write_all(
        format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let head = BufReader::new(&stream).lines().take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
    answered(&head.collect::<io::Result<Vec<String>>>()?)
}

fn answered(head: &[String]) -> io::Result<Answered> {
    let status = head.first().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no HTTP"))?;
    let server = head.iter().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("server"));
    Ok(Answered { status, server: server.map_or_else(String::new, |(_, value)| value.trim().to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envoy_is_known_by_its_header() {
        let head: Vec<String> = ["HTTP/1.1 200 OK", "Server: envoy", "x: y"].map(str::to_owned).into();
        let found = answered(&head).unwrap();
        assert_eq!((found.status, found.server.as_str()), (200, "envoy"));
        assert!(answered(&["nonsense".to_owned()]).is_err());
    }
}
