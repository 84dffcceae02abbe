//! The SIP service: calls are offered to the hosts of a dial plan, one after the other, until one takes them (behaviours 8.2).
//!
//! Two modes. Redirect: an INVITE is answered with 302 and the hosts in the order in which to try them; nothing is remembered.
//! Forward: an INVITE goes to one host after the other, with a bounded record until its final answer is over; all else is forwarded
//! without a record. We never stand in Record-Route: a call that is established runs between the gateway and its host, and media never
//! passes here, so that nothing which happens to this node is heard by those who talk.
//!
//! [`Voice`] is the machine: packets and time in, packets out. It knows no sockets ([`Serving`] has them) and not how hosts are chosen and
//! probed ([`Hosts`] says it). Always holds: at most [`CALLS_MAX`] records and [`HELD_BYTES_MAX`] bytes; an answer goes to where its
//! request came from; a request goes to a host of the plan and nowhere else; an answer counts only if a host sent it.

mod branch;
mod call;
mod calls;
mod desk;
mod dial_plan;
mod host;
mod note;
mod redirect;
mod secure;
mod serve;
mod server;
mod sockets;
mod stateless;
mod streams;
mod tally;
#[cfg(test)]
mod tests;
mod timer;
mod tries;

pub use calls::{CALLS_MAX, HELD_BYTES_MAX};
pub use desk::{Hop, Listener, Mode, Packet, Settings};
pub use dial_plan::DialPlan;
pub use host::{Host, Hosts, Offer, Trouble, ranked};
pub use note::{Note, Outcome};
pub use serve::{Around, Serving};
pub use server::{Input, Voice};
