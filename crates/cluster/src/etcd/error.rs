//! Owns what can go wrong with etcd, as decisions. Knows no sockets.
//! Always holds: [`Error::certainly_not_done`] is true only if the request cannot have changed anything, and never will.

use std::fmt;

use super::wire::Refusal;

/// Why a request to etcd has no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No endpoint answered. Later.
    Unreachable {
        /// The request may have been carried out all the same.
        maybe_done: bool,
        /// What the last endpoint tried did.
        what: String,
    },
    /// It answers, but has no leader or is too busy. Nothing was done. Later.
    NoLeader(String),
    /// The revision asked for is gone: read everything again.
    Compacted {
        /// The oldest revision that is left; 0 when it did not say.
        oldest: u64,
    },
    /// The lease is not there any more.
    LeaseGone,
    /// User, password, permission or certificate. The operator's to mend.
    Auth(String),
    /// The request or its answer is over a bound.
    TooLarge(String),
    /// etcd's own space quota is used up: it takes no writes until somebody compacts and disarms the alarm.
    Space,
    /// Refused for good.
    Refused(String),
    /// The answer is not etcd's JSON: something else listens there.
    Garbled(String),
}

impl Error {
    /// An endpoint that could not be reached at all: nothing was sent.
    pub(super) fn not_sent(what: impl fmt::Display) -> Error {
        Error::Unreachable { maybe_done: false, what: what.to_string() }
    }

    /// The connection or our patience ended after the request may have left.
    pub(super) fn unknown(what: impl fmt::Display) -> Error {
        Error::Unreachable { maybe_done: true, what: what.to_string() }
    }

    /// Whether the request has changed nothing and cannot do so later.
    pub fn certainly_not_done(&self) -> bool {
        !matches!(self, Error::Unreachable { maybe_done: true, .. } | Error::Garbled(_))
    }

    /// Whether another endpoint, or the same one later, may answer better.
    pub fn later(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::NoLeader(_) | Error::Garbled(_))
    }

    /// What a refusal in etcd's words means for us. `status` is HTTP's.
    pub(super) fn of_refusal(status: u16, refusal: Refusal) -> Error {
        let text = refusal.text();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["has been compacted"]) {
            Error::Compacted { oldest: 0 }
        } else if has(&["requested lease not found"]) {
            Error::LeaseGone
        } else if has(&["no leader", "not leader", "leader changed", "too many requests"]) {
            Error::NoLeader(text)
        } else if has(&["database space exceeded"]) {
            Error::Space
        } else if has(&["request is too large", "too many operations", "larger than max"]) || status == 413 {
            Error::TooLarge(text)
        } else if has(&AUTH_WORDS) || matches!(status, 401 | 403) {
            Error::Auth(text)
        } else if has(&["timed out", "server stopped", "transport is closing", "SubConn"]) || status >= 500 {
            Error::unknown(text)
        } else {
            Error::Refused(text)
        }
    }

    /// Whether a new token may help.
    pub(super) fn token_is_stale(&self) -> bool {
        matches!(self, Error::Auth(text)
            if text.contains("invalid auth token") || text.contains("revision in header is old")
                || text.contains("user name is empty"))
    }
}

const AUTH_WORDS: [&str; 6] = [
    "invalid auth token",
    "permission denied",
    "authentication failed",
    "user name is empty",
    "user name not found",
    "revision in header is old",
];

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreachable { what, .. } => write!(f, "etcd does not answer: {what}"),
            Error::NoLeader(text) => write!(f, "etcd has no leader just now ({text})"),
            Error::Compacted { .. } => write!(f, "etcd has compacted the revision that was asked for"),
            Error::LeaseGone => write!(f, "etcd no longer knows the lease"),
            Error::Auth(text) => write!(f, "etcd refuses our user, password or certificate: {text}"),
            Error::TooLarge(text) => write!(f, "too large for etcd or for us: {text}"),
            Error::Space => write!(f, "etcd is out of space: compact and defragment it, then `etcdctl alarm disarm`"),
            Error::Refused(text) => write!(f, "etcd refuses: {text}"),
            Error::Garbled(text) => write!(f, "what answers is not etcd's JSON gateway: {text}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_says_becomes_a_decision() {
        let of = |status, text: &str| {
            Error::of_refusal(status, serde_json::from_str(&format!(r#"{{"error":"{text}","code":1}}"#)).unwrap())
        };
        let timed_out = of(503, "etcdserver: request timed out, possibly due to connection lost");
        assert!(timed_out.later() && !timed_out.certainly_not_done());
        let no_leader = of(503, "etcdserver: no leader");
        assert!(no_leader.later() && no_leader.certainly_not_done());
        assert_eq!(of(404, "etcdserver: requested lease not found"), Error::LeaseGone);
        assert_eq!(of(400, "etcdserver: mvcc: required revision has been compacted"), Error::Compacted { oldest: 0 });
        assert!(of(401, "etcdserver: invalid auth token").token_is_stale());
        let denied = of(403, "etcdserver: permission denied");
        assert!(matches!(denied, Error::Auth(_)) && !denied.token_is_stale() && !denied.later());
        assert_eq!(of(429, "etcdserver: mvcc: database space exceeded"), Error::Space);
        assert!(matches!(of(400, "etcdserver: duplicate key given in txn request"), Error::Refused(_)));
    }
}
