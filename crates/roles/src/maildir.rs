//! Owns the Maildirs of this node: DATA/mail/DOMAIN/MAILBOX/{tmp,new,cur}. Knows no SMTP and no queues.
//!
//! A letter is written to `tmp`, synced, renamed to `new`; then `new` is synced, once for all letters of a call. Lines end in LF,
//! as every reader of Maildirs expects; a CRLF message comes back the same byte for byte.
//! Always holds: a positive reply promises that the letter survives a power cut; a letter that is delivered twice (after a crash,
//! before its record) replaces itself, for its name is made of the message's id; no address can name a file outside its domain.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use directory::Org;
use mail::{Enhanced, Mailbox, MessageId, Reply};
use transport::deliver::{Letter, LocalStore};
use transport::swap::Swap;
use world::{Open, World};

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
}

impl Maildirs {
    /// Mailboxes below `root`. Nothing is made before the first letter.
    pub fn new(world: &World, root: PathBuf, hostname: &str, org: Arc<Swap<Org>>) -> Maildirs {
        Maildirs { world: world.clone(), root, host: file_name(hostname), org, known: Mutex::default() }
    }

    /// Writes and syncs one letter in `tmp`; its final directory and name are given back.
    fn write(&self, domain: &str, letter: &Letter<'_>) -> Result<(PathBuf, String), Reply> {
        let mailbox = self.mailbox(domain, letter.mailbox)?;
        let name = self.letter_name(letter.id);
        let temporary = mailbox.join("tmp").join(&name);
        match self.write_file(&temporary, letter) {
            Ok(()) => {}
            Err(error) => {
                // What is left in tmp is in nobody's way; the next attempt writes over it.
                let _ = self.world.disk.remove(&temporary);
                return Err(refusal(&error));
            }
        }
        let new = mailbox.join("new");
        self.world.disk.rename(&temporary, &new.join(&name)).map_err(|error| refusal(&error))?;
        Ok((new, name))
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

    /// The directory of a mailbox, made on its first letter.
    fn mailbox(&self, domain: &str, mailbox: &Mailbox) -> Result<PathBuf, Reply> {
        let domain_dir = self.root.join(file_name(domain));
        let name = match self.org.load().accepted_domain(domain) {
            Some(accepted) => file_name(&accepted.mailbox_name(mailbox.local())),
            // The domain went with a reload while this letter was on its way.
            None => file_name(mailbox.local()),
        };
        let dir = domain_dir.join(&name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(domain) {
            let names = self.list(&domain_dir).map_err(|error| refusal(&error))?;
            known.insert(domain.into(), names);
        }
        let names = known.entry(domain.into()).or_default();
        if !names.contains(name.as_str()) && names.len() >= MAILBOXES_PER_DOMAIN_MAX {
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

    fn list(&self, domain_dir: &Path) -> io::Result<HashSet<Box<str>>> {
        match self.world.disk.list(domain_dir) {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name.into()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
            Err(error) => Err(error),
        }
    }

    /// Made of the id alone: the same message for the same mailbox has the same name, whenever it is tried.
    fn letter_name(&self, id: MessageId) -> String {
        format!("{}.{id}.{}", id.unix_ms() / 1000, self.host)
    }
}

impl LocalStore for Maildirs {
    fn deliver(&self, domain: &str, letters: &[Letter<'_>]) -> Vec<Reply> {
        let mut touched = BTreeSet::new();
        let mut replies = Vec::with_capacity(letters.len());
        for letter in letters {
            replies.push(match self.write(domain, letter) {
                Ok((new, name)) => {
                    touched.insert(new);
                    Reply::of(250, Enhanced::new(2, 1, 5), format!("kept as {name}"))
                }
                Err(reply) => reply,
            });
        }
        for new in touched {
            if let Err(error) = self.world.disk.sync_dir(&new) {
                self.world.abort(&format!("{}: sync failed: {error}", new.display()));
                return vec![refusal(&error); letters.len()];
            }
        }
        replies
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

/// Mailboxes that strangers can make in a domain that lists no recipients.
const MAILBOXES_PER_DOMAIN_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use transport::deliver::LetterBody;

    struct Text(&'static [u8]);

    impl LetterBody for Text {
        fn size_bytes(&self) -> u64 {
            self.0.len() as u64
        }

        fn read(&self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
            self.0.chunks(3).try_for_each(sink)
        }
    }

    /// Mailboxes of the built-in organization, which keeps mail for posthouse.test.
    fn store(world: &World) -> Maildirs {
        let loaded = directory::Loaded::load(world.disk.as_ref(), &directory::Start::default()).unwrap();
        Maildirs::new(world, "/mail".into(), "mx.x.test", Arc::new(Swap::new(loaded.org)))
    }

    fn deliver(store: &Maildirs, to: &str, id: u8) -> Reply {
        let mailbox = Mailbox::parse(to, false).unwrap();
        let id = MessageId::new(1_795_237_200_123, [id; 10]);
        let body = Text(b"Subject: x\r\n\r\nbody\rlone\r\n\r");
        let letter = Letter { id, mailbox: &mailbox, head: b"Return-Path: <>\r\n", body: &body };
        store.deliver(mailbox.domain(), &[letter]).remove(0)
    }

    #[test]
    fn a_letter_is_whole_there_once_and_survives_a_power_cut() {
        let (world, sim) = World::simulated(3);
        let store = store(&world);
        assert_eq!(deliver(&store, "Bob@posthouse.test", 1).code, 250);
        assert_eq!(
            deliver(&store, "bob@posthouse.test", 1).code,
            250,
            "after a crash before the record it is delivered again"
        );
        assert_eq!(deliver(&store, "bob@posthouse.test", 2).code, 250);
        sim.disk.crash();
        sim.disk.reboot();
        let new = Path::new("/mail/posthouse.test/bob/new");
        let names: Vec<_> = world.disk.list(new).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].starts_with("1795237200.") && names[0].ends_with(".mx.x.test"));
        let kept = world.disk.read_all(&new.join(&names[0])).unwrap();
        assert_eq!(kept, b"Return-Path: <>\nSubject: x\n\nbody\rlone\n\r");
    }

    #[test]
    fn no_address_leaves_its_domain() {
        assert_eq!(file_name("\"../../etc\""), "%22..%2F..%2Fetc%22");
        assert_eq!(file_name(".."), "%2E.");
        assert_eq!(file_name("Ä"), "%C3%A4");
        assert_eq!(file_name("bob.smith+tag"), "bob.smith+tag");
        assert_eq!(file_name("[192.0.2.1]"), "%5B192.0.2.1%5D");
    }

    #[test]
    fn strangers_cannot_make_mailboxes_without_end() {
        let (world, _) = World::simulated(4);
        let store = store(&world);
        assert_eq!(deliver(&store, "bob@posthouse.test", 1).code, 250);
        let many = (1..MAILBOXES_PER_DOMAIN_MAX).map(|n| format!("m{n}").into());
        store.known.lock().unwrap().get_mut("posthouse.test").unwrap().extend(many);
        assert_eq!(deliver(&store, "stranger@posthouse.test", 2).code, 452);
        assert_eq!(deliver(&store, "bob@posthouse.test", 3).code, 250);
    }
}
