//! What a peer offers in its answer to EHLO. Owns the keywords that matter to us; others are passed over.

use super::reply::Heard;

/// The extensions of a peer, as far as we use them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// STARTTLS (RFC 3207).
    pub start_tls: bool,
    /// AUTH with PLAIN among its mechanisms (RFC 4954).
    pub auth_plain: bool,
    /// XPOSTHOUSE: it is a server of our organization, and takes journeys from us as one.
    pub journey: bool,
    /// SIZE (RFC 1870).
    pub size: bool,
    /// The largest message in bytes; 0 means no limit is told.
    pub size_max: u64,
    /// LIMITS MAILMAX (RFC 9422): transactions in one session; 0 means no limit is told.
    pub mail_max: u64,
    /// LIMITS RCPTMAX: recipients in one transaction; 0 means no limit is told.
    pub rcpt_max: u64,
    /// LIMITS RCPTDOMAINMAX: different domains in one transaction; 0 means no limit is told.
    pub rcpt_domain_max: u64,
}

impl Capabilities {
    /// Reads the lines of a positive answer to EHLO or LHLO; the first one is the peer's greeting.
    pub(super) fn read(heard: &Heard<'_>) -> Capabilities {
        let mut offers = Capabilities::default();
        for line in heard.texts().skip(1) {
            let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_slice() {
                b"PIPELINING" => offers.pipelining = true,
                b"CHUNKING" => offers.chunking = true,
                b"BINARYMIME" => offers.binary_mime = true,
                b"8BITMIME" => offers.eight_bit_mime = true,
                b"SMTPUTF8" => offers.smtputf8 = true,
                b"DSN" => offers.dsn = true,
                b"XPOSTHOUSE" => offers.journey = true,
                b"STARTTLS" => offers.start_tls = true,
                b"AUTH" => offers.auth_plain = words.any(|word| word.eq_ignore_ascii_case(b"PLAIN")),
                b"SIZE" => {
                    offers.size = true;
                    offers.size_max = words.next().and_then(number).unwrap_or(0);
                }
                b"LIMITS" => words.for_each(|word| offers.limit(word)),
                _ => {}
            }
        }
        offers
    }

    fn limit(&mut self, word: &[u8]) {
        let Some(equals) = word.iter().position(|b| *b == b'=') else { return };
        let Some(value) = number(&word[equals + 1..]) else { return };
        match word[..equals].to_ascii_uppercase().as_slice() {
            b"MAILMAX" => self.mail_max = value,
            b"RCPTMAX" => self.rcpt_max = value,
            b"RCPTDOMAINMAX" => self.rcpt_domain_max = value,
            _ => {}
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}
