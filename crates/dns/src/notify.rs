//! "This zone has changed": what secondaries are told, until they say that they heard it (NOTIFY, RFC 1996).
//!
//! Owns whom to tell again when. Knows no socket: [`Notices::due`] says what to send. Always holds: for one zone and one secondary
//! there is one notice at most, that of the last version; nobody is told more than [`TRIES_MAX`] times of one version.

use std::net::SocketAddr;

use crate::name::Name;
use crate::record::{Data, Kind, RecordSet};
use crate::tsig::{Chain, Key};
use crate::wire::{NOTIFY, Section, Writer, rcode_word};

/// All that secondaries have yet to hear.
#[derive(Default)]
pub struct Notices(Vec<Notice>);

struct Notice {
    zone: Name,
    soa: RecordSet,
    to: SocketAddr,
    key: Option<Key>,
    tries: u32,
    due_ms: u64,
    /// Of the last try, to know its answer by.
    sent: Option<(u16, Option<Chain>)>,
}

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which zone.
    pub zone: Name,
    /// Who.
    pub to: SocketAddr,
    /// Heard, or why not; for the operator.
    pub result: Result<(), String>,
}

impl Notices {
    /// A zone has a new version, with this SOA.
    pub fn add(&mut self, zone: &Name, soa: &RecordSet, to: SocketAddr, key: Option<&Key>, now_ms: u64) {
        self.0.retain(|notice| notice.to != to || notice.zone != *zone);
        let (zone, soa, key) = (zone.clone(), soa.clone(), key.cloned());
        self.0.push(Notice { zone, soa, to, key, tries: 0, due_ms: now_ms, sent: None });
    }

    /// A zone is not ours any more, or has other secondaries.
    pub fn retain(&mut self, is_kept: impl Fn(&Name, SocketAddr) -> bool) {
        self.0.retain(|notice| is_kept(&notice.zone, notice.to));
    }

    /// The messages to send now, and whom nobody hears.
    pub fn due(
        &mut self,
        now_ms: u64,
        now_s: u64,
        mut id: impl FnMut() -> u16,
    ) -> (Vec<(SocketAddr, Vec<u8>)>, Vec<Told>) {
        let (mut messages, mut lost) = (Vec::new(), Vec::new());
        self.0.retain_mut(|notice| {
            if notice.due_ms > now_ms {
                return true;
            }
            if notice.tries == TRIES_MAX {
                let result = Err(format!("no answer to {TRIES_MAX} notices"));
                lost.push(Told { zone: notice.zone.clone(), to: notice.to, result });
                return false;
            }
            messages.push((notice.to, notice.message(id(), now_s)));
            notice.due_ms = now_ms + (TRY_MS << notice.tries);
            notice.tries += 1;
            true
        });
        (messages, lost)
    }

    /// When [`Notices::due`] has something next.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.0.iter().map(|notice| notice.due_ms).min()
    }

    /// An answer came. `None`: it is to nothing that was sent.
    pub fn heard(&mut self, from: SocketAddr, answer: &[u8], now_s: u64) -> Option<Told> {
        let is_answer = answer.len() >= 12 && answer[2] & 0x80 != 0 && answer[2] >> 3 & 15 == NOTIFY;
        let id = is_answer.then(|| u16::from_be_bytes([answer[0], answer[1]]))?;
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let is_it = |notice: &Notice| notice.to == from && notice.sent.as_ref().is_some_and(|(sent, _)| *sent == id);
        let at = self.0.iter().position(is_it)?;
        let chain = self.0[at].sent.as_ref().and_then(|(_, chain)| chain.clone());
        let verified = chain.map_or(Ok(()), |mut chain| chain.verify_answer(&mut answer.to_vec(), now_s));
        let result = match (answer[3] & 15, verified) {
            // The signature counts only where the other side says yes: that it does not know the key it cannot sign.
            (0, verified) => verified,
            (rcode, _) => Err(format!("it answers {}", rcode_word(rcode))),
        };
        let notice = self.0.remove(at);
        Some(Told { zone: notice.zone, to: notice.to, result })
    }
}

impl Notice {
    fn message(&mut self, id: u16, now_s: u64) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        // Opcode NOTIFY, authoritative, one question.
        let mut message = vec![high, low, NOTIFY << 3 | 4, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        crate::wire::question(&mut message, self.zone.wire(), Kind::SOA);
        let mut writer = Writer::after_question(&mut message, 0, 512);
        for data in self.soa.data.iter().filter(|data: &&Data| data.kind() == Kind::SOA) {
            writer.record_of_question(Section::Answer, self.soa.ttl_s, data);
        }
        let chain = self.key.as_ref().map(|key| key.sign_request(&mut message, now_s));
        self.sent = Some((id, chain));
        message
    }
}

/// How often a secondary is told of one version.
pub const TRIES_MAX: u32 = 6;
/// The wait after the first try; twice as long after each further one: a minute in all.
const TRY_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Soa;
    use crate::tsig::Algorithm;

    fn soa(serial: u32) -> (Name, RecordSet) {
        let name = Name::parse("example").unwrap();
        let (primary, responsible) = (name.clone(), name.clone());
        let soa = Soa { primary, responsible, serial, refresh_s: 1, retry_s: 1, expire_s: 1, negative_s: 1 };
        (name.clone(), RecordSet { owner: name, kind: Kind::SOA, ttl_s: 1, data: vec![Data::soa(&soa)] })
    }

    #[test]
    fn told_again_until_heard_or_lost() {
        let (mut notices, (zone, first)) = (Notices::default(), soa(1));
        let [a, b]: [SocketAddr; 2] = ["192.0.2.1:53", "192.0.2.2:53"].map(|text| text.parse().unwrap());
        notices.add(&zone, &first, a, None, 0);
        notices.add(&zone, &first, b, None, 0);
        notices.add(&zone, &soa(2).1, b, None, 0);
        let (sent, lost) = notices.due(0, 0, || 7);
        assert_eq!((sent.len(), lost.len()), (2, 0), "one notice for one secondary");
        assert!(sent[1].1.ends_with(&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]));
        let mut answer = sent[0].1.clone();
        assert_eq!(notices.heard(a, &answer, 0), None, "that is our own");
        answer[2] |= 0x80;
        assert_eq!(notices.heard("192.0.2.9:53".parse().unwrap(), &answer, 0), None, "a stranger");
        assert_eq!(notices.heard(a, &answer, 0), Some(Told { zone: zone.clone(), to: a, result: Ok(()) }));
        let (mut now_ms, mut tries, mut told) = (0, 1, Vec::new());
        while let Some(due_ms) = notices.next_due_ms() {
            assert!(due_ms > now_ms);
            now_ms = due_ms;
            let (sent, lost) = notices.due(now_ms, 0, || 8);
            tries += sent.len() as u32;
            told.extend(lost);
        }
        assert_eq!((tries, now_ms, told.len()), (TRIES_MAX, 63_000, 1));
        assert!(told[0].result.is_err());
    }

    #[test]
    fn an_answer_under_a_key_must_be_signed_with_it() {
        let (mut notices, (zone, soa)) = (Notices::default(), soa(1));
        let to: SocketAddr = "192.0.2.1:53".parse().unwrap();
        let key = Key::new(Name::parse("k").unwrap(), Algorithm::Sha512, b"secret");
        let mut send = || {
            notices.add(&zone, &soa, to, Some(&key), 0);
            notices.due(0, 1_000, || 7).0.remove(0).1
        };
        let message = send();
        let at = crate::wire::message::tsig_at(&message).unwrap();
        let verdict = crate::tsig::verify_request(&message, at, |_| Some(&key), 1_000);
        let crate::tsig::Verdict::Good(mut chain) = verdict else { panic!("our own signature") };
        let mut answer = vec![0, 7, 0x80 | NOTIFY << 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let told = notices.heard(to, &answer, 1_000).unwrap();
        assert!(told.result.unwrap_err().contains("not signed"));
        let mut notices = Notices::default();
        notices.add(&zone, &soa, to, Some(&key), 0);
        let message = notices.due(0, 1_000, || 7).0.remove(0).1;
        let at = crate::wire::message::tsig_at(&message).unwrap();
        if let crate::tsig::Verdict::Good(good) = crate::tsig::verify_request(&message, at, |_| Some(&key), 1_000) {
            chain = good;
        }
        chain.sign(&mut answer, 1_000);
        assert_eq!(notices.heard(to, &answer, 1_000).unwrap().result, Ok(()));
    }
}
