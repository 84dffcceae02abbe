//! Who is it: SASL exchanges (PLAIN, LOGIN, SCRAM-SHA-256) and the check of passwords against stored secrets.
//!
//! Owns the exchange with rsasl, the forms of a stored secret, the cache of checked passwords and the bound on how many are checked
//! at once. Knows no directory: whoever has the users answers [`Accounts`]. Knows no SMTP reply.
//! Always holds: an unknown user costs the asker the same time and the same answers as a wrong password; secrets are compared in
//! constant time; no password is kept, only a keyed hash of one that was right.

mod exchange;
mod passwords;
mod secret;

pub use exchange::{Accounts, Claim, Exchange, Mechanism, Step};
pub use passwords::{CACHE_MAX, CHECKS_AT_ONCE_MAX, Passwords};
pub use secret::{Secret, SecretError, argon2id, scram_sha_256};
