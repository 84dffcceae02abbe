//! Owns the order in which a node comes up: first everything that can say no without touching anything, then the data directory,
//! then the spool, and only then the listeners.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::tenure::Rules;
use directory::{Loaded, Org, Problems, Start};
use mail::WhenShort;
use sd_notify::NotifyState;
use spool::Spool;
use tracing::{info, warn};
use transport::auth::Passwords;
use transport::categorize::Categorizer;
use transport::deliver::{Bell, Deliverer, Shaping};
use transport::dns::{DnsSettings, Resolver};
use transport::limits::{Doors, UserBounds};
use transport::links::LinkCertificates;
use transport::receive::{Receiver, Shared};
use transport::swap::Swap;
use world::World;

use super::doors;
use super::hand_over::HandOver;
use super::leaving::Kept;
use super::organization::{self, Changes};
use super::run::{Running, Signals, tell_manager};
use super::settings::spool_settings;
use super::{Node, SessionReadiness};
use crate::audit::Audit;
use crate::certificates::{CertificateError, CertificateFiles, ServedCertificate};
use crate::cluster::{Claimed, ClusterError, InCluster, Parts, claim};
use crate::config;
use crate::copies::{NodeCopies, TakeNote, former};
use crate::counted::Counted;
use crate::data::{DataDir, DataError};
use crate::directories::Directories;
use crate::dispatch::{Kit, NodeWake};
use crate::health::{Health, Phase};
use crate::listen::{BindError, Bound};
use crate::listeners::Listeners;
use crate::logging;
use crate::maildir::Maildirs;
use crate::org::Standing;
use crate::peers::{LinkTls, MailCertificates, Peers};
use crate::pressure::Pressure;
use crate::pushes::Pushes;
use crate::repeats;
use crate::succession::{self, Launcher, Succession, Successor};
use crate::timers::{Alarm, Timers};
use crate::trace::Trace;
use crate::virtual_address::VirtualAddresses;

/// Why a node does not start. Its text is one line (one for each problem of a document) that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// The documents are not sound.
    Documents(Problems),
    /// An address cannot be had.
    Bind(BindError),
    /// The data directory cannot be used.
    Data(DataError),
    /// The certificate cannot be used.
    Certificate(CertificateError),
    /// The spool cannot be opened.
    Spool(String),
    /// The cluster cannot be entered.
    Cluster(String),
    /// The process that runs does not give its place.
    Succession(String),
    /// The operating system refused something else.
    Io(&'static str, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Documents(problems) => write!(f, "{problems}"),
            StartError::Bind(error) => write!(f, "{error}"),
            StartError::Data(error) => write!(f, "{error}"),
            StartError::Certificate(error) => write!(f, "{error}"),
            StartError::Spool(error) => f.write_str(error),
            StartError::Cluster(what) | StartError::Succession(what) => f.write_str(what),
            StartError::Io(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Starts a node. Call it inside a tokio runtime. When it returns, mail is taken. `succeed`: in the place of the process that runs on this
/// data directory, if there is one, without a gap. `launcher`: how this process was started.
pub async fn start(start: Start, succeed: bool, launcher: Launcher) -> Result<Running, StartError> {
    let world = World::real();
    succession::take_in(succession::in_environment());
    let config = config::Running::load(&world, start).map_err(StartError::Documents)?;
    let loaded = config.loaded();
    logging::start(&loaded.node.log);
    logging::abort_on_panic();
    loaded.warnings.0.iter().for_each(|warning| warn!("{warning}"));

    // Nothing is touched before all of this is had.
    let successor = if succeed { meet(&loaded.node.data)? } else { None };
    let mut signals = Signals::new().map_err(|error| StartError::Io("signals", error))?;
    let bound = organization::begin(&world, &config).await?;
    let loaded = config.loaded();
    let http = Bound::bind(loaded.node.http.listen, HTTP_REMEDY).map_err(StartError::Bind)?;
    let links =
        loaded.node.peers.as_ref().map(|peers| BoundLinks::bind(&world, peers, &loaded.node.name)).transpose()?;
    let given = loaded.node.tls.as_ref().map(|tls| ServedCertificate::given(&world, tls));
    let given = given.transpose().map_err(StartError::Certificate)?;

    successor.iter().try_for_each(take_place)?;
    let data = DataDir::open(&world, &loaded.node.data).map_err(StartError::Data)?;
    let certificate = certificate(&world, &data, &loaded.node.name, given)?;
    // What comes now may read gigabytes; the runtime goes on meanwhile.
    let progress = tokio::spawn(recovering());
    let mail_links = links.as_ref().map(BoundLinks::for_mail);
    let links_socket = links.as_ref().and_then(BoundLinks::socket);
    let links = links.map(|links| links.start(&world, &loaded)).transpose()?;
    let cluster = InCluster::start(&world, &loaded, &data).map_err(|ClusterError(what)| StartError::Cluster(what))?;
    if let (Some(cluster), Some(links), Some(peers)) = (&cluster, &links, &loaded.node.peers) {
        cluster.link_to_all(links, peers.known.clone());
    }
    let (tenure, claimed) = match &cluster {
        Some(place) => tokio::select! {
            claimed = claim_own(&world, place, &data, &loaded) => claimed?,
            () = signals.end() => return Err(StartError::Cluster("stopped before this node had its journal".into())),
        },
        None => {
            let note = former_take_over(&loaded, links.as_ref()).await;
            (Tenure::of(&world, &data.spool(), loaded.node.keeps_copies(), note)?, None)
        }
    };
    let certificates = Certificates { clients: certificate, links: mail_links };
    let given = Given { data, certificates, tenure, succession: Arc::new(Succession::new(launcher)) };
    let assemble = || assemble(world, config, &loaded, given);
    let node = tokio::task::block_in_place(assemble);
    progress.abort();
    let mut node = node?;
    node.cluster = cluster;
    let changes;
    (node.changes, changes) = Changes::new();
    let timers = Timers::start(&node.world, node.spool.clone(), node.alarm.clone());
    let timers = timers.map_err(|error| StartError::Io("timers", error))?;
    // A node in a cluster has no copies yet, and says so until it has.
    node.health.set_copies(node.cluster.is_none() || node.can_protect_any());
    node.health.enter(Phase::Serving);
    let http = http.listen(HTTP_REMEDY).map_err(StartError::Bind)?;
    node.kept.keep(&http);
    if let (Some(links), Some(peers)) = (links, &loaded.node.peers) {
        let start = || start_copies(&node, &loaded, peers, &links, claimed);
        node.copies = Some(tokio::task::block_in_place(start)?);
        node.peers = Some(links);
    }
    links_socket.iter().for_each(|socket| node.kept.keep(socket));
    node.listeners.listen(bound).map_err(StartError::Bind)?;
    doors::open(&mut node, &loaded, successor.as_ref()).await?;
    let node = Arc::new(node);
    doors::answer_successors(&node).map_err(|error| StartError::Io("succession", error))?;
    Ok(Running { node, timers, http: Some(http), signals, changes, successor })
}

/// Meets the process that runs on this data directory.
fn meet(data: &Path) -> Result<Option<Successor>, StartError> {
    let met = tokio::task::block_in_place(|| Successor::meet(data));
    met.map_err(|why| StartError::Succession(why.to_string()))
}

/// Has the predecessor end its mail.
fn take_place(successor: &Successor) -> Result<(), StartError> {
    let taken = tokio::task::block_in_place(|| successor.take_place());
    taken.map_err(|why| StartError::Succession(why.to_string()))
}

/// The certificate that clients are shown: the one of the document, or our own.
fn certificate(
    world: &World,
    data: &DataDir,
    name: &str,
    given: Option<ServedCertificate>,
) -> Result<ServedCertificate, StartError> {
    let own = || {
        CertificateFiles::self_signed(world, &data.tls(), name).and_then(|files| ServedCertificate::load(world, files))
    };
    given.map_or_else(own, Ok).map_err(StartError::Certificate)
}

/// Where links come in and by which certificates, before anything is touched.
struct BoundLinks {
    bound: Bound,
    tls: Arc<LinkTls>,
    settings: directory::Peers,
}

impl BoundLinks {
    fn bind(world: &World, peers: &directory::Peers, node: &str) -> Result<BoundLinks, StartError> {
        let bound = Bound::bind(peers.listen, PEERS_REMEDY).map_err(StartError::Bind)?;
        let tls = LinkTls::load(world, peers, node).map_err(StartError::Certificate)?;
        Ok(BoundLinks { bound, tls: Arc::new(tls), settings: peers.clone() })
    }

    /// The same certificates, as mail links use them.
    fn for_mail(&self) -> Arc<dyn LinkCertificates> {
        Arc::new(MailCertificates(self.tls.clone()))
    }

    /// A duplicate of the socket, for a successor.
    fn socket(&self) -> Option<OwnedFd> {
        self.bound.duplicate()
    }

    fn start(self, world: &World, loaded: &Loaded) -> Result<Peers, StartError> {
        let listener = self.bound.listen(PEERS_REMEDY).map_err(StartError::Bind)?;
        Ok(Peers::start(world, &loaded.node.name, &self.settings, self.tls, listener))
    }
}

/// Whether another node has taken this node's journal over while it was away: asked before anything is delivered.
async fn former_take_over(loaded: &Loaded, links: Option<&Peers>) -> Option<TakeNote> {
    let holders = loaded.node.peers.as_ref()?.copy_holders();
    former::ask(links?, &holders, FORMER_PATIENCE).await
}

/// Under which epoch this node writes its journal, and what of it is another node's.
struct Tenure {
    epoch: u32,
    taken: Option<spool::Taken>,
}

impl Tenure {
    /// With copies each start has an epoch of its own: after a power cut, positions that a copy has already may be used again.
    fn of(world: &World, spool: &Path, has_copies: bool, note: Option<TakeNote>) -> Result<Tenure, StartError> {
        let found = journal::identity(world, spool);
        let found = found.map_err(|error| StartError::Spool(format!("{}: {error}", spool.display())))?;
        let stored = found.map_or(0, |found| found.epoch);
        let next = if has_copies { stored + 1 } else { stored };
        let Some(note) = note else { return Ok(Tenure { epoch: next, taken: None }) };
        // On a new disk there is another journal, of which nobody has taken anything.
        let taken = found.filter(|found| found.salt == note.salt).map(|_| note.taken());
        if stored <= note.epoch {
            warn!(
                "another node took this node's journal over (epoch {}): what it has is its to deliver, \
                 and only what it cannot have is delivered from here",
                note.epoch
            );
        }
        Ok(Tenure { epoch: next.max(note.epoch + 1), taken })
    }
}

/// In a cluster, etcd says under which epoch this node writes its journal.
async fn claim_own(
    world: &World,
    place: &InCluster,
    data: &DataDir,
    loaded: &Loaded,
) -> Result<(Tenure, Option<Claimed>), StartError> {
    let settings = spool_settings(loaded).journal;
    let claimed = claim(world, &place.cluster, &data.places(), &data.spool(), &settings).await;
    let claimed = claimed.map_err(StartError::Cluster)?;
    Ok((Tenure { epoch: claimed.epoch, taken: None }, Some(claimed)))
}

fn start_copies(
    node: &Node,
    loaded: &Loaded,
    peers: &directory::Peers,
    links: &Peers,
    claimed: Option<Claimed>,
) -> Result<NodeCopies, StartError> {
    let (kit, places, settings) = (node.kit.clone(), node.places(), spool_settings(loaded));
    let failed = |error| StartError::Io("copies of journals", error);
    let (Some(place), Some(claimed)) = (&node.cluster, claimed) else {
        let holders = peers.copy_holders();
        let copies = NodeCopies::alone(kit, &places, settings, node.spool.copies(), &holders, links);
        return copies.map_err(failed);
    };
    let (org, by_default) = (node.org.clone(), u8::from(loaded.node.keeps_copies()));
    // At least one: a journal without a copy is lost with its machine.
    let rules = move || {
        let org = org.load();
        let of_connectors = || org.receive_connectors.iter().map(|connector| connector.protection(by_default));
        let copies = of_connectors().map(|protection| protection.copies).max().unwrap_or(0).max(1);
        let may_go_alone = of_connectors().any(|protection| protection.when_short == WhenShort::Accept);
        Rules { copies: copies.into(), may_go_alone }
    };
    let (peers, node_document) = (links.clone(), loaded.node.clone());
    let parts = Parts { kit, places, settings, peers, rules: Box::new(rules), node: node_document };
    place.start_journals(parts, claimed, &node.spool).map_err(failed)
}

/// What this node shows to others.
struct Certificates {
    clients: ServedCertificate,
    /// To servers of the organization that bring mail; `None`: it has no certificate of the organization.
    links: Option<Arc<dyn LinkCertificates>>,
}

/// What only the start knows.
struct Given {
    data: DataDir,
    certificates: Certificates,
    tenure: Tenure,
    succession: Arc<Succession>,
}

/// Puts the parts together; mail that waits begins to move.
fn assemble(world: World, config: config::Running, loaded: &Loaded, given: Given) -> Result<Node, StartError> {
    let Given { data, certificates, tenure, succession } = given;
    let (started_ms, started_mono_ms) = (world.clock.wall_ms(), world.clock.mono_ms());
    let counted = Counted::install();
    let trace = open_trace(&world, &data, loaded)?;
    let audit = Audit::open(&world, &data.audit()).map_err(|error| StartError::Io("audit log", error))?;
    let directories = Directories::open(&world, &data.directories(), &loaded.org);
    let org = Arc::new(Swap::new(directories.with(&loaded.org)));
    let kit = kit(&world, &data, loaded, &trace, &org, certificates.links.clone())?;
    let categorizer = kit.categorizer.clone();
    let (bell, alarm, health) = (Arc::new(Bell::new()), Arc::new(Alarm::default()), Arc::new(Health::default()));
    let wake = NodeWake::new(bell.clone(), alarm.clone());
    let mut settings = spool_settings(loaded);
    (settings.journal.epoch, settings.taken) = (tenure.epoch, tenure.taken);
    let spool = open_spool(&world, &data, settings, trace.clone(), categorizer.clone(), wake)?;
    let deliverer = Deliverer::start(&bell, kit.parts(&spool));
    let deliverer = deliverer.map_err(|error| StartError::Io("TLS", io::Error::other(error)))?;
    let pressure = Arc::new(Pressure::new(&loaded.node.back_pressure));
    let receiver = Receiver::new(Arc::new(Shared {
        world: world.clone(),
        spool: spool.clone(),
        copies_by_default: u8::from(loaded.node.keeps_copies()),
        org: org.clone(),
        certificates: certificates.clients.served(),
        links: certificates.links,
        readiness: Arc::new(SessionReadiness(health.clone(), pressure.clone())),
        recorder: trace.clone(),
        doors: doors(&loaded.node.limits),
        passwords: Passwords::new(&*world.chance),
    }));
    let listeners = Listeners::new(receiver.clone());
    Ok(Node {
        world,
        data,
        config,
        health,
        pressure,
        trace,
        audit,
        counted,
        spool,
        listeners,
        started_ms,
        started_mono_ms,
        org,
        publishing: Mutex::default(),
        directories,
        categorizer,
        receiver,
        deliverer,
        kit,
        certificate: certificates.clients,
        peers: None,
        copies: None,
        cluster: None,
        services: None,
        virtual_addresses: Arc::new(VirtualAddresses::start(None)),
        hand_over: HandOver::default(),
        standing: Standing::default(),
        changes: Changes::new().0,
        alarm,
        zones: None,
        pushes: Pushes::default(),
        succession,
        kept: Kept::default(),
        counting: Default::default(),
    })
}

/// What spools are delivered with.
fn kit(
    world: &World,
    data: &DataDir,
    loaded: &Loaded,
    trace: &Arc<Trace>,
    org: &Arc<Swap<Org>>,
    links: Option<Arc<dyn LinkCertificates>>,
) -> Result<Kit, StartError> {
    Ok(Kit {
        world: world.clone(),
        trace: trace.clone(),
        org: org.clone(),
        categorizer: Arc::new(Categorizer::new(org.clone())),
        links,
        resolver: resolver(loaded)?,
        store: Arc::new(maildirs(world, data, loaded, org.clone())),
        own_names: own_names(loaded),
        shaping: Shaping::new(world.clock.clone()),
        connections_max: loaded.node.limits.outbound_connections_max as usize,
    })
}

/// Who may come in, and how much each may send.
fn doors(limits: &directory::NodeLimits) -> Doors {
    let users = UserBounds {
        messages_per_minute: limits.user_message_rate_per_minute,
        recipients_per_hour: limits.user_recipients_per_hour,
    };
    Doors::with_user_bounds(limits.connections_max, limits.connection_rate_per_minute, users)
}

/// The Maildirs of this node.
fn maildirs(world: &World, data: &DataDir, loaded: &Loaded, org: Arc<Swap<Org>>) -> Maildirs {
    let window_ms = loaded.node.maildir.duplicate_window_ms;
    Maildirs::new(world, data.mail(), &loaded.node.name, window_ms, org)
}

fn open_trace(world: &World, data: &DataDir, loaded: &Loaded) -> Result<Arc<Trace>, StartError> {
    let trace = Trace::open(world, &data.trace(), loaded.node.trace.keep_bytes);
    Ok(Arc::new(trace.map_err(|error| StartError::Io("trace", error))?))
}

fn resolver(loaded: &Loaded) -> Result<Resolver, StartError> {
    let settings = DnsSettings { servers: loaded.node.dns.servers.clone(), timeout: DNS_TIMEOUT };
    Resolver::new(&settings).map_err(|error| StartError::Io("name servers", io::Error::other(error.0)))
}

/// While a long recovery goes on: a line for people and a plea for patience to the service manager, every two seconds.
async fn recovering() {
    for seconds in (2u32..).step_by(2) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        info!("the spool is being recovered, for {seconds} s now");
        tell_manager(&[NotifyState::ExtendTimeoutUsec(30_000_000)]);
    }
}

/// Recovery of a large spool takes seconds: it is said before and after.
fn open_spool(
    world: &World,
    data: &DataDir,
    settings: spool::Settings,
    trace: Arc<Trace>,
    route: Arc<Categorizer>,
    wake: NodeWake,
) -> Result<Spool, StartError> {
    let dir = data.spool();
    let failed = |error: spool::OpenError| {
        let hint = match &error {
            spool::OpenError::Journal(journal::OpenError::Io { .. }) | spool::OpenError::Io { .. } => {
                "docs/operating/restore-after-disk-full.md"
            }
            _ => "docs/operating/rescue-a-damaged-journal.md",
        };
        StartError::Spool(format!("{}: {error}; nothing was changed, see {hint}", dir.display()))
    };
    let bytes: u64 = world.disk.list(&dir).map_or(0, |entries| entries.iter().map(|entry| entry.len).sum());
    if bytes > LONG_RECOVERY_BYTES {
        info!("recovering the spool: {} MiB of journal in {}", bytes >> 20, dir.display());
    }
    let began_ms = world.clock.mono_ms();
    let spool = Spool::open(world, &dir, settings, trace, route, Arc::new(wake)).map_err(failed)?;
    let (messages, ms) = (spool.totals().messages, world.clock.mono_ms() - began_ms);
    if messages > 0 || ms > 1_000 {
        info!(messages, ms, "the spool was recovered");
    }
    repeats::tell("this node's journal", &spool);
    Ok(spool)
}

/// Every name by which an MX record can mean us.
fn own_names(loaded: &Loaded) -> Vec<String> {
    let connectors = loaded.org.receive_connectors.iter().map(|connector| connector.hostname.to_lowercase());
    let mut names: Vec<String> = connectors.chain([loaded.node.name.to_lowercase()]).collect();
    names.sort();
    names.dedup();
    names
}

const HTTP_REMEDY: &str = "--http ADDRESS (or [http] listen) chooses another";
const PEERS_REMEDY: &str = "[peers] listen chooses another";
/// A node alone must be able to start: one who has not answered by then is down.
const FORMER_PATIENCE: Duration = Duration::from_secs(2);
const DNS_TIMEOUT: Duration = Duration::from_secs(5);
const LONG_RECOVERY_BYTES: u64 = 512 << 20;
