//! Who a session acts for, and what that allows: the groups of a receive connector and the grants that each stands for.
//!
//! A session starts as [`Principal::Peer`] and becomes a [`Principal::User`] by AUTH or a [`Principal::Server`] by its certificate, so grants are asked for anew at each MAIL.

use crate::user::User;
use std::fmt;
use std::ops::BitOr;
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
    /// Our own servers, trusted by address: any recipient, any sender, no size or recipient limit.
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

impl Group {
    /// What the group stands for.
    pub fn grants(self) -> Grants {
        let anonymous = Grants::SUBMIT | Grants::ANY_SENDER | Grants::OWN_DOMAIN_SENDER;
        match self {
            Group::Anonymous => anonymous,
            Group::Users => Grants::SUBMIT | Grants::ANY_RECIPIENT | Grants::TRUSTED,
            Group::Relay => anonymous | Grants::ANY_RECIPIENT,
            Group::Partners => Grants::SUBMIT | Grants::ANY_SENDER,
            Group::Servers => {
                anonymous | Grants::ANY_RECIPIENT | Grants::TRUSTED | Grants::ANY_SIZE | Grants::ANY_RECIPIENT_COUNT
            }
        }
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
    /// No tarpit; later: no spam filter.
    pub const TRUSTED: Grants = Grants(1 << 4);
    /// `message_size_max` does not count.
    pub const ANY_SIZE: Grants = Grants(1 << 5);
    /// `recipients_max` does not count.
    pub const ANY_RECIPIENT_COUNT: Grants = Grants(1 << 6);

    /// All of `other` is in this set.
    pub fn has(self, other: Grants) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set without `other`.
    pub fn without(self, other: Grants) -> Grants {
        Grants(self.0 & !other.0)
    }
}

impl BitOr for Grants {
    type Output = Grants;

    fn bitor(self, other: Grants) -> Grants {
        Grants(self.0 | other.0)
    }
}
