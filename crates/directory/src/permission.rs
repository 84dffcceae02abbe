//! Who a session acts for, and what that allows: the groups of a receive connector, the grants that each stands for, and single grants
//! that a connector gives or takes beside them (behaviours 1.4).
//!
//! A session starts as [`Principal::Peer`] and becomes a [`Principal::User`] by AUTH or a [`Principal::Server`] by its certificate, so grants are asked for anew at each MAIL.

use crate::user::User;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

/// A permission group as `permissions = [...]` of a receive connector names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Strangers: mail for accepted domains only.
    Anonymous,
    /// Whoever has authenticated: any recipient, sender addresses of their own.
    Users,
    /// Peers of this connector may send to any recipient, and are strangers in all else.
    Relay,
    /// Known organizations: like strangers, and they may not use our domains as sender.
    Partners,
    /// Our own servers: any recipient, any sender, no size or recipient limit. A peer counts as one by its certificate, or by its
    /// address on a connector that is `externally_secured`.
    Servers,
}

/// Who a session acts for.
#[derive(Clone, Debug, Default)]
pub enum Principal {
    /// Nobody has authenticated: the peer at its address.
    #[default]
    Peer,
    /// This user has authenticated.
    User(Arc<User>),
    /// This server of the organization has shown its certificate: its name, in lower case.
    Server(Arc<str>),
}

/// A set of single permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants(u16);

/// One line of a connector's `grant` or `deny`: `anonymous:any-recipient`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Single {
    /// Whom it is about.
    pub who: Who,
    /// What it gives or takes: one permission.
    pub what: Grants,
}

/// Whom a single grant is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// All who count as members of the group, whether `permissions` names it or not.
    Group(Group),
    /// One user, by name in lower case.
    User(Box<str>),
}

impl Group {
    /// What the group stands for.
    pub fn grants(self) -> Grants {
        let anonymous = Grants::SUBMIT | Grants::ANY_SENDER | Grants::OWN_DOMAIN_SENDER | Grants::ROUTING_HEADERS;
        match self {
            Group::Anonymous => anonymous,
            Group::Users => Grants::SUBMIT | Grants::ANY_RECIPIENT | Grants::TRUSTED | Grants::ROUTING_HEADERS,
            Group::Relay => anonymous | Grants::ANY_RECIPIENT,
            Group::Partners => Grants::SUBMIT | Grants::ANY_SENDER | Grants::ROUTING_HEADERS,
            Group::Servers => Group::externally_secured() | Grants::SERVERS_ONLY,
        }
    }

    /// What [`Group::Servers`] stands for where a peer counts as a server by its address: all but what only a certificate gives.
    pub fn externally_secured() -> Grants {
        Group::Relay.grants() | Grants::TRUSTED | Grants::INTERNAL | Grants::ANY_SIZE | Grants::ANY_RECIPIENT_COUNT
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Grants {
    /// Nothing at all: MAIL is refused.
    pub const NONE: Grants = Grants(0);
    /// MAIL is allowed.
    pub const SUBMIT: Grants = Grants(1);
    /// RCPT may name any domain: relaying.
    pub const ANY_RECIPIENT: Grants = Grants(1 << 1);
    /// MAIL may name any sender; without it only the user's own addresses.
    pub const ANY_SENDER: Grants = Grants(1 << 2);
    /// MAIL may name a sender in one of our accepted domains.
    pub const OWN_DOMAIN_SENDER: Grants = Grants(1 << 3);
    /// No tarpit, no spam filter.
    pub const TRUSTED: Grants = Grants(1 << 4);
    /// `message_size_max` does not count.
    pub const ANY_SIZE: Grants = Grants(1 << 5);
    /// `recipients_max` does not count.
    pub const ANY_RECIPIENT_COUNT: Grants = Grants(1 << 6);
    /// Mail counts as sent inside the organization.
    pub const INTERNAL: Grants = Grants(1 << 7);
    /// `Received` and `Resent-*` fields are kept.
    pub const ROUTING_HEADERS: Grants = Grants(1 << 8);
    /// Header fields of the organization are kept (behaviours 2.7).
    pub const ORGANIZATION_HEADERS: Grants = Grants(1 << 9);
    /// What servers tell each other about a session is believed.
    pub const SESSION_CONTEXT: Grants = Grants(1 << 10);

    /// What nobody but a server that has shown its certificate ever has, whatever a document says.
    pub const SERVERS_ONLY: Grants = Grants(Grants::ORGANIZATION_HEADERS.0 | Grants::SESSION_CONTEXT.0);

    /// Every single permission with its word in `grant` and `deny`.
    pub const WORDS: &'static [(&'static str, Grants)] = &[
        ("submit", Grants::SUBMIT),
        ("any-recipient", Grants::ANY_RECIPIENT),
        ("any-sender", Grants::ANY_SENDER),
        ("own-domain-sender", Grants::OWN_DOMAIN_SENDER),
        ("trusted", Grants::TRUSTED),
        ("any-size", Grants::ANY_SIZE),
        ("any-recipient-count", Grants::ANY_RECIPIENT_COUNT),
        ("internal", Grants::INTERNAL),
        ("routing-headers", Grants::ROUTING_HEADERS),
        ("organization-headers", Grants::ORGANIZATION_HEADERS),
        ("session-context", Grants::SESSION_CONTEXT),
    ];

    /// All of `other` is in this set.
    pub fn has(self, other: Grants) -> bool {
        self.0 & other.0 == other.0
    }

    /// Something of `other` is in this set.
    pub fn has_any(self, other: Grants) -> bool {
        self.0 & other.0 != 0
    }

    /// This set without `other`.
    pub fn without(self, other: Grants) -> Grants {
        Grants(self.0 & !other.0)
    }

    /// The words of the set.
    pub fn words(self) -> Vec<&'static str> {
        Grants::WORDS.iter().filter(|(_, one)| self.has(*one)).map(|(word, _)| *word).collect()
    }
}

impl BitOr for Grants {
    type Output = Grants;

    fn bitor(self, other: Grants) -> Grants {
        Grants(self.0 | other.0)
    }
}

impl BitOrAssign for Grants {
    fn bitor_assign(&mut self, other: Grants) {
        *self = *self | other;
    }
}

/// As the document writes it.
impl fmt::Display for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what.words().join("+");
        match &self.who {
            Who::Group(group) => write!(f, "{group}:{what}"),
            Who::User(name) => write!(f, "{name}:{what}"),
        }
    }
}
