//! The way to etcd, and what is built on it, against real etcd processes that are killed, frozen, cut and compacted.
//! `./test cluster` installs etcd; every wait has a bound; all traffic stays on 127.0.0.1.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

mod layer;
mod nodes;
mod organization;
mod ownership;
mod relay;
