//! Network namespaces on one bridge: one for the bridge, generator and sink, one for etcd, one for each node.
//!
//! The addresses are of 198.18.0.0/15, which is set aside for such tests and is nobody's. Names hold our process id and a number, and
//! all namespaces are removed on drop; with the last process in one, its interfaces go too.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::within;

/// Somebody on the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Generator and sink, and the bridge itself.
    Hub,
    /// All etcd members.
    Etcd,
    /// A node, by its number from 1.
    Node(usize),
}

/// The namespaces. Removed on drop.
#[derive(Debug)]
pub struct Net {
    prefix: String,
    nodes: usize,
}

/// Members of etcd.
pub const ETCDS: usize = 3;

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Net {
    /// `None`, with a loud line, where we may not make namespaces.
    pub fn new(nodes: usize) -> Option<Net> {
        assert!(nodes <= 9, "addresses are for nine");
        let net = Net { prefix: format!("ph{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)), nodes };
        if let Err(why) = ip(&["netns", "add", &net.name(Place::Hub)]) {
            eprintln!("\n*** NOT TESTED: network namespaces are needed (root, iproute2): {why} ***\n");
            return None;
        }
        let hub = net.name(Place::Hub);
        let inside = |words: &str| must(&format!("-n {hub} {words}"));
        inside("link set lo up");
        inside("link add br0 type bridge");
        inside("link set br0 up");
        inside(&format!("addr add {}/24 dev br0", net.address(Place::Hub)));
        net.join(Place::Etcd);
        for member in 1..ETCDS {
            must(&format!("-n {} addr add {}/24 dev eth0", net.name(Place::Etcd), net.etcd_address(member)));
        }
        (1..=nodes).for_each(|number| net.join(Place::Node(number)));
        Some(net)
    }

    fn join(&self, place: Place) {
        let (name, hub, port) = (self.name(place), self.name(Place::Hub), self.port(place));
        must(&format!("netns add {name}"));
        must(&format!("-n {hub} link add {port} type veth peer name eth0 netns {name}"));
        must(&format!("-n {hub} link set {port} master br0"));
        must(&format!("-n {hub} link set {port} up"));
        must(&format!("-n {name} addr add {}/24 dev eth0", self.address(place)));
        must(&format!("-n {name} link set eth0 up"));
        must(&format!("-n {name} link set lo up"));
    }

    fn port(&self, place: Place) -> String {
        match place {
            Place::Hub => "br0".into(),
            Place::Etcd => "p-etcd".into(),
            Place::Node(number) => format!("p-n{number}"),
        }
    }

    /// Name of the namespace.
    pub fn name(&self, place: Place) -> String {
        match place {
            Place::Hub => format!("{}-hub", self.prefix),
            Place::Etcd => format!("{}-etcd", self.prefix),
            Place::Node(number) => format!("{}-n{number}", self.prefix),
        }
    }

    /// Its (first) address.
    pub fn address(&self, place: Place) -> Ipv4Addr {
        match place {
            Place::Hub => Ipv4Addr::new(198, 18, 0, 1),
            Place::Etcd => self.etcd_address(0),
            Place::Node(number) => Ipv4Addr::new(198, 18, 0, 10 + number as u8),
        }
    }

    /// Address of a member of etcd, from 0.
    pub fn etcd_address(&self, member: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 0, 31 + member as u8)
    }

    /// A command that runs there.
    pub fn command(&self, place: Place, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name(place))).arg("--").arg(program);
        command
    }

    /// Does something there: its sockets are that namespace's.
    pub fn within<T: Send>(&self, place: Place, act: impl FnOnce() -> T + Send) -> T {
        within(&self.name(place), act)
    }

    /// What is sent between the two is lost from now on, both ways and without a word, as with a broken cable.
    pub fn cut(&self, one: Place, other: Place) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// What `from` sends to `to` is lost: it goes to a card that nobody has.
    pub fn cut_one_way(&self, from: Place, to: Place) {
        for address in self.addresses(to) {
            let (name, device) = (self.name(from), device(from));
            must(&format!("-n {name} neigh replace {address} lladdr 02:ff:ff:ff:ff:ff nud permanent dev {device}"));
        }
    }

    /// The cut is over.
    pub fn heal(&self, one: Place, other: Place) {
        for (from, to) in [(one, other), (other, one)] {
            for address in self.addresses(to) {
                // One that was cut in one direction has no entry in the other.
                let _ = ip(&["-n", &self.name(from), "neigh", "del", &address.to_string(), "dev", device(from)]);
            }
        }
    }

    /// Pulls the plug: what a process there sends while it dies reaches nobody.
    pub fn unplug(&self, place: Place) {
        must(&format!("-n {} link set {} down", self.name(Place::Hub), self.port(place)));
    }

    /// Puts it back.
    pub fn plug(&self, place: Place) {
        must(&format!("-n {} link set {} up", self.name(Place::Hub), self.port(place)));
    }

    fn addresses(&self, place: Place) -> Vec<Ipv4Addr> {
        match place {
            Place::Etcd => (0..ETCDS).map(|member| self.etcd_address(member)).collect(),
            _ => vec![self.address(place)],
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let nodes = (1..=self.nodes).map(Place::Node);
        for place in nodes.chain([Place::Etcd, Place::Hub]) {
            // One that was never made is not there.
            let _ = ip(&["netns", "del", &self.name(place)]);
        }
    }
}

fn device(place: Place) -> &'static str {
    if place == Place::Hub { "br0" } else { "eth0" }
}

fn must(words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    ip(&words).unwrap_or_else(|why| panic!("ip {}: {why}", words.join(" ")));
}

fn ip(words: &[&str]) -> Result<(), String> {
    let out = Command::new("ip").args(words).output().map_err(|error| error.to_string())?;
    match out.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&out.stderr).trim().to_string()),
    }
}
