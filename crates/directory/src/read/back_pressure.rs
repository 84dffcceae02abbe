//! Reads `[back_pressure]`.

use super::section::Section;
use crate::back_pressure::{BackPressure, Tarpit, Thresholds};

/// Reads the section. Thresholds in a wrong order are problems.
pub fn back_pressure(section: &Section<'_, '_>) -> BackPressure {
    let needed = |key, order| thresholds(section, key, order).unwrap_or(Thresholds::of([0; 4]));
    let read = BackPressure {
        enabled: section.flag("enabled"),
        poll_ms: section.duration_ms("poll_interval"),
        disk_percent: thresholds(section, "disk_percent", Order::Rising),
        journal_segments: needed("journal_segments", Order::Falling),
        process_memory_percent: needed("process_memory_percent", Order::Rising),
        process_memory_history: section.count("process_memory_history"),
        system_memory_percent: needed("system_memory_percent", Order::Rising),
        journal_lag_ms: needed("journal_lag_ms", Order::Rising),
        journal_lag_history: section.count("journal_lag_history"),
        queue_length: needed("queue_length", Order::Rising),
        queue_length_history: section.count("queue_length_history"),
        tarpit: Tarpit {
            first_ms: section.duration_ms("tarpit_first"),
            step_ms: section.duration_ms("tarpit_step"),
            max_ms: section.duration_ms("tarpit_max"),
        },
    };
    if !read.enabled {
        section.warning("enabled", "back pressure is off: nothing but a full disk refuses mail");
    }
    read
}

/// Which way pressure grows.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Rising,
    Falling,
}

/// Four numbers between which levels do not flutter.
fn thresholds(section: &Section<'_, '_>, key: &str, order: Order) -> Option<Thresholds> {
    let written = section.counts(key)?;
    let Ok(numbers) = <[u64; 4]>::try_from(written.value.as_slice()) else {
        let text = format!("{key} needs four numbers: [normal again at, medium above, medium again at, high above]");
        section.problem(key, text);
        return None;
    };
    let [normal, medium, medium_again, high] = match order {
        Order::Rising => numbers,
        Order::Falling => numbers.map(|number| u64::MAX - number),
    };
    let rises = normal < medium && medium <= medium_again && medium_again < high;
    if !rises {
        let (word, example) = match order {
            Order::Rising => ("rise", "[80, 89, 90, 99]"),
            Order::Falling => ("fall", "[8, 4, 3, 1]"),
        };
        section.problem(
            key,
            format!("the numbers of {key} must {word}, or the level would flutter; write them like {example}"),
        );
        return None;
    }
    Some(Thresholds::of(numbers))
}
