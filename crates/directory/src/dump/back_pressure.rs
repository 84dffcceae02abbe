//! `[back_pressure]` as it is written.

use super::{plain, text};
use crate::back_pressure::{BackPressure, Thresholds};
use crate::unit::duration_text;

pub(super) fn back_pressure_value(of: &BackPressure, key: &str) -> Option<String> {
    match key {
        "enabled" => plain(of.enabled),
        "poll_interval" => text(duration_text(of.poll_ms)),
        "disk_percent" => numbers(of.disk_percent?),
        "journal_segments" => numbers(of.journal_segments),
        "process_memory_percent" => numbers(of.process_memory_percent),
        "process_memory_history" => plain(of.process_memory_history),
        "system_memory_percent" => numbers(of.system_memory_percent),
        "journal_lag_ms" => numbers(of.journal_lag_ms),
        "journal_lag_history" => plain(of.journal_lag_history),
        "queue_length" => numbers(of.queue_length),
        "queue_length_history" => plain(of.queue_length_history),
        "tarpit_first" => text(duration_text(of.tarpit.first_ms)),
        "tarpit_step" => text(duration_text(of.tarpit.step_ms)),
        "tarpit_max" => text(duration_text(of.tarpit.max_ms)),
        _ => None,
    }
}

fn numbers(thresholds: Thresholds) -> Option<String> {
    let numbers = thresholds.numbers().map(|number| number.to_string());
    Some(format!("[{}]", numbers.join(", ")))
}
