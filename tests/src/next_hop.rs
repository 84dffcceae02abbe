//! Dialogs in which the node is the client: the file plays the next hop, and says what the node must send to it.
//!
//! | line | meaning |
//! |---|---|
//! | `# text` | comment; the first one says which behaviour this is |
//! | `node: NAME` | the node that is started for it, a folder under `tests/dialogs/nodes/`; its next hop is `@EXTRA@` |
//! | `SEND from to[,to] [parameters]` | somebody hands the node a message; parameters of RCPT follow `RCPT`, those of MAIL `MAIL` |
//! | `ACCEPT` | the node connects to the next hop |
//! | `S: text` | the next hop says so |
//! | `C: pattern` | the node's next line; `*` stands for anything |
//! | `BODY pattern` | the node sends a message up to its dot; one of its lines is so |
//! | `CHUNK pattern` | the node sends `BDAT n LAST` and n bytes; one of their lines is so |
//! | `TLS` | the next hop takes the node's TLS handshake |
//! | `CLOSED` / `HANGUP` | the node closes / the next hop goes away |
//! | `GONE` | the next hop goes away and nobody listens there any more |
//! | `QUIET` | the node does not connect for a second |
//! | `MAIL address: pattern` | a message arrives in a Maildir of the node, one of whose lines is so |
//! | `NOMAIL address` | none does |
//! | `TRACE address: pattern` | `posthouse trace --to` says so |
//! | `WAITS pattern` | `posthouse message list` says so |
//! | `EMPTY` | nothing is queued any more |

use crate::dialog::{matches, node_with};
use crate::eventually;
use crate::process::Node;
use crate::wire::Wire;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

struct Stage {
    node: Node,
    listener: Option<TcpListener>,
    wire: Option<Wire>,
}

/// Plays one dialog on a node of its own; panics with file and line where it differs.
pub fn play(path: &Path, text: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let name = crate::dialog::node_of(text);
    let node = node_with(name, listener.local_addr().unwrap().port());
    let mut stage = Stage { node, listener: Some(listener), wire: None };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if !(line.is_empty() || line.starts_with('#') || line.starts_with("node: ")) {
            stage.step(&format!("{}:{}: {line}", path.display(), number + 1), line);
        }
    }
    assert!(!stage.node.log().contains("panicked"), "the node panicked:\n{}", stage.node.log());
}

impl Stage {
    fn step(&mut self, at: &str, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "SEND" => self.send(at, rest),
            "ACCEPT" => self.accept(at),
            "QUIET" => {
                std::thread::sleep(Duration::from_secs(1));
                assert!(self.knock().is_none(), "{at}: the node connected");
            }
            "S:" => self.wire(at).send(format!("{rest}\r\n").as_bytes()).unwrap_or_else(|e| panic!("{at}: {e}")),
            "C:" => {
                let got = self.line(at);
                assert!(matches(rest, &got), "{at}\n  the node said: {got}");
            }
            "BODY" => {
                let mut lines = Vec::new();
                loop {
                    match self.line(at) {
                        end if end == "." => break,
                        line => lines.push(line),
                    }
                }
                assert!(lines.iter().any(|l| matches(rest, l)), "{at}\n  the node sent: {lines:#?}");
            }
            "CHUNK" => {
                let command = self.line(at);
                let size = command.strip_prefix("BDAT ").and_then(|c| c.strip_suffix(" LAST"));
                let size =
                    size.and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{at}\n  the node said: {command}"));
                let body = self.wire(at).bytes(size).unwrap_or_else(|e| panic!("{at}: {e}"));
                let body = String::from_utf8_lossy(&body).into_owned();
                assert!(body.lines().any(|l| matches(rest, l)), "{at}\n  the node sent: {body}");
            }
            "TLS" => self.wire(at).take_tls(),
            "HANGUP" => self.wire = None,
            "GONE" => (self.wire, self.listener) = (None, None),
            "CLOSED" => assert_eq!(self.wire(at).line().unwrap_or(None), None, "{at}: the node should close"),
            "MAIL" => {
                let (address, pattern) = rest.split_once(": ").unwrap_or_else(|| panic!("{at}: MAIL address: pattern"));
                let holds = |m: &Vec<u8>| String::from_utf8_lossy(m).lines().any(|l| matches(pattern, l));
                eventually(at, Duration::from_secs(15), || self.node.mailbox(address).iter().any(holds));
            }
            "NOMAIL" => {
                std::thread::sleep(Duration::from_millis(500));
                assert!(self.node.mailbox(rest).is_empty(), "{at}: there is mail");
            }
            "TRACE" => {
                let (address, pattern) =
                    rest.split_once(": ").unwrap_or_else(|| panic!("{at}: TRACE address: pattern"));
                self.says(at, &["trace", "--to", address], pattern);
            }
            "WAITS" => self.says(at, &["message", "list"], rest),
            "EMPTY" => eventually(at, Duration::from_secs(15), || {
                self.node.json(&["message", "list"])["messages"].as_array().is_some_and(Vec::is_empty)
            }),
            _ => panic!("{at}: not a dialog line"),
        }
    }

    fn says(&self, at: &str, verb: &[&str], pattern: &str) {
        let mut said = String::new();
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end {
            said = self.node.verb(verb).1;
            if said.lines().any(|l| matches(&format!("*{pattern}*"), l)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{at}\n  {verb:?} printed:\n{said}");
    }

    fn send(&self, at: &str, rest: &str) {
        let mut words = rest.split_whitespace();
        let from = words.next().unwrap_or_else(|| panic!("{at}: SEND from to"));
        let to = words.next().unwrap_or_else(|| panic!("{at}: SEND from to"));
        let (mut mail, mut rcpt, mut into_rcpt) = (String::new(), String::new(), false);
        for word in words {
            match word {
                "MAIL" => into_rcpt = false,
                "RCPT" => into_rcpt = true,
                word if into_rcpt => rcpt += &format!(" {word}"),
                word => mail += &format!(" {word}"),
            }
        }
        let from = if from == "<>" { "" } else { from };
        let mut wire = Wire::connect(self.node.smtp);
        wire.reply();
        let mut say = |command: String, code: &str| {
            let said = wire.command(&command);
            assert!(said.starts_with(code), "{at}: {command} heard {said}");
        };
        say("EHLO application.example".into(), "250");
        say(format!("MAIL FROM:<{from}>{mail}"), "250");
        for to in to.split(',') {
            say(format!("RCPT TO:<{to}>{rcpt}"), "250");
        }
        say("DATA".into(), "354");
        say("From: application@home.test\r\nSubject: a letter\r\n\r\nthe body\r\n.".into(), "250 2.0.0");
    }

    fn accept(&mut self, at: &str) {
        let mut got = None;
        eventually(at, Duration::from_secs(15), || {
            got = self.knock();
            got.is_some()
        });
        let stream = got.unwrap_or_else(|| panic!("{at}"));
        stream.set_nonblocking(false).unwrap();
        self.wire = Some(Wire::over(stream));
    }

    /// A connection that the node has made, if there is one.
    fn knock(&self) -> Option<TcpStream> {
        self.listener.as_ref().and_then(|listener| listener.accept().ok()).map(|(stream, _)| stream)
    }

    fn wire(&mut self, at: &str) -> &mut Wire {
        self.wire.as_mut().unwrap_or_else(|| panic!("{at}: no connection; ACCEPT first"))
    }

    fn line(&mut self, at: &str) -> String {
        let got = self.wire(at).line().unwrap_or_else(|e| panic!("{at}: {e}"));
        got.unwrap_or_else(|| panic!("{at}: the node closed"))
    }
}
