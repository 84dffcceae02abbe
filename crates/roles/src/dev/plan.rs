//! Owns what a cluster for trying things out consists of: names, ports, documents. Knows no disk and no process.
//! Always holds: the same numbers give the same plan, so a state file that holds the numbers holds the plan.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

/// Everything that follows from a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many nodes, [`NODES_MIN`] to [`NODES_MAX`]; they are numbered from 1.
    pub nodes: u16,
    /// First of a hundred ports.
    pub base_port: u16,
    /// There is an etcd. Without one there are two nodes, and a person takes over.
    pub etcd: bool,
    /// How long a node may be silent until its journal is taken over, in seconds.
    pub ttl_s: u16,
}

/// Fewer have nobody to keep copies.
pub const NODES_MIN: u16 = 2;
/// More have no ports.
pub const NODES_MAX: u16 = 9;
/// The highest first port: a hundred follow.
const BASE_PORT_MAX: u16 = 65_435;
/// Mail for this domain waits: nobody listens at its next hop, until somebody does.
pub const LATER: &str = "later.test";

impl Plan {
    /// What is wrong with the numbers, if something is.
    pub fn problem(&self) -> Option<String> {
        let Plan { nodes, base_port, .. } = *self;
        match () {
            () if !(NODES_MIN..=NODES_MAX).contains(&nodes) => Some(format!("--nodes is {NODES_MIN} to {NODES_MAX}")),
            () if !(1024..=BASE_PORT_MAX).contains(&base_port) => {
                Some(format!("--base-port is 1024 to {BASE_PORT_MAX}"))
            }
            () => None,
        }
    }

    /// Numbers of all nodes.
    pub fn numbers(&self) -> impl Iterator<Item = u16> + use<> {
        1..=self.nodes
    }

    /// The node's name, as its certificate bears it.
    pub fn name(&self, number: u16) -> String {
        format!("n{number}.test")
    }

    /// The number of a node by its name.
    pub fn number(&self, name: &str) -> Option<u16> {
        self.numbers().find(|number| self.name(*number) == name)
    }

    /// Where the node takes mail.
    pub fn smtp(&self, number: u16) -> SocketAddr {
        self.port(number * 10 + 1)
    }

    /// Where the node takes mail from programs of this machine.
    pub fn submission(&self, number: u16) -> SocketAddr {
        self.port(number * 10 + 2)
    }

    /// Where the node takes mail that came to [`Plan::one_for_all`].
    pub fn balanced(&self, number: u16) -> SocketAddr {
        self.port(number * 10 + 4)
    }

    /// Where the other nodes reach it.
    pub fn links(&self, number: u16) -> SocketAddr {
        self.port(number * 10 + 3)
    }

    /// Its API and its page.
    pub fn http(&self, number: u16) -> SocketAddr {
        self.port(number * 10 + 8)
    }

    /// Where etcd's clients reach it.
    pub fn etcd_clients(&self) -> SocketAddr {
        self.port(1)
    }

    /// Where etcd's other members would reach it.
    pub fn etcd_peers(&self) -> SocketAddr {
        self.port(2)
    }

    /// The address that every node serves, for all of them: what a virtual address is to several machines.
    pub fn one_for_all(&self) -> SocketAddr {
        self.port(5)
    }

    /// The next hop of [`LATER`]. Nobody listens there at first.
    pub fn later(&self) -> SocketAddr {
        self.port(9)
    }

    /// The API of the next hop of [`LATER`], once somebody starts it.
    pub fn later_http(&self) -> SocketAddr {
        self.port(8)
    }

    /// Every port that a process of ours listens on.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        let of_node = |number| {
            let mail = [self.smtp(number), self.submission(number), self.balanced(number)];
            mail.into_iter().chain([self.links(number), self.http(number)])
        };
        let etcd = self.etcd.then(|| [self.etcd_clients(), self.etcd_peers()]);
        self.numbers().flat_map(of_node).chain(etcd.into_iter().flatten()).chain([self.one_for_all()]).collect()
    }

    fn port(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base_port + offset).into()
    }

    /// The node document, to stand in the node's own directory beside `pki/`.
    pub fn node_document(&self, number: u16) -> String {
        let name = self.name(number);
        let mut text = format!(
            "# Node {number} of a cluster for trying things out; written by `posthouse dev cluster`.\n\
             name = \"{name}\"\ndata = \"data\"\n\n[http]\nlisten = \"{}\"\n\n[peers]\nlisten = \"{}\"\n\
             certificate = \"../pki/nodes/{name}/certificate.pem\"\nkey = \"../pki/nodes/{name}/key.pem\"\n\
             ca = \"../pki/nodes/{name}/ca.pem\"\nheartbeat = \"500ms\"\n",
            self.http(number),
            self.links(number)
        );
        for other in self.numbers().filter(|other| *other != number) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[[peer]]\nname = \"{}\"\naddress = \"{}\"\n", self.name(other), self.links(other));
        }
        if self.etcd {
            let _ = write!(
                text,
                "\n[cluster]\nendpoints = [\"http://{}\"]\nprefix = \"/posthouse/dev\"\nttl = \"{}s\"\n",
                self.etcd_clients(),
                self.ttl_s
            );
        }
        // Five of these fit on a small disk; nine nodes keep copies of each other.
        text + "\n[journal]\nsegment_size = \"4MB\"\n\n[limits]\nconnection_rate_per_minute = 0\n"
    }

    /// The organization document of a single node that takes what waits for [`LATER`], and keeps it.
    pub fn later_document(&self) -> String {
        format!(
            "# What takes the mail that waits for {LATER}; written by `posthouse dev cluster`, started by you.\n\
             postmaster = \"postmaster@{LATER}\"\n\n[[accepted_domain]]\nname = \"{LATER}\"\ndeliver = \"maildir\"\n\n\
             [[receive_connector]]\nname = \"in\"\nlisten = [\"{}\"]\nremote = [\"127.0.0.0/8\"]\npermissions = [\"anonymous\"]\n\
             tls = \"off\"\nconnections_per_source_max = 0\nconnections_per_source_percent_max = 100\ntarpit_ms = 0\n",
            self.later()
        )
    }

    /// The organization document: one for all nodes. On one machine each node has its own ports, so each has its own connectors.
    pub fn org_document(&self) -> String {
        let connectors: String = self.numbers().map(|number| self.connectors(number)).collect();
        let members: String = self.numbers().map(|number| self.member(number)).collect();
        format!(
            "# Written by `posthouse dev cluster`, the same for all nodes. With etcd: change it, then posthouse org apply;\n\
             # docs/operating/change-the-organization.md. Without: posthouse reload, on each node.\n\
             postmaster = \"postmaster@posthouse.test\"\n\n\
             # This mail is kept in Maildirs of the node that delivers it.\n\
             [[accepted_domain]]\nname = \"posthouse.test\"\ndeliver = \"maildir\"\n\n{connectors}\
             # One address for all of them: each node listens there and passes connections on to a node that takes mail.\n\
             [[service]]\nname = \"mail\"\nhostname = \"mail.posthouse.test\"\nprotocol = \"smtp\"\nlisten = [\"{one}\"]\nremote = [\"127.0.0.0/8\"]\n\n{members}\
             # This mail waits, so that there is something to see: nobody listens on {later}, until you start later.toml there.\n\
             [[send_connector]]\nname = \"later\"\ndomains = [\"{LATER}\"]\nsmart_hosts = [\"{later}\"]\ntls = \"off\"\n\n\
             [retry]\nglitch_count = 1000\nglitch_interval = \"2s\"\n",
            later = self.later(),
            one = self.one_for_all(),
        )
    }

    fn member(&self, number: u16) -> String {
        format!("[[member]]\nname = \"n{number}\"\nservice = \"mail\"\naddress = \"{}\"\n\n", self.balanced(number))
    }

    fn connectors(&self, number: u16) -> String {
        format!(
            "[[receive_connector]]\nname = \"in-{number}\"\nservers = [\"{name}\"]\nlisten = [\"{smtp}\"]\n\
             remote = [\"127.0.0.0/8\"]\npermissions = [\"relay\"]\ntls = \"off\"\nconnections_per_source_max = 0\n\
             connections_per_source_percent_max = 100\ntarpit_ms = 0\n\n\
             [[receive_connector]]\nname = \"submission-{number}\"\nservers = [\"{name}\"]\nprotocol = \"submission\"\n\
             listen = [\"{submission}\"]\nremote = [\"127.0.0.0/8\"]\npermissions = [\"relay\"]\ntls = \"off\"\ntarpit_ms = 0\n\n\
             [[receive_connector]]\nname = \"mail-{number}\"\nservers = [\"{name}\"]\nhostname = \"mail.posthouse.test\"\n\
             listen = [\"{balanced}\"]\nremote = [\"127.0.0.0/8\"]\ntrusted_proxies = [\"127.0.0.1\"]\n\
             permissions = [\"relay\"]\ntls = \"off\"\nconnections_per_source_max = 0\n\
             connections_per_source_percent_max = 100\ntarpit_ms = 0\n\n",
            name = self.name(number),
            smtp = self.smtp(number),
            submission = self.submission(number),
            balanced = self.balanced(number),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const PLAN: Plan = Plan { nodes: NODES_MAX, base_port: 2600, etcd: true, ttl_s: 5 };

    #[test]
    fn ports_are_apart_and_within_a_hundred() {
        let sockets = PLAN.sockets();
        let ports: HashSet<u16> = sockets.iter().map(SocketAddr::port).chain([PLAN.later().port()]).collect();
        assert_eq!(ports.len(), sockets.len() + 1);
        assert!(ports.iter().all(|port| (2600..2700).contains(port)) && sockets.iter().all(|s| s.ip().is_loopback()));
        assert_eq!((PLAN.number("n9.test"), PLAN.number("n10.test")), (Some(9), None));
        for (nodes, base_port) in [(1, 2600), (10, 2600), (3, 80), (3, 65_436)] {
            assert!(Plan { nodes, base_port, ..PLAN }.problem().is_some());
        }
        assert_eq!(Plan { base_port: BASE_PORT_MAX, ..PLAN }.problem(), None);
        assert_eq!(Plan { base_port: BASE_PORT_MAX, ..PLAN }.http(9).port(), 65_533);
    }

    #[test]
    fn the_next_hop_that_a_person_may_start_is_sound() {
        let (world, _) = world::World::simulated(1);
        let text = PLAN.later_document();
        let given = directory::OrgText { name: "later.toml", text: &text };
        let start = directory::Start::default();
        let loaded = directory::Loaded::load_with(world.disk.as_ref(), &start, Some(given)).unwrap();
        assert_eq!(loaded.org.listeners()[0].address, PLAN.later());
    }

    #[test]
    fn the_organization_document_is_sound_for_each_node() {
        let (world, _) = world::World::simulated(1);
        let (node, org) = (std::path::Path::new("node.toml"), PLAN.org_document());
        for number in PLAN.numbers() {
            let document = format!("name = \"{}\"\n", PLAN.name(number));
            world.disk.replace_durable(node, document.as_bytes()).unwrap();
            let start = directory::Start { config: Some(node.into()), ..directory::Start::default() };
            let given = directory::OrgText { name: "org.toml", text: &org };
            let loaded = directory::Loaded::load_with(world.disk.as_ref(), &start, Some(given)).unwrap();
            assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
            let sockets: Vec<SocketAddr> = loaded.org.listeners().iter().map(|listener| listener.address).collect();
            assert_eq!(sockets, [PLAN.smtp(number), PLAN.submission(number), PLAN.balanced(number)]);
        }
    }
}
