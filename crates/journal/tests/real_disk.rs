//! The journal with its threads on the file system of this machine.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests damage files by hand

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{AppendError, Batch, Extent, Journal, Mode, OpenError, Position, ReadError, Room, Seen, Settings, When};
use world::World;

fn small() -> Settings {
    Settings { segment_bytes: 64 << 10, keep_free_bytes: 0, lazy_sync_ms: 20, ..Settings::default() }
}

fn open(dir: &Path, settings: Settings) -> (Journal, Vec<(u8, Extent, Vec<u8>)>) {
    let mut seen = Vec::new();
    let mut visit = |s: Seen<'_>| seen.push((s.kind, s.extent, s.payload.to_vec()));
    let journal = Journal::open(&World::real(), dir, settings, Mode::Serve, &mut visit).unwrap();
    (journal, seen)
}

fn append(journal: &Journal, kind: u8, payload: &[u8]) -> Extent {
    journal.append(Batch::new().record(kind, payload, ()), When::Durable).wait().unwrap().extent(0)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "seg"));
    found.sort();
    found
}

fn change_byte(path: &Path, offset: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[test]
fn what_was_appended_is_read_now_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, seen) = open(dir.path(), small());
    assert!(seen.is_empty());
    let body: Arc<[u8]> = (0..9000u32).map(|n| n as u8).collect();
    let batch = Batch::new().record(1, b"head ", body.clone()).record(2, b"mark", ());
    let committed = journal.append(batch, When::Durable).wait().unwrap();
    let chunk = committed.extent(0);
    assert_eq!(chunk.len, 9005);
    assert_eq!(&journal.read(chunk).unwrap()[..5], b"head ");
    let mut part = [0; 16];
    journal.read_into(chunk, 5 + 256, &mut part).unwrap();
    assert_eq!(part, body[256..272]);
    assert!(matches!(journal.read_into(chunk, 9000, &mut part), Err(ReadError::Damaged(_))));
    let wrong = Extent { position: Position(chunk.position.0 + 1), len: 4 };
    assert!(matches!(journal.read(wrong), Err(ReadError::Damaged(_))));
    let soon = journal.append(Batch::new().record(3, b"soon", ()), When::Soon).wait().unwrap();
    journal.close();
    let (journal, seen) = open(dir.path(), small());
    assert_eq!(
        seen.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>(),
        [(1, chunk), (2, committed.extent(1)), (3, soon.extent(0))]
    );
    assert_eq!(&seen[0].2[5..], &body[..]);
    assert!(append(&journal, 1, b"next").position > soon.first, "positions only grow");
}

#[test]
fn many_writers_share_syncs_and_segments_are_recycled() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), small());
    let write = |writer: u8| {
        let journal = journal.clone();
        move || {
            for n in 0..200u32 {
                let payload = [writer; 600];
                let extent = append(&journal, 7, &payload);
                assert_eq!(journal.read(extent).unwrap(), payload);
                if n % 50 != 0 {
                    journal.release(extent.position, extent.len);
                }
            }
        }
    };
    std::thread::scope(|scope| (0..16).for_each(|w| drop(scope.spawn(write(w)))));
    let stats = journal.stats();
    assert_eq!((stats.appended_records, stats.commits), (3200, 3200));
    assert_eq!(stats.live_bytes, 16 * 4 * 632);
    assert!(stats.syncs < 3200, "{} syncs", stats.syncs);
    assert_eq!(journal.room(), Room::Plenty);
    assert!(journal.exists(journal.oldest_segment().unwrap()));
    drop(journal);
    let (journal, seen) = open(dir.path(), small());
    assert!(seen.iter().all(|(kind, _, payload)| *kind == 7 && payload.iter().all(|b| *b == payload[0])));
    assert!(seen.len() >= 64 && seen.len() as u64 <= 3200);
    assert!(seen.windows(2).all(|w| w[0].1.position < w[1].1.position));
    // Everything goes: only the newest segment, which holds the numbering, is left when a new one was started.
    seen.iter().for_each(|(_, extent, _)| journal.release(extent.position, extent.len));
    let extent = append(&journal, 1, b"x");
    let own = journal.segment_of(extent.position);
    while journal.oldest_segment() != Some(own) {
        std::thread::yield_now();
    }
    assert!(matches!(journal.read(seen[0].1), Err(ReadError::Gone(_))));
}

#[test]
fn an_unsynced_record_is_synced_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), small());
    let _ = journal.append(Batch::new().record(1, b"x", ()), When::Soon).wait().unwrap();
    while journal.stats().syncs == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_directory_has_one_owner_and_epochs_only_grow() {
    let dir = tempfile::tempdir().unwrap();
    let epoch = |epoch| Settings { epoch, ..small() };
    let fails = |settings, mode| Journal::open(&World::real(), dir.path(), settings, mode, &mut |_| {}).map(drop);
    let (journal, _) = open(dir.path(), epoch(4));
    assert!(matches!(fails(epoch(4), Mode::Serve), Err(OpenError::InUse(_))));
    assert!(matches!(fails(epoch(4), Mode::Rescue), Err(OpenError::InUse(_))));
    append(&journal, 1, b"x");
    journal.close();
    assert!(matches!(fails(epoch(3), Mode::Serve), Err(OpenError::StaleEpoch { stored: 4, asked: 3 })));
    let (journal, seen) = open(dir.path(), epoch(5));
    assert_eq!(seen.len(), 1);
    journal.close();
    assert!(matches!(fails(epoch(4), Mode::Serve), Err(OpenError::StaleEpoch { stored: 5, asked: 4 })));
    std::fs::remove_file(dir.path().join("journal.meta")).unwrap();
    assert!(matches!(fails(epoch(5), Mode::Serve), Err(OpenError::Meta(_))));
    let odd = Settings { segment_bytes: 10_000, ..small() };
    assert!(matches!(fails(odd, Mode::Serve), Err(OpenError::Setting(_))));
}

#[test]
fn damage_is_told_from_a_torn_tail_and_rescue_reads_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), small());
    let extents: Vec<Extent> = (0..100u8).map(|n| append(&journal, 1, &[n; 1000])).collect();
    journal.close();
    let files = segments(dir.path());
    assert_eq!(files.len(), 2);
    let offset_of = |extent: &Extent| extent.position.0 % (64 << 10);
    // One rotten byte in a payload of the sealed segment, one in a header of the newest one.
    change_byte(&files[0], offset_of(&extents[10]) + 500);
    change_byte(&files[1], offset_of(&extents[80]) + 3);
    let opened = Journal::open(&World::real(), dir.path(), small(), Mode::Serve, &mut |_| {});
    let Err(OpenError::Damaged { lost }) = opened.map(drop) else { panic!("damage was not seen") };
    assert_eq!(
        lost,
        [
            extents[10].position..extents[11].position, //
            extents[80].position..extents[81].position
        ]
    );
    let mut seen = Vec::new();
    let mut visit = |s: Seen<'_>| seen.push(s.extent);
    let rescued = Journal::open(&World::real(), dir.path(), small(), Mode::Rescue, &mut visit).unwrap();
    assert_eq!(rescued.lost(), lost);
    let intact: Vec<Extent> = (0..100).filter(|n| ![10, 80].contains(n)).map(|n| extents[n]).collect();
    assert_eq!(seen, intact);
    assert_eq!(rescued.read(extents[99]).unwrap(), [99; 1000]);
    let refused = rescued.append(Batch::new().record(1, b"x", ()), When::Durable).wait();
    assert_eq!(refused, Err(AppendError::Stopped));
    drop(rescued);
    // Without its seal and with its last record bent, the newest segment has a torn tail.
    change_byte(&files[0], offset_of(&extents[10]) + 500);
    change_byte(&files[1], offset_of(&extents[80]) + 3);
    change_byte(&files[1], offset_of(&extents[99]) + 1032 + 3);
    change_byte(&files[1], offset_of(&extents[99]) + 40);
    let (_journal, seen) = open(dir.path(), small());
    assert_eq!(seen.len(), 99);
}

#[test]
fn a_bound_for_the_files_leaves_the_reserve_to_those_who_settle() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { max_bytes: Some(3 * (64 << 10)), ..small() };
    let (journal, _) = open(dir.path(), settings);
    let batch = || Batch::new().record(1, &[], vec![0; 30 << 10]);
    let mut taken = Vec::new();
    let error = loop {
        match journal.append(batch(), When::Durable).wait() {
            Ok(committed) => taken.push(committed.extent(0)),
            Err(error) => break error,
        }
    };
    assert_eq!((error, taken.len()), (AppendError::Full, 4));
    assert_eq!(journal.room(), Room::OnlyReserve);
    journal.append(batch().may_use_reserve(), When::Durable).wait().unwrap();
    let too_large = Batch::new().record(1, &[], vec![0; 64 << 10]).may_use_reserve();
    assert_eq!(journal.append(too_large, When::Durable).wait(), Err(AppendError::Full));
    taken.iter().for_each(|extent| journal.release(extent.position, extent.len));
    while journal.room() != Room::Plenty {
        std::thread::yield_now();
    }
    journal.append(batch(), When::Durable).wait().unwrap();
}
