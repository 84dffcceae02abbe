//! The members that were tried for one connection.

use super::Member;

/// A small set of members, without allocation.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    ids: [u32; Tried::MAX],
    count: usize,
    /// Whom the connection has left: it is not asked, and was no try.
    left: Option<u32>,
}

impl Tried {
    /// As many as one connection may try: the first one and the most `retries` that a document may ask for, with room.
    pub const MAX: usize = 16;

    /// Nobody yet.
    pub fn new() -> Tried {
        Tried::default()
    }

    /// Nobody yet; this member, which the connection leaves, is not to be asked.
    pub fn without(member: &Member) -> Tried {
        Tried { left: Some(member.id), ..Tried::default() }
    }

    /// Adds a member. Beyond [`Tried::MAX`] the first ones are forgotten.
    pub fn add(&mut self, member: &Member) {
        self.ids[self.count % Tried::MAX] = member.id;
        self.count += 1;
    }

    /// The member was tried, or left.
    pub fn has(&self, member: &Member) -> bool {
        self.left == Some(member.id) || self.ids[..self.count.min(Tried::MAX)].contains(&member.id)
    }

    /// Members tried so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Members that failed the connection, the one that it has left included.
    pub fn failures(&self) -> usize {
        self.count + usize::from(self.left.is_some())
    }

    /// Nobody was tried.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
