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
        n => added.get(n - removed.len() - 2).ok_or(n - removed.len() - 2 - added.len()),
    }
}

/// Octets of a message at most, with room for a signature.
const MESSAGE_MAX: usize = 60_000 - TSIG_MAX;
