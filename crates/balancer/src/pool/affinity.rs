//! Which member each client had last. A table of fixed size: a client has four places that it may be in; if all are taken, the one that
//! was unseen for longest goes. Two clients with the same 64 bits of hash share a member, and nothing else happens.

use super::algorithm::client_hash;
use std::net::IpAddr;

/// Clients and their members.
pub struct Table {
    clients_max: u32,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    client: u64,
    /// The member's id and one more; 0 is an empty entry.
    member: u32,
    seen_s: u32,
}

/// Places that one client may be in.
const WAYS: usize = 4;

impl Table {
    /// Room for about `clients_max`: the next power of two.
    pub fn new(clients_max: u32) -> Table {
        let size = (clients_max.max(WAYS as u32) as usize).next_power_of_two();
        Table { clients_max, entries: vec![Entry::default(); size] }
    }

    /// It has the size that is asked for.
    pub fn is_for(&self, clients_max: u32) -> bool {
        self.clients_max == clients_max
    }

    /// The member of a client that was seen less than `timeout_ms` ago.
    pub fn get(&self, now_ms: u64, client: IpAddr, timeout_ms: u64) -> Option<u32> {
        let client = client_hash(client);
        let entry =
            self.entries[self.places(client)].iter().find(|entry| entry.member > 0 && entry.client == client)?;
        let unseen_ms = seconds(now_ms).saturating_sub(entry.seen_s) as u64 * 1_000;
        (unseen_ms < timeout_ms).then(|| entry.member - 1)
    }

    /// The client is with `member` now.
    pub fn put(&mut self, now_ms: u64, client: IpAddr, member: u32) {
        let client = client_hash(client);
        let places = self.places(client);
        let seen_s = seconds(now_ms);
        let entries = &mut self.entries[places];
        let own = entries.iter().position(|entry| entry.member > 0 && entry.client == client);
        let oldest = (0..WAYS).min_by_key(|at| (entries[*at].member > 0, entries[*at].seen_s));
        if let Some(at) = own.or(oldest) {
            entries[at] = Entry { client, member: member.wrapping_add(1), seen_s };
        }
    }

    fn places(&self, client: u64) -> std::ops::Range<usize> {
        let sets = self.entries.len() / WAYS;
        let first = (client as usize & (sets - 1)) * WAYS;
        first..first + WAYS
    }
}

fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
impl Table {
    /// Clients that there is room for.
    pub fn size(&self) -> usize {
        self.entries.len()
    }
}
