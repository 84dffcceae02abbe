//! A member as it is shown.

use super::{Health, Pool};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One member now. Totals count since this process knows the member.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its name in the document.
    pub name: Arc<str>,
    /// Where.
    pub address: SocketAddr,
    /// How it is.
    pub health: Health,
    /// It gets no new connections, by the document.
    pub is_drained: bool,
    /// It is left alone for so long because connections failed; 0 is not.
    pub ejected_for_ms: u64,
    /// Its share against the others.
    pub weight: u32,
    /// 1 is asked first.
    pub priority: u32,
    /// Connections now.
    pub active: u32,
    /// Connections so far, those that it refused included.
    pub connections: u64,
    /// Connections that it greeted.
    pub greeted: u64,
    /// Connections that it refused; the client met another member instead, or 421.
    pub refused: u64,
    /// Of these, connections that another member served: clients noticed nothing.
    pub retries_hidden: u64,
    /// Bytes from clients.
    pub up_bytes: u64,
    /// Bytes to clients.
    pub down_bytes: u64,
    /// Of these, in the middle of a mail transaction.
    pub in_transaction: u32,
    /// Why it is not up; empty if it is.
    pub reason: String,
    /// Time to its greeting lately, the middle one, in microseconds.
    pub greeting_median_us: u64,
    /// The same, of which one in a hundred is later.
    pub greeting_p99_us: u64,
}

impl Pool {
    /// Its members now, in order of the document.
    pub fn shown(&self, now_ms: u64) -> Vec<Shown> {
        let shown = |member: &Arc<super::Member>| {
            let totals = member.live.totals();
            Shown {
                name: Arc::clone(&member.name),
                address: member.address,
                health: member.health(),
                is_drained: member.is_drained(),
                ejected_for_ms: member.live.ejection.left_ms(now_ms),
                weight: member.weight,
                priority: member.priority,
                active: member.active(),
                connections: totals.connections.load(Ordering::Relaxed),
                greeted: totals.greeted.load(Ordering::Relaxed),
                refused: totals.refused.load(Ordering::Relaxed),
                retries_hidden: totals.hidden.load(Ordering::Relaxed),
                up_bytes: totals.up_bytes.load(Ordering::Relaxed),
                down_bytes: totals.down_bytes.load(Ordering::Relaxed),
                in_transaction: member.live.in_transaction(),
                reason: member.reason(),
                greeting_median_us: totals.greetings.within_us(0.5),
                greeting_p99_us: totals.greetings.within_us(0.99),
            }
        };
        self.members().iter().map(shown).collect()
    }
}
