//! Who probes: one task for each distinct target, as long as somebody watches it.

use super::drive;
use super::standing::Standing;
use super::target::Target;
use super::tls::ProbeTls;
use super::told;
use super::watch::Watch;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use world::World;

/// Probes that run at the same time.
pub const LOOKS_AT_ONCE_MAX: usize = 128;

/// What is known of our own servers without asking them: the records of a cluster.
pub trait Known: Send + Sync {
    /// How the server of that name stands, where its cluster knows that it must not be sent anybody: it drains, it stops, it is gone.
    /// `None`: nothing that counts more than a probe.
    fn standing(&self, server: &str) -> Option<Standing>;
}

/// Nothing is known.
impl Known for () {
    fn standing(&self, _: &str) -> Option<Standing> {
        None
    }
}

/// All probers. Cheap to clone.
#[derive(Clone)]
pub struct Probers {
    shared: Arc<Shared>,
}

struct Shared {
    world: World,
    hello: Box<str>,
    tls: ProbeTls,
    known: Arc<dyn Known>,
    runtime: Handle,
    looks: Semaphore,
    watches: Mutex<HashMap<Target, Weak<Watch>>>,
}

impl Probers {
    /// Nothing is probed yet. Call it inside a runtime: probes run there, whoever watches. `hello` is our name in EHLO. Make it after the
    /// metrics recorder was installed.
    pub fn new(world: World, hello: &str, known: Arc<dyn Known>) -> Result<Probers, rustls::Error> {
        told::describe();
        let shared = Shared {
            world,
            hello: hello.into(),
            tls: ProbeTls::new()?,
            known,
            runtime: Handle::current(),
            looks: Semaphore::new(LOOKS_AT_ONCE_MAX),
            watches: Mutex::default(),
        };
        Ok(Probers { shared: Arc::new(shared) })
    }

    /// Watches `target`, from any thread. It is probed until the last of its watches is dropped.
    pub fn watch(&self, target: Target) -> Arc<Watch> {
        let mut watches = self.shared.watches();
        if let Some(watch) = watches.get(&target).and_then(Weak::upgrade) {
            return watch;
        }
        watches.retain(|_, watch| watch.strong_count() > 0);
        let watch = Arc::new(Watch::new(target.clone(), self.shared.world.clock.clone()));
        watches.insert(target, Arc::downgrade(&watch));
        drop(watches);
        self.shared.ask_known(&watch);
        self.shared.runtime.spawn(probe(self.shared.clone(), Arc::downgrade(&watch)));
        watch
    }

    /// What is known of our own servers has changed: asks [`Known`] about each of them.
    pub fn look_again(&self) {
        let watches: Vec<Arc<Watch>> = self.shared.watches().values().filter_map(Weak::upgrade).collect();
        watches.iter().for_each(|watch| self.shared.ask_known(watch));
    }

    /// Waits until something is known of each target that is watched now, `patience` at most.
    pub async fn settled(&self, patience: Duration) {
        let watches: Vec<Arc<Watch>> = self.shared.watches().values().filter_map(Weak::upgrade).collect();
        let all = async {
            for watch in watches {
                // The sender lives as long as the watch.
                let _ = watch.changed().wait_for(|report| report.standing != Standing::Unknown).await;
            }
        };
        // Of the others nothing is known yet, as at any start.
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// Targets that are watched.
    pub fn watched(&self) -> usize {
        self.shared.watches().values().filter(|watch| watch.strong_count() > 0).count()
    }
}

impl Shared {
    fn watches(&self) -> MutexGuard<'_, HashMap<Target, Weak<Watch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_known(&self, watch: &Watch) {
        if let Some(server) = &watch.target().server {
            watch.told(self.known.standing(server));
        }
    }

    /// A tenth more or less, so that balancers do not fall into step.
    fn pause(&self, interval_ms: u64) -> Duration {
        Duration::from_millis(interval_ms - interval_ms / 10 + self.world.chance.below(interval_ms / 5 + 1))
    }
}

/// Probes until nobody watches.
async fn probe(shared: Arc<Shared>, watched: Weak<Watch>) {
    let Some((target, bell)) = watched.upgrade().map(|watch| (watch.target().clone(), watch.bell.clone())) else {
        return;
    };
    loop {
        let (found, took_us) = {
            let Ok(_turn) = shared.looks.acquire().await else { return };
            let began_us = shared.world.clock.mono_us();
            let found = drive::look(&target, &shared.tls, &shared.hello, shared.world.chance.u64()).await;
            (found, shared.world.clock.mono_us() - began_us)
        };
        let Some(watch) = watched.upgrade() else { return };
        let soon = match found {
            Some(found) => watch.probed(found, took_us),
            None => watch.not_asked(),
        };
        drop(watch);
        let settings = &target.settings;
        let pause = shared.pause(if soon { settings.fast_interval_ms } else { settings.interval_ms });
        // Rung by failures of the data path, which may be many: the next probe still waits for the shorter interval.
        if tokio::time::timeout(pause, bell.notified()).await.is_ok() {
            if watched.strong_count() == 0 {
                return;
            }
            let rest = shared.pause(settings.fast_interval_ms).min(pause);
            let _ = tokio::time::timeout(rest, gone(&watched, &bell)).await;
        }
    }
}

/// Completes when nobody watches any more.
async fn gone(watched: &Weak<Watch>, bell: &tokio::sync::Notify) {
    while watched.strong_count() > 0 {
        bell.notified().await;
    }
}
