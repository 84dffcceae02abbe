//! Which member a client would get now, and why not the others. Asks as a connection would, and changes nothing.

use super::{Health, Member, Nobody, Pool, Tried};
use directory::Algorithm;
use std::net::IpAddr;
use std::sync::Arc;

/// What a client would get.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The member, or why there is none.
    pub chosen: Result<Arc<str>, Nobody>,
    /// Every member with one line about it, in order of the document.
    pub members: Vec<(Arc<str>, String)>,
}

impl Pool {
    /// Who would get a connection of a client at `source` now.
    pub fn explained(&self, now_ms: u64, source: IpAddr) -> Explained {
        let mut state = self.lock();
        let state = &mut *state;
        let client = state.rules.affinity.client(source);
        let turns: Vec<i64> = state.slots.iter().map(|slot| slot.turn).collect();
        let by = match state.rules.algorithm {
            Algorithm::LeastConnections => {
                "it has the fewest connections for its weight, or is next in turn among those"
            }
            Algorithm::RoundRobin => "it is next in turn",
            Algorithm::SourceHash => "the hash of the client's address says so",
        };
        let found = state.gather(now_ms, &Tried::new(), None, Health::Down).map(|()| {
            state.keep_first_group();
            let able: Vec<usize> = state.candidates.iter().map(|candidate| candidate.slot).collect();
            let sticky = state.sticky(now_ms, client);
            (able, sticky.map(|slot| (slot, "the client was here lately")).or_else(|| Some((state.pick(client)?, by))))
        });
        for (slot, turn) in state.slots.iter_mut().zip(turns) {
            slot.turn = turn;
        }
        let (able, chosen) = match found {
            Ok((able, Some(chosen))) => (able, Ok(chosen)),
            Ok((able, None)) => (able, Err(Nobody::AllDown)),
            Err(why) => (Vec::new(), Err(why)),
        };
        let line = |number: usize, member: &Member| match chosen {
            Ok((slot, why)) if slot == number => format!("gets it: {why}"),
            _ if able.contains(&number) => "could get it; another one comes first".into(),
            _ => obstacle(member, now_ms),
        };
        let members = state.slots.iter().enumerate();
        Explained {
            members: members.map(|(n, slot)| (Arc::clone(&slot.member.name), line(n, &slot.member))).collect(),
            chosen: chosen.map(|(slot, _)| Arc::clone(&state.slots[slot].member.name)),
        }
    }
}

/// Why a member does not come into question.
fn obstacle(member: &Member, now_ms: u64) -> String {
    let because = |what: &str| match member.reason() {
        reason if reason.is_empty() => what.to_string(),
        reason => format!("{what}: {reason}"),
    };
    let left_ms = member.live.ejection.left_ms(now_ms);
    match member.health() {
        _ if member.is_drained() => "is drained by the document".into(),
        Health::Down => because("is down"),
        Health::Draining => because("takes nothing new"),
        _ if left_ms > 0 => format!("is left alone for {} s yet: connections failed there", left_ms.div_ceil(1_000)),
        _ if member.is_full() => format!("has all the connections that it may have ({})", member.active()),
        Health::Unknown => "no probe of it has ended yet".into(),
        Health::Up => format!("is of priority {}: those before it come first", member.priority),
    }
}
