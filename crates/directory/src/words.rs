//! Values that a document names by a word, and the words.

use crate::domain::{DomainType, LocalPreference};
use crate::node::{LogFormat, LogLevel, Spread};
use crate::permission::Group;
use crate::receive::{AuthMechanisms, BareNewline, Extension, Protocol, ReceiveTls, RefusedDomains};
use crate::send::SendTls;
use crate::service::{Algorithm, ProxyHeader, ServiceProtocol, SipMode, SipTransport};
use crate::usage::Usage;
use crate::zone::TsigAlgorithm;
use mail::WhenShort;

macro_rules! words {
    ($($type:ident { $($word:literal = $value:ident),+ $(,)? })+) => {$(
        impl $type {
            /// Every value with its word in the document.
            pub const WORDS: &'static [(&'static str, $type)] = &[$(($word, $type::$value)),+];

            /// The word in the document.
            pub fn word(self) -> &'static str {
                match self {
                    $($type::$value => $word),+
                }
            }
        }
    )+};
}

words! {
    Protocol { "smtp" = Smtp, "submission" = Submission, "lmtp" = Lmtp }
    ReceiveTls { "off" = Off, "offer" = Offer, "require" = Require, "implicit" = Implicit, "organization" = Organization }
    BareNewline { "reject" = Reject, "repair" = Repair }
    DomainType { "authoritative" = Authoritative, "internal_relay" = InternalRelay, "external_relay" = ExternalRelay }
    LocalPreference { "prefer" = Prefer, "strict" = Strict, "avoid" = Avoid }
    Usage { "custom" = Custom, "client" = Client, "internal" = Internal, "internet" = Internet, "partner" = Partner }
    Extension {
        "size" = Size,
        "size-value" = SizeValue,
        "pipelining" = Pipelining,
        "chunking" = Chunking,
        "8bitmime" = EightBitMime,
        "smtputf8" = SmtpUtf8,
        "dsn" = Dsn,
        "enhancedstatuscodes" = EnhancedStatusCodes,
    }
    RefusedDomains { "single-label" = SingleLabel, "reserved" = Reserved }
    Group { "anonymous" = Anonymous, "users" = Users, "relay" = Relay, "partners" = Partners, "servers" = Servers }
    SendTls { "off" = Off, "opportunistic" = Opportunistic, "require" = Require, "verify" = Verify }
    ServiceProtocol {
        "smtp" = Smtp,
        "submission" = Submission,
        "submissions" = Submissions,
        "imap" = Imap,
        "imaps" = Imaps,
        "pop3" = Pop3,
        "pop3s" = Pop3s,
        "http" = Http,
        "https" = Https,
        "ldap" = Ldap,
        "sip" = Sip,
        "sips" = Sips,
        "tcp" = Tcp,
    }
    Algorithm { "least_connections" = LeastConnections, "round_robin" = RoundRobin, "source_hash" = SourceHash }
    SipMode { "redirect" = Redirect, "forward" = Forward }
    SipTransport { "udp" = Udp, "tcp" = Tcp }
    ProxyHeader { "none" = None, "v1" = V1, "v2" = V2 }
    LogLevel { "error" = Error, "warn" = Warn, "info" = Info, "debug" = Debug, "trace" = Trace }
    LogFormat { "text" = Text, "json" = Json }
    TsigAlgorithm { "hmac-sha256" = Sha256, "hmac-sha384" = Sha384, "hmac-sha512" = Sha512 }
    Spread { "any" = Any, "rack" = Rack, "site" = Site }
}

impl AuthMechanisms {
    /// Every mechanism with its word in the document.
    pub const WORDS: &'static [(&'static str, AuthMechanisms)] = &[
        ("plain", AuthMechanisms { plain: true, login: false, scram_sha_256: false }),
        ("login", AuthMechanisms { plain: false, login: true, scram_sha_256: false }),
        ("scram-sha-256", AuthMechanisms { plain: false, login: false, scram_sha_256: true }),
    ];

    /// Both sets together.
    pub fn and(self, other: AuthMechanisms) -> AuthMechanisms {
        AuthMechanisms {
            plain: self.plain || other.plain,
            login: self.login || other.login,
            scram_sha_256: self.scram_sha_256 || other.scram_sha_256,
        }
    }

    /// The words of the set.
    pub fn words(self) -> Vec<&'static str> {
        let in_set = |(_, one): &&(_, AuthMechanisms)| self.and(*one) == self;
        AuthMechanisms::WORDS.iter().filter(in_set).map(|(word, _)| *word).collect()
    }
}

/// Every value of a connector's `when_short` with its word in the document.
pub const WHEN_SHORT_WORDS: &[(&str, WhenShort)] = &[("refuse", WhenShort::Refuse), ("accept", WhenShort::Accept)];

/// The word in the document.
pub fn when_short_word(when_short: WhenShort) -> &'static str {
    match when_short {
        WhenShort::Refuse => "refuse",
        WhenShort::Accept => "accept",
    }
}
