//! Who owns a journal: the protocol as a machine without I/O, one [`Seat`] per node and journal.
//!
//! Owns claim, level set, take-over, hand-over and the end of a journal. Knows no etcd calls, no journal, no clock: it gets
//! [`Input`]s and answers with [`Effect`]s. Always holds (checked for all orders of events in `tests/ownership_model`):
//!
//! 1. An epoch has one owner, and a process owns only what a transaction of its own has given it.
//! 2. While a node owns, [`Effect::Guard`] demands every member that etcd may count as level; or nobody, and nothing is protected then,
//!    while etcd knows that the owner goes on alone and the owner's lease lasts.
//! 3. Whoever takes over has closed its copy to the old owner before it asks.
//! 4. So each disk of owner and level set that is not lost has everything that was ever protected.

mod event;
mod owner;
mod seat;
mod taking;

pub use event::Event;
pub use seat::{Seat, Timing};

use crate::etcd::Revision;
use crate::record::{Member, Record, Taken};

/// What of a journal is on this node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    /// The journal's identity.
    pub id: u64,
    /// The highest epoch that it has heard of; persisted.
    pub epoch: u32,
    /// Whether this node has written it as its owner under that epoch; otherwise it is a copy.
    pub owner: bool,
}

/// What etcd says of a journal at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The revision.
    pub at: Revision,
    /// The record and the revision of its last change.
    pub record: Option<(Revision, Record)>,
    /// Lease of the owner's sign of life, if there is one.
    pub holder: Option<i64>,
}

/// A transaction to be tried. Its comparisons are the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Only if the record was changed last at this revision; 0: only if there is none.
    pub record_at: Revision,
    /// And only if there is no sign of life of an owner.
    pub holder_gone: bool,
    /// Then this is the record; `None` deletes it.
    pub record: Option<Record>,
    /// And this becomes of the sign of life.
    pub holder: HolderChange,
}

/// What becomes of the owner's sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HolderChange {
    /// Nothing.
    Leave,
    /// It is ours, under this lease.
    Under(i64),
    /// It is deleted.
    Drop,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Done, at this revision.
    Done(Revision),
    /// The comparisons did not hold; this is what is there.
    Refused(Snapshot),
    /// Not done, and it will not be.
    NotDone,
    /// Nobody knows. It may have been done, or be done later.
    Open,
}

/// A revision, and the record of a journal then.
pub type Said = (Revision, Option<Record>);

impl Answer {
    /// What it says of the journal; `asked`: the record by the transaction.
    pub fn said(&self, asked: Option<Record>) -> Option<Said> {
        match self {
            Answer::Done(at) => Some((*at, asked)),
            Answer::Refused(seen) => Some((seen.at, seen.record.as_ref().map(|(_, record)| record.clone()))),
            Answer::NotDone | Answer::Open => None,
        }
    }
}

/// What a seat gets to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Time has passed ([`Seat::wake_ms`]).
    Tick,
    /// What etcd says now. `live`: nodes that are there, for the order of candidates.
    Seen {
        /// What is there.
        snapshot: Snapshot,
        /// Level members before us that are alive: how long we let them go first.
        rank: u32,
        /// etcd was restored from an older state: what was seen before no longer counts.
        anew: bool,
    },
    /// Our lease; `None` when it may be gone.
    Lease(Option<i64>),
    /// What became of the transaction that was tried last.
    Answer(Answer),
    /// [`Effect::Freeze`] is done: this process acknowledges nothing more to the old owner.
    Frozen {
        /// The number that came with it.
        turn: u32,
        /// Where the copy ends, synced, and the highest epoch of which it has everything before that.
        end: Taken,
        /// The wall clock, for people.
        wall_ms: u64,
    },
    /// There is no copy to freeze: it is damaged, or gone.
    NoCopy,
    /// Which copies are level now, the preferred taker first. Only the owner's is heard.
    Level(Vec<Member>),
    /// Whether the owner may go on without any copy: its rules say so. Only the owner's is heard.
    MayGoAlone(bool),
    /// [`Effect::Guard`] with this generation is in force: each receipt waits for all of its members, and each of them has
    /// acknowledged everything that was receipted before.
    Guarded(u64),
    /// Hand the journal over. From this moment on nothing is written to it until [`Effect::Kept`].
    HandOver {
        /// To whom; must be level.
        to: String,
        /// Where our log ends. A position.
        at: u64,
    },
    /// Take the hand-over back.
    Keep,
    /// Everything in it is settled; it shall be no more.
    Drained,
    /// What was taken from us is dropped here, durably: the record is not needed for us any more.
    Dropped,
}

/// What a seat wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Try this, and answer with [`Input::Answer`].
    Try(Transaction),
    /// You own it: write only under this epoch, persisted before the first record. It may come again with a higher epoch.
    Own {
        /// The epoch.
        epoch: u32,
        /// Whether etcd has said so. If not (it was not there at start), nothing is protected until it has.
        confirmed: bool,
        /// Whether it was another node's until now: open the copy as a journal.
        taken: bool,
        /// Its owner had gone on without this copy: anything in it may have been delivered since.
        doubtful: bool,
    },
    /// Whom a receipt must wait for, besides our own sync. Answer with [`Input::Guarded`] once it is in force.
    Guard {
        /// Number of this demand.
        generation: u64,
        /// All of them must have acknowledged a batch before anything in it counts as protected.
        require: Vec<Member>,
        /// How many copies then count. A rule that asks for more is not met.
        counted: u32,
    },
    /// It is another node's now. Stop writing, and drop what that node has.
    Lost {
        /// Whose it is.
        to: Member,
        /// Its epoch.
        epoch: u32,
        /// What they have: a message with any record in it is theirs; only what lies wholly outside is still ours.
        taken: Taken,
        /// Whether it was handed over as planned.
        handed_over: bool,
    },
    /// Close the copy: acknowledge nothing more to the present owner, and answer with [`Input::Frozen`] or [`Input::NoCopy`].
    Freeze {
        /// To be told with the answer.
        turn: u32,
    },
    /// Open the copy again to the owner that etcd names.
    Thaw,
    /// The hand-over was taken back: write on.
    Kept,
    /// It is finished everywhere: delete what is here.
    Delete,
    /// Another journal has this name. A new name is needed; what is here is not owned by anybody.
    NameTaken,
    /// Something that people should read.
    Say(Event),
}
