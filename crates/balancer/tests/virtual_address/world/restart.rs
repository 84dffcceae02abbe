//! A new process takes the place of the one that runs.

use super::{Seen, World};
use balancer::address::{Inheritance, Machine};

/// How far a restart of a node is.
#[derive(Clone, Copy)]
pub enum Restart {
    None,
    /// The old process keeps what it has until then, and how long the new one will need.
    Keeps(u64, u64),
    /// Nobody runs until then; the guard's pipe and this are the new process's.
    Given(u64, Option<Inheritance>),
}

impl World {
    /// Whether a process of the node runs. Only the guard acts while what is given is on its way.
    pub fn restart_step(&mut self, node: usize) -> bool {
        let (now_ms, clock_ms) = (self.now_ms, self.clock(node));
        match self.nodes[node].restart {
            Restart::None => true,
            Restart::Keeps(until_ms, _) if now_ms < until_ms => true,
            Restart::Keeps(_, needs_ms) => {
                let one = &mut self.nodes[node];
                one.restart = Restart::Given(now_ms + needs_ms, one.machine.give());
                false
            }
            Restart::Given(until_ms, _) if now_ms < until_ms => false,
            Restart::Given(_, given) => {
                let rules = self.rules(node);
                let one = &mut self.nodes[node];
                one.machine = match given {
                    Some(given) => Machine::heir(rules, clock_ms, given),
                    None => Machine::new(rules),
                };
                if given.is_none() {
                    one.lease = None;
                }
                (one.restart, one.wants_lease, one.leaving) = (Restart::None, given.is_some(), false);
                (one.seen, one.told_would) = (Seen::default(), false);
                self.tells.retain(|(_, to, _, _)| *to != node);
                self.views.retain(|(_, to, _)| *to != node);
                true
            }
        }
    }
}

/// How long a process keeps what it has for the next one.
pub const KEEP_MS: u64 = 30_000;
