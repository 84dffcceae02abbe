//! The three runs of `journal-bench`, short: they measure what they say they measure.

use std::time::Duration;

use bench::appends::{Load, Writers, journal_appends, raw_batches, recover};

fn load() -> Load {
    let millis = Duration::from_millis;
    Load { dir: std::env::temp_dir(), record_bytes: 4096, warm_up: millis(50), run: millis(300) }
}

#[test]
fn a_raw_batch_is_one_sync() {
    let rate = raw_batches(&load(), 32).expect("a scratch directory");
    assert!(rate.syncs > 0 && rate.records == rate.syncs * 32, "{rate:?}");
    assert!(rate.taken >= Duration::from_millis(290) && rate.per_second() > 0.0, "{rate:?}");
}

#[test]
fn many_writers_share_a_sync_and_one_has_its_own() {
    // On a machine that is busy with something else a short run may see nothing at all: then a longer one.
    let runs = (0..6).map(|doublings| Load { run: load().run * (1 << doublings), ..load() });
    let mut measured = runs.map(|load| journal_appends(&load, Writers { count: 64, threads: 2 }).expect("a journal"));
    let many = measured.find(|many| many.records > 0).expect("appends within twenty seconds");
    assert!(many.records > many.syncs * 4, "group commit: {}", many.json());
    let one = journal_appends(&load(), Writers { count: 1, threads: 1 }).expect("a journal");
    assert!(one.records <= one.syncs + 2, "durable means synced: {}", one.json());
}

#[test]
fn a_full_journal_shows_every_record_again() {
    let recovery = recover(&load(), 5000).expect("as many as were appended");
    assert_eq!(recovery.records, 5000);
    assert!(recovery.bytes >= 5000 * 4096);
}
