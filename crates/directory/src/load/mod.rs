//! From a command line to a valid configuration: which documents are read, which are built in, what overrides what.

use crate::node::Node;
use crate::org::{Listener, Org, socket_covers};
use crate::problem::{Problem, Problems};
use crate::read::{self, Context, Document};
use crate::receive::ReceiveTls;
use crate::settings;
use crate::target::HostPort;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use world::Disk;

/// What `posthouse start` was asked for. The default is the built-in single node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// `--config`: the node document.
    pub config: Option<PathBuf>,
    /// `--org`: the organization document.
    pub org: Option<PathBuf>,
    /// `--relay-to`: smart hosts; makes the built-in organization relay everything from loopback to them.
    pub relay_to: Vec<String>,
    /// `--data`: instead of what the node document says.
    pub data: Option<PathBuf>,
    /// `--http`: instead of what the node document says.
    pub http: Option<SocketAddr>,
    /// `--smtp`: where the built-in connector `in` listens; does not count with `--org`.
    pub smtp: Option<SocketAddr>,
    /// `--submission`: where the built-in connector `submission` listens; does not count with `--org`.
    pub submission: Option<SocketAddr>,
}

/// An organization document that is in no file of this machine.
#[derive(Clone, Copy, Debug)]
pub struct OrgText<'a> {
    /// Its name in problems.
    pub name: &'a str,
    /// What it says. Relative paths in it start at the node document's directory.
    pub text: &'a str,
}

/// What is read in the place of the organization document that a [`Start`] names or has built in.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// A document that is in no file of this machine.
    Elsewhere(OrgText<'a>),
    /// The same document, saying this.
    Edited(&'a str),
}

/// Both documents, valid.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The node's own part.
    pub node: Node,
    /// The organization.
    pub org: Arc<Org>,
    /// The organization document as it is written.
    pub org_text: Arc<str>,
    /// What is allowed but hardly meant.
    pub warnings: Problems,
}

impl Loaded {
    /// Reads the documents that `start` names, builds the rest in. All problems are found at once; nothing but reading is done.
    pub fn load(disk: &dyn Disk, start: &Start) -> Result<Loaded, Problems> {
        Loaded::load_with(disk, start, None)
    }

    /// The same with `given` in the place of the organization document that `start` names or has built in.
    pub fn load_with(disk: &dyn Disk, start: &Start, given: Option<OrgText<'_>>) -> Result<Loaded, Problems> {
        Loaded::load_for(disk, start, given.map(Given::Elsewhere), None)
    }

    /// The same as another server of the organization would read it; nothing is this one.
    pub fn load_for(
        disk: &dyn Disk,
        start: &Start,
        given: Option<Given<'_>>,
        server: Option<&str>,
    ) -> Result<Loaded, Problems> {
        let mut problems = Problems::default();
        let mut warnings = Problems::default();
        let node = match start.config.as_deref() {
            Some(path) => text_of(disk, path, "--config").and_then(|text| read_node(disk, path, &text, &mut warnings)),
            None => read_node(disk, Path::new(BUILT_IN_NODE), NODE_DOCUMENT, &mut warnings),
        };
        let own = node.as_ref().map_or("localhost", |node| &node.name);
        let name = server.unwrap_or(own).to_string();
        let org = org_source(disk, start, given).and_then(|(source, text)| {
            let org = read_org(disk, &source, &text, &name, &mut warnings)?;
            Ok((org, text))
        });
        if start.org.is_some() && !start.relay_to.is_empty() {
            problems
                .0
                .push(option_problem("does not go with --org; put the smart hosts into a [[send_connector]] there"));
        }
        match (node, org) {
            (Ok(mut node), Ok((org, text))) if problems.0.is_empty() => {
                node.data = start.data.clone().unwrap_or(node.data);
                node.http.listen = start.http.unwrap_or(node.http.listen);
                http_apart(start, &node, &org)?;
                links_have_certificates(start, &node, &org)?;
                Ok(Loaded { node, org: Arc::new(org), org_text: text.into(), warnings })
            }
            (node, org) => {
                problems.0.extend(node.err().into_iter().chain(org.err()).flat_map(|found| found.0));
                Err(problems)
            }
        }
    }
}

fn read_node(disk: &dyn Disk, path: &Path, text: &str, warnings: &mut Problems) -> Result<Node, Problems> {
    let document = Document::parse(path, text, settings::NODE)?;
    let node = read::node(&document, disk);
    if document.is_bad() {
        return Err(document.problems());
    }
    warnings.0.extend(document.warnings().0);
    Ok(node)
}

/// What a document is called in problems, and where relative paths in it start.
struct Source {
    name: String,
    directory: PathBuf,
}

impl Source {
    fn file(path: &Path) -> Source {
        Source { name: path.display().to_string(), directory: directory(Some(path)) }
    }
}

/// The organization document: what is given, or the file, or what is built in.
fn org_source(disk: &dyn Disk, start: &Start, given: Option<Given<'_>>) -> Result<(Source, String), Problems> {
    let own = |file: Option<&Path>| Source::file(file.unwrap_or(Path::new(BUILT_IN_ORG)));
    match (given, start.org.as_deref()) {
        (Some(Given::Elsewhere(given)), _) => {
            let source = Source { name: given.name.into(), directory: directory(start.config.as_deref()) };
            Ok((source, given.text.into()))
        }
        (Some(Given::Edited(text)), file) => Ok((own(file), text.into())),
        (None, Some(path)) => Ok((Source::file(path), text_of(disk, path, "--org")?)),
        (None, None) => Ok((Source::file(Path::new(BUILT_IN_ORG)), built_in_org(start)?)),
    }
}

fn directory(file: Option<&Path>) -> PathBuf {
    file.and_then(Path::parent).map_or_else(PathBuf::new, Path::to_path_buf)
}

fn read_org(
    disk: &dyn Disk,
    source: &Source,
    text: &str,
    node_name: &str,
    warnings: &mut Problems,
) -> Result<Org, Problems> {
    let document = Document::parse_in(source.name.clone(), source.directory.clone(), text, settings::ORG)?;
    let org = read::org(&document, &Context { disk, node_name }).ok_or_else(|| document.problems())?;
    warnings.0.extend(document.warnings().0);
    Ok(org)
}

fn text_of(disk: &dyn Disk, path: &Path, option: &str) -> Result<String, Problems> {
    let problem = |text| Problems(vec![Problem { file: path.display().to_string(), at: None, text }]);
    let bytes = disk.read_all(path).map_err(|error| {
        problem(format!("cannot be read: {}; {option} must name a file that this user may read", read::io_text(&error)))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        problem(format!("line {line} is not UTF-8; save the file as UTF-8"))
    })
}

/// The built-in organization as a document, so that it means what the same document in a file would.
fn built_in_org(start: &Start) -> Result<String, Problems> {
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let smtp = start.smtp.unwrap_or(loopback(2525)).to_string();
    let submission = start.submission.unwrap_or(loopback(5870)).to_string();
    let sockets = |text: &str| text.replace("@SMTP@", &smtp).replace("@SUBMISSION@", &submission);
    if start.relay_to.is_empty() {
        return Ok(sockets(SINGLE_NODE));
    }
    let (mut hosts, mut problems) = (Vec::new(), Problems::default());
    for text in start.relay_to.iter().flat_map(|list| list.split(',')).map(str::trim) {
        match HostPort::parse(text, Some(25)) {
            Ok(host) => hosts.push(format!("\"{host}\"")),
            Err(text) => problems.0.push(option_problem(&text)),
        }
    }
    if problems.0.is_empty() {
        Ok(sockets(SMART_HOST).replace("@SMART_HOSTS@", &hosts.join(", ")))
    } else {
        Err(problems)
    }
}

/// HTTP and mail cannot share a socket; said here, since starting would fail halfway.
fn http_apart(start: &Start, node: &Node, org: &Org) -> Result<(), Problems> {
    let http = node.http.listen;
    let shares = |listener: &&Listener| socket_covers(listener.address, http) || socket_covers(http, listener.address);
    let listeners = org.listeners();
    let Some(listener) = listeners.iter().find(shares) else { return Ok(()) };
    let file = match (&start.http, &start.config) {
        (None, Some(path)) => path.display().to_string(),
        _ => "--http".into(),
    };
    let name = listener.connectors.first().map_or("", |name| name);
    let text =
        format!("HTTP cannot listen on {http}: receive connector \"{name}\" does; give one of them another port");
    Err(Problems(vec![Problem { file, at: None, text }]))
}

/// A connector for servers of the organization shows the certificate of this node's links.
fn links_have_certificates(start: &Start, node: &Node, org: &Org) -> Result<(), Problems> {
    let link = org.receive_connectors.iter().find(|connector| connector.tls == ReceiveTls::Organization);
    let (Some(link), None) = (link, &node.peers) else { return Ok(()) };
    let file = start.config.as_ref().map_or(BUILT_IN_NODE.into(), |path| path.display().to_string());
    let text = format!(
        "receive connector \"{}\" has tls = \"organization\" and this node has no certificate of the organization; add [peers] with certificate, key and ca (`posthouse pki issue {}` makes them)",
        link.name, node.name
    );
    Err(Problems(vec![Problem { file, at: None, text }]))
}

fn option_problem(text: &str) -> Problem {
    Problem { file: "--relay-to".into(), at: None, text: text.into() }
}

const BUILT_IN_NODE: &str = "built-in posthouse.toml";
const BUILT_IN_ORG: &str = "built-in org.toml";
/// Only this machine can connect, so nobody needs protection from a burst of connections.
const NODE_DOCUMENT: &str = "[limits]\nconnection_rate_per_minute = 0\n";
const SINGLE_NODE: &str = include_str!("single_node.toml");
const SMART_HOST: &str = include_str!("smart_host.toml");
