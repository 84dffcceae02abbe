//! The organization while a node runs: changes are made one after the other, whoever asks for them: a person who reloads, or etcd
//! with a new version of the document.
//!
//! Owns the task that makes them, and the choice at the start. Always holds: a change that cannot be made as a whole changes nothing;
//! of two versions in quick succession the newest is run last; connections go on.

use std::sync::Arc;
use std::time::Duration;

use cluster::org::Document;
use cluster::view::View;
use metrics::{counter, describe_counter};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};
use world::World;

use super::{Node, StartError};
use crate::cluster::{ClusterError, org_store};
use crate::config::{self, Source};
use crate::data::DataDir;
use crate::listeners::BoundListeners;
use crate::org::{Found, Heard, Step, cache, choose};

/// The organization that a node starts with, and its sockets.
pub(super) async fn begin(world: &World, config: &config::Running) -> Result<BoundListeners, StartError> {
    let loaded = config.loaded();
    let Some(written) = &loaded.node.cluster else {
        let bound = BoundListeners::bind(loaded.org.listeners(), config.org_file().is_some());
        return bound.map_err(StartError::Bind);
    };
    let store = org_store(world, written).map_err(|ClusterError(what)| StartError::Cluster(what))?;
    let etcd = match timeout(ETCD_PATIENCE, store.read()).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(format!("not within {} s", ETCD_PATIENCE.as_secs())),
    };
    let cache = cache::read(world, &DataDir::org_cache(&loaded.node.data), &written.prefix);
    choose(config, Found { etcd, cache }).map_err(StartError::Bind)
}

/// Where changes are asked for.
pub(super) struct Changes(mpsc::Sender<Ask>);

/// Changes that were asked for.
pub(super) struct Asked(mpsc::Receiver<Ask>);

type Ask = oneshot::Sender<Result<(), String>>;

impl Changes {
    /// Both ends.
    pub fn new() -> (Changes, Asked) {
        let (to, asked) = mpsc::channel(ASKED_MAX);
        (Changes(to), Asked(asked))
    }

    /// Has the document that is to be run read and run again. Blocks until that is done.
    pub fn ask(&self) -> Result<(), String> {
        let stopping = || "the node is stopping".to_string();
        let (answer, answered) = oneshot::channel();
        self.0.blocking_send(answer).map_err(|_| stopping())?;
        answered.blocking_recv().map_err(|_| stopping())?
    }
}

/// Makes the changes, until it is aborted.
pub(super) async fn follow(node: Arc<Node>, Asked(mut asked): Asked) {
    describe_counter!(
        "posthouse_org_applied_total",
        "Versions of the organization document that came from etcd, by what became of them."
    );
    let mut view = node.cluster.as_ref().map(|place| place.cluster.view());
    announce(&node);
    let of_task = node.clone();
    // It fails only by a panic, which ends the process.
    let _ = spawn_blocking(move || of_task.keep_org()).await;
    loop {
        let is_refused = node.standing.refusal().is_some();
        let run = tokio::select! {
            Some(answer) = asked.recv() => {
                let wanted = node.standing.wanted(&node.config.source());
                // Whoever asked may be gone.
                let _ = answer.send(make(&node, wanted, Asker::Person).await);
                continue;
            }
            () = sleep(AGAIN), if node.listeners.is_short() => {
                node.listeners.try_again();
                continue;
            }
            () = sleep(SOON), if node.services.as_ref().is_some_and(|services| services.is_short()) => {
                let services = node.services.clone();
                // It fails only by a panic, which ends the process.
                let _ = spawn_blocking(move || services.iter().for_each(|services| services.try_again())).await;
                continue;
            }
            heard = news(&mut view, &node) => node.standing.hear(heard, &node.config.source()),
            () = sleep(AGAIN), if is_refused => match node.standing.wanted(&node.config.source()) {
                Source::Version(document) => Step::Run(document),
                Source::Start => Step::Nothing,
            },
        };
        match run {
            Step::Run(document) => drop(make(&node, Source::Version(document), Asker::Etcd).await),
            Step::Warn(what) => warn!("{what}"),
            Step::Nothing => {}
        }
        announce(&node);
    }
}

/// Lets each change of those whom directories know count at once, until it is aborted.
pub(super) async fn follow_directories(node: Arc<Node>) {
    loop {
        node.directories.changed().await;
        node.publish_org();
    }
}

/// What etcd says of the document, as soon as it says something new; never, without a cluster.
async fn news(view: &mut Option<watch::Receiver<Arc<View>>>, node: &Node) -> Heard {
    loop {
        let (Some(view), Some(place)) = (view.as_mut(), &node.cluster) else { return std::future::pending().await };
        let heard = {
            let view = view.borrow_and_update();
            match &view.org {
                _ if view.at == 0 => Heard::Nothing,
                _ if view.unreadable.contains(&place.cluster.keys().org()) => Heard::Unreadable,
                Some((_, document)) => Heard::Version(document.clone()),
                None => Heard::NoDocument,
            }
        };
        if heard != node.standing.heard() {
            return heard;
        }
        if view.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Who wants a change: what is said differs.
#[derive(Clone, Copy, PartialEq)]
enum Asker {
    Person,
    Etcd,
}

/// Makes one change where blocking is allowed, and says what became of it.
async fn make(node: &Arc<Node>, source: Source, asker: Asker) -> Result<(), String> {
    let (wanted, of_task) = (source.clone(), node.clone());
    let before = node.config.source();
    // It fails only by a panic, which ends the process.
    let made = spawn_blocking(move || of_task.run_org(wanted)).await;
    let made = made.unwrap_or_else(|error| Err(error.to_string()));
    match (source.version(), &made) {
        (Some(document), Ok(())) => runs(node, document, &before),
        (Some(document), Err(why)) => keeps(node, document, &before, why, asker),
        (None, Ok(())) => info!("the organization document was loaded again"),
        (None, Err(_)) => {}
    }
    announce(node);
    made
}

fn runs(node: &Node, document: &Arc<Document>, before: &Source) {
    node.standing.ran();
    let Document { version, who, why, .. } = &**document;
    if before.version() == Some(document) {
        info!(version, "the organization document was loaded again");
        return;
    }
    counter!("posthouse_org_applied_total", "result" => "applied").increment(1);
    info!(version, who, why, "a version of the organization document runs here now");
    if let Some(older) = before.version().filter(|before| before.version > *version) {
        warn!(
            "version {} ran here before: etcd was restored from a backup, or belongs to another organization",
            older.version
        );
    }
}

fn keeps(node: &Node, document: &Arc<Document>, before: &Source, why: &str, asker: Asker) {
    let is_other = before.version() != Some(document);
    if is_other && node.standing.refused(document.clone(), why) {
        counter!("posthouse_org_applied_total", "result" => "refused").increment(1);
        let keeps =
            before.version().map_or("what it was started with".into(), |before| format!("version {}", before.version));
        error!(
            "version {} of the organization document ({}: {}) cannot run here: {why}; this node keeps {keeps} and tries again by \
             itself; correct it and apply again, or go back with posthouse org rollback",
            document.version, document.who, document.why
        );
    } else if !is_other && asker == Asker::Etcd {
        error!("the organization document cannot be loaded again: {why}");
    }
}

/// Shows the others which version runs here.
fn announce(node: &Node) {
    let Some(place) = &node.cluster else { return };
    let runs = node.config.source().version().map_or(0, |document| document.version);
    let refused =
        node.standing.refusal().map_or(String::new(), |(version, why)| format!("not version {version}: {why}"));
    let refused: String = refused.chars().take(REFUSED_CHARS_MAX).collect();
    place.cluster.announce(|record| (record.org, record.org_refused) = (runs, refused));
}

impl Node {
    /// Makes the document that is meant the running one. The error says what is wrong; nothing was changed then. Blocks.
    fn run_org(&self, source: Source) -> Result<(), String> {
        let next = self.config.read(&source).map_err(|problems| problems.to_string())?;
        let is_written = source.version().is_some() || self.config.org_file().is_some();
        self.listeners.follow(&next.org, is_written).map_err(|error| error.to_string())?;
        let after_restart = self.config.take(next, source.clone());
        self.directories.follow(&self.config.loaded().org);
        self.publish_org();
        self.follow_services();
        self.virtual_addresses.follow(&self.config.loaded().org);
        if let Some(zones) = &self.zones {
            zones.look_now();
        }
        self.spool.reroute();
        if let Some(copies) = &self.copies {
            copies.taken.reroute();
        }
        for line in after_restart {
            warn!("counts from the next start on: {line}");
        }
        self.keep_org();
        Ok(())
    }

    /// Keeps the version that runs for a start without etcd. Blocks.
    fn keep_org(&self) {
        let (source, loaded) = (self.config.source(), self.config.loaded());
        let (Some(document), Some(written)) = (source.version(), &loaded.node.cluster) else { return };
        let file = DataDir::org_cache(self.data.root());
        if cache::read(&self.world, &file, &written.prefix).is_ok_and(|kept| kept.as_ref() == Some(&**document)) {
            return;
        }
        if let Err(error) = cache::keep(&self.world, &file, &written.prefix, document) {
            warn!("{}: {error}; a start without etcd would run an older version", file.display());
        }
    }
}

/// A start does not wait longer for etcd before it takes the version that ran last.
const ETCD_PATIENCE: Duration = Duration::from_secs(3);
/// What could not be run is tried again so often: a port may be free by then, a file may be there.
const AGAIN: Duration = Duration::from_secs(15);
/// Addresses of services that could not be had: a connector may be about to leave one.
const SOON: Duration = Duration::from_secs(2);
/// People who reload at the same time.
const ASKED_MAX: usize = 8;
/// Of the reason that the other nodes are shown.
const REFUSED_CHARS_MAX: usize = 500;
