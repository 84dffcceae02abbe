//! What needs no running node: documents are checked and explained, passwords hashed. Starts nothing, writes nothing but the file
//! that it is asked to write.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use directory::fresh::{self, Role};
use directory::settings::Section;
use directory::zone::Zone;
use directory::{Loaded, Problems, Start, objects};
use dns::contents::Contents;
use dns::file::zone_file;
use serde::Serialize;
use transport::auth;
use world::{Open, World};

use crate::certificates::ServedCertificate;
use crate::control::Case;
use crate::peers::LinkTls;
use crate::view::ZoneFile;

/// Documents by name; one that is not named is built in.
pub struct Document {
    /// The node document.
    pub config: Option<PathBuf>,
    /// The organization document.
    pub org: Option<PathBuf>,
}

/// What a check found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Why a node would not start, one line each; empty if it would.
    pub problems: Vec<String>,
    /// What is allowed but hardly meant.
    pub warnings: Vec<String>,
    /// What they say, if they are sound.
    pub says: Option<Says>,
}

/// What documents say, in short.
#[derive(Debug, Serialize)]
pub struct Says {
    /// The node's name.
    pub node: String,
    /// The organization document: its file, or what it is called.
    pub org: String,
    /// How many objects of each kind are written, in order of the reference; kinds without any are left out.
    pub objects: Vec<(String, usize)>,
    /// Where mail comes in on this node, and by which connectors.
    pub listeners: Vec<String>,
    /// Where the API is.
    pub http: String,
    /// The data directory.
    pub data: String,
}

/// What [`init`] wrote.
#[derive(Debug, Serialize)]
pub struct Initialized {
    /// The documents: node, organization.
    pub files: Vec<String>,
    /// What a check says of them.
    pub checked: Checked,
}

/// Reads the documents as a start would.
pub fn check(documents: Document) -> Checked {
    let lines = |problems: &Problems| problems.0.iter().map(|problem| problem.to_string()).collect();
    let org = documents.org.as_ref().map_or("the built-in organization".into(), |file| file.display().to_string());
    match load(documents) {
        Ok(loaded) => Checked {
            problems: certificates(&loaded),
            warnings: lines(&loaded.warnings),
            says: Some(says(&loaded, org)),
        },
        Err(problems) => Checked { problems: lines(&problems), warnings: Vec::new(), says: None },
    }
}

/// The zones of documents as files: the one that is named, or all, whoever is healthy.
pub fn zone_files(documents: Document, zone: Option<&str>) -> Result<Vec<ZoneFile>, String> {
    let loaded = load(documents).map_err(|problems| problems.to_string().trim_end().to_string())?;
    let naming = &loaded.org.naming;
    let now_ms = World::real().clock.wall_ms();
    let file = |zone: &std::sync::Arc<Zone>| {
        let serial = (now_ms / 1_000) as u32;
        let about = format!("zone {} by posthouse, as the document has it, whoever is healthy", zone.name);
        let text = zone_file(&Contents::of_document(naming, zone), serial, &about);
        ZoneFile { zone: zone.name.to_string(), serial, text }
    };
    match zone {
        None => Ok(naming.zones().iter().map(file).collect()),
        Some(name) => {
            let found = naming.zone(name).ok_or_else(|| format!("the document has no [[zone]] \"{name}\"; add it"))?;
            Ok(vec![file(found)])
        }
    }
}

fn says(loaded: &Loaded, org: String) -> Says {
    let count = |section: &'static Section| {
        let found = objects::objects(&loaded.org_text, section).unwrap_or_default();
        let written = found.iter().filter(|object| object.line.is_some()).count();
        (written > 0).then(|| (objects::kind_word(section).to_string(), written))
    };
    let listener = |listener: directory::Listener| {
        let names: Vec<&str> = listener.connectors.iter().map(|name| &**name).collect();
        format!("{} ({})", listener.address, names.join(", "))
    };
    Says {
        node: loaded.node.name.clone(),
        org,
        objects: directory::settings::ORG.iter().filter_map(count).collect(),
        listeners: loaded.org.listeners().into_iter().map(listener).collect(),
        http: loaded.node.http.listen.to_string(),
        data: loaded.node.data.display().to_string(),
    }
}

/// What is wrong with the certificates that the documents name.
fn certificates(loaded: &Loaded) -> Vec<String> {
    let (world, node) = (World::real(), &loaded.node);
    let clients = node.tls.as_ref().and_then(|tls| ServedCertificate::given(&world, tls).err());
    let links = node.peers.as_ref().and_then(|peers| LinkTls::load(&world, peers, &node.name).err());
    clients.into_iter().chain(links).map(|error| error.to_string()).collect()
}

/// What a connection would meet, and a sender and a recipient on it. The error says what was not understood.
pub fn explain(documents: Document, case: &Case) -> Result<String, String> {
    let question = case.question().map_err(|refusal| refusal.to_string())?;
    let start = Start { config: documents.config, org: documents.org, ..Start::default() };
    let disk = World::real().disk;
    let load = |server: Option<&str>| {
        Loaded::load_for(disk.as_ref(), &start, None, server).map_err(|problems| problems.to_string())
    };
    let loaded = load(case.server.as_deref())?;
    match case.other_server(&loaded.org_text).map_err(|refusal| refusal.to_string())? {
        Some(server) if case.server.is_none() => Ok(load(Some(&server))?.org.explain(&question)),
        _ => Ok(loaded.org.explain(&question)),
    }
}

/// Writes the documents of a fresh server into `dir`, and says what a check of them finds. A document that is there already is left
/// alone, and nothing is written. The error says what to do.
pub fn init(dir: &Path, role: &str, name: &str, domain: &str) -> Result<Initialized, String> {
    let known = || Role::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
    let role = Role::WORDS.iter().find(|(word, _)| *word == role);
    let (_, role) = role.ok_or_else(|| format!("--role is {}", known()))?;
    let fresh = fresh::documents(*role, name, domain)?;
    let (node, org) = (dir.join("posthouse.toml"), dir.join("org.toml"));
    let disk = World::real().disk;
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    disk.create_dir_all_durable(dir).map_err(|error| failed(dir, error))?;
    for path in [&node, &org] {
        if disk.exists(path).map_err(|error| failed(path, error))? {
            return Err(format!(
                "{} is there already; choose another directory with --dir, or move it away",
                path.display()
            ));
        }
    }
    for (path, text) in [(&node, &fresh.node), (&org, &fresh.org)] {
        disk.replace_durable(path, text.as_bytes()).map_err(|error| failed(path, error))?;
    }
    let checked = check(Document { config: Some(node.clone()), org: Some(org.clone()) });
    Ok(Initialized { files: [node, org].map(|path| path.display().to_string()).into(), checked })
}

/// What org.toml keeps of a password.
pub fn hash_password(password: &str, scram: bool) -> Result<String, String> {
    let mut salt = [0; 16];
    World::real().chance.fill(&mut salt);
    match scram {
        true => Ok(auth::scram_sha_256(password.as_bytes(), salt)),
        false => auth::argon2id(password.as_bytes(), salt).ok_or_else(|| "the password is too long".into()),
    }
}

/// Writes an exported message.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = World::real().disk.open(path, Open::CreateOrTruncate)?;
    file.write_all_at(0, &[IoSlice::new(bytes)])
}

/// Reads a text that is to be sent to a node. Bounded by what a node takes.
pub fn read_file(path: &Path) -> io::Result<String> {
    let bytes = World::real().disk.read_all(path)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

/// No node takes a longer one.
const FILE_BYTES_MAX: usize = cluster::org::DOCUMENT_BYTES_MAX;

fn load(documents: Document) -> Result<Loaded, Problems> {
    let start = Start { config: documents.config, org: documents.org, ..Start::default() };
    Loaded::load(World::real().disk.as_ref(), &start)
}
