//! One open session: work in, bytes out, answers back to the spool, until there is no more work or the peer is gone.
//!
//! Knows no hosts and no DNS. Always holds: each work that the session took is settled, given back to its hop, or dropped, which gives
//! it back to the spool.

use super::border::{Cuts, is_quick};
use super::connect::{Opened, Peer, refusal};
use super::feed::Feed;
use super::hop::{Hop, Next};
use super::line::{Line, Moment, patience_ms};
use super::link;
use super::outbox::OUTBOX_BYTES_MAX;
use super::parcel::{self, Parcel};
use super::plan::{Plan, To};
use super::shaping::{Permit, asks_for_less};
use mail::Reply;
use mail::firewall::Drops;
use smtp::client::{Client, Done, Ending, Event, Loss, Outcome as Heard, Output, Protocol, Stage};
use spool::{Outcome, Work};
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) struct Session<'h> {
    hop: &'h Arc<Hop>,
    plan: Arc<Plan>,
    line: Line,
    client: Client<Parcel>,
    peer: Arc<Peer>,
    seat: Arc<Notify>,
    feed: Option<Feed>,
    /// Works on their way from the hop to the machine.
    works: Vec<Work>,
    /// Messages that may still be begun.
    budget: u64,
    recipients_max: usize,
    /// The place at the destination, if it is one of the document's.
    permit: Option<Permit>,
    /// Messages that were begun.
    begun: u64,
    /// Messages that the peer took for some recipient.
    taken: u64,
    leaving: bool,
    /// What a server of the organization said that takes no mail now.
    unwilling: Option<Reply>,
}

/// How a session ended.
pub(super) enum End {
    /// By our own will, or while it had nothing to do.
    Left,
    /// Before that.
    Broken {
        /// Messages that went through before.
        taken: u64,
        /// What happened, as a reply.
        reply: Reply,
    },
}

impl<'h> Session<'h> {
    pub fn new(hop: &'h Arc<Hop>, plan: Arc<Plan>, opened: Opened, permit: Option<Permit>) -> Session<'h> {
        let Opened { line, client, peer } = opened;
        let offers = client.capabilities();
        let bound = |max: u64| if max == 0 { u64::MAX } else { max };
        let mut recipients_max = bound(offers.rcpt_max).min(plan.recipients_max.into());
        // All recipients of a domain's own exchangers are of one domain.
        if !matches!(plan.to, To::Exchangers { .. }) {
            recipients_max = recipients_max.min(bound(offers.rcpt_domain_max));
        }
        Session {
            budget: bound(offers.mail_max).min(plan.messages_per_connection.into()),
            recipients_max: usize::try_from(recipients_max).unwrap_or(usize::MAX),
            hop,
            plan,
            line,
            client,
            peer,
            seat: Arc::new(Notify::new()),
            feed: None,
            works: Vec::new(),
            permit,
            begun: 0,
            taken: 0,
            leaving: false,
            unwilling: None,
        }
    }

    /// Runs until the session is over.
    pub async fn run(mut self) -> End {
        self.hop.join(&self.seat);
        self.hop.center.metrics.connections.increment(1);
        let ending = 'session: loop {
            if let Err(error) = self.refill().await {
                tracing::error!(hop = %self.hop.key, %error, "a header cannot be read; its message waits");
                self.client.lost(Loss::Ours);
            }
            if let Err(error) = self.fill().await {
                tracing::error!(hop = %self.hop.key, %error, "a body cannot be read; its message waits");
                self.client.lost(Loss::Ours);
            }
            let mut heard = false;
            while let Some(event) = self.client.poll_event() {
                heard = true;
                match event {
                    Event::Done(done) => self.settle(done).await,
                    Event::Returned(parcel) => self.hop.give_back(parcel.work),
                    Event::Over(ending) => break 'session ending,
                    Event::Ready | Event::StartTls => {}
                }
            }
            if !heard {
                self.wait().await;
            }
        };
        self.hop.center.metrics.connections.decrement(1);
        self.hop.part(&self.seat);
        self.end(&ending)
    }

    /// Hands new work to the machine while it wants more.
    async fn refill(&mut self) -> io::Result<()> {
        while !self.leaving {
            let wanted = (self.client.wants() as u64).min(self.budget) as usize;
            if wanted == 0 {
                break;
            }
            let allowed = match &self.permit {
                None => wanted,
                // Others wait for this place, and have waited long enough.
                Some(permit) if self.begun >= PLACE_MESSAGES && permit.is_crowded() => 0,
                Some(permit) => permit.take(wanted),
            };
            if allowed == 0 {
                self.leave();
                break;
            }
            let next = self.hop.next(&self.seat, allowed, &mut self.works);
            self.begun += self.works.len() as u64;
            if let Some(permit) = &self.permit {
                permit.put_back(allowed - self.works.len());
            }
            match next {
                Next::Work => self.send_works().await?,
                Next::Wait if !self.permit.as_ref().is_some_and(Permit::is_crowded) => break,
                Next::Wait | Next::Leave => self.leave(),
            }
        }
        Ok(())
    }

    async fn send_works(&mut self) -> io::Result<()> {
        // Those that are not reached because one cannot be read go back to the spool.
        for work in load(std::mem::take(&mut self.works)).await? {
            if link::has_left(&self.plan, &self.peer, &work) {
                link::hold(self.hop, &self.peer, work);
                continue;
            }
            self.budget -= 1;
            let cuts = cuts(&work, self.plan.drops).await?;
            let journey = link::journey(&self.plan, &self.peer, &work);
            let parcel = Parcel::new(work, self.recipients_max, self.plan.protocol, cuts).with_journey(journey);
            self.client.send(parcel);
        }
        if self.budget == 0 {
            self.leave();
        }
        Ok(())
    }

    /// Moves what the machine wants to say, and as much of bodies as there is room for, into the outbox.
    async fn fill(&mut self) -> io::Result<()> {
        loop {
            if let Some(feed) = &mut self.feed {
                let Some(end) = feed.pump(&mut self.line.outbox).await? else { return Ok(()) };
                self.feed = None;
                self.client.body_sent(end);
            }
            match self.client.next_output() {
                Some(Output::Text(text)) => self.line.outbox.push_text(text),
                Some(body) => {
                    let Some(parcel) = self.client.sending() else { continue };
                    if !parcel.head().is_empty() {
                        self.line.outbox.push_text(parcel.head().into());
                    }
                    self.feed = Some(Feed::new(parcel.work.body(), parcel.cuts(), &body));
                }
                None => return Ok(()),
            }
        }
    }

    async fn wait(&mut self) {
        let stage = if self.line.outbox.is_empty() { self.client.awaits() } else { Some(Stage::DataBlock) };
        let patience_ms = match stage {
            Some(stage) if self.leaving && self.client.in_flight() == 0 => {
                patience_ms(&self.plan.timeouts, stage).min(GOODBYE_MS)
            }
            Some(stage) => patience_ms(&self.plan.timeouts, stage),
            None => self.plan.idle_ms,
        };
        match self.line.wait(patience_ms, self.feed.is_some(), Some(&self.seat)).await {
            Moment::Read(count) => self.client.receive(self.line.input(count)),
            Moment::Room => {}
            Moment::Rung if self.hop.center.is_stopping() => self.leave(),
            Moment::Rung => {}
            Moment::TimedOut if stage.is_none() => self.leave(),
            Moment::TimedOut => self.client.lost(Loss::TimedOut),
            Moment::Lost(loss) => self.client.lost(loss),
        }
    }

    /// No more work: QUIT once all is answered.
    fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.hop.part(&self.seat);
            self.line.restart_deadline();
            self.client.quit();
        }
    }

    async fn settle(&mut self, done: Done<Parcel>) {
        if let Some(reply) = link::unwilling(&self.peer, &done) {
            // Another server may take it at once.
            self.hop.give_back(done.message.work);
            self.unwilling = Some(reply);
            return self.leave();
        }
        let metrics = &self.hop.center.metrics;
        let uncertain = done.outcomes.iter().filter(|outcome| matches!(outcome, Heard::Uncertain(_))).count();
        metrics.uncertain.increment(uncertain as u64);
        let (work, told) = parcel::outcomes(done, self.plan.protocol);
        let slow =
            told.iter().any(|(_, outcome)| matches!(outcome, Outcome::Deferred { reply } if asks_for_less(reply)));
        let (mut taken, mut failed) = (0, 0);
        for (_, outcome) in &told {
            match outcome {
                Outcome::Delivered { .. } | Outcome::Relayed { .. } => taken += 1,
                Outcome::Failed { .. } => failed += 1,
                Outcome::Deferred { .. } => {}
            }
        }
        match self.plan.protocol {
            Protocol::Smtp => metrics.relayed.increment(taken),
            Protocol::Lmtp => metrics.delivered.increment(taken),
        }
        metrics.failed.increment(failed);
        metrics.deferred.increment(told.len() as u64 - taken - failed);
        match &self.permit {
            Some(permit) if slow => permit.asked_for_less(),
            Some(permit) if taken > 0 => permit.went_well(),
            _ => {}
        }
        if taken > 0 {
            self.taken += 1;
            self.hop.grow();
        } else if failed == 0 && !told.is_empty() {
            self.hop.shrink();
        }
        self.tell(work, told, failed > 0).await;
    }

    /// Tells the spool. It may have to read the message for a DSN: not on this thread, if it is not in memory.
    async fn tell(&self, work: Work, told: Vec<(u16, Outcome)>, failed: bool) {
        let spool = &self.hop.center.spool;
        let notify = failed || work.recipients().any(|(_, recipient)| recipient.notify.success());
        if !notify || work.body().in_memory().is_some() {
            return spool.settle(work, &self.peer.attempt(), &told);
        }
        let (spool, peer) = (spool.clone(), Arc::clone(&self.peer));
        let settled = tokio::task::spawn_blocking(move || spool.settle(work, &peer.attempt(), &told));
        // A panic in there has dropped the work, which the spool counts.
        let _ = settled.await;
    }

    fn end(self, ending: &Ending) -> End {
        if let Some(reply) = self.unwilling {
            self.hop.center.penalize(&self.peer);
            return End::Broken { taken: self.taken, reply };
        }
        let idle_close = matches!(ending, Ending::Lost(Loss::Closed) | Ending::Busy(_)) && self.taken > 0;
        if *ending == Ending::Quit {
            return End::Left;
        }
        let center = &self.hop.center;
        if let Ending::Busy(reply) = ending {
            self.permit.iter().filter(|_| asks_for_less(reply)).for_each(Permit::asked_for_less);
            self.hop.shrink();
        }
        if !idle_close {
            center.penalize(&self.peer);
        }
        End::Broken { taken: self.taken, reply: refusal(ending) }
    }
}

/// Messages that one may send over a connection while others wait for its place.
const PLACE_MESSAGES: u64 = 10;
/// Reads what is not in memory and not large, all of it on one thread that may block: a hop that lags behind has all its mail on the disk, and
/// what each message costs then decides whether it catches up.
async fn load(mut works: Vec<Work>) -> io::Result<Vec<Work>> {
    let is_cold = |work: &Work| work.body().in_memory().is_none() && work.body().len() <= LOADED_BYTES_MAX;
    if !works.iter().any(is_cold) {
        return Ok(works);
    }
    let loading = tokio::task::spawn_blocking(move || {
        let mut more = LOADED_BYTES_MAX;
        for work in works.iter_mut().filter(|work| is_cold(work)) {
            if work.body().len() > more {
                break;
            }
            more -= work.body().len();
            // What cannot be read is told when it is to be sent.
            let _ = work.load_body();
        }
        works
    });
    loading.await.map_err(io::Error::other)
}

/// Bytes of bodies that are read at once, as much as an outbox holds. Larger ones are read in parts while they are sent. How many works a
/// session has in hand is bounded by what its machine wants.
const LOADED_BYTES_MAX: u64 = OUTBOX_BYTES_MAX as u64;

/// What of a body the next hop must not see; read on another thread if it is not in memory.
async fn cuts(work: &Work, drops: Drops) -> io::Result<Cuts> {
    if is_quick(work.body(), drops) {
        return Cuts::of(work.body(), drops);
    }
    let body = work.body().clone();
    tokio::task::spawn_blocking(move || Cuts::of(&body, drops)).await.map_err(io::Error::other)?
}

/// How long the answer to QUIT is waited for.
const GOODBYE_MS: u64 = 2_000;
