//! Zones that are written to the primary server of others (RFC 2136).
//!
//! Owns what is ours there and what must change: a TXT set at `_posthouse` in the zone says which sets we wrote and what they held
//! ([`Mark`]), so that every node knows it and nobody has to remember. Always holds: a set that is not ours is not touched unless the
//! operator says so; every change is tied to what was there when it was planned; what is too large for one message is several, each
//! of which leaves zone and mark in agreement.

mod mark;
mod plan;
mod update;
mod work;

pub use mark::Mark;
pub use plan::{Change, Key, Plan, Step, There, What, plan};
pub use update::{Bounds, TooLarge, updates};
pub use work::{Outcome, Undone, look, push};
