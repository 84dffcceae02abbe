//! Accepted domains (mail that is ours) and the map from a recipient's domain to what is known about it.

use crate::target::LmtpTarget;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A domain whose mail is ours.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedDomain {
    /// `example.org`, or `*.example.org` for that domain and all below it; lower case.
    pub name: Arc<str>,
    /// Whose all of its recipients are.
    pub domain_type: DomainType,
    /// Where its mail goes.
    pub deliver: Deliver,
    /// The servers that deliver it, in lower case; `None`: each delivers what it has.
    pub servers: Option<Vec<Box<str>>>,
    /// What a server of these does with a message that it has.
    pub local_preference: LocalPreference,
    /// Local parts that exist beside those of the organization's table, as [`AcceptedDomain::mailbox_name`] writes them.
    pub recipients: Option<HashSet<Box<str>>>,
    /// Who is neither in `recipients` nor in the organization's table does not exist.
    pub refuses_unknown: bool,
    /// `bob+anything` is `bob`.
    pub plus_addressing: bool,
}

/// Whose the recipients of an accepted domain are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainType {
    /// All are ours.
    Authoritative,
    /// Some are ours; the others are those of another system, which send connectors lead to.
    InternalRelay,
    /// None is ours: we only take mail for them.
    ExternalRelay,
}

/// What a server that delivers an accepted domain does with its mail (behaviours 3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalPreference {
    /// Delivers it; while its own store cannot be reached, another server of its site does.
    Prefer,
    /// Delivers it, or keeps it until its own store is back.
    Strict,
    /// Lets another server of its site deliver it, if there is one.
    Avoid,
}

/// Where the mail of an accepted domain goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Deliver {
    /// Into Maildirs of this node.
    Maildir,
    /// To an LMTP server.
    Lmtp(LmtpTarget),
    /// Send connectors decide, as for any other domain.
    Relay,
}

impl AcceptedDomain {
    /// The name of the mailbox that a local part stands for: lower case, needless quotes and the part behind a `+` removed. It is no
    /// safe file name yet.
    pub fn mailbox_name<'a>(&self, local: &'a str) -> Cow<'a, str> {
        let plain = unquoted(local);
        let base = match plain.split_once('+') {
            Some((base, _)) if self.plus_addressing && !base.is_empty() => base,
            _ => plain,
        };
        match base.chars().any(char::is_uppercase) {
            true => Cow::Owned(base.to_lowercase()),
            false => Cow::Borrowed(base),
        }
    }

    /// The domain lists this local part. `postmaster` always exists (RFC 5321 4.5.1).
    pub fn lists(&self, local: &str) -> bool {
        let name = self.mailbox_name(local);
        name == POSTMASTER || self.recipients.as_ref().is_some_and(|listed| listed.contains(name.as_ref()))
    }
}

/// The local part that every domain has.
pub const POSTMASTER: &str = "postmaster";

/// `"bob"` is the same mailbox as `bob` (RFC 5321 4.1.2); quotes that are needed stay.
pub(crate) fn unquoted(local: &str) -> &str {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else { return local };
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let plain = !inner.is_empty() && inner.split('.').all(|part| !part.is_empty() && part.chars().all(atom));
    if plain { inner } else { local }
}

/// Values under domain names: the exact name first, then the closest `*.parent` (which is the parent and all below it), then `*`.
#[derive(Clone, Debug)]
pub struct DomainMap<T> {
    exact: HashMap<Box<str>, T>,
    below: HashMap<Box<str>, T>,
    any: Option<T>,
}

impl<T> Default for DomainMap<T> {
    fn default() -> DomainMap<T> {
        DomainMap { exact: HashMap::new(), below: HashMap::new(), any: None }
    }
}

impl<T> DomainMap<T> {
    /// Puts `value` under `space` (`example.org`, `*.example.org`, `*`; lower case) unless something is there already.
    pub fn insert(&mut self, space: &str, value: T) {
        if space == "*" {
            self.any.get_or_insert(value);
        } else if let Some(parent) = space.strip_prefix("*.") {
            self.below.entry(parent.into()).or_insert(value);
        } else {
            self.exact.entry(space.into()).or_insert(value);
        }
    }

    /// What is known about a domain, in whatever case it is written. Allocates only for names above ASCII.
    pub fn get(&self, domain: &str) -> Option<&T> {
        let mut buffer = [0_u8; LOWER_MAX];
        let lower = match domain.is_ascii().then(|| lower_ascii(domain, &mut buffer)).flatten() {
            Some(lower) => Cow::Borrowed(lower),
            None => Cow::Owned(domain.to_lowercase()),
        };
        self.get_lower(&lower)
    }

    /// What is under exactly this address space.
    pub fn get_space(&self, space: &str) -> Option<&T> {
        match space.strip_prefix("*.") {
            _ if space == "*" => self.any.as_ref(),
            Some(parent) => self.below.get(parent),
            None => self.exact.get(space),
        }
    }

    /// What is known about a domain, the most specific first, as long as `see` goes on.
    pub fn levels<'m>(&'m self, domain: &str, mut see: impl FnMut(&'m T) -> ControlFlow<()>) {
        let mut buffer = [0_u8; LOWER_MAX];
        let lower = match domain.is_ascii().then(|| lower_ascii(domain, &mut buffer)).flatten() {
            Some(lower) => Cow::Borrowed(lower),
            None => Cow::Owned(domain.to_lowercase()),
        };
        let parents = std::iter::successors(Some(&*lower), |name| name.split_once('.').map(|(_, parent)| parent));
        let below = parents.take_while(|_| !self.below.is_empty()).filter_map(|name| self.below.get(name));
        let mut all = self.exact.get(&*lower).into_iter().chain(below).chain(&self.any);
        let _ = all.try_for_each(&mut see);
    }

    fn get_lower(&self, domain: &str) -> Option<&T> {
        if let Some(found) = self.exact.get(domain) {
            return Some(found);
        }
        if !self.below.is_empty() {
            let mut rest = Some(domain);
            while let Some(name) = rest {
                if let Some(found) = self.below.get(name) {
                    return Some(found);
                }
                rest = name.split_once('.').map(|(_, parent)| parent);
            }
        }
        self.any.as_ref()
    }
}

fn lower_ascii<'b>(domain: &str, buffer: &'b mut [u8; LOWER_MAX]) -> Option<&'b str> {
    let place = buffer.get_mut(..domain.len())?;
    place.copy_from_slice(domain.as_bytes());
    place.make_ascii_lowercase();
    std::str::from_utf8(place).ok()
}

/// Longest domain of RFC 5321 4.5.3.1.2, in bytes.
const LOWER_MAX: usize = 255;
