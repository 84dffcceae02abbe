//! One call until it is set up or refused: a proxy that forks one after the other (RFC 3261 16.7, 17.2.1; RFC 6026).
//!
//! Always holds: the caller hears one final answer of ours, or 2xx as often as a host says it; a host that was passed over after it rang
//! is called back; a caller who hung up is offered to nobody else.

use std::sync::Arc;

use super::branch::Branch;
use super::desk::{Desk, Hop, Packet, back, retarget};
use super::host::{Host, Hosts, Trouble};
use super::note::{Note, Outcome};
use super::timer::{OVER_MS, Repeat, T2_MS, T4_MS};
use super::tries::{State, Try};
use crate::sip::{Answer, Message, Rewrite, Start, Transport, rewritten, top_via, without_top_via};

/// How far the caller is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No final answer yet.
    Waiting,
    /// It was refused and has not said that it knows.
    Refused { repeat: Repeat, until_ms: u64 },
    /// It knows.
    Acknowledged { until_ms: u64 },
    /// It was put through.
    Answered { until_ms: u64 },
}

/// One call.
#[derive(Debug)]
pub struct Call<P> {
    id: u64,
    /// Where the INVITE came from.
    source: Hop,
    /// Where its answers go.
    caller: Hop,
    /// The INVITE as it came, until its final answer.
    invite: Vec<u8>,
    tries: Vec<Try<P>>,
    phase: Phase,
    /// The answer that the caller gets if nobody takes the call, with its rank.
    best: Option<(u8, Vec<u8>)>,
    /// What the caller heard last.
    said: Vec<u8>,
    hung_up: bool,
    /// Until then a host may repeat its refusal over UDP, because it has not heard our ACK (RFC 3261 17.1.1.2, timer D).
    hosts_until_ms: u64,
}

impl<P> Call<P> {
    /// A call that `request` begins, from `source`. Offered to the first host at once.
    pub fn begin<H: Hosts<Place = P>>(
        id: u64,
        now_ms: u64,
        request: &Message,
        bytes: &[u8],
        source: Hop,
        desk: &mut Desk<H>,
    ) -> Option<Call<P>> {
        let caller = back(source, &top_via(request)?);
        let said = Answer::new(request, source.address, 100).finish();
        desk.send(caller, said.clone());
        let (invite, tries) = (bytes.to_vec(), Vec::new());
        let phase = Phase::Waiting;
        let mut call =
            Call { id, source, caller, invite, tries, phase, best: None, said, hung_up: false, hosts_until_ms: 0 };
        call.next_host(now_ms, desk);
        Some(call)
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        let best = self.best.as_ref().map_or(0, |(_, bytes)| bytes.len());
        self.invite.len() + self.said.len() + best + self.tries.iter().map(Try::bytes).sum::<usize>()
    }

    /// When it wants to be looked at.
    pub fn due_ms(&self) -> u64 {
        let own = match self.phase {
            Phase::Waiting => u64::MAX,
            Phase::Refused { repeat, until_ms } => repeat.next_ms.min(until_ms),
            Phase::Acknowledged { until_ms } | Phase::Answered { until_ms } => until_ms.max(self.hosts_until_ms),
        };
        self.tries.iter().map(Try::due_ms).fold(own, u64::min)
    }

    /// The caller sent the INVITE again.
    pub fn repeated<H: Hosts<Place = P>>(&self, desk: &mut Desk<H>) {
        if matches!(self.phase, Phase::Waiting | Phase::Refused { .. }) {
            desk.send(self.caller, self.said.clone());
        }
    }

    /// The caller knows of the refusal.
    pub fn acknowledged(&mut self, now_ms: u64) {
        if let Phase::Refused { .. } = self.phase {
            let stays_ms = if self.caller.transport.is_reliable() { 0 } else { T4_MS };
            self.phase = Phase::Acknowledged { until_ms: now_ms + stays_ms };
        }
    }

    /// The caller hung up before an answer.
    pub fn hang_up<H: Hosts<Place = P>>(&mut self, now_ms: u64, desk: &mut Desk<H>) {
        if !matches!(self.phase, Phase::Waiting) {
            return;
        }
        self.hung_up = true;
        for open in self.tries.iter_mut().filter(|one| one.is_open()) {
            if let State::Ringing { .. } = open.state {
                call_back(open, now_ms, desk);
                // A host that does not even say 487 then holds nothing up.
                open.rings(now_ms + OVER_MS);
            }
        }
    }

    /// What a host said about try `number`.
    pub fn answered<H: Hosts<Place = P>>(&mut self, now_ms: u64, number: usize, answer: &Message, desk: &mut Desk<H>) {
        let Start::Response { code, .. } = answer.start else { return };
        let Some(one) = self.tries.get_mut(number) else { return };
        if answer.cseq().is_some_and(|(_, method)| method == b"CANCEL") {
            return one.called_back();
        }
        if let (Some(place), State::Calling { .. }) = (&one.place, one.state) {
            desk.hosts.heard(place, now_ms, now_ms.saturating_sub(one.began_ms));
        }
        match code {
            100..200 => self.provisional(now_ms, number, code, answer, desk),
            200..300 => self.put_through(now_ms, number, answer, desk),
            _ => self.refused(now_ms, number, code, answer, desk),
        }
    }

    fn provisional<H: Hosts<Place = P>>(
        &mut self,
        now_ms: u64,
        number: usize,
        code: u16,
        answer: &Message,
        desk: &mut Desk<H>,
    ) {
        let one = &mut self.tries[number];
        let was_open = one.is_open();
        if !was_open || self.hung_up {
            // It woke up too late, or the caller does not want it any more: now it may be called back.
            call_back(one, now_ms, desk);
        }
        if !self.hung_up || matches!(one.state, State::Calling { .. }) {
            let rest_ms = if self.hung_up { OVER_MS } else { desk.settings.answer_timeout_ms };
            one.rings(now_ms + rest_ms);
        }
        if code > 100 && was_open && matches!(self.phase, Phase::Waiting) {
            self.said = without_top_via(answer);
            desk.send(self.caller, self.said.clone());
        }
    }

    fn put_through<H: Hosts<Place = P>>(&mut self, now_ms: u64, number: usize, answer: &Message, desk: &mut Desk<H>) {
        let one = &mut self.tries[number];
        if !matches!(one.state, State::Ended) {
            desk.notes.push(Note::Tried { host: one.host.clone(), outcome: Outcome::Answered, goes_on: false });
        }
        if let (Some(place), Phase::Waiting) = (&one.place, self.phase) {
            desk.hosts.took(place);
        }
        one.ended(200, answer);
        // Each 2xx goes to the caller, also one that is late: only the caller can take it or end it (RFC 3261 16.7 step 5).
        desk.send(self.caller, without_top_via(answer));
        if matches!(self.phase, Phase::Waiting) {
            self.over(Phase::Answered { until_ms: now_ms + OVER_MS });
        }
    }

    fn refused<H: Hosts<Place = P>>(
        &mut self,
        now_ms: u64,
        number: usize,
        code: u16,
        answer: &Message,
        desk: &mut Desk<H>,
    ) {
        let one = &mut self.tries[number];
        let was_open = one.is_open();
        if let (500..600, Some(place)) = (code, &one.place) {
            desk.hosts.failed(place, now_ms, Trouble::Refused(code));
        }
        let hop = one.hop;
        if !matches!(one.state, State::Ended) && !hop.transport.is_reliable() {
            self.hosts_until_ms = now_ms + OVER_MS;
        }
        if let Some(ack) = one.ended(code, answer) {
            desk.send(hop, ack);
        }
        if !was_open || !matches!(self.phase, Phase::Waiting) {
            return;
        }
        self.keep_best(rank(code), || match code {
            // Only we know whether the next call would fare better (RFC 3261 16.7 step 6).
            503 => Vec::new(),
            _ => without_top_via(answer),
        });
        let outcome = Outcome::of(code);
        match goes_on(code) && !self.hung_up {
            true => self.next(now_ms, number, outcome, desk),
            false => self.stop(now_ms, number, outcome, desk),
        }
    }

    /// The packet of try `number` could not be sent.
    pub fn unreachable<H: Hosts<Place = P>>(&mut self, now_ms: u64, number: usize, desk: &mut Desk<H>) {
        let Some(one) = self.tries.get_mut(number) else { return };
        if !matches!(one.state, State::Calling { .. }) || !matches!(self.phase, Phase::Waiting) {
            return;
        }
        if one.is_oversized {
            let (host, place) = (one.host.clone(), one.place.take());
            one.give_up();
            return self.offer(now_ms, host, place, Some(Transport::Udp), desk);
        }
        self.pass_over(now_ms, number, Outcome::Unreachable, desk);
    }

    /// Time has passed. Says whether the record is still needed.
    pub fn tick<H: Hosts<Place = P>>(&mut self, now_ms: u64, desk: &mut Desk<H>) -> bool {
        for number in 0..self.tries.len() {
            let one = &mut self.tries[number];
            for bytes in one.repeats(now_ms) {
                desk.send(one.hop, bytes);
            }
            match one.state {
                State::Calling { until_ms, .. } if now_ms >= until_ms => {
                    self.pass_over(now_ms, number, Outcome::Silent, desk)
                }
                State::Ringing { until_ms } if now_ms >= until_ms => {
                    self.pass_over(now_ms, number, Outcome::Unanswered, desk)
                }
                _ => {}
            }
        }
        match &mut self.phase {
            Phase::Waiting => true,
            Phase::Refused { repeat, until_ms } if now_ms < *until_ms => {
                if repeat.is_due(now_ms) {
                    desk.send(self.caller, self.said.clone());
                }
                true
            }
            Phase::Refused { until_ms, .. } => {
                // It was told often enough.
                self.phase = Phase::Acknowledged { until_ms: *until_ms };
                now_ms < self.hosts_until_ms
            }
            Phase::Acknowledged { until_ms } | Phase::Answered { until_ms } => {
                now_ms < (*until_ms).max(self.hosts_until_ms)
            }
        }
    }

    /// A host did not answer in time, or cannot be reached.
    fn pass_over<H: Hosts<Place = P>>(&mut self, now_ms: u64, number: usize, outcome: Outcome, desk: &mut Desk<H>) {
        let one = &mut self.tries[number];
        let trouble = match outcome {
            Outcome::Unreachable => Some(Trouble::Unreachable),
            Outcome::Silent => Some(Trouble::Silent),
            _ => None,
        };
        if let (Some(trouble), Some(place)) = (trouble, &one.place) {
            desk.hosts.failed(place, now_ms, trouble);
        }
        if outcome == Outcome::Unanswered {
            call_back(one, now_ms, desk);
        }
        one.give_up();
        if !matches!(self.phase, Phase::Waiting) {
            return;
        }
        let code = if outcome == Outcome::Unreachable { 503 } else { 408 };
        self.keep_best(rank(code), Vec::new);
        match self.hung_up {
            false => self.next(now_ms, number, outcome, desk),
            true => self.stop(now_ms, number, outcome, desk),
        }
    }

    /// The next host gets the call, if there is one.
    fn next<H: Hosts<Place = P>>(&mut self, now_ms: u64, number: usize, outcome: Outcome, desk: &mut Desk<H>) {
        let host = self.tries[number].host.clone();
        let before = self.tries.len();
        self.next_host(now_ms, desk);
        let goes_on = self.tries.len() > before;
        desk.notes.push(Note::Tried { host, outcome, goes_on });
    }

    fn next_host<H: Hosts<Place = P>>(&mut self, now_ms: u64, desk: &mut Desk<H>) {
        let tried: Vec<Arc<Host>> = self.tries.iter().map(|one| one.host.clone()).collect();
        let chosen = match tried.len() > desk.settings.retries {
            true => None,
            false => desk.hosts.choose(now_ms, self.source.address.ip(), &tried),
        };
        match chosen {
            Some((host, place)) => self.offer(now_ms, host, Some(place), None, desk),
            None => self.refuse(now_ms, desk),
        }
    }

    /// Sends the INVITE to a host.
    fn offer<H: Hosts<Place = P>>(
        &mut self,
        now_ms: u64,
        host: Arc<Host>,
        place: Option<P>,
        over: Option<Transport>,
        desk: &mut Desk<H>,
    ) {
        let Ok(request) = Message::parse(&self.invite) else { return };
        let number = self.tries.len();
        let came = self.caller.transport;
        let streams = desk.listener(Transport::Tcp, self.caller.listener).is_some();
        let is_oversized =
            over.is_none() && came == Transport::Udp && streams && self.invite.len() > DATAGRAM_BYTES_MAX;
        let transport = if is_oversized { Transport::Tcp } else { over.unwrap_or(came) };
        let listener = desk.listener(transport, self.caller.listener).unwrap_or(self.caller.listener);
        let Some(sent_by) = desk.listeners.get(listener).map(|listener| listener.sent_by()) else { return };
        let branch = Branch::Call { id: self.id, number }.written(&request);
        let via = format!("SIP/2.0/{} {sent_by};branch={branch};rport", transport.name());
        let uri = retarget(&request, &host.address.to_string(), transport);
        let drop_route = super::stateless::names_us(&request, desk);
        let sent = rewritten(&request, &Rewrite { uri: &uri, via: &via, source: self.source.address, drop_route });
        let hop = Hop { transport, listener, flow: 0, address: host.address };
        desk.packets.push(Packet { hop, bytes: sent.clone(), ticket: Some((self.id, number)) });
        let silent_ms = desk.settings.greeting_timeout_ms;
        let mut one = Try::new(host, place, hop, sent, now_ms, silent_ms);
        one.is_oversized = is_oversized;
        self.tries.push(one);
    }

    /// The call ends with the answer that `number` gave.
    fn stop<H: Hosts<Place = P>>(&mut self, now_ms: u64, number: usize, outcome: Outcome, desk: &mut Desk<H>) {
        let host = self.tries[number].host.clone();
        desk.notes.push(Note::Tried { host, outcome, goes_on: false });
        self.refuse(now_ms, desk);
    }

    /// The caller gets its final answer: the best that was heard, or one of ours.
    fn refuse<H: Hosts<Place = P>>(&mut self, now_ms: u64, desk: &mut Desk<H>) {
        let (rank, best) = self.best.take().unwrap_or((rank(503), Vec::new()));
        self.said = match best.is_empty() || (self.hung_up && rank != RANK_TERMINATED) {
            false => best,
            true => self.own_answer(rank, desk),
        };
        desk.send(self.caller, self.said.clone());
        let repeat = Repeat::new(now_ms, self.caller.transport.is_reliable(), T2_MS);
        self.over(Phase::Refused { repeat, until_ms: now_ms + OVER_MS });
    }

    fn own_answer<H: Hosts<Place = P>>(&self, rank: u8, desk: &mut Desk<H>) -> Vec<u8> {
        let Ok(request) = Message::parse(&self.invite) else { return Vec::new() };
        let code = match rank {
            _ if self.hung_up => 487,
            RANK_TIMEOUT => 408,
            _ => 503,
        };
        desk.notes.push(Note::Answered(code));
        let answer = Answer::new(&request, self.source.address, code);
        match code {
            503 => answer.header("Retry-After", &desk.settings.retry_after_s.to_string()).finish(),
            _ => answer.finish(),
        }
    }

    fn keep_best(&mut self, rank: u8, answer: impl FnOnce() -> Vec<u8>) {
        if self.best.as_ref().is_none_or(|(best, bytes)| rank < *best || (rank == *best && bytes.is_empty())) {
            self.best = Some((rank, answer()));
        }
    }

    fn over(&mut self, phase: Phase) {
        self.phase = phase;
        self.invite = Vec::new();
        self.best = None;
    }
}

fn call_back<P, H: Hosts<Place = P>>(one: &mut Try<P>, now_ms: u64, desk: &mut Desk<H>) {
    if let Some(bytes) = one.call_back(now_ms) {
        desk.send(one.hop, bytes);
    }
}

/// Whether another host may do better. Not after 6xx, which speaks for all, nor where each host would say the same.
fn goes_on(code: u16) -> bool {
    matches!(code, 408 | 480 | 486 | 500..600)
}

/// Which of several refusals the caller hears: the lowest.
fn rank(code: u16) -> u8 {
    match code {
        600.. => 0,
        487 => RANK_TERMINATED,
        486 => 3,
        480 => 4,
        408 => RANK_TIMEOUT,
        503 => 7,
        500..600 => 6,
        _ => 2,
    }
}

const RANK_TERMINATED: u8 = 1;
const RANK_TIMEOUT: u8 = 5;

/// A longer INVITE goes over a stream where we have one: its own lines are added yet (RFC 3261 18.1.1 says 1300).
const DATAGRAM_BYTES_MAX: usize = 1100;
