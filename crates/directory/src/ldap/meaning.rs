//! What an entry of a directory means: which recipient it is, if it is one.

use super::name;
use super::source::{Directory, KEEP_COPY, SIZE_KB, TARGET, TRUSTED_ONLY};
use crate::recipients::{Entry, Forward, Is, Senders};
use mail::Mailbox;

/// Members of one group; what a directory tells beyond that is not believed.
pub const MEMBERS_MAX: usize = 1_000_000;

/// An entry as a server tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Its name.
    pub dn: String,
    /// Attributes and their values.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// A recipient as an entry tells it: names of other entries are not looked up yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The entry's name, as it is compared.
    pub key: String,
    /// All that can be known from this entry alone.
    pub entry: Entry,
    /// Members that are named by their entries.
    pub members: Vec<String>,
    /// The entry that mail is forwarded to, and whether a copy is kept.
    pub forward: Option<(String, bool)>,
}

impl Found {
    /// Values of an attribute that are text, in whatever case it is named and whatever options are behind its name.
    pub fn values<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        let is = move |known: &str| known.split(';').next().is_some_and(|base| base.eq_ignore_ascii_case(name));
        let lists = self.attributes.iter().filter(move |(known, _)| is(known));
        lists.flat_map(|(_, values)| values).filter_map(|value| std::str::from_utf8(value).ok()).map(str::trim)
    }

    fn has_class(&self, classes: &[&str]) -> bool {
        self.values("objectClass").any(|class| classes.iter().any(|known| known.eq_ignore_ascii_case(class)))
    }
}

impl Told {
    /// The recipient that an entry is; `None` if it has no address.
    pub fn of(directory: &Directory, found: &Found) -> Option<Told> {
        let names = &directory.names;
        let mut addresses = addresses(directory, found);
        if addresses.is_empty() {
            return None;
        }
        let address = addresses.remove(0);
        let members = names.members.iter().flat_map(|name| found.values(name)).take(MEMBERS_MAX);
        let (direct, members): (Vec<Member>, Vec<Member>) =
            members.map(member).partition(|member| matches!(member, Member::Address(_)));
        let is_group = found.has_class(GROUPS) || !direct.is_empty() || !members.is_empty();
        let (is, forward) = match (is_group, outside(found).filter(|_| found.has_class(&["contact"]))) {
            (true, _) => (
                Is::Group { members: direct.into_iter().filter_map(Member::address).collect(), having: Vec::new() },
                None,
            ),
            (_, Some(target)) => (Is::Contact { target }, None),
            _ => (Is::Mailbox, forward(directory, found, &address)),
        };
        let (forward, later) = match forward {
            Some((Member::Address(to), keep_copy)) => (Some(Forward { to, keep_copy }), None),
            Some((Member::Entry(key), keep_copy)) => (None, Some((key, keep_copy))),
            None => (None, None),
        };
        let is_true = |name| found.values(name).any(|value| value.eq_ignore_ascii_case("TRUE"));
        let size_kb = found.values(SIZE_KB).find_map(|value| value.parse::<u64>().ok()).filter(|size| *size > 0);
        let attributes = names.attributes.iter().flat_map(|name| {
            let value = move |value: &str| (name.to_lowercase().into(), value.into());
            found.values(name).map(value)
        });
        Some(Told {
            key: name::plain(&found.dn),
            entry: Entry {
                address,
                aliases: addresses,
                is,
                forward,
                senders: if is_true(TRUSTED_ONLY) { Senders::Trusted } else { Senders::Anybody },
                message_bytes_max: size_kb.map(|kb| kb.saturating_mul(1024)),
                attributes: attributes.collect(),
            },
            members: members.into_iter().filter_map(Member::entry).collect(),
            forward: later,
        })
    }

    /// Nothing of it must be looked up in other entries.
    pub fn is_complete(&self) -> bool {
        self.members.is_empty() && self.forward.is_none()
    }

    /// The recipient, with the addresses of those whom it names. Also how many of them nobody knows.
    pub fn resolve(mut self, address_of: impl Fn(&str) -> Option<Mailbox>) -> (Entry, usize) {
        let asked = self.members.len() + usize::from(self.forward.is_some());
        let found: Vec<Mailbox> = self.members.iter().filter_map(|key| address_of(key)).collect();
        let mut known = found.len();
        if let Is::Group { members, .. } = &mut self.entry.is {
            members.extend(found);
        }
        if let Some((key, keep_copy)) = self.forward
            && let Some(to) = address_of(&key)
        {
            known += 1;
            self.entry.forward = Some(Forward { to, keep_copy });
        }
        (self.entry, asked - known)
    }
}

/// Somebody whom an entry names.
enum Member {
    Address(Mailbox),
    Entry(String),
}

impl Member {
    fn address(self) -> Option<Mailbox> {
        match self {
            Member::Address(address) => Some(address),
            Member::Entry(_) => None,
        }
    }

    fn entry(self) -> Option<String> {
        match self {
            Member::Address(_) => None,
            Member::Entry(key) => Some(key),
        }
    }
}

/// A name of an entry always has an equals sign before its first comma; an address may have one too, but is an address.
fn member(value: &str) -> Member {
    match mailbox(value) {
        Some(address) if !value.contains(',') => Member::Address(address),
        _ => Member::Entry(name::of_member(value)),
    }
}

/// All addresses, the one to go by first, each once.
fn addresses(directory: &Directory, found: &Found) -> Vec<Mailbox> {
    let names = &directory.names;
    let aliases = || names.aliases.iter().flat_map(|name| found.values(name));
    let chosen = aliases().filter(|value| value.starts_with("SMTP:"));
    let mut all: Vec<Mailbox> = Vec::new();
    for value in chosen.chain(found.values(&names.mail)).chain(aliases()) {
        if let Some(address) = mailbox(value)
            && !all.iter().any(|known| known.as_str().eq_ignore_ascii_case(address.as_str()))
        {
            all.push(address);
        }
    }
    all
}

/// An address, with `smtp:` before it or without. Other kinds (`x500:`, `sip:`) are none.
fn mailbox(value: &str) -> Option<Mailbox> {
    let smtp = value.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("smtp:"));
    Mailbox::parse(if smtp { &value[5..] } else { value }, true).ok()
}

fn outside(found: &Found) -> Option<Mailbox> {
    found.values(TARGET).find_map(mailbox)
}

/// Where mail goes instead. A copy is kept if the entry says so, or if its own address is among the targets.
fn forward(directory: &Directory, found: &Found, own: &Mailbox) -> Option<(Member, bool)> {
    let targets = || directory.names.forward.iter().flat_map(|name| found.values(name));
    let is_own = |value: &str| mailbox(value).is_some_and(|to| to.as_str().eq_ignore_ascii_case(own.as_str()));
    let to = targets().find(|value| !is_own(value))?;
    let keeps = found.values(KEEP_COPY).any(|value| value.eq_ignore_ascii_case("TRUE"));
    Some((member(to), keeps || targets().any(is_own)))
}

/// Active Directory tells long lists in pieces (`member;range=0-1499`): the attribute that the next piece must be asked by.
pub fn rest_of_range(found: &Found) -> Option<String> {
    found.attributes.iter().find_map(|(name, _)| {
        let (base, range) = name.split_once(';')?;
        let last: u64 = range
            .get(..6)
            .filter(|word| word.eq_ignore_ascii_case("range="))
            .and_then(|_| range[6..].split_once('-'))?
            .1
            .parse()
            .ok()?;
        Some(format!("{base};range={}-*", last + 1))
    })
}

/// Classes of groups, with members or without.
const GROUPS: &[&str] = &["groupOfNames", "groupOfUniqueNames", "group", "groupOfMembers", "nisMailAlias", "mailGroup"];
