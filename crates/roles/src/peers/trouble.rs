//! Everything that keeps two nodes apart, in the words of operators: what is wrong, and what to do.

use std::io;
use std::path::Path;

use mail::date::rfc3339;
use rustls::{AlertDescription, CertificateError as Refused, Error};

use super::tls::LinkTls;
use crate::pki::Identity;

/// Why there is no link, or no link any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection.
    Unreachable(String),
    /// Nothing was said in time.
    Slow,
    /// It is no TLS at all.
    NotTls,
    /// It has no TLS 1.3, or nothing else in common with us.
    OldTls(String),
    /// It showed no certificate.
    NoCertificate,
    /// Another authority signed its certificate.
    OtherAuthority(Option<String>),
    /// Its certificate is over.
    Expired(Option<Box<Identity>>),
    /// Its certificate does not count yet, or its clock or ours is wrong.
    NotYetValid(Option<Box<Identity>>),
    /// Its certificate cannot be used for something else.
    BadCertificate(String),
    /// It is signed for by our authority, and not as a node.
    NoNode,
    /// It is another node than the one that should be there.
    WrongNode {
        /// Which one should be there.
        wanted: String,
        /// Which one is.
        found: String,
    },
    /// It looked for another node and found us.
    WantsAnother(String),
    /// Too many connections are being looked at.
    Busy,
    /// A node of the organization that nobody told us of.
    Unknown(String),
    /// It does not take our certificate.
    RefusesOurs(&'static str),
    /// It said why it leaves.
    Left(String),
    /// It sent what makes no sense.
    Cut(mux::Cut),
    /// The connection ended without a word.
    Closed(String),
    /// We end it ourselves.
    Ended(&'static str),
}

impl Trouble {
    /// What an error of the connection means; `shown` is the certificate that the other end had.
    pub fn of(error: &io::Error, shown: Option<Identity>) -> Trouble {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Trouble::of_tls(error, shown),
            None if error.kind() == io::ErrorKind::TimedOut => Trouble::Slow,
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Trouble::Closed("it was closed without a word".into())
            }
            None => Trouble::Closed(error.to_string()),
        }
    }

    fn of_tls(error: &Error, shown: Option<Identity>) -> Trouble {
        let organization = shown.as_ref().and_then(|identity| identity.organization.clone());
        match error {
            Error::InvalidCertificate(refused) => match refused {
                Refused::Expired | Refused::ExpiredContext { .. } => Trouble::Expired(shown.map(Box::new)),
                Refused::NotValidYet | Refused::NotValidYetContext { .. } => Trouble::NotYetValid(shown.map(Box::new)),
                // An authority of the same name and another key shows as a bad signature.
                Refused::UnknownIssuer | Refused::BadSignature => Trouble::OtherAuthority(organization),
                other => Trouble::BadCertificate(other.to_string()),
            },
            Error::NoCertificatesPresented => Trouble::NoCertificate,
            Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateExpired => Trouble::RefusesOurs("it says that it is not valid now"),
                AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                    Trouble::RefusesOurs("it believes another authority")
                }
                AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnsupportedCertificate => Trouble::RefusesOurs("it does not say why"),
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
                    Trouble::OldTls("it refuses TLS 1.3".into())
                }
                other => Trouble::Closed(format!("TLS alert {other:?}")),
            },
            Error::PeerIncompatible(what) => Trouble::OldTls(format!("{what:?}")),
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => Trouble::NotTls,
            other => Trouble::Closed(other.to_string()),
        }
    }

    /// One word for counters.
    pub fn word(&self) -> &'static str {
        match self {
            Trouble::Unreachable(_) => "unreachable",
            Trouble::Slow => "slow",
            Trouble::NotTls => "not-tls",
            Trouble::OldTls(_) => "old-tls",
            Trouble::NoCertificate => "no-certificate",
            Trouble::OtherAuthority(_) => "other-authority",
            Trouble::Expired(_) => "expired",
            Trouble::NotYetValid(_) => "not-yet-valid",
            Trouble::BadCertificate(_) => "bad-certificate",
            Trouble::NoNode => "no-node",
            Trouble::WrongNode { .. } | Trouble::WantsAnother(_) => "wrong-node",
            Trouble::Busy => "busy",
            Trouble::Unknown(_) => "unknown-node",
            Trouble::RefusesOurs(_) => "refuses-ours",
            Trouble::Left(_) => "left",
            Trouble::Cut(mux::Cut::Silent(_)) => "silent",
            Trouble::Cut(_) => "garbage",
            Trouble::Closed(_) => "closed",
            Trouble::Ended(_) => "ended",
        }
    }

    /// The two ends can never understand each other without a person.
    pub fn wants_a_person(&self) -> bool {
        !matches!(
            self,
            Trouble::Unreachable(_) | Trouble::Slow | Trouble::Left(_) | Trouble::Closed(_) | Trouble::Ended(_)
        ) && self.word() != "silent"
    }

    /// What is wrong and what to do, for the log and for `posthouse status`.
    pub fn sentence(&self, tls: &LinkTls) -> String {
        let file = |path: &Path| path.display().to_string();
        let node = |shown: &Option<Box<Identity>>| {
            shown.as_ref().and_then(|identity| identity.node.clone()).unwrap_or_else(|| "NODE".into())
        };
        let own = tls.current().own.clone();
        let own_name = own.node.clone().unwrap_or_default();
        match self {
            Trouble::Unreachable(why) => {
                format!("it cannot be reached ({why}): is it running, and is its address right?")
            }
            Trouble::Slow => "it did not answer in time: is that address its [peers] listen?".into(),
            Trouble::NotTls => {
                "what it sends is no TLS: something else is at that address, or somebody tries the port".into()
            }
            Trouble::OldTls(what) => format!("it speaks no TLS 1.3 as links do ({what}): it is no Posthouse"),
            Trouble::NoCertificate => "it showed no certificate: it is no node, or its [peers] table has none".into(),
            Trouble::OtherAuthority(of) => format!(
                "its certificate{} was not signed by the authority in {}: issue it one there with `posthouse pki issue`, or add its authority to that file",
                of.as_ref().map_or(String::new(), |of| format!(" (of {of})")),
                file(tls.ca_file())
            ),
            Trouble::Expired(shown) => format!(
                "its certificate ended{}: `posthouse pki renew {}`, and copy certificate.pem to it",
                shown.as_ref().map_or(String::new(), |of| format!(" at {}", rfc3339(of.not_after_ms))),
                node(shown)
            ),
            Trouble::NotYetValid(shown) => format!(
                "its certificate counts only{}: set the clocks of both nodes right",
                shown.as_ref().map_or(String::from(" later"), |of| format!(" from {} on", rfc3339(of.not_before_ms)))
            ),
            Trouble::BadCertificate(what) => {
                format!("its certificate cannot be used ({what}): issue it one with `posthouse pki issue`")
            }
            Trouble::NoNode => "its certificate names no node: only what `posthouse pki issue` makes may link".into(),
            Trouble::WrongNode { wanted, found } => format!(
                "{found} is there and not {wanted}: correct the address of [[peer]] {wanted}, or the certificate of that node"
            ),
            Trouble::WantsAnother(wanted) => {
                format!("it looks for {wanted} and found this node: correct the address of [[peer]] {wanted} there")
            }
            Trouble::Busy => "too many connections are being looked at: somebody tries the port again and again".into(),
            Trouble::Unknown(name) => {
                format!("node {name} is of this organization and no [[peer]] here: add it, or take it out there")
            }
            Trouble::RefusesOurs(why) => format!(
                "it does not take our certificate ({why}): look at {} (valid until {}) and at its own [peers] ca; `posthouse pki renew {own_name}` makes a new one",
                file(tls.certificate_file()),
                rfc3339(own.not_after_ms)
            ),
            Trouble::Left(why) => format!("it ended the link: {why}"),
            Trouble::Cut(cut) => cut.to_string(),
            Trouble::Closed(why) => format!("the connection ended: {why}"),
            Trouble::Ended(why) => (*why).into(),
        }
    }
}
