//! One message on its way through MAIL, RCPT and its body, and what the peer said to each recipient so far.
//!
//! Always holds: a recipient's outcome, once set, is never changed.

use super::event::{Done, Outcome};
use alloc::sync::Arc;
use alloc::vec::Vec;
use mail::Reply;

/// A message in the pipeline.
pub(super) struct Transaction<M> {
    pub message: M,
    /// What is to be sent next.
    pub step: Step,
    pub how: How,
    /// The peer answered something of it.
    pub heard: bool,
    /// MAIL was taken: a transaction is open at the peer until the body is answered or RSET.
    pub opened: bool,
    mail_refused: Option<Arc<Reply>>,
    recipients: Vec<State>,
    accepted: usize,
}

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// MAIL.
    Queued,
    /// RCPT for the recipient with this index.
    Recipient(usize),
    /// DATA or BDAT.
    Content,
    /// Nothing before the answer to DATA.
    AwaitGo,
    /// The body, which the driver has at hand.
    Body,
    /// Nothing: all is sent.
    Sent,
}

/// How the body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// DATA, dot-stuffed.
    Data,
    /// BDAT once the recipients are answered.
    Bdat,
    /// BDAT in one go with the envelope.
    EagerBdat,
}

enum State {
    Unanswered,
    Accepted,
    Settled(Outcome),
}

impl<M> Transaction<M> {
    pub fn new(message: M, recipients: usize, how: How) -> Transaction<M> {
        Transaction {
            message,
            step: Step::Queued,
            how,
            heard: false,
            opened: false,
            mail_refused: None,
            recipients: (0..recipients).map(|_| State::Unanswered).collect(),
            accepted: 0,
        }
    }

    /// The answer to MAIL was not positive.
    pub fn refuse_mail(&mut self, reply: Arc<Reply>) {
        self.mail_refused = Some(reply);
    }

    pub fn is_mail_refused(&self) -> bool {
        self.mail_refused.is_some()
    }

    /// RCPT was taken. It does not count where MAIL was not.
    pub fn accept(&mut self, index: usize) {
        if let Some(reply) = self.mail_refused.clone() {
            self.recipients[index] = State::Settled(outcome(reply));
        } else {
            self.recipients[index] = State::Accepted;
            self.accepted += 1;
        }
    }

    /// RCPT was refused, or is not sent at all.
    pub fn refuse(&mut self, index: usize, outcome_of_rcpt: Outcome) {
        let outcome = self.mail_refused.clone().map_or(outcome_of_rcpt, outcome);
        self.recipients[index] = State::Settled(outcome);
    }

    /// The recipient was given an outcome before RCPT was sent.
    pub fn is_settled(&self, index: usize) -> bool {
        matches!(self.recipients[index], State::Settled(_))
    }

    /// No recipient waits for anything.
    pub fn is_all_settled(&self) -> bool {
        self.recipients.iter().all(|state| matches!(state, State::Settled(_)))
    }

    /// Recipients that wait for what becomes of the body.
    pub fn accepted(&self) -> usize {
        self.accepted
    }

    /// The same outcome for every recipient that has none.
    pub fn settle_rest(&mut self, outcome: &Outcome) {
        for state in &mut self.recipients {
            if !matches!(state, State::Settled(_)) {
                *state = State::Settled(outcome.clone());
            }
        }
        self.accepted = 0;
    }

    /// The outcome of the first recipient that waits for one (LMTP answers them in order).
    pub fn settle_next(&mut self, outcome: Outcome) {
        if let Some(state) = self.recipients.iter_mut().find(|state| matches!(state, State::Accepted)) {
            *state = State::Settled(outcome);
            self.accepted -= 1;
        }
    }

    /// The transaction with all its outcomes; who has none gets that of the refused MAIL, or `rest`.
    pub fn into_done(mut self, rest: &Outcome, dsn_offered: bool) -> Done<M> {
        let rest = self.mail_refused.clone().map_or_else(|| rest.clone(), outcome);
        self.settle_rest(&rest);
        let settled = |state| match state {
            State::Settled(outcome) => outcome,
            State::Unanswered | State::Accepted => rest.clone(),
        };
        Done { message: self.message, outcomes: self.recipients.into_iter().map(settled).collect(), dsn_offered }
    }
}

/// What an answer that is not the one hoped for means: 2xx after the body is custody, 5xx is never, all else is later.
pub(super) fn outcome(reply: Arc<Reply>) -> Outcome {
    match reply.code / 100 {
        2 => Outcome::Accepted(reply),
        5 => Outcome::Never(reply),
        _ => Outcome::Later(reply),
    }
}
