//! Guards of the house: the floors of `ARCHITECTURE.md`, module cycles, file and function sizes, words that must not stay.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of files reads files

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

struct Floor {
    level: u32,
    may_use: BTreeSet<String>,
}

/// The floor table of ARCHITECTURE.md, by crate name.
fn floors() -> BTreeMap<String, Floor> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut floors = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let (Some(Ok(level)), 5) = (cells.first().map(|c| c.parse()), cells.len()) else { continue };
        let may_use = cells[3].split_whitespace().filter(|w| *w != "-").map(String::from).collect();
        floors.insert(cells[1].trim_matches('`').to_string(), Floor { level, may_use });
    }
    floors
}

/// Names under `[dependencies]` of a crate's manifest.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if inside {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect();
            if !name.is_empty() {
                names.insert(name);
            }
        }
    }
    names
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A source file without its unit tests (which stand last, by the house rules, or in files of their own).
fn production(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    if inside.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    match text.find("#[cfg(test)]\nmod ") {
        Some(at) => text[..at].to_string(),
        None => text,
    }
}

#[test]
fn arrows_go_down_only() {
    let floors = floors();
    let mut crates: Vec<String> =
        fs::read_dir(root().join("crates")).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    crates.sort();
    assert_eq!(
        crates,
        floors.keys().cloned().collect::<Vec<_>>(),
        "crates/ and the floor table of ARCHITECTURE.md name the same crates"
    );
    for (name, floor) in &floors {
        for dependency in dependencies(&root().join("crates").join(name).join("Cargo.toml")) {
            let Some(below) = floors.get(&dependency) else { continue };
            assert!(
                below.level < floor.level,
                "{name} (floor {}) uses {dependency} (floor {}): arrows go down only",
                floor.level,
                below.level
            );
            assert!(
                floor.may_use.contains(&dependency),
                "{name} uses {dependency}; its row in ARCHITECTURE.md does not say so"
            );
        }
    }
}

#[test]
fn outside_crates_stay_on_their_floors() {
    for (name, floor) in floors() {
        let used = dependencies(&root().join("crates").join(&name).join("Cargo.toml"));
        for (outside, lowest) in [
            ("tokio", 3),
            ("rustls", 3),
            ("hickory-resolver", 3),
            ("tracing", 3),
            ("metrics", 3),
            ("axum", 5),
            ("clap", 5),
        ] {
            assert!(
                floor.level >= lowest || !used.contains(outside),
                "{name} (floor {}) uses {outside}, which is at home from floor {lowest} on",
                floor.level
            );
        }
    }
    for name in ["mail", "smtp"] {
        let lib = fs::read_to_string(root().join("crates").join(name).join("src/lib.rs")).unwrap();
        assert!(lib.contains("#![no_std]"), "{name} is no_std: it cannot reach a clock, a disk or a socket");
    }
}

/// Top-level modules of a crate and which of their siblings they name.
fn module_arrows(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let module_of = |path: &Path| {
        let first =
            path.strip_prefix(src).unwrap().components().next().unwrap().as_os_str().to_str().unwrap().to_string();
        first.trim_end_matches(".rs").to_string()
    };
    let modules: BTreeSet<String> =
        sources(src).iter().map(|p| module_of(p)).filter(|m| m != "lib" && m != "main").collect();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = modules.iter().map(|m| (m.clone(), BTreeSet::new())).collect();
    for path in sources(src) {
        let from = module_of(&path);
        let Some(targets) = arrows.get_mut(&from) else { continue };
        let text: String =
            production(&path).lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let top_level = path.parent() == Some(src);
        let prefixes: &[&str] = if top_level { &["crate::", "super::"] } else { &["crate::"] };
        for prefix in prefixes {
            for (at, _) in text.match_indices(prefix) {
                for name in named_after(&text[at + prefix.len()..]) {
                    if modules.contains(&name) && name != from {
                        targets.insert(name);
                    }
                }
            }
        }
    }
    arrows
}

/// First path segments behind `crate::`: one name, or those in braces.
fn named_after(rest: &str) -> Vec<String> {
    let word =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !rest.starts_with('{') {
        return vec![word(rest)];
    }
    let mut depth = 0;
    let mut names = Vec::new();
    let mut start = 1;
    for (i, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                names.push(word(&rest[start..i]));
                start = i + 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    names.push(word(&rest[start..i]));
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn no_module_cycles() {
    for name in floors().keys() {
        let arrows = module_arrows(&root().join("crates").join(name).join("src"));
        for start in arrows.keys() {
            let mut seen = BTreeSet::new();
            let mut waiting: Vec<&String> = arrows[start].iter().collect();
            while let Some(module) = waiting.pop() {
                assert!(
                    module != start,
                    "crate {name}: module {start} reaches itself through {seen:?}; arrows of the crate: {arrows:#?}"
                );
                if seen.insert(module.clone()) {
                    waiting.extend(arrows[module].iter());
                }
            }
        }
    }
}

#[test]
fn only_custodians_issue_receipts() {
    for (name, _) in floors() {
        for path in sources(&root().join("crates").join(&name).join("src")) {
            let issues = production(&path).contains("Receipt::issue_after_sync(");
            assert!(!issues || name == "spool", "{}: only the spool issues a Receipt", path.display());
        }
    }
}

#[test]
fn files_and_functions_fit() {
    let mut wrong = Vec::new();
    for name in floors().keys() {
        for path in sources(&root().join("crates").join(name).join("src")) {
            let text = production(&path);
            let lines = text.lines().count();
            if lines > FILE_LINES_MAX {
                wrong.push(format!("{}: {lines} lines: which second noun hides in it?", path.display()));
            }
            for (function, length, flat) in function_lengths(&text) {
                if length > FUNCTION_LINES_MAX && !flat {
                    wrong.push(format!(
                        "{}: fn {function} has {length} lines and is not one flat match",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Name and length in lines of each function in rustfmt's layout, and whether it is one flat `match` (two thirds of it are a match's body).
fn function_lengths(text: &str) -> Vec<(String, usize, bool)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let mut head = trimmed;
        for word in ["pub ", "pub(crate) ", "pub(super) ", "const ", "async "] {
            head = head.trim_start_matches(word);
        }
        let Some(rest) = head.strip_prefix("fn ") else { continue };
        let indent = line.len() - trimmed.len();
        let close = format!("{}}}", " ".repeat(indent));
        let Some(length) = lines[i..].iter().position(|l| *l == close) else { continue };
        let body = &lines[i..i + length];
        let inner = " ".repeat(indent + 4);
        let opens_match = |l: &&str| {
            l.starts_with(&inner) && !l[inner.len()..].starts_with(' ') && l.ends_with('{') && l.contains("match ")
        };
        let in_match = body
            .iter()
            .position(opens_match)
            .map_or(0, |at| body[at..].iter().position(|l| l.starts_with(&format!("{inner}}}"))).unwrap_or(0));
        found.push((
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect(),
            length + 1,
            in_match * 3 > length * 2,
        ));
    }
    found
}

#[test]
fn nothing_unfinished_stays() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("dbg", "!("),
    ];
    for folder in ["crates", "tests", "bench", "fuzz/fuzz_targets"] {
        let dir = root().join(folder);
        if !dir.exists() {
            continue;
        }
        for path in sources(&dir) {
            let text = fs::read_to_string(&path).unwrap();
            for word in words {
                assert!(!text.contains(word), "{}: holds {word}", path.display());
            }
        }
    }
}

const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn every_test_is_run_by_the_test_command() {
    let command = fs::read_to_string(root().join("test")).unwrap();
    for entry in fs::read_dir(root().join("tests/tests")).unwrap().flatten() {
        let name = entry.path().file_stem().unwrap().to_string_lossy().into_owned();
        let is_run = command.lines().any(|line| format!("{line} ").contains(&format!("--test {name} ")));
        assert!(is_run, "./test does not run tests/tests/{name}: name it in one of its parts");
    }
}
