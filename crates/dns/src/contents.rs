//! What stands in a zone now: every record that the document gives, and whether it is answered, with the reason.
//!
//! Owns the choice by health. Knows no probe and no wire: standings come in as values. Always holds: a set that the document gives is
//! never empty because of health; an address of a host that is down is not answered while the name has another one; of two calls with
//! the same values both say the same.

use directory::zone::{Data, Entry, Naming, Origin, Subject, Type, Zone};
use std::fmt;
use std::sync::Arc;

/// What is known of a node, a service or a virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: counts as up only where nothing is known of any other.
    Unknown,
    /// It would take a connection.
    Up,
    /// It would not, for this reason: it is down, draining, or short of something.
    Down(Arc<str>),
}

/// A zone as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Its name and rules.
    pub zone: Arc<Zone>,
    /// In order of [`Naming::entries`]; without the SOA.
    pub sets: Vec<Set>,
}

/// All records of one name and type.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Whose they are.
    pub name: Arc<str>,
    /// Their type.
    pub kind: Type,
    /// Seconds.
    pub ttl_s: u32,
    /// Those that are answered and those that are not.
    pub records: Vec<Record>,
    /// Everything that they hang on is down, so all of them are answered.
    pub all_down: bool,
}

/// One record of a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What it says.
    pub data: Data,
    /// It is answered.
    pub stands: bool,
    /// Why it is, or why not.
    pub why: Why,
    /// The object of the document that it comes from.
    pub from: Origin,
}

/// Why a record is answered, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It hangs on nothing.
    Always,
    /// This is up.
    Up(Subject),
    /// Nothing is known of this yet, nor of the others.
    Unknown(Subject),
    /// This is down, for this reason (or nothing is known of it).
    Down(Subject, Arc<str>),
    /// The same, but so are the others.
    AllDown(Subject, Arc<str>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Always => f.write_str("always"),
            Why::Up(subject) => write!(f, "{subject} is up"),
            Why::Unknown(subject) => write!(f, "nothing is known of {subject} yet"),
            Why::Down(subject, why) => write!(f, "{subject}: {why}"),
            Why::AllDown(subject, why) => write!(f, "{subject}: {why}; nothing else is up either"),
        }
    }
}

impl Contents {
    /// What stands in `zone` by these standings.
    pub fn of(naming: &Naming, zone: &Arc<Zone>, standing: &dyn Fn(&Subject) -> Standing) -> Contents {
        let entries = naming.entries(&zone.name);
        let judged: Vec<Judged<'_>> = entries.iter().map(|entry| judge(entry, standing)).collect();
        let mut sets: Vec<Set> = Vec::new();
        let mut from = 0;
        while from < judged.len() {
            let name = &judged[from].entry.name;
            let count = judged[from..].iter().take_while(|judged| judged.entry.name == *name).count();
            of_name(&judged[from..from + count], &mut sets);
            from += count;
        }
        Contents { zone: Arc::clone(zone), sets }
    }

    /// As the document has it, whoever is healthy.
    pub fn of_document(naming: &Naming, zone: &Arc<Zone>) -> Contents {
        Contents::of(naming, zone, &|_| Standing::Unknown)
    }

    /// The set of a name and type.
    pub fn set(&self, name: &str, kind: Type) -> Option<&Set> {
        self.sets.iter().find(|set| *set.name == *name && set.kind == kind)
    }

    /// Some name is answered with hosts that are all down.
    pub fn all_down(&self) -> impl Iterator<Item = &Set> {
        self.sets.iter().filter(|set| set.all_down)
    }
}

impl Set {
    /// What is answered.
    pub fn standing(&self) -> impl Iterator<Item = &Data> {
        self.records.iter().filter(|record| record.stands).map(|record| &record.data)
    }
}

struct Judged<'e> {
    entry: &'e Entry,
    why: Why,
}

/// What an entry hangs on, by itself: the first that is up, else the first that nothing is known of, else the first.
fn judge<'e>(entry: &'e Entry, standing: &dyn Fn(&Subject) -> Standing) -> Judged<'e> {
    let mut why = Why::Always;
    for subject in &entry.when {
        let next = match standing(subject) {
            Standing::Up => Why::Up(subject.clone()),
            Standing::Unknown => Why::Unknown(subject.clone()),
            Standing::Down(reason) => Why::Down(subject.clone(), reason),
        };
        let is_better = match (&why, &next) {
            (Why::Always, _) => true,
            (Why::Down(..), next) => !matches!(next, Why::Down(..)),
            (Why::Unknown(_), next) => matches!(next, Why::Up(_)),
            _ => false,
        };
        if is_better {
            why = next;
        }
    }
    Judged { entry, why }
}

/// The sets of one name. Its addresses are one group, whatever their family: a client that finds an address of each takes either.
fn of_name(judged: &[Judged<'_>], sets: &mut Vec<Set>) {
    let group = |kind: Type| if kind == Type::Aaaa { Type::A } else { kind };
    for of_set in judged.chunk_by(|a, b| a.entry.data.kind() == b.entry.data.kind()) {
        let kind = of_set[0].entry.data.kind();
        let all = || judged.iter().filter(|one| group(one.entry.data.kind()) == group(kind));
        let some_up = all().any(|one| matches!(one.why, Why::Always | Why::Up(_)));
        let none_known = all().all(|one| matches!(one.why, Why::Unknown(_)));
        let record = |one: &Judged<'_>| {
            let why = match one.why.clone() {
                Why::Unknown(subject) if some_up => Why::Down(subject, NOTHING_KNOWN.into()),
                Why::Unknown(subject) if !none_known => Why::AllDown(subject, NOTHING_KNOWN.into()),
                Why::Down(subject, reason) if !some_up => Why::AllDown(subject, reason),
                why => why,
            };
            let stands = !matches!(why, Why::Down(..));
            Record { data: one.entry.data.clone(), stands, why, from: one.entry.from.clone() }
        };
        sets.push(Set {
            name: Arc::clone(&of_set[0].entry.name),
            kind,
            ttl_s: of_set[0].entry.ttl_s,
            records: of_set.iter().map(record).collect(),
            all_down: !some_up && !none_known,
        });
    }
}

const NOTHING_KNOWN: &str = "nothing is known of it yet";
