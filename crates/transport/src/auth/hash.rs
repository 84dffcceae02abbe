//! The arithmetic behind a stored password: argon2id hashes, and the keys of SCRAM-SHA-256 (RFC 5803, written in the form that
//! PostgreSQL made common: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`). Both can check a password that was sent;
//! only the second can serve SCRAM, where no password is sent.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::Password;
use std::num::NonZeroU32;

/// Bytes of a SHA-256 value.
const KEY_LEN: usize = 32;

/// Iterations of new SCRAM keys.
const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(16_384).unwrap();

/// Whether `password` is the one. Takes as long as its costs say (tens of milliseconds): not for a thread that serves sockets.
pub fn verify(stored: &Password, password: &[u8]) -> bool {
    match stored {
        Password::Argon2id(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
        Password::ScramSha256 { iterations, salt, stored_key, .. } => {
            let Some(iterations) = NonZeroU32::new(*iterations) else { return false };
            constant_time::verify_slices_are_equal(&scram_keys(password, salt, iterations).stored, stored_key).is_ok()
        }
        // Only a bind can tell.
        Password::Directory(_) => false,
    }
}

/// The argon2id hash of a password, as it is stored; `salt` are 16 bytes of chance. `None` for a password of 4 GiB or more.
pub fn argon2id(password: &[u8], salt: [u8; 16]) -> Option<String> {
    Argon2::default().hash_password_with_salt(password, &salt).ok().map(|hash| hash.to_string())
}

/// The SCRAM-SHA-256 keys of a password, as they are stored; `salt` are 16 bytes of chance.
pub fn scram_sha_256(password: &[u8], salt: [u8; 16]) -> String {
    let keys = scram_keys(password, &salt, SCRAM_ITERATIONS);
    let [salt, stored, server] = [&salt[..], &keys.stored, &keys.server].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt}${stored}:{server}")
}

/// StoredKey and ServerKey of RFC 5802 3.
struct ScramKeys {
    stored: [u8; KEY_LEN],
    server: [u8; KEY_LEN],
}

fn scram_keys(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> ScramKeys {
    let mut salted = [0; KEY_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client = hmac::sign(&key, b"Client Key");
    let mut keys = ScramKeys { stored: [0; KEY_LEN], server: [0; KEY_LEN] };
    keys.stored.copy_from_slice(digest::digest(&digest::SHA256, client.as_ref()).as_ref());
    keys.server.copy_from_slice(hmac::sign(&key, b"Server Key").as_ref());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored of a password, with few iterations.
    fn stored_scram(password: &[u8], salt: &[u8]) -> Password {
        let iterations = NonZeroU32::new(4096).unwrap();
        let keys = scram_keys(password, salt, iterations);
        Password::ScramSha256 {
            iterations: iterations.get(),
            salt: salt.into(),
            stored_key: keys.stored,
            server_key: keys.server,
        }
    }

    #[test]
    fn both_forms_know_their_password() {
        let argon2 = Password::Argon2id(argon2id(b"pencil", [7; 16]).unwrap().into());
        for stored in [argon2, stored_scram(b"pencil", &[7; 16])] {
            assert!(verify(&stored, b"pencil"), "{stored:?}");
            assert!(!verify(&stored, b"pencil2") && !verify(&stored, b""), "{stored:?}");
        }
        assert!(!verify(&Password::Argon2id("$argon2id$broken".into()), b""));
    }

    #[test]
    fn the_keys_are_those_of_rfc_7677() {
        // RFC 7677 3: user "user", password "pencil", 4096 iterations.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = scram_keys(b"pencil", &salt, NonZeroU32::new(4096).unwrap());
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.server), message.as_bytes());
        assert_eq!(STANDARD.encode(signature.as_ref()), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }
}
