//! What 1,000,000 recipients cost in memory: the growth of this process, once they are all in their table, and at most while it was made.
//! Prints `memory bytes`, `peak bytes` and `own count bytes`; `bench/organization` judges the first.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // reads /proc

mod wide;

use wide::{RECIPIENTS, entry};

fn main() {
    // `cargo test --benches` and `cargo clippy` only want to know that it builds.
    if std::env::args().any(|word| word == "--test") {
        return;
    }
    let before = kib("VmRSS");
    let recipients = wide::recipients(RECIPIENTS);
    let (after, peak) = (kib("VmRSS"), kib("VmHWM"));
    for number in (0..RECIPIENTS).step_by(9_973) {
        let known = recipients.get(&entry(number).address).expect("they are all there");
        assert_eq!(known.entry(), entry(number));
    }
    println!("memory {}", (after - before) * 1024);
    println!("peak {}", (peak - before) * 1024);
    println!("own {}", recipients.memory_bytes());
}

/// A line of /proc/self/status in KiB.
fn kib(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
