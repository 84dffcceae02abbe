//! The task of one directory: does what `directory::ldap::Course` orders, and puts what was told where it counts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use directory::ldap::{Course, Directory, Found, Load, Loaded, Order, Verdict, changed_since, changes, judge};
use directory::recipients::Recipients;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};
use transport::ldap::{Session, Trouble};

use super::Shared;
use super::kept;
use super::source::{Ask, Held, Source};

/// Works until it is aborted.
pub async fn run(source: Arc<Source>, shared: Arc<Shared>) {
    let work = Work { directory: source.directory().clone(), source, shared };
    let mut course = Course::new(&work.directory);
    loop {
        match work.source.take_asked() {
            Some(Ask::Accept) => {
                work.accept().await;
                course.load_now();
            }
            Some(Ask::Sync) => course.load_now(),
            None => {}
        }
        let clock = &work.shared.world.clock;
        let (now_ms, wall_ms) = (clock.mono_ms(), clock.wall_ms());
        work.source.state().server = course.server();
        let done = match course.order(now_ms) {
            Order::Wait { until_ms } => {
                let wait = Duration::from_millis(until_ms.saturating_sub(now_ms));
                tokio::select! { () = sleep(wait) => {}, () = work.source.asked() => {} }
                continue;
            }
            Order::Load { server } => work.load(server).await.map(|()| course.loaded(clock.mono_ms(), wall_ms)),
            Order::Poll { server, since_ms } => work.poll(server, since_ms).await.map(|enough| {
                course.polled(clock.mono_ms(), wall_ms);
                if !enough {
                    course.load_now();
                }
            }),
        };
        match done {
            Ok(()) => work.answered(wall_ms),
            Err(trouble) => {
                let server = course.server();
                course.failed(clock.mono_ms());
                work.failed(server, &trouble, course.is_down());
            }
        }
    }
}

struct Work {
    directory: Arc<Directory>,
    source: Arc<Source>,
    shared: Arc<Shared>,
}

impl Work {
    /// Reads it whole.
    async fn load(&self, server: usize) -> Result<(), Trouble> {
        let began_ms = self.shared.world.clock.mono_ms();
        let mut session = self.open(server).await?;
        let mut load = Load::of(self.directory.clone());
        let filter = &self.directory.filter;
        session.search(filter, &mut |found| load.add(&found).map_err(|_| too_many())).await?;
        session.close().await;
        let (known, shrink) = (self.source.state().known.clone(), self.directory.shrink_percent_max);
        let judged = blocking(move || {
            let loaded = load.finish().map_err(|_| too_many())?;
            let verdict = judge(&known, &loaded.recipients, shrink);
            Ok((loaded, verdict))
        });
        let (Loaded { recipients, clashes, unresolved, without_address }, verdict) = judged.await??;
        let (count, ms) = (recipients.len(), self.shared.world.clock.mono_ms() - began_ms);
        let name = &self.directory.name;
        match verdict {
            Verdict::Apply => {
                let clash = |clash: &directory::recipients::Clash| {
                    format!("{} is of {} and of {}: the first one has it", clash.address, clash.of, clash.and)
                };
                {
                    let mut state = self.source.state();
                    state.clashes = clashes.iter().map(clash).collect();
                    state.read_ms = Some(self.shared.world.clock.wall_ms());
                }
                info!(
                    directory = &**name,
                    recipients = count,
                    unresolved,
                    without_address,
                    ms,
                    "a directory was read whole"
                );
                self.apply(recipients, true).await;
            }
            Verdict::Hold { missing, of } => {
                warn!(
                    "directory {name} tells {count} recipients, and {missing} of {of} would vanish: held until posthouse directory accept {name}"
                );
                self.source.state().held = Some(Held { recipients, missing, of });
            }
        }
        Ok(())
    }

    /// Asks what was changed. False: so much that it must be read whole.
    async fn poll(&self, server: usize, since_ms: u64) -> Result<bool, Trouble> {
        let filter = changed_since(&self.directory, since_ms);
        let mut found: Vec<Found> = Vec::new();
        let mut session = self.open(server).await?;
        let each = &mut |one| {
            found.push(one);
            // The rest of the answer is not waited for: all of it is read anew.
            if found.len() > CHANGED_MAX { Err(too_many()) } else { Ok(()) }
        };
        let answered = session.search(&filter, each).await;
        if found.len() > CHANGED_MAX {
            return Ok(false);
        }
        answered?;
        session.close().await;
        let (known, directory) = (self.source.state().known.clone(), self.directory.clone());
        let made = blocking(move || {
            let changes = changes(&directory, &known, &found);
            let count = changes.len();
            let after = (count > 0).then(|| known.after(&changes)).transpose();
            (count, after)
        });
        let (count, after) = made.await?;
        let Some(after) = after.map_err(|_| too_many())? else { return Ok(true) };
        info!(directory = &*self.directory.name, changed = count, "a directory has changed");
        let enough = after.changed() <= CHANGED_MAX;
        self.apply(after, false).await;
        Ok(enough)
    }

    async fn open(&self, server: usize) -> Result<Session<'_>, Trouble> {
        let tls = self.shared.tls.as_ref().ok_or_else(|| Trouble("this program has no TLS".into()))?;
        let server = self.directory.servers.get(server).ok_or_else(|| Trouble("it has no server".into()))?;
        Session::open(tls, &self.directory, server).await
    }

    /// Makes what was told count, and keeps it. What cannot be kept counts too: a start would know what was kept before.
    async fn apply(&self, recipients: Recipients, whole: bool) {
        {
            let mut state = self.source.state();
            (state.known, state.is_read) = (recipients.clone(), true);
            if whole {
                state.held = None;
            }
        }
        self.shared.changed.notify_one();
        let (shared, name, seal) = (self.shared.clone(), self.directory.name.clone(), self.source.state().seal.clone());
        let keep = move || -> io::Result<Vec<u8>> {
            let seal = match whole || seal.is_empty() {
                true => kept::keep_base(&shared.world, &shared.dir, &name, &recipients)?,
                false => seal,
            };
            if recipients.changed() > 0 {
                kept::keep_changes(&shared.world, &shared.dir, &name, &recipients, &seal)?;
            }
            Ok(seal)
        };
        match blocking(keep).await {
            Ok(Ok(seal)) => self.source.state().seal = seal,
            Ok(Err(error)) => warn!("directory {}: what it told cannot be kept: {error}", self.directory.name),
            Err(_) => {}
        }
    }

    /// Believes what is held.
    async fn accept(&self) {
        let Some(held) = self.source.state().held.take() else { return };
        warn!(
            "directory {}: {} recipients were accepted, {} vanish",
            self.directory.name,
            held.recipients.len(),
            held.missing
        );
        self.source.state().read_ms = Some(self.shared.world.clock.wall_ms());
        self.apply(held.recipients, true).await;
    }

    fn answered(&self, wall_ms: u64) {
        let mut state = self.source.state();
        if std::mem::take(&mut state.is_down) {
            info!("directory {}: a server answers again", self.directory.name);
        }
        (state.error, state.asked_ms) = (None, Some(wall_ms));
    }

    fn failed(&self, server: usize, trouble: &Trouble, is_down: bool) {
        let named = self.directory.servers.get(server).map(ToString::to_string).unwrap_or_default();
        let mut state = self.source.state();
        let text = format!("{named}: {trouble}");
        // Said when it begins and when it is another one; an outage of days is not told each minute.
        if state.error.as_deref() != Some(&text) {
            warn!("directory {}, server {text}", self.directory.name);
        }
        state.error = Some(text);
        if is_down && !std::mem::replace(&mut state.is_down, true) {
            warn!("directory {}: no server answers; what it told before counts on", self.directory.name);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    // It fails only by a panic, which ends the process, or because the runtime ends.
    spawn_blocking(work).await.map_err(|error| Trouble(error.to_string()))
}

fn too_many() -> Trouble {
    Trouble("it tells more recipients than a table can hold (4 GiB)".into())
}

/// Changed entries since it was read whole; with more it is read whole again.
const CHANGED_MAX: usize = 50_000;
