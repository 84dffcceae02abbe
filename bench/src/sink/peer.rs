//! One connection of the sink: commands in, replies out, content through.

use std::io::{self, Write};
use std::net::TcpStream;

use memchr::memmem::Finder;

use super::content::{Content, Dotted, LINE_THEN_DOT};
use super::mode::Mode;
use crate::net::Interest;

/// What the sink offers, and what does not change per connection.
#[derive(Debug)]
pub struct House {
    /// The present behaviour.
    pub mode: Mode,
    /// EHLO's answer.
    pub hello: Vec<u8>,
    /// LMTP: one answer per recipient after the dot.
    pub lmtp: bool,
    finder: Finder<'static>,
}

impl House {
    /// A house that behaves so and offers CHUNKING or not.
    pub fn new(mode: Mode, chunking: bool, lmtp: bool) -> House {
        let mut hello =
            "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE 1000000000\r\n".to_owned();
        if chunking {
            hello.push_str("250-CHUNKING\r\n");
        }
        hello.push_str("250 ENHANCEDSTATUSCODES\r\n");
        House { mode, hello: hello.into_bytes(), lmtp, finder: Finder::new(LINE_THEN_DOT) }
    }
}

/// What the owner has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: more input is needed.
    Wait,
    /// A message has come whole: record it, then call `answer_message` or leave it unanswered.
    Message,
    /// Send what is in the output and close.
    Close,
}

/// One connection.
#[derive(Debug)]
pub struct Peer {
    /// Which connection of the run it is.
    pub serial: u64,
    /// The socket.
    pub link: TcpStream,
    /// The message that is coming or has come.
    pub content: Content,
    /// Its recipients.
    pub recipients: Vec<String>,
    /// What the socket is watched for.
    pub watched: Interest,
    /// The answer is late on purpose, or will never come: no input is read.
    pub held: bool,
    stage: Stage,
    input: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Commands,
    Data,
    /// So many bytes of the chunk are missing.
    Chunk(usize, Chunk),
    Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Last,
    Further,
    /// Its command was refused, but the bytes follow all the same.
    Refused,
}

impl Peer {
    /// A new connection, greeted as the mode wants.
    pub fn new(link: TcpStream, serial: u64, house: &House) -> Peer {
        let mut peer = Peer {
            serial,
            link,
            content: Content::default(),
            recipients: Vec::new(),
            watched: Interest::Input,
            held: false,
            stage: Stage::Commands,
            input: Vec::new(),
            output: Vec::new(),
        };
        match house.mode {
            Mode::Refuse421 => {
                peer.say("421 4.3.2 sink refuses\r\n");
                peer.stage = Stage::Closing;
            }
            Mode::Mute => peer.held = true,
            _ => peer.say("220 sink.example ESMTP\r\n"),
        }
        peer
    }

    /// Takes input until there is something for the owner to do. What is left over is kept; call again with nothing.
    pub fn hears(&mut self, bytes: &[u8], house: &House) -> Next {
        if self.input.is_empty() {
            let (used, next) = self.work(bytes, house);
            self.input.extend_from_slice(&bytes[used..]);
            return next;
        }
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let (used, next) = self.work(&input, house);
        self.input = input;
        self.input.drain(..used);
        next
    }

    /// Answers the message that came, and makes ready for the next.
    pub fn answer_message(&mut self, line: &str, house: &House) {
        let answers = if house.lmtp { self.recipients.len() } else { 1 };
        for _ in 0..answers {
            self.say(line);
        }
        self.recipients.clear();
    }

    /// Sends what is to be sent; true when something is left.
    ///
    /// # Errors
    /// The connection is gone, or it does not take its answers.
    pub fn flush(&mut self) -> io::Result<bool> {
        while !self.output.is_empty() {
            match self.link.write(&self.output) {
                Ok(count) if count == self.output.len() => self.output.clear(),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.output.drain(..count)),
                Err(failed) if failed.kind() == io::ErrorKind::WouldBlock && self.output.len() < MOST_OUTPUT => {
                    return Ok(true);
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(false)
    }

    /// Whether nothing more is expected of the peer.
    pub fn is_closing(&self) -> bool {
        self.stage == Stage::Closing
    }

    fn work(&mut self, bytes: &[u8], house: &House) -> (usize, Next) {
        let mut at = 0;
        loop {
            let part = &bytes[at..];
            match self.stage {
                Stage::Closing => return (bytes.len(), Next::Close),
                Stage::Data => match self.content.dotted(part, &house.finder) {
                    Dotted::More => return (bytes.len(), Next::Wait),
                    Dotted::Ended(used) => {
                        self.stage = Stage::Commands;
                        return (at + used, Next::Message);
                    }
                },
                Stage::Chunk(missing, which) => {
                    let here = missing.min(part.len());
                    self.content.plain(&part[..here]);
                    at += here;
                    if here < missing {
                        self.stage = Stage::Chunk(missing - here, which);
                        return (at, Next::Wait);
                    }
                    self.stage = Stage::Commands;
                    match which {
                        Chunk::Last => return (at, Next::Message),
                        Chunk::Further => self.say("250 2.0.0 chunk\r\n"),
                        Chunk::Refused => {}
                    }
                }
                Stage::Commands => {
                    let Some(end) = memchr::memchr(b'\n', part) else {
                        if part.len() > MOST_LINE {
                            self.stage = Stage::Closing;
                            continue;
                        }
                        return (at, Next::Wait);
                    };
                    at += end + 1;
                    self.command(&part[..end], house);
                }
            }
        }
    }

    fn command(&mut self, line: &[u8], house: &House) {
        let line = line.trim_ascii_end();
        let is = |verb: &[u8]| line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(verb));
        if is(b"MAIL") && house.mode == Mode::Refuse421 {
            self.say("421 4.3.2 sink refuses\r\n");
            self.stage = Stage::Closing;
        } else if is(b"MAIL") {
            self.recipients.clear();
            self.content.clear();
            self.say("250 2.1.0 ok\r\n");
        } else if is(b"RCPT") && house.mode == Mode::TempFail {
            self.say("451 4.7.1 sink will not now\r\n");
        } else if is(b"RCPT") && house.mode == Mode::Reject {
            self.say("550 5.1.1 sink knows nobody\r\n");
        } else if is(b"RCPT") {
            self.recipients.push(address_in(line));
            self.say("250 2.1.5 ok\r\n");
        } else if (is(b"DATA") || is(b"BDAT")) && self.recipients.is_empty() {
            self.stage = match chunk(line) {
                Some((len, _)) if is(b"BDAT") => Stage::Chunk(len, Chunk::Refused),
                _ => Stage::Commands,
            };
            self.say("554 5.5.1 no valid recipients\r\n");
        } else if is(b"DATA") {
            self.stage = Stage::Data;
            self.say("354 go ahead\r\n");
        } else if is(b"BDAT") {
            match chunk(line) {
                Some((len, which)) => self.stage = Stage::Chunk(len, which),
                None => self.say("501 5.5.4 BDAT size [LAST]\r\n"),
            }
        } else if is(b"EHLO") || is(b"LHLO") {
            self.output.extend_from_slice(&house.hello);
        } else if is(b"QUIT") {
            self.say("221 2.0.0 bye\r\n");
            self.stage = Stage::Closing;
        } else if is(b"RSET") {
            self.recipients.clear();
            self.say("250 2.0.0 ok\r\n");
        } else if is(b"HELO") || is(b"NOOP") {
            self.say("250 2.0.0 ok\r\n");
        } else {
            self.say("502 5.5.1 unknown\r\n");
        }
    }

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
    }
}

fn address_in(line: &[u8]) -> String {
    let from = memchr::memchr(b'<', line).map_or(0, |at| at + 1);
    let to = memchr::memrchr(b'>', line).unwrap_or(line.len()).max(from);
    String::from_utf8_lossy(&line[from..to]).replace([' ', ','], "_")
}

fn chunk(line: &[u8]) -> Option<(usize, Chunk)> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split_ascii_whitespace().skip(1);
    let len = words.next()?.parse().ok()?;
    let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
    Some((len, if last { Chunk::Last } else { Chunk::Further }))
}

const MOST_LINE: usize = 64 << 10;
const MOST_OUTPUT: usize = 256 << 10;
