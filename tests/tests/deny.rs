//! Holds the dependency graph against `deny.toml`: banned crates and licences, and compilers newer than ours.
//! (`cargo deny check bans licenses sources` says the same with more words where it is installed.)
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of files reads files

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use tests::root;

/// The packages that are built for Linux: `cargo tree` knows which features are really on, `cargo metadata` their licences.
fn packages() -> Vec<Value> {
    let tree = ["tree", "--workspace", "-e", "normal,build", "--prefix", "none", "-f", "{p}", "--locked"];
    let tree = cargo(&[&tree[..], &["--target", "x86_64-unknown-linux-gnu"]].concat());
    let built: BTreeSet<String> = tree.lines().map(|l| l.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--locked"])).unwrap();
    let name = |p: &Value| format!("{} v{}", p["name"].as_str().unwrap(), p["version"].as_str().unwrap());
    let all = metadata["packages"].as_array().unwrap();
    let found: Vec<Value> = all.iter().filter(|p| built.contains(&name(p))).cloned().collect();
    assert!(found.len() > 50, "the graph was read: {} packages", found.len());
    found
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn deny() -> toml::Table {
    std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap()
}

#[test]
fn no_banned_crate_is_built() {
    let deny = deny();
    let banned = deny["bans"]["deny"].as_array().unwrap();
    let packages = packages();
    for ban in banned {
        let name = ban["crate"].as_str().unwrap();
        assert!(packages.iter().all(|p| p["name"] != name), "{name} is in the graph: {}", ban["reason"]);
    }
    for once in ["aws-lc-sys", "rustls", "mail-parser"] {
        assert!(packages.iter().filter(|p| p["name"] == once).count() <= 1, "two versions of {once}");
    }
}

#[test]
fn every_licence_is_allowed() {
    let deny = deny();
    let allowed: BTreeSet<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    for package in packages() {
        let Some(expression) = package["license"].as_str() else {
            panic!("{} {} names no licence", package["name"], package["version"]);
        };
        assert!(satisfied(expression, &allowed), "{} {}: {expression}", package["name"], package["version"]);
    }
}

#[test]
fn every_crate_builds_with_our_compiler() {
    for package in packages() {
        let Some(wanted) = package["rust_version"].as_str() else { continue };
        let minor: u32 = wanted.split('.').nth(1).unwrap_or("0").parse().unwrap();
        assert!(minor <= 95, "{} {} wants Rust {wanted}", package["name"], package["version"]);
    }
}

/// An SPDX expression with OR, AND, `/` and brackets: some choice of it is allowed.
fn satisfied(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let text = expression.trim();
    for separator in [" OR ", "/", " AND "] {
        let parts = split_outside_brackets(text, separator);
        if parts.len() > 1 {
            let mut holds = parts.iter().map(|part| satisfied(part, allowed));
            return if separator == " AND " { holds.all(|h| h) } else { holds.any(|h| h) };
        }
    }
    match text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => satisfied(inner, allowed),
        None => allowed.contains(text),
    }
}

fn split_outside_brackets<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && i >= start && text[i..].starts_with(separator) => {
                parts.push(&text[start..i]);
                start = i + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[test]
fn spdx_expressions() {
    let allowed = BTreeSet::from(["MIT", "ISC"]);
    assert!(satisfied("MIT OR GPL-3.0", &allowed) && satisfied("ISC AND (GPL-3.0 OR MIT)", &allowed));
    assert!(
        !satisfied("MIT AND GPL-3.0", &allowed)
            && satisfied("Apache-2.0/MIT", &allowed)
            && !satisfied("AGPL-3.0", &allowed)
    );
}
