//! Owns the way of verbs through the audit log: noted before, done, noted after. Knows no HTTP.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use super::{Control, Refusal};
use crate::audit::{Deed, Entry, Filter, Outcome, unix_user};

impl Control {
    /// Notes what is asked for. The refusal is for whoever asks: what cannot be noted is not done. Blocks for a sync.
    pub fn audit_begin(&self, deed: &Deed) -> Result<u64, Refusal> {
        self.node.audit.begin(deed).map_err(|error| {
            Refusal::failed(
                format!("the audit log cannot be written: {error}"),
                "nothing was done; look at DATA/audit and at the disk that it is on",
            )
        })
    }

    /// Notes what came of it. Blocks for a sync.
    pub fn audit_end(&self, number: u64, outcome: &Outcome) {
        self.node.audit.end(number, outcome);
    }

    /// Whose process made a connection to this node's API, if that is a process of this machine. Blocks for a moment.
    pub fn unix_user(&self, client: SocketAddr, server: SocketAddr) -> Option<String> {
        unix_user(&self.node.world, client, server)
    }

    /// What this node was asked to do, newest first. Blocks for reading files.
    pub fn audit(&self, filter: &Filter) -> Result<Vec<Entry>, Refusal> {
        let failed =
            |error: io::Error| Refusal::failed(format!("the audit log cannot be read: {error}"), "look at DATA/audit");
        self.node.audit.search(filter).map_err(failed)
    }

    /// How a node is, in a word, for its line in the log; nothing for another node.
    pub fn health_of(&self, node: &str) -> Option<String> {
        node.eq_ignore_ascii_case(&self.name()).then(|| self.node.health.word().into())
    }

    /// Does what another node orders, with a line before it and one after it here too. Blocks.
    pub(super) fn audited<T>(
        &self,
        deed: &Deed,
        order: impl FnOnce() -> Result<T, Refusal>,
        after: impl FnOnce(&T) -> Value,
    ) -> Result<T, Refusal> {
        let before = Value::from(self.node.health.word());
        let number = self.audit_begin(deed)?;
        let done = order();
        let outcome = match &done {
            Ok(done) => Outcome { done: true, before, after: after(done), ..Outcome::default() },
            Err(refusal) => Outcome { why: Some(refusal.to_string()), before, ..Outcome::default() },
        };
        self.audit_end(number, &outcome);
        done
    }
}
