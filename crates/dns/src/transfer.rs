//! Copies of zones for secondaries: whole (AXFR, RFC 5936) or only what changed (IXFR, RFC 1995).
//!
//! Owns what is sent, message by message. Knows no socket. Always holds: one copy is of one version, whatever is published meanwhile.

use std::net::IpAddr;
use std::sync::Arc;

use crate::answer::{Transfer, begin};
use crate::history::Change;
use crate::record::{Kind, RecordSet};
use crate::serial::is_newer;
use crate::tsig::{Chain, TSIG_MAX};
use crate::wire::message::{skip_name, u32_at};
use crate::wire::{Rcode, Section, Writer};
use crate::zone::Zone;
use crate::zones::Zones;

/// A copy that is being sent.
pub struct Sending {
    zone: Arc<Zone>,
    message: Box<[u8]>,
    question_end: usize,
    chain: Option<Chain>,
    /// What is sent how.
    what: What,
    /// The next part, and the next record of it.
    next: (usize, usize),
}

/// What a secondary gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The whole zone.
    Whole,
    /// What changed since the version that it has.
    Changes {
        /// The first change, of those that are remembered.
        first: usize,
    },
    /// It has what there is.
    Nothing,
}

/// How a wish for a copy is answered.
pub enum Granted {
    /// With these messages.
    Copy(Box<Sending>),
    /// Not at all; the answer says why.
    No(Rcode, Vec<u8>),
}

/// Looks at a wish for a copy that came from `from`.
pub fn grant(zones: &Zones, message: &[u8], wish: Transfer, from: IpAddr, now_s: u64) -> Granted {
    let Transfer { query, mut chain } = wish;
    let served = zones.of(query.name(), Kind::SOA).filter(|served| *served.zone.key() == *query.name());
    let key = chain.as_ref().map(|chain| chain.key().name());
    let refused = match served {
        None => Rcode::NotAuth,
        Some(served) if !served.rules.may_transfer(from, key) => Rcode::Refused,
        Some(served) => {
            let zone = served.zone.clone();
            let what = what(&zone, message, &query.soa, query.kind);
            let message = message[..query.end].into();
            let next = (0, 0);
            return Granted::Copy(Box::new(Sending { zone, message, question_end: query.end, chain, what, next }));
        }
    };
    let mut out = Vec::new();
    begin(message, Some(query.end), refused, &mut out);
    if let Some(chain) = &mut chain {
        chain.sign(&mut out, now_s);
    }
    Granted::No(refused, out)
}

/// What to send to whoever has the version that the SOA in the message says.
fn what(zone: &Zone, message: &[u8], soa: &Option<usize>, kind: Kind) -> What {
    let serial = || {
        let primary_end = skip_name(message, (*soa)?)?;
        u32_at(message, skip_name(message, primary_end)?)
    };
    match serial().filter(|_| kind == Kind::IXFR) {
        None => What::Whole,
        Some(serial) if !is_newer(zone.serial(), serial) => What::Nothing,
        Some(serial) => match zone.history().since(serial) {
            Some(changes) => What::Changes { first: zone.history().len() - changes.len() },
            None => What::Whole,
        },
    }
}

impl Sending {
    /// What is sent.
    pub fn what(&self) -> What {
        self.what
    }

    /// The zone, as people write it.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Appends the next message. `false`: there is none, all was sent.
    pub fn next(&mut self, now_s: u64, out: &mut Vec<u8>) -> bool {
        let mut message = Vec::new();
        begin(&self.message, Some(self.question_end), Rcode::NoError, &mut message);
        message[2] |= 4;
        let mut writer = Writer::after_question(&mut message, 0, MESSAGE_MAX);
        let empty = writer.len();
        let (mut part, mut record) = self.next;
        'full: while let Some(set) = self.part(part) {
            while let Some(data) = set.data.get(record) {
                let is_put = writer.record(Section::Answer, set.owner.wire(), set.ttl_s, data);
                // One that fits into no message would stop all; sets are checked before they get into a zone.
                if !is_put && writer.len() > empty {
                    break 'full;
                }
                record += 1;
            }
            (part, record) = (part + 1, 0);
        }
        if writer.len() == empty {
            return false;
        }
        self.next = (part, record);
        if let Some(chain) = &mut self.chain {
            chain.sign(&mut message, now_s);
        }
        out.extend(message);
        true
    }

    /// The parts in order: sets of records.
    fn part(&self, number: usize) -> Option<&RecordSet> {
        let zone = &*self.zone;
        let soa = |is_there: bool| is_there.then(|| &**zone.soa());
        match self.what {
            What::Nothing => soa(number == 0),
            What::Whole if number == 0 => soa(true),
            What::Whole => match zone.sets().get(number - 1) {
                Some(set) => Some(set),
                None => soa(number == zone.sets().len() + 1),
            },
            What::Changes { .. } if number == 0 => soa(true),
            What::Changes { first } => {
                let mut left = number - 1;
                for change in zone.history().from(first) {
                    match part_of(change, left) {
                        Ok(set) => return Some(set),
                        Err(rest) => left = rest,
                    }
                }
                soa(left == 0)
            }
        }
    }
}

/// Part `number` of a change; the error says how many parts are left behind it.
fn part_of(change: &Change, number: usize) -> Result<&RecordSet, usize> {
    let Change { from, to, removed, added, .. } = change;
    match number {
        0 => Ok(from),
        n if n <= removed.len() => Ok(&removed[n - 1]),
        n if n == removed.len() + 1 => Ok(to),
        n => {
            let number = n - removed.len() - 2;
            added.get(number).ok_or_else(|| number - added.len())
        }
    }
}

/// Octets of a message at most, with room for a signature.
const MESSAGE_MAX: usize = 60_000 - TSIG_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::record::{Data, Soa};
    use crate::wire::message::{place_at, questions_end};
    use crate::zones::{Rules, Served};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// A zone in which these hosts have one address each.
    fn zone(serial: u32, hosts: &BTreeSet<u8>) -> Zone {
        let (primary, responsible) = (name("a"), name("b"));
        let soa = Soa { primary, responsible, serial, refresh_s: 1, retry_s: 1, expire_s: 1, negative_s: 1 };
        let set = |host: &u8| RecordSet {
            owner: name(&format!("h{}.example", host / 3)),
            kind: Kind::A,
            ttl_s: 300,
            data: hosts
                .iter()
                .filter(|one| *one / 3 == host / 3)
                .map(|one| Data::address([192, 0, 2, *one].into()))
                .collect(),
        };
        Zone::new(&name("example"), 300, &soa, hosts.iter().map(set).collect())
    }

    /// What a secondary is sent that has `serial`: SOAs as `Err(serial)`, addresses as `Ok`.
    fn sent(zone: Zone, serial: Option<u32>) -> Vec<Result<u8, u32>> {
        let kind = if serial.is_some() { Kind::IXFR } else { Kind::AXFR };
        let mut message = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, u8::from(serial.is_some()), 0, 0];
        crate::wire::question(&mut message, name("example").wire(), kind);
        if let Some(serial) = serial {
            message.extend(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
            message.extend(serial.to_be_bytes());
            message.extend([0; 16]);
        }
        let rules = Rules {
            transfer_allowed: directory::Ranges(vec![directory::IpRange::parse("::1").unwrap()]),
            ..Rules::default()
        };
        let zones = Zones::new([Served { zone: Arc::new(zone), rules: Arc::new(rules) }]);
        let query = crate::wire::read_query(&message).unwrap();
        let Granted::Copy(mut sending) =
            grant(&zones, &message, Transfer { query, chain: None }, "::1".parse().unwrap(), 0)
        else {
            panic!("it may");
        };
        let (mut records, mut out) = (Vec::new(), Vec::new());
        while sending.next(0, &mut out) {
            let mut at = questions_end(&out).unwrap();
            while at < out.len() {
                let place = place_at(&out, at).unwrap();
                at = place.end;
                records.push(match place.kind {
                    Kind::SOA => Err(u32_at(&out, place.end - 20).unwrap()),
                    _ => Ok(out[place.end - 1]),
                });
            }
            out.clear();
        }
        records
    }

    proptest! {
        /// A secondary that has any earlier version and takes what it is sent has what the primary has.
        #[test]
        fn changes_lead_to_the_zone(versions in prop::collection::vec(prop::collection::btree_set(0u8..30, 0..20), 1..6)) {
            let mut serials = (1u32..).zip(&versions);
            let mut last = serials.next().map(|(serial, hosts)| zone(serial, hosts)).unwrap();
            for (serial, hosts) in serials {
                last = zone(serial, hosts).after(&last);
            }
            let now = versions.len() as u32;
            let wanted = versions.last().unwrap();
            let remade = || (1u32..).zip(&versions).fold(None, |before: Option<Zone>, (serial, hosts)| {
                let zone = zone(serial, hosts);
                Some(match before { Some(before) => zone.after(&before), None => zone })
            }).unwrap();
            let whole = sent(last, None);
            prop_assert_eq!((whole.first(), whole.last()), (Some(&Err(now)), Some(&Err(now))));
            let hosts: BTreeSet<u8> = whole.iter().filter_map(|record| record.ok()).collect();
            prop_assert_eq!(&hosts, wanted);
            prop_assert_eq!(sent(remade(), Some(now)), vec![Err(now)], "it has what there is");
            for (serial, hosts) in (1u32..now).zip(&versions) {
                let changes = sent(remade(), Some(serial));
                prop_assert_eq!((changes.first(), changes.last()), (Some(&Err(now)), Some(&Err(now))));
                let (mut have, mut at, mut removing) = (hosts.clone(), serial, false);
                for record in &changes[1..changes.len() - 1] {
                    match *record {
                        Err(soa) if removing => (at, removing) = (soa, false),
                        Err(soa) => {
                            prop_assert_eq!(soa, at);
                            removing = true;
                        }
                        Ok(host) if removing => prop_assert!(have.remove(&host)),
                        Ok(host) => prop_assert!(have.insert(host)),
                    }
                }
                prop_assert_eq!((at, &have), (now, wanted));
            }
        }
    }
}
