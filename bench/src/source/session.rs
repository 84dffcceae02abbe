//! One session of the generator: which answers it waits for, and what is not yet written.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::{Options, Pipelining};
use crate::letter::{Digest, Template};
use crate::net::Interest;

/// One message on its way.
#[derive(Debug)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// The digest of its body, once the content has been made.
    pub digest: Digest,
    /// When MAIL was sent.
    pub begun: Instant,
    /// When its content was handed to the system.
    pub content_sent: Instant,
    number: u64,
    recipients_taken: usize,
    refused: Option<u16>,
    texts: Vec<String>,
}

impl Job {
    /// A message that has not been tried.
    pub fn new(number: u64, id: String) -> Job {
        let now = Instant::now();
        Job {
            id,
            digest: Digest::default(),
            begun: now,
            content_sent: now,
            number,
            recipients_taken: 0,
            refused: None,
            texts: Vec::new(),
        }
    }
}

/// An answer of the server.
#[derive(Debug)]
pub struct Reply {
    /// Its three digits.
    pub code: u16,
    /// Its last line, with the code.
    pub text: String,
    /// Whether one of its lines is the keyword PIPELINING.
    pub offers_pipelining: bool,
}

/// What follows from an answer.
#[derive(Debug)]
pub enum After {
    /// Nothing yet.
    Wait,
    /// The session has put its next command into its output.
    Send,
    /// The server wants the content.
    Content,
    /// The connection is idle.
    Begin,
    /// The message is promised; one text for each answer.
    Acked {
        /// The answers' last lines.
        texts: Vec<String>,
    },
    /// The message is refused.
    Refused {
        /// The first refusal's code.
        code: u16,
    },
    /// The server has said goodbye to our QUIT.
    Quit,
    /// The server ends the connection.
    Lost {
        /// Its reason.
        code: u16,
    },
}

/// One session: a connection at most, a message at most (and one ahead of it).
#[derive(Debug)]
pub struct Session {
    /// The connection.
    pub link: Option<TcpStream>,
    /// The message in transaction.
    pub job: Option<Job>,
    /// A message whose turn is after `job`'s.
    pub waiting: Option<Job>,
    /// When the session's timer is due; any other timer of it is void.
    pub wake: Option<Instant>,
    /// Messages answered on this connection.
    pub on_connection: u64,
    /// The server offers PIPELINING and we want it.
    pub pipelines: bool,
    /// The last pause before a new connection.
    pub backoff_ms: u64,
    /// Connections lost since the beginning.
    pub losses: u32,
    /// What the socket is watched for.
    pub watched: Interest,
    expected: VecDeque<Expect>,
    /// Bytes of replies, of which `read` are done with.
    heard: Vec<u8>,
    read: usize,
    head: Vec<u8>,
    rest: usize,
    tail: Vec<u8>,
    written: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Greeting,
    Hello,
    Logon,
    Reset,
    Mail,
    Recipient(usize),
    Data,
    Dot,
    Goodbye,
}

impl Default for Session {
    fn default() -> Session {
        Session {
            link: None,
            job: None,
            waiting: None,
            wake: None,
            on_connection: 0,
            pipelines: false,
            backoff_ms: 0,
            losses: 0,
            watched: Interest::Input,
            expected: VecDeque::new(),
            heard: Vec::new(),
            read: 0,
            head: Vec::new(),
            rest: 0,
            tail: Vec::new(),
            written: 0,
        }
    }
}

impl Session {
    /// Ready for a new connection.
    pub fn fresh(&mut self) {
        self.on_connection = 0;
        self.pipelines = false;
        self.watched = Interest::Input;
        self.expected = VecDeque::from([Expect::Greeting]);
        self.heard.clear();
        self.read = 0;
        self.clear_output();
    }

    /// Closes the connection; the messages stay.
    pub fn drop_link(&mut self) {
        self.link = None;
        self.expected.clear();
        self.clear_output();
    }

    /// Takes bytes of the server.
    pub fn hears(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }

    /// The next whole reply, if there is one.
    pub fn next_reply(&mut self) -> Option<Reply> {
        let mut at = self.read;
        let mut offers_pipelining = false;
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.heard[at..]) else {
                if self.read == self.heard.len() {
                    self.heard.clear();
                    self.read = 0;
                }
                return None;
            };
            let line = self.heard[at..at + end].trim_ascii_end();
            at += end + 1;
            offers_pipelining |= line.get(4..).is_some_and(|word| word.eq_ignore_ascii_case(b"PIPELINING"));
            if line.get(3) != Some(&b'-') {
                let text = String::from_utf8_lossy(line).into_owned();
                let code = text.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
                self.read = at;
                return Some(Reply { code, text, offers_pipelining });
            }
        }
    }

    /// What an answer means here.
    pub fn answered(&mut self, reply: &Reply, options: &Options) -> After {
        let good = (200..300).contains(&reply.code);
        let Some(expected) = self.expected.pop_front() else {
            return After::Lost { code: reply.code };
        };
        if reply.code == 421 {
            self.expected.push_front(expected);
            return After::Lost { code: 421 };
        }
        match expected {
            Expect::Goodbye => After::Quit,
            Expect::Greeting | Expect::Hello | Expect::Logon if !good => After::Lost { code: reply.code },
            Expect::Greeting => {
                let hello: &[u8] = if options.lmtp { b"LHLO bench.example\r\n" } else { b"EHLO bench.example\r\n" };
                self.say(hello, Expect::Hello);
                After::Send
            }
            Expect::Hello => {
                self.pipelines = reply.offers_pipelining && options.pipelining != Pipelining::Off;
                let Some(credentials) = &options.auth_plain else { return After::Begin };
                self.say(format!("AUTH PLAIN {credentials}\r\n").as_bytes(), Expect::Logon);
                After::Send
            }
            Expect::Logon | Expect::Reset => After::Begin,
            Expect::Mail | Expect::Recipient(_) | Expect::Data | Expect::Dot => {
                self.in_transaction(expected, reply, options)
            }
        }
    }

    /// Sends MAIL, and what may be sent with it.
    pub fn transaction(&mut self, options: &Options) {
        let Some(job) = &mut self.job else { return };
        job.begun = Instant::now();
        job.recipients_taken = 0;
        job.refused = None;
        job.texts.clear();
        let number = job.number;
        self.commands(number, options);
    }

    /// Sends the content of the message in transaction.
    pub fn content(&mut self, template: &Template, options: &Options) {
        let Some(job) = &mut self.job else { return };
        let to = recipient(options, job.number, 0);
        job.digest = template.head(&job.id, &options.from, &to, &mut self.head);
        job.content_sent = Instant::now();
        self.rest = template.wire_len();
        self.tail.extend_from_slice(b".\r\n");
        // With none of several recipients taken a server may still have said 354; it hears no content then.
        let answers = if options.lmtp { job.recipients_taken } else { 1 };
        self.expected.extend(std::iter::repeat_n(Expect::Dot, answers));
    }

    /// Sends the next message's commands right behind this one's content.
    pub fn ahead(&mut self, next: Job, options: &Options) {
        let number = next.number;
        self.waiting = Some(next);
        self.commands(number, options);
    }

    /// Whether the next message's commands have been sent already.
    pub fn is_ahead(&self) -> bool {
        !self.expected.is_empty()
    }

    /// Makes the message whose commands have been sent already the one in transaction.
    pub fn turn_to_ahead(&mut self) {
        if self.is_ahead() {
            self.job = self.waiting.take();
        }
    }

    /// Sends QUIT.
    pub fn quit(&mut self) {
        self.say(b"QUIT\r\n", Expect::Goodbye);
    }

    /// Sends RSET.
    pub fn reset(&mut self) {
        self.say(b"RSET\r\n", Expect::Reset);
    }

    /// Whether QUIT was said.
    pub fn is_quitting(&self) -> bool {
        self.expected.back() == Some(&Expect::Goodbye)
    }

    /// Whether the whole content was handed over and has no answer.
    pub fn in_doubt(&self) -> bool {
        self.expected.front() == Some(&Expect::Dot) && self.pending() <= self.tail.len().saturating_sub(DOT_LEN)
    }

    /// Writes as much as the system takes; true when something is left.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn write(&mut self, template: &Template) -> io::Result<bool> {
        while self.pending() > 0 {
            let Some(link) = &mut self.link else {
                return Ok(false);
            };
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(8);
            let (head, rest) = (self.head.len(), self.rest);
            if self.written < head {
                slices.push(IoSlice::new(&self.head[self.written..]));
            }
            let in_rest = self.written.saturating_sub(head);
            let all = rest == 0 || in_rest >= rest || template.slices(in_rest, 6, &mut slices);
            if all && !self.tail.is_empty() {
                slices.push(IoSlice::new(&self.tail[self.written.saturating_sub(head + rest)..]));
            }
            match link.write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(failed) if matches!(failed.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                    return Ok(true);
                }
                Err(failed) => return Err(failed),
            }
        }
        self.clear_output();
        Ok(false)
    }

    fn in_transaction(&mut self, expected: Expect, reply: &Reply, options: &Options) -> After {
        let good = (200..300).contains(&reply.code);
        let ahead = self.pipelines;
        let Some(job) = &mut self.job else {
            return After::Lost { code: reply.code };
        };
        match expected {
            Expect::Mail if good && !ahead => self.say_recipient(0, options),
            Expect::Mail if good => After::Wait,
            Expect::Recipient(which) => {
                match good {
                    true => job.recipients_taken += 1,
                    false => job.refused = job.refused.or(Some(reply.code)),
                }
                if ahead {
                    return After::Wait;
                }
                if which + 1 < options.recipients {
                    return self.say_recipient(which + 1, options);
                }
                match job.recipients_taken {
                    0 => After::Refused { code: job.refused.unwrap_or(reply.code) },
                    _ => {
                        self.say(b"DATA\r\n", Expect::Data);
                        After::Send
                    }
                }
            }
            Expect::Data if reply.code == 354 && job.recipients_taken > 0 => After::Content,
            Expect::Data if reply.code == 354 => {
                self.say(b".\r\n", Expect::Data);
                After::Send
            }
            Expect::Dot if good => {
                job.texts.push(reply.text.clone());
                match self.expected.front() == Some(&Expect::Dot) {
                    true => After::Wait,
                    false => After::Acked { texts: std::mem::take(&mut job.texts) },
                }
            }
            Expect::Dot if self.expected.front() == Some(&Expect::Dot) || !job.texts.is_empty() => {
                // One of several LMTP answers: the others count by themselves.
                let texts = std::mem::take(&mut job.texts);
                match self.expected.front() == Some(&Expect::Dot) {
                    true => {
                        job.texts = texts;
                        After::Wait
                    }
                    false => After::Acked { texts },
                }
            }
            Expect::Mail if ahead => {
                job.refused = Some(reply.code);
                After::Wait
            }
            _ => After::Refused { code: job.refused.unwrap_or(reply.code) },
        }
    }

    fn commands(&mut self, number: u64, options: &Options) {
        let mail = format!("MAIL FROM:<{}>\r\n", options.from);
        self.say(mail.as_bytes(), Expect::Mail);
        if !self.pipelines {
            return;
        }
        for which in 0..options.recipients {
            let line = format!("RCPT TO:<{}>\r\n", recipient(options, number, which));
            self.say(line.as_bytes(), Expect::Recipient(which));
        }
        self.say(b"DATA\r\n", Expect::Data);
    }

    fn say_recipient(&mut self, which: usize, options: &Options) -> After {
        let number = self.job.as_ref().map_or(0, |job| job.number);
        let line = format!("RCPT TO:<{}>\r\n", recipient(options, number, which));
        self.say(line.as_bytes(), Expect::Recipient(which));
        After::Send
    }

    fn say(&mut self, line: &[u8], expect: Expect) {
        self.tail.extend_from_slice(line);
        self.expected.push_back(expect);
    }

    fn pending(&self) -> usize {
        self.head.len() + self.rest + self.tail.len() - self.written
    }

    fn clear_output(&mut self) {
        self.head.clear();
        self.rest = 0;
        self.tail.clear();
        self.written = 0;
    }
}

fn recipient(options: &Options, number: u64, which: usize) -> String {
    if !options.rcpt.contains('{') {
        return options.rcpt.clone();
    }
    options.rcpt.replace("{n}", &number.to_string()).replace("{r}", &which.to_string())
}

const DOT_LEN: usize = 3;
