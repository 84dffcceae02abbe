//! The certificate that a probed server shows: whose it is, and when it ends. It is not judged here: who is expired for one client may be
//! good enough for another, and a service whose members all end on one day must not vanish with them, unless the document says so.

use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate as operators ask about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Until when it is valid, in milliseconds of the wall clock.
    pub not_after_ms: u64,
    /// Whom it is for: its DNS names, or its subject if it has none. At most [`NAMES_MAX`].
    pub names: Vec<String>,
}

/// Names of a certificate that are kept.
pub const NAMES_MAX: usize = 16;
const DAY_MS: i64 = 86_400_000;

impl Certificate {
    /// Reads it; `None` if it is none.
    pub fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let not_after_s = u64::try_from(read.validity().not_after.timestamp()).unwrap_or_default();
        let alternatives = read.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|found| &found.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_ascii_lowercase()),
            _ => None,
        });
        let mut names: Vec<String> = names.take(NAMES_MAX).collect();
        if names.is_empty() {
            names.push(read.subject().to_string());
        }
        Some(Certificate { not_after_ms: not_after_s.saturating_mul(1000), names })
    }

    /// It is not valid any more.
    pub fn has_ended(&self, wall_ms: u64) -> bool {
        self.not_after_ms < wall_ms
    }

    /// Whole days that it is valid still; below 0 since it ended.
    pub fn days_left(&self, wall_ms: u64) -> i64 {
        let ms = i64::try_from(self.not_after_ms).unwrap_or(i64::MAX) - i64::try_from(wall_ms).unwrap_or(i64::MAX);
        ms.div_euclid(DAY_MS)
    }

    /// It is for a host of that name (RFC 6125: a star stands for one whole label, the first).
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => *name == host,
        })
    }
}

/// Which warnings about a certificate were given: each of the marks once, for each certificate.
#[derive(Debug, Default)]
pub struct Warned {
    not_after_ms: u64,
    marks: BTreeSet<u32>,
}

impl Warned {
    /// The smallest mark of `days` that the certificate has reached and that nobody was told of; those above it count as told.
    pub fn due(&mut self, certificate: &Certificate, wall_ms: u64, days: &[u32]) -> Option<u32> {
        if self.not_after_ms != certificate.not_after_ms {
            *self = Warned { not_after_ms: certificate.not_after_ms, marks: BTreeSet::new() };
        }
        let left = certificate.days_left(wall_ms);
        // Its end is a mark of its own, whatever days are named.
        let reached = days.iter().copied().chain([0]).filter(|mark| left < i64::from(*mark));
        let new: Vec<u32> = reached.filter(|mark| self.marks.insert(*mark)).collect();
        new.into_iter().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_told_once_and_a_new_certificate_begins_again() {
        const DAY: u64 = DAY_MS as u64;
        let certificate =
            |end_day: u64| Certificate { not_after_ms: end_day * DAY, names: vec!["*.example.org".into()] };
        let (old, new, marks) = (certificate(100), certificate(110), [60, 30, 7]);
        let mut warned = Warned::default();
        let told: Vec<_> = (0..=110).map(|day| (day, warned.due(&old, day * DAY, &marks))).collect();
        let told: Vec<_> = told.into_iter().filter_map(|(day, mark)| Some((day, mark?))).collect();
        assert_eq!(told, [(41, 60), (71, 30), (94, 7), (101, 0)]);
        assert_eq!(warned.due(&new, 108 * DAY, &marks), Some(7), "one word, not three");
        assert_eq!(warned.due(&new, 109 * DAY, &marks), None);
        assert_eq!((new.days_left(110 * DAY + 1), new.days_left(109 * DAY)), (-1, 1));
    }

    #[test]
    fn a_star_is_one_label() {
        let certificate =
            Certificate { not_after_ms: 0, names: vec!["*.example.org".into(), "mail.example.net".into()] };
        for (host, good) in [
            ("a.example.org", true),
            ("A.Example.Org.", true),
            ("a.b.example.org", false),
            ("example.org", false),
            ("mail.example.net", true),
        ] {
            assert_eq!(certificate.is_for(host), good, "{host}");
        }
    }
}
