//! What went wrong with whom, counted, and told at most once a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::trouble::Trouble;

/// Counters of troubles, and a memory of what was told.
#[derive(Default)]
pub struct Refusals {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    told: Mutex<BTreeMap<String, Told>>,
}

struct Told {
    at_ms: u64,
    kept_back: u64,
}

impl Refusals {
    /// Counts a trouble with `whom`. To be told: how many of its kind were kept back since it was told last; `None`: keep it back.
    pub fn count(&self, now_ms: u64, whom: &str, trouble: &Trouble) -> Option<u64> {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(trouble.word()).or_default() += 1;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = format!("{whom} {}", trouble.word());
        if told.len() >= TOLD_MAX && !told.contains_key(&key) {
            told.retain(|_, told| now_ms < told.at_ms + AGAIN_MS);
            if told.len() >= TOLD_MAX {
                key = format!("others {}", trouble.word());
            }
        }
        match told.get_mut(&key) {
            Some(told) if now_ms < told.at_ms + AGAIN_MS => {
                told.kept_back += 1;
                None
            }
            Some(told) => {
                let kept_back = told.kept_back;
                *told = Told { at_ms: now_ms, kept_back: 0 };
                Some(kept_back)
            }
            None => {
                told.insert(key, Told { at_ms: now_ms, kept_back: 0 });
                Some(0)
            }
        }
    }

    /// Troubles since the start, by word.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(word, count)| (*word, *count)).collect()
    }
}

const AGAIN_MS: u64 = 60_000;
/// Peers and strangers that are remembered one by one; all others share one line a minute.
const TOLD_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_told_once_a_minute_and_strangers_are_bounded() {
        let refusals = Refusals::default();
        let slow = Trouble::Slow;
        assert_eq!(refusals.count(0, "a", &slow), Some(0));
        assert_eq!(refusals.count(1, "a", &slow), None);
        assert_eq!(refusals.count(1, "a", &Trouble::NotTls), Some(0));
        assert_eq!(refusals.count(59_999, "a", &slow), None);
        assert_eq!(refusals.count(60_000, "a", &slow), Some(2));
        let told = (0..10_000).filter(|i| refusals.count(60_001, &format!("10.0.{i}"), &slow).is_some()).count();
        assert!(told <= TOLD_MAX, "{told}");
        assert_eq!(refusals.counts(), [("not-tls", 1), ("slow", 10_004)]);
    }
}
