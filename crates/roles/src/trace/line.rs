//! Owns the form of one line of the trace: ten fields parted by tabs. Knows no files.
//!
//! `time event id sender recipients size peer via reply context`. A field without value is `-`; the null sender is `<>`; recipients
//! are parted by spaces. Control characters, backslashes, and spaces inside a recipient stand as `\xHH`.
//! Always holds: what a stranger sent cannot start a new line or a new field, and no line is longer than its bound.

use std::io::Write as _;

use mail::date::{Rfc3339, parse_rfc3339};
use mail::event::Event;
use serde::{Deserialize, Serialize};

/// One event read back from the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// What: `RECEIVE`, `SEND`, `DEFER`, ...
    pub event: String,
    /// The message; none where it was refused before it had a name.
    pub id: Option<String>,
    /// Its sender; `<>` is the null sender; none where unknown.
    pub sender: Option<String>,
    /// The recipients that this is about.
    pub recipients: Vec<String>,
    /// Content bytes, 0 where unknown.
    pub size_bytes: u64,
    /// Client or next hop.
    pub peer: String,
    /// Connector or queue.
    pub via: String,
    /// The reply that was given or heard.
    pub reply: String,
    /// What else is known.
    pub context: String,
}

/// Appends the event, ended by a newline; an event with very many recipients becomes several lines. Returns how many.
pub fn write(unix_ms: u64, event: &Event<'_>, out: &mut Vec<u8>) -> u64 {
    let mut rest = event.recipients;
    let mut lines = 0;
    loop {
        let (now, later) = rest.split_at(fitting(rest));
        write_one(unix_ms, event, now, out);
        lines += 1;
        rest = later;
        if rest.is_empty() {
            return lines;
        }
    }
}

/// How many of the recipients one line takes: at least one.
fn fitting(recipients: &[&str]) -> usize {
    let mut bytes = 0;
    for (n, recipient) in recipients.iter().enumerate() {
        if bytes >= RECIPIENT_BYTES_MAX {
            return n;
        }
        bytes += recipient.len() + 1;
    }
    recipients.len()
}

fn write_one(unix_ms: u64, event: &Event<'_>, recipients: &[&str], out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{}\t{}\t", Rfc3339(unix_ms), event.kind.word());
    match event.id {
        Some(id) => drop(write!(out, "{id}")),
        None => out.push(b'-'),
    }
    out.push(b'\t');
    match event.sender {
        Some(sender) if sender.is_null() => out.extend_from_slice(b"<>"),
        Some(sender) => escape(sender.as_str(), b'\t', out),
        None => out.push(b'-'),
    }
    out.push(b'\t');
    for (n, recipient) in recipients.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        escape(recipient, b' ', out);
    }
    if recipients.is_empty() {
        out.push(b'-');
    }
    let _ = write!(out, "\t{}", event.size_bytes);
    for field in [event.peer, event.via, event.reply, event.context] {
        out.push(b'\t');
        match field {
            "" => out.push(b'-'),
            text => escape(text, b'\t', out),
        }
    }
    out.push(b'\n');
}

/// Appends at most [`FIELD_BYTES_MAX`] bytes of `text`, with `\xHH` for what would break the line, and for `parted_by`.
fn escape(text: &str, parted_by: u8, out: &mut Vec<u8>) {
    let text = &text[..text.floor_char_boundary(FIELD_BYTES_MAX)];
    let odd = |byte: &u8| *byte < b' ' || *byte == 0x7f || *byte == b'\\' || *byte == parted_by;
    if !text.as_bytes().iter().any(odd) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match odd(&byte) {
            true => drop(write!(out, "\\x{byte:02x}")),
            false => out.push(byte),
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = rest.get(2..4).and_then(|digits| std::str::from_utf8(digits).ok());
        match (rest.starts_with(b"\\x"), hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (true, Some(value)) => {
                out.push(value);
                rest = &rest[4..];
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A line split at its tabs, nothing decoded yet: what a search looks at before it takes the line.
pub struct RawLine<'a>([&'a str; FIELDS]);

impl<'a> RawLine<'a> {
    /// `None` for what is no line of ours (torn by a crash, say).
    pub fn split(line: &'a [u8]) -> Option<RawLine<'a>> {
        let text = std::str::from_utf8(line).ok()?;
        let mut fields = [""; FIELDS];
        let mut parts = text.split('\t');
        for field in &mut fields {
            *field = parts.next()?;
        }
        parts.next().is_none().then_some(RawLine(fields))
    }

    /// When, in Unix milliseconds.
    pub fn unix_ms(&self) -> Option<u64> {
        parse_rfc3339(self.0[0])
    }

    /// The event's word.
    pub fn event(&self) -> &str {
        self.0[1]
    }

    /// The message id, `-` for none.
    pub fn id(&self) -> &str {
        self.0[2]
    }

    /// The sender as written.
    pub fn sender(&self) -> &str {
        self.0[3]
    }

    /// The recipients as written.
    pub fn recipients(&self) -> &str {
        self.0[4]
    }

    /// Decodes all of it.
    pub fn decode(&self) -> TraceEvent {
        let given = |text: &str| (text != "-").then(|| unescape(text));
        let [time, event, id, sender, recipients, size, peer, via, reply, context] = self.0;
        TraceEvent {
            time: time.into(),
            event: event.into(),
            id: given(id),
            sender: given(sender),
            recipients: given(recipients).map_or(Vec::new(), |_| recipients.split(' ').map(unescape).collect()),
            size_bytes: size.parse().unwrap_or(0),
            peer: given(peer).unwrap_or_default(),
            via: given(via).unwrap_or_default(),
            reply: given(reply).unwrap_or_default(),
            context: given(context).unwrap_or_default(),
        }
    }
}

const FIELDS: usize = 10;
/// Bound for one field (one recipient, for the recipients).
const FIELD_BYTES_MAX: usize = 1024;
/// A line takes recipients until it has so many bytes of them.
const RECIPIENT_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use mail::event::EventKind;
    use mail::{Mailbox, MessageId, ReversePath};

    fn lines(event: &Event<'_>) -> Vec<TraceEvent> {
        let mut out = Vec::new();
        let count = write(1_795_237_200_123, event, &mut out);
        let text = out.strip_suffix(b"\n").unwrap();
        let found: Vec<_> = text.split(|b| *b == b'\n').map(|l| RawLine::split(l).unwrap().decode()).collect();
        assert_eq!(found.len() as u64, count);
        found
    }

    #[test]
    fn comes_back_as_it_was_recorded_whatever_a_stranger_sent() {
        let sender = ReversePath::Mailbox(Mailbox::parse("\"a b\"@x.test", false).unwrap());
        let id = MessageId::new(7, [9; 10]);
        let event = Event {
            sender: Some(&sender),
            recipients: &["bob@x.test", "\"c d\"@x.test"],
            size_bytes: 42,
            peer: "192.0.2.1",
            reply: "550 line one\r\n2026-11-21T05:17:00.123Z\tRECEIVE\t\\x09",
            ..Event::new(EventKind::Defer, Some(id))
        };
        let [found] = &lines(&event)[..] else { panic!("one line") };
        assert_eq!(found.time, "2026-11-21T05:00:00.123Z");
        assert_eq!((found.event.as_str(), found.size_bytes), ("DEFER", 42));
        assert_eq!(found.sender.as_deref(), Some("\"a b\"@x.test"));
        assert_eq!(found.recipients, event.recipients);
        assert_eq!((found.reply.as_str(), found.context.as_str()), (event.reply, ""));
    }

    #[test]
    fn many_recipients_take_several_lines_and_none_is_lost() {
        let names: Vec<String> = (0..5000).map(|n| format!("user{n}@example.test")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = lines(&Event { recipients: &names, ..Event::new(EventKind::Receive, None) });
        assert!(found.len() > 10);
        assert_eq!(found.iter().flat_map(|l| &l.recipients).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        assert_eq!(found[0].id, None);
    }

    #[test]
    fn a_torn_line_is_none() {
        assert!(RawLine::split(b"2026-11-21T05:00:00.123Z\tSEND\t-").is_none());
        assert!(RawLine::split(b"").is_none());
    }
}
