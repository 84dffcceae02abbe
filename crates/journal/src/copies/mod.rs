//! Owns copies of a journal on other nodes: how an owner keeps them equal to its log, and how a holder keeps one until it has to take
//! it over. Knows no sockets, no mail, and nobody who decides who owns what.
//! Always holds: a copy is byte-equal to its owner's log up to what it acknowledged; a holder listens to no lower epoch than it has
//! seen, and keeps that on its disk before it answers; whatever is slow or hostile costs a bounded amount of memory.
//!
//! # The two faces
//!
//! The owner has [`Copies`] (from `Journal::copies`) and a [`Link`] for each holder; a holder has a [`HeldCopy`] for each journal and a
//! [`HeldLink`] for each connection to it. A link is bytes in, bytes out; the driver has the connection. For both ends the driver does
//!
//! ```text
//! bytes arrived           link.receive(bytes)     never blocks; an error means: close the connection
//! wake, or any of these   while link.pump() {}    may block on the disk: not on a thread that serves others
//!                         while let Some(frame) = link.output() { send frame.slices() }
//! time                    Link::tick() at Link::next_due_ms()            (the owner's end only)
//! connection ended        drop the link, connect again, attach again
//! ```
//!
//! and reads from the connection only while `HeldLink::wants_input`. An owner's link never waits for the connection: what is not
//! sent in time is read from the segments later. The order of frames in one connection must be kept; what is left over from an old
//! connection does no harm, each session has a number of its own.
//!
//! A journal that is damaged on its owner's disk does not open (`OpenError::Damaged`); a [`Mender`], driven the same way, fetches what is
//! lost from a holder. A copy that is damaged is sent what it lacks whenever its owner's link begins.
//!
//! # A take-over
//!
//! `HeldCopy::freeze` closes the copy to its owner, so that somebody can be asked who shall own it; `thaw` takes that back.
//! `HeldCopy::hand_over` answers where the copy ends and lets the directory go; `Journal::open` there with the next epoch goes on.
//! While it is open, and for holders that have no copy, [`refuse`] answers whoever still thinks that he is the owner.

mod copy;
mod frame;
mod group;
mod held;
mod holder;
mod hub;
mod lag;
mod link;
mod mend;
mod owner;
mod refuse;
mod runs;
mod store;

pub use copy::Wake;
pub use frame::{Decoder, FRAME_BYTES_MAX, Frame, Hello, JOURNAL_NAME_MAX, Malformed, Message, Refusal, Trouble};
pub use group::Outgoing;
pub use held::{ARRIVED_BYTES_MAX, Frozen, HandOverError, HeldCopy, HeldLink, HeldState};
pub use link::{Copies, CopyStage, CopyState, Link};
pub use mend::{MendError, Mender};
pub use refuse::refuse;

pub(crate) use group::Group;
pub(crate) use hub::{Answer, Hub};
