//! When a server's standing changes: rise and fall, hard words that count at once, and failures of the data path. No clock, no I/O.

use super::standing::Standing;
use super::verdict::{Verdict, reason};
use std::sync::Arc;

/// What was found so far, as far as it still counts.
#[derive(Clone, Debug)]
pub struct Tally {
    rise: u32,
    fall: u32,
    /// Good probes in a row while not up.
    ups: u32,
    /// Failures in a row while up.
    downs: u32,
    found: Standing,
    /// What the server's cluster says; counts above all that is found.
    told: Option<Standing>,
}

impl Tally {
    /// Nothing found. 0 counts as 1.
    pub fn new(rise: u32, fall: u32) -> Tally {
        Tally { rise: rise.max(1), fall: fall.max(1), ups: 0, downs: 0, found: Standing::Unknown, told: None }
    }

    /// How it stands.
    pub fn standing(&self) -> &Standing {
        self.told.as_ref().unwrap_or(&self.found)
    }

    /// The next probe should come soon: something is about to change.
    pub fn is_changing(&self) -> bool {
        self.found == Standing::Unknown || self.ups > 0 || self.downs > 0
    }

    /// A probe has ended. The first one decides alone.
    pub fn probed(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Ready => self.good(),
            Verdict::Failed(why) => self.bad(why),
            Verdict::NotReady(why) => self.settle(Standing::Down(why)),
            Verdict::Draining(why) => self.settle(Standing::Draining(why)),
        }
    }

    /// A client's connection failed there. Only one that is up can fall by it. Says whether the next probe should come soon.
    pub fn failure(&mut self) -> bool {
        if self.found != Standing::Up {
            return false;
        }
        self.bad(reason("connections of clients fail there"));
        true
    }

    /// A client's connection was greeted there: failures are in a row no more. Nobody rises by it.
    pub fn success(&mut self) {
        self.downs = 0;
    }

    /// What the server's cluster says of it; `None`: nothing that counts more than probes.
    pub fn told(&mut self, told: Option<Standing>) {
        self.told = told;
    }

    fn good(&mut self) {
        self.downs = 0;
        match self.found {
            Standing::Up => {}
            Standing::Unknown => self.settle(Standing::Up),
            Standing::Down(_) | Standing::Draining(_) => {
                self.ups += 1;
                if self.ups >= self.rise {
                    self.settle(Standing::Up);
                }
            }
        }
    }

    fn bad(&mut self, why: Arc<str>) {
        self.ups = 0;
        match self.found {
            Standing::Up => {
                self.downs += 1;
                if self.downs >= self.fall {
                    self.settle(Standing::Down(why));
                }
            }
            // The latest reason is the one that helps.
            _ => self.settle(Standing::Down(why)),
        }
    }

    fn settle(&mut self, standing: Standing) {
        (self.ups, self.downs, self.found) = (0, 0, standing);
    }
}

#[cfg(test)]
mod tests {
    use super::super::standing::Word;
    use super::*;
    use proptest::prelude::*;

    fn word(tally: &Tally) -> Word {
        tally.standing().word()
    }

    #[test]
    fn the_first_probe_decides_and_later_ones_count() {
        let mut tally = Tally::new(2, 3);
        assert!(tally.is_changing());
        tally.probed(Verdict::Ready);
        assert_eq!((word(&tally), tally.is_changing()), (Word::Up, false));
        tally.probed(Verdict::failed("a"));
        tally.probed(Verdict::failed("b"));
        assert_eq!((word(&tally), tally.is_changing()), (Word::Up, true));
        tally.probed(Verdict::Ready);
        tally.probed(Verdict::failed("c"));
        assert!(tally.failure() && tally.failure(), "the data path counts as probes do");
        assert_eq!(*tally.standing(), Standing::Down("connections of clients fail there".into()));
        assert!(!tally.failure(), "who is down is not made more so");
        tally.probed(Verdict::Ready);
        assert_eq!((word(&tally), tally.is_changing()), (Word::Down, true));
        tally.probed(Verdict::failed("d"));
        assert_eq!(*tally.standing(), Standing::Down("d".into()));
        tally.probed(Verdict::Ready);
        tally.probed(Verdict::Ready);
        assert_eq!(word(&tally), Word::Up);
    }

    #[test]
    fn a_nodes_own_word_counts_at_once_and_a_greeted_client_ends_a_row() {
        let mut tally = Tally::new(2, 2);
        tally.probed(Verdict::Ready);
        tally.probed(Verdict::Draining("draining".into()));
        assert_eq!(word(&tally), Word::Draining);
        tally.probed(Verdict::Ready);
        assert_eq!(word(&tally), Word::Draining);
        tally.probed(Verdict::Ready);
        assert_eq!(word(&tally), Word::Up);
        tally.failure();
        tally.success();
        tally.failure();
        assert_eq!(word(&tally), Word::Up);
        tally.told(Some(Standing::Draining("its cluster says so".into())));
        tally.probed(Verdict::Ready);
        assert_eq!(word(&tally), Word::Draining);
        tally.told(None);
        assert_eq!(word(&tally), Word::Up, "probes went on meanwhile");
        tally.probed(Verdict::NotReady("back-pressure".into()));
        assert_eq!(word(&tally), Word::Down);
    }

    proptest! {
        /// Against the definition: up to the newest `fall` bad ones in a row, or `rise` good ones, looked for in the whole history.
        #[test]
        fn rise_and_fall_are_runs_in_the_history(rise in 1u32..4, fall in 1u32..4, history in prop::collection::vec(any::<bool>(), 1..40)) {
            let mut tally = Tally::new(rise, fall);
            for end in 1..=history.len() {
                tally.probed(if history[end - 1] { Verdict::Ready } else { Verdict::failed("x") });
                prop_assert_eq!(word(&tally) == Word::Up, is_up(&history[..end], rise as usize, fall as usize));
            }
        }
    }

    /// The last run that was long enough to decide does; the very first result is long enough.
    fn is_up(history: &[bool], rise: usize, fall: usize) -> bool {
        for end in (1..=history.len()).rev() {
            let last = history[end - 1];
            let run = history[..end].iter().rev().take_while(|good| **good == last).count();
            if run >= if last { rise } else { fall } || end == 1 {
                return last;
            }
        }
        false
    }
}
