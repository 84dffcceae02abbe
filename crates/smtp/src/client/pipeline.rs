//! The transactions of an open session: what may be sent before what is answered, and whose answer a reply is.
//!
//! Always holds: replies are counted off against the commands that caused them, in order; with DATA the next envelope goes out behind
//! the final dot, which closes the transaction before it whatever its answer (RFC 5321 4.1.1.4, RFC 2920 3.1); behind a BDAT whose
//! answer is not known, RSET goes first, because a peer that refused it may still hold that transaction open.

use super::capabilities::Capabilities;
use super::command;
use super::event::{Ending, Event, Outcome, Stage};
use super::outgoing::Outgoing;
use super::reply::Heard;
use super::stuff::BodyEnd;
use super::transaction::{How, Step, Transaction, outcome};
use super::{Output, Protocol};
use crate::grammar::journey;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mail::{BodyKind, Enhanced, Reply};

pub(super) struct Pipeline<M> {
    /// What the peer offers.
    pub offers: Capabilities,
    /// Commands to be written, before the body that waits in `body`.
    pub text: Vec<u8>,
    body: Option<Output>,
    protocol: Protocol,
    in_flight_max: usize,
    eager_bytes_max: u64,
    /// Oldest first; the first one is the one that the next reply is about.
    queue: VecDeque<Transaction<M>>,
    /// How many at the front of `queue` are sent whole.
    sent: usize,
    awaited: VecDeque<Awaited>,
    /// The peer may hold a transaction open that nothing more comes of.
    reset_due: bool,
    /// Some transaction has come to its end in this session.
    proven: bool,
}

/// A command that was sent and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Reset,
    Mail,
    Recipient(usize),
    Data,
    Content,
}

impl<M: Outgoing> Pipeline<M> {
    pub fn new(protocol: Protocol, in_flight_max: usize, eager_bytes_max: u64) -> Pipeline<M> {
        Pipeline {
            offers: Capabilities::default(),
            text: Vec::new(),
            body: None,
            protocol,
            in_flight_max,
            eager_bytes_max,
            queue: VecDeque::new(),
            sent: 0,
            awaited: VecDeque::new(),
            reset_due: false,
            proven: false,
        }
    }

    pub fn wants(&self) -> usize {
        let max = match (self.offers.pipelining, self.uses_bdat()) {
            (true, true) => self.in_flight_max.max(1),
            (true, false) => 2,
            (false, _) => 1,
        };
        max.saturating_sub(self.queue.len())
    }

    pub fn send(&mut self, message: M, events: &mut VecDeque<Event<M>>) {
        let how = match (self.uses_bdat(), message.size_bytes() <= self.eager_bytes_max && self.offers.pipelining) {
            (true, true) => How::EagerBdat,
            (true, false) => How::Bdat,
            (false, _) => How::Data,
        };
        let refusal = self.cannot_take(&message).map(|reply| outcome(Arc::new(reply)));
        let recipients = message.recipients();
        let mut transaction = Transaction::new(message, recipients, how);
        if let Some(refusal) = refusal {
            events.push_back(Event::Done(transaction.into_done(&refusal, self.offers.dsn)));
            return;
        }
        if !self.offers.smtputf8 {
            transaction.refuse_what_needs_utf8();
        }
        if transaction.is_all_settled() {
            events.push_back(Event::Done(transaction.into_done(&unheard(), self.offers.dsn)));
            return;
        }
        self.queue.push_back(transaction);
        self.pump(events);
    }

    pub fn next_output(&mut self) -> Option<Output> {
        if self.text.is_empty() {
            return self.body.take();
        }
        Some(Output::Text(core::mem::take(&mut self.text)))
    }

    pub fn sending(&self) -> Option<&M> {
        self.queue.get(self.sent).filter(|t| t.step == Step::Body).map(|t| &t.message)
    }

    pub fn body_sent(&mut self, end: BodyEnd, events: &mut VecDeque<Event<M>>) {
        let Some(transaction) = self.queue.get_mut(self.sent).filter(|t| t.step == Step::Body) else { return };
        if transaction.how == How::Data {
            self.text.extend_from_slice(end.terminator());
        }
        transaction.step = Step::Sent;
        self.sent += 1;
        self.pump(events);
    }

    pub fn in_flight(&self) -> usize {
        self.queue.len()
    }

    pub fn awaits(&self) -> Option<Stage> {
        if self.queue.front().is_some_and(|t| t.step == Step::Body) {
            return Some(Stage::DataBlock);
        }
        self.awaited.front().map(|awaited| match awaited {
            Awaited::Reset => Stage::Hello,
            Awaited::Mail => Stage::Mail,
            Awaited::Recipient(_) => Stage::Recipient,
            Awaited::Data => Stage::DataStart,
            Awaited::Content => Stage::DataEnd,
        })
    }

    /// One reply. An error is the end of the session.
    pub fn heard(&mut self, heard: &Heard<'_>, events: &mut VecDeque<Event<M>>) -> Result<(), Ending> {
        let awaited = self.awaited.front().copied();
        if heard.code == 421 {
            return Err(self.closed_by_peer(awaited, heard.to_reply(), events));
        }
        let (Some(awaited), Some(front)) = (awaited, self.queue.front_mut()) else {
            // RSET alone has no transaction.
            return match self.awaited.pop_front() {
                Some(_) => Ok(()),
                None => Err(Ending::Unasked(heard.to_reply())),
            };
        };
        if !(awaited == Awaited::Content && front.step == Step::Body) {
            self.awaited.pop_front();
        }
        front.heard |= awaited != Awaited::Reset;
        match awaited {
            Awaited::Reset => {}
            Awaited::Mail if heard.is_positive() => front.opened = true,
            Awaited::Mail => front.refuse_mail(Arc::new(heard.to_reply())),
            Awaited::Recipient(index) if heard.is_positive() => front.accept(index),
            Awaited::Recipient(index) => front.refuse(index, negative(heard)),
            Awaited::Data => self.data_answered(heard, events),
            Awaited::Content => self.content_answered(heard, events)?,
        }
        self.pump(events);
        Ok(())
    }

    /// The session ends: everything in it comes out.
    pub fn abandon(&mut self, ending: &Ending, events: &mut VecDeque<Event<M>>) {
        let stage = self.awaits();
        let reply = Arc::new(match ending {
            Ending::Busy(reply) => reply.clone(),
            other => {
                let during = stage.map(|stage| format!(" while {stage}")).unwrap_or_default();
                Reply::of(451, Enhanced::new(4, 4, 2), format!("{other}{during}"))
            }
        });
        let closing = matches!(ending, Ending::Busy(_));
        for (place, transaction) in self.queue.drain(..).enumerate() {
            let content_out = transaction.step == Step::Sent;
            // The first message of a session counts as tried even if the peer said nothing: else it could be tried for ever.
            let untouched = !transaction.heard && (place > 0 || self.proven) && (closing || !content_out);
            events.push_back(match transaction.step {
                Step::Queued => Event::Returned(transaction.message),
                _ if untouched => Event::Returned(transaction.message),
                _ => {
                    let rest = match content_out {
                        true => Outcome::Uncertain(Arc::clone(&reply)),
                        false => Outcome::Later(Arc::clone(&reply)),
                    };
                    Event::Done(transaction.into_done(&rest, self.offers.dsn))
                }
            });
        }
        self.awaited.clear();
        self.sent = 0;
        self.body = None;
        self.text.clear();
    }

    /// LMTP servers are near: the round trip that BDAT would save is not worth its rarer code path there.
    fn uses_bdat(&self) -> bool {
        self.offers.chunking && self.protocol == Protocol::Smtp
    }

    /// Why this peer can never take the message, as far as its answer to EHLO tells.
    fn cannot_take(&self, message: &M) -> Option<Reply> {
        let size_max = self.offers.size_max;
        if size_max > 0 && message.size_bytes() > size_max {
            let text =
                format!("message of {} bytes is larger than the next hop takes ({size_max})", message.size_bytes());
            return Some(Reply::of(552, Enhanced::new(5, 3, 4), text));
        }
        if message.body() == BodyKind::BinaryMime && !(self.offers.binary_mime && self.uses_bdat()) {
            return Some(Reply::new(554, Enhanced::new(5, 6, 3), "next hop does not take binary messages"));
        }
        if self.offers.journey && message.journey().is_some_and(|journey| !journey::fits(journey)) {
            return Some(Reply::new(554, Enhanced::new(5, 4, 6), "message has been in too many sites"));
        }
        if self.offers.smtputf8 {
            return None;
        }
        if message.from().mailbox().is_some_and(mail::Mailbox::needs_utf8) {
            return Some(Reply::new(
                550,
                Enhanced::new(5, 6, 7),
                "sender needs SMTPUTF8, which the next hop does not offer",
            ));
        }
        None
    }

    /// Writes what may be written now.
    fn pump(&mut self, events: &mut VecDeque<Event<M>>) {
        while self.advance(events) {}
    }

    /// One command of the first transaction that is not sent whole. False when nothing may be sent before more is heard.
    fn advance(&mut self, events: &mut VecDeque<Event<M>>) -> bool {
        let reset_sent = self.awaited.back() == Some(&Awaited::Reset);
        let reset_needed = !reset_sent && self.queue.iter().take(self.sent).any(|t| t.how != How::Data);
        let Some(transaction) = self.queue.get_mut(self.sent) else { return false };
        let lockstep = !self.offers.pipelining;
        if lockstep && !self.awaited.is_empty() {
            return false;
        }
        match transaction.step {
            Step::Queued if self.reset_due || reset_needed => {
                self.reset_due = false;
                self.text.extend_from_slice(b"RSET\r\n");
                self.awaited.push_back(Awaited::Reset);
            }
            Step::Queued => {
                command::mail(&mut self.text, &transaction.message, &self.offers);
                self.awaited.push_back(Awaited::Mail);
                transaction.step = Step::Recipient(0);
            }
            Step::Recipient(_) if lockstep && transaction.is_mail_refused() => self.finish(events),
            Step::Recipient(index) => {
                let last = index + 1 == transaction.message.recipients();
                transaction.step = if last { Step::Content } else { Step::Recipient(index + 1) };
                if !transaction.is_settled(index) {
                    command::rcpt(&mut self.text, transaction.message.recipient(index), &self.offers);
                    self.awaited.push_back(Awaited::Recipient(index));
                }
            }
            Step::Content => return self.start_content(events),
            Step::AwaitGo | Step::Body | Step::Sent => return false,
        }
        true
    }

    fn start_content(&mut self, events: &mut VecDeque<Event<M>>) -> bool {
        let at = self.sent;
        // Replies come in order: if the first transaction waits for nothing, all its recipients are answered.
        let answered = at == 0 && self.awaited.is_empty();
        let transaction = &mut self.queue[at];
        if answered && transaction.accepted() == 0 {
            self.reset_due |= transaction.opened;
            self.finish(events);
            return true;
        }
        match transaction.how {
            How::Bdat if !answered => return false,
            How::Data => {
                self.text.extend_from_slice(b"DATA\r\n");
                self.awaited.push_back(Awaited::Data);
                transaction.step = Step::AwaitGo;
            }
            How::Bdat | How::EagerBdat => {
                command::bdat_last(&mut self.text, transaction.message.size_bytes());
                self.awaited.push_back(Awaited::Content);
                self.body = Some(Output::Exact);
                transaction.step = Step::Body;
            }
        }
        true
    }

    fn data_answered(&mut self, heard: &Heard<'_>, events: &mut VecDeque<Event<M>>) {
        let front = &mut self.queue[0];
        if heard.code != 354 {
            front.settle_rest(&negative(heard));
            self.reset_due |= front.opened;
            return self.finish(events);
        }
        if front.accepted() > 0 {
            front.step = Step::Body;
            self.body = Some(Output::Dotted);
            self.awaited.push_back(Awaited::Content);
            return;
        }
        // The peer wants a message for nobody (RFC 2920 3.1): it gets an empty one.
        self.text.extend_from_slice(b".\r\n");
        front.step = Step::Sent;
        self.sent += 1;
        match self.protocol {
            Protocol::Smtp => self.awaited.push_back(Awaited::Content),
            Protocol::Lmtp => self.finish(events),
        }
    }

    fn content_answered(&mut self, heard: &Heard<'_>, events: &mut VecDeque<Event<M>>) -> Result<(), Ending> {
        let front = &mut self.queue[0];
        if front.step == Step::Body {
            // An answer before the end of the body: a refusal counts, custody cannot be.
            if !heard.is_positive() {
                front.settle_rest(&negative(heard));
                self.finish(events);
            }
            return Err(Ending::Early(heard.to_reply()));
        }
        let outcome = outcome(Arc::new(heard.to_reply()));
        match self.protocol {
            Protocol::Smtp => front.settle_rest(&outcome),
            Protocol::Lmtp => {
                front.settle_next(outcome);
                if front.accepted() > 0 {
                    self.awaited.push_front(Awaited::Content);
                    return Ok(());
                }
            }
        }
        self.reset_due |= front.how != How::Data && !heard.is_positive();
        self.finish(events);
        Ok(())
    }

    /// 421 answers whatever it answers, and everything behind it.
    fn closed_by_peer(&mut self, awaited: Option<Awaited>, reply: Reply, events: &mut VecDeque<Event<M>>) -> Ending {
        let concerned = awaited.is_some_and(|awaited| awaited != Awaited::Reset);
        if let (true, Some(front)) = (concerned, self.queue.front_mut()) {
            front.settle_rest(&Outcome::Later(Arc::new(reply.clone())));
            self.finish(events);
        }
        Ending::Busy(reply)
    }

    /// The first transaction has come to its end.
    fn finish(&mut self, events: &mut VecDeque<Event<M>>) {
        let Some(transaction) = self.queue.pop_front() else { return };
        self.sent = self.sent.saturating_sub(1);
        self.proven = true;
        events.push_back(Event::Done(transaction.into_done(&unheard(), self.offers.dsn)));
    }
}

impl<M: Outgoing> Transaction<M> {
    /// Recipients whose address this peer cannot be told, and the others too if it cannot take the header.
    fn refuse_what_needs_utf8(&mut self) {
        for index in 0..self.message.recipients() {
            if self.message.recipient(index).address.needs_utf8() {
                let text = "recipient needs SMTPUTF8, which the next hop does not offer";
                self.refuse(index, outcome(Arc::new(Reply::new(550, Enhanced::new(5, 6, 7), text))));
            }
        }
        if !self.is_all_settled() && self.message.smtputf8() && self.message.header_needs_utf8() {
            let text = "header needs SMTPUTF8, which the next hop does not offer";
            self.settle_rest(&outcome(Arc::new(Reply::new(554, Enhanced::new(5, 6, 9), text))));
        }
    }
}

/// For a recipient that no reply speaks of.
fn unheard() -> Outcome {
    Outcome::Later(Arc::new(Reply::new(451, Enhanced::new(4, 4, 2), "next hop gave no answer")))
}

/// The outcome of a refusal: a positive code where it makes no sense is "later", never custody.
fn negative(heard: &Heard<'_>) -> Outcome {
    let reply = Arc::new(heard.to_reply());
    match outcome(Arc::clone(&reply)) {
        Outcome::Accepted(_) => Outcome::Later(reply),
        other => other,
    }
}
