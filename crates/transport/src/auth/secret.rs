//! What is stored of a password: an argon2id hash (`$argon2id$...`), or a SCRAM-SHA-256 verifier (RFC 5803 in the form that
//! PostgreSQL made common: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`). Both can check a password that was sent;
//! only the second can serve SCRAM, where no password is sent.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::num::NonZeroU32;

/// Bytes of a SHA-256 value.
const KEY_LEN: usize = 32;

/// Iterations of new SCRAM verifiers.
const SCRAM_ITERATIONS: u32 = 16_384;

/// More than this would let one stored line hold a checking thread for seconds.
const SCRAM_ITERATIONS_MAX: u32 = 1_000_000;

/// A stored secret, understood.
#[derive(Clone, Debug)]
pub enum Secret {
    /// argon2id, with its salt and costs.
    Argon2(Box<PasswordHash>),
    /// The two keys of RFC 5802 3 and what they were made with.
    Scram(ScramKeys),
}

/// What SCRAM-SHA-256 stores of a password (RFC 5802 3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// PBKDF2 iterations.
    pub iterations: NonZeroU32,
    /// PBKDF2 salt.
    pub salt: Vec<u8>,
    /// H(client key).
    pub stored_key: [u8; KEY_LEN],
    /// HMAC(salted password, "Server Key").
    pub server_key: [u8; KEY_LEN],
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramKeys {{ iterations: {}, .. }}", self.iterations)
    }
}

/// The text is neither an argon2id hash nor a SCRAM-SHA-256 verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretError;

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither an argon2id hash nor a SCRAM-SHA-256 verifier; `posthouse hash-password` makes one")
    }
}

impl std::error::Error for SecretError {}

impl Secret {
    /// Reads the stored text.
    pub fn parse(text: &str) -> Result<Secret, SecretError> {
        if text.starts_with("$argon2id$") {
            return PasswordHash::new(text).map(|hash| Secret::Argon2(Box::new(hash))).map_err(|_| SecretError);
        }
        scram_keys(text).map(Secret::Scram).ok_or(SecretError)
    }

    /// Whether `password` is the one. Takes as long as its costs say (tens of milliseconds): not for a thread that serves sockets.
    pub fn verify(&self, password: &[u8]) -> bool {
        match self {
            Secret::Argon2(hash) => Argon2::default().verify_password(password, hash.as_ref()).is_ok(),
            Secret::Scram(keys) => {
                let found = derive(password, &keys.salt, keys.iterations);
                let stored = constant_time::verify_slices_are_equal(&found.stored_key, &keys.stored_key);
                stored.is_ok()
            }
        }
    }
}

/// The argon2id hash of a password, as it is stored; `salt` are 16 bytes of chance.
pub fn argon2id(password: &[u8], salt: [u8; 16]) -> Result<String, SecretError> {
    Argon2::default().hash_password_with_salt(password, &salt).map(|hash| hash.to_string()).map_err(|_| SecretError)
}

/// The SCRAM-SHA-256 verifier of a password, as it is stored; `salt` are 16 bytes of chance.
pub fn scram_sha_256(password: &[u8], salt: [u8; 16]) -> String {
    let iterations = NonZeroU32::new(SCRAM_ITERATIONS).unwrap_or(NonZeroU32::MIN);
    let keys = derive(password, &salt, iterations);
    format!(
        "{SCRAM_PREFIX}{iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(keys.stored_key),
        STANDARD.encode(keys.server_key)
    )
}

const SCRAM_PREFIX: &str = "SCRAM-SHA-256$";

fn scram_keys(text: &str) -> Option<ScramKeys> {
    let (costs, keys) = text.strip_prefix(SCRAM_PREFIX)?.split_once('$')?;
    let (iterations, salt) = costs.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let iterations: NonZeroU32 = iterations.parse().ok()?;
    Some(ScramKeys {
        iterations: (iterations.get() <= SCRAM_ITERATIONS_MAX).then_some(iterations)?,
        salt: STANDARD.decode(salt).ok()?,
        stored_key: STANDARD.decode(stored_key).ok()?.try_into().ok()?,
        server_key: STANDARD.decode(server_key).ok()?.try_into().ok()?,
    })
}

fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> ScramKeys {
    let mut salted = [0; KEY_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let server_key = hmac::sign(&key, b"Server Key");
    let mut keys = ScramKeys { iterations, salt: salt.to_vec(), stored_key: [0; KEY_LEN], server_key: [0; KEY_LEN] };
    keys.stored_key.copy_from_slice(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref());
    keys.server_key.copy_from_slice(server_key.as_ref());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_know_their_password() {
        for stored in [argon2id(b"pencil", [7; 16]).unwrap(), scram_sha_256(b"pencil", [7; 16])] {
            let secret = Secret::parse(&stored).unwrap();
            assert!(secret.verify(b"pencil"), "{stored}");
            assert!(!secret.verify(b"pencil2") && !secret.verify(b""), "{stored}");
        }
    }

    #[test]
    fn the_keys_are_those_of_rfc_7677() {
        // RFC 7677 3: user "user", password "pencil", 4096 iterations.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = derive(b"pencil", &salt, NonZeroU32::new(4096).unwrap());
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.server_key), message.as_bytes());
        assert_eq!(STANDARD.encode(signature.as_ref()), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_is_no_secret() {
        for text in ["", "plain", "$argon2id$", "$2b$10$x", "SCRAM-SHA-256$0:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA"] {
            assert_eq!(Secret::parse(text).err(), Some(SecretError), "{text}");
        }
    }
}
