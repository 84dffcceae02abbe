//! Owns how the book is made again from the records of the journal, in whatever order they are seen.
//! Always holds: a message without its mark is no message; one with a tombstone is finished; one whose body has a hole is damage.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use journal::{Extent, Position};
use mail::MessageId;

use super::message::{DELAY_TOLD, Extra, POISON, SUSPENDED, UnderWay};
use super::{Book, Effects, Finished, Message};
use crate::hop::HopKey;
use crate::journey;
use crate::packed;
use crate::record::{Accept, CHUNK_HEAD, State, Unknown};
use crate::settings::Taken;

/// What a rebuild found that is not needed any more, and what it knows besides the book.
#[derive(Default)]
pub struct Leftovers {
    /// Records to be released.
    pub dead: Vec<Extent>,
    /// Copies of the accept records of finished messages: their tombstones must outlive them.
    pub buried: Vec<(MessageId, Position)>,
    /// Older copies of the accept records of messages that are not finished.
    pub copies: Vec<(MessageId, Position)>,
    /// Messages that may have been delivered already, oldest first.
    pub under_way: Vec<MessageId>,
}

/// Gives one key per recipient of a message, or one for all.
pub type RouteOf<'a> = dyn FnMut(&Message) -> Result<Vec<HopKey>, Unknown> + 'a;

/// Where a record was found, and what it says of its age.
#[derive(Clone, Copy)]
pub struct Found {
    /// Where.
    pub extent: Extent,
    /// Under which epoch it was written.
    pub epoch: u32,
}

/// A book that is being made.
pub struct Rebuild {
    book: Book,
    leftovers: Leftovers,
    /// By place: what is not kept in the message itself.
    notes: Vec<Note>,
    /// The latest state of each message that has one, by place.
    states: HashMap<u32, (State, Extent)>,
    /// Older copies of accept records that were seen.
    copies: Vec<(MessageId, Position)>,
    /// A message whose mark is in there is another node's.
    taken: Option<Taken>,
}

#[derive(Clone, Copy, Default)]
struct Note {
    chunks: u32,
    accepted: bool,
    done: bool,
}

impl Rebuild {
    /// Starts with an empty book.
    pub fn new(book: Book, taken: Option<Taken>) -> Rebuild {
        Rebuild {
            book,
            leftovers: Leftovers::default(),
            notes: Vec::new(),
            states: HashMap::new(),
            copies: Vec::new(),
            taken,
        }
    }

    /// A chunk was seen.
    pub fn chunk(&mut self, id: MessageId, ordinal: u32, extent: Extent) -> Result<(), Unknown> {
        if ordinal > CHUNKS_MAX {
            return Err(Unknown("chunk number out of range"));
        }
        let at = self.place(id);
        let older = self.book.messages[at].chunk(ordinal);
        self.book.messages[at].set_chunk(ordinal, extent);
        if older.len > 0 {
            self.leftovers.dead.push(older);
        }
        Ok(())
    }

    /// A mark was seen.
    pub fn accept(&mut self, accept: &Accept<'_>, found: Found) -> Result<(), Unknown> {
        let extent = found.extent;
        let recipients =
            packed::recipients_len(accept.envelope).map_err(|_| Unknown("envelope in an accept record"))?;
        journey::unpack(accept.journey, 0, 0).ok_or(Unknown("journey in an accept record"))?;
        let at = self.place_of(accept.id, found);
        let note = &mut self.notes[at as usize];
        if note.accepted {
            // Cleaning wrote it again: the later copy counts, the earlier one is dead but may be seen again.
            let older = self.book.messages[at].accept();
            self.leftovers.dead.push(older);
            self.copies.push((accept.id, older.position));
            self.book.messages[at].set_accept(extent);
            return Ok(());
        }
        (note.accepted, note.chunks) = (true, accept.chunks);
        let before = std::mem::replace(
            &mut self.book.messages[at],
            Message::new(accept.id, accept.journey, accept.envelope, recipients),
        );
        let message = &mut self.book.messages[at];
        for (ordinal, chunk) in before.chunks().enumerate() {
            message.set_chunk(ordinal as u32, chunk);
        }
        message.set_accept(extent);
        message.size_bytes = accept.size_bytes;
        message.priority = accept.priority;
        if accept.at_once {
            message.under_way = UnderWay::Yes;
        }
        Ok(())
    }

    /// A state was seen. Cleaning may have moved the mark behind it.
    pub fn state(&mut self, id: MessageId, state: State, found: Found) {
        let extent = found.extent;
        let at = self.place_of(id, found);
        match self.states.entry(at) {
            Entry::Occupied(known) if known.get().0.seq >= state.seq => self.leftovers.dead.push(extent),
            Entry::Occupied(mut known) => self.leftovers.dead.push(known.insert((state, extent)).1),
            Entry::Vacant(first) => {
                first.insert((state, extent));
            }
        }
    }

    /// A tombstone was seen.
    pub fn done(&mut self, id: MessageId) {
        if let Some(at) = self.book.find(id) {
            self.notes[at as usize].done = true;
        } else {
            // The mark may still come: cleaning writes marks again.
            let at = self.place(id);
            self.notes[at as usize].done = true;
        }
    }

    /// All records were seen. `route` gives one key per recipient of a message.
    pub fn finish(
        mut self,
        route: &mut RouteOf<'_>,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Result<(Book, Leftovers), (Position, &'static str)> {
        let mut live = self.bury()?;
        live.sort_unstable();
        for (_, at) in live {
            let message = &mut self.book.messages[at];
            message.open = message.recipients - message.settled().len() as u16;
            let accept_position = message.accept().position;
            let redirect = message.extra.as_ref().and_then(|extra| extra.redirect.clone());
            let hops = match redirect {
                Some(key) => vec![key],
                None => route(message).map_err(|Unknown(what)| (accept_position, what))?,
            };
            let (flags, size) = (message.flags, message.size_bytes);
            if message.under_way == UnderWay::Yes {
                message.repeat = true;
                self.leftovers.under_way.push(message.id);
                self.book.totals.under_way += 1;
            }
            self.book.totals.messages += 1;
            self.book.totals.bytes += size;
            self.book.count_held(0, flags);
            self.book.enter_ages(at);
            self.book.assign(at, &hops, now_ms, effects);
        }
        self.book.unnoticed = self.book.ages.head();
        Ok((self.book, self.leftovers))
    }

    /// Removes what is no message; gives the messages.
    fn bury(&mut self) -> Result<Vec<(MessageId, u32)>, (Position, &'static str)> {
        let mut live = Vec::new();
        for at in 0..self.notes.len() as u32 {
            let note = self.notes[at as usize];
            let state = self.states.remove(&at);
            let state_extent = state.as_ref().map(|(_, extent)| *extent);
            let message = &mut self.book.messages[at];
            if let Some((state, extent)) = state {
                apply(message, state, extent);
            }
            let settled = (0..message.recipients).all(|i| message.leg_of(i).is_none());
            if note.accepted && !note.done && !settled {
                let lens = || message.chunks().map(|chunk| chunk.len as usize).filter(|len| *len > 0);
                let chunks = lens().count();
                let content: u64 = lens().map(|len| len.saturating_sub(CHUNK_HEAD) as u64).sum();
                if chunks != note.chunks as usize || content != message.size_bytes {
                    return Err((message.accept().position, "its body is not whole"));
                }
                live.push((message.id, at));
                continue;
            }
            if note.accepted {
                self.leftovers.buried.push((message.id, message.accept().position));
                self.leftovers.dead.push(message.accept());
            }
            self.leftovers.dead.extend(message.chunks().filter(|chunk| chunk.len > 0));
            self.leftovers.dead.extend(state_extent);
            let id = message.id;
            self.book.by_id.remove(id, at);
            self.book.messages.remove(at);
        }
        for (id, position) in std::mem::take(&mut self.copies) {
            match self.book.find(id) {
                Some(_) => self.leftovers.copies.push((id, position)),
                None => self.leftovers.buried.push((id, position)),
            }
        }
        Ok(live)
    }

    /// The place of a message that has its mark, or what came after it, at `extent`. If the taker has that, it is finished here.
    fn place_of(&mut self, id: MessageId, found: Found) -> u32 {
        let at = self.place(id);
        let theirs = |taken: Taken| taken.has(found.extent.position, found.epoch);
        self.notes[at as usize].done |= self.taken.is_some_and(theirs);
        at
    }

    /// The place of a message, made if it was not seen before.
    fn place(&mut self, id: MessageId) -> u32 {
        if let Some(at) = self.book.find(id) {
            return at;
        }
        let at = self.book.messages.insert(Message::new(id, &[], &[], 0));
        self.book.by_id.insert(id, at);
        self.notes.push(Note::default());
        at
    }
}

/// Brings a message to its latest state.
fn apply(message: &mut Message, state: State, extent: Extent) {
    let extra = message.extra_mut();
    extra.state = Some(extent);
    extra.state_seq = state.seq;
    extra.crashes = state.crashes;
    extra.redirect = state.redirect;
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    message.flags = flag(state.suspended, SUSPENDED) | flag(state.poison, POISON) | flag(state.delay_told, DELAY_TOLD);
    message.under_way = if state.under_way { UnderWay::Yes } else { UnderWay::No };
    for index in state.settled {
        message.set_settled(index);
    }
}

impl Finished {
    /// Just these records.
    pub fn of(extents: Vec<Extent>) -> Finished {
        let extra = Extra { more: extents, ..Extra::default() };
        Finished { extra: Some(Box::new(extra)), ..Finished::default() }
    }

    /// Records to be released once the tombstone is durable.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let extra = self.extra.as_deref();
        let more = extra.into_iter().flat_map(|extra| extra.more.iter().copied().chain(extra.state));
        [self.accept, self.body].into_iter().chain(more).filter(|extent| extent.len > 0)
    }
}

/// Chunks of one message; far more than the largest message that a connector can allow.
const CHUNKS_MAX: u32 = 1 << 20;
