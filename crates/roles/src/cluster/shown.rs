//! Owns the cluster as people see it: what etcd shows, what this node remembers, its links, and what the owners said just now, put
//! together. Pure. Always holds: what is not known is left out, and never shown as if it were well.

use std::collections::{BTreeMap, BTreeSet};

use cluster::Announced;
use cluster::record::{JournalName, Record};
use cluster::view::{Journal, View};
use mail::date::rfc3339;

use super::findings;
use super::memory::Memory;
use crate::view::{
    Cluster, ClusterJournal, ClusterNode, Etcd, EtcdEndpoint, JournalCopy, Peer, Report, ReportedJournal,
};

/// What is known.
pub struct Known<'a> {
    /// This node.
    pub me: &'a str,
    /// What etcd shows.
    pub view: &'a View,
    /// Since when.
    pub memory: &'a Memory,
    /// The lease counts.
    pub lease_held: bool,
    /// Whether the others see us.
    pub announced: Announced,
    /// The members of etcd.
    pub endpoints: Vec<EtcdEndpoint>,
    /// The links from here.
    pub links: &'a [Peer],
    /// What nodes said of themselves, by name.
    pub reports: &'a BTreeMap<String, Report>,
}

impl Known<'_> {
    /// All of it, with what is wrong.
    pub fn cluster(self) -> Cluster {
        let mut shown = Cluster {
            node: self.me.into(),
            wrong: Vec::new(),
            etcd: self.etcd(),
            lease: if self.lease_held { "held" } else { "not held" }.into(),
            seen: match self.announced {
                Announced::Under(_) => "yes",
                Announced::No => "no",
                Announced::Clash => "clash",
            }
            .into(),
            nodes: self.names().iter().map(|name| self.node(name)).collect(),
            journals: self.view.journals.iter().filter_map(|(name, journal)| self.journal(name, journal)).collect(),
            unreadable: self.view.unreadable.iter().cloned().collect(),
        };
        shown.wrong = findings::wrong(&shown);
        shown
    }

    fn etcd(&self) -> Etcd {
        Etcd {
            answers: self.view.at > 0 && self.view.silent.is_none(),
            since: rfc3339(self.memory.etcd_since_ms()),
            error: self.view.silent.as_ref().map(ToString::to_string),
            went_back: self.view.went_back,
            endpoints: self.endpoints.clone(),
        }
    }

    /// Nodes that are there, that have left something behind, or that the documents name.
    fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.view.nodes.keys().cloned().collect();
        names.extend(self.links.iter().map(|link| link.name.clone()));
        names.insert(self.me.into());
        for (name, journal) in &self.view.journals {
            if let Some((_, record)) = &journal.record {
                names.extend([name.node.clone(), record.owner.node.clone()]);
            }
        }
        names
    }

    fn node(&self, name: &str) -> ClusterNode {
        let link = self.links.iter().find(|link| link.name == name);
        let report = self.reports.get(name);
        let mut shown = ClusterNode {
            name: name.into(),
            link: (name != self.me).then(|| link.is_some_and(|link| link.connected)),
            link_error: link.filter(|link| !link.connected).and_then(|link| link.last_error.clone()),
            messages: report.map(|report| report.messages),
            gone_since: self.memory.gone_since_ms(name).map(rfc3339),
            ..ClusterNode::default()
        };
        let Some(record) = self.view.nodes.get(name) else {
            shown.address = link.map(|link| link.address.clone()).unwrap_or_default();
            return shown;
        };
        shown.here = true;
        shown.health = report.map_or_else(|| record.health.clone(), |report| report.health.clone());
        shown.disk = format!("{:016x}", record.disk);
        (shown.site, shown.rack) = (record.site.clone(), record.rack.clone());
        (shown.version, shown.address) = (record.version.clone(), record.peer.clone());
        (shown.org, shown.org_refused) = (record.org, record.org_refused.clone());
        shown
    }

    fn journal(&self, name: &JournalName, journal: &Journal) -> Option<ClusterJournal> {
        let (_, record) = journal.record.as_ref()?;
        let text = name.to_string();
        let report = self.reports.get(&record.owner.node);
        let said = report.and_then(|report| report.journals.iter().find(|journal| journal.name == text));
        let takers = record.level.iter().filter(|member| self.view.is_alive(member));
        let last = record.ends.last();
        Some(ClusterJournal {
            state: state_of(name, journal)?.into(),
            owner: record.owner.node.clone(),
            held: is_held(journal, record),
            epoch: record.epoch,
            copies: copies(record, said),
            successor: record.successor.as_ref().map(|successor| successor.member.node.clone()),
            taken_from: last.map(|end| end.owner.node.clone()),
            taken_at: last.map(|end| rfc3339(end.when_ms)),
            messages: said.map(|said| said.messages),
            takers: takers.map(|member| member.node.clone()).collect(),
            name: text,
        })
    }
}

/// A word for what a journal is, one of [`JOURNAL_STATES`]; nothing before its owner has written its record.
pub fn state_of(name: &JournalName, journal: &Journal) -> Option<&'static str> {
    let (_, record) = journal.record.as_ref()?;
    Some(match () {
        () if record.drained => "drained",
        () if !is_held(journal, record) => "orphan",
        () if record.owner.node != name.node => "taken",
        () => "owned",
    })
}

fn is_held(journal: &Journal, record: &Record) -> bool {
    journal.holder.as_ref().is_some_and(|(_, holder)| holder.member == record.owner)
}

/// All that a journal can be.
pub const JOURNAL_STATES: [&str; 4] = ["owned", "taken", "orphan", "drained"];

/// Those that etcd counts, and those that the owner speaks of besides.
fn copies(record: &Record, said: Option<&ReportedJournal>) -> Vec<JournalCopy> {
    let states = said.map(|said| &said.copies[..]).unwrap_or_default();
    let mut holders: Vec<&str> = record.level.iter().map(|member| member.node.as_str()).collect();
    let others = states.iter().map(|state| state.holder.as_str()).filter(|holder| !holders.contains(holder));
    let others: Vec<&str> = others.collect();
    holders.extend(others);
    let copy = |holder: &str| JournalCopy {
        holder: holder.into(),
        in_level_set: record.level.iter().any(|member| member.node == holder),
        state: states.iter().find(|state| state.holder == holder).cloned(),
    };
    holders.into_iter().map(copy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::OwnCopy;
    use cluster::record::{Holder, Member, NodeRecord};

    #[test]
    fn what_is_not_known_is_left_out() {
        let member = |node: &str| Member { node: node.into(), disk: 1 };
        let mut view = View { at: 5, ..View::default() };
        let node = NodeRecord { disk: 1, health: "ready".into(), ..NodeRecord::default() };
        view.nodes = ["n1", "n3"].map(|name| (name.to_string(), node.clone())).into();
        let mut record = Record { epoch: 512, ..Record::new(7, member("n3")) };
        record.level = vec![member("n1")];
        let name = JournalName::parse("n2/spool-7").unwrap();
        let holder = Some((9, Holder { member: member("n3"), epoch: 512 }));
        view.journals.insert(name.clone(), Journal { record: Some((4, record)), holder });
        let memory = Memory::new(0);
        let show = |reports: &BTreeMap<String, Report>| {
            let announced = Announced::Under(1);
            Known {
                me: "n1",
                view: &view,
                memory: &memory,
                lease_held: true,
                announced,
                endpoints: vec![],
                links: &[],
                reports,
            }
            .cluster()
        };
        let shown = show(&BTreeMap::new());
        let names: Vec<(&str, bool)> = shown.nodes.iter().map(|node| (node.name.as_str(), node.here)).collect();
        assert_eq!(names, [("n1", true), ("n2", false), ("n3", true)]);
        let journal = &shown.journals[0];
        assert_eq!((journal.state.as_str(), journal.owner.as_str(), journal.held), ("taken", "n3", true));
        assert_eq!((journal.messages, journal.copies[0].state.clone()), (None, None));
        // Its owner speaks: a copy more, and how they are.
        let copies = ["n1", "n4"].map(|holder| OwnCopy { holder: holder.into(), ..OwnCopy::default() }).into();
        let journals = vec![ReportedJournal { name: name.to_string(), messages: 12, copies }];
        let report = Report { health: "draining".into(), journals, ..Report::default() };
        let shown = show(&BTreeMap::from([("n3".to_string(), report)]));
        let copies: Vec<(&str, bool)> =
            shown.journals[0].copies.iter().map(|copy| (copy.holder.as_str(), copy.in_level_set)).collect();
        assert_eq!(copies, [("n1", true), ("n4", false)]);
        assert_eq!((shown.journals[0].messages, shown.nodes[2].health.as_str()), (Some(12), "draining"));
        assert!(shown.wrong.iter().any(|what| what.contains("12 messages left")), "{:#?}", shown.wrong);
    }
}
