//! Request targets with characters that belong escaped and that Go's server takes as they are: `?labelSelector=a>1`.
//!
//! hyper refuses such a request before anybody sees it, so they are escaped in the bytes of an HTTP/1.1 connection on their
//! way to it. To know where a request line begins, bodies are counted: by length, by chunks. After a request that asks for
//! another protocol all is passed on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What begins a line that matters, at most; the rest of longer lines is not looked at.
const LINE: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a request line; whether the target has begun.
    RequestLine { target: bool },
    /// In the headers.
    Headers,
    /// In a body or a chunk of one, with so many bytes to come.
    Data { left: u64, chunked: bool },
    /// In the line with a chunk's size.
    ChunkSize,
    /// In what follows the last chunk.
    Trailers,
    /// All of the rest is somebody else's.
    Pass,
}

/// Follows the requests in a stream of bytes and escapes in their targets.
#[derive(Debug)]
struct Escaper {
    state: State,
    line: Vec<u8>,
    length: u64,
    chunked: bool,
    upgrade: bool,
}

impl Escaper {
    fn new() -> Self {
        Self { state: State::RequestLine { target: false }, line: Vec::new(), length: 0, chunked: false, upgrade: false }
    }

    /// Takes the next bytes and appends what hyper shall see.
    fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while let Some((&byte, rest)) = input.split_first() {
            match self.state {
                State::Pass => {
                    out.extend_from_slice(input);
                    return;
                }
                State::Data { left, chunked } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let (data, after) = input.split_at(take);
                    out.extend_from_slice(data);
                    input = after;
                    let left = left - take as u64;
                    self.state = match (left, chunked) {
                        (0, true) => State::ChunkSize,
                        (0, false) => State::RequestLine { target: false },
                        _ => State::Data { left, chunked },
                    };
                    continue;
                }
                State::RequestLine { target: true } if needs_escape(byte) => {
                    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
                    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0xf)]);
                }
                _ => {
                    out.push(byte);
                    if byte == b'\n' {
                        self.end_of_line();
                    } else if byte == b' ' && matches!(self.state, State::RequestLine { .. }) {
                        self.state = State::RequestLine { target: true };
                    }
                }
            }
            if byte != b'\n' && byte != b'\r' && self.line.len() < LINE {
                self.line.push(byte);
            }
            input = rest;
        }
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.state = match self.state {
            // Empty lines before a request are allowed.
            State::RequestLine { .. } if line.is_empty() => State::RequestLine { target: false },
            State::RequestLine { .. } if line.starts_with(b"PRI ") => State::Pass,
            State::RequestLine { .. } => {
                (self.length, self.chunked, self.upgrade) = (0, false, false);
                State::Headers
            }
            State::Headers if !line.is_empty() => {
                self.header(&String::from_utf8_lossy(&line).to_ascii_lowercase());
                State::Headers
            }
            State::Headers if self.upgrade => State::Pass,
            State::Headers if self.chunked => State::ChunkSize,
            State::Headers if self.length > 0 => State::Data { left: self.length, chunked: false },
            State::Trailers if !line.is_empty() => State::Trailers,
            State::Headers | State::Trailers => State::RequestLine { target: false },
            State::ChunkSize => {
                let digits = String::from_utf8_lossy(&line);
                let size = digits.split(';').next().unwrap_or_default().trim().to_owned();
                match u64::from_str_radix(&size, 16) {
                    Ok(0) => State::Trailers,
                    // The line's end after the data belongs to the chunk.
                    Ok(size) => State::Data { left: size.saturating_add(2), chunked: true },
                    // hyper ends the connection over this.
                    Err(_) => State::Pass,
                }
            }
            other @ (State::Data { .. } | State::Pass) => other,
        };
    }

    fn header(&mut self, line: &str) {
        let Some((name, value)) = line.split_once(':') else { return };
        match name {
            "content-length" => self.length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => self.chunked = value.contains("chunked"),
            "connection" | "upgrade" => self.upgrade |= name == "upgrade" || value.contains("upgrade"),
            _ => {}
        }
    }
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'"' | b'`') || byte >= 0x80
}

/// An HTTP/1.1 connection whose request targets come out escaped.
#[derive(Debug)]
pub struct Escaping<S> {
    inner: S,
    escaper: Escaper,
    ready: Vec<u8>,
    given: usize,
}

impl<S> Escaping<S> {
    /// Around a connection that nothing was read from.
    pub fn new(inner: S) -> Self {
        Self { inner, escaper: Escaper::new(), ready: Vec::new(), given: 0 }
    }

    /// Around a connection of another protocol, whose bytes stay as they are.
    pub fn none(inner: S) -> Self {
        let mut this = Self::new(inner);
        this.escaper.state = State::Pass;
        this
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Escaping<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.given == this.ready.len() {
            if this.escaper.state == State::Pass {
                return Pin::new(&mut this.inner).poll_read(cx, buffer);
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            this.ready.clear();
            this.given = 0;
            this.escaper.feed(read, &mut this.ready);
            // Almost always nothing was escaped: what was read is right where it is.
            if this.ready == read {
                this.given = this.ready.len();
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
        let left = this.ready.get(this.given..).unwrap_or_default();
        let take = left.len().min(buffer.remaining());
        buffer.put_slice(left.get(..take).unwrap_or_default());
        this.given += take;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Escaping<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn pass(pieces: &[&[u8]]) -> String {
        let (mut escaper, mut out) = (Escaper::new(), Vec::new());
        for piece in pieces {
            escaper.feed(piece, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[rstest]
    #[case("GET /x?a>1&b=<\" HTTP/1.1\r\nX: <>\r\n\r\n", "GET /x?a%3E1&b=%3C%22 HTTP/1.1\r\nX: <>\r\n\r\n")]
    #[case("GET /\u{fc} HTTP/1.1\r\n\r\n", "GET /%C3%BC HTTP/1.1\r\n\r\n")]
    #[case(
        "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n<> <GET /> HTTP/1.1\r\n\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n<> <GET /%3E HTTP/1.1\r\n\r\n"
    )]
    #[case(
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na >\r\n0\r\nT: <\r\n\r\nGET /> HTTP/1.1\r\n\r\n",
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na >\r\n0\r\nT: <\r\n\r\nGET /%3E HTTP/1.1\r\n\r\n"
    )]
    #[case("GET /a> HTTP/1.1\r\nUpgrade: x\r\n\r\nGET /> \r\n", "GET /a%3E HTTP/1.1\r\nUpgrade: x\r\n\r\nGET /> \r\n")]
    #[case("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n a>\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n a>\r\n")]
    fn targets_are_escaped_and_nothing_else(#[case] sent: &str, #[case] seen: &str) {
        assert_eq!(pass(&[sent.as_bytes()]), seen);
        let bytes: Vec<&[u8]> = sent.as_bytes().chunks(1).collect();
        assert_eq!(pass(&bytes), seen, "byte by byte");
    }

    proptest! {
        #[test]
        fn what_needs_no_escape_stays(text in "[ !#-;=?-_a-z\r\n]{0,200}") {
            prop_assert_eq!(pass(&[text.as_bytes()]), text);
        }
    }

    #[tokio::test]
    async fn a_small_buffer_gets_all_of_it() {
        let mut stream = Escaping::new(&b"GET /<<<< HTTP/1.1\r\n\r\n"[..]);
        let (mut seen, mut buffer) = (Vec::new(), [0; 3]);
        loop {
            let read = stream.read(&mut buffer).await.unwrap();
            if read == 0 {
                break;
            }
            seen.extend_from_slice(&buffer[..read]);
        }
        assert_eq!(String::from_utf8(seen).unwrap(), "GET /%3C%3C%3C%3C HTTP/1.1\r\n\r\n");
    }
}
