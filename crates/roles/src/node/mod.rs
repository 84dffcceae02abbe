//! A running node: what it is made of, and how its configuration changes while it runs.
//!
//! Owns the parts and the order in which they start ([`start`]) and stop ([`run`]). Knows no HTTP.

mod doors;
mod hand_over;
mod leaving;
mod organization;
mod relief;
mod run;
mod services;
mod settings;
mod start;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use directory::Org;
use mail::{Mailbox, Reply};
use spool::{HopKey, Spool};
use transport::categorize::Categorizer;
use transport::deliver::Deliverer;
use transport::receive::{Asker, NotNow, Readiness, Receiver};
use transport::swap::Swap;
use world::World;

use crate::audit::Audit;
use crate::certificates::ServedCertificate;
use crate::cluster::InCluster;
use crate::config;
use crate::copies::{NodeCopies, Places};
use crate::counted::Counted;
use crate::data::DataDir;
use crate::directories::Directories;
use crate::dispatch::Kit;
use crate::health::{Health, NotReady, Phase};
use crate::listeners::Listeners;
use crate::org::Standing;
use crate::peers::Peers;
use crate::pressure::{self, Pressure};
use crate::pushes::Pushes;
use crate::services::Services;
use crate::spools::Spools;
use crate::succession::{Succession, manager};
use crate::timers::Alarm;
use crate::trace::Trace;
use crate::virtual_address::VirtualAddresses;
use crate::zones::Zones;

use hand_over::HandOver;
use leaving::Kept;
pub use leaving::Leaving;
use organization::Changes;
pub use run::{Ended, Running};
pub use start::{StartError, start};

/// The parts of a running node.
pub struct Node {
    pub(crate) world: World,
    pub(crate) data: DataDir,
    pub(crate) config: config::Running,
    pub(crate) health: Arc<Health>,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) trace: Arc<Trace>,
    /// Who had this node do what.
    pub(crate) audit: Audit,
    pub(crate) counted: Counted,
    pub(crate) spool: Spool,
    pub(crate) listeners: Listeners,
    pub(crate) started_ms: u64,
    started_mono_ms: u64,
    org: Arc<Swap<Org>>,
    publishing: Mutex<()>,
    /// LDAP directories, who know recipients.
    pub(crate) directories: Directories,
    categorizer: Arc<Categorizer>,
    receiver: Receiver,
    deliverer: Deliverer,
    /// What spools are delivered with.
    kit: Kit,
    certificate: ServedCertificate,
    /// The zones of the organization.
    pub(crate) zones: Option<Arc<Zones>>,
    /// Zones that are written to name servers of others.
    pub(crate) pushes: Pushes,
    /// The links to other nodes, if the node document has `[peers]`.
    pub(crate) peers: Option<Peers>,
    /// Copies of journals, ours and theirs, on those links.
    pub(crate) copies: Option<NodeCopies>,
    /// The place in the cluster, if the node document has `[cluster]`.
    pub(crate) cluster: Option<InCluster>,
    /// The services that this node does.
    pub(crate) services: Option<Arc<Services>>,
    /// Addresses that this node has, or may have.
    pub(crate) virtual_addresses: Arc<VirtualAddresses>,
    /// The wish to hand them over, and what became of it.
    pub(crate) hand_over: HandOver,
    /// What is known of the organization document's versions; of use in a cluster only.
    pub(crate) standing: Standing,
    /// Where changes of the organization are asked for.
    changes: Changes,
    alarm: Arc<Alarm>,
    /// The place of this process, for the one that comes after it.
    pub(crate) succession: Arc<Succession>,
    /// Sockets of the API and of links, for that one.
    kept: Kept,
    /// How fast services grow, and what processes before this one relay still.
    counting: services::Counting,
}

impl Node {
    /// The organization that runs.
    pub(crate) fn org(&self) -> Arc<Org> {
        self.org.load()
    }

    /// What mail is delivered with.
    pub(crate) fn kit(&self) -> &Kit {
        &self.kit
    }

    /// Makes the organization that was loaded the running one, with those whom its directories know now.
    fn publish_org(&self) {
        // Two at the same time could leave the older one.
        let _one = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        self.org.store(self.directories.with(&self.config.loaded().org));
    }

    /// All spools that mail is delivered from.
    pub(crate) fn spools(&self) -> Spools {
        let others = self.copies.as_ref().map(|copies| copies.taken.spools());
        Spools::new(self.spool.clone(), others.unwrap_or_default())
    }

    /// Where copies and taken journals are kept.
    pub(crate) fn places(&self) -> Places {
        self.data.places()
    }

    /// Whether there is a connector whose mail can have the copies that it asks for now.
    fn can_protect_any(&self) -> bool {
        let by_default = u8::from(self.config.loaded().node.keeps_copies());
        let org = self.org();
        let mut rules = org.receive_connectors.iter().map(|connector| connector.protection(by_default));
        rules.any(|protection| self.spool.can_protect(protection).is_ok())
    }

    /// Shows the others of its cluster whether this node takes mail and whose clients it would find a member for, and gateways whether it
    /// takes calls.
    pub(crate) fn announce_health(&self) {
        if let Some(services) = &self.services {
            services.take_calls(!matches!(self.health.phase(), Phase::Draining | Phase::Stopping));
        }
        let Some(place) = &self.cluster else { return };
        let serving = match (&self.services, self.health.phase()) {
            (None, _) | (_, Phase::Stopping) => BTreeMap::new(),
            (Some(services), _) => services.serving(),
        };
        place.cluster.announce(|record| {
            record.health = self.health.word().into();
            record.serves = Some(serving);
        });
    }

    /// Where mail for this recipient would go now.
    pub(crate) fn route_of(&self, to: &Mailbox) -> HopKey {
        self.categorizer.hop_of(to)
    }

    pub(crate) fn uptime_ms(&self) -> u64 {
        self.world.clock.mono_ms().saturating_sub(self.started_mono_ms)
    }

    /// Looks at the certificate, and takes the organization document as it is written now: the file, or in a cluster the version that
    /// counts, with the files that it names. The error says what is wrong; nothing was changed then. Blocks.
    pub(crate) fn reload(&self) -> Result<(), String> {
        manager::reloading();
        self.renew_certificates();
        let changed = self.changes.ask();
        manager::ready();
        changed
    }

    /// Does the services of the document that runs. Blocks.
    fn follow_services(&self) {
        if let Some(services) = &self.services {
            services.follow(&self.org());
        }
    }

    /// Looks at the files of certificates; those that changed and are sound are used from now on. Blocks.
    pub(crate) fn renew_certificates(&self) {
        match self.certificate.renew(&self.world) {
            Ok(true) => {
                tracing::info!("the certificate was loaded again");
                self.follow_services();
            }
            Ok(false) => {}
            Err(error) => tracing::error!("{error}; the certificate of before is served on"),
        }
        if let Some(peers) = &self.peers {
            peers.renew_certificates();
        }
    }
}

/// The one health truth as sessions ask for it. A full disk is not said here: MAIL hears 452 from the spool, and what is open goes on.
struct SessionReadiness(Arc<Health>, Arc<Pressure>);

impl Readiness for SessionReadiness {
    fn can_serve(&self) -> Result<(), Reply> {
        match self.0.ready() {
            Err(reason) if reason.closes_sessions() => Err(reason.reply()),
            _ => Ok(()),
        }
    }

    fn can_accept(&self, asker: Asker) -> Result<Duration, NotNow> {
        self.can_serve().map_err(|reply| NotNow { reason: "not_ready", reply })?;
        if self.1.refused().includes(asker) {
            return Err(NotNow { reason: "back_pressure", reply: pressure::refusal() });
        }
        let brake_ms = if asker == Asker::Server { 0 } else { self.1.tarpit_ms() };
        Ok(Duration::from_millis(brake_ms))
    }

    fn for_probes(&self, asker: Asker) -> Result<(), &'static str> {
        self.0.ready().map_err(NotReady::word)?;
        if self.1.refused().includes(asker) { Err(NotReady::Pressure.word()) } else { Ok(()) }
    }
}
