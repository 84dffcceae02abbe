//! Owns what an owner knows of one copy, and what waits to be sent to it. Knows no other copy and no commits.
//! Always holds: what waits and what is under way are together at most the window, and one frame of catching up.

use std::collections::VecDeque;
use std::sync::Arc;

use super::frame::{Frame, Message};
use super::group::{Group, Outgoing};
use super::owner::{Effect, Input, Log, Next, Owner, Stage};
use crate::position::Position;

/// Called when a link has something to send or to do. Must be quick, and must not call the journal.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// One copy-holder.
pub(super) struct Copy {
    acked: Position,
    link: Option<Linked>,
    /// Of the last link, once there is none.
    error: Option<String>,
}

struct Linked {
    id: u64,
    side: Owner,
    queue: VecDeque<Outgoing>,
    queued_bytes: u64,
    wake: Wake,
}

impl Copy {
    pub(super) fn new() -> Copy {
        Copy { acked: Position(0), link: None, error: None }
    }

    /// Everything before is synced there.
    pub(super) fn acked(&self) -> Position {
        self.acked
    }

    pub(super) fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// Whether it gets what is written as it is written.
    pub(super) fn is_live(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.side.stage() == Stage::Live)
    }

    pub(super) fn link(&mut self, id: u64, side: Owner, wake: Wake) {
        self.link = Some(Linked { id, side, queue: VecDeque::new(), queued_bytes: 0, wake });
    }

    /// The link `id` is gone, or any with `None`.
    pub(super) fn unlink(&mut self, id: Option<u64>) {
        if let Some(link) = self.link.take_if(|link| id.is_none_or(|id| link.id == id)) {
            self.error = link.side.error().map(String::from).or(Some("no link".into()));
        }
    }

    /// Whether `id` is the link.
    pub(super) fn is(&self, id: u64) -> bool {
        self.link.as_ref().is_some_and(|link| link.id == id)
    }

    pub(super) fn side(&self) -> Option<&Owner> {
        self.link.as_ref().map(|link| &link.side)
    }

    pub(super) fn error(&self) -> Option<&str> {
        match &self.link {
            Some(link) => link.side.error(),
            None => self.error.as_deref(),
        }
    }

    /// Bytes of records that wait in memory.
    pub(super) fn queued_bytes(&self) -> u64 {
        self.link.as_ref().map_or(0, |link| link.queued_bytes)
    }

    pub(super) fn wake(&self) {
        if let Some(link) = &self.link {
            (link.wake)();
        }
    }

    /// Sends what was just written; or, when that is too much, goes on from the segments.
    pub(super) fn written(
        &mut self,
        now_ms: u64,
        log: Log<'_>,
        position: Position,
        group: Option<&Arc<Group>>,
        urgent: bool,
    ) {
        let Some(link) = &mut self.link else { return };
        let bytes = group.map_or(0, |g| g.bytes());
        let waiting = link.queued_bytes;
        match group {
            Some(group) if link.side.has_room(waiting, bytes) => {
                group.frames(link.side.session(), position, urgent).into_iter().for_each(|frame| link.push(frame));
            }
            _ => {
                let first = link.queue.iter().find(|frame| frame.records > 0).map_or(position, |frame| frame.position);
                self.step(now_ms, log, Input::Overrun(first));
            }
        }
    }

    /// Queues a word.
    pub(super) fn say(&mut self, message: Message) {
        if let Some(link) = &mut self.link {
            link.say(message);
        }
    }

    /// Queues records read from a segment, unless the session has changed since they were asked for.
    pub(super) fn send_records(&mut self, position: Position, bytes: Vec<u8>) {
        if let Some(link) = &mut self.link {
            link.push(Outgoing::records(link.side.session(), position, bytes));
        }
    }

    /// Lets the side act; returns the effects that are not this copy's own.
    pub(super) fn step(&mut self, now_ms: u64, log: Log<'_>, input: Input) -> Vec<Effect> {
        let Some(link) = &mut self.link else { return Vec::new() };
        let mut others = Vec::new();
        for effect in link.side.step(now_ms, log, input) {
            match effect {
                Effect::Send(message) => link.say(message),
                Effect::Clear => link.clear(),
                other => others.push(other),
            }
        }
        self.acked = link.side.acked().unwrap_or(self.acked);
        others
    }

    /// What to do next to catch up; words are queued already.
    pub(super) fn next(&mut self, log: Log<'_>) -> Next {
        let Some(link) = &mut self.link else { return Next::Nothing };
        let next = link.side.next(log, link.queued_bytes);
        if let Next::Send(message) | Next::Live(message) = &next {
            link.say(message.clone());
        }
        self.acked = link.side.acked().unwrap_or(self.acked);
        next
    }

    /// The next frame to send.
    pub(super) fn output(&mut self) -> Option<Outgoing> {
        let link = self.link.as_mut()?;
        let frame = link.queue.pop_front()?;
        link.queued_bytes -= frame.records;
        if frame.position > Position(0) {
            link.side.under_way(Position(frame.position.0 + frame.records), frame.records);
        }
        Some(frame)
    }
}

impl Linked {
    fn say(&mut self, message: Message) {
        let session = self.side.session();
        self.queue.push_back(Outgoing::frame(&Frame { session, message }));
    }

    fn push(&mut self, frame: Outgoing) {
        self.queued_bytes += frame.records;
        self.queue.push_back(frame);
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
    }
}
