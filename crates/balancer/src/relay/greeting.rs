//! Whether the first words of a member say that it serves.
//!
//! Owns the reading of greetings. Knows no connection. Always holds: until the whole greeting is here nobody can tell, and a greeting is not longer than
//! [`GREETING_BYTES_MAX`].

use super::words::Speech;

/// What a member has said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// More has to come.
    More,
    /// It serves.
    Good,
    /// It does not; the code of SMTP, 0 where the protocol has none.
    Refused(u16),
    /// These are no words of the protocol.
    Strange,
}

/// Bytes of a greeting, all lines together. Longer ones are [`Greeting::Strange`].
pub(super) const GREETING_BYTES_MAX: usize = 8 * 1024;

/// Reads what a member said. What follows a whole greeting is not looked at.
pub(super) fn read(speech: Speech, said: &[u8]) -> Greeting {
    let seen = match speech {
        Speech::Smtp => smtp(said),
        Speech::Imap => one_line(said, &[b"* OK", b"* PREAUTH"], b"* BYE"),
        Speech::Pop => one_line(said, &[b"+OK"], b"-ERR"),
        Speech::None => Greeting::Good,
    };
    if seen == Greeting::More && said.len() >= GREETING_BYTES_MAX { Greeting::Strange } else { seen }
}

/// RFC 5321 4.2: lines `220-text`, the last one `220 text`. A server may say `220-` and then change its mind: the last line counts, and
/// a refusal in any line.
fn smtp(said: &[u8]) -> Greeting {
    let mut rest = said;
    loop {
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        if !line.iter().take(3).all(u8::is_ascii_digit) {
            return Greeting::Strange;
        }
        let Some(end) = end else { return Greeting::More };
        let [a @ b'2'..=b'5', b, c, more @ ..] = line else { return Greeting::Strange };
        let code = [a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(*digit - b'0'));
        match (code, more.first()) {
            (400.., _) => return Greeting::Refused(code),
            (200..=299, Some(b'-')) => rest = &rest[end + 1..],
            (200..=299, None | Some(b' ' | b'\r')) => return Greeting::Good,
            _ => return Greeting::Strange,
        }
    }
}

/// One line that begins with a word of its own.
fn one_line(said: &[u8], good: &[&[u8]], refusal: &[u8]) -> Greeting {
    let begins = |word: &[u8]| said.len() >= word.len() && said[..word.len()].eq_ignore_ascii_case(word);
    let may_begin = |word: &[u8]| word.len() > said.len() && word[..said.len()].eq_ignore_ascii_case(said);
    let whole = memchr::memchr(b'\n', said).is_some();
    if begins(refusal) {
        return Greeting::Refused(0);
    }
    if good.iter().any(|word| begins(word)) {
        return if whole { Greeting::Good } else { Greeting::More };
    }
    let may = good.iter().any(|word| may_begin(word)) || may_begin(refusal);
    if may && !whole { Greeting::More } else { Greeting::Strange }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings() {
        use Greeting::{Good, More, Refused, Strange};
        for (speech, said, is) in [
            (Speech::Smtp, "", More),
            (Speech::Smtp, "22", More),
            (Speech::Smtp, "220 hub.exam", More),
            (Speech::Smtp, "220 hub.example ESMTP\r\n", Good),
            (Speech::Smtp, "220\r\n", Good),
            (Speech::Smtp, "220 hub\n", Good),
            (Speech::Smtp, "220-one\r\n", More),
            (Speech::Smtp, "220-one\r\n220 two\r\n", Good),
            (Speech::Smtp, "220-one\r\n220-two\r\n22", More),
            (Speech::Smtp, "220-wait\r\n554 5.7.1 no\r\n", Refused(554)),
            (Speech::Smtp, "421 4.3.2 not ready\r\n", Refused(421)),
            (Speech::Smtp, "421-4.3.2 not ready\r\n", Refused(421)),
            (Speech::Smtp, "554 ", More),
            (Speech::Smtp, "354 go\r\n", Strange),
            (Speech::Smtp, "120 soon\r\n", Strange),
            (Speech::Smtp, "SSH-2.0-x\r\n", Strange),
            (Speech::Smtp, "22x", Strange),
            (Speech::Smtp, "\r\n", Strange),
            (Speech::Smtp, "2200 hub\r\n", Strange),
            (Speech::Imap, "* OK ready\r\n", Good),
            (Speech::Imap, "* ok ready", More),
            (Speech::Imap, "* PREAUTH ready\r\n", Good),
            (Speech::Imap, "* BYE", Refused(0)),
            (Speech::Imap, "* ", More),
            (Speech::Imap, "220 hub\r\n", Strange),
            (Speech::Pop, "+OK\r\n", Good),
            (Speech::Pop, "+", More),
            (Speech::Pop, "-ERR\r\n", Refused(0)),
            (Speech::Pop, "\n", Strange),
            (Speech::None, "", Good),
        ] {
            assert_eq!(read(speech, said.as_bytes()), is, "{speech:?} {said:?}");
        }
        let endless = b"220-x\r\n".repeat(GREETING_BYTES_MAX / 7 + 1);
        assert_eq!(read(Speech::Smtp, &endless), Strange);
        assert_eq!(read(Speech::Imap, &[b"* OK ".as_slice(), &[b'x'; GREETING_BYTES_MAX]].concat()), Strange);
    }
}
