//! The members that were tried for one connection.

use super::Member;

/// A small set of members, without allocation.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    ids: [u32; Tried::MAX],
    count: usize,
}

impl Tried {
    /// As many as one connection may try: the first one and the most `retries` that a document may ask for, with room.
    pub const MAX: usize = 16;

    /// Nobody yet.
    pub fn new() -> Tried {
        Tried::default()
    }

    /// Adds a member. Beyond [`Tried::MAX`] the first ones are forgotten.
    pub fn add(&mut self, member: &Member) {
        self.ids[self.count % Tried::MAX] = member.id;
        self.count += 1;
    }

    /// The member was tried.
    pub fn has(&self, member: &Member) -> bool {
        self.ids[..self.count.min(Tried::MAX)].contains(&member.id)
    }

    /// Members tried so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Nobody was tried.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
