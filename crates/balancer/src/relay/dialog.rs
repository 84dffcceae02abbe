//! Where a session stands, from a few bytes of state: between two commands, in a transaction, or no longer readable.
//!
//! Owns what is remembered of the bytes that pass. Refuses to judge them: nothing is refused or changed here, and what cannot be read
//! counts as opaque. Always holds: content is never looked at; the state does not grow with what passes.

use super::words::Speech;

/// What is remembered of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialog {
    speech: Speech,
    at: At,
    /// A transaction of SMTP is under way: a `MAIL` was sent, and neither a final answer to its content nor a `RSET`.
    transaction: bool,
    /// The client said that it goes.
    quit: bool,
    /// Lines of the client that the member has not answered.
    pending: u16,
    /// Bytes of a BDAT chunk that are still to come.
    chunk: u64,
    /// The present BDAT chunk is the last of its message.
    last_chunk: bool,
    /// The beginning of a line whose end has not come, of either side.
    up: Line,
    down: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Command,
    /// `DATA` was sent.
    Data,
    /// The member said 354.
    Content,
    /// `STARTTLS` was sent.
    StartTls,
    /// Nothing can be read any longer.
    Opaque,
}

/// The first bytes of a line.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: [u8; LINE_START],
    len: u8,
    open: bool,
}

/// Bytes of a line that are kept: enough for `BDAT 18446744073709551615 LAST`.
const LINE_START: usize = 32;

impl Line {
    const EMPTY: Line = Line { start: [0; LINE_START], len: 0, open: false };

    /// Takes bytes up to and with a line's end; true when the line is whole.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> (bool, &'a [u8]) {
        if !self.open {
            *self = Line { open: true, ..Line::EMPTY };
        }
        let end = memchr::memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let len = usize::from(self.len);
        let keep = part.len().min(LINE_START - len);
        self.start[len..len + keep].copy_from_slice(&part[..keep]);
        self.len += keep as u8;
        self.open = end.is_none();
        (end.is_some(), end.map_or(&[], |end| &bytes[end + 1..]))
    }

    fn text(&self) -> &[u8] {
        self.start[..usize::from(self.len)].trim_ascii_end()
    }

    fn begins(&self, word: &[u8]) -> bool {
        let text = self.text();
        let behind = text.get(word.len());
        text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word) && matches!(behind, None | Some(b' '))
    }
}

impl Dialog {
    /// A session after the member's greeting.
    pub(super) fn new(speech: Speech) -> Dialog {
        let at = if speech == Speech::None { At::Opaque } else { At::Command };
        Dialog {
            speech,
            at,
            transaction: false,
            quit: false,
            pending: 0,
            chunk: 0,
            last_chunk: false,
            up: Line::EMPTY,
            down: Line::EMPTY,
        }
    }

    /// Nobody waits for an answer and no transaction is under way: the session can be ended with words.
    pub(super) fn is_between(&self) -> bool {
        self.at == At::Command && !self.transaction && self.pending == 0 && !self.up.open && !self.down.open
    }

    /// Commands that the member has not answered yet.
    pub(super) fn pending(&self) -> usize {
        usize::from(self.pending)
    }

    /// A part of an answer has passed.
    pub(super) fn is_mid_answer(&self) -> bool {
        self.down.open || self.down.text().get(3) == Some(&b'-')
    }

    /// A mail transaction is under way.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.transaction
    }

    /// The client said `QUIT`: the end of the member is the end of it all.
    pub(super) fn has_quit(&self) -> bool {
        self.quit
    }

    /// Nothing of it can be read.
    pub(super) fn is_opaque(&self) -> bool {
        self.at == At::Opaque
    }

    /// What the client sends now need not be seen: content, or what cannot be read.
    pub(super) fn is_content(&self) -> bool {
        matches!(self.at, At::Content | At::Opaque)
    }

    /// The client's bytes begin a command that may be answered with 421; `QUIT` gets the member's own answer.
    pub(super) fn begins_command(&self, bytes: &[u8]) -> bool {
        self.is_between() && !bytes.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"QUIT"))
    }

    /// Bytes of the client, on their way to the member.
    pub(super) fn up(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if matches!(self.at, At::Opaque | At::Content) {
                return;
            }
            if self.chunk > 0 {
                let skip = bytes.len().min(usize::try_from(self.chunk).unwrap_or(usize::MAX));
                self.chunk -= skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            let (whole, rest) = self.up.take(bytes);
            bytes = rest;
            if whole {
                self.pending = self.pending.saturating_add(1);
                self.command();
            }
        }
    }

    fn command(&mut self) {
        let line = self.up;
        match self.speech {
            Speech::Smtp => match line.text().first().map(u8::to_ascii_uppercase) {
                Some(b'M') if line.begins(b"MAIL") => self.transaction = true,
                Some(b'D') if line.begins(b"DATA") => self.at = At::Data,
                Some(b'B') if line.begins(b"BDAT") => self.chunk(line.text()),
                Some(b'R') if line.begins(b"RSET") => self.transaction = false,
                Some(b'S') if line.begins(b"STARTTLS") => self.at = At::StartTls,
                Some(b'Q') if line.begins(b"QUIT") => self.quit = true,
                _ => {}
            },
            Speech::Imap => {
                let word = line.text().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
                if word.eq_ignore_ascii_case(b"STARTTLS") {
                    self.at = At::Opaque;
                }
                self.quit |= word.eq_ignore_ascii_case(b"LOGOUT");
            }
            Speech::Pop if line.begins(b"STLS") => self.at = At::Opaque,
            Speech::Pop => self.quit |= line.begins(b"QUIT"),
            Speech::None => {}
        }
    }

    /// `BDAT 1000 LAST`, RFC 3030. A size that cannot be read is refused by the member, and no content follows.
    fn chunk(&mut self, text: &[u8]) {
        let mut words = text[4..].split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let size = words.next().and_then(|size| std::str::from_utf8(size).ok()).and_then(|size| size.parse().ok());
        self.chunk = size.unwrap_or(0);
        self.last_chunk = words.next().is_some_and(|last| last.eq_ignore_ascii_case(b"LAST"));
        self.transaction = true;
    }

    /// Bytes of the member, on their way to the client.
    pub(super) fn down(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.at != At::Opaque {
            let (whole, rest) = self.down.take(bytes);
            bytes = rest;
            if !whole {
                return;
            }
            if self.speech == Speech::Smtp {
                self.reply();
            } else {
                // Answers of IMAP and POP3 cannot be counted by their lines; whoever was answered last waits for nothing that we know of.
                self.pending = 0;
            }
        }
    }

    fn reply(&mut self) {
        let line = self.down;
        if line.text().get(3) == Some(&b'-') {
            return;
        }
        self.pending = self.pending.saturating_sub(1);
        if self.pending > 0 {
            return;
        }
        let code = line.text().get(..3).unwrap_or_default();
        match self.at {
            At::Data if code == b"354" => {
                self.at = At::Content;
                self.pending = 1; // the answer to the content
            }
            At::Content => {
                self.at = At::Command;
                self.transaction = false;
            }
            At::StartTls if code == b"220" => self.at = At::Opaque,
            At::Data | At::StartTls => self.at = At::Command,
            At::Command if self.last_chunk && self.chunk == 0 => {
                self.last_chunk = false;
                self.transaction = false;
            }
            At::Command | At::Opaque => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines with `>` are the client's, with `<` the member's; returns what is known after each.
    fn told(speech: Speech, lines: &[&str]) -> Vec<char> {
        let mut dialog = Dialog::new(speech);
        let mut seen = Vec::new();
        for line in lines {
            let (who, text) = line.split_at(1);
            // Byte by byte must say the same as all at once.
            let mut slow = dialog;
            match who {
                ">" => {
                    dialog.up(text.as_bytes());
                    text.bytes().for_each(|byte| slow.up(&[byte]));
                }
                _ => {
                    dialog.down(text.as_bytes());
                    text.bytes().for_each(|byte| slow.down(&[byte]));
                }
            }
            assert_eq!(
                (dialog.at, dialog.pending, dialog.transaction),
                (slow.at, slow.pending, slow.transaction),
                "{line:?}"
            );
            seen.push(if dialog.is_opaque() {
                'o'
            } else if dialog.is_between() {
                'b'
            } else {
                '.'
            });
        }
        seen
    }

    fn check(speech: Speech, dialog: &[(&str, char)]) {
        let lines: Vec<&str> = dialog.iter().map(|(line, _)| *line).collect();
        let expected: Vec<char> = dialog.iter().map(|(_, is)| *is).collect();
        assert_eq!(told(speech, &lines), expected, "{dialog:?}");
    }

    #[test]
    fn transactions_are_seen_to_their_end() {
        check(
            Speech::Smtp,
            &[
                (">EHLO x\r\n", '.'),
                ("<250-hub\r\n", '.'),
                ("<250 PIPELINING\r\n", 'b'),
                (">MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n", '.'),
                ("<250 ok\r\n250 ok\r\n", '.'),
                ("<354 go\r\n", '.'),
                (">Subject: x\r\n\r\nQUIT\r\nMAIL FROM:<>\r\n.\r\n", '.'),
                ("<250 2.0.0 queued\r\n", 'b'),
                (">MAI", '.'),
                (">L FROM:<a@x>\r\n", '.'),
                ("<250 ok\r\n", '.'),
                (">RSET\r\n", '.'),
                ("<250 ok\r\n", 'b'),
                (">MAIL FROM:<a@x>\r\nDATA\r\n", '.'),
                ("<250 ok\r\n503 no\r\n", '.'),
                (">RSET\r\n", '.'),
                ("<250 ok\r\n", 'b'),
                (">BDAT 9\r\nQUIT\r\n123", '.'),
                ("<250 ok\r\n", '.'),
                (">BDAT 3 LAST\r\nDAT", '.'),
                ("<250 ok\r\n", 'b'),
                (">AUTH LOGIN\r\n", '.'),
                ("<334 VXNlcm5hbWU6\r\n", 'b'),
                (">dXNlcg==\r\n", '.'),
                ("<235 ok\r\n", 'b'),
            ],
        );
    }

    #[test]
    fn what_is_encrypted_is_opaque() {
        check(
            Speech::Smtp,
            &[(">STARTTLS\r\n", '.'), ("<454 no\r\n", 'b'), (">STARTTLS\r\n", '.'), ("<220 go\r\n", 'o')],
        );
        check(
            Speech::Imap,
            &[(">a1 NOOP\r\n", '.'), ("<a1 OK\r\n", 'b'), (">a2 starttls\r\n", 'o'), ("<a2 OK\r\n", 'o')],
        );
        check(Speech::Pop, &[(">STAT\r\n", '.'), ("<+OK", '.'), ("< 1 2\r\n", 'b'), (">STLS\r\n", 'o')]);
        check(Speech::None, &[(">\x16\x03\x01", 'o')]);
    }

    #[test]
    fn who_quits_is_seen() {
        for (speech, line, quits) in [
            (Speech::Smtp, "quit\r\n", true),
            (Speech::Smtp, "QUITE\r\n", false),
            (Speech::Imap, "a LOGOUT\r\n", true),
            (Speech::Pop, "QUIT\r\n", true),
        ] {
            let mut dialog = Dialog::new(speech);
            assert!(!dialog.begins_command(b"QUIT\r\n") && dialog.begins_command(b"MAIL"));
            dialog.up(line.as_bytes());
            assert_eq!(dialog.has_quit(), quits, "{line:?}");
        }
    }
}
