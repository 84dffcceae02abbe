//! Many channels over one connection between two nodes, as a machine: bytes in, bytes out, and the time as an argument.
//!
//! Owns the frames, who may send next, and how much may wait. Knows no sockets, no TLS and nothing of what a channel carries.
//! Always holds: a heartbeat never waits behind more than what was handed to the socket already; channels take turns, frame by frame;
//! whatever the other end does, memory stays within [`Settings`]; bytes that make no sense end the connection with a [`Cut`] that says why.
//!
//! On the wire: a frame is 8 bytes (channel, length, kind, flags) and up to [`DATA_MAX`] bytes. The end that dialed opens channels with
//! odd numbers, the other one with even numbers; numbers only go up. Channel 0 is the connection itself. Each end may have as many
//! bytes of a channel under way as the other end gave credit for.

mod channel;
mod cut;
mod frame;
mod intake;
mod machine;
mod outgoing;
mod pieces;
mod pulse;

pub use channel::{Gone, Received};
pub use cut::Cut;
pub use frame::{DATA_MAX, HEAD_BYTES, HELLO_MAX, KIND_MAX, NAME_MAX, TEXT_MAX};
pub use machine::{Counts, Event, FIRST_CREDIT, Mux, NoChannel, Settings, Side};
pub use pieces::Pieces;
