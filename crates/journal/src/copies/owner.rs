//! Owns the owner's side of one link: what is sent next, how much may be under way, and what the holder's words mean.
//! Knows no files, no sockets and no other link. Always holds: a position counts as acknowledged only when this session has found or
//! made everything before it equal and synced there; never more than the window is under way.

use std::collections::VecDeque;

use super::frame::{Frame, Hello, LIST_MAX, Message, Refusal, Trouble};
use super::store::to_runs;
use crate::ends::{Ends, SegmentEnd};
use crate::position::{Position, SegmentNo};
use crate::record::Format;

/// The owner's log as it stands now.
#[derive(Clone, Copy)]
pub(crate) struct Log<'a> {
    pub(crate) ends: &'a Ends,
    pub(crate) tail: Position,
    /// The epoch of now.
    pub(crate) epoch: u32,
}

/// The owner's side of one link.
pub(crate) struct Owner {
    journal: String,
    /// For places only; the epoch is the log's.
    format: Format,
    session: u64,
    stage: Stage,
    /// What the holder had when it joined.
    held: Ends,
    /// Where to go on sending from the segments.
    cursor: (SegmentNo, Option<u64>),
    /// A job is being done.
    busy: bool,
    /// Everything in this session before is equal and synced at the holder; `None` before anything is known.
    acked: Option<Position>,
    sent: Position,
    flight: Flight,
    window: u64,
    level: bool,
    heard_ms: u64,
    beat_ms: u64,
    error: Option<String>,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Said Hello, waits for the answer.
    Joining,
    /// Sends from the segments.
    CatchingUp,
    /// Sends what is written as it is written.
    Live,
    /// Something went wrong: begins anew then.
    Resting { until_ms: u64 },
    /// The holder will not have us.
    Refused,
}

/// Something to do on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Does the segment have this end there?
    Check { segment: SegmentNo, end: SegmentEnd },
    /// Whole records from an offset on.
    Read { segment: SegmentNo, from: u64, until: u64 },
}

/// What happens to an owner's side.
pub(crate) enum Input {
    /// The link is there, or the epoch is a higher one now.
    Start { session: u64 },
    /// The holder said something.
    Frame(Frame),
    /// Time has passed.
    Tick { session: u64 },
    /// The answer to [`Job::Check`].
    Checked(bool),
    /// The answer to [`Job::Read`]: so many bytes wait to be sent.
    Queued(u64),
    /// There is no such segment any more.
    Gone(SegmentNo),
    /// What stands there is not what was written.
    Unreadable(SegmentNo),
    /// What is written cannot be sent as fast as it comes: go on from the segments, here.
    Overrun(Position),
}

/// What an owner's side does, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Say this.
    Send(Message),
    /// Forget what waits to be sent: it belongs to an old session.
    Clear,
    /// Somebody owns the journal under this higher epoch.
    Deposed(u32),
    /// A part of one of our segments came.
    Piece { segment: SegmentNo, offset: u64, end: SegmentEnd, bytes: Vec<u8> },
}

/// What is to be done next to catch up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Next {
    #[default]
    Nothing,
    /// Do it, and answer with an [`Input`].
    Job(Job),
    /// Say this first.
    Send(Message),
    /// Nothing is missing: say this, and from now on send what is written.
    Live(Message),
}

impl Owner {
    /// A side that has not said anything yet.
    pub(crate) fn new(journal: &str, format: Format, window: u64) -> Owner {
        Owner {
            journal: journal.into(),
            format,
            session: 0,
            stage: Stage::Resting { until_ms: 0 },
            held: Ends::new(),
            cursor: (SegmentNo(0), None),
            busy: false,
            acked: None,
            sent: Position(0),
            flight: Flight::default(),
            window,
            level: false,
            heard_ms: 0,
            beat_ms: 0,
            error: None,
        }
    }

    pub(crate) fn session(&self) -> u64 {
        self.session
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the holder has everything but what is under way, and says that it may take over.
    pub(crate) fn is_level(&self) -> bool {
        self.level && self.stage == Stage::Live
    }

    /// Whether so many more bytes may be sent or wait to be sent.
    pub(crate) fn has_room(&self, waiting: u64, more: u64) -> bool {
        self.flight.bytes + waiting + more <= self.window
    }

    /// The last thing that went wrong.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// When [`Input::Tick`] is due.
    pub(crate) fn due_ms(&self) -> u64 {
        match self.stage {
            Stage::Resting { until_ms } => until_ms,
            Stage::Refused => u64::MAX,
            _ => (self.beat_ms + BEAT_MS).min(self.heard_ms + SILENT_MS),
        }
    }

    /// What to do about `input`.
    pub(crate) fn step(&mut self, now_ms: u64, log: Log<'_>, input: Input) -> Vec<Effect> {
        match input {
            Input::Start { session } => self.hello(now_ms, log, session),
            Input::Frame(frame) if frame.session == self.session => self.frame(now_ms, log, frame.message),
            Input::Frame(_) => Vec::new(),
            Input::Tick { session } => self.tick(now_ms, log, session),
            Input::Checked(same) => {
                self.busy = false;
                let offset = self.held.get(&self.cursor.0).filter(|_| same).map_or(0, |end| end.at);
                if self.cursor.1.is_none() {
                    self.cursor.1 = Some(offset);
                }
                Vec::new()
            }
            Input::Queued(bytes) => {
                self.busy = false;
                self.cursor.1 = Some(self.cursor.1.unwrap_or(0) + bytes);
                Vec::new()
            }
            Input::Gone(segment) => {
                self.busy = false;
                self.cursor = (SegmentNo(segment.0 + 1), None);
                Vec::new()
            }
            Input::Unreadable(segment) => {
                self.busy = false;
                // Released and used again meanwhile: go on behind it.
                if !log.ends.contains_key(&segment) {
                    return Vec::new();
                }
                self.rest(now_ms, format!("segment {segment} of the owner is damaged"));
                vec![Effect::Clear]
            }
            Input::Overrun(position) => {
                self.stage = Stage::CatchingUp;
                self.cursor = (self.format.segment_of(position), Some(self.format.offset(position)));
                vec![Effect::Clear]
            }
        }
    }

    /// Notes records that were given to the link.
    pub(crate) fn under_way(&mut self, end: Position, bytes: u64) {
        self.sent = self.sent.max(end);
        self.flight.add(end, bytes);
    }

    fn hello(&mut self, now_ms: u64, log: Log<'_>, session: u64) -> Vec<Effect> {
        self.session = session;
        self.stage = Stage::Joining;
        self.held.clear();
        self.cursor = (SegmentNo(0), None);
        self.busy = false;
        self.acked = None;
        self.sent = Position(0);
        self.flight = Flight::default();
        self.level = false;
        (self.heard_ms, self.beat_ms) = (now_ms, now_ms);
        let hello = Hello {
            journal: self.journal.clone(),
            segment_bytes: self.format.segment_bytes,
            salt: self.format.salt,
            epoch: log.epoch,
            first: log.ends.keys().next().copied().unwrap_or_default(),
            tail: log.tail,
        };
        vec![Effect::Clear, Effect::Send(Message::Hello(hello))]
    }

    fn tick(&mut self, now_ms: u64, log: Log<'_>, session: u64) -> Vec<Effect> {
        match self.stage {
            Stage::Refused => Vec::new(),
            Stage::Resting { until_ms } if now_ms >= until_ms => self.hello(now_ms, log, session),
            Stage::Resting { .. } => Vec::new(),
            _ if now_ms >= self.heard_ms + SILENT_MS => {
                self.rest(now_ms, "the holder is silent".into());
                vec![Effect::Clear]
            }
            Stage::CatchingUp | Stage::Live if now_ms >= self.beat_ms + BEAT_MS => {
                self.beat_ms = now_ms;
                vec![Effect::Send(Message::Beat { tail: log.tail })]
            }
            _ => Vec::new(),
        }
    }

    fn frame(&mut self, now_ms: u64, log: Log<'_>, message: Message) -> Vec<Effect> {
        self.heard_ms = now_ms;
        match (message, self.stage) {
            (_, Stage::Resting { .. } | Stage::Refused) => Vec::new(),
            (Message::Welcome { session, more, held, .. }, Stage::Joining) => {
                // What we do not have is of no interest, and so a holder cannot fill our memory.
                self.held.extend(held.into_iter().filter(|(no, _)| log.ends.contains_key(no)));
                if !more {
                    self.session = session;
                    self.stage = Stage::CatchingUp;
                }
                Vec::new()
            }
            (Message::Ack { position, level }, Stage::CatchingUp | Stage::Live) => {
                if position > self.sent {
                    self.rest(now_ms, "the holder acknowledged what was not sent".into());
                    return vec![Effect::Clear];
                }
                if self.stage == Stage::Live && level {
                    self.level = true;
                    self.error = None;
                }
                self.flight.landed(position);
                self.acked = self.acked.map(|acked| acked.max(position));
                Vec::new()
            }
            (Message::Refuse { why: Refusal::Epoch, epoch }, _) if epoch > log.epoch => {
                self.refused(format!("the holder has seen epoch {epoch}, ours is {}", log.epoch));
                vec![Effect::Clear, Effect::Deposed(epoch)]
            }
            (Message::Refuse { why, epoch }, _) => {
                self.refused(match why {
                    Refusal::Epoch => {
                        format!("the holder owns the journal too, under epoch {epoch}, ours is {}", log.epoch)
                    }
                    Refusal::OtherJournal => "the holder has a copy of another journal under this name".into(),
                });
                vec![Effect::Clear]
            }
            (Message::Trouble { kind, text }, _) => {
                self.rest(now_ms, format!("the holder says: {text}"));
                if kind == Trouble::Again {
                    self.stage = Stage::Resting { until_ms: now_ms };
                }
                vec![Effect::Clear]
            }
            (Message::Piece { segment, offset, end, bytes }, _) => {
                vec![Effect::Piece { segment, offset, end, bytes }]
            }
            _ => {
                self.rest(now_ms, "a holder does not say that now".into());
                vec![Effect::Clear]
            }
        }
    }

    /// What to do next to catch up, while so many bytes wait to be sent.
    pub(crate) fn next(&mut self, log: Log<'_>, waiting: u64) -> Next {
        if self.stage != Stage::CatchingUp || self.busy {
            return Next::Nothing;
        }
        loop {
            let Some((&no, end)) = log.ends.range(self.cursor.0..).next() else {
                return self.reached(log);
            };
            if no != self.cursor.0 {
                self.cursor = (no, None);
            }
            let offset = match (self.cursor.1, self.held.get(&no)) {
                (Some(offset), _) => offset,
                (None, Some(held)) if held == end => end.at,
                (None, Some(held)) if held.at > 0 && held.at <= end.at => {
                    self.busy = true;
                    return Next::Job(Job::Check { segment: no, end: *held });
                }
                (None, Some(_)) => 0,
                (None, None) => {
                    self.held.insert(no, SegmentEnd::default());
                    self.begin();
                    let position = self.format.start(no);
                    self.sent = self.sent.max(position);
                    return Next::Send(Message::Append { position, urgent: false, bytes: Vec::new() });
                }
            };
            self.cursor.1 = Some(offset);
            if offset < end.at {
                if !self.has_room(waiting, 1) {
                    return Next::Nothing;
                }
                self.begin();
                self.busy = true;
                return Next::Job(Job::Read { segment: no, from: offset, until: end.at });
            }
            match log.ends.range(SegmentNo(no.0 + 1)..).next() {
                Some((next, _)) => self.cursor = (*next, None),
                None => return self.reached(log),
            }
        }
    }

    /// Everything before the cursor is equal and synced: the Welcome said so, and nothing was sent yet.
    fn begin(&mut self) {
        if self.acked.is_none() {
            let (segment, offset) = self.cursor;
            self.acked = Some(Position(self.format.start(segment).0 + offset.unwrap_or(0)));
        }
    }

    fn reached(&mut self, log: Log<'_>) -> Next {
        self.acked.get_or_insert(log.tail);
        self.sent = self.sent.max(log.tail);
        let runs = to_runs(log.ends.keys().copied());
        if runs.len() > LIST_MAX {
            self.refused("the journal has too many segments apart from each other".into());
            return Next::Nothing;
        }
        self.stage = Stage::Live;
        Next::Live(Message::Level { tail: log.tail, runs })
    }

    /// What the session knows to be acknowledged.
    pub(crate) fn acked(&self) -> Option<Position> {
        self.acked
    }

    fn rest(&mut self, now_ms: u64, error: String) {
        self.stage = Stage::Resting { until_ms: now_ms + REST_MS };
        self.level = false;
        self.busy = false;
        self.error = Some(error);
    }

    fn refused(&mut self, error: String) {
        self.stage = Stage::Refused;
        self.level = false;
        self.error = Some(error);
    }
}

/// Records under way: where they end, and how many bytes.
#[derive(Default)]
struct Flight {
    sent: VecDeque<(Position, u64)>,
    bytes: u64,
}

impl Flight {
    fn add(&mut self, end: Position, bytes: u64) {
        self.bytes += bytes;
        match self.sent.back_mut() {
            // Small ones share an entry, so that their number has a bound too.
            Some(last) if last.1 + bytes <= FLIGHT_STEP_BYTES => *last = (end, last.1 + bytes),
            _ => self.sent.push_back((end, bytes)),
        }
    }

    fn landed(&mut self, position: Position) {
        while let Some((end, bytes)) = self.sent.front().copied()
            && end <= position
        {
            self.bytes -= bytes;
            self.sent.pop_front();
        }
    }
}

/// How often a holder is asked for an acknowledgement and shown that we are there.
pub(crate) const BEAT_MS: u64 = 1000;
/// A holder that says nothing for so long is gone; the link begins anew.
pub(crate) const SILENT_MS: u64 = 5000;
/// How long a link rests after trouble.
pub(crate) const REST_MS: u64 = 2000;
const FLIGHT_STEP_BYTES: u64 = 16 << 10;
