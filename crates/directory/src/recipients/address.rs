//! Addresses as the table compares them: without regard to case, in any script, and without needless quotes.

use crate::domain::unquoted;
use mail::Mailbox;

/// An address in the form that is hashed and compared: lower case, needless quotes removed. Takes no memory of its own for ASCII.
pub(super) struct Lower {
    buffer: [u8; BUFFER],
    len: usize,
    long: Option<String>,
}

impl Lower {
    pub fn of(address: &Mailbox) -> Lower {
        Lower::of_parts(unquoted(address.local()), address.domain())
    }

    pub fn of_parts(local: &str, domain: &str) -> Lower {
        let mut lower = Lower { buffer: [0; BUFFER], len: local.len() + 1 + domain.len(), long: None };
        if lower.len > BUFFER || !local.is_ascii() || !domain.is_ascii() {
            lower.long = Some(format!("{local}@{domain}").to_lowercase());
            return lower;
        }
        lower.buffer[..local.len()].copy_from_slice(local.as_bytes());
        lower.buffer[local.len()] = b'@';
        lower.buffer[local.len() + 1..lower.len].copy_from_slice(domain.as_bytes());
        lower.buffer[..lower.len].make_ascii_lowercase();
        lower
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.long {
            Some(long) => long.as_bytes(),
            None => &self.buffer[..self.len],
        }
    }

    /// The same address, written so.
    pub fn is(&self, local: &str, domain: &str) -> bool {
        let local = unquoted(local);
        if !local.is_ascii() || !domain.is_ascii() {
            return Lower::of_parts(local, domain).bytes() == self.bytes();
        }
        let known = self.bytes();
        known.len() == local.len() + 1 + domain.len()
            && known[local.len()] == b'@'
            && known[..local.len()].eq_ignore_ascii_case(local.as_bytes())
            && known[local.len() + 1..].eq_ignore_ascii_case(domain.as_bytes())
    }
}

/// Longest address of RFC 5321 4.5.3.1 (64 + 1 + 255), in bytes.
const BUFFER: usize = 320;
