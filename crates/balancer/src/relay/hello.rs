//! The name in a client's TLS greeting (RFC 8446 4.1.2, RFC 6066 3), read without answering it.
//!
//! Owns that one look. Knows no TLS beyond it. Always holds: what is not understood has no name, and [`HELLO_BYTES_MAX`] bytes decide.

/// What the first bytes of a client are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hello<'a> {
    /// More has to come.
    More,
    /// A whole greeting; the host name in it, as the client wrote it.
    Named(Option<&'a str>),
    /// No TLS, or a greeting that is too long or in pieces that we do not put together.
    Strange,
}

/// Bytes of a greeting, with the headers of its record. One record holds 16 KiB.
pub(super) const HELLO_BYTES_MAX: usize = 16 * 1024 + 5;

/// Looks at the first bytes of a client.
pub(super) fn read(bytes: &[u8]) -> Hello<'_> {
    let (content, is_whole) = match bytes {
        [] | [0x16] | [0x16, 3] => return Hello::More,
        [0x16, 3, _] | [0x16, 3, _, _] => return Hello::More,
        [0x16, 3, _, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            (&rest[..rest.len().min(length)], rest.len() >= length)
        }
        _ => return Hello::Strange,
    };
    let mut reader = Reader(content);
    let named = match reader.take(1) {
        Some([1]) => reader.vector(3).and_then(|hello| name(Reader(hello))),
        Some(_) => return Hello::Strange,
        None => None,
    };
    match named {
        Some(name) => Hello::Named(name),
        // A record that is whole and does not hold a whole greeting.
        None if is_whole || bytes.len() >= HELLO_BYTES_MAX => Hello::Strange,
        None => Hello::More,
    }
}

/// `Some(None)`: a sound greeting without a name.
fn name(mut hello: Reader<'_>) -> Option<Option<&str>> {
    hello.take(2 + 32)?;
    hello.vector(1)?;
    hello.vector(2)?;
    hello.vector(1)?;
    let Some(extensions) = hello.vector(2) else { return Some(None) };
    let mut extensions = Reader(extensions);
    while let Some(kind) = extensions.take(2) {
        let value = extensions.vector(2)?;
        if kind == [0, 0] {
            let mut names = Reader(Reader(value).vector(2)?);
            let is_host = names.take(1)? == [0];
            let host = std::str::from_utf8(names.vector(2)?).ok()?;
            return Some(is_host.then_some(host));
        }
    }
    Some(None)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A length of `count` bytes and as many bytes.
    fn vector(&mut self, count: usize) -> Option<&'a [u8]> {
        let length = self.take(count)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// A greeting of rustls for a host.
    fn of_rustls(host: &'static str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let mut client = rustls::ClientConnection::new(Arc::new(config), host.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_name_is_found_as_soon_as_all_is_there() {
        let hello = of_rustls("mail.example");
        for end in 0..hello.len() {
            assert_eq!(read(&hello[..end]), Hello::More, "{end}");
        }
        assert_eq!(read(&hello), Hello::Named(Some("mail.example")));
        assert_eq!(read(&[&hello[..], b"more"].concat()), Hello::Named(Some("mail.example")));
        // An address is no name (RFC 6066 3).
        assert_eq!(read(&of_rustls("192.0.2.1")), Hello::Named(None));
    }

    #[test]
    fn strangers() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"EHLO x",
            b"\x16\x02",
            b"\x16\x03\x01\0\x01\x02",
            b"\x16\x03\x01\0\x04\x01\0\0\0",
        ] {
            assert_eq!(read(bytes), Hello::Strange, "{}", bytes.escape_ascii());
        }
        assert_eq!(
            read(&[&[0x16, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xff][..], &[0; HELLO_BYTES_MAX]].concat()),
            Hello::Strange
        );
    }

    proptest! {
        /// Whatever is changed in a greeting, reading it ends without a panic.
        #[test]
        fn broken_greetings(at in 0_usize..300, byte: u8, end in 0_usize..2000) {
            let mut hello = of_rustls("mail.example");
            if let Some(place) = hello.get_mut(at) {
                *place = byte;
            }
            let _ = read(&hello[..end.min(hello.len())]);
        }
    }
}
