//! One probe of a SIP server: OPTIONS over UDP, sent again as RFC 3261 17.1.2 has it, and over TCP where nobody answers that in half of
//! the time. What it says is `crate::sip`'s to write and to judge.

use super::target::Target;
use super::verdict::{Verdict, reason};
use crate::sip::options::{Ask, Judged, judge, request};
use crate::sip::{Frame, MESSAGE_BYTES_MAX, Transport, frame};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The first wait for an answer over UDP; each further one is twice as long.
const T1: Duration = Duration::from_millis(500);

/// Asks `target`; `id` is this probe's number alone. Does not end by itself where nobody answers: the caller is patient for so long only.
pub async fn look(target: &Target, id: u64) -> Verdict {
    let half = Duration::from_millis(target.settings.timeout_ms / 2);
    if let Ok(Ok(verdict)) = timeout(half, by_udp(target, id)).await {
        return verdict;
    }
    match by_tcp(target, id).await {
        Ok(verdict) => verdict,
        Err(error) => Verdict::failed(&format!("no answer to OPTIONS over UDP; over TCP: {error}")),
    }
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
    let mut stream = TcpStream::connect(target.address).await?;
    let ask = ask(target, Transport::Tcp, stream.local_addr()?, id);
    stream.write_all(&request(&ask)).await?;
    let mut heard = Vec::with_capacity(1024);
    loop {
        let used = match frame(&heard) {
            Frame::Message(bytes) => match verdict(&ask, &heard[..bytes]) {
                Some(verdict) => return Ok(verdict),
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
