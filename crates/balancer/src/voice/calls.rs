//! The calls that have a record: by number, by what the caller's INVITE says, by time. Owns their bounds.

use std::collections::{BTreeSet, HashMap};

use super::branch::key;
use super::call::Call;
use super::desk::{Desk, Hop};
use super::host::Hosts;
use crate::sip::{Message, scatter};

/// Records at most; a record is kept for 32 seconds after its call was set up or refused.
pub const CALLS_MAX: usize = 32_768;

/// Bytes of messages in records at most.
pub const HELD_BYTES_MAX: usize = 64 << 20;

/// All calls with a record.
#[derive(Debug)]
pub struct Calls<P> {
    calls: HashMap<u64, Entry<P>>,
    by_key: HashMap<Box<[u8]>, u64>,
    timers: BTreeSet<(u64, u64)>,
    held_bytes: usize,
    /// From chance, so that numbers of another life of this node, or of another node, are not ours.
    seed: u64,
    made: u64,
}

#[derive(Debug)]
struct Entry<P> {
    call: Call<P>,
    key: Box<[u8]>,
    due_ms: u64,
    bytes: usize,
}

impl<P> Calls<P> {
    /// None yet.
    pub fn new(seed: u64) -> Calls<P> {
        Calls { calls: HashMap::new(), by_key: HashMap::new(), timers: BTreeSet::new(), held_bytes: 0, seed, made: 0 }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Bytes of their messages.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether no other one can be taken.
    pub fn is_full(&self) -> bool {
        self.calls.len() >= CALLS_MAX || self.held_bytes >= HELD_BYTES_MAX
    }

    /// When the first of them wants to be looked at.
    pub fn due_ms(&self) -> Option<u64> {
        self.timers.first().map(|(due_ms, _)| *due_ms)
    }

    /// The record that `request` belongs to: its INVITE again, its ACK, its CANCEL.
    pub fn find(&self, request: &Message) -> Option<u64> {
        self.by_key.get(&key(request)?).copied()
    }

    /// Whether there is such a record.
    pub fn has(&self, id: u64) -> bool {
        self.calls.contains_key(&id)
    }

    /// Begins a call.
    pub fn begin<H: Hosts<Place = P>>(
        &mut self,
        now_ms: u64,
        request: &Message,
        bytes: &[u8],
        source: Hop,
        desk: &mut Desk<H>,
    ) {
        let Some(key) = key(request) else { return };
        let id = loop {
            self.made += 1;
            let id = scatter(self.seed.wrapping_add(self.made));
            if !self.calls.contains_key(&id) {
                break id;
            }
        };
        let Some(call) = Call::begin(id, now_ms, request, bytes, source, desk) else { return };
        self.by_key.insert(key.clone(), id);
        let (due_ms, bytes) = (call.due_ms(), call.bytes() + key.len());
        self.held_bytes += bytes;
        self.timers.insert((due_ms, id));
        self.calls.insert(id, Entry { call, key, due_ms, bytes });
    }

    /// Does something with a call and keeps its time and size.
    pub fn with(&mut self, id: u64, act: impl FnOnce(&mut Call<P>)) {
        let Some(entry) = self.calls.get_mut(&id) else { return };
        act(&mut entry.call);
        self.timers.remove(&(entry.due_ms, id));
        entry.due_ms = entry.call.due_ms();
        self.timers.insert((entry.due_ms, id));
        self.held_bytes -= entry.bytes;
        entry.bytes = entry.call.bytes() + entry.key.len();
        self.held_bytes += entry.bytes;
    }

    /// Looks at those whose time has come.
    pub fn tick<H: Hosts<Place = P>>(&mut self, now_ms: u64, desk: &mut Desk<H>) {
        while let Some((due_ms, id)) = self.timers.first().copied() {
            if due_ms > now_ms {
                return;
            }
            let mut lives = false;
            self.with(id, |call| lives = call.tick(now_ms, desk));
            if !lives {
                self.end(id);
            }
        }
    }

    fn end(&mut self, id: u64) {
        let Some(entry) = self.calls.remove(&id) else { return };
        self.by_key.remove(&entry.key);
        self.timers.remove(&(entry.due_ms, id));
        self.held_bytes -= entry.bytes;
    }
}
