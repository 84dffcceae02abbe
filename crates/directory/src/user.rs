//! Users who may authenticate, and the senders that each may use. Keys are compared elsewhere: nothing here computes a hash.

use crate::base64;
use mail::{Mailbox, ReversePath};
use std::sync::Arc;

/// Somebody who may authenticate.
#[derive(Clone, PartialEq)]
pub struct User {
    /// The name to log on with; compared without regard to case.
    pub name: Arc<str>,
    /// What the password is checked against.
    pub password: Password,
    /// Senders besides the user's own name.
    pub may_send_as: Vec<SenderPattern>,
}

/// A password's hash.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// A PHC string, `$argon2id$v=19$m=..,t=..,p=..$salt$hash`. Good for PLAIN and LOGIN.
    Argon2id(Box<str>),
    /// Stored keys of RFC 5803, `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`. Good for every mechanism.
    ScramSha256 {
        /// Rounds of PBKDF2.
        iterations: u32,
        /// Salt.
        salt: Box<[u8]>,
        /// StoredKey of RFC 5802 3.
        stored_key: [u8; 32],
        /// ServerKey of RFC 5802 3.
        server_key: [u8; 32],
    },
    /// Not known here: a bind to the directory of this name checks it. Good for PLAIN and LOGIN; never written in the document.
    Directory(Arc<str>),
}

/// A sender that a user may use.
#[derive(Clone, Debug, PartialEq)]
pub enum SenderPattern {
    /// One address.
    Mailbox(Mailbox),
    /// `*@example.org`: every address of the domain, lower case.
    Domain(Box<str>),
    /// `*`: every address.
    Any,
}

impl User {
    /// The user may send as `from`. The null sender is everybody's: notifications of clients use it (RFC 3798 3).
    pub fn may_send_as(&self, from: &ReversePath) -> bool {
        let Some(from) = from.mailbox() else { return true };
        from.as_str().eq_ignore_ascii_case(&self.name) || self.may_send_as.iter().any(|pattern| pattern.covers(from))
    }
}

impl SenderPattern {
    fn covers(&self, from: &Mailbox) -> bool {
        match self {
            // Local parts are compared without regard to case, as our mailboxes are.
            SenderPattern::Mailbox(own) => own.as_str().to_lowercase() == from.as_str().to_lowercase(),
            SenderPattern::Domain(domain) => from.domain_lower() == **domain,
            SenderPattern::Any => true,
        }
    }
}

impl std::fmt::Display for SenderPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SenderPattern::Mailbox(own) => write!(f, "{own}"),
            SenderPattern::Domain(domain) => write!(f, "*@{domain}"),
            SenderPattern::Any => f.write_str("*"),
        }
    }
}

/// As the document writes it.
impl std::fmt::Display for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Password::Argon2id(phc) => f.write_str(phc),
            Password::Directory(name) => write!(f, "directory {name}"),
            Password::ScramSha256 { iterations, salt, stored_key, server_key } => {
                let (salt, stored, server) =
                    (base64::encode(salt), base64::encode(stored_key), base64::encode(server_key));
                write!(f, "SCRAM-SHA-256${iterations}:{salt}${stored}:{server}")
            }
        }
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({})", self.name)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Password::Argon2id(_) => "argon2id",
            Password::Directory(_) => "directory",
            Password::ScramSha256 { .. } => "scram-sha-256",
        })
    }
}
