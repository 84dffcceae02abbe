//! The node's probers, and what the records of its cluster say to them.
//!
//! Owns the word of a record against that of a probe. Knows no services. Always holds: a node that says in etcd that it drains or stops gets
//! nobody new from the moment that we hear of it; what etcd said before it fell silent counts for nothing.

use std::sync::Arc;

use balancer::probe::{Known, Probers, Standing};
use cluster::record::{DRAINING, STOPPING};
use cluster::view::View;
use tokio::sync::watch;
use world::World;

use crate::cluster::InCluster;

/// Probers of the node of that name. Call it inside a runtime, after the metrics recorder was installed. An error is a fault of this
/// program's build.
pub fn start(world: &World, node: &str, place: Option<&InCluster>) -> Result<Probers, String> {
    // By the bare name of a server we would be taken for one that is on the wrong way (behaviours 3.9).
    let hello = format!("probe.{node}");
    let failed = |error: rustls::Error| error.to_string();
    let Some(place) = place else { return Probers::new(world.clone(), &hello, Arc::new(())).map_err(failed) };
    let view = place.cluster.view();
    let probers = Probers::new(world.clone(), &hello, Arc::new(Records(view.clone()))).map_err(failed)?;
    tokio::spawn(follow(probers.clone(), view));
    Ok(probers)
}

/// Has the probers ask again whenever a record has changed, until the cluster is left.
async fn follow(probers: Probers, mut view: watch::Receiver<Arc<View>>) {
    while view.changed().await.is_ok() {
        probers.look_again();
    }
}

/// The records of the cluster's nodes.
struct Records(watch::Receiver<Arc<View>>);

impl Known for Records {
    fn standing(&self, server: &str) -> Option<Standing> {
        let view = self.0.borrow();
        if view.silent.is_some() {
            return None;
        }
        let health = view.nodes.get(&server.to_ascii_lowercase())?.health.as_str();
        [DRAINING, STOPPING].contains(&health).then(|| Standing::Draining(health.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::record::NodeRecord;

    #[test]
    fn a_record_counts_only_where_it_says_that_nobody_is_wanted_and_while_etcd_answers() {
        let view = |health: &str| {
            let record = NodeRecord { health: health.into(), ..NodeRecord::default() };
            View { nodes: [("hub1".to_string(), record)].into(), ..View::default() }
        };
        let (sender, receiver) = watch::channel(Arc::new(view("draining")));
        let records = Records(receiver);
        assert_eq!(records.standing("HUB1"), Some(Standing::Draining("draining".into())));
        assert_eq!(records.standing("hub2"), None);
        sender.send_replace(Arc::new(view("back-pressure")));
        assert_eq!(records.standing("hub1"), None, "that is for its probes to hear");
        let silent = Some(::cluster::etcd::Error::NoLeader("x".into()));
        sender.send_replace(Arc::new(View { silent, ..view("stopping") }));
        assert_eq!(records.standing("hub1"), None);
    }
}
