//! AUTH: an exchange, its outcome, and what follows from it.

use super::session::Session;
use crate::auth::{Claim, Exchange, Mechanism, Step, Verdict};
use directory::User;
use mail::{Enhanced, Reply};
use metrics::counter;
use smtp::server::Answer;
use std::sync::Arc;

impl Session<'_> {
    /// AUTH with its initial response, if there is one.
    pub(super) async fn auth(&mut self, mechanism: &str, initial: Option<Vec<u8>>) {
        let exchange = Mechanism::parse(mechanism)
            .and_then(|mechanism| Exchange::new(mechanism, self.visitor.org.clone(), self.shared.passwords.clone()));
        let Some(mut exchange) = exchange else {
            let reply = Reply::new(504, Enhanced::new(5, 5, 4), "no such mechanism");
            return self.machine.answer(Answer::reply(reply));
        };
        let step = exchange.start(initial.as_deref());
        self.exchange = Some(exchange);
        self.auth_step(step).await;
    }

    /// The peer's answer to a challenge.
    pub(super) async fn auth_response(&mut self, response: &[u8]) {
        let step = self.exchange.as_mut().map_or(Step::Broken, |exchange| exchange.answer(response));
        self.auth_step(step).await;
    }

    async fn auth_step(&mut self, step: Step) {
        if let Step::Challenge(challenge) = step {
            return self.machine.answer(Answer::challenge(challenge));
        }
        self.exchange = None;
        match step {
            Step::Challenge(_) => {}
            Step::Proved(user) => self.logged_on(user),
            Step::Wrong => self.logon_failed(""),
            Step::Broken => {
                let reply = Reply::new(501, Enhanced::new(5, 5, 2), "the exchange is broken");
                self.refuse("auth_syntax", &reply);
                self.say_no(reply);
            }
            Step::Check(claim) => self.check(claim).await,
        }
    }

    async fn check(&mut self, Claim { name, password }: Claim) {
        let now_ms = self.shared.world.clock.mono_ms();
        match self.shared.passwords.check(&self.visitor.org, now_ms, &name, password).await {
            Verdict::Right(user) => self.logged_on(user),
            Verdict::Wrong => self.logon_failed(&name),
            Verdict::Later => {
                let reply = Reply::new(454, Enhanced::new(4, 7, 0), "the directory does not answer, try later");
                self.refuse("directory_down", &reply);
                self.say_no(reply);
            }
        }
    }

    fn logged_on(&mut self, user: Arc<User>) {
        counter!("posthouse_logons_total").increment(1);
        tracing::debug!(user = &*user.name, peer = self.visitor.peer_text, "logged on");
        self.visitor.log_on(user, self.shared.world.clock.mono_ms());
        self.machine.set_limits(self.visitor.limits());
        self.machine.answer(Answer::authenticated());
    }

    fn logon_failed(&mut self, name: &str) {
        tracing::debug!(user = name, peer = self.visitor.peer_text, "logon failed");
        let reply = if self.visitor.logon_failed() {
            Reply::new(421, Enhanced::new(4, 7, 0), "too many failed logons, closing")
        } else {
            Reply::new(535, Enhanced::new(5, 7, 8), "user name or password is wrong")
        };
        self.hold_back_logon();
        self.record_refusal("logon", &reply);
        self.say_no(reply);
    }
}
