//! Writing a message: names are compressed (RFC 1035, 4.1.4), records that do not fit are left out whole.
//!
//! Always holds: what was written is never longer than the bound; compression looks at a bounded number of earlier names.

use super::{CLASS_IN, HEADER};
use crate::name::suffixes;
use crate::record::{Data, Kind};

/// A section of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The answer.
    Answer = 6,
    /// Who could say more, or until when there is none.
    Authority = 8,
    /// What is needed next.
    Additional = 10,
}

/// A message in the making.
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    /// Where the message begins in `out`.
    start: usize,
    max: usize,
    names: Names,
}

/// Where in the message which names stand.
struct Names {
    places: [u16; NAMES_MAX],
    count: usize,
}

impl<'b> Writer<'b> {
    /// Goes on with a message that begins at `start` of `out` and has a header and a question. It gets at most `max` octets long.
    pub fn after_question(out: &'b mut Vec<u8>, start: usize, max: usize) -> Writer<'b> {
        let mut names = Names { places: [0; NAMES_MAX], count: 0 };
        let mut at = HEADER;
        // A question's name is whole, so each of its labels begins a name.
        while let Some(&length @ 1..=63) = out.get(start + at) {
            names.add(at);
            at += 1 + usize::from(length);
        }
        Writer { out, start, max, names }
    }

    /// Octets so far.
    pub fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Nothing but header and question.
    pub fn is_empty(&self) -> bool {
        self.len() <= HEADER
    }

    /// Appends one record; `owner` as octets. `false`: it does not fit, and nothing was written.
    pub fn record(&mut self, section: Section, owner: &[u8], ttl_s: u32, data: &Data) -> bool {
        self.put(section, ttl_s, data, |names, out, start| names.write(out, start, owner))
    }

    /// Appends one record whose owner is the name that was asked for.
    pub fn record_of_question(&mut self, section: Section, ttl_s: u32, data: &Data) -> bool {
        self.put(section, ttl_s, data, |_, out, _| out.extend(POINTER_TO_QUESTION))
    }

    fn put(
        &mut self,
        section: Section,
        ttl_s: u32,
        data: &Data,
        owner: impl FnOnce(&mut Names, &mut Vec<u8>, usize),
    ) -> bool {
        let (before, names_before, start) = (self.out.len(), self.names.count, self.start);
        let Writer { out, names, .. } = self;
        owner(names, out, start);
        out.extend(data.kind().0.to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        out.extend(ttl_s.to_be_bytes());
        let length_at = out.len();
        out.extend([0, 0]);
        data.write(out, |out, name| names.write(out, start, name));
        let length = out.len() - length_at - 2;
        if out.len() - start > self.max || length > usize::from(u16::MAX) {
            out.truncate(before);
            names.count = names_before;
            return false;
        }
        out[length_at..length_at + 2].copy_from_slice(&(length as u16).to_be_bytes());
        self.count(section);
        true
    }

    /// One record more in this section.
    fn count(&mut self, section: Section) {
        let at = self.start + section as usize;
        let count = u16::from_be_bytes([self.out[at], self.out[at + 1]]).wrapping_add(1);
        self.out[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
}

impl Names {
    fn add(&mut self, at: usize) {
        // A pointer has 14 bits.
        if self.count < NAMES_MAX && at < 0x4000 {
            self.places[self.count] = at as u16;
            self.count += 1;
        }
    }

    /// Writes a name, the longest known end of it as a pointer.
    fn write(&mut self, out: &mut Vec<u8>, start: usize, wire: &[u8]) {
        for rest in suffixes(wire) {
            let Some(&length @ 1..) = rest.first() else { break };
            let known = self.places[..self.count].iter().find(|&&at| is_name_at(&out[start..], usize::from(at), rest));
            if let Some(&at) = known {
                out.extend((0xc000 | at).to_be_bytes());
                return;
            }
            self.add(out.len() - start);
            out.extend(&rest[..1 + usize::from(length)]);
        }
        out.push(0);
    }
}

/// Whether this name stands at this place of a message that we wrote, where pointers lead backwards only.
fn is_name_at(message: &[u8], mut at: usize, name: &[u8]) -> bool {
    let mut name = name;
    loop {
        let Some(&length) = message.get(at) else { return false };
        if length >= 0xc0 {
            let Some(&low) = message.get(at + 1) else { return false };
            at = usize::from(length & 0x3f) << 8 | usize::from(low);
            continue;
        }
        let label = 1 + usize::from(length);
        match (message.get(at..at + label), name.get(..label)) {
            (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
            _ => return false,
        }
        if length == 0 {
            return true;
        }
        (at, name) = (at + label, &name[label..]);
    }
}

/// The name of a question stands at octet 12.
pub const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];
/// Earlier names that are looked at.
const NAMES_MAX: usize = 48;

/// Appends a question; the name as octets.
pub fn question(out: &mut Vec<u8>, name: &[u8], kind: Kind) {
    out.extend(name);
    out.extend(kind.0.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    #[test]
    fn names_are_pointers_and_what_does_not_fit_leaves_no_trace() {
        let name = |text: &str| Name::parse(text).unwrap();
        let mut out = vec![7; 3];
        out.extend([0; HEADER]);
        question(&mut out, name("Example.ORG").wire(), Kind::MX);
        let asked = out.len() - 3;
        let mut writer = Writer::after_question(&mut out, 3, asked + 70);
        let mx = Data::mx(1, &name("mx.sub.example.org"));
        assert!(writer.record_of_question(Section::Answer, 300, &mx));
        let first = writer.len() - asked;
        assert_eq!(first, 12 + 2 + 3 + 4 + 2, "two labels and a pointer");
        assert!(writer.record(
            Section::Additional,
            name("MX.sub.example.org").wire(),
            300,
            &Data::address([192, 0, 2, 1].into())
        ));
        assert_eq!(writer.len() - asked - first, 16);
        let (before, long) = (writer.len(), Data::name(Kind::NS, &name("a.very.long.name.that.does.not.fit.here")));
        assert!(!writer.record(Section::Authority, name("other.example").wire(), 300, &long));
        assert_eq!(writer.len(), before);
        let ns = Data::name(Kind::NS, &name("mx.sub.example.org"));
        assert!(writer.record(Section::Authority, name("sub.example.org").wire(), 300, &ns));
        assert_eq!(writer.len() - before, 14);
        assert_eq!(out[3 + 4..3 + 12], [0, 0, 0, 1, 0, 1, 0, 1]);
    }
}
