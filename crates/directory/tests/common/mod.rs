//! Documents on a simulated disk.
#![allow(dead_code)] // each test file uses its part

use directory::{Loaded, Problems, Start};
use std::path::Path;
use world::World;

/// Files that documents in tests name.
const FILES: &[(&str, &str)] = &[
    ("cert.pem", "-----BEGIN CERTIFICATE-----\n"),
    ("key.pem", "-----BEGIN PRIVATE KEY-----\n"),
    ("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
    ("people", "bob # the builder\n\nAlice\nx@y\n"),
    ("secret", "hunter2\nnot this\n"),
    ("empty", ""),
    ("tsig", "q1sVJrnKn0CIZvzQ6fT0JoHNRxWoHbUBvUlYXZk3f0E=\n"),
    (
        "keygen",
        "key \"k\" {\n\talgorithm hmac-sha256;\n\tsecret \"q1sVJrnKn0CIZvzQ6fT0JoHNRxWoHbUBvUlYXZk3f0E=\";\n};\n",
    ),
];

/// Loads an organization document, and the node document if there is one.
pub fn load(node: Option<&str>, org: &str) -> Result<Loaded, Problems> {
    let (world, _) = World::simulated(1);
    let write = |name: &str, text: &str| world.disk.replace_durable(Path::new(name), text.as_bytes()).unwrap();
    FILES.iter().for_each(|(name, text)| write(name, text));
    write("org.toml", org);
    write("posthouse.toml", node.unwrap_or("name = \"mx1.example.org\""));
    let start = Start { config: Some("posthouse.toml".into()), org: Some("org.toml".into()), ..Start::default() };
    Loaded::load(world.disk.as_ref(), &start)
}

/// An organization document that must be good.
pub fn good(org: &str) -> Loaded {
    load(None, org).unwrap_or_else(|problems| panic!("{problems}\nin\n{org}"))
}

/// A hash that reads as one.
pub const ARGON2ID: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$VGhpc0lzTm90QVJlYWxIYXNoVGhpc0lzTm90QVJl";
/// SCRAM keys that read as such.
pub const SCRAM: &str = "SCRAM-SHA-256$4096:c2FsdA==$VGhpc0lzTm90QVJlYWxIYXNoVGhpc0lzTm90QVJlYWw=:VGhpc0lzTm90QVJlYWxIYXNoVGhpc0lzTm90QVJlYWw=";
