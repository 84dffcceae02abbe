//! Zones that are written to name servers of others: by the verb, and by itself whenever health or the document changes them.
//!
//! Owns when a zone is pushed and which node does it: the first by name of the zone's servers that is up. Knows no wire. Always holds:
//! a push that fails is tried again, ever more slowly, and said once; what others wrote stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use directory::Org;
use directory::zone::{Push, Subject, Zone};
use dns::ask::Server;
use dns::contents::{Contents, Standing, Why};
use dns::octets;
use dns::push::{Outcome, Undone, push};
use dns::record::RecordSet;
use metrics::counter;
use tracing::{debug, info, warn};
use world::World;

use crate::zones::Zones;

/// What became of the pushes of this node.
#[derive(Default)]
pub struct Pushes {
    /// When the first look was, by the monotonic clock.
    begun_ms: OnceLock<u64>,
    zones: Mutex<HashMap<Arc<str>, Pushed>>,
}

/// One zone.
#[derive(Clone, Debug, Default)]
pub struct Pushed {
    /// When it was last as we want it, by the wall clock.
    pub done_ms: Option<u64>,
    /// Why it is not, or what of it stays as others have it.
    pub wrong: Option<String>,
    /// What was pushed then.
    sets: Vec<RecordSet>,
    /// The next look, by the monotonic clock.
    next_ms: u64,
    failures: u32,
}

impl Pushes {
    /// What became of a zone.
    pub fn of(&self, zone: &str) -> Option<Pushed> {
        self.zones().get(zone).cloned()
    }

    /// This node pushes the zone.
    pub fn is_mine(&self, org: &Org, zone: &Zone, zones: &Zones) -> bool {
        let mut candidates: Vec<&str> = match &zone.servers {
            Some(servers) if !servers.is_empty() => servers.iter().map(|server| &**server).collect(),
            _ => org.topology().servers.iter().map(|server| &*server.name).collect(),
        };
        let me = org.server();
        candidates.sort_unstable();
        let is_up = |name: &str| zones.standing(&Subject::Node(name.into())) == Standing::Up;
        let first = candidates.into_iter().find(|name| *name == me || is_up(name));
        first.is_none_or(|first| first == me)
    }

    /// The sets that must be pushed now, if any must.
    fn due(&self, now_ms: u64, contents: &Contents) -> Option<Vec<RecordSet>> {
        let is_unknown = |why: &Why| matches!(why, Why::Unknown(_));
        let is_early = now_ms.saturating_sub(*self.begun_ms.get_or_init(|| now_ms)) < KNOWN_AFTER_MS;
        if is_early && contents.sets.iter().flat_map(|set| &set.records).any(|record| is_unknown(&record.why)) {
            return None;
        }
        let sets = octets::record_sets(contents);
        let zones = self.zones();
        let is_due = zones
            .get(&contents.zone.name)
            .is_none_or(|pushed| now_ms >= pushed.next_ms || (pushed.failures == 0 && pushed.sets != sets));
        is_due.then_some(sets)
    }

    /// Notes what became of a push, and says what is new about it.
    pub fn note(&self, world: &World, zone: &Zone, sets: Vec<RecordSet>, result: &Result<Outcome, Undone>) {
        let mut zones = self.zones();
        let known = zones.entry(Arc::clone(&zone.name)).or_default();
        let (now_ms, name) = (world.clock.mono_ms(), &*zone.name);
        let wrong = match result {
            Ok(outcome) => {
                *known = Pushed {
                    done_ms: Some(world.clock.wall_ms()),
                    sets,
                    wrong: known.wrong.take(),
                    ..Pushed::default()
                };
                known.next_ms = now_ms + LOOK_AGAIN_MS;
                let count = outcome.plan.changes().count();
                if outcome.is_sent {
                    info!(zone = name, changes = count, "the zone is pushed");
                }
                left(outcome)
            }
            Err(undone) => {
                known.failures += 1;
                let wait_ms = (RETRY_MS << (known.failures - 1).min(10)).min(RETRY_MAX_MS);
                known.next_ms = now_ms + wait_ms;
                Some(format!("{undone}; {}", undone.what_to_do()))
            }
        };
        match (&wrong, known.wrong == wrong) {
            (Some(wrong), false) => warn!(zone = name, "the zone is not there as it should be: {wrong}"),
            (Some(wrong), true) => debug!(zone = name, "the zone is still not there as it should be: {wrong}"),
            (None, false) => info!(zone = name, "the zone is there as it should be again"),
            (None, true) => {}
        }
        known.wrong = wrong;
        counter!("posthouse_dns_pushes_total", "result" => if result.is_ok() { "done" } else { "failed" }).increment(1);
    }

    fn zones(&self) -> MutexGuard<'_, HashMap<Arc<str>, Pushed>> {
        // Each change replaces whole values; nobody panics while holding it.
        self.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stays as others have it, and what the server did not take.
fn left(outcome: &Outcome) -> Option<String> {
    let name = |key: &dns::push::Key| format!("{} {}", key.name.trim_end_matches('.'), key.kind);
    let kept: Vec<String> = outcome.plan.kept().map(|step| name(&step.key)).collect();
    let not_taken: Vec<String> = outcome.not_taken.iter().map(name).collect();
    let mut texts = Vec::new();
    if !kept.is_empty() {
        texts.push(format!(
            "{} there belong to somebody else; posthouse dns push --overwrite takes them over",
            kept.join(", ")
        ));
    }
    if !not_taken.is_empty() {
        texts.push(format!("the server said yes to {} and does not have it; its log says why", not_taken.join(", ")));
    }
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Pushes a zone once.
pub async fn push_once(
    world: &World,
    zone: &Zone,
    to: &Push,
    sets: &[RecordSet],
    overwrite: bool,
    dry_run: bool,
) -> Result<Outcome, Undone> {
    let name = octets::name(&zone.name);
    let target = to.server.to_string();
    let unreachable = |why: String| Undone::Failed(dns::ask::Failed::Unreachable(why));
    let found = tokio::net::lookup_host(&target).await.map_err(|error| unreachable(format!("{target}: {error}")))?;
    let mut failed = unreachable(format!("{target} has no address"));
    for address in found {
        let server = Server::new(world, address, to.key.as_ref().map(|key| octets::key(key)));
        match push(&server, &name, sets, overwrite, dry_run).await {
            Err(Undone::Failed(why @ (dns::ask::Failed::Unreachable(_) | dns::ask::Failed::Silent))) => {
                failed = Undone::Failed(why);
            }
            done => return done,
        }
    }
    Err(failed)
}

/// Pushes what has changed, until it is aborted.
pub async fn follow(world: &World, pushes: &Pushes, zones: &Zones, org: impl Fn() -> Arc<Org>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let org = org();
        for zone in org.naming.zones() {
            let Some(to) = zone.push.as_ref().filter(|push| push.on_change) else { continue };
            let Some(contents) = zones.contents(&org, &zone.name) else { continue };
            if !pushes.is_mine(&org, zone, zones) {
                continue;
            }
            let Some(sets) = pushes.due(world.clock.mono_ms(), &contents) else { continue };
            let result = push_once(world, zone, to, &sets, false, false).await;
            pushes.note(world, zone, sets, &result);
        }
    }
}

const LOOK: Duration = Duration::from_secs(1);

/// So long after the start, what nothing is known of yet is waited for.
const KNOWN_AFTER_MS: u64 = 30_000;

/// How often it is looked whether the zone is still as we wrote it.
const LOOK_AGAIN_MS: u64 = 3_600_000;

const RETRY_MS: u64 = 2_000;
const RETRY_MAX_MS: u64 = 300_000;
