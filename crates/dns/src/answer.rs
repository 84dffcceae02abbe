//! What a message is answered with.
//!
//! Owns the answers of an authoritative server (RFC 1034, 1035, 2308, 6604, 6891, 8482, 9471). Knows no socket and no clock. Always
//! holds: an answer over UDP is not longer than the asker can take, nor than [`UDP_MAX`]; what did not fit is said with TC; what is
//! not ours is REFUSED without a record.

use std::net::IpAddr;

use crate::name::suffixes;
use crate::ready::{Body, Turn, in_turn};
use crate::record::{Data, Kind, RecordSet};
use crate::tsig::{Chain, Refusal, TSIG_MAX, Verdict, verify_request};
use crate::wire::{CLASS_IN, HEADER, Query, Rcode, Section, Unread, Writer, read_query};
use crate::zone::{Found, Node, Zone};
use crate::zones::{Served, Zones};

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// In a datagram: anybody may have written the sender's address.
    Udp,
    /// Over a connection.
    Tcp,
}

/// What became of a message.
pub enum Outcome {
    /// It gets no answer.
    Silent,
    /// The answer was appended.
    Answered(Answered),
    /// It asks for a copy of a zone over TCP; the transfer answers.
    Transfer(Box<Transfer>),
}

/// An answer, for whoever counts and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What was asked for, if that could be read.
    pub kind: Option<Kind>,
    /// How it was answered.
    pub rcode: Rcode,
    /// Answers with the same number count as the same for the rate: the name and kind, or the zone that has no such thing.
    pub same: u64,
}

/// A wish for a copy of a zone.
pub struct Transfer {
    /// The question.
    pub query: Query,
    /// What it was signed with.
    pub chain: Option<Chain>,
}

/// Answers one message that came from `from`; `now_s` is asked only where there is a signature. The answer is appended to `out`.
pub fn answer(
    zones: &Zones,
    message: &[u8],
    from: IpAddr,
    via: Via,
    now_s: impl FnOnce() -> u64,
    out: &mut Vec<u8>,
) -> Outcome {
    let query = match read_query(message) {
        Ok(query) => query,
        Err(Unread::Silent) => return Outcome::Silent,
        Err(Unread::Format(end)) => return refuse(message, end, Rcode::FormErr, out),
        Err(Unread::Other(_)) => return refuse(message, None, Rcode::NotImp, out),
    };
    let asked = Asked { zones, message, query: &query, from, via };
    let Some(at) = query.tsig else {
        if via == Via::Tcp && is_transfer(query.kind) {
            return Outcome::Transfer(Box::new(Transfer { query, chain: None }));
        }
        return Outcome::Answered(asked.answer(None, out));
    };
    let now_s = now_s();
    match verify_request(message, at, |name| zones.key(name), now_s) {
        Verdict::Good(chain) if via == Via::Tcp && is_transfer(query.kind) => {
            Outcome::Transfer(Box::new(Transfer { query, chain: Some(chain) }))
        }
        Verdict::Good(mut chain) => {
            let start = out.len();
            let answered = asked.answer(Some(&chain), out);
            let mut signed = out.split_off(start);
            chain.sign(&mut signed, now_s);
            out.extend(signed);
            Outcome::Answered(answered)
        }
        Verdict::Bad(refusal) => Outcome::Answered(unsigned(&asked, &refusal, now_s, out)),
        Verdict::Unreadable => refuse(message, Some(query.end), Rcode::FormErr, out),
    }
}

fn is_transfer(kind: Kind) -> bool {
    matches!(kind, Kind::AXFR | Kind::IXFR)
}

/// A message that is no question that we read.
fn refuse(message: &[u8], question_end: Option<usize>, rcode: Rcode, out: &mut Vec<u8>) -> Outcome {
    begin(message, question_end, rcode, out);
    Outcome::Answered(Answered { kind: None, rcode, same: 0 })
}

/// A signature that does not count (RFC 8945, 5.2).
fn unsigned(asked: &Asked<'_>, refusal: &Refusal, now_s: u64, out: &mut Vec<u8>) -> Answered {
    let start = out.len();
    begin(asked.message, Some(asked.query.end), Rcode::NotAuth, out);
    let mut signed = out.split_off(start);
    refusal.append(&mut signed, now_s);
    out.extend(signed);
    Answered { kind: Some(asked.query.kind), rcode: Rcode::NotAuth, same: 0 }
}

/// In the place of an answer: "ask over TCP". For a question that was read before.
pub fn ask_over_tcp(message: &[u8], out: &mut Vec<u8>) {
    if let Ok(query) = read_query(message) {
        let start = out.len();
        begin(message, Some(query.end), Rcode::NoError, out);
        out[start + 2] |= TRUNCATED;
    }
}

/// Header and question of an answer; without a question if it could not be read.
pub(crate) fn begin(message: &[u8], question_end: Option<usize>, rcode: Rcode, out: &mut Vec<u8>) {
    let question = question_end.map_or(&[][..], |end| &message[HEADER..end]);
    // The opcode and "recursion desired" come back as they were; "checking disabled" too (RFC 4035, 3.2.2).
    out.extend([message[0], message[1], 0x80 | message[2] & 0x79, message[3] & 0x10 | rcode as u8 & 15]);
    out.extend([0, u8::from(question_end.is_some()), 0, 0, 0, 0, 0, 0]);
    out.extend(question);
}

struct Asked<'a> {
    zones: &'a Zones,
    message: &'a [u8],
    query: &'a Query,
    from: IpAddr,
    via: Via,
}

impl Asked<'_> {
    /// Appends the answer but for its signature.
    fn answer(&self, chain: Option<&Chain>, out: &mut Vec<u8>) -> Answered {
        let (start, query) = (out.len(), self.query);
        begin(self.message, Some(query.end), Rcode::NoError, out);
        let room = self.room(chain.is_some());
        let (rcode, same) = self.fill(chain, Reply { out, start, room });
        let header = &mut out[start..];
        header[3] |= rcode as u8 & 15;
        if let Some(edns) = query.edns {
            header[11] += 1;
            let [high, low] = UDP_MAX.to_be_bytes();
            let wants_dnssec = if edns.wants_dnssec { 0x80 } else { 0 };
            out.extend([0, 0, Kind::OPT.0 as u8, high, low, (rcode as u16 >> 4) as u8, 0, wants_dnssec, 0, 0, 0]);
        }
        Answered { kind: Some(query.kind), rcode, same }
    }

    /// Octets that header, question and records may have.
    fn room(&self, is_signed: bool) -> usize {
        let whole = match (self.via, self.query.edns) {
            (Via::Tcp, _) => usize::from(u16::MAX),
            (Via::Udp, None) => UDP_MIN,
            (Via::Udp, Some(edns)) => usize::from(edns.size.min(UDP_MAX)).max(UDP_MIN),
        };
        let edns = if self.query.edns.is_some() { OPT_LEN } else { 0 };
        whole - edns - if is_signed { TSIG_MAX } else { 0 }
    }

    fn fill(&self, chain: Option<&Chain>, mut reply: Reply<'_>) -> (Rcode, u64) {
        let query = self.query;
        if query.edns.is_some_and(|edns| edns.version != 0) {
            return (Rcode::BadVers, 0);
        }
        if query.class != CLASS_IN {
            return (Rcode::Refused, 0);
        }
        // Types that only ever stand in questions; those that we know are below.
        if matches!(query.kind.0, 128..=254) && !is_transfer(query.kind) || query.kind == Kind::OPT {
            return (Rcode::NotImp, 0);
        }
        let Some(served) = self.zones.of(query.name(), query.kind) else { return (Rcode::Refused, 0) };
        if is_transfer(query.kind) {
            return self.transfer(served, chain, reply);
        }
        let zone = &*served.zone;
        reply.header()[2] |= AUTHORITATIVE;
        match zone.find(query.name(), query.kind) {
            Found::Node { node, is_exact: true } => match node.get(query.kind) {
                Some(stored) => {
                    reply.put(stored.ready.next());
                    (Rcode::NoError, same(query.name(), query.kind))
                }
                None => self.search(reply, zone, Found::Node { node, is_exact: true }),
            },
            found => self.search(reply, zone, found),
        }
    }

    /// A copy over UDP: of AXFR there is none (RFC 5936, 4.2), and IXFR is told the version there is (RFC 1995, 2).
    fn transfer(&self, served: &Served, chain: Option<&Chain>, mut reply: Reply<'_>) -> (Rcode, u64) {
        let zone = &*served.zone;
        if *zone.key() != *self.query.name() {
            return (Rcode::NotAuth, 0);
        }
        if !served.rules.may_transfer(self.from, chain.map(|chain| chain.key().name())) {
            return (Rcode::Refused, 0);
        }
        if self.query.kind == Kind::AXFR {
            return (Rcode::FormErr, 0);
        }
        reply.header()[2] |= AUTHORITATIVE;
        let mut writer = reply.writer();
        put(&mut writer, Section::Answer, Owner::Question, zone.soa(), 0);
        (Rcode::NoError, same(zone.key(), Kind::IXFR))
    }

    /// An answer that is not prepared: aliases, wildcards, delegations, and what is not there.
    fn search(&self, mut reply: Reply<'_>, zone: &Zone, found: Found<'_>) -> (Rcode, u64) {
        let kind = self.query.kind;
        let mut writer = reply.writer();
        let (mut zone, mut found) = (zone, found);
        // The name that is looked for now: first that of the question, then what aliases lead to.
        let mut alias: Option<Vec<u8>> = None;
        let mut rcode = Rcode::NoError;
        let mut whole = true;
        for _ in 0..ALIASES_MAX {
            let owner = alias.as_deref().map_or(Owner::Question, Owner::Name);
            let node = match found {
                Found::Node { node, .. } => node,
                Found::Cut(cut) => {
                    whole &= referral(&mut writer, zone, cut);
                    if alias.is_none() {
                        reply.header()[2] &= !AUTHORITATIVE;
                    }
                    break;
                }
                Found::NoName => {
                    rcode = Rcode::NxDomain;
                    negative(&mut writer, zone);
                    break;
                }
            };
            let Some(target) = put_node(&mut writer, zone, node, owner, kind, &mut whole) else { break };
            let target = target.to_ascii_lowercase();
            let Some(served) = self.zones.of(&target, kind) else { break };
            (zone, found) = (&served.zone, served.zone.find(&target, kind));
            alias = Some(target);
        }
        if !whole {
            reply.truncate();
        }
        // All names that are not there count as one for the rate, as do all that are below one delegation.
        let imputed = if rcode == Rcode::NoError && zone.key().len() < self.query.name().len() {
            self.query.name()
        } else {
            zone.key()
        };
        (rcode, same(imputed, kind))
    }
}

/// What a node has of a kind; the target of its alias, if that is what it has. `whole` becomes false if something did not fit.
fn put_node<'n>(
    writer: &mut Writer<'_>,
    zone: &Zone,
    node: &'n Node,
    owner: Owner<'_>,
    kind: Kind,
    whole: &mut bool,
) -> Option<&'n [u8]> {
    if let Some(stored) = node.get(kind) {
        let turn = stored.ready.turn();
        *whole &= put(writer, Section::Answer, owner, &stored.set, turn.record);
        additional(writer, zone, &stored.set, turn);
        return None;
    }
    if let Some(stored) = node.get(Kind::CNAME) {
        *whole &= put(writer, Section::Answer, owner, &stored.set, 0);
        return stored.set.data.first().and_then(Data::alias).filter(|_| kind != Kind::ANY);
    }
    if kind == Kind::ANY && !node.is_empty() {
        // RFC 8482, 4.2: who asks for everything gets a word, and no weapon.
        let data = Data::strings(Kind::HINFO, [&b"RFC8482"[..], b""]);
        *whole &= owner.record(writer, Section::Answer, ANY_TTL_S, &data);
        return None;
    }
    negative(writer, zone);
    None
}

/// "There is none", and for how long that may be kept (RFC 2308).
fn negative(writer: &mut Writer<'_>, zone: &Zone) {
    for data in &zone.soa().data {
        writer.record(Section::Authority, zone.origin().wire(), zone.negative_s(), data);
    }
}

/// Who answers for what is delegated, with the addresses without which nobody finds them (RFC 9471).
fn referral(writer: &mut Writer<'_>, zone: &Zone, cut: &RecordSet) -> bool {
    let mut whole = put(writer, Section::Authority, Owner::Name(cut.owner.wire()), cut, 0);
    let below = cut.owner.key();
    for host in cut.data.iter().filter_map(Data::target) {
        let is_needed = suffixes(host).any(|above| above.eq_ignore_ascii_case(&below));
        for set in zone.addresses(host) {
            let is_put = put(writer, Section::Additional, Owner::Name(set.owner.wire()), set, 0);
            whole &= is_put || !is_needed;
        }
    }
    whole
}

/// The addresses of the hosts that a set names, as far as they fit.
fn additional(writer: &mut Writer<'_>, zone: &Zone, set: &RecordSet, turn: Turn) {
    for host in in_turn(&set.data, turn.record).filter_map(Data::target) {
        for set in zone.addresses(host) {
            if !put(writer, Section::Additional, Owner::Name(set.owner.wire()), set, turn.address) {
                return;
            }
        }
    }
}

/// Whose records are written.
#[derive(Clone, Copy)]
enum Owner<'o> {
    Question,
    Name(&'o [u8]),
}

impl Owner<'_> {
    fn record(self, writer: &mut Writer<'_>, section: Section, ttl_s: u32, data: &Data) -> bool {
        match self {
            Owner::Question => writer.record_of_question(section, ttl_s, data),
            Owner::Name(owner) => writer.record(section, owner, ttl_s, data),
        }
    }
}

/// A set, whole or `false`.
fn put(writer: &mut Writer<'_>, section: Section, owner: Owner<'_>, set: &RecordSet, turn: usize) -> bool {
    in_turn(&set.data, turn).all(|data| owner.record(writer, section, set.ttl_s, data))
}

/// An answer in the making: it begins at `start` of `out` and has header and question.
struct Reply<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    room: usize,
}

impl Reply<'_> {
    fn header(&mut self) -> &mut [u8] {
        &mut self.out[self.start..self.start + HEADER]
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer::after_question(self.out, self.start, self.room)
    }

    /// Appends prepared octets: all of them, or only the answer, or none with TC.
    fn put(&mut self, body: &Body) {
        let room = self.room.saturating_sub(self.out.len() - self.start);
        let (octets, answers, additional) = if body.octets.len() <= room {
            (&*body.octets, body.answers, body.additional)
        } else if body.answers_end <= room {
            (&body.octets[..body.answers_end], body.answers, 0)
        } else {
            return self.truncate();
        };
        self.out.extend(octets);
        let header = self.header();
        header[6..8].copy_from_slice(&answers.to_be_bytes());
        header[10..12].copy_from_slice(&additional.to_be_bytes());
    }

    /// Nothing but the question: ask over TCP.
    fn truncate(&mut self) {
        let mut end = HEADER;
        while let Some(&length @ 1..=63) = self.out.get(self.start + end) {
            end += 1 + usize::from(length);
        }
        self.out.truncate(self.start + end + 5);
        let header = self.header();
        header[2] |= TRUNCATED;
        header[6..12].fill(0);
    }
}

/// A number for what is the same answer.
fn same(name: &[u8], kind: Kind) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ u64::from(kind.0);
    // FNV-1a: it is mixed with a secret before it decides anything.
    name.iter().fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Octets of an answer over UDP at most, whatever the asker can take: more may be cut in pieces on the way, and lost (RFC 9715).
pub const UDP_MAX: u16 = 1232;
/// Octets that every asker can take.
const UDP_MIN: usize = 512;
/// Octets of our OPT record.
const OPT_LEN: usize = 11;
/// Aliases that are followed in one answer.
const ALIASES_MAX: usize = 8;
/// "Ask for what you want" may be kept for a day.
const ANY_TTL_S: u32 = 86_400;
const AUTHORITATIVE: u8 = 4;
const TRUNCATED: u8 = 2;

#[cfg(test)]
mod tests;
