//! The last part of a start: services, virtual addresses, and the place where a successor asks.

use std::io;
use std::sync::Arc;

use balancer::probe::Probers;
use directory::Loaded;
use tracing::info;

use super::{Node, StartError};
use crate::cluster::{ClusterError, etcd_access};
use crate::probers;
use crate::services::{Around, Services};
use crate::succession;
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

/// Does the services of the document, has its addresses, and knows its zones.
pub(super) fn open(node: &mut Node, loaded: &Loaded) -> Result<(), StartError> {
    let probers = probers_of(node)?;
    let services = Arc::new(services(node, probers.clone()));
    node.zones = Some(Arc::new(zones(node, probers, services.clone())));
    node.services = Some(services);
    tokio::task::block_in_place(|| node.follow_services());
    start_virtual_addresses(node, loaded)
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
fn start_virtual_addresses(node: &mut Node, loaded: &Loaded) -> Result<(), StartError> {
    if let (Some(place), Some(written)) = (&node.cluster, &loaded.node.cluster) {
        let access = etcd_access(&node.world, written).map_err(|ClusterError(what)| StartError::Cluster(what))?;
        node.virtual_addresses = VirtualAddresses::start(Some(AddressParts {
            world: node.world.clone(),
            health: node.health.clone(),
            services: Arc::new(OwnServices {
                org: node.org.clone(),
                services: node.services.clone(),
                me: loaded.node.name.clone(),
            }),
            cluster: place.cluster.clone(),
            access,
        }));
    }
    node.virtual_addresses.follow(&loaded.org);
    Ok(())
}
