//! A simulated etcd: records with revisions, leases that end by the true time, compare-and-swap, requests and answers that are slow,
//! lost, or come after their sender has given up. What it says at each revision is kept: nodes see it late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster::etcd::Granted;
use cluster::ownership::{Answer, HolderChange, Said, Snapshot, Transaction};
use cluster::record::{Holder, JournalName, Member, NodeRecord, Record};
use cluster::view::View;
use world::Chance;
use world::sim::SimChance;

use crate::node::Key;

/// How long a lease lives without a word, in milliseconds.
pub const TTL_MS: u64 = 5_000;

/// What a node asks.
#[derive(Clone, Debug)]
pub enum Question {
    Grant { record: NodeRecord, sent_ms: u64 },
    KeepAlive { id: i64, sent_ms: u64 },
    Txn { key: Key, txn: Transaction },
}

/// What comes back, or does not.
#[derive(Clone, Debug)]
pub enum Reply {
    Granted {
        lease: Granted,
        sent_ms: u64,
    },
    Kept {
        ttl_ms: u64,
        sent_ms: u64,
    },
    LeaseGone,
    Txn {
        key: Key,
        answer: Box<Answer>,
        said: Option<Said>,
    },
    /// A lease's request was not answered in time.
    Silence,
}

/// A question on its way, or its answer.
struct Flight {
    node: usize,
    process: u64,
    question: Question,
    arrives_us: u64,
    reply: Option<(u64, Reply)>,
    decided: bool,
    gives_up_us: u64,
    told: bool,
}

#[derive(Default)]
pub struct Etcd {
    revision: u64,
    truth: View,
    /// What it said, by and by.
    pub history: Vec<Arc<View>>,
    leases: BTreeMap<i64, (u64, String)>,
    next_lease: i64,
    flying: Vec<Flight>,
    /// Nodes that cannot reach it.
    pub cut: BTreeSet<usize>,
    /// It does not run before then.
    pub down_until_us: u64,
    /// Questions and answers take up to so long.
    pub slow_us: u64,
    pub members: Vec<Member>,
    /// Journals of which a taker may have more than it says. It had records of an owner with whose log its copy was not compared yet; or it
    /// died before it opened its copy, and the old owner could write to it once more.
    pub inexact: BTreeSet<JournalName>,
}

impl Etcd {
    pub fn record(&self, name: &JournalName) -> Option<&Record> {
        self.truth.journals.get(name)?.record.as_ref().map(|(_, record)| record)
    }

    pub fn records(&self) -> impl Iterator<Item = (&JournalName, &Record)> {
        let record = |(name, journal)| -> Option<(&JournalName, &Record)> {
            let journal: &cluster::view::Journal = journal;
            Some((name, &journal.record.as_ref()?.1))
        };
        self.truth.journals.iter().filter_map(record)
    }

    /// Records that may be written yet.
    pub fn asked(&self) -> impl Iterator<Item = (&JournalName, &Record)> {
        self.flying.iter().filter(|flight| !flight.decided).filter_map(|flight| match &flight.question {
            Question::Txn { key, txn } => Some((&key.1, txn.record.as_ref()?)),
            _ => None,
        })
    }

    pub fn is_reachable(&self, node: usize, now_us: u64) -> bool {
        !self.cut.contains(&node) && now_us >= self.down_until_us
    }

    /// A node asks something.
    pub fn ask(&mut self, node: usize, process: u64, question: Question, now_us: u64, chance: &SimChance) {
        let far = if chance.below(8) == 0 { self.slow_us } else { 8_000 };
        let arrives_us = now_us + chance.below(far + 1);
        let mut flight = Flight {
            node,
            process,
            question,
            arrives_us,
            reply: None,
            decided: false,
            gives_up_us: now_us + 2_000_000,
            told: false,
        };
        if !self.is_reachable(node, now_us) && chance.below(2) == 0 {
            // It is plain that nobody listens.
            (flight.decided, flight.gives_up_us) = (true, now_us + 300_000);
            if let Question::Txn { key, .. } = &flight.question {
                flight.reply = Some((
                    now_us + 200_000,
                    Reply::Txn { key: key.clone(), answer: Box::new(Answer::NotDone), said: None },
                ));
            }
        }
        self.flying.push(flight);
    }

    /// Lets time pass; gives what arrives, with its node and process.
    pub fn work(&mut self, now_us: u64, chance: &SimChance) -> Vec<(usize, u64, Reply)> {
        if now_us >= self.down_until_us {
            self.expire(now_us);
        }
        let mut flying = std::mem::take(&mut self.flying);
        let mut told = Vec::new();
        flying.sort_by_key(|flight| flight.arrives_us);
        for flight in &mut flying {
            if !flight.decided && flight.arrives_us <= now_us {
                flight.decided = true;
                if self.is_reachable(flight.node, now_us) {
                    let reply = self.decide(&flight.question, flight.node, now_us);
                    let far = if chance.below(8) == 0 { self.slow_us } else { 8_000 };
                    let lost = chance.below(40) == 0 && self.slow_us > 8_000;
                    flight.reply = (!lost).then(|| (now_us + chance.below(far + 1), reply));
                }
            }
            let arrived = flight.reply.as_ref().is_some_and(|(at, _)| *at <= now_us) && !self.cut_off(flight.node);
            if !flight.told && arrived && now_us < flight.gives_up_us {
                flight.told = true;
                if let Some((_, reply)) = flight.reply.take() {
                    told.push((flight.node, flight.process, reply));
                }
            } else if !flight.told && now_us >= flight.gives_up_us {
                flight.told = true;
                let reply = match &flight.question {
                    Question::Txn { key, .. } => {
                        Reply::Txn { key: key.clone(), answer: Box::new(Answer::Open), said: None }
                    }
                    _ => Reply::Silence,
                };
                told.push((flight.node, flight.process, reply));
            }
        }
        flying.retain(|flight| !(flight.told && flight.decided));
        self.flying = flying;
        told
    }

    fn cut_off(&self, node: usize) -> bool {
        self.cut.contains(&node)
    }

    fn decide(&mut self, question: &Question, node: usize, now_us: u64) -> Reply {
        match question {
            Question::Grant { record, sent_ms } => {
                self.next_lease += 1;
                let id = self.next_lease;
                let name = self.members[node].node.clone();
                self.leases.insert(id, (now_us + TTL_MS * 1000, name.clone()));
                self.truth.nodes.insert(name, NodeRecord { process: id as u64, ..record.clone() });
                self.changed();
                Reply::Granted { lease: Granted { id, ttl_ms: TTL_MS }, sent_ms: *sent_ms }
            }
            Question::KeepAlive { id, sent_ms } => match self.leases.get_mut(id) {
                Some((until_us, _)) => {
                    *until_us = now_us + TTL_MS * 1000;
                    Reply::Kept { ttl_ms: TTL_MS, sent_ms: *sent_ms }
                }
                None => Reply::LeaseGone,
            },
            Question::Txn { key, txn } => {
                let answer = self.decide_txn(&key.1, txn, node);
                let said = answer.said(txn.record.clone());
                Reply::Txn { key: key.clone(), answer: Box::new(answer), said }
            }
        }
    }

    fn decide_txn(&mut self, name: &JournalName, txn: &Transaction, node: usize) -> Answer {
        let mut journal = self.truth.journals.get(name).cloned().unwrap_or_default();
        let record_at = journal.record.as_ref().map_or(0, |(at, _)| *at);
        if record_at != txn.record_at || (txn.holder_gone && journal.holder.is_some()) {
            let holder = journal.holder.map(|(lease, _)| lease);
            return Answer::Refused(Snapshot { at: self.revision, record: journal.record, holder });
        }
        if let HolderChange::Under(lease) = txn.holder
            && !self.leases.contains_key(&lease)
        {
            return Answer::NotDone;
        }
        let last = |record: &Record| record.ends.last().map(|end| end.taken);
        if let (Some((_, before)), Some(after)) = (&journal.record, &txn.record)
            && last(before) != last(after)
            && (before.ends.len() == after.ends.len() || last(after).is_some_and(|taken| taken.epoch < before.epoch))
        {
            self.inexact.insert(name.clone());
        }
        let at = self.revision + 1;
        journal.record = txn.record.clone().map(|record| (at, record));
        let epoch = txn.record.as_ref().map_or(0, |record| record.epoch);
        match txn.holder {
            HolderChange::Leave => {}
            HolderChange::Under(lease) => {
                journal.holder = Some((lease, Holder { member: self.members[node].clone(), epoch }));
            }
            HolderChange::Drop => journal.holder = None,
        }
        match journal == cluster::view::Journal::default() {
            true => drop(self.truth.journals.remove(name)),
            false => drop(self.truth.journals.insert(name.clone(), journal)),
        }
        self.changed();
        Answer::Done(self.revision)
    }

    fn expire(&mut self, now_us: u64) {
        let ended = |(id, (until_us, _)): (&i64, &(u64, String))| (*until_us <= now_us).then_some(*id);
        for id in self.leases.iter().filter_map(ended).collect::<Vec<_>>() {
            let Some((_, name)) = self.leases.remove(&id) else { continue };
            if self.truth.nodes.get(&name).is_some_and(|node| node.process == id as u64) {
                self.truth.nodes.remove(&name);
            }
            for journal in self.truth.journals.values_mut() {
                journal.holder.take_if(|(lease, _)| *lease == id);
            }
            self.changed();
        }
    }

    /// It ran again: leases begin anew, as after a change of leader.
    pub fn restart(&mut self, now_us: u64, chance: &SimChance) {
        if chance.below(2) == 0 {
            self.leases.values_mut().for_each(|(until_us, _)| *until_us = now_us + TTL_MS * 1000);
        }
    }

    fn changed(&mut self) {
        self.revision += 1;
        self.truth.at = self.revision;
        self.history.push(Arc::new(self.truth.clone()));
    }
}
