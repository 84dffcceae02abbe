//! Where mail goes between sites: tables per rule of behaviours 2 and 3, and properties against oracles that try everything.
#![allow(clippy::unwrap_used)] // a test says so by failing

#[path = "../common/mod.rs"]
mod common;
mod connectors;
mod maps;
mod oracle;
mod paths;
mod rules;
mod travel;
