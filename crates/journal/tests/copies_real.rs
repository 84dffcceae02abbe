//! A journal with its threads and a copy on a real disk, driven as a node drives them: by threads that wait for bytes and wakes.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // a test

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use journal::copies::{CopyStage, HeldCopy, HeldLink, Link};
use journal::{Batch, Journal, Mode, Settings, When};
use world::World;

const NAME: &str = "a/spool";

fn settings(epoch: u32) -> Settings {
    Settings {
        segment_bytes: 256 << 10,
        keep_free_bytes: 0,
        copy_window_bytes: 512 << 10,
        epoch,
        ..Settings::default()
    }
}

enum Event {
    Bytes(Vec<u8>),
    Wake,
    End,
}

/// The owner's end: what a connection's task does.
fn drive_owner(link: Link, events: Receiver<Event>, to_holder: Sender<Event>) {
    loop {
        match events.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::Bytes(bytes)) => link.receive(&bytes).unwrap(),
            Ok(Event::End) => return,
            Ok(Event::Wake) | Err(_) => {}
        }
        let due = link.next_due_ms().unwrap();
        if World::real().clock.mono_ms() >= due {
            link.tick();
        }
        loop {
            let worked = link.pump();
            let mut sent = false;
            while let Some(frame) = link.output() {
                sent = true;
                let _ = to_holder.send(Event::Bytes(frame.to_vec()));
            }
            if !worked && !sent {
                break;
            }
        }
    }
}

/// The holder's end.
fn drive_holder(link: HeldLink, events: Receiver<Event>, to_owner: Sender<Event>) {
    while let Ok(first) = events.recv() {
        // What has arrived meanwhile shares a sync.
        for event in std::iter::once(first).chain(events.try_iter()) {
            match event {
                Event::Bytes(bytes) => link.receive(&bytes).unwrap(),
                Event::End => return,
                Event::Wake => {}
            }
        }
        link.pump();
        while let Some(frame) = link.output() {
            let _ = to_owner.send(Event::Bytes(frame.to_vec()));
        }
    }
}

struct Connection {
    ends: [Sender<Event>; 2],
    threads: [JoinHandle<()>; 2],
}

fn connect(journal: &Journal, copy: &HeldCopy) -> Connection {
    let (to_owner, at_owner) = channel();
    let (to_holder, at_holder) = channel();
    let waker = to_owner.clone();
    // A wake finds no link any more when the connection is ending.
    let wake = Arc::new(move || drop(waker.send(Event::Wake)));
    let link = journal.copies().attach(NAME, "b", wake);
    let held = copy.link(Arc::new(|| ()));
    let ends = [to_owner.clone(), to_holder.clone()];
    let owner = std::thread::spawn(move || drive_owner(link, at_owner, to_holder));
    let holder = std::thread::spawn(move || drive_holder(held, at_holder, to_owner));
    ends[0].send(Event::Wake).unwrap();
    Connection { ends, threads: [owner, holder] }
}

impl Connection {
    fn end(self) {
        self.ends.iter().for_each(|end| drop(end.send(Event::End)));
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} never happened");
}

fn load(journal: &Journal, from: u8) {
    let threads: Vec<_> = (0..16u8)
        .map(|n| {
            let journal = journal.clone();
            std::thread::spawn(move || {
                for round in 0..60u8 {
                    let body = vec![from ^ n ^ round; 4000];
                    let committed = journal.append(Batch::new().record(1, &[n], body), When::Durable).wait().unwrap();
                    assert_eq!(committed.copies, 1);
                    if round % 3 != 0 {
                        journal.release(committed.first, 4001);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn segments(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = World::real().disk.list(dir).unwrap();
    let segments = names.into_iter().filter(|e| e.name.ends_with(".seg"));
    segments.map(|e| (e.name.clone(), std::fs::read(dir.join(&e.name)).unwrap())).collect()
}

#[test]
fn many_writers_one_copy_a_reconnect_raised_epochs_and_a_closed_copy_under_load_and_a_take_over() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, copies) = (dir.path().join("spool"), dir.path().join("copies"));
    let world = World::real();
    let journal = Journal::open(&world, &spool, settings(1), Mode::Serve, &mut |_| ()).unwrap();
    let copy = HeldCopy::open(&world, &copies, NAME, settings(0)).unwrap();
    let connection = connect(&journal, &copy);
    wait_until("level", || journal.copies().states()[0].stage == CopyStage::Level);
    journal.copies().set_level(&["b"], 1);
    load(&journal, 1);
    // The connection breaks while commits wait: they are completed by the next one.
    let loading = {
        let journal = journal.clone();
        std::thread::spawn(move || load(&journal, 2))
    };
    std::thread::sleep(Duration::from_millis(50));
    connection.end();
    assert_eq!(journal.copies().states()[0].stage, CopyStage::Away);
    let connection = connect(&journal, &copy);
    loading.join().unwrap();
    // The epoch is raised while commits wait, again and again.
    let loading = {
        let journal = journal.clone();
        std::thread::spawn(move || load(&journal, 3))
    };
    for epoch in 2..12 {
        std::thread::sleep(Duration::from_millis(10));
        journal.raise_epoch(epoch).unwrap();
    }
    loading.join().unwrap();
    // The last epoch may have come when all was written.
    wait_until("level under the last epoch", || journal.copies().states()[0].stage == CopyStage::Level);
    // A copy that is closed under load says where it ends, and no more than that is acknowledged until it is open again.
    let loading = {
        let journal = journal.clone();
        std::thread::spawn(move || load(&journal, 4))
    };
    let frozen = copy.freeze().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let (state, now) = (journal.copies().states().remove(0), copy.freeze().unwrap());
    assert_eq!((frozen.at, frozen.heard), (now.at, 11));
    assert!(state.acked <= frozen.at || state.acked.0.is_multiple_of(256 << 10), "{state:?} {frozen:?}");
    assert!(!loading.is_finished(), "nobody is answered");
    copy.thaw();
    connection.end();
    let connection = connect(&journal, &copy);
    loading.join().unwrap();
    while copy.prepare() {}
    let copies_of = journal.copies();
    wait_until("all acknowledged", || {
        let state = copies_of.states().remove(0);
        state.stage == CopyStage::Level && state.acked == copies_of.tail()
    });
    connection.end();
    let live = journal.stats().live_bytes;
    let end = copies_of.tail();
    let (mut ours, mut theirs) = (segments(&spool), segments(&copies));
    // Behind the end of the newest one is what is left of its last life.
    let used = (end.0 % (256 << 10)) as usize;
    ours.last_mut().unwrap().1.truncate(used);
    theirs.last_mut().unwrap().1.truncate(used);
    assert_eq!(ours.iter().map(|s| &s.0).collect::<Vec<_>>(), theirs.iter().map(|s| &s.0).collect::<Vec<_>>());
    assert_eq!(ours.last().unwrap(), theirs.last().unwrap());
    assert_eq!(copy.hand_over().unwrap(), end);
    let mut seen = 0;
    let (settings, mut epochs) = (settings(12), std::collections::BTreeSet::new());
    let taken = Journal::open(&world, &copies, settings, Mode::Serve, &mut |s| {
        seen += 32 + u64::from(s.extent.len);
        epochs.insert(s.epoch);
    });
    let taken = taken.unwrap();
    assert_eq!(taken.opened_at(), end);
    assert!(seen >= live, "{seen} bytes seen, {live} live");
    assert!(epochs.contains(&1) && epochs.contains(&11), "{epochs:?}");
    taken.append(Batch::new().record(1, b"on", ()), When::Durable).wait().unwrap();
}
