//! A new process takes the place of the one that runs, on the same machine and the same data directory: nobody who connects meanwhile is
//! refused, and what the old process relays goes on in it.
//!
//! Owns the dialog of the two over a unix socket in the data directory, the sockets that are given, and what the service manager keeps of
//! them. Knows no mail and no service. Words: the predecessor runs, the successor comes, the predecessor yields (its mail stops, the data
//! directory is free) and then lingers (only for connections that it relays).
//!
//! Always holds: until the successor asks for it, nothing is different; a listening socket is open in at least one of the two at every
//! moment; the data directory's lock decides who has the spool, never this dialog; a predecessor whose successor dies starts another one,
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
pub use inherited::{leave, take_in, tcp};
pub use launcher::Launcher;
pub use lingering::Lingering;
pub use predecessor::{Left, Succession};
pub use successor::Successor;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a successor says.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    /// It is there, and wants the sockets.
    Hello { protocol: u32, process: u32, version: String },
    /// It can run: the predecessor may end its mail.
    Yield,
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

/// What a predecessor says.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// Some of its sockets; `rest` more come in other answers.
    Sockets { process: u32, rest: usize },
    /// Its mail has stopped and the data directory is free.
    Yielded,
    /// Not with this one, and why.
    Refused(String),
    /// What it still relays, and those that it has succeeded.
    Left(Vec<Relayed>),
}

/// Where the two meet.
fn meeting_place(data: &Path) -> PathBuf {
    data.join("succession")
}

/// Changes when the two would not understand each other any more.
const PROTOCOL: u32 = 1;
