//! Plays every `tests/dialogs/*.txt` against a real node; dialogs of one node share it, each on its own connections.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of a real process

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tests::{dialog, next_hop, root};

#[test]
fn every_dialog_goes_as_written() {
    let only = std::env::var("DIALOG").unwrap_or_default();
    let mut by_node: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("tests/dialogs")).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "txt") && path.to_string_lossy().contains(&only) {
            let text = std::fs::read_to_string(&path).unwrap();
            by_node.entry(dialog::node_of(&text).to_string()).or_default().push((path, text));
        }
    }
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, mut dialogs) in by_node {
        dialogs.sort();
        let (node, extra) = dialog::node(&name);
        for (path, text) in dialogs {
            match catch_unwind(AssertUnwindSafe(|| dialog::play(&path, &text, &node, extra))) {
                Ok(()) => passed += 1,
                Err(_) => failed.push(path.file_name().unwrap().to_string_lossy().into_owned()),
            }
        }
        assert!(!node.log().contains("panicked"), "the node panicked:\n{}", node.log());
    }
    assert!(failed.is_empty(), "{passed} dialogs went as written, these did not: {failed:#?}");
    assert!(passed > 0, "no dialog was played");
    println!("{passed} dialogs");
}

#[test]
fn every_dialog_with_a_next_hop_goes_as_written() {
    let only = std::env::var("DIALOG").unwrap_or_default();
    let mut dialogs: Vec<_> = std::fs::read_dir(root().join("tests/dialogs/out")).unwrap().flatten().collect();
    dialogs.sort_by_key(|entry| entry.file_name());
    let mut failed = Vec::new();
    for entry in dialogs.iter().filter(|entry| entry.path().to_string_lossy().contains(&only)) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        if catch_unwind(|| next_hop::play(&entry.path(), &text)).is_err() {
            failed.push(entry.file_name());
        }
    }
    assert!(failed.is_empty(), "these did not go as written: {failed:#?}");
}
