//! A new process takes the place of the one that runs, on the same machine and the same data directory: nobody who connects meanwhile is
//! refused, no datagram is lost, virtual addresses stay where they are, and what the old process relays goes on in it.
//!
//! Owns the dialog of the two over a unix socket in the data directory, the sockets that are given, and what the service manager keeps of
//! them. Knows no mail and no service. Words: the predecessor runs, the successor comes, the predecessor yields (its mail stops, the data
//! directory is free) and then lingers (only for connections that it relays).
//!
//! Always holds: until the successor asks for it, nothing is different; one successor at a time is met, and the others are told so; a
//! socket is open in at least one of the two at every moment; the data directory's lock decides who has the spool, never this dialog; a predecessor whose successor dies starts another one,
//! and at the last its own program again.

mod adopt;
mod inherited;
mod launcher;
mod lingering;
pub mod manager;
mod predecessor;
mod successor;
mod wire;

pub use adopt::in_environment;
pub use inherited::{leave, take_in, tcp, udp};
pub use launcher::Launcher;
pub use lingering::Lingering;
pub use predecessor::{Left, Rest, Succession};
pub use successor::Successor;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a successor says.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    /// It is there, and wants the sockets.
    Hello { protocol: u32, process: u32, version: String },
    /// It can run: the predecessor may end its mail.
    Yield,
    /// Its sockets listen: it takes the virtual addresses.
    Addresses,
    /// It serves: the predecessor may stop to accept.
    Serving,
    /// How much is left? These members, by service, are drained.
    Look { drained: Vec<(String, String)> },
}

/// What a process that lingers still relays to one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// The service.
    pub service: String,
    /// The member.
    pub member: String,
    /// Where it is.
    pub address: String,
    /// Connections.
    pub connections: u32,
    /// Of these, in the middle of a mail transaction.
    pub in_transaction: u32,
}

/// A virtual address that goes from one process to the other. Nothing moves: key, lease and interface stay as they are. Times are from the
/// moment that it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAddress {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub interface: String,
    /// The addresses.
    pub nets: Vec<String>,
    /// The lease in etcd.
    pub lease: i64,
    /// Its time to live.
    pub lease_ttl_ms: u64,
    /// How long it surely counts.
    pub lease_left_ms: u64,
    /// When the kernel ends the address.
    pub lapses_in_ms: u64,
    /// The revision of the claim.
    pub claimed_at: u64,
    /// It came by order.
    pub pinned: bool,
}

/// All virtual addresses that are given. Dropped, the guard's pipe closes, and it ends those that nobody has taken on.
#[derive(Debug, Default)]
pub struct Bequest {
    /// The addresses.
    pub addresses: Vec<HeldAddress>,
    /// The writing end of the pipe of their guard.
    pub guard: Option<OwnedFd>,
}

/// What a predecessor says.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// Some of its sockets; `rest` more come in other answers.
    Sockets { process: u32, rest: usize },
    /// Its mail has stopped and the data directory is free.
    Yielded,
    /// The virtual addresses that it had, and has no more, with the pipe of their guard.
    Addresses(Vec<HeldAddress>),
    /// Not with this one, and why.
    Refused(String),
    /// What it still relays, and those that it has succeeded.
    Left(Vec<Relayed>),
}

/// Where the two meet.
fn meeting_place(data: &Path) -> PathBuf {
    data.join("succession")
}

/// Changes when the two would not understand each other any more, or a guard would not understand the next process.
const PROTOCOL: u32 = 2;
