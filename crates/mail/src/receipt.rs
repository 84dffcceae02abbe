//! Custody as a value: the 250 after end of data is built from a [`Receipt`] and from nothing else.

use crate::id::MessageId;

/// Proof that a message is in our custody: it was synced here, and on as many peers as the connector's protection rule asked for.
/// Only a custodian (the spool, later the mailbox store) issues one, after the sync; `tests/tidy.rs` holds that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    id: MessageId,
    copies: u8,
    synced_at_ms: u64,
}

/// What must have a message before its receipt, besides the sync here: a connector's protection rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Synced copies on other machines; 0 to 2.
    pub copies: u8,
    /// What happens when there are not so many.
    pub when_short: WhenShort,
}

/// What happens to a message that cannot have the copies that its connector asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenShort {
    /// It is refused for now, and nothing is kept: 451 4.4.0.
    #[default]
    Refuse,
    /// It is taken without them, counted, and marked in the trace.
    Accept,
}

impl Protection {
    /// Whether so many copies are enough to go on.
    pub fn allows(self, copies: usize) -> bool {
        self.when_short == WhenShort::Accept || copies >= usize::from(self.copies)
    }
}

impl Receipt {
    /// Called by a custodian after the sync of the accept record has come back: `copies` are the synced copies on other machines.
    pub fn issue_after_sync(id: MessageId, copies: u8, synced_at_ms: u64) -> Receipt {
        Receipt { id, copies, synced_at_ms }
    }

    /// The message that is in custody.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Synced copies on other machines at the instant of custody.
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// The instant of custody, Unix milliseconds.
    pub fn synced_at_ms(&self) -> u64 {
        self.synced_at_ms
    }
}
