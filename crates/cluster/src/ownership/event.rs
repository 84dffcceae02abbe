//! Owns what people read about ownership, in plain words. Knows no logging.
//! Always holds: each sentence says what happened, and what to do if somebody has to do something.

use std::fmt;

use crate::record::Member;

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// We own it.
    Owns {
        /// The epoch.
        epoch: u32,
    },
    /// Another node's journal is ours now.
    TookOver {
        /// Whose it was.
        from: Member,
        /// Our epoch.
        epoch: u32,
        /// Where our copy ended.
        at: u64,
    },
    /// Another candidate was first.
    Beaten {
        /// Who won.
        by: Member,
    },
    /// Ours no more.
    Deposed {
        /// Who has it.
        by: Member,
        /// At which epoch.
        epoch: u32,
    },
    /// Its lease is gone; a node other than us is before us in the order.
    OwnerGone {
        /// Whose lease.
        owner: Member,
    },
    /// Its owner is gone and our copy does not count.
    NotLevel {
        /// Whose lease.
        owner: Member,
    },
    /// We should take over and have no sound copy.
    NoCopy,
    /// The level set changed.
    LevelNow {
        /// Nodes whose copies count.
        level: Vec<Member>,
    },
    /// The last copy that counts stays in the set although it is not level.
    LastCopy {
        /// Which.
        member: Member,
    },
    /// The owner goes on without any copy, as its rules allow.
    Alone {
        /// Who has the last copy.
        member: Member,
    },
    /// A journal whose owner had gone on alone is ours now.
    TookOverStale {
        /// From whom.
        from: Member,
    },
    /// Started without etcd.
    Unconfirmed,
    /// Our lease may be gone.
    LeaseLost,
    /// etcd knows less than this disk.
    EtcdWentBack {
        /// What it knows.
        known: u32,
        /// What is on our disk.
        ours: u32,
    },
    /// The node named for a hand-over is not level.
    CannotHandOver {
        /// Which.
        to: String,
    },
    /// The name is in use by another journal.
    NameTaken,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Owns { epoch } => write!(f, "this node owns the journal, epoch {epoch}"),
            Event::TookOver { from, epoch, at } => {
                write!(
                    f,
                    "taken over from {from} at position {at:016x}, epoch {epoch}; its mail is delivered from here"
                )
            }
            Event::Beaten { by } => write!(f, "{by} took the journal over first; nothing to do here"),
            Event::Deposed { by, epoch } => {
                write!(
                    f,
                    "{by} has taken this journal over (epoch {epoch}); what it has is dropped here and delivered there"
                )
            }
            Event::OwnerGone { owner } => write!(f, "{owner}'s lease is gone; the journal will be taken over"),
            Event::NotLevel { owner } => write!(
                f,
                "{owner}'s lease is gone, and our copy of its journal was not level: a node with a level copy must take it, or {owner} must return"
            ),
            Event::NoCopy => write!(f, "this node should take the journal over but has no sound copy of it"),
            Event::LevelNow { level } if level.is_empty() => write!(f, "no copy of the journal counts"),
            Event::LevelNow { level } => {
                let names: Vec<&str> = level.iter().map(|member| member.node.as_str()).collect();
                write!(f, "copies that count: {}", names.join(", "))
            }
            Event::LastCopy { member } => write!(
                f,
                "{member} does not answer and has the last copy that counts; nothing is protected until it is back or another copy is level"
            ),
            Event::Alone { member } => write!(
                f,
                "going on without {member}'s copy, as when_short = \"accept\" allows: what is accepted now is only here"
            ),
            Event::TookOverStale { from } => write!(
                f,
                "{from} had gone on without this copy: what the copy has may have been delivered since, and is delivered again"
            ),
            Event::Unconfirmed => {
                write!(
                    f,
                    "etcd does not answer: going on with what this node owned when it stopped; nothing is protected yet"
                )
            }
            Event::LeaseLost => write!(
                f,
                "the lease may be gone because etcd did not answer in time; other nodes may take the journal over"
            ),
            Event::EtcdWentBack { known, ours } => write!(
                f,
                "etcd knows epoch {known} of this journal, this disk epoch {ours}: was etcd restored from a backup? Going on with the higher one"
            ),
            Event::CannotHandOver { to } => {
                write!(f, "cannot hand over to {to}: its copy is not level. Wait until it is, or name another node")
            }
            Event::NameTaken => write!(f, "etcd has another journal under this name; this one needs a new name"),
        }
    }
}
