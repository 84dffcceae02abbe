//! Recipients that are settled before their message is in custody: what the categorizer says of them.
//! Always holds: the sender hears of them exactly if the message is ours, for the notification is written in the same batch as its mark.

use mail::{Recipient, Reply};

/// A recipient that is not in the envelope, because there is nothing left to do for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// As the sender named it, or the member that a group led to.
    pub recipient: Recipient,
    /// What became of it.
    pub outcome: Settled,
}

/// What became of a recipient before custody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was a group, and its members are in the envelope (RFC 3461 5.2.7.3). Told where NOTIFY asks for success.
    Expanded,
    /// It is refused, while others of the message are not.
    Failed(Reply),
}

/// Recipients of one message that can be settled so: a notification of them, a chunk and an envelope fit into one batch.
pub const EARLY_MAX: usize = 128;
