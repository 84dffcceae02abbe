//! A short look at an SMTP or LMTP server: greeting, EHLO, STARTTLS, QUIT, and no message.
//!
//! Owns the dialog and what its answers mean. Knows no queues and no connectors. Always holds: nothing is left behind at the server: the
//! session ends with QUIT wherever it still can; the whole takes no longer than its patience.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use smtp::client::ReplyReader;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

use crate::tls_client::{Proof, TlsClient};

/// How a server is looked at.
#[derive(Clone, Copy)]
pub struct Probe<'a> {
    /// The name that its certificate is for.
    pub host: &'a str,
    /// Our name in EHLO.
    pub hello: &'a str,
    /// LHLO and not EHLO.
    pub lmtp: bool,
    /// What is done about TLS.
    pub tls: ProbeTls,
    /// What its certificate must prove.
    pub proof: Proof<'a>,
    /// Where the connection is made from.
    pub source: Option<IpAddr>,
    /// It wants a PROXY header first: one is sent that names nobody, as balancers send for their own probes.
    pub proxy_header: bool,
    /// For all of it.
    pub patience: Duration,
}

/// What is done about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeTls {
    /// Nothing.
    Off,
    /// STARTTLS where it is offered.
    Offered,
    /// STARTTLS; a server without it has failed.
    Needed,
    /// From the first byte.
    Implicit,
    /// Only whether somebody listens: nothing is said.
    Silent,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence.
    pub detail: String,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would take mail.
    Success,
    /// There is no connection.
    NoConnection,
    /// It says 4xx: later.
    Transient,
    /// It says 5xx: never.
    Permanent,
    /// It breaks off, or does not speak the protocol.
    Odd,
}

impl Verdict {
    /// In the words of operators.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Success => "success",
            Verdict::NoConnection => "unable to connect",
            Verdict::Transient => "transient",
            Verdict::Permanent => "permanent",
            Verdict::Odd => "external error",
        }
    }
}

impl Probe<'_> {
    /// Looks at a server on TCP.
    pub async fn tcp(&self, tls: &TlsClient, address: SocketAddr) -> Probed {
        self.bounded(async {
            let mut stream = self.connect(address).await.map_err(|error| Probed::no_connection(&error))?;
            if self.tls == ProbeTls::Silent {
                return Ok("somebody listens".to_string());
            }
            if self.proxy_header {
                stream.write_all(b"PROXY UNKNOWN\r\n").await.map_err(|error| Probed::odd("PROXY header", &error))?;
            }
            if self.tls != ProbeTls::Implicit {
                return self.in_clear(tls, Talk::with(stream)).await;
            }
            let stream = tls.start(stream, self.host, self.proof).await;
            let mut talk = Talk::with(stream.map_err(|error| Probed::odd("TLS handshake", &error))?);
            talk.expect(None, "the greeting").await?;
            let hello = talk.expect(Some(&self.hello_line()), "EHLO").await?;
            talk.quit().await;
            Ok(format!("{}, under TLS", greeted(&hello)))
        })
        .await
    }

    /// Looks at a server on a socket of this machine.
    pub async fn unix(&self, path: &Path) -> Probed {
        self.bounded(async {
            let stream = UnixStream::connect(path).await.map_err(|error| Probed::no_connection(&error))?;
            let mut talk = Talk::with(stream);
            talk.expect(None, "the greeting").await?;
            let hello = talk.expect(Some(&self.hello_line()), "EHLO").await?;
            talk.quit().await;
            Ok(greeted(&hello))
        })
        .await
    }

    async fn bounded(&self, look: impl Future<Output = Result<String, Probed>>) -> Probed {
        match timeout(self.patience, look).await {
            Ok(Ok(detail)) => Probed { verdict: Verdict::Success, detail },
            Ok(Err(probed)) => probed,
            Err(_) => {
                let detail = format!("it took longer than {} s", self.patience.as_secs());
                Probed { verdict: Verdict::NoConnection, detail }
            }
        }
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(address).await
    }

    async fn in_clear(&self, tls: &TlsClient, mut talk: Talk<TcpStream>) -> Result<String, Probed> {
        talk.expect(None, "the greeting").await?;
        let hello = talk.expect(Some(&self.hello_line()), "EHLO").await?;
        let offers = hello.lines().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"));
        match (self.tls, offers) {
            (ProbeTls::Off, _) => {}
            (ProbeTls::Needed, false) => {
                talk.quit().await;
                let detail = format!("{}, but it does not offer STARTTLS", greeted(&hello));
                return Err(Probed { verdict: Verdict::Permanent, detail });
            }
            (_, false) => {
                talk.quit().await;
                return Ok(format!("{}, in clear: it does not offer STARTTLS", greeted(&hello)));
            }
            (_, true) => {
                talk.expect(Some("STARTTLS\r\n"), "STARTTLS").await?;
                let stream = tls.start(talk.stream, self.host, self.proof).await;
                let mut talk = Talk::with(stream.map_err(|error| Probed::odd("TLS handshake", &error))?);
                let hello = talk.expect(Some(&self.hello_line()), "EHLO under TLS").await?;
                talk.quit().await;
                return Ok(format!("{}, STARTTLS works", greeted(&hello)));
            }
        }
        talk.quit().await;
        Ok(greeted(&hello))
    }

    fn hello_line(&self) -> String {
        format!("{} {}\r\n", if self.lmtp { "LHLO" } else { "EHLO" }, self.hello)
    }
}

impl Probed {
    fn no_connection(error: &io::Error) -> Probed {
        Probed { verdict: Verdict::NoConnection, detail: error.to_string() }
    }

    fn odd(at: &str, error: &dyn std::fmt::Display) -> Probed {
        Probed { verdict: Verdict::Odd, detail: format!("{at}: {error}") }
    }
}

/// What a server calls itself in its answer to EHLO.
fn greeted(hello: &str) -> String {
    let first = hello.lines().next().unwrap_or_default();
    format!("{} answers", first.split(' ').next().filter(|name| !name.is_empty()).unwrap_or("it"))
}

/// One side of a dialog.
struct Talk<S> {
    stream: S,
    reader: ReplyReader,
    read: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    fn with(stream: S) -> Talk<S> {
        Talk { stream, reader: ReplyReader::new(), read: 0 }
    }

    /// Says something and gives the text of a positive answer.
    async fn expect(&mut self, command: Option<&str>, what: &str) -> Result<String, Probed> {
        if let Some(command) = command {
            self.stream.write_all(command.as_bytes()).await.map_err(|error| Probed::odd(what, &error))?;
            self.stream.flush().await.map_err(|error| Probed::odd(what, &error))?;
        }
        let reply = self.answer().await.map_err(|why| Probed::odd(what, &why))?;
        let verdict = match reply.code / 100 {
            2 => return Ok(reply.text.into_owned()),
            4 => Verdict::Transient,
            5 => Verdict::Permanent,
            _ => Verdict::Odd,
        };
        let detail = format!("{what} is answered with {}", reply.to_string().replace('\n', " "));
        self.quit().await;
        Err(Probed { verdict, detail })
    }

    async fn answer(&mut self) -> Result<mail::Reply, String> {
        let mut buffer = [0; 2048];
        loop {
            let count = self.stream.read(&mut buffer).await.map_err(|error| error.to_string())?;
            self.read += count as u64;
            if count == 0 {
                return Err("the connection was closed".into());
            }
            if self.read > READ_BYTES_MAX {
                return Err("it says too much".into());
            }
            match self.reader.next(&mut &buffer[..count]) {
                Ok(Some(heard)) => return Ok(heard.to_reply()),
                Ok(None) => {}
                Err(malformed) => return Err(malformed.to_string()),
            }
        }
    }

    /// A goodbye; whether it is heard does not matter any more, but an answer is waited for: a connection that is cut is an error at
    /// the other end.
    async fn quit(&mut self) {
        if self.stream.write_all(b"QUIT\r\n").await.is_ok() && self.stream.flush().await.is_ok() {
            let _ = timeout(GOODBYE_MAX, self.answer()).await;
            let _ = timeout(GOODBYE_MAX, self.stream.shutdown()).await;
        }
    }
}

/// Of a whole session.
const READ_BYTES_MAX: u64 = 256 << 10;
const GOODBYE_MAX: Duration = Duration::from_secs(1);
