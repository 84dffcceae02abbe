//! Owns the verbs on virtual addresses. Knows no HTTP. Always holds: an order is given only to a holder that is there, for a node that would
//! have the address; that it moved is what etcd says, not what was asked.

use std::time::Duration;

use ::cluster::vip::{VipOrder, Vips};
use tokio::time::timeout;

use super::{Control, Refusal};
use crate::view;

impl Control {
    /// All virtual addresses, as this node sees them.
    pub fn virtual_addresses(&self) -> Vec<view::VirtualAddress> {
        self.node.virtual_addresses.shown()
    }

    /// Who has one.
    pub fn virtual_address_holder(&self, name: &str) -> Option<String> {
        self.virtual_addresses().into_iter().find(|one| one.name == name)?.holder
    }

    /// Has one moved, away from its node or to another one, and waits until it has moved.
    pub async fn move_virtual_address(&self, name: &str, to: Option<String>, who: &str) -> Result<String, Refusal> {
        let all = self.virtual_addresses();
        let one = all.iter().find(|one| one.name == name).ok_or_else(|| {
            Refusal::missing(format!("there is no virtual address \"{name}\""), "posthouse vip status lists them")
        })?;
        let place = self.node.cluster.as_ref().ok_or_else(super::cluster::no_cluster)?;
        let to = to.map(|to| to.to_ascii_lowercase());
        let from = movable(one, to.as_deref())?;
        let order = VipOrder { from: from.clone(), to: to.clone(), who: who.into() };
        let vips = Vips::new(place.cluster.client().clone(), place.cluster.keys().clone());
        let ordered = vips.order(name, &order).await;
        ordered.map_err(|error| Refusal::busy(format!("not moved: {error}"), "no address moves without etcd"))?;
        tracing::info!("{who} has the virtual address {name} moved away from {from}");
        let mut view = place.cluster.view();
        let moved = timeout(MOVE_MAX, async {
            loop {
                let holder = view.borrow_and_update().vips.get(name).and_then(|vip| vip.holder.clone());
                if let Some((_, holder)) = holder.filter(|(_, holder)| holder.node != from) {
                    return holder.node;
                }
                if view.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        });
        moved.await.map(|now| format!("{name} has moved from {from} to {now}")).map_err(|_| {
            let what = format!("{name} has not moved within {} s", MOVE_MAX.as_secs());
            Refusal::busy(what, "posthouse vip status shows who has it; the log of that node says why it keeps it")
        })
    }
}

/// The node that has it, if it can go to another one.
fn movable(one: &view::VirtualAddress, to: Option<&str>) -> Result<String, Refusal> {
    let from = one.holder.clone().ok_or_else(|| {
        Refusal::busy(
            format!("nobody has {}", one.name),
            "the first node that is fit takes it; posthouse vip status says who is",
        )
    })?;
    let others: Vec<&String> = one.candidates.iter().filter(|node| **node != from).collect();
    let candidates =
        "posthouse vip status lists those that would have it; the others say there why not, asked themselves";
    match to {
        Some(to) if to == from => {
            Err(Refusal::bad(format!("{to} has {} already", one.name), "name another node, or none"))
        }
        Some(to) if !others.iter().any(|node| *node == to) => {
            Err(Refusal::busy(format!("{to} would not have {} now", one.name), candidates))
        }
        None if others.is_empty() => {
            Err(Refusal::busy(format!("no other node would have {} now", one.name), candidates))
        }
        _ => Ok(from),
    }
}

/// A move takes a fraction of a second.
const MOVE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_cannot_be_carried_out_is_refused_at_once() {
        let mut one = view::VirtualAddress { name: "front".into(), ..Default::default() };
        assert!(movable(&one, None).unwrap_err().error.contains("nobody has front"));
        (one.holder, one.candidates) = (Some("a".into()), vec!["a".into()]);
        assert!(movable(&one, None).unwrap_err().error.contains("no other node"));
        assert!(movable(&one, Some("a")).unwrap_err().error.contains("already"));
        one.candidates.push("b".into());
        assert_eq!((movable(&one, None), movable(&one, Some("b"))), (Ok("a".into()), Ok("a".into())));
        assert!(movable(&one, Some("c")).unwrap_err().error.contains("would not have front now"));
    }
}
