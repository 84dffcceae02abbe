//! Owns the words for a next hop and its queue. Knows no DNS and no sockets.

use std::fmt;

/// Where mail for a recipient goes next. Equal keys share one queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HopKey {
    /// Kept here, in Maildirs.
    Maildir {
        /// The accepted domain, in lower case.
        domain: Box<str>,
    },
    /// Handed to a store over LMTP.
    Lmtp {
        /// `unix:/path` or `host:port`.
        target: Box<str>,
    },
    /// Relayed to the smart hosts of a send connector.
    SmartHosts {
        /// The connector's name.
        connector: Box<str>,
    },
    /// Relayed to the mail exchangers of a domain.
    Mx {
        /// The send connector's name.
        connector: Box<str>,
        /// The domain, in lower case.
        domain: Box<str>,
    },
    /// Handed to a server of another site of the organization: to any of its hubs, by rotation.
    Site {
        /// The site's name, in lower case.
        site: Box<str>,
    },
    /// Handed to one of the servers of the organization that deliver it: those of a send connector, or of an accepted domain.
    Servers {
        /// `connector:NAME` or `domain:NAME`, as the organization document names them.
        of: Box<str>,
    },
    /// Nowhere, ever: larger than something on its way takes. Its recipients fail at the first attempt.
    TooLarge {
        /// What takes no message of that size, and up to which it does.
        what: Box<str>,
    },
    /// No route: waits for a change of configuration, or expires.
    Unreachable {
        /// Why, for the operator. One of a few fixed texts, so that strangers cannot make queues with it.
        reason: Box<str>,
    },
}

/// Short name of a hop in this process. Not kept on disk, never used again for another hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HopId(pub u64);

impl HopId {
    /// The hop at a place of the book, made as the `turn`-th one.
    pub(crate) fn new(place: u32, turn: u32) -> HopId {
        HopId(u64::from(turn) << 32 | u64::from(place))
    }

    /// The place in the book.
    pub(crate) fn place(self) -> u32 {
        self.0 as u32
    }
}

impl HopKey {
    /// Mail here has no route.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, HopKey::Unreachable { .. })
    }
}

/// The name under which operators see and address the queue: `mx:out:example.org`, `smart-hosts:out`,
/// `lmtp:unix:/run/x`, `maildir:posthouse.test`, `site:berlin`, `servers:connector:out`, `unreachable:no connector`.
impl fmt::Display for HopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HopKey::Maildir { domain } => write!(f, "maildir:{domain}"),
            HopKey::Lmtp { target } => write!(f, "lmtp:{target}"),
            HopKey::SmartHosts { connector } => write!(f, "smart-hosts:{connector}"),
            HopKey::Mx { connector, domain } => write!(f, "mx:{connector}:{domain}"),
            HopKey::Site { site } => write!(f, "site:{site}"),
            HopKey::Servers { of } => write!(f, "servers:{of}"),
            HopKey::TooLarge { what } => write!(f, "too-large:{what}"),
            HopKey::Unreachable { reason } => write!(f, "unreachable:{reason}"),
        }
    }
}
