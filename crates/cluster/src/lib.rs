//! Who is there, who owns which journal at which epoch, and which organization document counts.
//!
//! Owns the way to etcd, the documents kept there, the view of the cluster, and the protocol of ownership. Knows no mail, no
//! journal's bytes and no peers' links: message bytes never pass here. Always holds: what is decided is decided by one
//! transaction in etcd (or, without etcd, by a person), never by a clock.

pub mod etcd;
pub mod keys;
pub mod org;
pub mod ownership;
pub mod record;
mod run;
pub mod tenure;
pub mod view;
pub mod vip;

pub use run::{Announced, Cluster, SeatHandle, Settings};
