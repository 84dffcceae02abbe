//! One probe from the connection to its end: carries bytes between a socket and a [`Dialog`].

use super::certificate::Certificate;
use super::dialog::{Dialog, Effect, Next};
use super::sip;
use super::target::{Kind, Target};
use super::tls::ProbeTls;
use super::verdict::{Found, Verdict};
use directory::ProxyHeader;
use rustix::io::Errno;
use smtp::proxy::{encode_v1, encode_v2_local};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Probes `target` once; `hello` is our name, `id` this probe's number alone. Takes no longer than the target's timeout. `None`: we could not
/// ask, for want of descriptors or memory of our own, which says nothing about the target.
pub async fn look(target: &Target, tls: &ProbeTls, hello: &str, id: u64) -> Option<Found> {
    let patience = Duration::from_millis(target.settings.timeout_ms);
    if matches!(target.kind, Kind::Sip | Kind::Sips) {
        let verdict = match tokio::time::timeout(patience, sip::look(target, tls, id)).await {
            Ok(Ok(found)) => return Some(found),
            Ok(Err(error)) if is_want(&error) => return None,
            Ok(Err(error)) => Verdict::failed(&format!("no answer to OPTIONS: {}", cause(&error))),
            Err(_) => Verdict::failed(&format!("no answer to OPTIONS in {} ms", target.settings.timeout_ms)),
        };
        return Some(Found { verdict, certificate: None });
    }
    let mut look = Look { target, tls, dialog: Dialog::new(target, hello), certificate: None };
    let verdict = match tokio::time::timeout(patience, look.run()).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(Broken::Connect(error))) if is_want(&error) => return None,
        Ok(Err(Broken::Connect(error))) => Verdict::failed(&format!("no connection: {}", cause(&error))),
        Ok(Err(Broken::Tls(error))) => Verdict::failed(&format!("TLS handshake: {}", cause(&error))),
        Ok(Err(Broken::Closed)) => look.dialog.end("the connection was closed"),
        Ok(Err(Broken::Lost(error))) => look.dialog.end(&cause(&error)),
        Err(_) => look.dialog.end(&format!("no answer in {} ms", target.settings.timeout_ms)),
    };
    Some(Found { verdict, certificate: look.certificate })
}

/// We have no descriptor or no memory for a socket.
fn is_want(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

struct Look<'t> {
    target: &'t Target,
    tls: &'t ProbeTls,
    dialog: Dialog,
    certificate: Option<Certificate>,
}

/// How a dialog ended before its time.
enum Broken {
    Connect(io::Error),
    Tls(io::Error),
    Closed,
    Lost(io::Error),
}

/// How a conversation went.
enum Talked {
    Over(Verdict),
    StartTls,
}

impl Look<'_> {
    async fn run(&mut self) -> Result<Verdict, Broken> {
        let mut stream = TcpStream::connect(self.target.address).await.map_err(Broken::Connect)?;
        let _ = stream.set_nodelay(true);
        let mut header = Vec::new();
        match self.target.proxy {
            ProxyHeader::None => {}
            // UNKNOWN would be the word, and Postfix refuses it: we are a client of our own.
            ProxyHeader::V1 => encode_v1(&mut header, stream.local_addr().map_err(Broken::Lost)?, self.target.address),
            ProxyHeader::V2 => encode_v2_local(&mut header),
        }
        stream.write_all(&header).await.map_err(Broken::Lost)?;
        if !self.target.kind.is_tls_first() {
            let begin = self.dialog.begin();
            match self.talk(&mut stream, begin).await? {
                Talked::Over(verdict) => return Ok(verdict),
                Talked::StartTls => {}
            }
        }
        let is_first = self.target.kind.is_tls_first();
        let (mut stream, certificate) = self.tls.start(stream, self.target).await.map_err(Broken::Tls)?;
        self.certificate = certificate;
        let begin = if is_first { self.dialog.begin() } else { self.dialog.secured() };
        match self.talk(&mut stream, begin).await? {
            Talked::Over(verdict) => Ok(verdict),
            Talked::StartTls => Ok(Verdict::failed("TLS within TLS")),
        }
    }

    async fn talk<S>(&mut self, stream: &mut S, begin: Effect) -> Result<Talked, Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut effect, mut buffer) = (begin, [0; 2048]);
        loop {
            if !effect.send.is_empty() {
                stream.write_all(&effect.send).await.map_err(Broken::Lost)?;
                stream.flush().await.map_err(Broken::Lost)?;
            }
            match effect.next {
                Next::Read => {}
                Next::StartTls => return Ok(Talked::StartTls),
                Next::Over(verdict) => {
                    // A goodbye: what was found does not depend on it.
                    let _ = stream.shutdown().await;
                    return Ok(Talked::Over(verdict));
                }
            }
            match stream.read(&mut buffer).await {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => effect = self.dialog.receive(&buffer[..count]),
                // Many a server leaves TLS without its goodbye.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Broken::Closed),
                Err(error) => return Err(Broken::Lost(error)),
            }
        }
    }
}

/// What went wrong, without the number that the system gives it.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().map_or_else(String::new, str::to_string)
}
