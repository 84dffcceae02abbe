//! Owns a transaction: comparisons, changes, and what is read if they do not hold. Knows no journals.
//! Always holds: comparisons are by revision only, so that "unchanged since I looked" is what is asked.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::calls::prefix_end;
use super::wire::{Base64, Revision};

/// A transaction under construction.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    compare: Vec<Value>,
    success: Vec<Value>,
    failure: Vec<Value>,
}

impl Txn {
    /// Nothing yet.
    pub fn new() -> Txn {
        Txn::default()
    }

    /// Only if the key was changed last at this revision; 0: only if it is not there.
    pub fn if_at(mut self, key: &str, revision: Revision) -> Txn {
        self.compare.push(json!({ "target": "MOD", "result": "EQUAL", "key": Base64(key.as_bytes()),
            "mod_revision": revision.to_string() }));
        self
    }

    /// Then write a key, under a lease if it is not 0.
    pub fn put(mut self, key: &str, value: &[u8], lease: i64) -> Txn {
        self.success.push(json!({ "request_put": { "key": Base64(key.as_bytes()), "value": Base64(value),
            "lease": lease.to_string() } }));
        self
    }

    /// Then delete a key.
    pub fn delete(mut self, key: &str) -> Txn {
        self.success.push(json!({ "request_delete_range": { "key": Base64(key.as_bytes()) } }));
        self
    }

    /// Else read a key.
    pub fn else_read(mut self, key: &str) -> Txn {
        self.failure.push(json!({ "request_range": { "key": Base64(key.as_bytes()) } }));
        self
    }

    /// Then delete all keys from `prefix` on that are before `until`.
    pub fn delete_until(mut self, prefix: &str, until: &str) -> Txn {
        debug_assert!(until.as_bytes() < prefix_end(prefix.as_bytes()).as_slice());
        self.success.push(json!({ "request_delete_range": { "key": Base64(prefix.as_bytes()),
            "range_end": Base64(until.as_bytes()) } }));
        self
    }
}

impl Serialize for Txn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({ "compare": self.compare, "success": self.success, "failure": self.failure }).serialize(serializer)
    }
}
