//! Ports on loopback for servers that a test starts.
//!
//! Owns blocks of ports, each held by one process at a time with a lock on a file, which the system takes back when the process ends: test
//! programs run beside each other, and a port that is free now may be the one that another's node is about to listen on. Always holds: no
//! process gets a port twice, and no two get the same one at the same time. The ports lie below those that the system gives to outgoing
//! connections: a test with load would take one before the node that it is for has started.

use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};

/// Debian gives 32768 and above to outgoing connections.
const PORTS: Range<u16> = 10_240..32_000;
const BLOCK_PORTS: u16 = 320;
const BLOCKS: u16 = (PORTS.end - PORTS.start) / BLOCK_PORTS;

static HELD: Mutex<Held> = Mutex::new(Held { locks: Vec::new(), free: 0..0 });

/// What this process holds.
struct Held {
    locks: Vec<File>,
    /// Of the block that it took last.
    free: Range<u16>,
}

/// A port that was free a moment ago, and is nobody else's.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of so many ports in a row.
pub fn free_ports(count: u16) -> u16 {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if held.free.len() < usize::from(count) {
            held.take_block();
        }
        let first = held.free.start;
        held.free.start += count;
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

impl Held {
    fn take_block(&mut self) {
        let dir = std::env::temp_dir().join("posthouse-test-ports");
        std::fs::create_dir_all(&dir).unwrap();
        // Not where the process before this one began: its last connections are not forgotten yet.
        let begin = (std::process::id() % u32::from(BLOCKS)) as u16;
        for block in (0..BLOCKS).map(|block| (begin + block) % BLOCKS) {
            let lock = File::options().create(true).append(true).open(dir.join(block.to_string())).unwrap();
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                self.locks.push(lock);
                let start = PORTS.start + block * BLOCK_PORTS;
                self.free = start..start + BLOCK_PORTS;
                return;
            }
        }
        panic!("all ports from {} to {} are taken by tests that run now", PORTS.start, PORTS.end);
    }
}
