//! Owns the organization's own certification authority: a directory of PEM files that an operator keeps, and the certificates by which
//! nodes know each other.
//!
//! Knows no handshakes and no configuration. Always holds: a key is readable by our user alone and is never overwritten by accident;
//! a crash leaves each file as it was or as it should be; a certificate that is not ours is never shown as ours.

mod authority;
mod error;
mod identity;

use std::path::{Path, PathBuf};

use mail::date::rfc3339;
use rcgen::{KeyPair, PublicKeyData};
use serde::{Deserialize, Serialize};
use world::World;

use authority::Authority;
pub use error::PkiError;
pub use identity::Identity;

/// The directory that `posthouse pki` works on.
pub struct Pki {
    world: World,
    dir: PathBuf,
}

/// A certificate that is asked for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The node, by the name in its `posthouse.toml`.
    pub node: String,
    /// Other names and addresses that the certificate is for as well.
    pub addresses: Vec<String>,
    /// Days that it is valid; [`NODE_DAYS`] if not said.
    pub days: Option<u32>,
}

/// What was written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Written {
    /// Whom the certificate is for: a node's name, or the organization.
    pub name: String,
    /// When it ends.
    pub valid_until: String,
    /// The files that were written.
    pub files: Vec<String>,
}

/// One certificate of the directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// `ca` or `node`.
    pub kind: String,
    /// The organization, or the node.
    pub name: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Names and addresses beside the node's name.
    pub addresses: Vec<String>,
    /// When it begins to count.
    pub valid_from: String,
    /// When it ends.
    pub valid_until: String,
    /// Whole days until then; negative when it is over.
    pub days_left: i64,
    /// `good`, `renew soon`, `expired`, or what is wrong with the file.
    pub state: String,
    /// The file.
    pub file: String,
    /// Somebody must do something.
    pub needs_care: bool,
}

impl Pki {
    /// The directory `dir` of this machine.
    pub fn at(dir: PathBuf) -> Pki {
        Pki::in_world(World::real(), dir)
    }

    /// The same in any world.
    pub fn in_world(world: World, dir: PathBuf) -> Pki {
        Pki { world, dir }
    }

    /// Makes the authority of `organization`. Refuses where there is one already.
    pub fn init(&self, organization: &str, days: Option<u32>) -> Result<Written, PkiError> {
        let organization = organization.trim();
        if organization.is_empty() || organization.len() > 64 || organization.contains(char::is_control) {
            return Err(PkiError::new("the organization needs a name of 1 to 64 characters", "--organization NAME"));
        }
        self.make_dir(&self.dir)?;
        let _lock = self.lock()?;
        for file in [self.ca_key(), self.ca_certificate()] {
            if self.exists(&file)? {
                return Err(PkiError::new(
                    format!(
                        "{} is there already: a new authority would orphan every certificate of it",
                        file.display()
                    ),
                    "issue from it with `posthouse pki issue NODE`, or choose another directory with --dir",
                ));
            }
        }
        let now_ms = self.world.clock.wall_ms();
        let made = Authority::make(&self.world, organization, now_ms, days.unwrap_or(CA_DAYS))?;
        // The certificate is written last: where it is, the key is too.
        self.write_private(&self.ca_key(), &made.key_pem())?;
        self.write(&self.ca_certificate(), &made.certificate_pem())?;
        Ok(Written {
            name: organization.into(),
            valid_until: rfc3339(made.identity().not_after_ms),
            files: shown(&[self.ca_certificate(), self.ca_key()]),
        })
    }

    /// Makes key and certificate of a node. Refuses where there are some already.
    pub fn issue(&self, order: &Order) -> Result<Written, PkiError> {
        let node = node_name(&order.node)?;
        let authority = self.authority()?;
        let _lock = self.lock()?;
        let dir = self.node_dir(&node);
        if self.exists(&dir.join(CERTIFICATE))? {
            let what = format!("{} has a certificate already: {}", node, dir.join(CERTIFICATE).display());
            return Err(PkiError::new(what, &format!("`posthouse pki renew {node}` makes one that is valid longer")));
        }
        let key = KeyPair::generate().map_err(authority::failed)?;
        let signed = self.sign(&authority, &node, &order.addresses, order.days, &key)?;
        self.make_dir(&dir)?;
        self.write_private(&dir.join(KEY), &key.serialize_pem())?;
        self.keep(&authority, &node, &signed)
    }

    /// Makes a certificate that is valid longer, with the addresses and the key of the one before; with a new key if asked.
    pub fn renew(&self, order: &Order, new_key: bool) -> Result<Written, PkiError> {
        let node = node_name(&order.node)?;
        let authority = self.authority()?;
        let _lock = self.lock()?;
        let dir = self.node_dir(&node);
        let file = dir.join(CERTIFICATE);
        if !self.exists(&file)? {
            let what = format!("{node} has no certificate in {}", self.dir.display());
            return Err(PkiError::new(what, &format!("`posthouse pki issue {node}` makes the first one")));
        }
        let addresses = match order.addresses.is_empty() {
            true => Identity::of_pem(&self.read(&file)?).map(|old| old.addresses).unwrap_or_default(),
            false => order.addresses.clone(),
        };
        let key = match new_key {
            true => KeyPair::generate().map_err(authority::failed)?,
            false => self.key(&dir.join(KEY))?,
        };
        let signed = self.sign(&authority, &node, &addresses, order.days, &key)?;
        if new_key {
            self.write_private(&dir.join(KEY), &key.serialize_pem())?;
        }
        self.keep(&authority, &node, &signed)
    }

    /// Every certificate of the directory, the authority's first. `soon_days` before its end one is to be renewed.
    pub fn list(&self, soon_days: u32) -> Result<Vec<Entry>, PkiError> {
        let authority = self.authority()?;
        let mut entries =
            vec![self.entry("ca", authority.organization(), &self.ca_certificate(), &authority, soon_days)];
        let nodes = self.dir.join(NODES);
        if self.exists(&nodes)? {
            let found = self.world.disk.list(&nodes).map_err(|error| PkiError::io(&nodes, &error))?;
            for found in found.into_iter().filter(|found| found.is_dir) {
                let file = nodes.join(&found.name).join(CERTIFICATE);
                entries.push(self.entry("node", &found.name, &file, &authority, soon_days));
            }
        }
        Ok(entries)
    }

    fn entry(&self, kind: &str, name: &str, file: &Path, authority: &Authority, soon_days: u32) -> Entry {
        let mut entry =
            Entry { kind: kind.into(), name: name.into(), file: file.display().to_string(), ..Entry::default() };
        let read = self.read(file).and_then(|pem| Identity::of_pem(&pem).map_err(|what| PkiError::file(file, &what)));
        let identity = match read {
            Ok(identity) => identity,
            Err(error) => return Entry { state: error.what().into(), needs_care: true, ..entry },
        };
        let now_ms = self.world.clock.wall_ms();
        entry.days_left = (identity.not_after_ms as i64 - now_ms as i64).div_euclid(DAY_MS as i64);
        entry.state = match () {
            () if kind == "node" && !authority.signed(&identity) => "signed by another authority".into(),
            () if kind == "node" && identity.node.as_deref() != Some(name) => "names another node".into(),
            () if identity.not_after_ms <= now_ms => "expired".into(),
            () if entry.days_left < i64::from(soon_days) => "renew soon".into(),
            () => "good".into(),
        };
        entry.needs_care = entry.state != "good";
        entry.serial = identity.serial;
        entry.valid_from = rfc3339(identity.not_before_ms);
        entry.valid_until = rfc3339(identity.not_after_ms);
        entry.addresses = identity.addresses;
        entry
    }

    /// A certificate and when it ends. Writes nothing: what cannot be signed leaves no trace.
    fn sign(
        &self,
        authority: &Authority,
        node: &str,
        addresses: &[String],
        days: Option<u32>,
        key: &impl PublicKeyData,
    ) -> Result<(String, u64), PkiError> {
        let now_ms = self.world.clock.wall_ms();
        authority.sign(&self.world, node, addresses, now_ms, days.unwrap_or(NODE_DAYS), key)
    }

    /// Writes a certificate beside its key, and the authority's own one: the folder is all that the node needs.
    fn keep(&self, authority: &Authority, node: &str, (pem, until_ms): &(String, u64)) -> Result<Written, PkiError> {
        let dir = self.node_dir(node);
        self.write(&dir.join(CA), &authority.certificate_pem())?;
        self.write(&dir.join(CERTIFICATE), pem)?;
        let files = shown(&[dir.join(CERTIFICATE), dir.join(KEY), dir.join(CA)]);
        Ok(Written { name: node.into(), valid_until: rfc3339(*until_ms), files })
    }

    fn authority(&self) -> Result<Authority, PkiError> {
        let file = self.ca_certificate();
        if !self.exists(&file)? {
            let what =
                format!("{} is not there: {} is no directory of an authority", file.display(), self.dir.display());
            return Err(PkiError::new(
                what,
                "make one with `posthouse pki init --organization NAME`, or name it with --dir",
            ));
        }
        let key = self.key(&self.ca_key())?;
        Authority::open(&self.read(&file)?, key).map_err(|what| PkiError::file(&file, &what))
    }

    fn key(&self, file: &Path) -> Result<KeyPair, PkiError> {
        let pem = String::from_utf8_lossy(&self.read(file)?).into_owned();
        KeyPair::from_pem(&pem).map_err(|error| PkiError::file(file, &format!("holds no usable private key: {error}")))
    }

    fn read(&self, file: &Path) -> Result<Vec<u8>, PkiError> {
        self.world.disk.read_all(file).map_err(|error| PkiError::io(file, &error))
    }

    fn write(&self, file: &Path, pem: &str) -> Result<(), PkiError> {
        self.world.disk.replace_durable(file, pem.as_bytes()).map_err(|error| PkiError::io(file, &error))
    }

    fn write_private(&self, file: &Path, pem: &str) -> Result<(), PkiError> {
        self.world.disk.replace_durable_private(file, pem.as_bytes()).map_err(|error| PkiError::io(file, &error))
    }

    fn exists(&self, file: &Path) -> Result<bool, PkiError> {
        self.world.disk.exists(file).map_err(|error| PkiError::io(file, &error))
    }

    fn make_dir(&self, dir: &Path) -> Result<(), PkiError> {
        self.world.disk.create_dir_all_durable(dir).map_err(|error| PkiError::io(dir, &error))
    }

    /// Keeps two operators apart: a key must not stand beside the certificate of another.
    fn lock(&self) -> Result<Box<dyn world::Lock>, PkiError> {
        let file = self.dir.join(LOCK);
        self.world.disk.lock(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => PkiError::new(
                format!("{} is in use by another `posthouse pki`", self.dir.display()),
                "wait for its end",
            ),
            _ => PkiError::io(&file, &error),
        })
    }

    fn ca_certificate(&self) -> PathBuf {
        self.dir.join(CA)
    }

    fn ca_key(&self) -> PathBuf {
        self.dir.join("ca-key.pem")
    }

    fn node_dir(&self, node: &str) -> PathBuf {
        self.dir.join(NODES).join(node)
    }
}

/// A node's name as certificates bear it: lower case, and a host name, as in `posthouse.toml`.
pub fn node_name(text: &str) -> Result<String, PkiError> {
    let name = text.to_ascii_lowercase();
    match mail::address::is_domain(&name) && name.is_ascii() {
        true => Ok(name),
        false => Err(PkiError::new(
            format!("'{text}' is no node name"),
            "write the name that is in the node's posthouse.toml, for example mx1.example.org",
        )),
    }
}

fn shown(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| file.display().to_string()).collect()
}

/// Days that an authority is valid if nothing else is said: ten years.
pub const CA_DAYS: u32 = 3_653;
/// Days that a node's certificate is valid if nothing else is said.
pub const NODE_DAYS: u32 = 365;
/// Days before its end at which a certificate is to be renewed if nothing else is said.
pub const SOON_DAYS: u32 = 30;
const DAY_MS: u64 = 86_400_000;
const NODES: &str = "nodes";
const CA: &str = "ca.pem";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const LOCK: &str = "lock";

#[cfg(test)]
mod tests;
