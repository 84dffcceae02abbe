//! Owns the deletion of records in etcd that nobody needs any more. Knows no journal's bytes.
//! Always holds: a record goes only if it is what was looked at, and its journal is on no disk of the node that it came from.

use std::io;

use cluster::etcd::Txn;
use cluster::record::JournalName;
use tracing::{info, warn};
use world::World;

use super::InCluster;
use crate::copies::Places;

impl InCluster {
    /// Deletes the records of this node's earlier journals that are delivered and not on its disk any more.
    pub async fn tidy(&self, world: &World, places: &Places, own: &str) {
        let (world, places, me) = (world.clone(), places.clone(), self.me().node.clone());
        let view = self.view();
        if view.silent.is_some() || view.tombstones(&me, &[]).is_empty() {
            return;
        }
        let of_me = me.clone();
        let here = match tokio::task::spawn_blocking(move || on_disk(&world, &places, &of_me)).await {
            Ok(Ok(here)) => here,
            Ok(Err(error)) => return warn!("earlier journals cannot be listed: {error}; their records stay in etcd"),
            // Only a panic, which ends the process.
            Err(_) => return,
        };
        let here: Vec<JournalName> = here.into_iter().chain(JournalName::parse(own)).collect();
        for (name, at) in view.tombstones(&me, &here) {
            let key = self.cluster.keys().journal(&name);
            match self.cluster.client().decide(&Txn::new().if_at(&key, at).delete(&key)).await {
                Ok(decided) if decided.done => info!("{name} is delivered everywhere: its record is deleted"),
                // It has changed meanwhile: looked at again in a minute.
                Ok(_) => {}
                Err(error) => return info!("the record of {name} is not deleted yet: {error}"),
            }
        }
    }
}

/// The journals of `node` of which something is in our data directory. Blocks.
fn on_disk(world: &World, places: &Places, node: &str) -> io::Result<Vec<JournalName>> {
    let mut here = Vec::new();
    for place in [&places.former, &places.taken, &places.copies] {
        match world.disk.list(&place.join(node)) {
            Ok(journals) => here.extend(journals.iter().filter_map(|journal| JournalName::new(node, &journal.name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_is_left_anywhere_on_the_disk_is_found() {
        let (world, _) = World::simulated(1);
        let at = |text: &str| Path::new(text).to_path_buf();
        let places = Places { copies: at("/d/copies"), taken: at("/d/taken"), former: at("/d/former") };
        let all = ["/d/former/n1/spool-1", "/d/taken/n1/spool-2", "/d/copies/n1/spool-3", "/d/copies/n2/spool-4"];
        all.iter().for_each(|dir| world.disk.create_dir_all_durable(Path::new(dir)).unwrap());
        let mut here: Vec<String> = on_disk(&world, &places, "n1").unwrap().iter().map(ToString::to_string).collect();
        here.sort();
        assert_eq!(here, ["n1/spool-1", "n1/spool-2", "n1/spool-3"]);
    }
}
