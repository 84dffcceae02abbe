//! Shared parts of the tests: a node as a real process, dialogs as text, a small SMTP client that says exactly what it is told.
//!
//! Everything listens and connects on 127.0.0.1 only, every wait has a bound, and every process is ended by its id.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used, missing_docs)] // tests touch the real world

pub mod app;
pub mod besieged;
pub mod chaos;
pub mod cluster;
pub mod dialog;
pub mod dovecot;
pub mod etcd;
pub mod front;
pub mod ldap;
pub mod named;
pub mod next_hop;
pub mod organization;
pub mod ports;
pub mod postfix;
pub mod process;
pub mod sim;
pub mod sipp;
pub mod sites;
pub mod two;
pub mod wire;

pub use ports::free_port;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The checkout's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A binary built by `./test` (or by hand); of another build where `POSTHOUSE_BIN_DIR` says so.
pub fn binary(name: &str) -> PathBuf {
    let dir = std::env::var_os("POSTHOUSE_BIN_DIR").map_or_else(|| root().join("target/debug"), PathBuf::from);
    let path = dir.join(name);
    assert!(path.exists(), "{} is not there: run ./test, or `cargo build --workspace` first", path.display());
    path
}

/// Asks again and again until it holds; panics with `what` when `bound` is over.
pub fn eventually(what: &str, bound: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + bound;
    while !holds() {
        assert!(Instant::now() < end, "within {bound:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
