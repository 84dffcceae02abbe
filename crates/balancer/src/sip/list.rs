//! Lists and parameters inside header values. Knows no header. Always holds: commas and semicolons in quotes and in `<>` part nothing.

/// The elements of a comma-separated value, without the space around them; empty ones are left out.
pub fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Parts { rest: Some(value), separator: b',' }.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// The value of parameter `name` in `parameters` (`;a=b;c`): `None` if it is not there, `Some("")` if it has none.
pub fn parameter<'a>(parameters: &'a [u8], name: &str) -> Option<&'a [u8]> {
    Parts { rest: Some(parameters), separator: b';' }.find_map(|part| {
        let (found, value) = pair(part);
        found.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    })
}

/// Name and value of `name=value`, without the space around them.
pub(super) fn pair(part: &[u8]) -> (&[u8], &[u8]) {
    match part.iter().position(|&b| b == b'=') {
        Some(at) => (part[..at].trim_ascii(), part[at + 1..].trim_ascii()),
        None => (part.trim_ascii(), &[]),
    }
}

/// Pieces of a value between separators that stand in no quotes and no `<>`.
pub struct Parts<'a> {
    /// What was not handed out yet.
    pub rest: Option<&'a [u8]>,
    /// `,` or `;`.
    pub separator: u8,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let value = self.rest?;
        match end_of_part(value, self.separator) {
            Some(at) => {
                self.rest = Some(&value[at + 1..]);
                Some(&value[..at])
            }
            None => {
                self.rest = None;
                Some(value)
            }
        }
    }
}

/// Where the first `separator` outside of quotes and `<>` stands.
pub(super) fn end_of_part(value: &[u8], separator: u8) -> Option<usize> {
    let mut inside = Inside::default();
    value.iter().position(|&byte| inside.pass(byte) && byte == separator)
}

/// Whether quotes and `<>` end where they should: nothing that is written behind this becomes part of it.
pub(super) fn is_closed(value: &[u8]) -> bool {
    let mut inside = Inside::default();
    value.iter().for_each(|&byte| {
        inside.pass(byte);
    });
    !inside.quoted && !inside.angle
}

/// What one is inside of, byte by byte.
#[derive(Default)]
struct Inside {
    quoted: bool,
    escaped: bool,
    angle: bool,
}

impl Inside {
    /// Passes a byte; says whether it stands in nothing.
    fn pass(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.quoted => self.escaped = true,
            b'"' if !self.angle => self.quoted = !self.quoted,
            _ if self.quoted => {}
            b'<' => self.angle = true,
            b'>' => self.angle = false,
            _ => return !self.angle,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_angles_part_nothing() {
        let parts: Vec<&[u8]> = split(b" \"a, \\\"b\" <sip:x,y@h>;q=1 ,, c ").collect();
        assert_eq!(parts, [b"\"a, \\\"b\" <sip:x,y@h>;q=1".as_slice(), b"c"]);
        assert_eq!(parameter(b";branch=z9;RPORT;x=\";rport=7\"", "rport"), Some(b"".as_slice()));
        assert_eq!(parameter(b";branch = z9 ;lr", "Branch"), Some(b"z9".as_slice()));
        assert_eq!(parameter(b";branch=z9", "received"), None);
    }
}
