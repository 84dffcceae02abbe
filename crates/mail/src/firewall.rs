//! The header firewall (behaviours 2.7): which bytes of a message stay when it crosses the organization's border. Fields of the
//! organization are dropped, our own prefix and the foreign one that we might ever believe; routing fields where somebody asks for it.
//!
//! Owns the decision for each line of a header while it streams by, in slices of any size. Keeps no copy of the message: what it gives
//! back are parts of the slices that it was given, and at most [`LEAD_MAX`] bytes of a name that a cut went through.
//! Always holds: the pieces together are the message, in order; what is kept does not depend on the cuts; nothing behind the first
//! empty line is dropped. It goes on behind lines that are no fields, for others may read the header more leniently than we do.

use core::ops::Deref;

/// What is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// `X-Posthouse-*`, `X-MS-Exchange-Organization-*`, `X-MS-Exchange-Forest-*`.
    pub organization: bool,
    /// `Received`, `Resent-*`.
    pub routing: bool,
}

/// Looks at a message's header from slices as they arrive: [`next`](Self::next) until there is nothing, for each slice, then
/// [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Firewall {
    drops: Drops,
    is_done: bool,
    at_line_start: bool,
    /// The field that we are in, or were in at the last line's end, is dropped.
    is_dropping: bool,
    /// Start of a line that no verdict is known for yet.
    lead: [u8; LEAD_MAX],
    lead_len: usize,
    received_dropped: u32,
}

/// A part of the message, in order.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'i> {
    /// What came with earlier slices and is decided now. Mostly nothing.
    pub lead: Lead,
    /// What stands behind it.
    pub rest: &'i [u8],
    /// It is to be dropped.
    pub is_dropped: bool,
}

/// Up to [`LEAD_MAX`] bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lead {
    bytes: [u8; LEAD_MAX],
    len: usize,
}

impl Deref for Lead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Piece<'_> {
    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.lead.len() + self.rest.len()
    }

    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drops {
    /// Nothing is.
    pub fn is_nothing(self) -> bool {
        self == Drops::default()
    }
}

impl Firewall {
    /// For the start of a message.
    pub fn new(drops: Drops) -> Firewall {
        Firewall {
            drops,
            is_done: drops.is_nothing(),
            at_line_start: true,
            is_dropping: false,
            lead: [0; LEAD_MAX],
            lead_len: 0,
            received_dropped: 0,
        }
    }

    /// The next part of the message, cut off the front of `slice`; `None` once nothing of the slice is left that is decided.
    pub fn next<'i>(&mut self, slice: &mut &'i [u8]) -> Option<Piece<'i>> {
        let input = *slice;
        if self.is_done {
            *slice = &[];
            return (!input.is_empty()).then(|| piece(Lead::default(), input, false));
        }
        let (mut lead, mut at) = (Lead::default(), 0);
        while at < input.len() {
            if self.at_line_start {
                match self.judge(&input[at..]) {
                    Verdict::More => {
                        self.stash(&input[at..]);
                        break;
                    }
                    // What was there so far is a piece of its own; the line is judged again, and the same way.
                    verdict if at > 0 && (verdict == Verdict::Drop) != self.is_dropping => break,
                    verdict => {
                        self.is_dropping = verdict == Verdict::Drop;
                        if self.lead_len > 0 {
                            lead = Lead { bytes: self.lead, len: self.lead_len };
                            self.lead_len = 0;
                        }
                        self.count_received(&lead, &input[at..]);
                        self.at_line_start = false;
                        if verdict == Verdict::End {
                            self.is_done = true;
                            at = input.len();
                            continue;
                        }
                    }
                }
            }
            match memchr::memchr(b'\n', &input[at..]) {
                Some(end) => {
                    at += end + 1;
                    self.at_line_start = true;
                }
                None => at = input.len(),
            }
        }
        let (done, left) = input.split_at(at);
        *slice = if self.lead_len > 0 { &[] } else { left };
        let piece = piece(lead, done, self.is_dropping);
        (!piece.is_empty()).then_some(piece)
    }

    /// The message is over: what no verdict was found for stays.
    pub fn finish(&mut self) -> Lead {
        let lead = Lead { bytes: self.lead, len: self.lead_len };
        self.lead_len = 0;
        self.is_done = true;
        lead
    }

    /// The header is behind us: all that comes stays.
    pub fn is_done(&self) -> bool {
        self.is_done && self.lead_len == 0
    }

    /// `Received` fields that were dropped: the hops that nobody behind us can count.
    pub fn received_dropped(&self) -> u32 {
        self.received_dropped
    }

    /// What becomes of the line that starts with what is held and goes on with `rest`.
    fn judge(&self, rest: &[u8]) -> Verdict {
        if self.lead_len == 0 {
            return self.judge_line(rest);
        }
        let mut line = [0; LEAD_MAX + 1];
        let more = rest.len().min(line.len() - self.lead_len);
        line[..self.lead_len].copy_from_slice(&self.lead[..self.lead_len]);
        line[self.lead_len..self.lead_len + more].copy_from_slice(&rest[..more]);
        self.judge_line(&line[..self.lead_len + more])
    }

    fn judge_line(&self, line: &[u8]) -> Verdict {
        match line {
            [] | [b'\r'] => Verdict::More,
            [b'\n', ..] | [b'\r', b'\n', ..] => Verdict::End,
            // The field goes on (RFC 5322 2.2.3).
            [b' ' | b'\t', ..] if self.is_dropping => Verdict::Drop,
            [b'x' | b'X', ..] if self.drops.organization => of_names(&ORGANIZATION, line),
            [b'r' | b'R', ..] if self.drops.routing => of_names(&ROUTING, line),
            _ => Verdict::Keep,
        }
    }

    /// Only what no verdict is possible for is held, so it is shorter than the longest name.
    fn stash(&mut self, rest: &[u8]) {
        if let Some(room) = self.lead.get_mut(self.lead_len..self.lead_len + rest.len()) {
            room.copy_from_slice(rest);
            self.lead_len += rest.len();
        }
    }

    /// Of the names that are dropped as routing, `Received` alone has a `c` in third place.
    fn count_received(&mut self, lead: &[u8], rest: &[u8]) {
        let letter = |at: usize| lead.get(at).or_else(|| rest.get(at.saturating_sub(lead.len()))).map(|b| b | 32);
        if self.is_dropping && letter(0) == Some(b'r') && letter(2) == Some(b'c') {
            self.received_dropped = self.received_dropped.saturating_add(1);
        }
    }
}

fn piece(lead: Lead, rest: &[u8], is_dropped: bool) -> Piece<'_> {
    Piece { lead, rest, is_dropped }
}

/// Whether a line starts with one of the names; a name without `-` at its end must be the whole name of the field.
fn of_names(names: &[&[u8]], line: &[u8]) -> Verdict {
    let mut verdict = Verdict::Keep;
    for name in names {
        let common = line.len().min(name.len());
        if !line[..common].eq_ignore_ascii_case(&name[..common]) {
            continue;
        }
        match line.get(name.len()) {
            _ if common == name.len() && name.ends_with(b"-") => return Verdict::Drop,
            Some(b':' | b' ' | b'\t') => return Verdict::Drop,
            Some(_) => {}
            None => verdict = Verdict::More,
        }
    }
    verdict
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
    /// The empty line: from here on all is kept.
    End,
    /// Not known before more of the line is there.
    More,
}

const ORGANIZATION: [&[u8]; 3] = [b"X-Posthouse-", b"X-MS-Exchange-Organization-", b"X-MS-Exchange-Forest-"];
const ROUTING: [&[u8]; 2] = [b"Received", b"Resent-"];

/// Longest start of a line that no verdict is possible for: one byte less than the longest name.
pub const LEAD_MAX: usize = 26;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    const ALL: Drops = Drops { organization: true, routing: true };
    const OURS: Drops = Drops { organization: true, routing: false };

    /// What is kept of a message in these slices.
    fn kept(drops: Drops, slices: &[&[u8]]) -> Vec<u8> {
        let (mut firewall, mut kept, mut whole) = (Firewall::new(drops), Vec::new(), Vec::new());
        for slice in slices {
            let mut rest = *slice;
            while let Some(piece) = firewall.next(&mut rest) {
                assert!(!piece.is_empty());
                let bytes = [&*piece.lead, piece.rest].concat();
                whole.extend_from_slice(&bytes);
                if !piece.is_dropped {
                    kept.extend_from_slice(&bytes);
                }
            }
            assert!(rest.is_empty());
        }
        let lead = firewall.finish();
        whole.extend_from_slice(&lead);
        kept.extend_from_slice(&lead);
        assert_eq!(whole, slices.concat(), "the pieces are the message");
        kept
    }

    /// The rule in its plainest form: lines of the whole message.
    fn naive(drops: Drops, message: &[u8]) -> Vec<u8> {
        let (mut kept, mut dropping, mut over) = (Vec::new(), false, drops.is_nothing());
        for line in message.split_inclusive(|b| *b == b'\n') {
            let lower = String::from_utf8_lossy(line).to_ascii_lowercase();
            let is_named = |names: &[&str]| names.iter().any(|name| lower.starts_with(name));
            over |= line == b"\n" || line == b"\r\n";
            let goes_on = line[0] == b' ' || line[0] == b'\t';
            dropping = !over
                && ((goes_on && dropping)
                    || (drops.organization
                        && is_named(&["x-posthouse-", "x-ms-exchange-organization-", "x-ms-exchange-forest-"]))
                    || (drops.routing && is_named(&["received:", "received ", "received\t", "resent-"])));
            if !dropping {
                kept.extend_from_slice(line);
            }
        }
        kept
    }

    const USUAL: &[u8] = b"Received: from a\r\n\tby b\r\nX-MS-Exchange-Organization-SCL: 9\r\nx-posthouse-ID: 1\r\n 2\r\n\t3\r\n\
        From: a@x\r\nX-Posthouse: stays\r\nX-MS-Exchange-Forest-\r\nResent-From: b@x\r\nReceived-SPF: pass\r\nX-POSTHOUSE-A :\r\n\r\n\
        X-Posthouse-Body: stays\r\nReceived: stays\r\n";

    #[test]
    fn a_usual_message() {
        let ours = "Received: from a\r\n\tby b\r\nFrom: a@x\r\nX-Posthouse: stays\r\nResent-From: b@x\r\nReceived-SPF: pass\r\n\r\n\
            X-Posthouse-Body: stays\r\nReceived: stays\r\n";
        assert_eq!(kept(OURS, &[USUAL]), ours.as_bytes());
        let all = "From: a@x\r\nX-Posthouse: stays\r\nReceived-SPF: pass\r\n\r\nX-Posthouse-Body: stays\r\nReceived: stays\r\n";
        assert_eq!(kept(ALL, &[USUAL]), all.as_bytes());
        assert_eq!(kept(Drops::default(), &[USUAL]), USUAL);
        let mut firewall = Firewall::new(ALL);
        let mut rest = USUAL;
        while firewall.next(&mut rest).is_some() {}
        assert!(firewall.is_done());
        assert_eq!(firewall.received_dropped(), 1, "Resent-From is no hop");
    }

    #[test]
    fn headers_that_somebody_reads_in_another_way() {
        let table: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b"X-Posthouse-Id: 1", b""),
            (b"X-Posthouse", b"X-Posthouse"),
            (b"\r", b"\r"),
            (b"no field\r\nX-Posthouse-A: 1\r\nb: c\r\n", b"no field\r\nb: c\r\n"),
            (b" folded from nothing\r\nX-Posthouse-A: 1\r\n", b" folded from nothing\r\n"),
            (b"X-Posthouse-A: 1\r\n \r\n b\r\nc: d\r\n", b"c: d\r\n"),
            (b"a: b\r\n X-Posthouse-A: folded\r\n", b"a: b\r\n X-Posthouse-A: folded\r\n"),
            (b"a: b\n\nX-Posthouse-A: body\n", b"a: b\n\nX-Posthouse-A: body\n"),
            (b"X-Posthouse-A: 1\n\r\nX-Posthouse-A: body\n", b"\r\nX-Posthouse-A: body\n"),
            (b"a: b\r\n\rX-Posthouse-A: 1\r\nX-Posthouse-B: 2\r\n", b"a: b\r\n\rX-Posthouse-A: 1\r\n"),
        ];
        for (message, expected) in table {
            assert_eq!(kept(OURS, &[message]), *expected, "{:?}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn a_header_with_nothing_to_drop_is_given_back_as_it_came() {
        let message = b"Received: x\r\nFrom: a@b\r\nX-Other: y\r\n\r\nbody\r\n";
        let mut rest = &message[..];
        let mut firewall = Firewall::new(OURS);
        let piece = firewall.next(&mut rest).unwrap();
        assert!(core::ptr::eq(piece.rest, &message[..]) && piece.lead.is_empty() && rest.is_empty());
    }

    #[test]
    fn cutting_anywhere_changes_nothing() {
        for drops in [OURS, ALL] {
            let whole = naive(drops, USUAL);
            for first in 0..=USUAL.len() {
                for second in first..=(first + 3).min(USUAL.len()) {
                    assert_eq!(kept(drops, &[&USUAL[..first], &USUAL[first..second], &USUAL[second..]]), whole);
                }
            }
            let bytes: Vec<&[u8]> = USUAL.chunks(1).collect();
            assert_eq!(kept(drops, &bytes), whole);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_cut_anywhere_are_kept_by_the_rule(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                &b"X-Posthouse-"[..], b"x-pOSTHOUSE-Id", b"X-MS-Exchange-", b"Organization-", b"Forest-", b"X-", b"Received", b"RESENT-",
                b"Resent", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"From: a@b", b"\xc3\xa4", b"a", b"-", b"\r\n",
            ]), 0..40),
            cuts in proptest::collection::vec(0usize..400, 0..12),
            organization: bool,
            routing: bool,
        ) {
            let (message, drops) = (parts.concat(), Drops { organization, routing });
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
            cuts.sort_unstable();
            let (mut slices, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([message.len()]) {
                slices.push(&message[from..cut]);
                from = cut;
            }
            proptest::prop_assert_eq!(kept(drops, &slices), naive(drops, &message));
        }
    }
}
