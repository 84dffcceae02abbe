//! Owns which key means what. Knows no values. Always holds: each key of ours is under the organization's prefix, and a name
//! cannot leave its place in it (see [`is_name`]).

use std::net::IpAddr;

use crate::record::{JournalName, is_name};

/// The keys of one organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// `nodes/<name>`
    Node(String),
    /// `journals/<node>/<journal>`
    Journal(JournalName),
    /// `journals/<node>/<journal>/owner`
    Holder(JournalName),
    /// `vip/<name>`
    Vip(String),
    /// `vip/<name>/order`
    VipOrder(String),
    /// `vip-address/<address>`
    VipAddress(IpAddr),
    /// `org`
    Org,
    /// `org/history/<version>`
    OrgVersion(u64),
    /// None of ours, or of a newer version of us.
    Strange,
}

impl Keys {
    /// Keys under `prefix`, for example `/posthouse/example.org`.
    pub fn new(prefix: &str) -> Keys {
        Keys { prefix: prefix.trim_end_matches('/').to_string() }
    }

    /// What all keys start with.
    pub fn all(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// A node's key, under its lease.
    pub fn node(&self, name: &str) -> String {
        format!("{}/nodes/{name}", self.prefix)
    }

    /// A journal's record; permanent.
    pub fn journal(&self, name: &JournalName) -> String {
        format!("{}/journals/{name}", self.prefix)
    }

    /// The owner's sign of life, under its lease.
    pub fn holder(&self, name: &JournalName) -> String {
        format!("{}/journals/{name}/owner", self.prefix)
    }

    /// Who has a virtual address, under the lease of that.
    pub fn vip(&self, name: &str) -> String {
        format!("{}/vip/{name}", self.prefix)
    }

    /// Somebody wants it to move; under a short lease.
    pub fn vip_order(&self, name: &str) -> String {
        format!("{}/vip/{name}/order", self.prefix)
    }

    /// Under which name an address is held: two objects with one address, on nodes with two versions of the document, exclude each other.
    pub fn vip_address(&self, address: IpAddr) -> String {
        format!("{}/vip-address/{address}", self.prefix)
    }

    /// The organization document.
    pub fn org(&self) -> String {
        format!("{}/org", self.prefix)
    }

    /// What all versions of the organization document start with.
    pub fn org_history(&self) -> String {
        format!("{}/org/history/", self.prefix)
    }

    /// A version of the organization document; the keys sort by version.
    pub fn org_version(&self, version: u64) -> String {
        format!("{}/org/history/{version:012}", self.prefix)
    }

    /// What a key stands for.
    pub fn parse(&self, key: &str) -> Key {
        let rest = key.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('/')).unwrap_or("");
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            ["nodes", name] if is_name(name) => Key::Node(name.into()),
            ["journals", node, journal] => JournalName::new(node, journal).map_or(Key::Strange, Key::Journal),
            ["journals", node, journal, "owner"] => JournalName::new(node, journal).map_or(Key::Strange, Key::Holder),
            ["vip", name] if is_name(name) => Key::Vip(name.into()),
            ["vip", name, "order"] if is_name(name) => Key::VipOrder(name.into()),
            ["vip-address", address] => address.parse().map_or(Key::Strange, Key::VipAddress),
            ["org"] => Key::Org,
            ["org", "history", version] => version.parse().map_or(Key::Strange, Key::OrgVersion),
            _ => Key::Strange,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let keys = Keys::new("/posthouse/example/");
        let name = JournalName::new("a.example", "spool-1").unwrap();
        for (key, means) in [
            (keys.node("a"), Key::Node("a".into())),
            (keys.journal(&name), Key::Journal(name.clone())),
            (keys.holder(&name), Key::Holder(name.clone())),
            (keys.vip("front"), Key::Vip("front".into())),
            (keys.vip_order("front"), Key::VipOrder("front".into())),
            (keys.vip_address("2001:db8::1".parse().unwrap()), Key::VipAddress("2001:db8::1".parse().unwrap())),
            (keys.org(), Key::Org),
            (keys.org_version(7), Key::OrgVersion(7)),
        ] {
            assert!(key.starts_with(&keys.all()));
            assert_eq!(keys.parse(&key), means, "{key}");
        }
        for strange in [
            "",
            "/posthouse/example",
            "/posthouse/example2/nodes/a",
            "/posthouse/example/nodes/",
            "/posthouse/example/journals/a/b/c",
        ] {
            assert_eq!(keys.parse(strange), Key::Strange, "{strange}");
        }
        assert!(keys.org_version(9) < keys.org_version(10));
    }
}
