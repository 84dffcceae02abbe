//! Owns the holder's side of one link: what it does about each frame, and what it answers. Knows no files and no sockets.
//! Always holds: nothing of another session is looked at; nothing is acknowledged before the sync behind it; after trouble nothing
//! is taken until the owner begins anew.

use super::frame::{Frame, Hello, LIST_MAX, Message, Refusal, Trouble};
use super::store::StoreError;
use crate::ends::SegmentEnd;
use crate::position::{Position, SegmentNo};

/// The holder's side of one link.
#[derive(Debug)]
pub(crate) struct Holder {
    journal: String,
    session: Option<u64>,
    epoch: u32,
    /// Everything that this session brought ends here.
    brought: Position,
    unsynced_bytes: u64,
    unsynced: bool,
    /// The owner waits for an acknowledgement.
    owed: bool,
}

/// What happens to a holder.
pub(crate) enum Input {
    /// The owner said something.
    Frame(Frame),
    /// Nothing else of what the owner said is waiting.
    Drained,
    /// The owner that said this Hello is listened to, under a session number that was never used.
    Joined { hello: u64, session: u64, epoch: u32, held: Vec<(SegmentNo, SegmentEnd)> },
    /// It is not.
    Refused { hello: u64, why: Refusal, epoch: u32 },
    /// Records were written; they end here.
    Wrote { end: Position, bytes: u64, urgent: bool },
    /// Everything is synced.
    Synced { level: bool },
    /// The copy has the owner's shape.
    Levelled { tail: Position },
    /// Records were read.
    Read { segment: SegmentNo, offset: u64, end: SegmentEnd, bytes: Vec<u8> },
    /// It did not work.
    Failed(StoreError),
    /// Another link has brought a newer session, of this epoch; or the copy is frozen.
    Replaced { epoch: u32 },
}

/// What a holder does, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Answer.
    Send(Frame),
    /// Listen to this owner; then [`Input::Joined`].
    Join(u64, Hello),
    /// Write records; then [`Input::Wrote`].
    Write { position: Position, urgent: bool, bytes: Vec<u8> },
    /// Sync; then [`Input::Synced`].
    Sync,
    /// Remove segments.
    Release(Vec<SegmentNo>),
    /// Take the owner's shape; then [`Input::Levelled`].
    Level(Position, Vec<(SegmentNo, u32)>),
    /// Note how far all is durable.
    Mark,
    /// Read records; then [`Input::Read`].
    Read(SegmentNo, u64),
}

impl Holder {
    /// The side of a link for the copy of `journal`.
    pub(crate) fn new(journal: &str) -> Holder {
        Holder {
            journal: journal.into(),
            session: None,
            epoch: 0,
            brought: Position(0),
            unsynced_bytes: 0,
            unsynced: false,
            owed: false,
        }
    }

    /// What to do about `input`.
    pub(crate) fn step(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Frame(frame) => self.frame(frame),
            Input::Drained if self.owed && self.unsynced => vec![Effect::Sync],
            Input::Drained => Vec::new(),
            Input::Joined { hello, session, epoch, held } => self.joined(hello, session, epoch, held),
            Input::Refused { hello, why, epoch } => self.refuse(hello, why, epoch),
            Input::Wrote { end, bytes, urgent } => {
                self.brought = self.brought.max(end);
                self.unsynced = true;
                self.unsynced_bytes += bytes;
                // Nobody waits, but the owner's window has to open some time.
                self.owed |= urgent || self.unsynced_bytes >= ACK_BYTES;
                Vec::new()
            }
            Input::Synced { level } => {
                (self.unsynced, self.unsynced_bytes, self.owed) = (false, 0, false);
                self.say(Message::Ack { position: self.brought, level })
            }
            Input::Levelled { tail } => {
                (self.unsynced, self.unsynced_bytes, self.owed) = (false, 0, false);
                self.brought = self.brought.max(tail);
                self.say(Message::Ack { position: self.brought, level: true })
            }
            Input::Read { segment, offset, end, bytes } => self.say(Message::Piece { segment, offset, end, bytes }),
            Input::Failed(error) => self.failed(error),
            Input::Replaced { epoch } => match self.session.take() {
                Some(session) if epoch > self.epoch => self.refuse(session, Refusal::Epoch, epoch),
                Some(session) => {
                    let text = "this link is over: a newer one has begun, or the copy is closed".into();
                    vec![Effect::Send(Frame { session, message: Message::Trouble { kind: Trouble::Replaced, text } })]
                }
                None => Vec::new(),
            },
        }
    }

    fn frame(&mut self, Frame { session, message }: Frame) -> Vec<Effect> {
        match message {
            Message::Hello(hello) if hello.journal == self.journal => vec![Effect::Join(session, hello)],
            Message::Hello(_) => self.refuse(session, Refusal::OtherJournal, 0),
            _ if self.session != Some(session) => Vec::new(),
            Message::Append { position, urgent, bytes } => vec![Effect::Write { position, urgent, bytes }],
            Message::Released(segments) => vec![Effect::Release(segments)],
            Message::Level { tail, runs } => vec![Effect::Level(tail, runs)],
            // The answer to a beat is an acknowledgement, whether there is something new or not.
            Message::Beat { .. } => vec![Effect::Sync, Effect::Mark],
            Message::Fetch { segment, offset } => vec![Effect::Read(segment, offset)],
            Message::Piece { .. }
            | Message::Welcome { .. }
            | Message::Ack { .. }
            | Message::Refuse { .. }
            | Message::Trouble { .. } => self.failed(StoreError::Misfit("an owner does not say that")),
        }
    }

    fn joined(&mut self, hello: u64, session: u64, epoch: u32, held: Vec<(SegmentNo, SegmentEnd)>) -> Vec<Effect> {
        (self.session, self.epoch) = (Some(session), epoch);
        self.brought = Position(0);
        (self.unsynced, self.unsynced_bytes, self.owed) = (false, 0, false);
        let mut pages: Vec<_> = held.chunks(LIST_MAX).map(<[_]>::to_vec).collect();
        let last = pages.pop().unwrap_or_default();
        let page = |more, held| {
            Effect::Send(Frame { session: hello, message: Message::Welcome { session, epoch, more, held } })
        };
        let mut said: Vec<Effect> = pages.into_iter().map(|held| page(true, held)).collect();
        said.push(page(false, last));
        said
    }

    /// This link is nobody's now.
    fn refuse(&mut self, session: u64, why: Refusal, epoch: u32) -> Vec<Effect> {
        self.session = None;
        vec![Effect::Send(Frame { session, message: Message::Refuse { why, epoch } })]
    }

    fn failed(&mut self, error: StoreError) -> Vec<Effect> {
        let kind = match error {
            StoreError::Full => Some(Trouble::Full),
            StoreError::Again => Some(Trouble::Again),
            StoreError::Misfit(_) => Some(Trouble::Misfit),
            StoreError::Io(_) => Some(Trouble::Disk),
            // The process is ending; a promise to come back would be a lie.
            StoreError::Dead => None,
        };
        let said = kind.map_or_else(Vec::new, |kind| self.trouble(kind, &error.to_string()));
        self.session = None;
        said
    }

    fn trouble(&self, kind: Trouble, text: &str) -> Vec<Effect> {
        self.say(Message::Trouble { kind, text: text.chars().take(100).collect() })
    }

    fn say(&self, message: Message) -> Vec<Effect> {
        self.session.map(|session| Effect::Send(Frame { session, message })).into_iter().collect()
    }
}

/// So many bytes are acknowledged at the latest, whether somebody waits or not.
const ACK_BYTES: u64 = 2 << 20;
