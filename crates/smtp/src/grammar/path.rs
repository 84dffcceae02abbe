//! Paths of MAIL and RCPT (RFC 5321 4.1.2): where the brackets end, and what stands in them.

use mail::address::is_domain;

/// A path and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'t> {
    /// What stands between the brackets, without a source route (RFC 5321 appendix C: taken and ignored). May be empty.
    pub address: &'t str,
    /// What follows the closing bracket.
    pub rest: &'t str,
}

/// Splits `<path>rest`; `None` if there is no path. A bracket in a quoted local part ends nothing.
pub fn split(text: &str) -> Option<Path<'_>> {
    let mut inner = text.strip_prefix('<')?;
    if inner.starts_with('@') {
        let (route, address) = inner.split_once(':')?;
        if !route.split(',').all(|hop| hop.strip_prefix('@').is_some_and(is_domain)) || address.starts_with(['@', '>'])
        {
            return None;
        }
        inner = address;
    }
    let end = closing_bracket(inner)?;
    Some(Path { address: &inner[..end], rest: &inner[end + 1..] })
}

fn closing_bracket(inner: &str) -> Option<usize> {
    let mut quoted = false;
    let mut bytes = inner.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                bytes.next();
            }
            b'>' if !quoted => return Some(at),
            b'<' | b' ' if !quoted => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (text, address, rest) in [
            ("<>", "", ""),
            ("<a@b>", "a@b", ""),
            ("<a@b> SIZE=1", "a@b", " SIZE=1"),
            ("<a@b>SIZE=1", "a@b", "SIZE=1"),
            ("<@x.test,@y.test:a@b>", "a@b", ""),
            ("<\"@a,@b:<user>\"@d>", "\"@a,@b:<user>\"@d", ""),
            ("<\"a\\\">\"@d> X", "\"a\\\">\"@d", " X"),
            ("<postmaster>", "postmaster", ""),
        ] {
            assert_eq!(split(text), Some(Path { address, rest }), "{text}");
        }
        for text in ["", "a@b", "<a@b", "<@a:>", "<@a,b:c@d>", "<@a c@d>", "<\"a@b>", "<a b@c>", "<<a@b>>", "<@:a@b>"] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
