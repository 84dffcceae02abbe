//! Who of the candidates gets a connection. Every function is pure but for the turns of [`in_turn`].

use super::slot::Slot;
use std::net::{IpAddr, SocketAddr};

/// A member that may get the connection.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its number in the pool.
    pub slot: usize,
    /// Its weight now, in thousandths; never 0.
    pub weight: u64,
}

/// Keeps those with the fewest connections for their weight. What counts as one is a connection of the lightest of them: a member of
/// three times its weight with two connections is as good as free, or else heavy members would lose their share while there is little to do.
pub fn keep_least(slots: &[Slot], candidates: &mut Vec<Candidate>) {
    let lightest = candidates.iter().map(|candidate| candidate.weight).min().unwrap_or(1);
    let (mut least, mut kept) = (u64::MAX, 0);
    for at in 0..candidates.len() {
        let candidate = candidates[at];
        // The count is read once: connections end meanwhile.
        let load = u64::from(slots[candidate.slot].member.active()) * lightest / candidate.weight;
        if load < least {
            (least, kept) = (load, 0);
        }
        if load == least {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

/// The next one in turn, by weight: every candidate gains its weight, the richest one is taken and pays for all. So the turns of one
/// member lie as far apart as its weight allows.
pub fn in_turn(slots: &mut [Slot], candidates: &[Candidate]) -> Option<usize> {
    let mut best: Option<usize> = None;
    let mut total = 0_i64;
    for candidate in candidates {
        let weight = i64::try_from(candidate.weight).unwrap_or(i64::MAX >> 16);
        slots[candidate.slot].turn += weight;
        total += weight;
        if best.is_none_or(|best| slots[candidate.slot].turn > slots[best].turn) {
            best = Some(candidate.slot);
        }
    }
    slots[best?].turn -= total;
    best
}

/// The member with the highest score for this client (weighted rendezvous hashing): of a member that leaves only its own clients move, and to
/// one that joins only those that it wins. Every balancer with the same members gives the same answer.
pub fn by_hash(slots: &[Slot], candidates: &[Candidate], client: IpAddr) -> Option<usize> {
    let key = client_hash(client);
    let score = |candidate: &Candidate| {
        let hash = mixed(key ^ slots[candidate.slot].member.hash);
        // 53 bits, never 0 and never 1.
        let share = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        candidate.weight as f64 / -share.ln()
    };
    let better = |a: &&Candidate, b: &&Candidate| score(a).total_cmp(&score(b));
    candidates.iter().max_by(better).map(|candidate| candidate.slot)
}

/// What a client is in hashes.
pub fn client_hash(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(v4) => mixed(u64::from(v4.to_bits()) | 4 << 32),
        IpAddr::V6(v6) => mixed(mixed((v6.to_bits() >> 64) as u64) ^ v6.to_bits() as u64),
    }
}

/// What a member is in hashes: its name and its address.
pub fn member_hash(name: &str, address: SocketAddr) -> u64 {
    let of_name = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed(of_name ^ client_hash(address.ip()).rotate_left(17) ^ u64::from(address.port()))
}

/// Every bit of the result depends on every bit of `x` (the finalizer of splitmix64).
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
