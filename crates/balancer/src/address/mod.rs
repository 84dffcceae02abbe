//! Virtual addresses: who of the nodes has one, and what its neighbours are told.
//!
//! Owns the decision ([`Machine`], without I/O), the addresses of an interface (netlink), and what is said and heard on the wire (ARP,
//! neighbour discovery). Refuses to know etcd: a lease is a number and a time here. Always holds: an address is added with a lifetime
//! that the kernel ends by itself, and that is over before the lease can be.

mod connections;
mod gate;
mod interface;
mod machine;
mod neighbours;
mod packet;

pub use connections::end_connections;
pub use gate::Fit;
pub use interface::{Interfaces, Link, NetError, Present};
pub use machine::{
    Answer, Candidate, Effect, Facts, HolderSeen, Inheritance, Lease, Machine, OrderSeen, Rules, Taken, Why,
};
pub use neighbours::{Heard, Neighbours};
