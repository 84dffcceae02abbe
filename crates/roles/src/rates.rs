//! Owns how fast counters grow: a few looks at each, a second apart. Knows no clock and not what is counted.
//! Always holds: a counter that went back (a new process, a member that left and came) has no rate until it was seen twice.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Counters of things that have a name `K`.
pub struct Rates<K, const N: usize> {
    of: HashMap<K, VecDeque<Look<N>>>,
}

#[derive(Clone, Copy)]
struct Look<const N: usize> {
    at_ms: u64,
    counts: [u64; N],
}

impl<K, const N: usize> Default for Rates<K, N> {
    fn default() -> Rates<K, N> {
        Rates { of: HashMap::new() }
    }
}

impl<K: Eq + Hash, const N: usize> Rates<K, N> {
    /// Notes what the counters are now. What is not among them any more is forgotten.
    pub fn look(&mut self, at_ms: u64, counters: impl IntoIterator<Item = (K, [u64; N])>) {
        let mut before = std::mem::take(&mut self.of);
        for (key, counts) in counters {
            let mut looks = before.remove(&key).unwrap_or_default();
            if looks.back().is_some_and(|last| last.counts.iter().zip(&counts).any(|(was, is)| is < was)) {
                looks.clear();
            }
            looks.push_back(Look { at_ms, counts });
            if looks.len() > LOOKS {
                looks.pop_front();
            }
            self.of.insert(key, looks);
        }
    }

    /// How much each grew in a second, over the last few looks.
    pub fn per_s(&self, key: &K) -> [f64; N] {
        let looks = self.of.get(key);
        let ends = looks.and_then(|looks| Some((looks.front()?, looks.back()?)));
        let Some((first, last)) = ends.filter(|(first, last)| last.at_ms > first.at_ms) else { return [0.0; N] };
        let seconds = (last.at_ms - first.at_ms) as f64 / 1000.0;
        std::array::from_fn(|at| (last.counts[at] - first.counts[at]) as f64 / seconds)
    }
}

/// Five seconds, at one look a second.
const LOOKS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut rates: Rates<&str, 2> = Rates::default();
        rates.look(0, [("a", [0, 0])]);
        assert_eq!(rates.per_s(&"a"), [0.0, 0.0], "one look is no rate");
        for second in 1..=10 {
            rates.look(second * 1000, [("a", [second * 10, 0]), ("b", [5, 5])]);
        }
        assert_eq!((rates.per_s(&"a"), rates.per_s(&"b"), rates.per_s(&"c")), ([10.0, 0.0], [0.0; 2], [0.0; 2]));
        rates.look(11_000, [("a", [3, 0])]);
        assert_eq!(rates.per_s(&"a"), [0.0; 2], "a counter that went back is a new one");
        rates.look(12_000, [("b", [6, 5])]);
        assert!(!rates.of.contains_key("a"));
    }
}
