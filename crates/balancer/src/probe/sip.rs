//! One probe of a SIP server: OPTIONS over UDP, sent again as RFC 3261 17.1.2 has it, and over TCP where nobody answers that in half of
//! the time; or over TLS and nothing else. What it says is `crate::sip`'s to write and to judge.

use super::target::{Kind, Target};
use super::tls::ProbeTls;
use super::verdict::{Found, Verdict, reason};
use crate::sip::options::{Ask, Judged, judge, request};
use crate::sip::{Frame, MESSAGE_BYTES_MAX, Transport, frame};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The first wait for an answer over UDP; each further one is twice as long.
const T1: Duration = Duration::from_millis(500);

/// Asks `target`; `id` is this probe's number alone. Does not end by itself where nobody answers: the caller is patient for so long only.
/// Errors: what went wrong over the last that was tried.
pub async fn look(target: &Target, tls: &ProbeTls, id: u64) -> io::Result<Found> {
    if target.kind == Kind::Sips {
        return by_tls(target, tls, id).await;
    }
    let half = Duration::from_millis(target.settings.timeout_ms / 2);
    let verdict = match timeout(half, by_udp(target, id)).await {
        Ok(Ok(verdict)) => verdict,
        _ => by_tcp(target, id).await?,
    };
    Ok(Found { verdict, certificate: None })
}

async fn by_udp(target: &Target, id: u64) -> io::Result<Verdict> {
    let any: SocketAddr = match target.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target.address).await?;
    let ask = ask(target, Transport::Udp, socket.local_addr()?, id);
    let (question, mut wait, mut answer) = (request(&ask), T1, vec![0; MESSAGE_BYTES_MAX]);
    loop {
        socket.send(&question).await?;
        // Within the wait there may be provisional answers, and late ones to probes of before.
        let heard = timeout(wait, async {
            loop {
                let bytes = socket.recv(&mut answer).await?;
                if let Some(verdict) = verdict(&ask, &answer[..bytes]) {
                    return io::Result::Ok(verdict);
                }
            }
        });
        if let Ok(heard) = heard.await {
            return heard;
        }
        wait *= 2;
    }
}

async fn by_tcp(target: &Target, id: u64) -> io::Result<Verdict> {
    let stream = TcpStream::connect(target.address).await?;
    let ask = ask(target, Transport::Tcp, stream.local_addr()?, id);
    by_stream(stream, &ask).await
}

async fn by_tls(target: &Target, tls: &ProbeTls, id: u64) -> io::Result<Found> {
    let stream = TcpStream::connect(target.address).await?;
    let ask = ask(target, Transport::Tls, stream.local_addr()?, id);
    let (stream, certificate) = tls.start(stream, target).await?;
    let verdict = by_stream(stream, &ask).await?;
    Ok(Found { verdict, certificate })
}

async fn by_stream(mut stream: impl AsyncRead + AsyncWrite + Unpin, ask: &Ask) -> io::Result<Verdict> {
    stream.write_all(&request(ask)).await?;
    stream.flush().await?;
    let mut heard = Vec::with_capacity(1024);
    loop {
        let used = match frame(&heard) {
            Frame::Message(bytes) => match verdict(ask, &heard[..bytes]) {
                Some(verdict) => {
                    // A goodbye: what was found does not depend on it.
                    let _ = stream.shutdown().await;
                    return Ok(verdict);
                }
                None => bytes,
            },
            Frame::Blank(bytes) => bytes,
            Frame::Ping => 4,
            Frame::Lost => return Ok(Verdict::failed("not SIP")),
            Frame::Incomplete if stream.read_buf(&mut heard).await? == 0 => {
                return Ok(Verdict::failed("at OPTIONS: the connection was closed"));
            }
            Frame::Incomplete => 0,
        };
        heard.drain(..used);
    }
}

fn ask(target: &Target, transport: Transport, local: SocketAddr, id: u64) -> Ask {
    let host = match &target.server_name {
        Some(name) => format!("{name}:{}", target.address.port()),
        None => target.address.to_string(),
    };
    Ask { host, transport, local, id }
}

fn verdict(ask: &Ask, message: &[u8]) -> Option<Verdict> {
    match judge(ask, message) {
        Judged::Up => Some(Verdict::Ready),
        Judged::Draining(why) => Some(Verdict::Draining(reason(&why))),
        Judged::Other => None,
    }
}
