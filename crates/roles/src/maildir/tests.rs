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

/// A delivery that is cut off at any operation, and the same message once more from another node, after the reader did something: one
/// letter, not none and not two.
#[test]
fn a_message_that_comes_again_after_a_crash_is_one_letter_whatever_the_reader_did() {
    let mailbox = Path::new("/mail/posthouse.test/bob");
    let mut cuts = 0;
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
            deliver(&first, "bob@posthouse.test", 1);
            let cut = sim.disk.crashed();
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
            let told = format!("{reader:?}, power {power}, cut at {crash_at}: {before}, {after}");
            assert!(letters == 1 && before <= 1, "{told}");
            if !cut {
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts > 6 * 4, "{cuts} cuts");
}

/// The disk fills at any byte, and has room again; the process goes on, or is killed and another node comes.
#[test]
fn a_full_disk_loses_no_letter_and_doubles_none() {
    let mailbox = Path::new("/mail/posthouse.test/bob");
    let mut refused = 0;
    for room in 0..400 {
        for killed in [false, true] {
            let (world, sim) = World::simulated(room);
            let a = store(&world, "a");
            assert_eq!(deliver(&a, "bob@posthouse.test", 9).code, 250);
            read(&world, mailbox, Reader::Removes);
            let used = (1 << 40) - world.disk.free_bytes(mailbox).unwrap();
            sim.disk.change_faults(|faults| faults.capacity = Some(used + room));
            let mut attempts = [false, true].into_iter();
            let answers = attempts.by_ref().map(|repeat| deliver_as(&a, "bob@posthouse.test", 1, repeat).code);
            let said: Vec<u16> = answers.take_while(|code| *code != 250).collect();
            let delivered = said.len() < 2;
            refused += usize::from(!delivered);
            sim.disk.set_faults(Default::default());
            if killed {
                sim.disk.restart_process();
            }
            let again = if killed { store(&world, "b") } else { a };
            let before = read(&world, mailbox, Reader::Removes);
            assert_eq!(deliver_as(&again, "bob@posthouse.test", 1, true).code, 250);
            let after = read(&world, mailbox, Reader::Removes);
            // A letter that just fits leaves no room to note it.
            let doubtful = delivered && before == 1;
            assert!(
                before + after == 1 || doubtful,
                "room for {room}, killed {killed}, said {said:?}: {before}, {after}"
            );
            assert_eq!(deliver_as(&again, "bob@posthouse.test", 1, true).code, 250);
            assert_eq!(read(&world, mailbox, Reader::Waits), 0, "and never again");
        }
    }
    assert!(refused > 20, "{refused}");
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
