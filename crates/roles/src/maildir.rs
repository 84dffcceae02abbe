//! Owns the Maildirs of this node: DATA/mail/DOMAIN/MAILBOX/{tmp,new,cur}. Knows no SMTP and no queues.
//!
//! A letter is written to `tmp`, synced, renamed to `new`; then `new` is synced, once for all letters of a call. Lines end in LF,
//! as every reader of Maildirs expects; a CRLF message comes back the same byte for byte.
//! Always holds: a positive reply promises that the letter survives a power cut; no address can name a file outside its domain; a
//! message that may have been delivered before (after a crash or a take-over) comes into a mailbox once, though a reader has moved or
//! removed it since. What is in doubt is delivered: see docs/decisions/duplicates.md.

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
    dir: PathBuf,
    /// Of the letter.
    name: String,
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
        Ok(Place { dir, name: letter_name(letter.id), entry })
    }

    /// Writes and syncs one letter in `tmp`, and moves it to `new`.
    fn write(&self, place: &Place, letter: &Letter<'_>) -> Result<(), Reply> {
        // Another node that delivers the same message now writes a file of its own.
        let temporary = place.dir.join("tmp").join(format!("{}.{}", place.name, self.host));
        match self.write_file(&temporary, letter) {
            Ok(()) => {}
            Err(error) => {
                // What is left in tmp is in nobody's way; the next attempt writes over it.
                let _ = self.world.disk.remove(&temporary);
                return Err(refusal(&error));
            }
        }
        let new = place.dir.join("new").join(&place.name);
        self.world.disk.rename(&temporary, &new).map_err(|error| refusal(&error))
    }

    /// Which of these were delivered before: they are in the window, or a file in `new` or `cur` bears their id. Readers keep the start of
    /// a name.
    fn delivered_before(&self, places: &[&Place]) -> HashSet<Entry> {
        let wanted: HashSet<Entry> = places.iter().map(|place| place.entry.clone()).collect();
        let mut found = self.window.find(&wanted).unwrap_or_else(|error| {
            tracing::warn!("what was delivered lately cannot be read: {error}; a letter may come twice");
            HashSet::new()
        });
        for place in places {
            let bears = place.name.trim_end_matches(SUFFIX);
            let names = |part: &str| self.world.disk.list(&place.dir.join(part)).unwrap_or_default();
            let has_name = |part: &str| names(part).iter().any(|entry| entry.name.starts_with(bears));
            if !found.contains(&place.entry) && (has_name("new") || has_name("cur")) {
                found.insert(place.entry.clone());
            }
        }
        found
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

    fn list(&self, domain_dir: &Path) -> io::Result<HashSet<Box<str>>> {
        match self.world.disk.list(domain_dir) {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name.into()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
            Err(error) => Err(error),
        }
    }

    /// Makes what was moved to `new` durable, and notes it.
    fn conclude(&self, written: &[Place]) -> io::Result<()> {
        let touched: BTreeSet<&Path> = written.iter().map(|place| place.dir.as_path()).collect();
        for dir in touched {
            let new = dir.join("new");
            if let Err(error) = self.world.disk.sync_dir(&new) {
                self.world.abort(&format!("{}: sync failed: {error}", new.display()));
                return Err(error);
            }
        }
        let entries: Vec<Entry> = written.iter().map(|place| place.entry.clone()).collect();
        if let Err(error) = self.window.note(&entries) {
            // They are delivered all the same.
            tracing::warn!("what was delivered cannot be noted: {error}; after a crash a letter may come twice");
        }
        Ok(())
    }
}

/// Made of the id alone: the same message for the same mailbox has the same name, whenever and from whichever node it comes.
fn letter_name(id: MessageId) -> String {
    format!("{}.{id}.{SUFFIX}", id.unix_ms() / 1000)
}

impl LocalStore for Maildirs {
    fn deliver(&self, domain: &str, letters: &[Letter<'_>]) -> Vec<Reply> {
        let places: Vec<Result<Place, Reply>> = letters.iter().map(|letter| self.place(domain, letter)).collect();
        let in_doubt = places.iter().zip(letters).filter(|(_, letter)| letter.repeat);
        let in_doubt: Vec<&Place> = in_doubt.filter_map(|(place, _)| place.as_ref().ok()).collect();
        let mut there = self.delivered_before(&in_doubt);
        let mut written = Vec::with_capacity(letters.len());
        let mut replies = Vec::with_capacity(letters.len());
        for (place, letter) in places.into_iter().zip(letters) {
            replies.push(match place {
                Err(reply) => reply,
                Ok(place) if there.contains(&place.entry) => {
                    self.suppressed.increment(u64::from(letter.repeat));
                    Reply::of(250, Enhanced::new(2, 1, 5), format!("was kept before as {}, not once more", place.name))
                }
                Ok(place) => match self.write(&place, letter) {
                    Ok(()) => {
                        let reply = Reply::of(250, Enhanced::new(2, 1, 5), format!("kept as {}", place.name));
                        // Two addresses of one message may be one mailbox.
                        there.insert(place.entry.clone());
                        written.push(place);
                        reply
                    }
                    Err(reply) => reply,
                },
            });
        }
        match self.conclude(&written) {
            Ok(()) => replies,
            Err(error) => vec![refusal(&error); letters.len()],
        }
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

/// Where other programs write their host's name: an id needs none.
const SUFFIX: &str = "posthouse";
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
    fn store(world: &World, host: &str) -> Maildirs {
        let loaded = directory::Loaded::load(world.disk.as_ref(), &directory::Start::default()).unwrap();
        Maildirs::new(world, "/mail".into(), host, 1000, Arc::new(Swap::new(loaded.org)))
    }

    fn deliver(store: &Maildirs, to: &str, id: u8) -> Reply {
        deliver_as(store, to, id, false)
    }

    fn deliver_as(store: &Maildirs, to: &str, id: u8, repeat: bool) -> Reply {
        let mailbox = Mailbox::parse(to, false).unwrap();
        let id = MessageId::new(1_795_237_200_123, [id; 10]);
        let body = Text(b"Subject: x\r\n\r\nbody\rlone\r\n\r");
        let letter = Letter { id, repeat, mailbox: &mailbox, head: b"Return-Path: <>\r\n", body: &body };
        store.deliver(mailbox.domain(), &[letter]).remove(0)
    }

    #[test]
    fn a_letter_is_whole_there_once_and_survives_a_power_cut() {
        let (world, sim) = World::simulated(3);
        let store = store(&world, "mx.x.test");
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
        assert!(names[0].starts_with("1795237200.") && names[0].ends_with(".posthouse"));
        let kept = world.disk.read_all(&new.join(&names[0])).unwrap();
        assert_eq!(kept, b"Return-Path: <>\nSubject: x\n\nbody\rlone\n\r");
    }

    /// What a reader does with a letter before the node is up again.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Reader {
        Waits,
        Reads,
        Removes,
    }

    /// Letters that a reader can see in a mailbox; he does with them what he does.
    fn read(world: &World, mailbox: &Path, reader: Reader) -> usize {
        let disk = &world.disk;
        let names = |part: &str| disk.list(&mailbox.join(part)).unwrap_or_default();
        let (fresh, seen) = (names("new"), names("cur"));
        for entry in &fresh {
            let new = mailbox.join("new").join(&entry.name);
            match reader {
                Reader::Waits => {}
                Reader::Reads => {
                    disk.rename(&new, &mailbox.join("cur").join(format!("{}:2,S", entry.name))).unwrap();
                }
                Reader::Removes => disk.remove(&new).unwrap(),
            }
        }
        fresh.len() + seen.len()
    }

    /// A delivery that is cut off at any operation, and the same message once more from another node: never nothing, and twice only
    /// where the reader has removed a letter whose delivery had not ended.
    #[test]
    fn a_message_that_comes_again_after_a_crash_is_one_letter_whatever_the_reader_did() {
        let mailbox = Path::new("/mail/posthouse.test/bob");
        let (mut cuts, mut doubts) = (0, 0);
        for (reader, power) in
            [Reader::Waits, Reader::Reads, Reader::Removes].into_iter().flat_map(|r| [(r, true), (r, false)])
        {
            for crash_at in 1.. {
                let (world, sim) = World::simulated(crash_at);
                assert_eq!(deliver(&store(&world, "a"), "bob@posthouse.test", 9).code, 250, "the mailbox is there");
                read(&world, mailbox, Reader::Removes);
                world.disk.sync_dir(&mailbox.join("new")).unwrap();
                let first = store(&world, "a");
                sim.disk.change_faults(|faults| faults.crash_after_ops = Some(crash_at));
                let reply = deliver(&first, "bob@posthouse.test", 1);
                let cut = sim.disk.crashed();
                let answered = reply.code == 250 && !cut;
                sim.disk.set_faults(Default::default());
                match power {
                    true => {
                        sim.disk.crash();
                        sim.disk.reboot();
                    }
                    false => sim.disk.restart_process(),
                }
                let before = read(&world, mailbox, reader);
                assert_eq!(deliver_as(&store(&world, "b"), "bob@posthouse.test", 1, true).code, 250);
                let after = read(&world, mailbox, Reader::Waits);
                let letters = if reader == Reader::Removes { before + after } else { after };
                let told =
                    format!("{reader:?}, power {power}, cut at {crash_at}, answered {answered}: {before}, {after}");
                assert!(letters >= 1 && before <= 1, "{told}");
                if letters > 1 {
                    assert!(reader == Reader::Removes && !answered, "{told}");
                    doubts += 1;
                }
                if !cut {
                    break;
                }
                cuts += 1;
            }
        }
        assert!(cuts > 6 * 4, "{cuts} cuts");
        assert!(doubts < cuts / 4, "{doubts} of {cuts}: only between the letter and its line in the window");
    }

    #[test]
    fn what_was_delivered_stays_suppressed_and_nothing_else_is() {
        let (world, _) = World::simulated(5);
        let (a, b) = (store(&world, "a"), store(&world, "b"));
        assert_eq!(deliver(&a, "bob@posthouse.test", 1).code, 250);
        read(&world, Path::new("/mail/posthouse.test/bob"), Reader::Removes);
        let again = deliver_as(&b, "bob@posthouse.test", 1, true);
        assert!(again.code == 250 && again.text.contains("kept before"), "{again}");
        assert_eq!(read(&world, Path::new("/mail/posthouse.test/bob"), Reader::Waits), 0);
        for (to, id) in [("eve@posthouse.test", 1), ("bob@posthouse.test", 2)] {
            let other = deliver_as(&b, to, id, true);
            assert!(other.text.contains("kept as"), "{other}");
        }
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
        let store = store(&world, "mx.x.test");
        assert_eq!(deliver(&store, "bob@posthouse.test", 1).code, 250);
        let many = (1..MAILBOXES_PER_DOMAIN_MAX).map(|n| format!("m{n}").into());
        store.known.lock().unwrap().get_mut("posthouse.test").unwrap().extend(many);
        assert_eq!(deliver(&store, "stranger@posthouse.test", 2).code, 452);
        assert_eq!(deliver(&store, "bob@posthouse.test", 3).code, 250);
    }
}
