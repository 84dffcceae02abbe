//! One SASL exchange, driven through rsasl (RFC 4954 4 on the SMTP side; RFC 4616, RFC 5802 and RFC 7677 inside).
//!
//! rsasl is handed only messages whose shape was checked here: it indexes into parts of a SCRAM message without asking for their
//! length. Its prompts for LOGIN are replaced by those that old clients look for.

use super::passwords::Passwords;
use directory::{Org, Password as Stored, User};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::{login::LOGIN, plain::PLAIN, scram::SCRAM_SHA256};
use rsasl::prelude::{Mechname, Registry, SASLServer, Session, SessionError, State, Validation};
use rsasl::property::{AuthId, AuthzId, Password};
use rsasl::validate::{Validate, ValidationError};
use std::sync::Arc;

/// The mechanisms that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login-00.
    Login,
    /// RFC 7677, without channel binding.
    ScramSha256,
}

impl Mechanism {
    /// Reads the word behind AUTH.
    pub fn parse(word: &str) -> Option<Mechanism> {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        match () {
            () if is("PLAIN") => Some(Mechanism::Plain),
            () if is("LOGIN") => Some(Mechanism::Login),
            () if is("SCRAM-SHA-256") => Some(Mechanism::ScramSha256),
            () => None,
        }
    }

    /// The word behind AUTH.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

/// A name, and the password that is said to belong to it.
pub struct Claim {
    /// As the peer wrote it.
    pub name: String,
    /// As the peer sent it.
    pub password: Vec<u8>,
}

/// What comes next in an exchange.
pub enum Step {
    /// Send this (334) and hand in the answer.
    Challenge(Vec<u8>),
    /// The exchange is over: this has to be checked.
    Check(Claim),
    /// The exchange is over and has proved who it is.
    Proved(Arc<User>),
    /// The exchange is over: the proof was wrong.
    Wrong,
    /// The peer broke the rules of the mechanism.
    Broken,
}

/// An exchange on its way.
pub struct Exchange {
    session: Session<Found>,
    mechanism: Mechanism,
    steps: u32,
    /// SCRAM's last word was sent: only the peer's empty answer is missing.
    proved: Option<Arc<User>>,
}

static MECHANISMS: &[rsasl::prelude::Mechanism] = &[PLAIN, LOGIN, SCRAM_SHA256];

impl Exchange {
    /// Starts an exchange. `None` if rsasl refuses to, which it has no reason for.
    pub fn new(mechanism: Mechanism, org: Arc<Org>, passwords: Passwords) -> Option<Exchange> {
        let config = SASLConfig::builder()
            .with_registry(Registry::with_mechanisms(MECHANISMS))
            .with_callback(Answers { org, passwords })
            .ok()?;
        let name = Mechname::parse(mechanism.name().as_bytes()).ok()?;
        let session = SASLServer::<Found>::new(config).start_suggested(name).ok()?;
        Some(Exchange { session, mechanism, steps: 0, proved: None })
    }

    /// The first step, with the initial response if one came with AUTH.
    pub fn start(&mut self, initial: Option<&[u8]>) -> Step {
        if self.mechanism == Mechanism::Login {
            let asked = self.step(None);
            return match (asked, initial) {
                (Step::Challenge(_), Some(name)) => self.step(Some(name)),
                (asked, _) => asked,
            };
        }
        match initial {
            Some(initial) => self.step(Some(initial)),
            None => Step::Challenge(Vec::new()),
        }
    }

    /// The peer's answer to a challenge.
    pub fn answer(&mut self, response: &[u8]) -> Step {
        match self.proved.take() {
            Some(user) if response.is_empty() => Step::Proved(user),
            Some(_) => Step::Broken,
            None => self.step(Some(response)),
        }
    }

    fn step(&mut self, input: Option<&[u8]>) -> Step {
        self.steps += 1;
        if self.mechanism == Mechanism::ScramSha256 && !input.is_some_and(|input| is_scram(input, self.steps == 1)) {
            return Step::Broken;
        }
        let mut said = Vec::new();
        match self.session.step(input, &mut said) {
            Err(_) => Step::Broken,
            Ok(State::Running) if self.mechanism == Mechanism::Login => {
                Step::Challenge(if self.steps == 1 { b"Username:".to_vec() } else { b"Password:".to_vec() })
            }
            Ok(State::Running) => Step::Challenge(said),
            Ok(State::Finished(_)) => match self.session.validation() {
                Some(Outcome::Claimed(claim)) => Step::Check(claim),
                Some(Outcome::Proved(user)) => {
                    self.proved = Some(user);
                    Step::Challenge(said)
                }
                Some(Outcome::Wrong) | None => Step::Wrong,
            },
        }
    }
}

/// RFC 5802 7: parts behind commas, each `x=...`, but for the two of the GS2 header in the client's first message.
fn is_scram(message: &[u8], first: bool) -> bool {
    let is_pair = |part: &[u8]| part.len() >= 2 && part[1] == b'=';
    let mut parts = message.split(|b| *b == b',');
    if first {
        let flag = parts.next().is_some_and(|flag| flag == b"n" || flag == b"y");
        let authzid = parts.next().is_some_and(|authzid| authzid.is_empty() || authzid.starts_with(b"a="));
        if !flag || !authzid {
            return false;
        }
    }
    let mut count = 0;
    parts.all(|part| {
        count += 1;
        is_pair(part)
    }) && count >= if first { 2 } else { 3 }
}

/// RFC 5802 5.1: a comma and an equals sign in a name are written as `=2C` and `=3D`.
fn saslname(text: &str) -> String {
    text.replace("=2C", ",").replace("=3D", "=")
}

enum Outcome {
    Claimed(Claim),
    Proved(Arc<User>),
    Wrong,
}

struct Found;

impl Validation for Found {
    type Value = Outcome;
}

/// What rsasl asks back.
struct Answers {
    org: Arc<Org>,
    passwords: Passwords,
}

impl SessionCallback for Answers {
    fn callback(&self, _: &SessionData, context: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        let name = saslname(context.get_ref::<AuthId>().unwrap_or_default());
        if let Some(Stored::ScramSha256 { iterations, salt, stored_key, server_key }) =
            self.org.user(&name).map(|user| &user.password)
        {
            let keys = ScramStoredPassword::new(*iterations, salt, stored_key, server_key);
            request.satisfy::<ScramStoredPassword<'_>>(&keys)?;
            return Ok(());
        }
        // Nobody by that name: keys that nothing fits, the same salt each time somebody asks, the costs of a real user.
        let costs = self.org.users.iter().filter_map(|user| match user.password {
            Stored::ScramSha256 { iterations, .. } => Some(iterations),
            Stored::Argon2id(_) | Stored::Directory(_) => None,
        });
        let costs = self.passwords.pick(&name, &costs.collect::<Vec<u32>>()).copied();
        let (salt, nothing) = (self.passwords.decoy_salt(&name), [0; 32]);
        let keys = ScramStoredPassword::new(costs.unwrap_or(16_384), &salt, &nothing, &nothing);
        request.satisfy::<ScramStoredPassword<'_>>(&keys)?;
        Ok(())
    }

    fn validate(
        &self,
        _: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        validate.finalize::<Found>(self.outcome(context));
        Ok(())
    }
}

impl Answers {
    fn outcome(&self, context: &Context<'_>) -> Outcome {
        let name = context.get_ref::<AuthId>().unwrap_or_default();
        // To act for somebody else needs a permission that nobody here has.
        if context.get_ref::<AuthzId>().is_some_and(|authzid| !authzid.is_empty() && authzid != name) {
            return Outcome::Wrong;
        }
        if let Some(password) = context.get_ref::<Password>() {
            return Outcome::Claimed(Claim { name: name.to_owned(), password: password.to_vec() });
        }
        match self.org.user(&saslname(name)) {
            Some(user) if matches!(user.password, Stored::ScramSha256 { .. }) => Outcome::Proved(user.clone()),
            _ => Outcome::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{digest, hmac, pbkdf2};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use world::RealChance;

    fn start(mechanism: Mechanism) -> Exchange {
        let (alice, bob) =
            (super::super::scram_sha_256(b"pencil", [2; 16]), super::super::argon2id(b"pencil", [3; 16]).unwrap());
        let org = crate::receive::testing::org(&format!(
            "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n\
             [[user]]\nname = \"alice\"\npassword = \"{alice}\"\n[[user]]\nname = \"bob\"\npassword = \"{bob}\"\n"
        ));
        let passwords = Passwords::new(&RealChance);
        Exchange::new(mechanism, org, passwords).unwrap()
    }

    fn challenge(step: Step) -> String {
        let Step::Challenge(challenge) = step else { panic!("no challenge") };
        String::from_utf8(challenge).unwrap()
    }

    /// A SCRAM client of its own, by the letter of RFC 5802 3. Gives the server's first message and the last step.
    fn scram(name: &str, password: &[u8]) -> (String, Step, String) {
        let mut exchange = start(Mechanism::ScramSha256);
        let bare = format!("n={name},r=fyko+d2lbbFgONRv9qkxdawL");
        let first = challenge(exchange.start(Some(format!("n,,{bare}").as_bytes())));
        let part = |name: &str| first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        let (nonce, salt) = (part("r="), STANDARD.decode(part("s=")).unwrap());
        let mut salted = [0; 32];
        let iterations = part("i=").parse().unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut salted);
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client_key = mac(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{bare},{first},{without_proof}");
        let signature = mac(stored.as_ref(), message.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let last = exchange.answer(format!("{without_proof},p={}", STANDARD.encode(proof)).as_bytes());
        let server_key = mac(&salted, b"Server Key");
        let expected = format!("v={}", STANDARD.encode(mac(server_key.as_ref(), message.as_bytes()).as_ref()));
        match last {
            Step::Challenge(verifier) => {
                assert_eq!(String::from_utf8(verifier).unwrap(), expected, "the server proves itself too");
                (first.clone(), exchange.answer(b""), part("i=").to_string())
            }
            other => (first.clone(), other, part("i=").to_string()),
        }
    }

    #[test]
    fn scram_proves_both_sides() {
        assert!(matches!(scram("alice", b"pencil").1, Step::Proved(user) if &*user.name == "alice"));
        assert!(matches!(scram("alice", b"crayon").1, Step::Wrong));
    }

    #[test]
    fn a_name_that_nobody_has_looks_like_one_that_somebody_has() {
        let (known, unknown, no_keys) =
            (scram("alice", b"crayon"), scram("mallory", b"crayon"), scram("bob", b"pencil"));
        assert!(matches!(unknown.1, Step::Wrong) && matches!(no_keys.1, Step::Wrong));
        assert_eq!(known.2, unknown.2, "iterations");
        let length = |first: &str| first.split(',').map(str::len).collect::<Vec<_>>();
        assert_eq!(length(&known.0), length(&unknown.0));
    }

    #[test]
    fn a_broken_message_is_refused_and_panics_nobody() {
        for first in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n",
            "n,,n=",
            "n,,n=a,r",
            "n,a,n=a,r=b",
            "x,,n=a,r=b",
            "p=x,,n=a,r=b",
            ",,,",
            "n,,m=,n=a,r=b",
        ] {
            let step = start(Mechanism::ScramSha256).start(Some(first.as_bytes()));
            assert!(!matches!(step, Step::Proved(_) | Step::Check(_)), "{first}");
        }
        for last in ["", "c", "c=", "c=biws,r", "c=biws,r=x,p", "c=biws,r=x,p=y", ",,", "c=biws,r=x,p=AAAA"] {
            let mut exchange = start(Mechanism::ScramSha256);
            challenge(exchange.start(Some(b"n,,n=alice,r=abc")));
            assert!(matches!(exchange.answer(last.as_bytes()), Step::Broken | Step::Wrong), "{last}");
        }
        for response in ["", "\0", "\0\0", "\0\0\0\0", "a", "\0a\0b\0c"] {
            assert!(matches!(start(Mechanism::Plain).start(Some(response.as_bytes())), Step::Broken), "{response:?}");
        }
    }

    #[test]
    fn plain_and_login_claim_a_name() {
        let claimed =
            |step| matches!(step, Step::Check(Claim { name, password }) if name == "bob" && password == b"pw");
        assert!(claimed(start(Mechanism::Plain).start(Some(b"\0bob\0pw"))));
        assert!(claimed(start(Mechanism::Plain).start(Some(b"bob\0bob\0pw"))));
        assert!(matches!(start(Mechanism::Plain).start(Some(b"root\0bob\0pw")), Step::Wrong), "nobody acts for others");
        let mut exchange = start(Mechanism::Plain);
        assert_eq!(challenge(exchange.start(None)), "");
        assert!(claimed(exchange.answer(b"\0bob\0pw")));
        let mut exchange = start(Mechanism::Login);
        assert_eq!(challenge(exchange.start(None)), "Username:");
        assert_eq!(challenge(exchange.answer(b"bob")), "Password:");
        assert!(claimed(exchange.answer(b"pw")));
    }
}
