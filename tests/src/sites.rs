//! An organization of three sites as real processes, each server in a network namespace of its own: two hubs in the west, one in the
//! middle, two in the east (and a third one that a document can add). Mail for `east.test` ends in a store beside each eastern hub,
//! mail for everybody else in one sink outside. All ledgers stay, so what was promised can be compared with what came.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chaos::Arrivals;
use crate::cluster::{ClusterNode, ClusterSink, Load, Net, Place};
use crate::eventually;
use crate::two::pki;

/// Servers by their number in the network.
pub const W1: usize = 1;
pub const W2: usize = 2;
pub const M1: usize = 3;
pub const E1: usize = 4;
pub const E2: usize = 5;
pub const E3: usize = 6;
const SERVERS: [(usize, &str); 6] = [(W1, "w1"), (W2, "w2"), (M1, "m1"), (E1, "e1"), (E2, "e2"), (E3, "e3")];

/// Any state that the organization has to come to by itself.
pub const SOON: Duration = Duration::from_secs(40);
/// Connections to one next hop: what a kill can leave undecided.
pub const CONNECTIONS: usize = 5;

/// What a document of the organization says.
#[derive(Clone)]
pub struct Plan {
    /// Site of each server that is written down.
    pub servers: Vec<(usize, &'static str)>,
    /// Links with their costs.
    pub links: Vec<(&'static str, &'static str, u32)>,
    /// The middle is a hub site.
    pub middle_is_hub: bool,
    /// Who delivers `east.test`.
    pub stores: Vec<usize>,
    /// Who hands mail to the world outside.
    pub sources: Vec<usize>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            servers: vec![(W1, "west"), (W2, "west"), (M1, "middle"), (E1, "east"), (E2, "east")],
            links: vec![("west", "middle", 1), ("middle", "east", 1)],
            middle_is_hub: false,
            stores: vec![E1, E2],
            sources: vec![W1, W2],
        }
    }
}

/// The servers, their stores, the world outside.
pub struct Sites {
    pub load: Load,
    nodes: BTreeMap<usize, ClusterNode>,
    stores: HashMap<usize, ClusterSink>,
    pub outside: ClusterSink,
    pub net: Net,
    keep: tempfile::TempDir,
}

impl Sites {
    /// All servers of the plan run, and `more`. `None`, with a loud line, where a test may make no network namespaces.
    pub fn started(plan: &Plan, more: &[usize]) -> Option<Sites> {
        let net = Net::new(SERVERS.len())?;
        let keep = tempfile::tempdir().unwrap();
        pki(keep.path(), &["init", "--organization", "Three Sites"]);
        let outside = ClusterSink::started(&net, keep.path());
        let wanted: Vec<usize> = plan.servers.iter().map(|(number, _)| *number).chain(more.iter().copied()).collect();
        let (mut nodes, mut stores) = (BTreeMap::new(), HashMap::new());
        for number in wanted {
            let documents = [&node_document(&net, number)[..], &org_document(&net, plan)];
            nodes.insert(number, ClusterNode::with(&net, keep.path(), number, &name(number), documents));
            if number >= E1 {
                let store = format!("127.0.0.1:{STORE}");
                stores
                    .insert(number, ClusterSink::at(&net, keep.path(), Place::Node(number), &store, &["--lmtp", "on"]));
            }
        }
        let mut sites = Sites { load: Load::default(), nodes, stores, outside, net, keep };
        sites.nodes.values_mut().for_each(ClusterNode::start_only);
        sites
            .nodes
            .values()
            .for_each(|node| eventually(&format!("{} answers", node.name), SOON, || node.status().is_some()));
        Some(sites)
    }

    /// A server.
    pub fn node(&mut self, number: usize) -> &mut ClusterNode {
        self.nodes.get_mut(&number).unwrap()
    }

    /// Has every server that runs read another document.
    pub fn change(&self, plan: &Plan) {
        let org = org_document(&self.net, plan);
        self.nodes.values().filter(|node| node.is_started()).for_each(|node| node.reload(&org));
    }

    /// A generator for each of these servers, for a recipient, with so many messages per second each.
    pub fn send(&mut self, to: &[usize], recipient: &str, rate: u32) {
        let options = ["--messages", "0", "--rate", &rate.to_string(), "--rcpt", recipient];
        self.load.start(&self.net, self.keep.path(), to, &options);
    }

    /// What a server's store has taken.
    pub fn stored(&self, number: usize) -> Arrivals {
        self.stores[&number].arrived()
    }

    /// A store's sink, or the world's.
    pub fn sink(&self, number: usize) -> &ClusterSink {
        &self.stores[&number]
    }

    /// Everything that came anywhere: how often, by id.
    pub fn arrived(&self) -> HashMap<String, usize> {
        let mut all: HashMap<String, usize> = HashMap::new();
        for sink in self.stores.values().chain([&self.outside]) {
            let arrivals = sink.arrived();
            assert_eq!(arrivals.bad, 0, "bodies changed on their way");
            arrivals.taken.into_iter().for_each(|(id, (_, times))| *all.entry(id).or_default() += times);
        }
        all
    }

    /// Waits until all that was promised to generators that have ended has arrived. Returns how many came more than once, and were not
    /// sent again by the generator itself.
    pub fn all_arrive(&self) -> HashSet<String> {
        let (tally, end) = (self.load.tally(), Instant::now() + SOON);
        loop {
            let arrived = self.arrived();
            let missing: Vec<&String> = tally.promised.keys().filter(|id| !arrived.contains_key(*id)).collect();
            if missing.is_empty() {
                let twice = arrived.into_iter().filter(|(id, times)| *times > 1 && !tally.doubts.contains(id));
                return twice.map(|(id, _)| id).collect();
            }
            if Instant::now() > end {
                self.tell();
                panic!(
                    "LOST: {} of {}, e.g. {:?}",
                    missing.len(),
                    tally.promised.len(),
                    &missing[..missing.len().min(5)]
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Messages that a server has taken from others of the organization since its start.
    pub fn taken(&self, number: usize) -> usize {
        let (_, page) = self.nodes[&number].get("/metrics").unwrap();
        let of_servers =
            |line: &&str| line.starts_with("posthouse_accepted_messages_total") && line.contains("\"servers\"");
        page.lines().find(of_servers).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }

    /// The queues of a server that hold mail, as `queue list` shows them.
    pub fn queues(&self, number: usize) -> Vec<Value> {
        let (code, said) = self.nodes[&number].verb(&["queue", "list", "--json"]);
        assert_eq!(code, 0, "{said}");
        let listed: Value = serde_json::from_str(&said).unwrap();
        let queues = listed["queues"].as_array().unwrap().clone();
        queues.into_iter().filter(|queue| queue["messages"] != 0).collect()
    }

    /// Messages that wait on a server.
    pub fn waiting(&self, number: usize) -> u64 {
        self.queues(number).iter().map(|queue| queue["messages"].as_u64().unwrap()).sum()
    }

    /// What a postmaster would want to see when something went wrong.
    pub fn tell(&self) {
        for node in self.nodes.values().filter(|node| node.is_started()) {
            println!(
                "--- {}\n{}\n{}",
                node.name,
                node.verb(&["queue", "list"]).1,
                crate::cluster::tail(&node.log(), 25)
            );
        }
    }
}

/// The name of a server.
pub fn name(number: usize) -> String {
    let short = SERVERS.iter().find(|(known, _)| *known == number).map_or("?", |(_, name)| name);
    format!("{short}.sites.test")
}

fn node_document(net: &Net, number: usize) -> String {
    let (name, address) = (name(number), net.address(Place::Node(number)));
    format!(
        "name = \"{name}\"\ndata = \"data\"\n[http]\nlisten = \"127.0.0.1:8025\"\n[peers]\nlisten = \"{address}:2526\"\n\
         certificate = \"../pki/nodes/{name}/certificate.pem\"\nkey = \"../pki/nodes/{name}/key.pem\"\n\
         ca = \"../pki/nodes/{name}/ca.pem\"\n[journal]\nsegment_size = \"4MB\"\nkeep_free = \"8MB\"\n\
         [limits]\nconnection_rate_per_minute = 0\n"
    )
}

/// The organization's document, the same for all.
pub fn org_document(net: &Net, plan: &Plan) -> String {
    let mut text = format!(
        "postmaster = \"postmaster@east.test\"\n\
         [[receive_connector]]\nname = \"in\"\nlisten = [\"0.0.0.0:25\"]\nremote = [\"198.18.0.0/16\", \"127.0.0.0/8\"]\ntls = \"off\"\n\
         permissions = [\"anonymous\", \"relay\"]\nconnections_per_source_max = 1000\nconnections_per_source_percent_max = 100\ntarpit_ms = 0\n\
         [[receive_connector]]\nname = \"servers\"\nlisten = [\"0.0.0.0:{LINKS}\"]\ntls = \"organization\"\npermissions = [\"servers\"]\n\
         connections_per_source_max = 1000\nconnections_per_source_percent_max = 100\n\
         [retry]\nglitch_count = 1000\nglitch_interval = \"1s\"\nmessage_retry_interval = \"1s\"\npoison_after = 100\n"
    );
    for site in ["west", "middle", "east"] {
        let _ = writeln!(text, "[[site]]\nname = \"{site}\"\nhub_site = {}", plan.middle_is_hub && site == "middle");
    }
    for (one, other, cost) in &plan.links {
        let _ =
            writeln!(text, "[[site_link]]\nname = \"{one}-{other}\"\nsites = [\"{one}\", \"{other}\"]\ncost = {cost}");
    }
    for (number, site) in &plan.servers {
        let (name, address) = (name(*number), net.address(Place::Node(*number)));
        let _ = writeln!(text, "[[server]]\nname = \"{name}\"\nsite = \"{site}\"\naddress = \"{address}:{LINKS}\"");
    }
    let names = |numbers: &[usize]| {
        numbers.iter().map(|number| format!("\"{}\"", name(*number))).collect::<Vec<_>>().join(", ")
    };
    let _ = write!(
        text,
        "[[accepted_domain]]\nname = \"east.test\"\ndeliver = \"lmtp:127.0.0.1:{STORE}\"\nservers = [{}]\n\
         [[send_connector]]\nname = \"out\"\ndomains = [\"*\"]\nsmart_hosts = [\"{}:25\"]\nservers = [{}]\ntls = \"off\"\n\
         connections_max = {CONNECTIONS}\ngreeting_timeout = \"4s\"\ncommand_timeout = \"4s\"\ndata_timeout = \"4s\"\ndata_end_timeout = \"4s\"\n",
        names(&plan.stores),
        net.address(Place::Hub),
        names(&plan.sources),
    );
    text
}

/// Where servers take mail from each other.
const LINKS: u16 = 2527;
/// Where a store listens beside its server.
const STORE: u16 = 2424;
