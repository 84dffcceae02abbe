//! One connection to a server: whole messages, one after the other, each within its time.

use crate::tls_client::{Proof, TlsClient};
use directory::ldap::wire::{self, Answer, Done, MESSAGE_BYTES_MAX};
use directory::ldap::{Directory, Server, Transit};
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection and its TLS handshake are waited for.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server may be silent while an answer is expected.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a server did not answer, in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection.
pub struct Link {
    stream: Box<dyn Stream>,
    /// What came and is no whole message yet.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were read already.
    taken: usize,
    last_id: i32,
}

impl Link {
    /// Connects, and protects the connection as the document asks.
    pub async fn open(tls: &TlsClient, directory: &Directory, server: &Server) -> Result<Link, Trouble> {
        let proof = Proof::Name(directory.tls_ca.as_ref().map(|authorities| &*authorities.pem));
        let opening = async {
            let tcp = TcpStream::connect((&*server.host, server.port)).await;
            let tcp = tcp.map_err(|error| Trouble(format!("cannot connect: {error}")))?;
            // Without it an answer of a small request waits for the next one; nothing depends on it.
            let _ = tcp.set_nodelay(true);
            let tcp = match server.transit {
                Transit::Clear => return Ok(Link::on(Box::new(tcp))),
                Transit::Tls => tcp,
                Transit::StartTls => asked_for_tls(tcp).await?,
            };
            let protected = tls.start(tcp, &server.host, proof).await;
            protected.map(|stream| Link::on(Box::new(stream))).map_err(|error| Trouble(format!("TLS: {error}")))
        };
        match timeout(CONNECT_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(Trouble(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }

    fn on(stream: Box<dyn Stream>) -> Link {
        Link { stream, buffer: Vec::new(), taken: 0, last_id: 0 }
    }

    /// Sends a request that is made with its number.
    pub async fn send(&mut self, request: impl FnOnce(i32) -> Vec<u8>) -> Result<(), Trouble> {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let bytes = request(self.last_id);
        match timeout(ANSWER_TIMEOUT, self.stream.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Trouble(format!("the connection broke: {error}"))),
            Err(_) => Err(silent()),
        }
    }

    /// The next answer to the request that was sent last.
    pub async fn next(&mut self) -> Result<Answer, Trouble> {
        loop {
            let nonsense = || Trouble("it sent something that is no LDAP".into());
            let waiting = &self.buffer[self.taken..];
            match wire::length(waiting).map_err(|_| nonsense())? {
                Some(len) if len > MESSAGE_BYTES_MAX => {
                    return Err(Trouble(format!("it sent a message of {len} bytes, more than {MESSAGE_BYTES_MAX}")));
                }
                Some(len) if waiting.len() >= len => {
                    let (id, answer) = wire::answer(&waiting[..len]).ok_or_else(nonsense)?;
                    self.taken += len;
                    match id == i64::from(self.last_id) {
                        true => return Ok(answer),
                        // RFC 4511 4.4.1: number 0 is the server's own word, and the only one is that it hangs up.
                        false if id == 0 => return Err(Trouble("it hung up".into())),
                        false => continue,
                    }
                }
                _ => self.read().await?,
            }
        }
    }

    /// The end of the request that was sent last, which has no entries.
    pub async fn done(&mut self) -> Result<Done, Trouble> {
        loop {
            if let Answer::Done(done) = self.next().await? {
                return Ok(done);
            }
        }
    }

    async fn read(&mut self) -> Result<(), Trouble> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.reserve(READ_BYTES);
        match timeout(ANSWER_TIMEOUT, self.stream.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) => Err(Trouble("it closed the connection".into())),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Trouble(format!("the connection broke: {error}"))),
            Err(_) => Err(silent()),
        }
    }
}

/// Asks for TLS; nothing may come behind the answer before the handshake, or somebody put it there.
async fn asked_for_tls(tcp: TcpStream) -> Result<TcpStream, Trouble> {
    let mut tcp = tcp;
    let request = wire::start_tls(1);
    let broken = |error| Trouble(format!("the connection broke: {error}"));
    tcp.write_all(&request).await.map_err(broken)?;
    let mut bytes = Vec::new();
    let refused =
        |text: &str| Trouble(format!("it refused STARTTLS: {text}; write ldaps://, or tls = \"off\" on a trusted way"));
    loop {
        match wire::length(&bytes) {
            Ok(Some(len)) if bytes.len() == len => break,
            Ok(expected) if bytes.len() < expected.unwrap_or(START_TLS_BYTES_MAX).min(START_TLS_BYTES_MAX) => {}
            _ => return Err(refused("its answer is no LDAP")),
        }
        if tcp.read_buf(&mut bytes).await.map_err(broken)? == 0 {
            return Err(refused("it closed the connection"));
        }
    }
    match wire::answer(&bytes) {
        Some((1, Answer::Done(done))) if done.code == 0 => Ok(tcp),
        Some((_, Answer::Done(done))) => Err(refused(&done.text)),
        _ => Err(refused("its answer is no LDAP")),
    }
}

fn silent() -> Trouble {
    Trouble(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
}

const READ_BYTES: usize = 64 << 10;
/// Of the answer to STARTTLS.
const START_TLS_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::{Bound, Session};
    use tokio::net::TcpListener;

    /// What becomes of a bind at a server that answers each request with the next of these.
    async fn bind_at(answers: &[&[u8]], tls: &str) -> Result<Bound, Trouble> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("ldap://{}", listener.local_addr().unwrap());
        let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
        tokio::spawn(async move {
            let mut stream = listener.accept().await.unwrap().0;
            let mut request = [0; 1024];
            for answer in answers {
                let _ = stream.read(&mut request).await;
                stream.write_all(&answer).await.unwrap();
            }
        });
        let org = crate::receive::testing::org(&format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n[[directory]]\nname = \"d\"\nbase = \"o=x\"\ntls = \"{tls}\"\nservers = [\"{server}\"]\n"
        ));
        let directory = &org.directories[0];
        let mut session = Session::open(&TlsClient::new().unwrap(), directory, &directory.servers[0]).await?;
        session.bind("cn=a", b"pw").await
    }

    #[tokio::test]
    async fn a_server_that_misbehaves_is_a_trouble_and_no_more() {
        const RIGHT: &[u8] = &[0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0];
        const WRONG: &[u8] = &[0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 49, 4, 0, 4, 0];
        assert_eq!(bind_at(&[RIGHT], "off").await, Ok(Bound::Yes));
        assert_eq!(bind_at(&[WRONG], "off").await, Ok(Bound::No));
        let busy: &[u8] = &[0x30, 16, 2, 1, 1, 0x61, 11, 10, 1, 51, 4, 0, 4, 4, b'l', b'a', b't', b'e'];
        // STARTTLS was answered well, and more stands behind it than the answer.
        let injected: &[u8] = &[0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 0, 4, 0, 4, 0, 0x30, 0];
        let refused: &[u8] = &[0x30, 14, 2, 1, 1, 0x78, 9, 10, 1, 2, 4, 0, 4, 2, b'n', b'o'];
        for (answers, tls, expected) in [
            (&[busy][..], "off", "code 51: late"),
            (&[b"HTTP/1.0 400\r\n\r\n"], "off", "no LDAP"),
            (&[&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]], "off", "more than 33554432"),
            (&[&[0x30, 0x80]], "off", "no LDAP"),
            (&[&[0x30, 12, 2, 1, 0, 0x78, 7, 10, 1, 52, 4, 0, 4, 0]], "off", "hung up"),
            (&[&RIGHT[..9]], "off", "closed"),
            (&[], "off", ""),
            (&[refused], "require", "refused STARTTLS: no"),
            (&[injected], "require", "refused STARTTLS"),
            (&[b"x"], "require", "refused STARTTLS"),
        ] {
            let Err(Trouble(told)) = bind_at(answers, tls).await else { panic!("{answers:?}") };
            assert!(told.contains(expected), "{answers:?}: {told}");
        }
    }
}
