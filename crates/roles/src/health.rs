//! Owns the one health truth: can this node take custody of a message now, and if not, why.
//! Knows no HTTP and no SMTP session. Always holds: what `/health/ready`, the page and the 421 at connect say comes from here.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use cluster::record::{DRAINING, READY, STOPPING};
use mail::{Enhanced, Reply};

/// Where a node stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Recovering; not listening yet.
    Starting = 0,
    /// Taking mail and delivering it.
    Serving = 1,
    /// An operator asked it to take no new mail; it delivers what it has.
    Draining = 2,
    /// Ending: no new mail, what is in flight is finished.
    Stopping = 3,
}

impl Phase {
    /// The word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Draining => "draining",
            Phase::Stopping => "stopping",
        }
    }
}

/// Why a message cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// See [`Phase::Starting`].
    Starting,
    /// See [`Phase::Draining`].
    Draining,
    /// See [`Phase::Stopping`].
    Stopping,
    /// The journal has no room beside its reserve.
    NoRoom,
    /// Too few nodes keep a copy for what any connector asks for.
    TooFewCopies,
    /// Another live node of the cluster has our name.
    NameClash,
    /// Back pressure refuses the mail of clients.
    Pressure,
}

impl NotReady {
    /// For the other nodes.
    pub fn word(self) -> &'static str {
        match self {
            NotReady::Starting => "starting",
            NotReady::Draining => DRAINING,
            NotReady::Stopping => STOPPING,
            NotReady::NoRoom => "no-room",
            NotReady::TooFewCopies => "too-few-copies",
            NotReady::NameClash => "name-clash",
            NotReady::Pressure => "back-pressure",
        }
    }

    /// For the operator.
    pub fn reason(self) -> &'static str {
        match self {
            NotReady::Starting => "starting: the spool is being recovered",
            NotReady::Draining => "draining: no new mail is taken, what is here is delivered",
            NotReady::Stopping => "stopping",
            NotReady::TooFewCopies => {
                "too few copies: no other node keeps a level copy of the journal; mail that asks for one is refused with 451"
            }
            NotReady::NameClash => {
                "name clash: another live node of the cluster has this node's name and another disk; give one of the two another name"
            }
            NotReady::Pressure => {
                "back pressure: the node is short of something, and mail of users and strangers is refused with 452; posthouse status says of what"
            }
            NotReady::NoRoom => "no room: the disk of the spool is full but for its reserve; mail is refused with 452",
        }
    }

    /// For the peer.
    pub fn reply(self) -> Reply {
        match self {
            NotReady::Starting => Reply::new(421, Enhanced::new(4, 3, 2), "starting, try later"),
            NotReady::Draining => Reply::new(421, Enhanced::new(4, 3, 2), "takes no new mail now, try later"),
            NotReady::Stopping => Reply::new(421, Enhanced::new(4, 3, 2), "shutting down, try later"),
            NotReady::TooFewCopies => {
                Reply::new(451, Enhanced::new(4, 4, 0), "too few nodes to keep a copy now, try later")
            }
            NotReady::NameClash => Reply::new(421, Enhanced::new(4, 3, 2), "takes no mail now, try later"),
            NotReady::Pressure => crate::pressure::refusal(),
            NotReady::NoRoom => Reply::new(452, Enhanced::new(4, 3, 1), "no space for mail now, try later"),
        }
    }

    /// The node as a whole is closed: a connection is refused with 421. Otherwise MAIL is refused and later mail may pass.
    pub fn closes_sessions(self) -> bool {
        !matches!(self, NotReady::NoRoom | NotReady::TooFewCopies | NotReady::Pressure)
    }
}

/// The truth, shared by all who ask.
#[derive(Debug)]
pub struct Health {
    phase: AtomicU8,
    room: AtomicBool,
    copies: AtomicBool,
    clash: AtomicBool,
    pressure: AtomicBool,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            phase: AtomicU8::new(Phase::Starting as u8),
            room: AtomicBool::new(true),
            copies: AtomicBool::new(true),
            clash: AtomicBool::new(false),
            pressure: AtomicBool::new(false),
        }
    }
}

impl Health {
    /// Where the node stands.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            2 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    /// Moves on. A node that stops never serves again; says whether it moved.
    pub fn enter(&self, phase: Phase) -> bool {
        // Whoever sees the phase sees what was done before it.
        let moved = self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            (now != Phase::Stopping as u8 && now != phase as u8).then_some(phase as u8)
        });
        moved.is_ok()
    }

    /// Says whether the journal has room for new mail.
    pub fn set_room(&self, room: bool) {
        self.room.store(room, Ordering::Relaxed);
    }

    /// Says whether there are copies enough for the mail of some connector.
    pub fn set_copies(&self, enough: bool) {
        self.copies.store(enough, Ordering::Relaxed);
    }

    /// Says whether another live node has our name.
    pub fn set_clash(&self, clash: bool) {
        self.clash.store(clash, Ordering::Relaxed);
    }

    /// Says whether back pressure refuses the mail of clients.
    pub fn set_pressure(&self, refuses_clients: bool) {
        self.pressure.store(refuses_clients, Ordering::Relaxed);
    }

    /// For the other nodes: `ready`, or why not.
    pub fn word(&self) -> &'static str {
        self.ready().err().map_or(READY, NotReady::word)
    }

    /// Whether a message can be taken now.
    pub fn ready(&self) -> Result<(), NotReady> {
        match self.phase() {
            Phase::Starting => Err(NotReady::Starting),
            Phase::Draining => Err(NotReady::Draining),
            Phase::Stopping => Err(NotReady::Stopping),
            Phase::Serving if self.clash.load(Ordering::Relaxed) => Err(NotReady::NameClash),
            Phase::Serving if !self.room.load(Ordering::Relaxed) => Err(NotReady::NoRoom),
            Phase::Serving if self.pressure.load(Ordering::Relaxed) => Err(NotReady::Pressure),
            Phase::Serving if !self.copies.load(Ordering::Relaxed) => Err(NotReady::TooFewCopies),
            Phase::Serving => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_is_final_and_beats_everything() {
        let health = Health::default();
        assert_eq!(health.ready(), Err(NotReady::Starting));
        assert!(health.enter(Phase::Serving));
        assert_eq!(health.ready(), Ok(()));
        health.set_room(false);
        assert_eq!(health.ready(), Err(NotReady::NoRoom));
        health.set_room(true);
        health.set_pressure(true);
        assert!(health.ready().is_err_and(|reason| !reason.closes_sessions()), "who may still send is told at MAIL");
        health.set_clash(true);
        assert_eq!((health.ready(), health.word()), (Err(NotReady::NameClash), "name-clash"));
        assert!(health.enter(Phase::Draining) && health.enter(Phase::Serving) && health.enter(Phase::Stopping));
        assert!(!health.enter(Phase::Serving));
        assert_eq!(health.ready(), Err(NotReady::Stopping));
    }
}
