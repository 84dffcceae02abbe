//! Owns the memory of which addresses have just failed, so that another one is tried first.
//!
//! Always holds: a penalty never keeps mail from an address that is the only one left, and the memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Of addresses, or of whatever else may fail.
pub(super) struct Penalties<K> {
    until_ms: Mutex<HashMap<K, u64>>,
}

impl<K> Default for Penalties<K> {
    fn default() -> Penalties<K> {
        Penalties { until_ms: Mutex::default() }
    }
}

impl<K: Eq + Hash> Penalties<K> {
    /// The address has failed.
    pub fn add(&self, address: K, now_ms: u64) {
        let mut until_ms = self.until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if until_ms.len() >= PENALTIES_MAX {
            until_ms.retain(|_, until_ms| *until_ms > now_ms);
        }
        if until_ms.len() < PENALTIES_MAX {
            until_ms.insert(address, now_ms + PENALTY_MS);
        }
    }

    /// The address works.
    pub fn forgive(&self, address: &K) {
        self.until_ms.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }

    /// Others go first.
    pub fn has(&self, address: &K, now_ms: u64) -> bool {
        let until_ms = self.until_ms.lock().unwrap_or_else(PoisonError::into_inner);
        until_ms.get(address).is_some_and(|until_ms| *until_ms > now_ms)
    }
}

/// How long others go before an address that failed.
const PENALTY_MS: u64 = 30_000;
/// Addresses that are remembered.
const PENALTIES_MAX: usize = 4096;
