//! Answers prepared as octets: what follows the question when a name is asked for that has the set itself.
//!
//! Owns the turns of equals: each answer begins with another record, and with another address of each host that it names, so that a
//! client that always takes the first spreads over all (behaviours 6.4). Always holds: prepared octets fit behind any question for
//! their name, because its name stands at octet 12 and is as long as the set's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::record::{Data, Kind, RecordSet};
use crate::wire::{HEADER, Section, Writer};

/// The prepared answers of a set, in turn.
#[derive(Debug)]
pub(crate) struct Ready {
    bodies: Box<[Body]>,
    next: AtomicU32,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Body {
    /// Behind the question.
    pub octets: Box<[u8]>,
    /// Where the additional records begin.
    pub answers_end: usize,
    /// Records of the answer.
    pub answers: u16,
    /// Additional records.
    pub additional: u16,
}

/// Which record of a set comes first, and which address of each host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Of the set.
    pub record: usize,
    /// Of each host that it names.
    pub address: usize,
}

impl Ready {
    /// Prepares a set; `addresses` has the sets of a host's addresses.
    pub fn new<'s>(set: &RecordSet, addresses: &dyn Fn(&[u8]) -> &'s [Arc<RecordSet>]) -> Ready {
        let mut hosts = set.data.iter().filter_map(Data::target).flat_map(addresses);
        let (records, others) = (set.data.len().max(1), hosts.by_ref().map(|set| set.data.len()).max().unwrap_or(1));
        let turns = match turns(set.kind) {
            false => 1,
            // Each record first with each address first, as long as that is not too many.
            true => (records * others).min(TURNS_MAX.max(records)),
        };
        let body = |turn| Body::new(set, addresses, Turn { record: turn % records, address: turn / records });
        Ready { bodies: (0..turns).map(body).collect(), next: AtomicU32::new(0) }
    }

    /// The next one.
    pub fn next(&self) -> &Body {
        match &*self.bodies {
            [body] => body,
            bodies => &bodies[self.next.fetch_add(1, Ordering::Relaxed) as usize % bodies.len()],
        }
    }

    /// The next turn, for an answer that is not prepared.
    pub fn turn(&self) -> Turn {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        Turn { record: turn, address: turn / self.bodies.len().max(1) }
    }
}

impl Body {
    fn new<'s>(set: &RecordSet, addresses: &dyn Fn(&[u8]) -> &'s [Arc<RecordSet>], turn: Turn) -> Body {
        let mut message = vec![0; HEADER];
        crate::wire::question(&mut message, set.owner.wire(), set.kind);
        let start = message.len();
        let mut writer = Writer::after_question(&mut message, 0, usize::from(u16::MAX));
        for data in in_turn(&set.data, turn.record) {
            writer.record_of_question(Section::Answer, set.ttl_s, data);
        }
        let answers_end = writer.len() - start;
        let mut named: Vec<&[u8]> = Vec::new();
        for host in in_turn(&set.data, turn.record).filter_map(Data::target) {
            // Two records may name one host (SRV).
            if named.contains(&host) {
                continue;
            }
            named.push(host);
            for set in addresses(host) {
                for data in in_turn(&set.data, turn.address) {
                    writer.record(Section::Additional, set.owner.wire(), set.ttl_s, data);
                }
            }
        }
        let count = |section: Section| {
            let at = section as usize;
            u16::from_be_bytes([message[at], message[at + 1]])
        };
        let (answers, additional) = (count(Section::Answer), count(Section::Additional));
        Body { octets: message[start..].into(), answers_end, answers, additional }
    }
}

/// The records of a set, another one first.
pub(crate) fn in_turn(data: &[Data], turn: usize) -> impl Iterator<Item = &Data> {
    let (end, start) = data.split_at(if data.is_empty() { 0 } else { turn % data.len() });
    start.iter().chain(end)
}

/// Kinds whose records are equals that others choose from.
fn turns(kind: Kind) -> bool {
    matches!(kind, Kind::A | Kind::AAAA | Kind::MX | Kind::NS | Kind::SRV)
}

/// Prepared answers of one set; more records than that have one each.
const TURNS_MAX: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use std::collections::HashMap;

    #[test]
    fn every_record_is_first_equally_often_with_every_address() {
        let name = |text: &str| Name::parse(text).unwrap();
        let hosts = ["mx1.example", "mx2.example", "mx3.example"].map(name);
        let mx = hosts.iter().map(|host| Data::mx(10, host)).collect();
        let set = RecordSet { owner: name("example"), kind: Kind::MX, ttl_s: 300, data: mx };
        let of_host: HashMap<Box<[u8]>, Vec<Arc<RecordSet>>> = (hosts.iter().enumerate())
            .map(|(n, host)| {
                let data = (1..3u8).map(|m| Data::address([192, 0, 2, n as u8 * 2 + m].into())).collect();
                (host.key(), vec![Arc::new(RecordSet { owner: host.clone(), kind: Kind::A, ttl_s: 300, data })])
            })
            .collect();
        let ready = Ready::new(&set, &|host| of_host.get(host).map_or(&[], Vec::as_slice));
        let mut firsts: HashMap<(Vec<u8>, u8), usize> = HashMap::new();
        for _ in 0..60 {
            let body = ready.next();
            assert_eq!((body.answers, body.additional), (3, 6));
            // The label of the first exchange (owner 2, fixed 10, preference 2), and the last octet of the first address.
            let label = body.octets[15..18].to_vec();
            let address = body.octets[body.answers_end + 15];
            *firsts.entry((label, address)).or_default() += 1;
        }
        assert_eq!(firsts.len(), 6, "a client that takes the first of all spreads over all six: {firsts:?}");
        assert!(firsts.values().all(|count| *count == 10), "{firsts:?}");
    }
}
