//! What has to be said again to another member, so that a session of SMTP goes on there and its client does not notice.
//!
//! Owns how the client greeted, what it was offered, and the commands of a transaction whose content has not begun: no member has taken
//! anything yet. Knows no socket. Always holds: what is kept is bounded by [`ASKED_BYTES_MAX`]; a session that means something to its own
//! member only is never said again: one with credentials, one that heard a farewell or anything but yes, one whose content is under way.

/// A session's beginning, as far as it can be said again.
#[derive(Debug)]
pub(super) struct Replay {
    /// The client's `EHLO` or `HELO`, with its line's end.
    hello: Vec<u8>,
    /// What it was answered.
    offered: Offer,
    /// Commands since the session was between two of them.
    asked: Vec<u8>,
    /// The member's next byte begins a line.
    is_line_start: bool,
    phase: Phase,
    /// It belongs to its member.
    tied: bool,
    /// The present member has answered something.
    answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is asked.
    Quiet,
    /// Every command in `asked` was answered with yes, or not yet.
    Asked,
    /// The answer to the client's greeting comes.
    Offer,
    /// Something is under way that cannot be said again.
    Busy,
}

/// Bytes of commands that are kept of a transaction until its content. What is longer cannot be said again.
const ASKED_BYTES_MAX: usize = 2 * 1024;
/// A session between two commands keeps no larger buffer.
const KEPT_BYTES_MAX: usize = 256;
/// Commands that mean the same to every member.
const PLAIN: [&[u8]; 11] =
    [b"MAIL", b"RCPT", b"DATA", b"RSET", b"NOOP", b"EHLO", b"HELO", b"VRFY", b"EXPN", b"HELP", b"QUIT"];

impl Replay {
    /// A session that was just greeted.
    pub(super) fn new() -> Replay {
        let (hello, asked) = (Vec::new(), Vec::new());
        let (offered, phase) = (Offer::default(), Phase::Quiet);
        Replay { hello, offered, asked, is_line_start: true, phase, tied: false, answered: true }
    }

    /// Bytes of the client, before they count. `between`: the session was between two commands.
    pub(super) fn up(&mut self, bytes: &[u8], between: bool) {
        if self.tied {
            return;
        }
        if between {
            self.asked.clear();
            (self.phase, self.is_line_start) = (Phase::Asked, true);
        }
        if self.phase == Phase::Asked {
            if self.asked.len() + bytes.len() <= ASKED_BYTES_MAX {
                self.asked.extend_from_slice(bytes);
            } else {
                self.give_up();
            }
        }
    }

    fn give_up(&mut self) {
        self.phase = Phase::Busy;
        self.asked.clear();
        if self.asked.capacity() > KEPT_BYTES_MAX {
            self.asked = Vec::new();
        }
    }

    /// Bytes of the member that the client gets. `between`: nobody has asked for them.
    pub(super) fn down(&mut self, bytes: &[u8], between: bool) {
        // A farewell that the client hears counts.
        if between || bytes.starts_with(b"421") {
            self.tied = true;
        }
        match self.phase {
            Phase::Asked => self.answer(bytes),
            Phase::Offer => self.offered.add(bytes),
            Phase::Quiet | Phase::Busy => {}
        }
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.answered = true;
        let words = words(&self.asked);
        self.tied |= words == Words::Own;
        if is_hello(&self.asked) && bytes.starts_with(b"2") {
            std::mem::swap(&mut self.hello, &mut self.asked);
            self.hello.shrink_to_fit();
            (self.phase, self.offered) = (Phase::Offer, Offer::default());
            self.offered.add(bytes);
            return;
        }
        // Only what was answered with yes is sure to be answered so again; "go on" begins the content.
        let mut all_yes = words == Words::Plain;
        for byte in bytes {
            all_yes &= !self.is_line_start || *byte == b'2';
            self.is_line_start = *byte == b'\n';
        }
        if !all_yes {
            self.give_up();
        }
    }

    /// These bytes of the member say that it goes out of service (RFC 3463, X.3): another one may go on.
    pub(super) fn is_farewell(bytes: &[u8]) -> bool {
        bytes.starts_with(b"421 4.3.") || bytes.starts_with(b"421-4.3.")
    }

    /// Whether another member could go on. `between`: the session is between two commands.
    pub(super) fn may_change(&self, between: bool) -> bool {
        let may_ask = self.phase == Phase::Asked && words(&self.asked) == Words::Plain;
        !self.tied && self.answered && (between || may_ask)
    }

    /// Whether it could as soon as the session is between two commands.
    pub(super) fn is_free(&self) -> bool {
        !self.tied
    }

    /// Another member takes over; so that nobody moves to and fro for nothing, the next change waits for an answer of this one.
    /// `between`: the session is between two commands, so nothing of the last one is said again.
    pub(super) fn change(&mut self, between: bool) {
        self.answered = false;
        if between {
            self.give_up();
        }
    }

    /// What the other member is told first; empty if the client has not greeted yet.
    pub(super) fn hello(&self) -> &[u8] {
        &self.hello
    }

    /// Whether the other member's whole answer to that offers all that the client was offered.
    pub(super) fn has_all_offered(&self, answer: &[u8]) -> bool {
        let mut offered = Offer::default();
        offered.add(answer);
        self.offered.is_within(&offered)
    }

    /// What it is told then: the commands of the transaction. `pending` of them wait for an answer, the others were answered with yes.
    pub(super) fn asked(&self, pending: usize) -> Asked<'_> {
        let asked: &[u8] = if self.phase == Phase::Asked { &self.asked } else { &[] };
        let answered = memchr::memchr_iter(b'\n', asked).count().saturating_sub(pending);
        let end = answered.checked_sub(1).and_then(|last| memchr::memchr_iter(b'\n', asked).nth(last));
        let (before, open) = asked.split_at(end.map_or(0, |end| end + 1));
        Asked { before, answered, open }
    }
}

/// The commands of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// Those that were answered.
    pub(super) before: &'a [u8],
    /// How many these are.
    pub(super) answered: usize,
    /// The others; the last one may not be whole.
    pub(super) open: &'a [u8],
}

/// What commands mean to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    /// The same to every member.
    Plain,
    /// There is content among them.
    Content,
    /// Something to the member that hears them, or we do not know.
    Own,
}

fn words(asked: &[u8]) -> Words {
    for line in asked.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let begins = |word: &[u8]| {
            let len = line.len().min(word.len());
            line[..len].eq_ignore_ascii_case(&word[..len])
        };
        if begins(b"BDAT") {
            return Words::Content;
        }
        if !PLAIN.iter().any(|word| begins(word)) {
            return Words::Own;
        }
    }
    Words::Plain
}

/// One line, and the client's greeting.
fn is_hello(asked: &[u8]) -> bool {
    let word = asked.get(..4).unwrap_or_default();
    let is_one_line = memchr::memchr(b'\n', asked) == Some(asked.len().wrapping_sub(1));
    is_one_line && (word.eq_ignore_ascii_case(b"EHLO") || word.eq_ignore_ascii_case(b"HELO"))
}

/// What a member offers in its answer to the client's greeting. The first line only names the member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Offer {
    /// A hash of each extension. FNV-1a: both answers are our own members', nobody gains by a collision.
    extensions: Vec<u32>,
    /// Bytes that a message may have (RFC 1870), 0 for no bound.
    size: Option<u64>,
    /// The line that has not ended.
    open: Vec<u8>,
    ended: usize,
    too_long: bool,
}

/// Lines of an offer, and bytes of one (RFC 5321 4.5.3.1.5). What is longer is not compared: it is not the same as anything.
const OFFERED_LINES_MAX: usize = 64;
const OFFERED_LINE_BYTES_MAX: usize = 512;

impl Offer {
    fn add(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.too_long |= self.open.len() + bytes.len() > OFFERED_LINE_BYTES_MAX || self.ended > OFFERED_LINES_MAX;
        if !self.too_long {
            self.open.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.open);
        self.ended += 1;
        // Behind `250-` or `250 `: what is the last line here may stand in the middle there.
        let extension = line.get(4..).unwrap_or_default().trim_ascii_end();
        match extension.get(..4) {
            _ if self.ended == 1 => {}
            Some(word) if word.eq_ignore_ascii_case(b"SIZE") => {
                let number = std::str::from_utf8(extension[4..].trim_ascii_start()).unwrap_or_default();
                self.size = Some(number.parse().unwrap_or(0));
            }
            _ => self.extensions.push(fnv(extension)),
        }
    }

    /// Whether a client that knows this one may use that one: it offers the same, or more.
    fn is_within(&self, other: &Offer) -> bool {
        let bytes_max = |size: u64| if size == 0 { u64::MAX } else { size };
        let fits = match (self.size, other.size) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(theirs)) => bytes_max(ours) <= bytes_max(theirs),
        };
        fits && !self.too_long && self.extensions.iter().all(|extension| other.extensions.contains(extension))
    }
}

fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `>` the client says, `<` the member answers; the client is between two commands before each `>` unless it is `+`.
    fn told(lines: &[&str]) -> Replay {
        let mut replay = Replay::new();
        for line in lines {
            let (who, text) = line.split_at(1);
            match who {
                "<" => replay.down(text.as_bytes(), false),
                "!" => replay.down(text.as_bytes(), true),
                _ => replay.up(text.as_bytes(), who == ">"),
            }
        }
        replay
    }

    const HELLO: &str = ">EHLO app\r\n";
    const OFFER: &str = "<250-hub1\r\n250-SIZE 10\r\n250 PIPELINING\r\n";

    #[test]
    fn what_can_be_said_again() {
        let long = format!(">MAIL FROM:<{}>\r\n", "x".repeat(ASKED_BYTES_MAX));
        // Lines, may it change when it is between two commands, may it in the middle of one, what is asked again.
        let cases: [(&[&str], bool, bool, &str); 18] = [
            (&[], true, false, ""),
            (&[HELLO], true, true, "EHLO app\r\n"),
            (&[HELLO, OFFER], true, false, ""),
            (&[HELLO, OFFER, ">MAIL FROM:<a@x>\r\n"], true, true, "MAIL FROM:<a@x>\r\n"),
            (&[HELLO, OFFER, ">MAIL", "+ FROM:<a@x>\r\nRCPT"], true, true, "MAIL FROM:<a@x>\r\nRCPT"),
            (&[HELLO, OFFER, ">MAIL F\r\n", "<250 ok\r\n"], true, true, "MAIL F\r\n"),
            (
                &[HELLO, OFFER, ">MAIL F\r\n", "<250 o", "<k\r\n", "+RCPT T\r\nDATA\r\n"],
                true,
                true,
                "MAIL F\r\nRCPT T\r\nDATA\r\n",
            ),
            (
                &[HELLO, OFFER, ">MAIL F\r\n", "<250 ok\r\n", "+RCPT T\r\n", "<250 ok\r\n"],
                true,
                true,
                "MAIL F\r\nRCPT T\r\n",
            ),
            (&[HELLO, OFFER, ">MAIL F\r\n", "<250 ok\r\n", "+RCPT T\r\n", "<550 no\r\n"], true, false, ""),
            (&[HELLO, OFFER, ">MAIL F\r\nDATA\r\n", "<250 ok\r\n354 go\r\n"], true, false, ""),
            (&[HELLO, OFFER, ">MAIL F\r\n", "<250 ok\r\n", "+BDAT 3\r\nxyz"], true, false, "MAIL F\r\nBDAT 3\r\nxyz"),
            (&[HELLO, OFFER, ">MAIL F\r\nBDAT 3\r\nxyz", "<250 ok\r\n"], true, false, ""),
            (&[HELLO, OFFER, ">MAIL F\r\n", "<250 ok\r\n", "+XYZ\r\n"], true, false, "MAIL F\r\nXYZ\r\n"),
            (&[HELLO, OFFER, &long], true, false, ""),
            (&[HELLO, OFFER, ">AUTH PLAIN xyz\r\n", "<235 ok\r\n"], false, false, ""),
            (&[HELLO, OFFER, ">XCLIENT ADDR=192.0.2.1\r\n", "<220 hub1\r\n"], false, false, ""),
            (&[HELLO, OFFER, "!421 4.4.2 idle\r\n"], false, false, ""),
            (&[HELLO, OFFER, ">NOOP\r\n", "<421 4.7.0 too many\r\n"], false, false, ""),
        ];
        for (lines, between, middle, asked) in cases {
            let replay = told(lines);
            assert_eq!((replay.may_change(true), replay.may_change(false)), (between, middle), "{lines:?}");
            assert_eq!(std::str::from_utf8(replay.asked(9).open), Ok(asked), "{lines:?}");
        }
    }

    #[test]
    fn what_was_answered_is_told_from_what_was_not() {
        let replay = told(&[HELLO, OFFER, ">MAIL F\r\nRCPT T\r\nDA"]);
        let asked = |before: &'static str, answered, open: &'static str| Asked {
            before: before.as_bytes(),
            answered,
            open: open.as_bytes(),
        };
        assert_eq!(replay.asked(2), asked("", 0, "MAIL F\r\nRCPT T\r\nDA"));
        assert_eq!(replay.asked(1), asked("MAIL F\r\n", 1, "RCPT T\r\nDA"));
        assert_eq!(replay.asked(0), asked("MAIL F\r\nRCPT T\r\n", 2, "DA"));
        assert_eq!(told(&[HELLO, OFFER]).asked(0), asked("", 0, ""));
    }

    #[test]
    fn the_other_member_must_offer_what_the_first_one_did() {
        // In pieces, as it may come.
        let replay = told(&[HELLO, "<250-hub1 he", "<llo\r\n250-SIZE 10\r", "<\n250 PIPELINING\r\n"]);
        assert_eq!(replay.hello(), b"EHLO app\r\n");
        for (answer, has_all) in [
            ("250-hub2\r\n250-SIZE 10\r\n250 PIPELINING\r\n", true),
            // In another order, and more.
            ("250-hub2\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 SIZE 10\r\n", true),
            ("250-hub2\r\n250-SIZE 11\r\n250 PIPELINING\r\n", true),
            ("250-hub2\r\n250-SIZE\r\n250 PIPELINING\r\n", true),
            ("250-hub2\r\n250-SIZE 9\r\n250 PIPELINING\r\n", false),
            ("250 hub2\r\n250 PIPELINING\r\n", false),
            ("250-hub2\r\n250-SIZE 10\r\n250 CHUNKING\r\n", false),
            ("250-SIZE 10\r\n250 PIPELINING\r\n", false),
            ("250 hub2\r\n", false),
        ] {
            assert_eq!(replay.has_all_offered(answer.as_bytes()), has_all, "{answer:?}");
        }
        assert!(told(&[">HELO app\r\n", "<250 hub1\r\n"]).has_all_offered(b"250 hub2\r\n"));
        assert!(told(&[">EHLO app\r\n", "<502 no\r\n"]).hello().is_empty());
        for more in
            ["250-X\r\n".repeat(OFFERED_LINES_MAX + 1), format!("250-{}\r\n", "x".repeat(OFFERED_LINE_BYTES_MAX))]
        {
            let answer = format!("250-hub1\r\n{more}");
            assert!(!told(&[HELLO, &format!("<{answer}")]).has_all_offered(answer.as_bytes()));
        }
    }

    #[test]
    fn who_has_changed_waits_for_an_answer_before_the_next_change() {
        let mut replay = told(&[HELLO, OFFER]);
        replay.change(true);
        assert!(!replay.may_change(true));
        replay.up(b"NOOP\r\n", true);
        assert!(!replay.may_change(false));
        replay.down(b"250 ok\r\n", false);
        assert!(replay.may_change(true));
    }
}
