//! Owns the start of a node's own journal in a cluster: its name, and the question whether it is still ours. Knows no spool.
//! Always holds: nothing is written to the journal before etcd (or, without etcd, this disk) has given it an epoch of its own.

use std::path::Path;

use cluster::ownership::{Effect, Local};
use cluster::record::JournalName;
use cluster::{Cluster, SeatHandle};
use tracing::{error, warn};
use world::World;

use super::{former, say::say};
use crate::copies::{Places, TakeNote};

/// A journal that is ours to write.
pub struct Claimed {
    /// Its name in the cluster.
    pub name: JournalName,
    /// Our seat; what it wants next has not been asked yet.
    pub seat: SeatHandle,
    /// The epoch to open it under.
    pub epoch: u32,
}

/// Waits until the journal in `dir` (made if missing) is ours. One that another node has taken is laid down, and a new one is made. The
/// error is for people.
pub async fn claim(
    world: &World,
    cluster: &Cluster,
    places: &Places,
    dir: &Path,
    settings: &journal::Settings,
) -> Result<Claimed, String> {
    loop {
        let node = &cluster.me().node;
        let name = tokio::task::block_in_place(|| found(world, places, node, dir, settings))?;
        let Some((name, local)) = name else { continue };
        let mut seat = cluster.seat(name.clone(), local);
        loop {
            let effect = tokio::select! {
                effect = seat.effect() => effect.ok_or("the cluster's tasks have ended")?,
                () = tokio::time::sleep(SAY_EVERY) => {
                    warn!(
                        "waiting for etcd to give this node its journal; without etcd only a node that was in the cluster \
                         before can start"
                    );
                    continue;
                }
            };
            match effect {
                Effect::Own { epoch, .. } => return Ok(Claimed { name, seat, epoch }),
                Effect::Lost { epoch, taken, .. } => {
                    let moved = || former::lay_down(world, places, &name, dir, epoch, taken);
                    tokio::task::block_in_place(moved).map_err(|error| format!("{}: {error}", dir.display()))?;
                    break;
                }
                Effect::Delete => {
                    return Err(format!(
                        "{name} was given up (posthouse node remove --lose-its-mail) and is in {} all the same; to deliver its mail after all, start this node \
                         again when etcd has forgotten that (seconds); to start without it, move that directory away",
                        dir.display()
                    ));
                }
                Effect::Say(event) => say(&name, &event),
                other => error!("{name}: etcd says what cannot be for a node's own journal: {other:?}"),
            }
        }
    }
}

/// The journal in `dir`; `None` when it was one that another node has, and was moved away.
fn found(
    world: &World,
    places: &Places,
    node: &str,
    dir: &Path,
    settings: &journal::Settings,
) -> Result<Option<(JournalName, Local)>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", dir.display());
    let identity = journal::found(world, dir, settings).map_err(|error| failed(&error))?;
    let id = u64::from(identity.salt);
    let name = JournalName::own(node, id).ok_or_else(|| format!("'{node}' is no name for a node in a cluster"))?;
    if TakeNote::read(world, dir).map_err(|error| failed(&error))?.is_some() {
        former::finish(world, places, &name, dir).map_err(|error| failed(&error))?;
        return Ok(None);
    }
    Ok(Some((name, Local { id, epoch: identity.epoch, owner: true })))
}

const SAY_EVERY: std::time::Duration = std::time::Duration::from_secs(10);
