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
        let costs = self.org.users.iter().find_map(|user| match user.password {
            Stored::ScramSha256 { iterations, .. } => Some(iterations),
            Stored::Argon2id(_) => None,
        });
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
