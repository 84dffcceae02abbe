//! Whatever happens to the bytes of a journal: nothing that was not appended is shown, and nothing is lost in silence.
#![allow(clippy::unwrap_used)] // a test

use std::io::IoSlice;
use std::path::{Path, PathBuf};

use journal::{Batch, Extent, Journal, Mode, OpenError, Seen, Settings, When};
use proptest::prelude::*;
use world::{Open, World};

const DIR: &str = "/j";
const SEGMENT: u64 = 8 << 10;

#[derive(Clone, Debug)]
enum Harm {
    Flip {
        at: u64,
    },
    Wipe {
        at: u64,
        len: u64,
    },
    /// A piece of the log appears once more at another place.
    Copy {
        from: u64,
        to: u64,
        len: u64,
    },
    CutShort {
        at: u64,
    },
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = || 0..SEGMENT * 6;
    prop_oneof![
        at().prop_map(|at| Harm::Flip { at }),
        (at(), 1..2000u64).prop_map(|(at, len)| Harm::Wipe { at, len }),
        (at(), at(), 1..2000u64).prop_map(|(from, to, len)| Harm::Copy { from, to, len }),
        at().prop_map(|at| Harm::CutShort { at }),
    ]
}

fn settings() -> Settings {
    Settings { segment_bytes: SEGMENT, keep_free_bytes: 0, ..Settings::default() }
}

fn payload(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (n * 37 + i) as u8).collect()
}

/// A journal with these payloads, each in a durable batch of its own.
fn filled(world: &World, lens: &[usize], close: bool) -> Vec<Extent> {
    let journal = Journal::open_inline(world, Path::new(DIR), settings(), Mode::Serve, &mut |_| {}).unwrap();
    let mut extents = Vec::new();
    for (n, len) in lens.iter().enumerate() {
        let mut commit = journal.append(Batch::new().record(1, &payload(n, *len), ()), When::Durable);
        journal.pump();
        extents.push(commit.try_take().unwrap().unwrap().extent(0));
    }
    if close {
        journal.close();
    }
    extents
}

/// The file and offset at `at` bytes of all segments in a row.
fn place(files: &[PathBuf], at: u64) -> (&PathBuf, u64) {
    (&files[(at / SEGMENT) as usize % files.len()], at % SEGMENT)
}

fn apply(world: &World, files: &[PathBuf], harm: &Harm) {
    let read = |path: &Path| world.disk.read_all(path).unwrap();
    let write = |path: &Path, offset: u64, bytes: &[u8]| {
        let file = world.disk.open(path, Open::Write).unwrap();
        let fits = bytes.len().min((SEGMENT - offset) as usize);
        file.write_all_at(offset, &[IoSlice::new(&bytes[..fits])]).unwrap();
    };
    match *harm {
        Harm::Flip { at } => {
            let (path, offset) = place(files, at);
            let byte = read(path).get(offset as usize).map_or(1, |b| b ^ 4);
            write(path, offset, &[byte]);
        }
        Harm::Wipe { at, len } => {
            let (path, offset) = place(files, at);
            write(path, offset, &vec![0; len as usize]);
        }
        Harm::Copy { from, to, len } => {
            let (path, offset) = place(files, from);
            let bytes: Vec<u8> = read(path).into_iter().skip(offset as usize).take(len as usize).collect();
            let (path, offset) = place(files, to);
            write(path, offset, &bytes);
        }
        Harm::CutShort { at } => {
            let (path, offset) = place(files, at);
            let mut bytes = read(path);
            bytes.truncate(offset as usize);
            let file = world.disk.open(path, Open::CreateOrTruncate).unwrap();
            file.write_all_at(0, &[IoSlice::new(&bytes)]).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_shown_was_appended_and_what_is_not_shown_is_named(
        lens in prop::collection::vec(0..3000usize, 1..40),
        close in any::<bool>(),
        harms in prop::collection::vec(harm(), 1..4),
    ) {
        let (world, _) = World::simulated(1);
        let extents = filled(&world, &lens, close);
        let mut files: Vec<PathBuf> = world.disk.list(Path::new(DIR)).unwrap().into_iter()
            .filter(|e| e.name.ends_with(".seg")).map(|e| Path::new(DIR).join(e.name)).collect();
        files.sort();
        let before = world.disk.read_all(&files[files.len() - 1]).unwrap();
        harms.iter().for_each(|harm| apply(&world, &files, harm));
        let after = world.disk.read_all(&files[files.len() - 1]).unwrap();

        let mut shown = Vec::new();
        let mut visit = |s: Seen<'_>| shown.push((s.extent, s.payload.to_vec()));
        let rescued = Journal::open_inline(&world, Path::new(DIR), settings(), Mode::Rescue, &mut visit).unwrap();
        for (extent, bytes) in &shown {
            let n = extents.iter().position(|e| e == extent);
            prop_assert!(n.is_some_and(|n| *bytes == payload(n, lens[n])), "{extent:?} was never appended");
            prop_assert_eq!(&rescued.read(*extent).unwrap(), bytes);
        }
        prop_assert!(shown.windows(2).all(|w| w[0].0.position < w[1].0.position));

        let lost = rescued.lost();
        let newest = rescued.segment_of(extents[extents.len() - 1].position);
        // The last record of the newest segment that was left alone: it says that all before it had been synced.
        let untouched = |e: &&Extent| {
            let from = (e.position.0 % SEGMENT) as usize;
            let header = from..from + 32;
            rescued.segment_of(e.position) == newest && after.get(header.clone()) == before.get(header)
        };
        let witness = extents.iter().rev().find(untouched).map(|e| e.position).unwrap_or_default();
        for extent in extents.iter().filter(|e| !shown.iter().any(|(s, _)| s == *e)) {
            let named = lost.iter().any(|range| range.contains(&extent.position));
            // Behind the last witness it cannot be told from what was never confirmed.
            let torn = rescued.segment_of(extent.position) == newest && extent.position >= witness;
            prop_assert!(named || torn, "{extent:?} is missing and not named in {lost:?}");
        }

        drop(rescued);
        let served = Journal::open_inline(&world, Path::new(DIR), settings(), Mode::Serve, &mut |_| {});
        match served.map(drop) {
            Ok(()) => prop_assert!(lost.is_empty()),
            Err(OpenError::Damaged { lost: same }) => prop_assert_eq!(same, lost),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}
