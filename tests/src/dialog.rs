//! Dialogs: SMTP conversations as text that a postmaster can read, played against a real node.
//!
//! | line | meaning |
//! |---|---|
//! | `# text` | comment; the first one says which behaviour this is |
//! | `node: NAME` | the node to play against: a folder under `tests/dialogs/nodes/`; `embedded` is `posthouse start` without configuration |
//! | `port: NAME` | connects: `smtp`, `submission`, or the name of a listener in the node's folder |
//! | `C: text` | the client sends the text and CRLF; `\r`, `\n`, `\0`, `\\`, `\xHH` are escapes |
//! | `C> text` | the same without CRLF |
//! | `C*N text` | the client sends the line N times |
//! | `LONG N` | the client sends one NOOP line of N bytes |
//! | `S: pattern` | the server's next line; `*` stands for anything |
//! | `S~ pattern` | a whole reply, of which at least one line is so |
//! | `S! pattern` | a whole reply, of which no line is so |
//! | `TLS` | the client starts TLS |
//! | `CLOSED` | the server closes |
//! | `HANGUP` | the client goes away |
//! | `MAIL address: pattern` | a message arrives there, one of whose lines is so |
//! | `MAIL! address: pattern` | messages have arrived there, and no line of them is so |
//! | `NOMAIL address` | nothing is there, now and half a second later |

use crate::process::Node;
use crate::wire::Wire;
use crate::{eventually, root};
use std::path::Path;
use std::time::Duration;

/// Which node a dialog is played against.
pub fn node_of(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("node: ")).map_or("embedded", str::trim)
}

/// A started node for a dialog: the embedded default, or a folder of `tests/dialogs/nodes/`
/// whose `org.toml` may hold `@SMTP@`, `@SUBMISSION@` and `@EXTRA@` for ports.
pub fn node(name: &str) -> (Node, u16) {
    let extra = crate::free_port();
    if name == "embedded" {
        return (Node::started(&[]), extra);
    }
    (node_with(name, extra), extra)
}

/// A started node from a folder whose `@EXTRA@` is that port.
pub fn node_with(name: &str, extra: u16) -> Node {
    let folder = root().join("tests/dialogs/nodes").join(name);
    let mut node = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
    for file in ["posthouse.toml", "org.toml"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|e| panic!("{name}/{file}: {e}"));
        let ports =
            [("@SMTP@", node.smtp), ("@SUBMISSION@", node.submission), ("@HTTP@", node.http), ("@EXTRA@", extra)];
        let text = ports.iter().fold(text, |text, (mark, port)| text.replace(mark, &port.to_string()));
        std::fs::write(node.dir.join(file), text).unwrap();
    }
    node.start();
    node
}

/// Plays one dialog; panics with file and line where it differs.
pub fn play(path: &Path, text: &str, node: &Node, extra: u16) {
    let mut wire: Option<Wire> = None;
    for (number, line) in text.lines().enumerate() {
        let at = format!("{}:{}: {line}", path.display(), number + 1);
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') || line.starts_with("node: ") {
            continue;
        }
        if let Some(port) = line.strip_prefix("port: ") {
            let port = match port {
                "smtp" => node.smtp,
                "submission" => node.submission,
                "extra" => extra,
                other => panic!("{at}: no port {other}"),
            };
            wire = Some(Wire::connect(port));
            continue;
        }
        step(&at, line, wire.get_or_insert_with(|| Wire::connect(node.smtp)), node);
    }
}

fn step(at: &str, line: &str, wire: &mut Wire, node: &Node) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "C:" => wire.send(&[unescape(rest), b"\r\n".to_vec()].concat()).unwrap_or_else(|e| panic!("{at}: {e}")),
        "C>" => wire.send(&unescape(rest)).unwrap_or_else(|e| panic!("{at}: {e}")),
        "S:" => {
            let got = wire
                .line()
                .unwrap_or_else(|e| panic!("{at}: {e}"))
                .unwrap_or_else(|| panic!("{at}: the server closed"));
            assert!(matches(rest, &got), "{at}\n  server said: {got}");
        }
        "S~" => {
            let lines = wire.reply();
            assert!(lines.iter().any(|got| matches(rest, got)), "{at}\n  server said: {lines:#?}");
        }
        "S!" => {
            let lines = wire.reply();
            assert!(
                !lines.is_empty() && !lines.iter().any(|got| matches(rest, got)),
                "{at}\n  server said: {lines:#?}"
            );
        }
        "LONG" => {
            let line = format!("NOOP {}\r\n", "x".repeat(rest.parse::<usize>().expect("LONG N") - 7));
            wire.send(line.as_bytes()).unwrap_or_else(|e| panic!("{at}: {e}"));
        }
        "TLS" => wire.start_tls(),
        "CLOSED" => assert_eq!(wire.line().unwrap_or(None), None, "{at}: the server should close"),
        "HANGUP" => wire.close(),
        "MAIL" => {
            let (address, pattern) = rest.split_once(": ").unwrap_or_else(|| panic!("{at}: MAIL address: pattern"));
            let holds = |message: &Vec<u8>| String::from_utf8_lossy(message).lines().any(|l| matches(pattern, l));
            eventually(at, Duration::from_secs(10), || node.mailbox(address).iter().any(holds));
        }
        "MAIL!" => {
            let (address, pattern) = rest.split_once(": ").unwrap_or_else(|| panic!("{at}: MAIL! address: pattern"));
            eventually(at, Duration::from_secs(10), || !node.mailbox(address).is_empty());
            let holds = |message: &Vec<u8>| String::from_utf8_lossy(message).lines().any(|l| matches(pattern, l));
            assert!(!node.mailbox(address).iter().any(holds), "{at}: a line is so");
        }
        "NOMAIL" => {
            std::thread::sleep(Duration::from_millis(500));
            assert!(node.mailbox(rest).is_empty(), "{at}: there is mail");
        }
        _ => match word.strip_prefix("C*").and_then(|count| count.parse().ok()) {
            Some(count) => {
                let all = [unescape(rest), b"\r\n".to_vec()].concat().repeat(count);
                wire.send(&all).unwrap_or_else(|e| panic!("{at}: {e}"));
            }
            None => panic!("{at}: not a dialog line"),
        },
    }
}

/// `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match (byte, byte == b'\\') {
            (_, true) => match bytes.next() {
                Some(b'r') => out.push(b'\r'),
                Some(b'n') => out.push(b'\n'),
                Some(b'0') => out.push(0),
                Some(b'x') => {
                    let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                    out.push(u8::from_str_radix(&digits, 16).expect("\\xHH"));
                }
                Some(other) => out.push(other),
                None => out.push(b'\\'),
            },
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("250 *", "250 ok"));
        assert!(matches("250 2.0.0 * accepted", "250 2.0.0 01ABC accepted"));
        assert!(!matches("250 *", "550 no"));
        assert!(matches("a*b*c", "a1b2c"));
        assert!(!matches("abc", "abcd"));
        assert_eq!(unescape(r"a\r\n\x41\\"), b"a\r\nA\\");
    }
}
