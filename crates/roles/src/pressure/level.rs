//! Owns the level of one resource and its hysteresis: up above one threshold, down at or below a lower one. Knows no resource.
//! Always holds: a value between two thresholds changes nothing.

use directory::Thresholds;

/// How short of a resource the node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Not at all.
    #[default]
    Normal,
    /// So that something must be done.
    Medium,
    /// So that nothing can be taken any more.
    High,
}

impl Level {
    /// The word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            Level::Normal => "normal",
            Level::Medium => "medium",
            Level::High => "high",
        }
    }

    /// The level after a look that found `value`.
    pub fn after(self, value: u64, at: &Thresholds) -> Level {
        match self {
            Level::High if value > at.medium_again => Level::High,
            _ if value > at.high => Level::High,
            Level::High | Level::Medium if value > at.normal => Level::Medium,
            _ if value > at.medium => Level::Medium,
            _ => Level::Normal,
        }
    }
}

/// Thresholds for a resource of which there can be too little: `value` and thresholds are turned round, so that more is worse.
pub fn turned(value: u64) -> u64 {
    u64::MAX - value
}

#[cfg(test)]
mod tests {
    use super::Level::{High, Medium, Normal};
    use super::*;
    use proptest::prelude::*;

    fn walk(numbers: [u64; 4], values: &[u64]) -> Vec<Level> {
        let at = Thresholds::of(numbers);
        let mut level = Normal;
        values
            .iter()
            .map(|value| {
                level = level.after(*value, &at);
                level
            })
            .collect()
    }

    /// Each row of behaviours 4.6: just below and just above each threshold, up and down again.
    #[test]
    fn the_rows_of_the_book_of_behaviours() {
        let rows: [[u64; 4]; 7] = [
            [94, 96, 97, 99],
            [80, 89, 90, 99],
            [71, 72, 73, 75],
            [84, 88, 89, 94],
            [800, 999, 1000, 1500],
            [2000, 9999, 10_000, 15_000],
            [4000, 5000, 6000, 10_000],
        ];
        for row @ [normal, medium, medium_again, high] in rows {
            let values = [medium, medium + 1, high, high + 1, medium_again + 1, medium_again, normal + 1, normal];
            let expected = [Normal, Medium, Medium, High, High, Medium, Medium, Normal];
            assert_eq!(walk(row, &values), expected, "{row:?}");
            assert_eq!(walk(row, &[high + 1, normal]), [High, Normal], "{row:?}: all at once");
        }
    }

    #[test]
    fn too_few_is_too_much_turned_round() {
        let at = Thresholds::of([8, 4, 3, 1].map(turned));
        let mut level = Normal;
        let mut look = |few: u64| {
            level = level.after(turned(few), &at);
            level
        };
        let seen: Vec<Level> = [8, 4, 3, 7, 1, 0, 2, 3, 7, 8].into_iter().map(&mut look).collect();
        assert_eq!(seen, [Normal, Normal, Medium, Medium, Medium, High, High, Medium, Medium, Normal]);
    }

    proptest! {
        /// Inside one band between neighbouring thresholds a level changes at most once, whatever the values do there.
        #[test]
        fn nothing_flutters(
            mut numbers in prop::array::uniform4(0u64..1000),
            start in 0usize..3,
            band in 0usize..5,
            values in prop::collection::vec(any::<u64>(), 1..50),
        ) {
            numbers.sort_unstable();
            let at = Thresholds::of(numbers);
            let edges = [0, numbers[0] + 1, numbers[1] + 1, numbers[2] + 1, numbers[3] + 1, 2000];
            let (low, end) = (edges[band], edges[band + 1]);
            prop_assume!(low < end);
            let mut level = [Normal, Medium, High][start];
            let mut changes = 0;
            for value in values {
                let next = level.after(low + value % (end - low), &at);
                changes += u32::from(next != level);
                level = next;
            }
            prop_assert!(changes <= 1, "{changes} changes in {low}..{end} of {numbers:?}");
        }

        /// More is never better.
        #[test]
        fn levels_rise_with_the_value(mut numbers in prop::array::uniform4(0u64..1000), start in 0usize..3, a in 0u64..1100, b in 0u64..1100) {
            numbers.sort_unstable();
            let at = Thresholds::of(numbers);
            let level = [Normal, Medium, High][start];
            prop_assert!(level.after(a.min(b), &at) <= level.after(a.max(b), &at));
        }
    }
}
