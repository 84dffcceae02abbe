//! Owns what a node knows of the cluster: nodes that are there, journals and their owners, the organization document. Knows no
//! protocol. Always holds: it is what etcd said at one revision; what cannot be read is named and never taken for absent.

use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::etcd::{Change, Error, KeyValue, News, Revision};
use crate::keys::{Key, Keys};
use crate::org::Document;
use crate::ownership::Snapshot;
use crate::record::{Holder, JournalName, Member, NodeRecord, Record};
use crate::vip::{VipHolder, VipOrder};

/// The cluster as etcd shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The revision that it is of; 0 before etcd was heard.
    pub at: Revision,
    /// Why etcd does not answer just now, if it does not. The rest is then what was known last.
    pub silent: Option<Error>,
    /// How often etcd came back with an older state than it had.
    pub went_back: u64,
    /// Nodes that are there, by name.
    pub nodes: BTreeMap<String, NodeRecord>,
    /// Journals by name.
    pub journals: BTreeMap<JournalName, Journal>,
    /// Virtual addresses that somebody has, or that are to move, by name.
    pub vips: BTreeMap<String, Vip>,
    /// The organization document and the revision of its last change.
    pub org: Option<(Revision, Arc<Document>)>,
    /// Keys whose value could not be read: of a newer version, or written by hand.
    pub unreadable: BTreeSet<String>,
    /// What etcd has said to this node's own transactions.
    pub answered: Answered,
}

/// What etcd says of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The record and the revision of its last change.
    pub record: Option<(Revision, Record)>,
    /// The owner's sign of life and the lease it is under.
    pub holder: Option<(i64, Holder)>,
}

/// Records of journals in answers of etcd's that came before the news of the same revision. Who deletes a journal because of such an answer
/// must not be taken, by the old news, for one who never had it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    records: BTreeMap<JournalName, (Revision, Option<Record>)>,
}

impl Answered {
    /// A transaction of this node's was answered: at this revision the record is this one.
    pub fn learn(&mut self, name: &JournalName, at: Revision, record: Option<Record>) {
        let newest = self.records.entry(name.clone()).or_insert((0, None));
        if at >= newest.0 {
            *newest = (at, record);
        }
    }

    /// The news have come as far as this revision.
    pub fn overtaken(&mut self, at: Revision) {
        self.records.retain(|_, (answered_at, _)| *answered_at > at);
    }

    /// The newest record that is known, by news (`view`) or by an answer.
    pub fn newest<'a>(&'a self, name: &JournalName, view: &'a View) -> Option<&'a Record> {
        match self.records.get(name) {
            Some((at, record)) if *at > view.at => record.as_ref(),
            _ => view.journals.get(name)?.record.as_ref().map(|(_, record)| record),
        }
    }
}

/// What etcd says of a virtual address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vip {
    /// Who has it, and the lease it is under.
    pub holder: Option<(i64, VipHolder)>,
    /// Somebody wants it to move.
    pub order: Option<VipOrder>,
}

impl View {
    /// Takes news in.
    pub fn apply(&mut self, news: News, keys: &Keys) {
        match news {
            News::Whole(whole) => {
                let goes_back = whole.at < self.at;
                let went_back = self.went_back + u64::from(goes_back);
                // What an etcd has said that has forgotten it since counts no more.
                let answered = if goes_back { Answered::default() } else { std::mem::take(&mut self.answered) };
                *self = View { at: whole.at, went_back, answered, ..View::default() };
                whole.keys.into_iter().for_each(|kv| self.put(kv, keys));
                self.answered.overtaken(self.at);
            }
            News::Changed(changes) => {
                self.silent = None;
                for change in changes {
                    self.at = self.at.max(change.at());
                    match change {
                        Change::Put(kv) => self.put(kv, keys),
                        Change::Gone { key, .. } => self.gone(&key, keys),
                    }
                }
                self.answered.overtaken(self.at);
            }
            News::Silent(error) => self.silent = Some(error),
            News::Back => self.silent = None,
        }
    }

    fn put(&mut self, kv: KeyValue, keys: &Keys) {
        let read = match keys.parse(&kv.key) {
            Key::Node(name) => value(&kv).map(|node| drop(self.nodes.insert(name, node))),
            Key::Journal(name) => value(&kv).map(|record| {
                self.journals.entry(name).or_default().record = Some((kv.mod_revision, record));
            }),
            Key::Holder(name) => value(&kv).map(|holder| {
                self.journals.entry(name).or_default().holder = Some((kv.lease, holder));
            }),
            Key::Org => value(&kv).map(|document| self.org = Some((kv.mod_revision, Arc::new(document)))),
            Key::Vip(name) => value(&kv).map(|holder| {
                self.vips.entry(name).or_default().holder = Some((kv.lease, holder));
            }),
            Key::VipOrder(name) => value(&kv).map(|order| self.vips.entry(name).or_default().order = Some(order)),
            // Old versions are read when somebody asks for them; who has an address is in the record of its name.
            Key::OrgVersion(_) | Key::VipAddress(_) => Some(()),
            Key::Strange => None,
        };
        match read {
            Some(()) => drop(self.unreadable.remove(&kv.key)),
            None => {
                // What it said before no longer counts.
                self.gone(&kv.key, keys);
                if self.unreadable.len() < UNREADABLE_MAX {
                    self.unreadable.insert(kv.key);
                }
            }
        }
    }

    fn gone(&mut self, key: &str, keys: &Keys) {
        self.unreadable.remove(key);
        match keys.parse(key) {
            Key::Node(name) => drop(self.nodes.remove(&name)),
            Key::Journal(name) => self.change(name, |journal| journal.record = None),
            Key::Holder(name) => self.change(name, |journal| journal.holder = None),
            Key::Org => self.org = None,
            Key::Vip(name) => self.change_vip(&name, |vip| vip.holder = None),
            Key::VipOrder(name) => self.change_vip(&name, |vip| vip.order = None),
            Key::OrgVersion(_) | Key::VipAddress(_) | Key::Strange => {}
        }
    }

    fn change(&mut self, name: JournalName, change: impl FnOnce(&mut Journal)) {
        if let Some(journal) = self.journals.get_mut(&name) {
            change(journal);
            if *journal == Journal::default() {
                self.journals.remove(&name);
            }
        }
    }

    fn change_vip(&mut self, name: &str, change: impl FnOnce(&mut Vip)) {
        if let Some(vip) = self.vips.get_mut(name) {
            change(vip);
            if *vip == Vip::default() {
                self.vips.remove(name);
            }
        }
    }

    /// The newest record of a journal that this node knows of.
    pub fn newest(&self, name: &JournalName) -> Option<&Record> {
        self.answered.newest(name, self)
    }

    /// What etcd's news say of a journal, for its seat; `None` before etcd was heard, or when it cannot be read.
    pub fn snapshot(&self, name: &JournalName, keys: &Keys) -> Option<Snapshot> {
        let readable = |key: &str| !self.unreadable.contains(key);
        if self.at == 0 || !readable(&keys.journal(name)) || !readable(&keys.holder(name)) {
            return None;
        }
        let journal = self.journals.get(name).cloned().unwrap_or_default();
        Some(Snapshot { at: self.at, record: journal.record, holder: journal.holder.map(|(lease, _)| lease) })
    }

    /// How many members of the level set come before this one and are alive with the disk that counts.
    pub fn rank(&self, name: &JournalName, me: &Member) -> u32 {
        let record = self.journals.get(name).and_then(|journal| journal.record.as_ref());
        let level = record.map_or(&[][..], |(_, record)| &record.level);
        let before = level.iter().take_while(|member| *member != me);
        before.filter(|member| self.is_alive(member)).count() as u32
    }

    /// Whether a node is there with this disk.
    pub fn is_alive(&self, member: &Member) -> bool {
        self.nodes.get(&member.node).is_some_and(|node| node.disk == member.disk)
    }

    /// Journals that nobody holds, each with those that may take it over and are alive. Empty: it waits for one to return.
    pub fn orphans(&self) -> Vec<(JournalName, Vec<Member>)> {
        let orphan = |(name, journal): (&JournalName, &Journal)| {
            let (_, record) = journal.record.as_ref()?;
            let gone = journal.holder.is_none() && !record.drained;
            let takers = record.level.iter().filter(|member| self.is_alive(member)).cloned().collect();
            gone.then(|| (name.clone(), takers))
        };
        self.journals.iter().filter_map(orphan).collect()
    }

    /// Records of this node's earlier journals that are drained and that no disk of it needs any more (`here`: journals that
    /// are still on the disk).
    pub fn tombstones(&self, node: &str, here: &[JournalName]) -> Vec<(JournalName, Revision)> {
        let dead = |(name, journal): (&JournalName, &Journal)| {
            let (at, record) = journal.record.as_ref()?;
            (name.node == node && record.drained && !here.contains(name)).then(|| (name.clone(), *at))
        };
        self.journals.iter().filter_map(dead).collect()
    }
}

fn value<T: DeserializeOwned>(kv: &KeyValue) -> Option<T> {
    serde_json::from_slice(&kv.value).ok()
}

/// Unreadable keys that are remembered by name.
const UNREADABLE_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::Whole;

    fn kv(key: String, value: &impl serde::Serialize, at: Revision) -> KeyValue {
        KeyValue { key, value: serde_json::to_vec(value).unwrap(), mod_revision: at, lease: 5, ..KeyValue::default() }
    }

    #[test]
    fn it_follows_the_news() {
        let keys = Keys::new("/p");
        let name = JournalName::parse("a/spool").unwrap();
        let member = |node: &str| Member { node: node.into(), disk: 1 };
        let mut record = Record::new(9, member("a"));
        record.level = vec![member("b"), member("c")];
        let node = NodeRecord { disk: 1, ..NodeRecord::default() };
        let holder = Holder { member: member("a"), epoch: 256 };
        let mut view = View::default();
        assert_eq!(view.snapshot(&name, &keys), None, "nothing was heard");
        let all = vec![
            kv(keys.node("b"), &node, 3),
            kv(keys.node("c"), &node, 3),
            kv(keys.journal(&name), &record, 4),
            kv(keys.holder(&name), &holder, 4),
        ];
        view.apply(News::Whole(Whole { at: 4, keys: all }), &keys);
        let snapshot = view.snapshot(&name, &keys).unwrap();
        assert_eq!((snapshot.record, snapshot.holder), (Some((4, record.clone())), Some(5)));
        assert_eq!((view.rank(&name, &member("b")), view.rank(&name, &member("c"))), (0, 1));
        assert!(view.orphans().is_empty());

        view.apply(News::Changed(vec![Change::Gone { key: keys.holder(&name), at: 7 }]), &keys);
        assert_eq!(view.orphans(), [(name.clone(), vec![member("b"), member("c")])]);
        view.apply(News::Changed(vec![Change::Gone { key: keys.node("b"), at: 8 }]), &keys);
        assert_eq!((view.rank(&name, &member("c")), view.at), (0, 8));

        // A record that cannot be read is not one that is gone.
        view.apply(News::Changed(vec![Change::Put(kv(keys.journal(&name), &"?", 9))]), &keys);
        assert_eq!(view.snapshot(&name, &keys), None);
        view.apply(News::Changed(vec![Change::Put(kv(keys.journal(&name), &record, 10))]), &keys);
        assert!(view.snapshot(&name, &keys).is_some() && view.unreadable.is_empty());

        view.apply(News::Whole(Whole { at: 2, keys: vec![] }), &keys);
        assert_eq!((view.went_back, view.journals.len()), (1, 0));
    }

    #[test]
    fn an_answer_counts_until_the_news_have_come_as_far() {
        let keys = Keys::new("/p");
        let name = JournalName::parse("a/spool").unwrap();
        let record = |node: &str| Record::new(9, Member { node: node.into(), disk: 1 });
        let owner = |view: &View| view.newest(&name).map(|record| record.owner.node.clone());
        let put = |node: &str, at| Change::Put(kv(keys.journal(&name), &record(node), at));
        let gone = |at| Change::Gone { key: keys.holder(&name), at };
        let mut view = View::default();
        view.apply(News::Whole(Whole { at: 4, keys: vec![kv(keys.journal(&name), &record("a"), 4)] }), &keys);
        view.answered.learn(&name, 9, Some(record("c")));
        view.answered.learn(&name, 7, Some(record("b")));
        assert_eq!(owner(&view).as_deref(), Some("c"), "of two answers the later one");
        view.apply(News::Changed(vec![gone(6), put("b", 7)]), &keys);
        assert_eq!(owner(&view).as_deref(), Some("c"));
        view.apply(News::Whole(Whole { at: 8, keys: vec![kv(keys.journal(&name), &record("b"), 7)] }), &keys);
        assert_eq!(owner(&view).as_deref(), Some("c"), "read before the answer, and told after it");
        view.apply(News::Changed(vec![put("c", 9), put("d", 10)]), &keys);
        assert_eq!((owner(&view).as_deref(), &view.answered), (Some("d"), &Answered::default()));

        view.answered.learn(&name, 12, None);
        assert_eq!(owner(&view), None);
        view.apply(News::Whole(Whole { at: 3, keys: vec![kv(keys.journal(&name), &record("a"), 3)] }), &keys);
        assert_eq!(owner(&view).as_deref(), Some("a"), "etcd has forgotten");
    }
}
