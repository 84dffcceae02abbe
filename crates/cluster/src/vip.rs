//! Owns who has a virtual address, in etcd: claimed by one transaction under a lease, given back with the lease, moved by an order.
//! Knows no interface and no preference. Always holds: a claim is done only where nobody has the name or one of its addresses; whoever has
//! them has them under a lease that it keeps; an order ends by itself.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

use crate::etcd::{Client, Error, Revision, Txn};
use crate::keys::Keys;
use crate::record::{hex, unhex};

/// Who has a virtual address: its key's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipHolder {
    /// The node.
    pub node: String,
    /// Its process: that of a former life is told from it.
    #[serde(serialize_with = "hex", deserialize_with = "unhex")]
    pub process: u64,
    /// Why it came there, in words.
    #[serde(default)]
    pub why: String,
    /// Since when, by its wall clock, in milliseconds. For people.
    #[serde(default)]
    pub since_ms: u64,
    /// By order: it does not go back by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// The addresses, for people.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// Somebody wants a virtual address to move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipOrder {
    /// Away from this node.
    pub from: String,
    /// To this one; nobody: to whichever comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Who wants it.
    #[serde(default)]
    pub who: String,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours since this revision.
    Done(Revision),
    /// Somebody else has the name, or one of the addresses.
    Taken,
    /// The lease is gone.
    LeaseGone,
    /// Not known: the same claim may be made again, and then tells.
    Open(Error),
}

/// Virtual addresses in etcd.
#[derive(Clone)]
pub struct Vips {
    client: Client,
    keys: Keys,
}

impl Vips {
    /// Those under these keys.
    pub fn new(client: Client, keys: Keys) -> Vips {
        Vips { client, keys }
    }

    /// Claims a name and its addresses under a lease. An order is fulfilled with it, whoever it named.
    pub async fn claim(&self, name: &str, holder: &VipHolder, addresses: &[IpAddr], lease: i64) -> Claim {
        let value = match serde_json::to_vec(holder) {
            Ok(value) => value,
            Err(error) => return Claim::Open(Error::Refused(error.to_string())),
        };
        let key = self.keys.vip(name);
        let mut txn = Txn::new().if_at(&key, 0).put(&key, &value, lease).delete(&self.keys.vip_order(name));
        for address in addresses {
            let key = self.keys.vip_address(*address);
            txn = txn.if_at(&key, 0).put(&key, name.as_bytes(), lease);
        }
        match self.client.decide(&txn.else_read(&key)).await {
            Ok(decided) if decided.done => Claim::Done(decided.at),
            Ok(decided) => match decided.read.first().and_then(|read| read.first()) {
                // An earlier try whose answer was lost: nobody else writes under our lease.
                Some(kv) if kv.lease == lease => Claim::Done(kv.mod_revision),
                _ => Claim::Taken,
            },
            Err(Error::LeaseGone) => Claim::LeaseGone,
            Err(error) => Claim::Open(error),
        }
    }

    /// Wants it to move. The order ends by itself after [`ORDER_S`] seconds.
    pub async fn order(&self, name: &str, order: &VipOrder) -> Result<(), Error> {
        let value = serde_json::to_vec(order).map_err(|error| Error::Refused(error.to_string()))?;
        let lease = self.client.grant(ORDER_S).await?;
        self.client.put(&self.keys.vip_order(name), &value, lease.id).await.map(drop)
    }
}

/// Seconds that an order counts. A holder that is there obeys within one; none that comes later shall.
pub const ORDER_S: u64 = 10;
