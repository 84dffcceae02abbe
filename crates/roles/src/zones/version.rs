//! The version of a zone that is answered, and when there is a next one.
//!
//! Always holds: the same contents have the same version, over a restart too; a version that others have had longer than their refresh
//! time is given anew where several servers answer for the zone, so that a serial that one of them gave in error does not stay for ever.

use std::collections::HashSet;
use std::sync::Arc;

use directory::topology::Server;
use directory::zone::Zone;
use dns::contents::{Contents, Record, Set, Why};
use dns::octets;
use dns::serial::{self, Seat};
use dns::zones::Served;
use metrics::gauge;
use tracing::{info, warn};

use super::kept::Kept;

/// A version.
pub struct Version {
    pub contents: Contents,
    pub zone: Arc<dns::zone::Zone>,
    rules: Arc<dns::zones::Rules>,
    digest: String,
    /// When it was made, in seconds since 1970.
    made_s: u64,
}

impl Version {
    /// The version after `known`, if the contents are others. `kept` is what was used last, in this life or an earlier one.
    pub fn next(
        known: Option<&Version>,
        contents: Contents,
        seat: Seat,
        now_s: u64,
        kept: Option<&Kept>,
    ) -> Option<Version> {
        let is_old =
            |made_s: u64| seat.count > 1 && now_s.saturating_sub(made_s) >= u64::from(contents.zone.timers.refresh_s);
        if known.is_some_and(|known| known.contents == contents && !is_old(known.made_s)) {
            return None;
        }
        let (origin, ttl_s) = (octets::name(&contents.zone.name), contents.zone.ttl_s);
        let sets = octets::record_sets(&contents);
        let digest = dns::zone::digest(ttl_s, &octets::soa(&contents.zone, 0), &sets);
        let rules = Arc::new(super::rules(&contents.zone));
        // Other reasons or other rules, and the same answers.
        let same = kept.filter(|kept| kept.digest == digest && !is_old(kept.made_s));
        if let (Some(known), Some(_)) = (known.filter(|known| known.digest == digest), same) {
            let (zone, made_s) = (known.zone.clone(), known.made_s);
            return Some(Version { contents, zone, rules, digest, made_s });
        }
        let (serial, made_s) = match same {
            Some(kept) => (kept.serial, kept.made_s),
            None => (serial::next(kept.map(|kept| kept.serial), now_s, seat), now_s),
        };
        let zone = dns::zone::Zone::new(&origin, ttl_s, &octets::soa(&contents.zone, serial), sets);
        let zone = Arc::new(match known {
            Some(known) => zone.after(&known.zone),
            None => zone,
        });
        Some(Version { contents, zone, rules, digest, made_s })
    }

    /// What must not be forgotten.
    pub fn kept(&self) -> Kept {
        Kept { serial: self.zone.serial(), digest: self.digest.clone(), made_s: self.made_s }
    }

    /// For the server.
    pub fn served(&self) -> Served {
        Served { zone: self.zone.clone(), rules: self.rules.clone() }
    }

    /// Says what has changed since `before`.
    pub fn say(&self, before: Option<&Version>) {
        let (name, serial) = (&self.contents.zone.name, self.zone.serial());
        let all_down = all_down(&self.contents).count();
        let label = name.to_string();
        gauge!("posthouse_dns_zone_serial", "zone" => label.clone()).set(f64::from(serial));
        gauge!("posthouse_dns_zone_all_down", "zone" => label).set(if all_down > 0 { 1.0 } else { 0.0 });
        let Some(before) = before else {
            info!(zone = %name, serial, records = self.zone.record_count(), "the zone is answered");
            return;
        };
        if before.zone.serial() != serial {
            info!(zone = %name, serial, records = self.zone.record_count(), "the zone has changed");
        }
        let mut turns = self.contents.sets.iter().flat_map(|set| turned(set, &before.contents));
        for (set, record) in turns.by_ref().take(SAID_MAX) {
            let verb = if record.stands { "answers again" } else { "answers no more" };
            info!(zone = %name, "{verb} {} {} {}: {}", set.name, set.kind.word(), record.data, record.why);
        }
        for set in self::all_down(&self.contents) {
            let was = self::all_down(&before.contents).any(|one| one.name == set.name && one.kind == set.kind);
            if !was {
                let reasons: Vec<String> = set.records.iter().map(|record| record.why.to_string()).collect();
                warn!(
                    zone = %name,
                    "nothing that {} {} hangs on takes mail: all of them are answered, so that senders find somebody as soon as one does ({})",
                    set.name, set.kind.word(), reasons.join(", ")
                );
            }
        }
        if all_down == 0 && self::all_down(&before.contents).next().is_some() {
            info!(zone = %name, "each name of the zone has somebody again");
        }
    }
}

/// The sets that are answered though nothing behind them is up. A host that is down is none of them while no MX or SRV record leads
/// there: its name is answered to whoever asks for it, and nobody is sent.
pub fn all_down(contents: &Contents) -> impl Iterator<Item = &Set> {
    let withheld = contents.sets.iter().flat_map(|set| &set.records).filter(|record| !record.stands);
    let hosts: HashSet<&str> = withheld.filter_map(|record| record.data.target()).collect();
    contents.all_down().filter(move |set| !hosts.contains(&*set.name))
}

/// Records whose standing is another one than before.
fn turned<'s>(set: &'s Set, before: &Contents) -> Vec<(&'s Set, &'s Record)> {
    let Some(before) = before.set(&set.name, set.kind) else { return Vec::new() };
    let stood = |record: &Record| before.records.iter().find(|one| one.data == record.data).map(|one| one.stands);
    let is_turned = |record: &&Record| stood(record).is_some_and(|stood| stood != record.stands);
    let is_known = |record: &&Record| !matches!(record.why, Why::Unknown(_));
    set.records.iter().filter(is_turned).filter(is_known).map(|record| (set, record)).collect()
}

/// Which of the servers of a zone we are: their order is that of their names, so all of them find the same.
pub fn seat(me: &str, zone: &Zone, servers: &[Arc<Server>]) -> Seat {
    let mut names: Vec<&str> = match &zone.servers {
        Some(written) => written.iter().map(|name| &**name).collect(),
        None => servers.iter().map(|server| &*server.name).chain([me]).collect(),
    };
    names.sort_unstable();
    names.dedup();
    let number = names.iter().position(|name| *name == me).unwrap_or_default();
    Seat { number: number as u32, count: names.len().max(1) as u32 }
}

/// Lines about one change.
const SAID_MAX: usize = 20;
