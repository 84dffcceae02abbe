//! etcd's v3 API through its JSON gateway, over HTTP/1.1: `docs/decisions/etcd.md` says why.
//!
//! Owns endpoints and their failover, TLS, tokens, the single operations, and the healing of leases and watches. Knows no
//! meaning of a key. Always holds: each request has a bound in time and size; each failure says whether the request may have
//! been carried out; a lease is given up before etcd does; a watch has no silent gap.

mod calls;
mod client;
mod connection;
mod endpoint;
mod error;
mod follow;
mod keep;
mod lease;
mod lines;
mod resume;
mod txn;
mod watch;
mod wire;

pub use calls::{Decided, EndpointStatus, Granted, Health, Whole};
pub use client::Client;
pub use endpoint::{ATTEMPT_MS, Access, Endpoint, Trust};
pub use error::Error;
pub use follow::{Follower, News};
pub use keep::{Keeper, LeaseState};
pub use lease::{Due, Held, LeaseClock, Turn};
pub use resume::{Look, Next, Resume};
pub use txn::Txn;
pub use watch::{Change, Heard};
pub use wire::{EtcdMember, Header, KeyValue, Revision};
