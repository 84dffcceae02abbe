//! Who is it: SASL exchanges (PLAIN, LOGIN, SCRAM-SHA-256) and the check of passwords against stored secrets.
//!
//! Owns the exchange with rsasl, the arithmetic of stored passwords, the cache of checked ones and the bound on how many are checked at
//! once. Knows no SMTP reply and no socket: users come from the directory: from the document, or from LDAP servers by a bind.
//! Always holds: a name that nobody has costs the asker the same time and the same answers as a wrong password; secrets are compared
//! in constant time; no password is kept, only a keyed hash of one that was right.

mod directories;
mod exchange;
mod hash;
mod passwords;

pub use directories::{LOGON_TIMEOUT, LOGONS_AT_ONCE_MAX};
pub use exchange::{Claim, Exchange, Mechanism, Step};
pub use hash::{argon2id, scram_sha_256, verify};
pub use passwords::{CACHE_MAX, CHECKS_AT_ONCE_MAX, Passwords, Verdict};
