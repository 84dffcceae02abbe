//! The conversation with one name server, over UDP or TCP, signed where there is a key.

use super::{Answer, Question};
use crate::tsig::{Chain, Key};
use crate::wire::message::{questions_end, u16_at};
use crate::wire::{HEADER, rcode_word};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use world::World;

/// A name server of others.
#[derive(Clone)]
pub struct Server {
    world: World,
    address: SocketAddr,
    key: Option<Key>,
}

/// A TCP connection to one.
pub struct Conversation {
    server: Server,
    stream: TcpStream,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The way there.
    Unreachable(String),
    /// It did not answer in time.
    Silent,
    /// What came back is no answer to this.
    Garbled,
    /// It does not take our signature, or its own does not count.
    Signature(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Unreachable(why) => write!(f, "it cannot be reached: {why}"),
            Failed::Silent => write!(f, "it does not answer"),
            Failed::Garbled => write!(f, "what it answers cannot be read"),
            Failed::Signature(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for Failed {}

impl Server {
    /// The server there; with a key, all that is said is signed.
    pub fn new(world: &World, address: SocketAddr, key: Option<Key>) -> Server {
        Server { world: world.clone(), address, key }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks over UDP, as resolvers do, several times if need be; over TCP what does not fit.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Failed> {
        let mut failed = Failed::Silent;
        for wait_ms in UDP_WAITS_MS {
            match timeout(Duration::from_millis(wait_ms), self.ask_once(question)).await {
                Ok(Ok(answer)) if answer.is_cut => return self.open().await?.ask(question).await,
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(why)) => failed = why,
                Err(_) => {}
            }
        }
        Err(failed)
    }

    async fn ask_once(&self, question: &Question) -> Result<Answer, Failed> {
        let any: SocketAddr = match self.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
        socket.connect(self.address).await.map_err(unreachable)?;
        let (message, chain) = self.signed(question.message(self.number()));
        socket.send(&message).await.map_err(unreachable)?;
        let mut buffer = vec![0; ANSWER_MAX];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(unreachable)?;
            // Anybody can send us something: only what fits our question ends the wait.
            if is_answer_to(&message, &buffer[..length]) {
                return self.read(buffer[..length].to_vec(), chain);
            }
        }
    }

    /// Opens a connection.
    pub async fn open(&self) -> Result<Conversation, Failed> {
        let stream = within(TcpStream::connect(self.address)).await?;
        Ok(Conversation { server: self.clone(), stream })
    }

    pub(crate) fn number(&self) -> u16 {
        self.world.chance.u64() as u16
    }

    fn now_s(&self) -> u64 {
        self.world.clock.wall_ms() / 1_000
    }

    fn signed(&self, mut message: Vec<u8>) -> (Vec<u8>, Option<Chain>) {
        let chain = self.key.as_ref().map(|key| key.sign_request(&mut message, self.now_s()));
        (message, chain)
    }

    fn read(&self, mut message: Vec<u8>, chain: Option<Chain>) -> Result<Answer, Failed> {
        if let Some(mut chain) = chain {
            let rcode = rcode_word(message.get(3).map_or(0, |flags| flags & 15));
            let verified = chain.verify_answer(&mut message, self.now_s());
            verified.map_err(|why| Failed::Signature(format!("{why} (it answers {rcode})")))?;
        }
        Answer::read(&message).ok_or(Failed::Garbled)
    }
}

impl Conversation {
    /// Asks.
    pub async fn ask(&mut self, question: &Question) -> Result<Answer, Failed> {
        let number = self.server.number();
        self.say(question.message(number)).await
    }

    /// Sends a message, which has a number of its own, and waits for what it is answered with.
    pub async fn say(&mut self, message: Vec<u8>) -> Result<Answer, Failed> {
        let (message, chain) = self.server.signed(message);
        let length =
            u16::try_from(message.len()).map_err(|_| Failed::Unreachable("the message is too long for DNS".into()))?;
        let framed = [&length.to_be_bytes()[..], &message].concat();
        within(self.stream.write_all(&framed)).await?;
        let mut length = [0; 2];
        within(self.stream.read_exact(&mut length)).await?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        within(self.stream.read_exact(&mut answer)).await?;
        match is_answer_to(&message, &answer) {
            true => self.server.read(answer, chain),
            false => Err(Failed::Garbled),
        }
    }
}

/// The same number; and the same question, if the answer repeats one (a server that has not understood it may leave it out).
fn is_answer_to(asked: &[u8], answer: &[u8]) -> bool {
    let question = |message: &[u8]| {
        questions_end(message).and_then(|end| message.get(HEADER..end).map(<[u8]>::to_ascii_lowercase))
    };
    u16_at(asked, 0) == u16_at(answer, 0)
        && answer.get(2).is_some_and(|flags| flags & 0x80 != 0)
        && (u16_at(answer, 4) == Some(0) || question(asked) == question(answer))
}

async fn within<T>(step: impl Future<Output = io::Result<T>>) -> Result<T, Failed> {
    match timeout(Duration::from_millis(TCP_WAIT_MS), step).await {
        Ok(done) => done.map_err(unreachable),
        Err(_) => Err(Failed::Silent),
    }
}

fn unreachable(error: io::Error) -> Failed {
    let text = error.to_string();
    Failed::Unreachable(text.split(" (os error").next().unwrap_or_default().to_lowercase())
}

/// How long each try over UDP waits.
const UDP_WAITS_MS: [u64; 3] = [1_000, 2_000, 3_000];

/// How long each step over TCP may take.
const TCP_WAIT_MS: u64 = 10_000;

/// Octets of an answer over UDP that are looked at.
const ANSWER_MAX: usize = 4_096;
