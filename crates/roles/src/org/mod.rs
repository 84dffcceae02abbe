//! The organization document of a cluster on this node: which version counts, which one runs here, and why not that one.
//!
//! Owns the choice at a start ([`choose`]), what is known while the node runs ([`Standing`]), and the copy on disk ([`cache`]). Knows no
//! sockets and no HTTP. Always holds: the version in etcd counts as soon as there is one; a node that cannot run it keeps what it
//! has, and says so.

pub mod cache;
mod choose;
mod standing;

pub use choose::{Found, choose};
pub use standing::{Heard, Standing, Step};
