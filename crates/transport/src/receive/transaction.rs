//! A transaction: MAIL, RCPT, the body, and the instant of custody.

use super::NotNow;
use super::categorized::Failed;
use super::handling;
use super::incoming::Incoming;
use super::probed;
use super::report::Reason;
use super::session::Session;
use super::visitor::Visitor;
use crate::categorize::Decided;
use directory::{RecipientAnswer, SenderAnswer};
use mail::{Enhanced, Envelope, Journey, Recipient, Reply};
use smtp::server::{Answer, MailCommand, RcptCommand};
use spool::Source;

/// From MAIL to the end of the message.
pub struct Transaction {
    /// Sender, parameters, and the recipients accepted so far.
    pub envelope: Envelope,
    /// SIZE= of MAIL.
    size: Option<u64>,
    /// XPOSTHOUSE= of MAIL.
    journey: Option<Box<Journey>>,
    incoming: Option<Incoming>,
}

/// Hands body bytes on; gives the reply that the rest is refused with. (No method of the session: its read buffer is borrowed meanwhile.)
pub async fn take(transaction: &mut Option<Transaction>, visitor: &Visitor, bytes: &[u8]) -> Result<(), Reply> {
    match transaction.as_mut().and_then(|transaction| transaction.incoming.as_mut()) {
        Some(incoming) => incoming.push(bytes, visitor).await,
        None => Ok(()),
    }
}

impl Session<'_> {
    /// MAIL: whether the node takes mail, whether this sender is welcome, whether there were too many.
    pub(super) fn mail(&mut self, command: MailCommand) {
        self.transaction = None;
        if self.visitor.is_probe {
            return self.say_no(probed::no_mail());
        }
        let refusal = self.mail_refusal(&command);
        if let Some((reason, reply)) = refusal {
            if reply.is_permanent() {
                self.hold_back();
            }
            self.reporter.refused(&self.visitor, reason, Some(&command.from), &[], &reply);
            return self.say_no(reply);
        }
        let MailCommand { from, size, body, smtputf8, ret, envid, auth: _, journey } = command;
        let envelope = Envelope { from, ret, envid, body, smtputf8, recipients: Vec::with_capacity(1) };
        self.transaction = Some(Transaction { envelope, size, journey, incoming: None });
        self.machine.answer(Answer::accept());
    }

    fn mail_refusal(&mut self, command: &MailCommand) -> Option<(Reason, Reply)> {
        match self.shared.readiness.can_accept(self.visitor.asker()) {
            // A pipelined group has one answer: it is held back once.
            Ok(brake) => self.brake = self.brake.max(brake),
            Err(NotNow { reason, reply }) => return Some((reason, reply)),
        }
        // A full disk is said before the peer sends recipients and a body for nothing.
        if let Err(refused) = self.shared.spool.can_accept() {
            return Some(("no_room", refused.reply()));
        }
        let visitor = &self.visitor;
        if let Err(refused) = self.shared.spool.can_protect(visitor.connector.protection(self.shared.copies_by_default))
        {
            return Some(("too_few_copies", refused.reply()));
        }
        let answer = visitor.org.sender(&visitor.connector, visitor.principal(), &command.from);
        if let Some(reply) = answer.refusal() {
            let reason = match answer {
                SenderAnswer::AuthRequired => "auth_required",
                SenderAnswer::NotTheirs => "sender_not_theirs",
                SenderAnswer::OwnDomain => "own_domain_sender",
                SenderAnswer::NotAllowed | SenderAnswer::Accept => "not_allowed",
            };
            return Some((reason, reply));
        }
        visitor.count_message(self.shared.world.clock.mono_ms()).err()
    }

    /// RCPT: whether the recipient is ours, or may be relayed to.
    pub(super) fn rcpt(&mut self, command: RcptCommand) {
        let Some(transaction) = &mut self.transaction else {
            return self.machine.answer(Answer::reply(no_transaction()));
        };
        let visitor = &self.visitor;
        let RcptCommand { to, notify, orcpt } = command;
        // RFC 5321 4.5.1: postmaster without a domain always gets through.
        let bare = to.is_none();
        let address = to.unwrap_or_else(|| visitor.org.postmaster.clone());
        let answer = visitor.org.recipient(&visitor.connector, visitor.principal(), &address);
        match answer.refusal() {
            Some(reply) if !bare => {
                let reason = match answer {
                    RecipientAnswer::RelayDenied => "relay_denied",
                    RecipientAnswer::NoSuchDomain => "no_such_domain",
                    RecipientAnswer::NotKnownYet => "recipients_not_known",
                    RecipientAnswer::Restricted => "recipient_restricted",
                    RecipientAnswer::UnknownUser | RecipientAnswer::Accept => "unknown_user",
                };
                let sender = Some(&transaction.envelope.from);
                self.reporter.refused(visitor, reason, sender, &[address.as_str()], &reply);
                self.hold_back();
                self.say_no(reply);
            }
            _ if !visitor.count_recipient(self.shared.world.clock.mono_ms()) => {
                let reply = Reply::new(451, Enhanced::new(4, 7, 1), "too many recipients in an hour, try again later");
                let sender = Some(&transaction.envelope.from);
                self.reporter.refused(visitor, "user_recipient_rate", sender, &[address.as_str()], &reply);
                self.say_no(reply);
            }
            _ => self.known_rcpt(Recipient { address, notify, orcpt }),
        }
    }

    /// RCPT for somebody who exists: whether it takes such mail.
    fn known_rcpt(&mut self, recipient: Recipient) {
        let Some(Transaction { envelope, size, .. }) = &self.transaction else { return };
        if let Some((reason, reply)) = self.rcpt_refusal(&envelope.from, &recipient.address, *size) {
            let recipients = [recipient.address.as_str()];
            self.reporter.refused(&self.visitor, reason, Some(&envelope.from), &recipients, &reply);
            self.hold_back();
            return self.say_no(reply);
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.envelope.recipients.push(recipient);
        }
        self.machine.answer(Answer::accept());
    }

    /// DATA or the first BDAT: a place in the spool.
    pub(super) fn data(&mut self) {
        let Some(transaction) = &mut self.transaction else {
            return self.machine.answer(Answer::reply(no_transaction()));
        };
        let wall_ms = self.shared.world.clock.wall_ms();
        // Peers that do not say how large a message is often send many of the same kind.
        let size_bytes = transaction.size.or(self.last_bytes);
        let protection = self.visitor.connector.protection(self.shared.copies_by_default);
        let source = Source { size_bytes, protection };
        match Incoming::begin(&self.shared.spool, &self.visitor, &transaction.envelope, &source, wall_ms) {
            Ok(incoming) => {
                transaction.incoming = Some(incoming.after(transaction.journey.take()));
                self.machine.answer(Answer::accept());
            }
            Err(reply) => {
                self.reporter.refused(&self.visitor, "spool", Some(&transaction.envelope.from), &[], &reply);
                self.say_no(reply);
            }
        }
    }

    /// The body is whole: custody, and the only way to a 250.
    pub(super) async fn end_of_message(&mut self) {
        let Some(Transaction { mut envelope, incoming: Some(mut incoming), .. }) = self.transaction.take() else {
            return self.machine.answer(Answer::reply(no_transaction()));
        };
        // The spool takes the envelope; the trace still needs its addresses.
        let sender = envelope.from.clone();
        let recipients: Vec<_> = envelope.recipients.iter().map(|recipient| recipient.address.clone()).collect();
        let decided = self.decide(&mut incoming, &mut envelope).await;
        let recipients: Vec<&str> = recipients.iter().map(|address| address.as_str()).collect();
        let Decided { early, changes } = match decided {
            Ok(decided) => decided,
            Err(reply) => {
                self.reporter.refused(&self.visitor, handling::reason(&reply), Some(&sender), &recipients, &reply);
                self.hold_back();
                return self.say_no(reply);
            }
        };
        let failed = Failed::of(&early);
        match incoming.finish(envelope, early, &self.visitor).await {
            Ok(taken) => {
                self.last_bytes = Some(taken.size_bytes);
                self.machine.answer(Answer::custody(&taken.receipt));
                tracing::debug!(id = %taken.receipt.id(), bytes = taken.size_bytes, "in custody");
                self.reporter.received(&self.visitor, &sender, &recipients, &taken);
                self.reporter.categorized(taken.receipt.id(), &sender, &changes, &failed);
            }
            Err(error) => {
                let reply = error.reply();
                tracing::debug!(%error, "not in custody");
                self.reporter.refused(&self.visitor, "spool", Some(&sender), &recipients, &reply);
                self.say_no(reply);
            }
        }
    }

    /// The body was refused, by the machine or by us: nothing of it is kept.
    pub(super) fn body_refused(&mut self, reply: &Reply) {
        let Some(Transaction { envelope, .. }) = self.transaction.take() else { return };
        let recipients: Vec<&str> = envelope.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
        self.reporter.refused(&self.visitor, "message", Some(&envelope.from), &recipients, reply);
    }
}

/// The machine keeps the order of commands, so this is never heard.
fn no_transaction() -> Reply {
    Reply::new(451, Enhanced::new(4, 3, 0), "local error")
}
