//! Owns whether a node is steadily fit to have an address. Knows no address and no lease. Always holds: it turns slower than what it looks
//! at, and slower still for what turns often.

/// Whether a node is fit to have an address just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is.
    Ready,
    /// It is not, and may be in a moment.
    NotReady(String),
    /// It cannot have it: there is nothing to wait for.
    Unable(String),
}

/// Hysteresis over [`Fit`].
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    open: bool,
    /// Since when it looks other than the gate stands.
    since_ms: Option<u64>,
    /// When it was shut lately.
    shut_ms: Vec<u64>,
}

impl Gate {
    /// Of a node that is fit already.
    pub fn opened() -> Gate {
        Gate { open: true, ..Gate::default() }
    }

    /// Takes a look in; says whether the node counts as fit.
    pub fn look(&mut self, now_ms: u64, fit: &Fit) -> bool {
        let ready = *fit == Fit::Ready;
        if ready == self.open {
            self.since_ms = None;
            return self.open;
        }
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let wait_ms = match fit {
            Fit::Ready => self.rise_ms(now_ms),
            Fit::NotReady(_) => FALL_MS,
            Fit::Unable(_) => 0,
        };
        if now_ms - since_ms >= wait_ms {
            self.open = ready;
            self.since_ms = None;
            if !ready {
                self.shut(now_ms);
            }
        }
        self.open
    }

    /// It failed at what it was let to do.
    pub fn shut(&mut self, now_ms: u64) {
        self.open = false;
        self.since_ms = None;
        self.shut_ms.retain(|at_ms| at_ms + MEMORY_MS > now_ms);
        self.shut_ms.push(now_ms);
    }

    /// How long it must look fit before it counts as fit: longer for one that was shut often.
    fn rise_ms(&self, now_ms: u64) -> u64 {
        let lately = self.shut_ms.iter().filter(|at_ms| **at_ms + MEMORY_MS > now_ms).count() as u32;
        match lately {
            0 => FIRST_RISE_MS,
            times => (RISE_MS << (times - 1).min(5)).min(RISE_MAX_MS),
        }
    }
}

/// A node that has just started and is ready need not prove more.
const FIRST_RISE_MS: u64 = 500;
const RISE_MS: u64 = 2_000;
const RISE_MAX_MS: u64 = 60_000;
/// Not ready for less than this is nobody's business.
const FALL_MS: u64 = 1_000;
/// How long it is remembered that it was shut.
const MEMORY_MS: u64 = 300_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_turns_slower_than_what_it_looks_at() {
        let (ready, not) = (Fit::Ready, Fit::NotReady(String::new()));
        let mut gate = Gate::default();
        let steps = [
            (0, &ready, false),
            (499, &ready, false),
            (500, &ready, true),
            (600, &not, true),
            (1_599, &not, true),
            // It recovers within the second: nothing happened.
            (1_600, &ready, true),
            (1_700, &not, true),
            (2_700, &not, false),
            (2_800, &ready, false),
            (4_799, &ready, false),
            (4_800, &ready, true),
        ];
        for (now_ms, fit, open) in steps {
            assert_eq!(gate.look(now_ms, fit), open, "at {now_ms}");
        }
        assert!(!gate.look(5_000, &Fit::Unable("the cable is out".into())), "at once");
        gate.look(5_001, &ready);
        assert!(!gate.look(9_000, &ready) && gate.look(9_001, &ready), "twice as long the second time");
    }

    #[test]
    fn what_turns_often_waits_a_minute_at_most() {
        let mut gate = Gate::default();
        (0..50).for_each(|at| gate.shut(at));
        gate.look(100, &Fit::Ready);
        assert!(!gate.look(60_099, &Fit::Ready) && gate.look(60_100, &Fit::Ready));
    }
}
