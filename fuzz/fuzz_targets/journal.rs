//! Journal recovery: whatever stands in a segment file, it opens or errs. Records that are shown were appended, in their order.
#![no_main]

use fuzz::tape::{Tape, head};
use journal::{Batch, Journal, Mode, Settings, When};
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use world::{Open, World};

fuzz_target!(|input: &[u8]| {
    let (seed, rest) = head(input, 4);
    let mut tape = Tape::new(seed);
    let (world, _) = World::simulated(1);
    let dir = Path::new("/journal");
    let appended = make(&world, dir, &mut tape);
    let raw = tape.one_in(2);
    damage(&world, dir, rest, raw, &mut tape);
    for mode in [Mode::Rescue, Mode::Serve, Mode::Rescue] {
        let mut shown = Vec::new();
        let opened = Journal::open_inline(&world, dir, settings(), mode, &mut |seen| {
            shown.push((seen.kind, seen.payload.to_vec()));
        });
        if let Ok(journal) = opened {
            journal.stats();
            while journal.pump() {}
        }
        // libFuzzer may well forge a checksum where the whole file is its own; a flipped bit must not get through.
        assert!(raw || is_subsequence(&shown, &appended), "a record that nobody appended");
    }
});

fn settings() -> Settings {
    Settings { segment_bytes: 8192, keep_free_bytes: 0, ..Settings::default() }
}

/// A journal of a few records over one to three segments.
fn make(world: &World, dir: &Path, tape: &mut Tape) -> Vec<(u8, Vec<u8>)> {
    let mut appended = Vec::new();
    let Ok(journal) = Journal::open_inline(world, dir, settings(), Mode::Serve, &mut |_| {}) else { return appended };
    for number in 0..2 + tape.below(6) {
        let payload = vec![number as u8; 1 + tape.below(3000) as usize];
        let kind = 1 + tape.below(200) as u8;
        appended.push((kind, payload.clone()));
        drop(journal.append(Batch::new().record(kind, b"", payload), When::Durable));
        while journal.pump() {}
    }
    journal.close();
    appended
}

/// Writes the input over a segment: from its start, or as patches of (offset, byte).
fn damage(world: &World, dir: &Path, input: &[u8], raw: bool, tape: &mut Tape) {
    let segments: Vec<PathBuf> = world
        .disk
        .list(dir)
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.name.ends_with(".seg"))
        .map(|entry| dir.join(entry.name))
        .collect();
    let Some(path) = segments.get(tape.below(segments.len().max(1) as u64) as usize) else { return };
    let Ok(file) = world.disk.open(path, Open::Write) else { return };
    let write = |offset: u64, bytes: &[u8]| {
        let _ = file.write_all_at(offset, &[std::io::IoSlice::new(bytes)]);
    };
    if raw {
        write(0, &input[..input.len().min(8192)]);
    } else {
        for patch in input.chunks_exact(3) {
            write(u64::from(u16::from_le_bytes([patch[0], patch[1]]) % 8192), &patch[2..]);
        }
    }
    let _ = file.sync_data();
}

fn is_subsequence(shown: &[(u8, Vec<u8>)], appended: &[(u8, Vec<u8>)]) -> bool {
    let mut appended = appended.iter();
    shown.iter().all(|record| appended.any(|other| other == record))
}
