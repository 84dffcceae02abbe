//! Owns the verb that makes a cluster forget a node that never comes back. Knows no HTTP.
//! Always holds: etcd is asked to change only what was looked at; copies of a journal that was given up go before its record does.

use std::time::Duration;

use cluster::etcd::{Client, Error, Revision, Txn};
use cluster::keys::Keys;
use cluster::record::{JournalName, Record};

use super::{Control, Refusal};
use crate::cluster::{No, plan};

impl Control {
    /// Deletes what etcd has of a node that never comes back. Mail that nobody else can deliver is given up only if `lose_its_mail`.
    pub async fn node_remove(&self, node: &str, lose_its_mail: bool, who: &str) -> Result<String, Refusal> {
        let node = node.to_ascii_lowercase();
        let place = self.node.cluster.as_ref().ok_or_else(super::cluster::no_cluster)?;
        let view = place.view();
        if let Some(why) = &view.silent {
            return Err(Refusal::busy(why.to_string(), "nothing was changed; ask again when etcd answers"));
        }
        let is_up = self.node.peers.as_ref().is_some_and(|peers| peers.is_up(&node));
        if is_up && !view.nodes.contains_key(&node) {
            let error = format!("{node} is not in etcd, and answers on its link: it is only cut off from etcd");
            return Err(Refusal::busy(error, "mend that, or stop it first"));
        }
        let plan = plan(&view, &node, lose_its_mail).map_err(|no| refusal(no, &node))?;
        let (client, keys) = (place.cluster.client(), place.cluster.keys());
        let mut said = Vec::new();
        for (name, at, record) in &plan.give_up {
            tracing::warn!("{who} gives up {name}: what is in it and not delivered is lost");
            give_up(client, keys, name, *at, record).await?;
        }
        // Those who are there and have a copy drop it when they see that.
        if !plan.give_up.is_empty() {
            tokio::time::sleep(COPIES_GO).await;
        }
        for (name, at) in &plan.forget {
            forget(client, keys, name, *at).await?;
            said.push(format!("{name} was delivered; its record is deleted"));
        }
        for (name, ..) in &plan.give_up {
            let (_, there) = client.get(&keys.journal(name)).await.map_err(etcd_says)?;
            let at = there.map_or(0, |there| there.mod_revision);
            forget(client, keys, name, at).await?;
            said.push(format!("{name} is given up, and copies of it are dropped"));
        }
        tracing::warn!("{who} removed {node} from the cluster: {}", said.join("; "));
        let named = self
            .node
            .config
            .loaded()
            .node
            .peers
            .as_ref()
            .is_some_and(|peers| peers.known.iter().any(|peer| peer.name == node));
        if named {
            said.push(format!("take [[peer]] {node} out of the node documents, too"));
        }
        Ok(said.join("; "))
    }
}

/// Marks the journal as finished, if it is still as it was and nobody holds it.
async fn give_up(
    client: &Client,
    keys: &Keys,
    name: &JournalName,
    at: Revision,
    record: &Record,
) -> Result<(), Refusal> {
    let (key, holder) = (keys.journal(name), keys.holder(name));
    let finished = Record { drained: true, ..record.clone() };
    let value =
        serde_json::to_vec(&finished).map_err(|error| Refusal::failed(error.to_string(), "nothing was changed"))?;
    let txn = Txn::new().if_at(&key, at).if_at(&holder, 0).put(&key, &value, 0);
    let decided = client.decide(&txn).await.map_err(etcd_says)?;
    if decided.done { Ok(()) } else { Err(changed(name)) }
}

async fn forget(client: &Client, keys: &Keys, name: &JournalName, at: Revision) -> Result<(), Refusal> {
    let key = keys.journal(name);
    let decided = client.decide(&Txn::new().if_at(&key, at).delete(&key)).await.map_err(etcd_says)?;
    if decided.done { Ok(()) } else { Err(changed(name)) }
}

fn changed(name: &JournalName) -> Refusal {
    Refusal::busy(format!("{name} has changed meanwhile"), "look at posthouse cluster status, and ask again")
}

fn etcd_says(error: Error) -> Refusal {
    Refusal::busy(error.to_string(), "ask again: what was done already is not done twice")
}

fn refusal(no: No, node: &str) -> Refusal {
    match no {
        No::Busy(error, what_to_do) => Refusal::busy(error, &what_to_do),
        No::Unknown => Refusal::missing(
            format!("etcd knows no node {node}, and no journal of it"),
            "posthouse cluster status shows those that it knows",
        ),
    }
}

/// Nodes see a change in etcd within milliseconds.
const COPIES_GO: Duration = Duration::from_secs(2);
