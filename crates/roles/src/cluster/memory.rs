//! Owns what a node remembers of etcd and of the other nodes since its start: since when etcd answers or does not, when a node went.
//! Knows no etcd calls and no links. Always holds: a state that began is said once, and its end once, with the time it took.

use std::collections::{BTreeMap, BTreeSet};

use cluster::view::View;
use tracing::{info, warn};

/// What is remembered. Nodes that nobody knows any more are forgotten.
#[derive(Debug)]
pub struct Memory {
    /// Unix milliseconds.
    since_ms: u64,
    etcd: Etcd,
    here: BTreeSet<String>,
    gone: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Etcd {
    /// It has not said anything since the start, and it has not failed yet.
    Unheard,
    Answers,
    Silent,
}

/// Something that begins or ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// etcd does not answer any more; why.
    Silent(String),
    /// It answers again, after so many milliseconds.
    Answers(u64),
    /// A node's lease is gone.
    Gone(String),
    /// A node that was gone is there again.
    Returned(String),
}

impl Memory {
    /// Nothing was heard yet.
    pub fn new(now_ms: u64) -> Memory {
        Memory { since_ms: now_ms, etcd: Etcd::Unheard, here: BTreeSet::new(), gone: BTreeMap::new() }
    }

    /// Takes in what is known now. `now_ms` is Unix time.
    pub fn look(&mut self, now_ms: u64, view: &View) -> Vec<Change> {
        let mut changes = Vec::new();
        let etcd = match &view.silent {
            Some(_) => Etcd::Silent,
            None if view.at > 0 => Etcd::Answers,
            None => Etcd::Unheard,
        };
        if etcd != self.etcd {
            match (&view.silent, self.etcd) {
                (Some(why), _) => changes.push(Change::Silent(why.to_string())),
                (None, Etcd::Silent) => changes.push(Change::Answers(now_ms.saturating_sub(self.since_ms))),
                (None, _) => {}
            }
            (self.etcd, self.since_ms) = (etcd, now_ms);
        }
        if view.at == 0 {
            return changes;
        }
        let here: BTreeSet<String> = view.nodes.keys().cloned().collect();
        for node in self.here.difference(&here) {
            self.gone.insert(node.clone(), now_ms);
            changes.push(Change::Gone(node.clone()));
        }
        for node in here.difference(&self.here) {
            if self.gone.remove(node).is_some() {
                changes.push(Change::Returned(node.clone()));
            }
        }
        // One that has left nothing behind is nobody's business any more.
        let is_named = |node: &String| {
            view.journals.iter().any(|(name, journal)| {
                name.node == *node || journal.record.as_ref().is_some_and(|(_, record)| record.owner.node == *node)
            })
        };
        self.gone.retain(|node, _| is_named(node));
        self.here = here;
        changes
    }

    /// Since when etcd answers, or does not; Unix milliseconds.
    pub fn etcd_since_ms(&self) -> u64 {
        self.since_ms
    }

    /// When a node's lease went, if this node has seen it; Unix milliseconds.
    pub fn gone_since_ms(&self, node: &str) -> Option<u64> {
        self.gone.get(node).copied()
    }
}

impl Change {
    /// Into the log.
    pub fn say(&self) {
        match self {
            Change::Silent(why) => warn!(
                "{why}; mail flows on with the copies that count, and nothing can be taken over until etcd is back"
            ),
            Change::Answers(after_ms) => info!(after_ms, "etcd answers again, after {} s", after_ms.div_ceil(1000)),
            Change::Gone(node) => warn!(node, "{node} is gone: its lease has ended"),
            Change::Returned(node) => info!(node, "{node} is there again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::etcd::Error;
    use cluster::record::{JournalName, Member, NodeRecord, Record};

    fn view(nodes: &[&str]) -> View {
        let mut view = View { at: 5, ..View::default() };
        view.nodes = nodes.iter().map(|node| (node.to_string(), NodeRecord::default())).collect();
        for node in ["a", "b"] {
            let record = Record::new(1, Member { node: node.into(), disk: 1 });
            view.journals.entry(JournalName::new(node, "spool-1").unwrap()).or_default().record = Some((1, record));
        }
        view
    }

    #[test]
    fn each_state_is_said_once_with_its_time() {
        let mut memory = Memory::new(1_000);
        assert_eq!(memory.look(1_500, &View::default()), []);
        assert_eq!(memory.look(2_000, &view(&["a", "b", "c"])), [], "a start is no news");
        let silent = View { silent: Some(Error::NoLeader("x".into())), ..view(&["a", "b", "c"]) };
        assert!(matches!(memory.look(5_000, &silent)[..], [Change::Silent(_)]));
        assert_eq!(memory.look(6_000, &silent), []);
        assert_eq!(memory.etcd_since_ms(), 5_000);
        assert_eq!(memory.look(8_500, &view(&["a", "b", "c"])), [Change::Answers(3_500)]);
        let both = [Change::Gone("b".into()), Change::Gone("c".into())];
        assert_eq!(memory.look(9_000, &view(&["a"])), both);
        assert_eq!(memory.gone_since_ms("b"), Some(9_000));
        assert_eq!(memory.gone_since_ms("c"), None, "it has left no journal behind");
        assert_eq!(memory.look(9_900, &view(&["a", "b"])), [Change::Returned("b".into())]);
        assert_eq!(memory.gone_since_ms("b"), None);
    }

    #[test]
    fn an_etcd_that_was_never_heard_is_silent_from_its_first_failure() {
        let mut memory = Memory::new(1_000);
        let silent = View { silent: Some(Error::NoLeader("x".into())), ..View::default() };
        assert!(matches!(memory.look(2_000, &silent)[..], [Change::Silent(_)]));
        assert_eq!(memory.look(3_000, &view(&["a"])), [Change::Answers(1_000)]);
    }
}
