//! An organization of several sites: nodes with certificates of one authority, and one document for all of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::eventually;
use crate::process::Node;
use crate::two::pki;
use crate::wire::Wire;

/// The nodes, by name.
pub struct Organization {
    pub keep: tempfile::TempDir,
    pub nodes: BTreeMap<String, Node>,
    /// Where the connector for servers of each listens.
    pub links: BTreeMap<String, u16>,
    /// What the document says beside sites, servers and connectors.
    rest: String,
    sites: Vec<(String, Vec<String>)>,
    /// What `[[server]]` says in place of where a server listens.
    elsewhere: BTreeMap<String, u16>,
}

impl Organization {
    /// Sites with the names of their servers, not started yet; each site is linked with the next one. `rest` is added to the document.
    pub fn new(sites: &[(&str, &[&str])], rest: &str) -> Organization {
        let keep = tempfile::tempdir().unwrap();
        pki(keep.path(), &["init", "--organization", "Example Ltd"]);
        let (mut nodes, mut links) = (BTreeMap::new(), BTreeMap::new());
        for name in sites.iter().flat_map(|(_, names)| *names) {
            pki(keep.path(), &["issue", name]);
            let dir = keep.path().join(name);
            fs::create_dir(&dir).unwrap();
            let document = format!(
                "name = \"{name}\"\n[peers]\nlisten = \"127.0.0.1:{}\"\ncertificate = \"../pki/nodes/{name}/certificate.pem\"\n\
                 key = \"../pki/nodes/{name}/key.pem\"\nca = \"../pki/nodes/{name}/ca.pem\"\n[limits]\nconnection_rate_per_minute = 0\n",
                quiet_port()
            );
            fs::write(dir.join("posthouse.toml"), document).unwrap();
            let mut node = Node::at(&dir, &["--config", "posthouse.toml", "--org", "../org.toml"]);
            (node.smtp, node.submission, node.http) = (quiet_port(), quiet_port(), quiet_port());
            nodes.insert(name.to_string(), node);
            links.insert(name.to_string(), quiet_port());
        }
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let sites = sites.iter().map(|(site, names)| (site.to_string(), owned(names))).collect();
        let organization = Organization { keep, nodes, links, rest: rest.into(), sites, elsewhere: BTreeMap::new() };
        organization.write();
        organization
    }

    /// The document says that a server is to be found on another port.
    pub fn misplace(&mut self, server: &str, port: u16) {
        self.elsewhere.insert(server.into(), port);
        self.write();
    }

    /// The document says this too.
    pub fn also(&mut self, text: &str) {
        self.rest.push_str(text);
        self.write();
    }

    /// Gives a node a certificate of another authority, which it believes beside the one of the organization. Before its start.
    pub fn make_foreign(&self, name: &str) {
        let other = self.keep.path().join("other");
        fs::create_dir(&other).unwrap();
        pki(&other, &["init", "--organization", "Another Ltd"]);
        pki(&other, &["issue", name]);
        let (theirs, ours) = (other.join("pki/nodes").join(name), self.certificate(name));
        let both = [fs::read(theirs.join("ca.pem")).unwrap(), fs::read(ours.join("ca.pem")).unwrap()].concat();
        fs::write(ours.join("ca.pem"), both).unwrap();
        for file in ["certificate.pem", "key.pem"] {
            fs::copy(theirs.join(file), ours.join(file)).unwrap();
        }
    }

    /// A server that the document does not name yet, added to a site and not started. Whoever runs does not know of it before a reload.
    pub fn add(&mut self, site: &str, server: &str) {
        let (_, names) = self.sites.iter_mut().find(|(name, _)| name == site).unwrap();
        names.push(server.into());
        self.write();
    }

    /// A server that the document names no more.
    pub fn forget(&mut self, server: &str) {
        self.sites.iter_mut().for_each(|(_, names)| names.retain(|name| name != server));
        self.write();
    }

    fn write(&self) {
        let mut text = String::new();
        for (site, names) in &self.sites {
            text.push_str(&format!("[[site]]\nname = \"{site}\"\n"));
            for name in names {
                let (node, link) = (&self.nodes[name], self.links[name]);
                let address = self.elsewhere.get(name).unwrap_or(&link);
                text.push_str(&format!(
                    "[[server]]\nname = \"{name}\"\nsite = \"{site}\"\naddress = \"127.0.0.1:{address}\"\n\
                     [[receive_connector]]\nname = \"in-{name}\"\nlisten = [\"127.0.0.1:{}\"]\nservers = [\"{name}\"]\ntarpit_ms = 0\n\
                     [[receive_connector]]\nname = \"links-{name}\"\nlisten = [\"127.0.0.1:{link}\"]\nservers = [\"{name}\"]\n\
                     tls = \"organization\"\npermissions = [\"servers\"]\n",
                    node.smtp
                ));
            }
        }
        for pair in self.sites.windows(2) {
            let (a, b) = (&pair[0].0, &pair[1].0);
            text.push_str(&format!("[[site_link]]\nname = \"{a}-{b}\"\nsites = [\"{a}\", \"{b}\"]\n"));
        }
        text.push_str(&self.rest);
        fs::write(self.keep.path().join("org.toml"), text).unwrap();
    }

    pub fn node(&self, name: &str) -> &Node {
        &self.nodes[name]
    }

    pub fn start(&mut self, names: &[&str]) {
        for name in names {
            self.nodes.get_mut(*name).unwrap().start();
            let link = ("127.0.0.1", self.links[*name]);
            eventually("its connector for servers listens", Duration::from_secs(60), || {
                TcpStream::connect(link).is_ok()
            });
        }
    }

    pub fn kill(&mut self, name: &str) {
        self.nodes.get_mut(name).unwrap().kill();
    }

    /// The folder of a node's certificate.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.keep.path().join("pki/nodes").join(name)
    }

    /// A connection to the connector for servers of a node, TLS not started.
    pub fn link(&self, name: &str) -> Wire {
        Wire::over(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.links[name]))).unwrap())
    }

    /// The queue of that name on a node, if there is one.
    pub fn queue(&self, node: &str, name: &str) -> Option<serde_json::Value> {
        let queues = self.node(node).json(&["queue", "list"]);
        let all = queues.as_array().or_else(|| queues["queues"].as_array()).expect("a list of queues");
        all.iter().find(|queue| queue["name"] == name).cloned()
    }

    /// Lines of a node's trace with that word for what happened.
    pub fn traced(&self, node: &str, event: &str) -> Vec<String> {
        let dir = self.node(node).data().join("trace");
        let mut files: Vec<_> = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).collect();
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
        text.lines().filter(|line| line.contains(event)).map(String::from).collect()
    }
}

/// A free port that no outgoing connection ever gets: a node that is down for a while finds its ports free again.
fn quiet_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = std::process::id() * 41 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (step % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Hands one message to a node, with a subject; panics if it is not taken.
pub fn submit(node: &Node, to: &str, subject: &str) {
    submit_to(node.smtp, to, subject);
}

/// The same to a port.
pub fn submit_to(port: u16, to: &str, subject: &str) {
    submit_over(&mut Wire::connect(port), true, to, subject);
}

/// Hands many messages over, on one connection.
pub fn submit_many(node: &Node, to: &str, subject: &str, count: usize) {
    let mut wire = Wire::connect(node.smtp);
    for n in 0..count {
        submit_over(&mut wire, n == 0, to, &format!("{subject} {n}"));
    }
}

fn submit_over(wire: &mut Wire, first: bool, to: &str, subject: &str) {
    if first {
        wire.reply();
        assert!(wire.command("EHLO client.example").contains("250"));
    }
    assert!(wire.command("MAIL FROM:<a@client.example>").starts_with("250"));
    let heard = wire.command(&format!("RCPT TO:<{to}>"));
    assert!(heard.starts_with("250"), "{heard}");
    assert!(wire.command("DATA").starts_with("354"));
    let heard =
        wire.command(&format!("Subject: {subject}\r\nMessage-ID: <{subject}@client.example>\r\n\r\nhello\r\n."));
    assert!(heard.starts_with("250"), "{heard}");
}
