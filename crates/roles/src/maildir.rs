//! Owns the Maildirs of this node: DATA/mail/DOMAIN/MAILBOX/{tmp,new,cur}. Knows no SMTP and no queues.
//!
//! A letter is written to `DOMAIN/.tmp/NODE`, synced, noted in the window, renamed to `new`; then `new` is synced, once for all letters
//! of a call. Lines end in LF, as every reader of Maildirs expects; a CRLF message comes back the same byte for byte.
//! Always holds: a positive reply promises that the letter survives a power cut; no address can name a file outside its domain; a
//! message that may have been delivered before (after a crash or a take-over) comes into a mailbox once, though a reader has moved or
//! removed it since. For that: the file in `.tmp` of a letter that was noted goes only by being renamed to `new`. So a letter that was
//! noted and has no file in any `.tmp` was delivered. See docs/decisions/duplicates.md.

mod window;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::metrics::{Counter, counter, describe_counter};
use directory::Org;
use mail::{Enhanced, Mailbox, MessageId, Reply};
use transport::deliver::{Letter, LocalStore};
use transport::swap::Swap;
use world::{Open, World};

use self::window::{Entry, Window};

/// The mailboxes of all domains that this node keeps.
pub struct Maildirs {
    world: World,
    root: PathBuf,
    /// Our host name as Maildir file names bear it.
    host: String,
    /// Knows which local parts are one mailbox.
    org: Arc<Swap<Org>>,
    /// Mailboxes known to exist, by domain: what a stranger may grow has a bound.
    known: Mutex<HashMap<Box<str>, HashSet<Box<str>>>>,
    window: Window,
    suppressed: Counter,
}

/// Where a letter goes.
struct Place {
    /// Its mailbox.
    dir: PathBuf,
    /// Its name there.
    name: String,
    /// Its name until it is there.
    pending: String,
    entry: Entry,
}

impl Maildirs {
    /// Mailboxes below `root`, which other nodes may write too. `window_ms` is how long it is remembered what was delivered. Nothing is
    /// made before the first letter.
    pub fn new(world: &World, root: PathBuf, hostname: &str, window_ms: u64, org: Arc<Swap<Org>>) -> Maildirs {
        describe_counter!(
            "posthouse_duplicates_suppressed_total",
            "Letters that were not put into a Maildir again, because they had been delivered before a crash or a take-over."
        );
        let host = file_name(hostname);
        Maildirs {
            world: world.clone(),
            window: Window::new(world, &root, &host, window_ms),
            root,
            host,
            org,
            known: Mutex::default(),
            suppressed: counter!("posthouse_duplicates_suppressed_total"),
        }
    }

    /// Where a letter goes; its mailbox is made if it is its first one.
    fn place(&self, domain: &str, letter: &Letter<'_>) -> Result<Place, Reply> {
        let mailbox = self.mailbox_name(domain, letter.mailbox);
        let dir = self.mailbox(domain, &mailbox)?;
        let entry = Entry::new(letter.id, &file_name(domain), &mailbox);
        Ok(Place { dir, name: letter_name(letter.id), pending: format!("{}.{mailbox}", letter.id), entry })
    }

    /// Where letters of a domain are written before they are delivered: a directory of this node's own, for another one may write the
    /// same letter just now.
    fn pending_dir(&self, domain: &str) -> PathBuf {
        self.root.join(file_name(domain)).join(PENDING).join(&self.host)
    }

    /// Writes and syncs one letter.
    fn write(&self, pending: &Path, letter: &Letter<'_>) -> Result<(), Reply> {
        self.write_file(pending, letter).map_err(|error| {
            // It may have been noted at an attempt before this one: it gives its space back, and stays.
            let _ = self.world.disk.open(pending, Open::CreateOrTruncate);
            refusal(&error)
        })
    }

    /// Which of these were delivered before: a file in `new` or `cur` bears their name, of which readers keep the start; or they are in the
    /// window, and no node has them pending.
    fn delivered_before(&self, domain: &str, places: &[&Place]) -> HashSet<Entry> {
        if places.is_empty() {
            return HashSet::new();
        }
        let wanted: HashSet<Entry> = places.iter().map(|place| place.entry.clone()).collect();
        let noted = self.window.find(&wanted).unwrap_or_else(|error| {
            tracing::warn!("what was delivered lately cannot be read: {error}; a letter may come twice");
            HashSet::new()
        });
        let is_there = |place: &Place| -> io::Result<bool> {
            let start = place.name.trim_end_matches(SUFFIX);
            for part in ["new", "cur"] {
                if self.list(&place.dir.join(part))?.iter().any(|name| name.starts_with(start)) {
                    return Ok(true);
                }
            }
            Ok(noted.contains(&place.entry) && self.pending_files(domain, place)?.is_empty())
        };
        let delivered = places.iter().filter(|place| is_there(place).unwrap_or(false));
        delivered.map(|place| place.entry.clone()).collect()
    }

    /// The files of a letter that is not delivered yet, of all nodes.
    fn pending_files(&self, domain: &str, place: &Place) -> io::Result<Vec<PathBuf>> {
        let all = self.root.join(file_name(domain)).join(PENDING);
        let mut files = Vec::new();
        for node in self.list(&all)? {
            let path = all.join(&*node).join(&place.pending);
            if self.world.disk.exists(&path)? {
                files.push(path);
            }
        }
        Ok(files)
    }

    fn write_file(&self, path: &Path, letter: &Letter<'_>) -> io::Result<()> {
        let file = self.world.disk.open(path, Open::CreateOrTruncate)?;
        let mut lines = LfLines::default();
        let mut offset = 0;
        let mut append = |bytes: &[u8]| {
            file.write_all_at(offset, &[IoSlice::new(bytes)])?;
            offset += bytes.len() as u64;
            Ok(())
        };
        append(lines.convert(letter.head))?;
        letter.body.read(&mut |part| append(lines.convert(part)))?;
        if lines.held_cr {
            append(b"\r")?;
        }
        if let Err(error) = file.sync_data() {
            self.world.abort(&format!("{}: sync failed: {error}", path.display()));
            return Err(error);
        }
        Ok(())
    }

    /// What a mailbox is called in its domain's directory.
    fn mailbox_name(&self, domain: &str, mailbox: &Mailbox) -> String {
        match self.org.load().accepted_domain(domain) {
            Some(accepted) => file_name(&accepted.mailbox_name(mailbox.local())),
            // The domain went with a reload while this letter was on its way.
            None => file_name(mailbox.local()),
        }
    }

    /// The directory of a mailbox, made on its first letter.
    fn mailbox(&self, domain: &str, name: &str) -> Result<PathBuf, Reply> {
        let domain_dir = self.root.join(file_name(domain));
        let dir = domain_dir.join(name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(domain) {
            let names = self.list(&domain_dir).map_err(|error| refusal(&error))?;
            known.insert(domain.into(), names);
        }
        let names = known.entry(domain.into()).or_default();
        if !names.contains(name) && names.len() >= MAILBOXES_PER_DOMAIN_MAX {
            let text = "no more mailboxes can be made in this domain, name its recipients in org.toml";
            return Err(Reply::new(452, Enhanced::new(4, 2, 2), text));
        }
        let first = names.insert(name.into());
        // A mailbox is made once in its life: the lock is not held over the disk.
        drop(known);
        if first || !self.world.disk.exists(&dir.join("cur")).map_err(|error| refusal(&error))? {
            for part in ["tmp", "new", "cur"] {
                self.world.disk.create_dir_all_durable(&dir.join(part)).map_err(|error| refusal(&error))?;
            }
        }
        Ok(dir)
    }

    fn make_once(&self, dir: &Path) -> io::Result<()> {
        if self.world.disk.exists(dir)? { Ok(()) } else { self.world.disk.create_dir_all_durable(dir) }
    }

    /// The names in a directory, none if there is no such.
    fn list(&self, dir: &Path) -> io::Result<HashSet<Box<str>>> {
        match self.world.disk.list(dir) {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name.into()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
            Err(error) => Err(error),
        }
    }

    /// Notes letters that are written, and moves them into their mailboxes. Those that do not get there have another answer then.
    fn conclude(&self, domain: &str, ready: &[&Place], answers: &mut HashMap<Entry, Reply>) -> io::Result<()> {
        if ready.is_empty() {
            return Ok(());
        }
        let pending = self.pending_dir(domain);
        self.sync_dir(&pending)?;
        let entries: Vec<Entry> = ready.iter().map(|place| place.entry.clone()).collect();
        if let Err(error) = self.window.note(&entries) {
            tracing::warn!("what is delivered cannot be noted: {error}; after a crash a letter may come twice");
        }
        let mut touched = BTreeSet::new();
        for place in ready {
            let new = place.dir.join("new");
            match self.world.disk.rename(&pending.join(&place.pending), &new.join(&place.name)) {
                Ok(()) => drop(touched.insert(new)),
                Err(error) => drop(answers.insert(place.entry.clone(), refusal(&error))),
            }
        }
        touched.iter().try_for_each(|new| self.sync_dir(new))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.world.disk.sync_dir(dir).inspect_err(|error| {
            self.world.abort(&format!("{}: sync failed: {error}", dir.display()));
        })
    }
}

/// Made of the id alone: the same message for the same mailbox has the same name, whenever and from whichever node it comes.
fn letter_name(id: MessageId) -> String {
    format!("{}.{id}.{SUFFIX}", id.unix_ms() / 1000)
}

impl LocalStore for Maildirs {
    fn deliver(&self, domain: &str, letters: &[Letter<'_>]) -> Vec<Reply> {
        let pending = self.pending_dir(domain);
        if let Err(error) = self.make_once(&pending) {
            return vec![refusal(&error); letters.len()];
        }
        let places: Vec<Result<Place, Reply>> = letters.iter().map(|letter| self.place(domain, letter)).collect();
        let in_doubt = places.iter().zip(letters).filter(|(_, letter)| letter.repeat);
        let in_doubt: Vec<&Place> = in_doubt.filter_map(|(place, _)| place.as_ref().ok()).collect();
        let there = self.delivered_before(domain, &in_doubt);
        self.suppressed.increment(there.len() as u64);
        // Two addresses of one message may be one mailbox, and then it is one letter.
        let mut answers: HashMap<Entry, Reply> = HashMap::with_capacity(letters.len());
        let mut ready = Vec::with_capacity(letters.len());
        for (place, letter) in places.iter().zip(letters) {
            let Some(place) = place.as_ref().ok().filter(|place| !answers.contains_key(&place.entry)) else { continue };
            let written = if there.contains(&place.entry) {
                Ok("was kept before, and not once more,")
            } else {
                self.write(&pending.join(&place.pending), letter).map(|()| {
                    ready.push(place);
                    "kept"
                })
            };
            let kept = |how: &str| Reply::of(250, Enhanced::new(2, 1, 5), format!("{how} as {}", place.name));
            answers.insert(place.entry.clone(), written.map_or_else(|reply| reply, kept));
        }
        if let Err(error) = self.conclude(domain, &ready, &mut answers) {
            return vec![refusal(&error); letters.len()];
        }
        let kept = |place: &&&Place| answers.get(&place.entry).is_some_and(|reply| reply.code == 250);
        for place in in_doubt.iter().filter(kept) {
            // What an attempt before this one left, here or on another node. If it stays, the letter may come twice at worst.
            let left = self.pending_files(domain, place).unwrap_or_default();
            left.iter().for_each(|file| drop(self.world.disk.remove(file)));
        }
        let unheard = || Reply::new(451, Enhanced::new(4, 3, 0), "the mailbox gave no answer");
        let answer = |place: Result<Place, Reply>| match place {
            Ok(place) => answers.get(&place.entry).cloned().unwrap_or_else(unheard),
            Err(reply) => reply,
        };
        places.into_iter().map(answer).collect()
    }
}

/// An error of the disk is never the message's fault: it waits.
fn refusal(error: &io::Error) -> Reply {
    match error.kind() {
        io::ErrorKind::StorageFull => Reply::new(452, Enhanced::new(4, 3, 1), "no space for the mailbox"),
        io::ErrorKind::QuotaExceeded => Reply::new(452, Enhanced::new(4, 2, 2), "disk quota of the mailbox exceeded"),
        _ => Reply::of(451, Enhanced::new(4, 3, 0), format!("mailbox cannot be written: {error}")),
    }
}

/// A name without `/`, control characters, a leading dot or anything else that means something to a file system: such bytes stand
/// as `%XX`. Mailboxes are the same without regard to case, so names are lower case.
fn file_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (n, byte) in text.to_lowercase().bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"-_+=~!#$&'*^{|}@".contains(&byte) || (byte == b'.' && n > 0);
        match plain {
            true => name.push(byte as char),
            // Writing to a string cannot fail.
            false => drop(write!(name, "%{byte:02X}")),
        }
    }
    name
}

/// Turns CRLF into LF over parts that may end between the two.
#[derive(Default)]
struct LfLines {
    held_cr: bool,
    out: Vec<u8>,
}

impl LfLines {
    fn convert(&mut self, part: &[u8]) -> &[u8] {
        self.out.clear();
        if part.is_empty() {
            return &self.out;
        }
        if self.held_cr && part[0] != b'\n' {
            self.out.push(b'\r');
        }
        self.held_cr = part.ends_with(b"\r");
        let body = &part[..part.len() - usize::from(self.held_cr)];
        let mut start = 0;
        for cr in memchr::memchr_iter(b'\r', body) {
            if body.get(cr + 1) == Some(&b'\n') {
                self.out.extend_from_slice(&body[start..cr]);
                start = cr + 1;
            }
        }
        self.out.extend_from_slice(&body[start..]);
        &self.out
    }
}

/// In a domain's directory: no mailbox has such a name, for a dot in front is written otherwise.
const PENDING: &str = ".tmp";
/// Where other programs write their host's name: an id needs none.
const SUFFIX: &str = "posthouse";
/// Mailboxes that strangers can make in a domain that lists no recipients.
const MAILBOXES_PER_DOMAIN_MAX: usize = 20_000;

#[cfg(test)]
mod tests;
