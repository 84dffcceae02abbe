//! The last part of a start: services, virtual addresses, and the place where a successor asks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use balancer::probe::Probers;
use directory::Loaded;
use tracing::info;

use super::{Node, StartError};
use crate::cluster::{ClusterError, etcd_access};
use crate::probers;
use crate::services::{Around, Services};
use crate::succession::{self, Successor};
use crate::virtual_address::{OwnServices, Parts as AddressParts, VirtualAddresses};
use crate::zones::{Sources, Zones};

/// Who asks servers whether they serve.
fn probers_of(node: &Node) -> Result<Probers, StartError> {
    let probers = probers::start(&node.world, &node.config.loaded().node.name, node.cluster.as_ref());
    probers.map_err(|error| StartError::Io("TLS of probes", io::Error::other(error)))
}

/// The zones of the organization; nothing is answered yet.
fn zones(node: &Node, probers: Probers, services: Arc<Services>) -> Zones {
    let sources = Sources {
        probers,
        health: node.health.clone(),
        pressure: node.pressure.clone(),
        services,
        view: node.cluster.as_ref().map(|place| place.cluster.view()),
    };
    Zones::new(&node.world, &node.config.loaded().node, node.data.dns_serials(), sources)
}

/// What does the services of the organization; none of them yet.
fn services(node: &Node, probers: Probers) -> Services {
    Services::new(Around {
        world: node.world.clone(),
        probers,
        resolver: node.kit.resolver.clone(),
        certificates: node.certificate.served(),
    })
}

/// Does the services of the document, answers for its zones, and has its addresses: those that the process before this one has are taken
/// last, when there is somebody behind them.
pub(super) async fn open(node: &mut Node, loaded: &Loaded, successor: Option<&Successor>) -> Result<(), StartError> {
    let probers = probers_of(node)?;
    let services = Arc::new(services(node, probers.clone()));
    let zones = Arc::new(zones(node, probers.clone(), services.clone()));
    if successor.is_some() {
        // The process before this one knows whom clients may be sent to, and serves meanwhile: this one is to know it as well.
        zones.watch(&node.org());
        let _watched = services.watch(&node.org());
        probers.settled(PROBES_MAX).await;
    }
    (node.zones, node.services) = (Some(zones.clone()), Some(services));
    tokio::task::block_in_place(|| {
        node.follow_services();
        zones.open(&node.org());
    });
    start_virtual_addresses(node, loaded, successor)
}

/// Another process may take the place of this one from now on.
pub(super) fn answer_successors(node: &Arc<Node>) -> io::Result<()> {
    for address in succession::leave() {
        info!("{address}: nothing listens there any more");
    }
    let weak = Arc::downgrade(node);
    let sockets = move || weak.upgrade().map(|node| node.sockets()).unwrap_or_default();
    node.succession.answer(&node.world, node.data.root(), sockets)
}

/// From now on this node may have addresses of its services.
fn start_virtual_addresses(node: &mut Node, loaded: &Loaded, successor: Option<&Successor>) -> Result<(), StartError> {
    if let (Some(place), Some(written)) = (&node.cluster, &loaded.node.cluster) {
        let access = etcd_access(&node.world, written).map_err(|ClusterError(what)| StartError::Cluster(what))?;
        let addresses = VirtualAddresses::start(Some(AddressParts {
            world: node.world.clone(),
            health: node.health.clone(),
            services: Arc::new(OwnServices { org: node.org.clone(), services: node.services.clone() }),
            cluster: place.cluster.clone(),
            access,
        }));
        node.virtual_addresses = Arc::new(addresses);
    }
    if let Some(before) = successor {
        let asked_ms = node.world.clock.mono_ms();
        let bequest = tokio::task::block_in_place(|| before.addresses());
        node.virtual_addresses.inherit(&loaded.org, bequest, asked_ms);
    }
    node.virtual_addresses.follow(&loaded.org);
    Ok(())
}

/// Longest wait of a successor for the first probes.
const PROBES_MAX: Duration = Duration::from_secs(2);
