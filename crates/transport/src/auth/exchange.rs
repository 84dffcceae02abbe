//! One SASL exchange, driven through rsasl (RFC 4954 4 on the SMTP side; RFC 4616, RFC 5802 and RFC 7677 inside).
//!
//! rsasl is handed only messages whose shape was checked here: it indexes into parts of a SCRAM message without asking for their
//! length. Its prompts for LOGIN are replaced by those that old clients look for.

use super::passwords::Passwords;
use super::secret::{ScramKeys, Secret};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanisms::{login::LOGIN, plain::PLAIN, scram::SCRAM_SHA256};
use rsasl::prelude::{Mechname, Registry, SASLServer, Session, SessionError, State, Validation};
use rsasl::property::{AuthId, AuthzId, Password};
use rsasl::validate::{Validate, ValidationError};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Who has the users.
pub trait Accounts: Send + Sync + 'static {
    /// The user's name as the directory writes it, and the stored secret.
    fn find(&self, name: &str) -> Option<(&str, &str)>;

    /// Any user's stored secret: what an unknown user is measured against. `None` only if there are no users.
    fn any_secret(&self) -> Option<&str>;
}

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
    /// The exchange is over and has proved who it is: the user's name as the directory writes it.
    Proved(String),
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
    proved: Option<String>,
}

static MECHANISMS: &[rsasl::prelude::Mechanism] = &[PLAIN, LOGIN, SCRAM_SHA256];

impl Exchange {
    /// Starts an exchange. `None` if rsasl refuses to, which it has no reason for.
    pub fn new(mechanism: Mechanism, accounts: Arc<dyn Accounts>, passwords: Passwords) -> Option<Exchange> {
        let config = SASLConfig::builder()
            .with_registry(Registry::with_mechanisms(MECHANISMS))
            .with_callback(Answers { accounts, passwords })
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
            Some(name) if response.is_empty() => Step::Proved(name),
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
                Some(Outcome::Proved(name)) => {
                    self.proved = Some(name);
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
    Proved(String),
    Wrong,
}

struct Found;

impl Validation for Found {
    type Value = Outcome;
}

/// What rsasl asks back.
struct Answers {
    accounts: Arc<dyn Accounts>,
    passwords: Passwords,
}

impl SessionCallback for Answers {
    fn callback(&self, _: &SessionData, context: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        use rsasl::mechanisms::scram::properties::ScramStoredPassword;
        let name = saslname(context.get_ref::<AuthId>().unwrap_or_default());
        let keys = self.scram_keys(&name);
        let stored = ScramStoredPassword::new(keys.iterations.get(), &keys.salt, &keys.stored_key, &keys.server_key);
        request.satisfy::<ScramStoredPassword<'_>>(&stored)?;
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
        let name = saslname(name);
        match self.accounts.find(&name) {
            Some((name, stored)) if matches!(Secret::parse(stored), Ok(Secret::Scram(_))) => {
                Outcome::Proved(name.to_owned())
            }
            _ => Outcome::Wrong,
        }
    }

    /// The user's keys; for a name that has none, keys that nothing fits, the same each time and with the costs of a real one.
    fn scram_keys(&self, name: &str) -> ScramKeys {
        if let Some(Ok(Secret::Scram(keys))) = self.accounts.find(name).map(|(_, stored)| Secret::parse(stored)) {
            return keys;
        }
        let model = self.accounts.any_secret().and_then(|stored| match Secret::parse(stored) {
            Ok(Secret::Scram(keys)) => Some(keys.iterations),
            _ => None,
        });
        let iterations = model.or(NonZeroU32::new(16_384)).unwrap_or(NonZeroU32::MIN);
        ScramKeys { iterations, salt: self.passwords.decoy_salt(name).to_vec(), stored_key: [0; 32], server_key: [0; 32] }
    }
}
