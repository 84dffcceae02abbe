//! One session from its greeting to its end: hands the machine what was read, acts on its moments, writes what it says.
//!
//! Everything that a peer sent together is worked through before anything is written, so a pipelined group is answered at once.

use super::Shared;
use super::probed;
use super::report::{self, Reason, Reporter};
use super::transaction::{self, Transaction};
use super::visitor::{TurnedAway, Visitor};
use super::wire::{End, Wire};
use crate::auth::Exchange;
use directory::Grants;
use mail::{Enhanced, Reply};
use smtp::server::{Answer, Greeting, Moment, Verb, XclientCommand};
use std::net::SocketAddr;
use std::time::Duration;

/// The longest that one answer is held back, whatever errors it is for: below the timeouts of clients (RFC 5321 4.5.3.2).
const TARPIT_MAX: Duration = Duration::from_secs(30);

/// How long a session that has just come is waited for while the node gives its place to another process.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// The same for one that has brought its message: for its QUIT.
const LAST_WORD: Duration = Duration::from_millis(500);

/// A session on its way.
pub struct Session<'s> {
    pub(super) shared: &'s Shared,
    pub(super) machine: smtp::server::Session,
    pub(super) visitor: Visitor,
    pub(super) reporter: Reporter,
    pub(super) transaction: Option<Transaction>,
    pub(super) exchange: Option<Exchange>,
    /// Size of the session's last message as it is kept.
    pub(super) last_bytes: Option<u64>,
    local: SocketAddr,
    wire: Wire,
    /// A message was brought, whatever became of it.
    had_message: bool,
    /// How long the next answer is held back for errors.
    tarpit: Duration,
    /// How long it is held back because the node is short of something; others than strangers wait too.
    pub(super) brake: Duration,
}

impl<'s> Session<'s> {
    /// A session with `visitor`, who was let in.
    pub fn new(shared: &'s Shared, local: SocketAddr, wire: Wire, visitor: Visitor) -> Session<'s> {
        Session {
            machine: visitor.machine(),
            reporter: match visitor.is_probe {
                true => Reporter::silent(shared.recorder.clone()),
                false => Reporter::new(shared.recorder.clone(), &visitor.connector.name),
            },
            transaction: None,
            exchange: None,
            last_bytes: None,
            tarpit: Duration::ZERO,
            brake: Duration::ZERO,
            had_message: false,
            shared,
            visitor,
            local,
            wire,
        }
    }

    /// Serves the session to its end.
    pub async fn run(mut self) {
        let is_stopping = self.wire.is_stopping() && !self.wire.is_stopping_softly();
        if self.visitor.is_probe {
            match probed::not_ready(self.shared, &self.visitor, is_stopping) {
                None => self.machine.greet(),
                Some(reply) => self.machine.close(reply),
            }
        } else if is_stopping {
            self.machine.close(stopping());
        } else {
            match self.shared.readiness.can_serve() {
                Ok(()) => self.machine.greet(),
                Err(reply) => {
                    report::turned_away(&*self.shared.recorder, &self.visitor.peer_text, "not_ready", &reply);
                    self.machine.close(reply);
                }
            }
        }
        let end = self.talk().await;
        tracing::debug!(peer = self.visitor.peer_text, ?end, "session over");
        // What has not become ours by now never will: let it go before waiting for the peer's goodbye.
        self.transaction = None;
        self.wire.close().await;
    }

    async fn talk(&mut self) -> Result<(), End> {
        loop {
            let moved = self.work().await?;
            self.flush().await?;
            if self.machine.is_over() {
                return Ok(());
            }
            if self.machine.awaits_tls() {
                self.start_tls().await?;
            } else if !moved || self.wire.unread().is_empty() {
                self.wait().await?;
            }
        }
    }

    /// Waits for input; an end that the peer is told becomes the machine's last word.
    async fn wait(&mut self) -> Result<(), End> {
        let is_soft = self.wire.is_stopping_softly();
        if self.wire.is_stopping() && !self.machine.in_body() && !is_soft {
            self.machine.close(stopping());
            return Ok(());
        }
        if is_soft && !self.machine.in_transaction() {
            self.wire.set_idle(if self.had_message { LAST_WORD } else { FIRST_WORD });
        }
        let reply = match self.wire.fill().await {
            Ok(()) => return Ok(()),
            // A message that is arriving may be finished until the grace is over.
            Err(End::Stop) if (self.machine.in_body() || self.wire.is_stopping_softly()) && !self.wire.is_overdue() => {
                return Ok(());
            }
            Err(End::Lost) => return Err(End::Lost),
            Err(End::Stop) => stopping(),
            Err(End::Idle) if is_soft => stopping(),
            Err(End::Idle) => Reply::new(421, Enhanced::new(4, 4, 2), "nothing heard for too long, closing"),
            Err(End::Session) => Reply::new(421, Enhanced::new(4, 4, 2), "session lasts too long, closing"),
        };
        self.transaction = None;
        self.machine.close(reply);
        Ok(())
    }

    /// Acts on all moments in what was read. Says whether anything moved.
    async fn work(&mut self) -> Result<bool, End> {
        let mut moved = false;
        loop {
            let (used, moment) = self.machine.receive(self.wire.unread());
            moved |= used > 0 || moment.is_some();
            // Where something is waited for, the buffer is let go of first.
            match moment {
                None => {
                    self.wire.consume(used);
                    return Ok(moved);
                }
                Some(Moment::Body(bytes)) => {
                    if let Err(reply) = transaction::take(&mut self.transaction, &self.visitor, bytes).await {
                        self.body_refused(&reply);
                        self.machine.refuse_body(reply);
                    }
                }
                Some(Moment::EndOfMessage { .. }) => {
                    self.wire.consume(used);
                    self.had_message = true;
                    self.end_of_message().await;
                    continue;
                }
                // It has had its last message here; the next process takes the next one.
                Some(Moment::Mail(_)) if self.had_message && self.wire.is_stopping_softly() => {
                    self.machine.close(stopping());
                }
                Some(Moment::Mail(_)) if self.is_of_drained_member() => {
                    self.machine.close(Reply::new(
                        421,
                        Enhanced::new(4, 3, 2),
                        "the server goes out of service, connect again",
                    ));
                }
                Some(Moment::Mail(command)) => self.mail(command),
                Some(Moment::Rcpt(command)) => self.rcpt(command),
                Some(Moment::Data(_)) => self.data(),
                Some(Moment::BodyRefused(reply)) => self.body_refused(&reply),
                Some(Moment::Reset) => self.transaction = None,
                Some(Moment::Hello { greeting, name }) => self.hello(greeting, name),
                Some(Moment::StartTls) => self.machine.answer(Answer::accept()),
                Some(Moment::Auth { mechanism, initial }) => {
                    self.wire.consume(used);
                    self.auth(&mechanism, initial).await;
                    continue;
                }
                Some(Moment::AuthResponse(response)) => {
                    self.wire.consume(used);
                    self.auth_response(&response).await;
                    continue;
                }
                Some(Moment::AuthCancelled) => self.exchange = None,
                Some(Moment::Xclient(command)) => self.xclient(*command).await?,
                Some(Moment::Error { reply, .. }) => self.refuse("protocol", &reply),
                Some(Moment::Refused { verb, reply }) => self.limit(verb, &reply),
                Some(Moment::Close(why)) => tracing::debug!(peer = self.visitor.peer_text, ?why, "closing"),
            }
            self.wire.consume(used);
        }
    }

    /// A balancer brought it here and cannot read it, and by the document of now it is to bring nobody more: the balancer ends sessions that it
    /// can read by itself (`balancer::relay`), those under TLS are ours to end.
    fn is_of_drained_member(&self) -> bool {
        let visitor = &self.visitor;
        visitor.behind_proxy && !visitor.tls.is_empty() && self.shared.org.load().is_drained_member(self.local)
    }

    /// Writes what the machine says, after the tarpit if there is one.
    async fn flush(&mut self) -> Result<(), End> {
        let wait = std::mem::take(&mut self.tarpit).min(TARPIT_MAX).max(std::mem::take(&mut self.brake));
        if !wait.is_zero() {
            match self.wire.pause(wait).await {
                // Nobody who is about to be shown the door is held up on the way.
                Ok(()) | Err(End::Stop) => {}
                Err(end) => return Err(end),
            }
        }
        let output = self.machine.output();
        if !output.is_empty() {
            let sent = output.len();
            self.wire.send(output).await?;
            self.machine.output_sent(sent);
        }
        Ok(())
    }

    fn hello(&mut self, greeting: Greeting, name: Box<str>) {
        self.transaction = None;
        if !self.visitor.is_probe && self.refuses_server(&name) {
            return;
        }
        if !self.visitor.is_probe && self.visitor.connector.require_hello_domain && !is_domain_or_literal(&name) {
            let reply =
                Reply::new(501, Enhanced::new(5, 5, 4), "say your name with its domain, or your address in brackets");
            self.refuse("hello_name", &reply);
            return self.say_no(reply);
        }
        self.visitor.helo = name;
        self.visitor.protocol.extended = greeting != Greeting::Helo;
        self.machine.answer(Answer::accept());
    }

    /// The handshake behind STARTTLS. Nothing that was said before it counts any more (RFC 3207 4.2).
    async fn start_tls(&mut self) -> Result<(), End> {
        self.transaction = None;
        self.exchange = None;
        if let Err(end) = self.wire.start_tls(self.shared.certificates.acceptor()).await {
            if !self.visitor.is_probe {
                report::handshake_failed(&self.visitor.peer_text, &end);
            }
            return Err(end);
        }
        self.visitor.under_tls(self.wire.tls().unwrap_or_default());
        if !self.visitor.is_probe {
            report::handshake(&self.visitor.tls);
        }
        self.machine.tls_started();
        self.machine.set_limits(self.visitor.limits());
        Ok(())
    }

    /// A trusted peer speaks for somebody else from now on: a new session, on the connector that is for that one.
    async fn xclient(&mut self, told: XclientCommand) -> Result<(), End> {
        // What was answered before belongs to the old session.
        self.flush().await?;
        self.transaction = None;
        let now_ms = self.shared.world.clock.mono_ms();
        match self.visitor.speak_for(told, &self.shared.doors, self.local, now_ms) {
            Ok(()) => {
                self.machine = self.visitor.machine();
                self.reporter = Reporter::new(self.shared.recorder.clone(), &self.visitor.connector.name);
                self.machine.greet();
            }
            Err(why) => {
                let (reason, reply) = why.refusal();
                self.refuse(reason, &reply);
                self.machine.close(reply);
            }
        }
        Ok(())
    }

    /// The machine itself said no: one of its bounds, or an address that needs what was not asked for.
    fn limit(&mut self, verb: Verb, reply: &Reply) {
        let detail = reply.enhanced.map(|code| (code.subject, code.detail));
        let reason = match (verb, detail) {
            (_, Some((6, 7))) => "smtputf8",
            (_, Some((3, 4))) => "message_size",
            (Verb::Rcpt, Some((5, 3))) => "recipients_limit",
            _ => "limit",
        };
        let sender = self.transaction.as_ref().map(|transaction| &transaction.envelope.from);
        self.reporter.refused(&self.visitor, reason, sender, &[], reply);
    }

    /// Counts and records a refusal that is an error of the peer, and holds the answer back.
    pub(super) fn refuse(&mut self, reason: Reason, reply: &Reply) {
        self.hold_back();
        self.record_refusal(reason, reply);
    }

    /// Counts and records a refusal.
    pub(super) fn record_refusal(&mut self, reason: Reason, reply: &Reply) {
        let sender = self.transaction.as_ref().map(|transaction| &transaction.envelope.from);
        self.reporter.refused(&self.visitor, reason, sender, &[], reply);
    }

    /// Holds the next answer back, unless the peer is one of ours (behaviours 1.8).
    pub(super) fn hold_back(&mut self) {
        self.hold_back_for(self.visitor.connector.limits.tarpit_ms);
    }

    /// The same for a failed logon.
    pub(super) fn hold_back_logon(&mut self) {
        self.hold_back_for(self.visitor.connector.limits.auth_tarpit_ms);
    }

    fn hold_back_for(&mut self, ms: u64) {
        if !self.visitor.is_probe && !self.visitor.grants().has(Grants::TRUSTED) {
            self.tarpit += Duration::from_millis(ms);
        }
    }

    /// Answers with a refusal; a 421 is the last word.
    pub(super) fn say_no(&mut self, reply: Reply) {
        if reply.code == 421 {
            self.machine.close(reply);
        } else {
            self.machine.answer(Answer::reply(reply));
        }
    }
}

impl TurnedAway {
    /// Why, for metrics and trace, and what the peer hears.
    pub fn refusal(self) -> (Reason, Reply) {
        match self {
            TurnedAway::NoConnector => {
                ("no_connector", Reply::new(421, Enhanced::new(4, 3, 2), "no service here for your address"))
            }
            TurnedAway::Limit(limit) => (limit.word(), Reply::of(421, Enhanced::new(4, 7, 0), limit.to_string())),
        }
    }
}

/// A host name with a dot in it, or an address literal.
fn is_domain_or_literal(name: &str) -> bool {
    let literal = name.starts_with('[') && name.ends_with(']') && name.len() > 2;
    literal || (name.trim_end_matches('.').contains('.') && mail::address::is_domain(name))
}

/// What sessions hear when the node stops.
pub fn stopping() -> Reply {
    Reply::new(421, Enhanced::new(4, 3, 2), "shutting down, try again later")
}
