//! Owns one queued message in memory, and its legs: the part of it that goes to one hop.
//! Always holds: small. A million of them are what a dead next hop costs; see the test of their size.

use std::sync::Arc;

use journal::{Extent, Position, SegmentNo};
use mail::{Envelope, Journey, MessageId};

use crate::hop::HopKey;
use crate::journey;
use crate::list::{Linked, Links};
use crate::packed;
use crate::words::Priority;

/// A message in custody.
pub struct Message {
    pub id: MessageId,
    pub size_bytes: u64,
    accept_position: Position,
    body_position: Position,
    accept_len: u32,
    body_len: u32,
    /// The packed journey, the packed envelope, then one mark (two bytes) per recipient.
    packed: Box<[u8]>,
    /// Body and envelope while they are still in memory.
    pub hot: Option<Box<Hot>>,
    /// What only few messages have.
    pub extra: Option<Box<Extra>>,
    age: Links,
    pub first_leg: u32,
    pub recipients: u16,
    /// Recipients not yet settled.
    pub open: u16,
    pub priority: Priority,
    pub flags: u8,
    journey_len: u16,
    pub under_way: UnderWay,
    /// It was under way when the spool was opened: its next delivery may be the second one.
    pub repeat: bool,
}

/// What is kept of a message that came a moment ago.
pub struct Hot {
    pub body: Arc<Vec<u8>>,
    pub envelope: Arc<Envelope>,
    /// Which entry of the queue of evictions is meant.
    pub turn: u64,
}

/// What only few messages have.
#[derive(Default)]
pub struct Extra {
    /// Chunks behind the first one.
    pub more: Vec<Extent>,
    /// The state record, if there is one.
    pub state: Option<Extent>,
    /// Its number.
    pub state_seq: u32,
    /// Segments in which an older copy of the accept record may still be seen.
    pub copies: Vec<SegmentNo>,
    /// Where an operator redirected it.
    pub redirect: Option<HopKey>,
    /// Ends of the process with it in hand.
    pub crashes: u8,
}

/// The part of a message that goes to one hop.
pub struct Leg {
    pub message: u32,
    pub hop: u32,
    links: Links,
    /// The next leg of the message.
    pub sibling: u32,
    /// Not tried before, in the book's milliseconds.
    pub due_ms: u64,
    /// What its last attempt heard. Boxed twice: few legs have one, and all pay for the pointer.
    pub answer: Option<Box<Box<str>>>,
    pub ordinal: u16,
    /// Recipients of it not yet settled.
    pub open: u16,
    pub attempts: u16,
    pub state: LegState,
}

/// Whether the journal says that a message may be with a next hop. What it says so of is a possible duplicate at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// It does not: nobody may get it.
    No,
    /// The record is on its way, and not durable.
    Asked,
    /// Durably.
    Yes,
}

/// Which list a leg is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    Ready,
    Deferred,
    Held,
    /// In none: somebody works on it.
    InHand,
}

/// An operator suspended it.
pub const SUSPENDED: u8 = 1;
/// It is set aside.
pub const POISON: u8 = 2;
/// The delay notice was sent, or will never be.
pub const DELAY_TOLD: u8 = 4;
/// Its delay notice was due while it was in hand.
pub const LATE_NOTICE: u8 = 8;
/// It expired while it was in hand or held.
pub const LATE_EXPIRY: u8 = 16;
/// It is not in the list of ages any more.
pub const OUT_OF_AGES: u8 = 32;

const SETTLED: u16 = 1 << 15;

impl Message {
    /// A message without legs and chunks. The packed journey and envelope must have been checked: `recipients` are in it.
    pub fn new(id: MessageId, journey: &[u8], envelope: &[u8], recipients: u16) -> Message {
        let len = journey.len() + envelope.len() + 2 * usize::from(recipients);
        let mut packed = Vec::with_capacity(len);
        packed.extend_from_slice(journey);
        packed.extend_from_slice(envelope);
        packed.resize(len, 0);
        Message {
            id,
            size_bytes: 0,
            accept_position: Position::default(),
            body_position: Position::default(),
            accept_len: 0,
            body_len: 0,
            packed: packed.into_boxed_slice(),
            hot: None,
            extra: None,
            age: Links::default(),
            first_leg: crate::slab::NONE,
            recipients,
            open: recipients,
            priority: Priority::Normal,
            flags: 0,
            journey_len: journey.len() as u16,
            under_way: UnderWay::No,
            repeat: false,
        }
    }

    /// When it came. Ids are made from the time.
    pub fn accepted_ms(&self) -> u64 {
        self.id.unix_ms()
    }

    /// It was elsewhere in the organization before, or counts as internal.
    pub fn has_journey(&self) -> bool {
        self.journey_len > 0
    }

    /// When the organization took it first.
    pub fn first_ms(&self) -> u64 {
        journey::first_ms(self.packed_journey()).unwrap_or_else(|| self.accepted_ms())
    }

    /// Where it was before it came here.
    pub fn journey(&self) -> Journey {
        journey::unpack(self.packed_journey(), self.accepted_ms(), self.size_bytes).unwrap_or_default()
    }

    fn packed_journey(&self) -> &[u8] {
        &self.packed[..usize::from(self.journey_len)]
    }

    /// Its packed envelope.
    pub fn envelope(&self) -> &[u8] {
        &self.packed[usize::from(self.journey_len)..self.marks()]
    }

    /// Where the marks of its recipients begin.
    fn marks(&self) -> usize {
        self.packed.len() - 2 * usize::from(self.recipients)
    }

    /// Which leg a recipient belongs to; `None` once it is settled.
    pub fn leg_of(&self, index: u16) -> Option<u16> {
        let at = self.mark_at(index)?;
        let mark = u16::from_le_bytes([self.packed[at], self.packed[at + 1]]);
        (mark & SETTLED == 0).then_some(mark)
    }

    /// Puts a recipient into a leg.
    pub fn set_leg(&mut self, index: u16, ordinal: u16) {
        self.mark(index, ordinal & !SETTLED);
    }

    /// Settles a recipient.
    pub fn set_settled(&mut self, index: u16) {
        self.mark(index, SETTLED);
    }

    /// Recipients that are settled.
    pub fn settled(&self) -> Vec<u16> {
        (0..self.recipients).filter(|i| self.leg_of(*i).is_none()).collect()
    }

    fn mark(&mut self, index: u16, mark: u16) {
        if let Some(at) = self.mark_at(index) {
            self.packed[at..at + 2].copy_from_slice(&mark.to_le_bytes());
        }
    }

    fn mark_at(&self, index: u16) -> Option<usize> {
        (index < self.recipients).then(|| self.marks() + 2 * usize::from(index))
    }

    /// The accept record.
    pub fn accept(&self) -> Extent {
        Extent { position: self.accept_position, len: self.accept_len }
    }

    pub fn set_accept(&mut self, extent: Extent) {
        (self.accept_position, self.accept_len) = (extent.position, extent.len);
    }

    /// All chunks in order.
    pub fn chunks(&self) -> impl Iterator<Item = Extent> + '_ {
        let first = Extent { position: self.body_position, len: self.body_len };
        let more = self.extra.iter().flat_map(|extra| extra.more.iter().copied());
        std::iter::once(first).filter(|e| e.len > 0).chain(more)
    }

    /// Puts a chunk in its place; places before it may still be unknown (an empty extent).
    pub fn set_chunk(&mut self, ordinal: u32, extent: Extent) {
        if ordinal == 0 {
            (self.body_position, self.body_len) = (extent.position, extent.len);
            return;
        }
        let more = &mut self.extra_mut().more;
        let at = ordinal as usize - 1;
        if more.len() <= at {
            more.resize(at + 1, Extent::default());
        }
        more[at] = extent;
    }

    /// The chunk at a place, empty if unknown.
    pub fn chunk(&self, ordinal: u32) -> Extent {
        match ordinal.checked_sub(1) {
            None => Extent { position: self.body_position, len: self.body_len },
            Some(at) => self.extra.as_ref().and_then(|e| e.more.get(at as usize)).copied().unwrap_or_default(),
        }
    }

    pub fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub fn crashes(&self) -> u8 {
        self.extra.as_ref().map_or(0, |extra| extra.crashes)
    }

    pub fn is_held(&self) -> bool {
        self.flags & (SUSPENDED | POISON) != 0
    }

    /// The sender is nobody.
    pub fn is_from_null(&self) -> bool {
        packed::sender(self.envelope()).is_empty()
    }
}

impl Leg {
    pub fn new(message: u32, hop: u32, ordinal: u16, sibling: u32) -> Leg {
        Leg {
            message,
            hop,
            links: Links::default(),
            sibling,
            due_ms: 0,
            answer: None,
            ordinal,
            open: 0,
            attempts: 0,
            state: LegState::InHand,
        }
    }
}

impl Linked for Message {
    fn links(&mut self) -> &mut Links {
        &mut self.age
    }
    fn next(&self) -> u32 {
        self.age.next()
    }
}

impl Linked for Leg {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
    fn next(&self) -> u32 {
        self.links.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_of_them_fit() {
        // Beside these: about 70 bytes of packed envelope and 16 in the index.
        assert!(size_of::<Message>() <= 104, "{}", size_of::<Message>());
        assert!(size_of::<Leg>() <= 48, "{}", size_of::<Leg>());
    }
}
