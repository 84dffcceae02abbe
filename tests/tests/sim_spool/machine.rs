//! The simulated node: a spool on a simulated disk, its sessions, its deliverers, its clock, and everything that can go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use mail::{BodyKind, Enhanced};
use mail::{Envelope, Event, EventKind, Mailbox, MessageId, Notify, Recipient, Recorder, Reply, ReversePath};
use spool::{
    Accepting, Attempt, Canary, Facts, Filter, HopId, HopKey, Notice, Outcome, Pending, Push, RecipientState, Route,
    Settings, Source, Spool, ToRoute, Wake, Work,
};
use world::sim::SimHandle;
use world::{Chance, World};

use crate::ledger::{self, Entry, Fate, Ledger};

pub struct Machine {
    world: World,
    pub sim: SimHandle,
    spool: Option<Spool>,
    pub ledger: Ledger,
    outside: Arc<Outside>,
    settings: Settings,
    offers: Vec<(MessageId, Accepting)>,
    arriving: Vec<(Pending, u64, usize)>,
    hands: Vec<Work>,
    /// Notices by name: about whom.
    died_since: BTreeSet<(MessageId, usize)>,
    /// The possible duplicates that the spool named when it was opened.
    named: BTreeSet<MessageId>,
    full: bool,
    pub restarts: u32,
    log: Vec<String>,
}

/// Kind, message, recipients and context of an event.
type Heard = (EventKind, MessageId, Vec<String>, String);

/// What the spool tells the outside: events, and hops that have work.
#[derive(Default)]
struct Outside {
    events: Mutex<Vec<Heard>>,
    ready: Mutex<BTreeSet<HopId>>,
}

impl Recorder for Outside {
    fn record(&self, event: &Event<'_>) {
        let Some(id) = event.id else { return };
        let recipients = event.recipients.iter().map(|r| r.to_string()).collect();
        self.events.lock().unwrap().push((event.kind, id, recipients, event.context.into()));
    }
}

impl Wake for Outside {
    fn ready(&self, hop: HopId) {
        self.ready.lock().unwrap().insert(hop);
    }
    fn due(&self) {}
}

impl Route for Outside {
    fn hops(&self, message: &ToRoute<'_>) -> Vec<HopKey> {
        message.envelope.recipients.iter().map(|to| hop(&to.address)).collect()
    }
}

fn hop(to: &Mailbox) -> HopKey {
    match to.domain() {
        "nowhere.test" => HopKey::Unreachable { reason: "no connector".into() },
        "here.test" => HopKey::Maildir { domain: "here.test".into() },
        domain => HopKey::Mx { connector: "out".into(), domain: domain.into() },
    }
}

const DIR: &str = "/spool";
const DOMAINS: [&str; 4] = ["here.test", "a.test", "b.test", "nowhere.test"];

impl Machine {
    pub fn new(seed: u64, canary: Canary) -> Result<Machine, String> {
        let (world, sim) = World::simulated(seed);
        let mut settings = Settings::new("sim.test", Mailbox::parse("postmaster@here.test", false).unwrap());
        settings.canary = canary;
        settings.body_memory_bytes = 64 << 10;
        settings.journal.segment_bytes = 256 << 10;
        settings.journal.spare_segments_max = 2;
        settings.journal.keep_free_bytes = 0;
        settings.journal.clean_below_percent = 50;
        settings.journal.clean_behind_segments = seed % 2;
        settings.expire_grace_ms = 1000;
        settings.poison_after = 3;
        let mut machine = Machine {
            world,
            sim,
            spool: None,
            ledger: Ledger::default(),
            outside: Arc::default(),
            settings,
            offers: Vec::new(),
            arriving: Vec::new(),
            hands: Vec::new(),
            died_since: BTreeSet::new(),
            named: BTreeSet::new(),
            full: false,
            restarts: 0,
            log: Vec::new(),
        };
        machine.open()?;
        Ok(machine)
    }

    fn below(&self, n: u64) -> u64 {
        self.sim.chance.below(n)
    }

    fn spool(&self) -> Spool {
        self.spool.clone().unwrap()
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
        if self.log.len() > 60 {
            self.log.remove(0);
        }
    }

    pub fn story(&self) -> String {
        self.log.join("\n  ")
    }

    fn open(&mut self) -> Result<(), String> {
        let outside = self.outside.clone();
        let opened = Spool::open_inline(
            &self.world,
            Path::new(DIR),
            self.settings.clone(),
            outside.clone(),
            outside.clone(),
            outside,
        );
        self.spool = Some(opened.map_err(|error| format!("the spool does not open: {error}"))?);
        Ok(())
    }

    /// One random step of somebody.
    pub fn step(&mut self) -> Result<(), String> {
        match self.below(100) {
            0..=24 => self.offer(),
            25..=27 => self.arrive(),
            28..=31 => self.go_away(),
            32..=54 => self.deliver()?,
            55..=57 => self.hold_on()?,
            58..=62 => self.operate()?,
            63..=74 => self.pump(1 + self.below(4)),
            75..=84 => {
                self.spool().tick();
                self.note("tick");
            }
            85..=90 => self.time_passes(),
            91..=92 => self.quiesce(),
            93..=94 => self.trouble(),
            95 => self.stop_cleanly()?,
            96..=97 => self.schedule_crash(),
            98 => self.kill()?,
            _ => self.power_cut()?,
        }
        self.listen()?;
        if self.sim.disk.crashed() {
            self.note("the scheduled crash came");
            self.power_cut()?;
        } else if self.world.disk.aborted() {
            self.note("the journal ended the process");
            match self.below(2) {
                0 => self.kill()?,
                _ => self.power_cut()?,
            }
        }
        Ok(())
    }

    fn envelope(&self) -> Envelope {
        let mut recipients = Vec::new();
        for n in 0..1 + self.below(4) / 3 * self.below(4) {
            let domain = DOMAINS[self.below(if self.below(20) == 0 { 4 } else { 3 }) as usize];
            let mut recipient = Recipient::new(Mailbox::parse(&format!("r{n}@{domain}"), false).unwrap());
            if self.below(8) == 0 {
                recipient.notify = Notify::Never;
            }
            recipients.push(recipient);
        }
        let sender = Mailbox::parse("sender@here.test", false).unwrap();
        Envelope {
            from: if self.below(10) == 0 { ReversePath::Null } else { ReversePath::Mailbox(sender) },
            ret: None,
            envid: None,
            body: BodyKind::SevenBit,
            smtputf8: false,
            recipients,
        }
    }

    /// A client sends a whole message and waits for the 250, or not yet.
    fn offer(&mut self) {
        let Ok(pending) = self.spool().begin(&Source::default()) else { return self.note("refused") };
        let seed = self.sim.chance.u64();
        let size = match self.below(30) {
            0 => 150_000 + self.below(300_000),
            1 => 0,
            _ => self.below(6000),
        } as usize;
        self.offer_rest(pending, seed, size, 0);
    }

    fn offer_rest(&mut self, mut pending: Pending, seed: u64, size: usize, from: usize) {
        let whole = ledger::content(seed, size);
        for part in whole[from..].chunks(20_000) {
            if pending.push(part) == Push::Wait {
                let spool = self.spool();
                wait(&spool, pending.room());
            }
        }
        let id = pending.id();
        let envelope = self.envelope();
        let wants = |r: &Recipient| r.notify.failure() && !envelope.from.is_null();
        let recipients =
            envelope.recipients.iter().map(|r| Fate { wants_failure_notice: wants(r), ..Fate::default() }).collect();
        let entry = Entry { content_seed: seed, size: whole.len(), ours: false, recipients, told: 0, failures: 0 };
        self.ledger.entries.insert(id, entry);
        let facts = Facts { journey: ledger::journey(seed), ..Facts::default() };
        let accepting = pending.accept(envelope, facts);
        self.note(format!("offer {id} of {}", whole.len()));
        self.offers.push((id, accepting));
        if self.below(3) > 0 {
            self.pump(3);
        }
    }

    /// A client sends a part of a message, or goes on with it, or is gone.
    fn arrive(&mut self) {
        if let Some((mut pending, seed, sent)) = self.arriving.pop() {
            match self.below(3) {
                0 => self.note("a client goes away in the middle"),
                1 => self.offer_rest(pending, seed, 400_000, sent),
                _ => {
                    let whole = ledger::content(seed, 400_000);
                    let upto = (sent + 150_000).min(whole.len());
                    let _ = pending.push(&whole[sent..upto]);
                    self.arriving.push((pending, seed, upto));
                }
            }
        } else if let Ok(pending) = self.spool().begin(&Source::default()) {
            self.arriving.push((pending, self.sim.chance.u64(), 0));
        }
    }

    /// A client does not wait for the answer. Nobody promised anything.
    fn go_away(&mut self) {
        if self.offers.is_empty() || self.below(2) == 0 {
            return;
        }
        let at = self.below(self.offers.len() as u64) as usize;
        let (id, accepting) = self.offers.swap_remove(at);
        self.note(format!("the client of {id} goes away before the answer"));
        drop(accepting);
    }

    fn pump(&mut self, rounds: u64) {
        for _ in 0..rounds {
            self.spool().pump();
        }
        self.answers();
    }

    /// Sessions look for their receipts.
    fn answers(&mut self) {
        let mut waiting = Vec::new();
        for (id, mut accepting) in std::mem::take(&mut self.offers) {
            match poll(&mut accepting) {
                Poll::Pending => waiting.push((id, accepting)),
                Poll::Ready(Ok(receipt)) => {
                    assert_eq!(receipt.id(), id);
                    if let Some(entry) = self.ledger.entries.get_mut(&id) {
                        entry.ours = true;
                    }
                    self.note(format!("receipt {id}"));
                }
                Poll::Ready(Err(error)) => self.note(format!("no receipt {id}: {error}")),
            }
        }
        self.offers = waiting;
    }

    fn a_hop(&self) -> Option<HopId> {
        let ready: Vec<HopId> = self.outside.ready.lock().unwrap().iter().copied().collect();
        (!ready.is_empty()).then(|| ready[self.below(ready.len() as u64) as usize])
    }

    fn take(&mut self, max: usize) -> Result<Vec<Work>, String> {
        let Some(hop) = self.a_hop() else { return Ok(Vec::new()) };
        let works = self.spool().take(hop, max);
        if works.len() < max {
            self.outside.ready.lock().unwrap().remove(&hop);
        }
        self.listen()?;
        for work in &works {
            for (index, _) in work.recipients() {
                let index = usize::from(index);
                let died = self.died_since.contains(&(work.id(), index));
                self.ledger.handed_out(work.id(), index, died)?;
            }
        }
        Ok(works)
    }

    fn deliver(&mut self) -> Result<(), String> {
        let max = 1 + self.below(6) as usize;
        let works = self.take(max)?;
        if let Some(hop) = works.first().map(Work::hop).filter(|_| self.below(12) == 0) {
            self.note("the hop fails");
            let reply = Reply::new(421, Enhanced::new(4, 4, 1), "no connection");
            self.spool().hop_failed(hop, works, &Attempt::default(), &reply);
            return Ok(());
        }
        for work in works {
            match self.below(20) {
                0 => self.note(format!("put back {}", work.id())),
                1 | 2 => self.hands.push(work),
                _ => self.settle(work, None)?,
            }
        }
        Ok(())
    }

    /// A slow deliverer comes to an end.
    fn hold_on(&mut self) -> Result<(), String> {
        match self.hands.pop() {
            Some(work) => self.settle(work, None),
            None => Ok(()),
        }
    }

    fn settle(&mut self, work: Work, only: Option<ledger::Outcome>) -> Result<(), String> {
        let id = work.id();
        let bytes = self.read(&work)?;
        if let Some(bytes) = &bytes {
            self.check_content(id, bytes)?;
        }
        if let Some(entry) = self.ledger.entries.get(&id).filter(|entry| entry.content_seed != 0)
            && (&work.journey().sites, work.journey().original_bytes)
                != (&ledger::journey(entry.content_seed).sites, entry.size as u64)
        {
            return Err(format!("{id} has come another way: {:?}", work.journey()));
        }
        let mut outcomes = Vec::new();
        for (index, _) in work.recipients() {
            let reply = |code: u16, class: u8| Reply::new(code, Enhanced::new(class, 1, 5), "so it is");
            outcomes.push((
                index,
                match (only, self.below(10)) {
                    (_, _) if bytes.is_none() => Outcome::Deferred { reply: reply(450, 4) },
                    (None, 0) => Outcome::Failed { reply: reply(550, 5) },
                    (None, 1 | 2) => Outcome::Deferred { reply: reply(450, 4) },
                    (None, 3) => continue,
                    (_, 4) => Outcome::Relayed { reply: reply(250, 2), dsn_offered: false },
                    _ => Outcome::Delivered { reply: reply(250, 2) },
                },
            ));
        }
        self.note(format!("settle {id}: {:?}", outcomes.iter().map(|(i, o)| (*i, o.reply().code)).collect::<Vec<_>>()));
        self.spool().settle(work, &Attempt::default(), &outcomes);
        self.listen()
    }

    /// The content, unless the machine is down.
    fn read(&self, work: &Work) -> Result<Option<Vec<u8>>, String> {
        let mut bytes = vec![0; work.body().len() as usize];
        let (mut done, step) = (0, 1 + self.below(200_000) as usize);
        while done < bytes.len() {
            let end = bytes.len().min(done + step);
            match work.body().read(done as u64, &mut bytes[done..end]) {
                Ok(0) => return Err(format!("{}: the body ends at {done}", work.id())),
                Ok(n) => done += n,
                Err(_) if self.sim.disk.crashed() || self.world.disk.aborted() => return Ok(None),
                Err(error) => return Err(format!("{} cannot be read: {error}", work.id())),
            }
        }
        Ok(Some(bytes))
    }

    fn check_content(&self, id: MessageId, bytes: &[u8]) -> Result<(), String> {
        match self.ledger.entries.get(&id) {
            Some(entry) if entry.content_seed == 0 => Ok(()),
            Some(entry) if ledger::content(entry.content_seed, entry.size) == bytes => Ok(()),
            Some(entry) => Err(format!("{id} is not what was accepted ({} of {} bytes)", bytes.len(), entry.size)),
            None => Err(format!("{id} was never accepted")),
        }
    }

    /// Hears what the spool said: outcomes of recipients, and new notices.
    fn listen(&mut self) -> Result<(), String> {
        let events = std::mem::take(&mut *self.outside.events.lock().unwrap());
        for (kind, id, recipients, context) in events {
            let outcome = match kind {
                EventKind::Deliver | EventKind::Send => ledger::Outcome::Delivered,
                EventKind::Fail => ledger::Outcome::Failed,
                EventKind::Drop => ledger::Outcome::Dropped,
                EventKind::Dsn => {
                    let fate = Fate::default();
                    let about: MessageId = context.rsplit(' ').next().unwrap().parse().map_err(|_| context.clone())?;
                    let entry =
                        Entry { content_seed: 0, size: 0, ours: false, recipients: vec![fate], told: 0, failures: 0 };
                    self.ledger.entries.insert(id, entry);
                    if context.starts_with("failed") {
                        let known = self.ledger.entries.get_mut(&about);
                        known.ok_or_else(|| format!("a notice about {about}, which nobody knows"))?.told += 1;
                    }
                    continue;
                }
                _ => continue,
            };
            let indexes: Vec<usize> = match self.ledger.entries.get(&id) {
                None => return Err(format!("{kind} for {id}, which was never accepted")),
                Some(entry) if recipients.is_empty() => {
                    (0..entry.recipients.len()).filter(|i| entry.recipients[*i].outcome.is_none()).collect()
                }
                Some(entry) if entry.content_seed == 0 => vec![0],
                Some(_) => recipients.iter().filter_map(|r| r[1..].split('@').next()?.parse().ok()).collect(),
            };
            for index in indexes {
                self.ledger.settled(id, index, outcome);
                self.died_since.remove(&(id, index));
            }
        }
        Ok(())
    }

    fn operate(&mut self) -> Result<(), String> {
        let spool = self.spool();
        let views = spool.messages(&Filter::default(), 50, None);
        if views.is_empty() {
            return Ok(());
        }
        let view = &views[self.below(views.len() as u64) as usize];
        let id = view.id;
        let verb = self.below(7);
        let said = match verb {
            0 => spool.retry(id, "sim"),
            1 => spool.suspend(id, "sim"),
            2 => spool.resume(id, "sim"),
            3 => spool.remove(id, if self.below(2) == 0 { Notice::Sender } else { Notice::Nobody }, "sim"),
            4 => spool.redirect(id, HopKey::Lmtp { target: "127.0.0.1:24".into() }, "sim"),
            5 => {
                spool.reroute();
                Ok(())
            }
            _ => spool.export(id, 1 << 20).map(|_| ()),
        };
        self.note(format!("verb {verb} on {id}: {said:?}"));
        let down = self.sim.disk.crashed() || self.world.disk.aborted();
        match said {
            Err(spool::VerbError::Unreadable) if !down => Err(format!("{id} cannot be exported")),
            _ => self.listen(),
        }
    }

    fn time_passes(&mut self) {
        let ms = match self.below(8) {
            0 => self.below(5 * 3_600_000),
            1..=3 => self.below(400_000),
            _ => self.below(1500),
        };
        self.sim.clock.advance_ms(ms);
        if self.below(5) == 0 {
            self.sim.clock.jump_wall_ms(self.below(200_000_000) as i64 - 100_000_000);
        }
        self.note(format!("{ms} ms pass"));
    }

    /// Time enough for settle records to be synced, without trouble.
    fn quiesce(&mut self) {
        for _ in 0..3 {
            self.sim.clock.advance_ms(1100);
            self.spool().tick();
            self.pump(6);
        }
        let well = !self.sim.disk.crashed() && !self.world.disk.aborted();
        if well && self.spool().totals().unwritten == 0 && self.listen().is_ok() {
            self.ledger.synced();
            self.note("all is synced");
        }
    }

    /// The disk fills, or has room again, or fails a sync some time.
    fn trouble(&mut self) {
        match self.below(4) {
            0 => self.sim.disk.change_faults(|faults| faults.sync_fails_after = Some(3)),
            1 | 2 if !self.full => {
                let used = (1 << 40) - self.world.disk.free_bytes(Path::new(DIR)).unwrap_or(1 << 39);
                let room = self.below(300_000);
                self.sim.disk.change_faults(|faults| faults.capacity = Some(used + room));
                self.full = true;
                self.note("the disk is nearly full");
            }
            _ => self.space(),
        }
    }

    fn space(&mut self) {
        self.sim.disk.change_faults(|faults| faults.capacity = None);
        self.full = false;
    }

    fn schedule_crash(&mut self) {
        let ops = 1 + self.below(40);
        self.sim.disk.change_faults(|faults| faults.crash_after_ops = Some(ops));
    }

    fn stop_cleanly(&mut self) -> Result<(), String> {
        self.hands.clear();
        self.arriving.clear();
        self.pump(4);
        self.offers.clear();
        self.pump(4);
        self.spool().tick();
        self.pump(4);
        self.spool().stop();
        self.listen()?;
        let well = !self.sim.disk.crashed() && !self.world.disk.aborted();
        if well && self.spool().totals().unwritten == 0 {
            self.ledger.synced();
        }
        self.note("a clean stop");
        let clean = well && self.spool().totals().unwritten == 0;
        let before = self.named.clone();
        self.restart(|sim| if well { sim.disk.restart_process() } else { sim.disk.reboot() })?;
        match self.named.iter().find(|id| clean && !before.contains(id)) {
            Some(id) => Err(format!("{id} is named a possible duplicate after a clean stop")),
            None => Ok(()),
        }
    }

    fn kill(&mut self) -> Result<(), String> {
        self.note("kill -9");
        self.restart(|sim| sim.disk.restart_process())
    }

    fn power_cut(&mut self) -> Result<(), String> {
        self.note("power cut");
        self.sim.disk.crash();
        self.restart(|sim| sim.disk.reboot())
    }

    /// The end of this process and the start of the next one.
    fn restart(&mut self, end: impl FnOnce(&SimHandle)) -> Result<(), String> {
        self.listen()?;
        self.restarts += 1;
        self.ledger.died();
        // The process is gone before anything it holds is dropped: nothing of that may reach the disk.
        self.sim.disk.crash();
        let unnoted = self.spool().totals().unnoted;
        let in_hand = self.hands.iter().map(Work::id).collect();
        self.spool = None;
        self.hands.clear();
        self.arriving.clear();
        self.offers.clear();
        self.outside.ready.lock().unwrap().clear();
        self.outside.events.lock().unwrap().clear();
        end(&self.sim);
        self.open()?;
        let unsettled = |entry: &Entry, i: usize| entry.recipients[i].outcome.is_some() && !entry.recipients[i].synced;
        for (id, entry) in &self.ledger.entries {
            self.died_since.extend((0..entry.recipients.len()).filter(|i| unsettled(entry, *i)).map(|i| (*id, i)));
        }
        let found = self.found()?;
        self.named = self.spool().possible_duplicates().iter().copied().collect();
        // What a full journal could not note has left all the same.
        if unnoted == 0 {
            self.ledger.check_named(&found, &self.named, &in_hand)?;
        }
        self.ledger.check_after_restart(&found)
    }

    /// Every message in the spool, its content checked, with which of its recipients are open.
    fn found(&self) -> Result<BTreeMap<MessageId, Vec<bool>>, String> {
        let spool = self.spool();
        let mut found = BTreeMap::new();
        for view in spool.messages(&Filter::default(), usize::MAX, None) {
            let exported = spool.export(view.id, 1 << 30).map_err(|error| format!("{}: {error}", view.id))?;
            let content = &exported[exported.len() - view.size_bytes as usize..];
            self.check_content(view.id, content)?;
            let open = view.recipients.iter().map(|r| r.state != RecipientState::Settled).collect();
            if found.insert(view.id, open).is_some() {
                return Err(format!("{} is there twice", view.id));
            }
        }
        Ok(found)
    }

    /// No more trouble: everything must get through.
    pub fn drain(&mut self) -> Result<(), String> {
        self.sim.disk.set_faults(Default::default());
        self.full = false;
        self.hands.clear();
        self.arriving.clear();
        for round in 0..400 {
            self.pump(4);
            self.spool().tick();
            let spool = self.spool();
            for view in spool.messages(&Filter::default(), usize::MAX, None) {
                if view.held.is_some() {
                    let _ = spool.resume(view.id, "sim");
                }
                if view.recipients.iter().any(|r| r.state == RecipientState::Unreachable) {
                    let _ = spool.redirect(view.id, HopKey::Lmtp { target: "127.0.0.1:24".into() }, "sim");
                }
            }
            loop {
                let works = self.take(10)?;
                if works.is_empty() && self.a_hop().is_none() {
                    break;
                }
                for work in works {
                    self.settle(work, Some(ledger::Outcome::Delivered))?;
                }
            }
            let totals = self.spool().totals();
            if self.offers.is_empty() && totals.messages == 0 && totals.unwritten == 0 {
                self.quiesce();
                return self.end();
            }
            self.sim.clock.advance_ms(if round < 5 { 1000 } else { 120_000 });
        }
        let left: Vec<String> = self
            .spool()
            .messages(&Filter::default(), 5, None)
            .iter()
            .map(|view| format!("{} {:?}", view.id, view.recipients))
            .collect();
        Err(format!("the spool does not get empty: {left:?}; offers {}", self.offers.len()))
    }

    fn end(&mut self) -> Result<(), String> {
        self.ledger.check_at_end()?;
        // Nothing may come back, and nothing may be left that nobody released.
        self.power_cut()?;
        match self.found()?.len() {
            0 => Ok(()),
            _ => Err(format!("came back after the end: {:?}", self.found()?)),
        }
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Pumps until the future is ready, or nothing moves any more.
fn wait(spool: &Spool, future: impl Future<Output = ()>) {
    let mut future = std::pin::pin!(future);
    for _ in 0..20 {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        spool.pump();
    }
}
