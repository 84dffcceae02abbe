//! Owns the owner's end of a link to one copy-holder, as bytes in and bytes out, and the handle that gives such ends out.
//! Knows no sockets: whoever has one drives it. Always holds: [`Link::receive`] and [`Link::output`] never touch the disk;
//! [`Link::pump`] does, without a lock.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use world::Open;

use super::copy::{Copy, Wake};
use super::frame::{Decoder, Malformed};
use super::group::Outgoing;
use super::hub::{Hub, State};
use super::owner::{Effect, Input, Job, Log, Next, Stage};
use super::runs;
use crate::ends::SegmentEnd;
use crate::files::segment_path;
use crate::position::{Position, SegmentNo};

/// The copies of a journal, seen by its owner. Clones are the same.
#[derive(Clone)]
pub struct Copies {
    hub: Arc<Hub>,
}

/// How a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyState {
    /// Who holds it.
    pub holder: String,
    /// How far its link is.
    pub stage: CopyStage,
    /// Whether commits wait for it.
    pub in_level_set: bool,
    /// It is in the level set, and has synced everything that was in the log when it came in. Whatever was receipted before that stood
    /// in the log then, and whatever was receipted since waited for it: so there is no receipt for anything that it lacks, and only now
    /// the world may be told that it may take over. It stays true while the holder is away.
    pub counts: bool,
    /// Everything before is synced there.
    pub acked: Position,
    /// Bytes of the log that it lacks or has not acknowledged.
    pub lag_bytes: u64,
    /// For how long it has lacked something.
    pub lag_ms: u64,
    /// Bytes that wait in memory to be sent.
    pub queued_bytes: u64,
    /// The last thing that went wrong, until it is level again.
    pub error: Option<String>,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStage {
    /// There is no link.
    Away,
    /// The holder has not answered yet.
    Joining,
    /// It is sent what it lacks.
    CatchingUp,
    /// It gets everything as it is written, and has not yet said that it has the rest.
    Live,
    /// It has everything but what is under way, and may take over. Only such a copy may join the level set.
    Level,
    /// Something went wrong (see the error); it begins anew by itself.
    Resting,
    /// The holder will not have us. The link is of no use.
    Refused,
}

impl Copies {
    pub(crate) fn new(hub: Arc<Hub>) -> Copies {
        Copies { hub }
    }

    /// A link to `holder` for the copy of `journal` (`<node>/<journal>`); a former link to it is dead from then on.
    /// `wake` is called whenever there is something to send or to do.
    pub fn attach(&self, journal: &str, holder: &str, wake: Wake) -> Link {
        let (id, session) = (self.hub.world.chance.u64(), self.hub.world.chance.u64());
        let side = self.hub.side(journal);
        self.hub.change(|state| {
            state.copies.entry(holder.into()).or_insert_with(Copy::new).link(id, side, wake);
            self.hub.step(state, holder, Input::Start { session });
        });
        Link { hub: self.hub.clone(), holder: holder.into(), id, decoder: Mutex::new(Decoder::default()) }
    }

    /// Forgets a holder. What it has acknowledged counts no more.
    pub fn detach(&self, holder: &str) {
        self.hub.change(|state| state.copies.remove(holder));
    }

    /// Names the copies that a durable commit waits for: all of `holders`, and no others. `counted` of them count as protection; that is
    /// the number in a receipt ([`crate::Committed::copies`]) and [`Copies::protected_by`]. Set it before the journal takes mail.
    ///
    /// Whoever decides elsewhere who may take over (etcd) must never name a holder that is not in this set. So a holder comes in here
    /// first and does not count yet, is named there once [`CopyState::counts`], and counts when that is known to be done; it is struck
    /// out there first, and then goes from here.
    ///
    /// A holder's name stands for one disk: who has a new one has acknowledged nothing, so it needs another name, or
    /// [`Copies::detach`] before its next link.
    pub fn set_level(&self, holders: &[&str], counted: usize) {
        self.hub.set_level(holders.iter().map(|h| h.to_string()).collect(), counted);
    }

    /// The copies that a durable commit waits for.
    pub fn level(&self) -> BTreeSet<String> {
        self.hub.lock().level.keys().cloned().collect()
    }

    /// How many copies count as protection; a durable commit has at least so many besides the one here. Cheap.
    pub fn protected_by(&self) -> usize {
        self.hub.protected_by()
    }

    /// The higher epoch that a holder has seen. From then on every append answers `Stopped`.
    pub fn deposed_by(&self) -> Option<u32> {
        self.hub.deposed_by()
    }

    /// Says that somebody owns the journal under this higher epoch, known from elsewhere. The same as when a holder says so; a lower
    /// epoch changes nothing.
    pub fn depose(&self, epoch: u32) {
        if self.hub.change(|state| self.hub.depose(state, epoch)) {
            self.hub.let_go();
        }
    }

    /// Commits that are synced here and wait for copies.
    pub fn waiting(&self) -> usize {
        self.hub.waiting()
    }

    /// Where the log ends.
    pub fn tail(&self) -> Position {
        self.hub.lock().tail
    }

    /// How each copy is.
    pub fn states(&self) -> Vec<CopyState> {
        let now_ms = self.hub.world.clock.mono_ms();
        let state = self.hub.lock();
        state.copies.iter().map(|(holder, copy)| self.state(&state, holder, copy, now_ms)).collect()
    }

    fn state(&self, state: &State, holder: &str, copy: &Copy, now_ms: u64) -> CopyState {
        let stage = copy.side().map_or(CopyStage::Away, |side| match side.stage() {
            Stage::Joining => CopyStage::Joining,
            Stage::CatchingUp => CopyStage::CatchingUp,
            Stage::Live if side.is_level() => CopyStage::Level,
            Stage::Live => CopyStage::Live,
            Stage::Resting { .. } => CopyStage::Resting,
            Stage::Refused => CopyStage::Refused,
        });
        let (acked, since) = (copy.acked(), state.level.get(holder));
        let format = self.hub.format();
        let (segment, offset) = (format.segment_of(acked), format.offset(acked));
        let lacks =
            |(no, end): (&SegmentNo, &SegmentEnd)| end.at.saturating_sub(if *no == segment { offset } else { 0 });
        CopyState {
            holder: holder.into(),
            stage,
            in_level_set: since.is_some(),
            counts: since.is_some_and(|since| acked >= *since),
            acked,
            lag_bytes: if acked >= state.tail { 0 } else { state.ends.range(segment..).map(lacks).sum() },
            lag_ms: state.lag.of(acked, state.tail, now_ms),
            queued_bytes: copy.queued_bytes(),
            error: copy.error().map(String::from),
        }
    }
}

/// The owner's end of a link. The driver gives it what arrives, sends what it gives out, lets it work, and drops it when the
/// connection ends. All methods may be called from several threads.
pub struct Link {
    hub: Arc<Hub>,
    holder: String,
    id: u64,
    decoder: Mutex<Decoder>,
}

impl Link {
    /// Takes bytes from the holder. On an error the connection has to be closed.
    pub fn receive(&self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        decoder.push(bytes);
        let mut deposed = false;
        while let Some(frame) = decoder.next_frame()? {
            deposed |= self.with(|hub, state| {
                let effects = hub.step(state, &self.holder, Input::Frame(frame));
                effects.iter().any(|effect| matches!(effect, Effect::Deposed(_)))
            });
        }
        if deposed {
            self.hub.let_go();
        }
        Ok(())
    }

    /// The next frame to send, if there is one.
    pub fn output(&self) -> Option<Outgoing> {
        let mut state = self.hub.lock();
        state.copies.get_mut(&self.holder).filter(|copy| copy.is(self.id))?.output()
    }

    /// Does one piece of work, with the disk if need be: for a thread that may block. `false` when there was none to do; then there is
    /// some again after the next [`Link::receive`], [`Link::output`] or wake.
    pub fn pump(&self) -> bool {
        let (job, session) = loop {
            let (next, session) = self.with(|_, state| {
                let log = Log { ends: &state.ends, tail: state.tail, epoch: state.epoch };
                let copy = state.copies.get_mut(&self.holder).filter(|copy| copy.is(self.id));
                copy.map_or((Next::Nothing, 0), |copy| (copy.next(log), copy.side().map_or(0, |s| s.session())))
            });
            match next {
                Next::Nothing => return false,
                Next::Send(_) => {}
                Next::Live(_) => return true,
                Next::Job(job) => break (job, session),
            }
        };
        let (input, records) = self.work(job);
        self.with(|hub, state| {
            let Some(copy) = state.copies.get_mut(&self.holder).filter(|copy| copy.is(self.id)) else { return };
            // A new session has begun meanwhile: it asks for what it needs itself.
            if copy.side().is_none_or(|side| side.session() != session) {
                return;
            }
            if let Some((position, bytes)) = records {
                copy.send_records(position, bytes);
            }
            hub.step(state, &self.holder, input);
        });
        true
    }

    /// Whether the holder has to catch up: then [`Link::pump`] works with the disk. Otherwise it has nothing to do.
    pub fn is_behind(&self) -> bool {
        let state = self.hub.lock();
        let copy = state.copies.get(&self.holder).filter(|copy| copy.is(self.id));
        copy.and_then(Copy::side).is_some_and(|side| side.stage() == Stage::CatchingUp)
    }

    fn work(&self, job: Job) -> (Input, Option<(Position, Vec<u8>)>) {
        let format = &self.hub.format();
        let (Job::Check { segment, .. } | Job::Read { segment, .. }) = job;
        let path = segment_path(&self.hub.dir, format, segment);
        let file = match self.hub.world.disk.open(&path, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Input::Gone(segment), None),
            Err(_) => return (Input::Unreadable(segment), None),
        };
        match job {
            Job::Check { end, .. } => {
                let there = runs::end_before(file.as_ref(), format, segment, end.at);
                (Input::Checked(there.is_ok_and(|there| there == end)), None)
            }
            Job::Read { from, until, .. } => match runs::read(file.as_ref(), format, segment, from, until) {
                Ok((bytes, true)) => {
                    let position = Position(format.start(segment).0 + from);
                    (Input::Queued(bytes.len() as u64), Some((position, bytes)))
                }
                _ => (Input::Unreadable(segment), None),
            },
        }
    }

    /// Lets time pass: beats, silence, new attempts.
    pub fn tick(&self) {
        let session = self.hub.world.chance.u64();
        self.with(|hub, state| hub.step(state, &self.holder, Input::Tick { session }));
    }

    /// When [`Link::tick`] is due, in milliseconds of the world's monotonic clock. `None`: never; the link is of no use any more.
    pub fn next_due_ms(&self) -> Option<u64> {
        let state = self.hub.lock();
        let side = state.copies.get(&self.holder).filter(|copy| copy.is(self.id))?.side()?;
        (side.stage() != Stage::Refused).then(|| side.due_ms())
    }

    fn with<T: Default>(&self, act: impl FnOnce(&Hub, &mut State) -> T) -> T {
        self.hub.change(|state| {
            let mine = state.copies.get(&self.holder).is_some_and(|copy| copy.is(self.id));
            if mine { act(&self.hub, state) } else { T::default() }
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hub.change(|state| {
            if let Some(copy) = state.copies.get_mut(&self.holder) {
                copy.unlink(Some(self.id));
            }
        });
    }
}

#[cfg(test)]
mod tests;
