//! Owns the decision which owners are let in to write copies here. Knows no journal's bytes.
//! Always holds: an owner that etcd does not name is let in only under a higher epoch than the one that it names; nobody is
//! let in to a journal that this node writes itself, whatever etcd shows by now; what etcd has answered this node counts before its news
//! say it.

use std::sync::Arc;

use cluster::record::{JournalName, Member};
use cluster::view::View;
use journal::copies::HeldCopy;
use tokio::sync::{mpsc, watch};

use crate::copies::held::{Admission, Doorkeeper};
use crate::peers::Channel;

/// Lets owners in as etcd names them.
pub struct Door {
    me: Member,
    view: watch::Receiver<Arc<View>>,
    /// Copies that are here, for whoever gives them a seat.
    here: mpsc::UnboundedSender<(JournalName, u32)>,
    known: Box<dyn Fn(&str) -> bool + Send + Sync>,
    ours: Box<OursAt>,
}

/// Under which epoch this node writes a journal, its own or one that it took over.
type OursAt = dyn Fn(&str) -> Option<u32> + Send + Sync;

impl Door {
    /// `known`: whether there is a copy of a journal on this disk. `ours`: the epoch under which this node writes it.
    pub fn new(
        me: Member,
        view: watch::Receiver<Arc<View>>,
        here: mpsc::UnboundedSender<(JournalName, u32)>,
        known: impl Fn(&str) -> bool + Send + Sync + 'static,
        ours: impl Fn(&str) -> Option<u32> + Send + Sync + 'static,
    ) -> Door {
        Door { me, view, here, known: Box::new(known), ours: Box::new(ours) }
    }
}

impl Doorkeeper for Door {
    fn admit(&self, channel: &Channel) -> Admission {
        let no = |why: &str| Admission::No(why.into());
        let Some((journal, disk)) = channel.name().rsplit_once('@') else {
            return no(
                "this node is in a cluster, and the channel is of one that is not: give both the same [cluster]",
            );
        };
        let Some(name) = JournalName::parse(journal) else { return no("that is no journal's name") };
        if disk != format!("{:016x}", self.me.disk) {
            return no("this node has another disk now");
        }
        // News of etcd's may come later than our own claim was answered: the old owner would fill a second copy beside what we took, and
        // give receipts for what only that one has. And should we take that copy over, two journals here would be the same one.
        if let Some(epoch) = (self.ours)(journal) {
            return Admission::Barred { epoch };
        }
        let view = self.view.borrow();
        let journal = journal.to_string();
        match view.newest(&name) {
            Some(record) if record.drained => no("the journal is drained"),
            Some(record) if record.owner.node == channel.peer() => Admission::Yes(journal),
            Some(record) => Admission::Above { journal, epoch: record.epoch },
            // Without etcd the copy itself knows the highest epoch.
            None if (self.known)(&journal) => Admission::Yes(journal),
            None => no("etcd does not show this journal to this node yet"),
        }
    }

    fn is_here(&self, journal: &str, copy: &HeldCopy) {
        if let Some(name) = JournalName::parse(journal) {
            // Whoever listens does so for as long as the node is there.
            let _ = self.here.send((name, copy.state().epoch));
        }
    }
}
