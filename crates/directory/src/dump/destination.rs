//! `[[destination]]` as it is written.

use super::{or_zero, plain, text, texts};
use crate::destination::Destination;
use crate::unit::duration_text;

pub(super) fn destination_value(of: &Destination, key: &str) -> Option<String> {
    match key {
        "name" => text(&of.name),
        "domains" => texts(&of.domains),
        "mx" => texts(&of.mx),
        "connections_max" => plain(of.connections_max),
        "messages_per_connection" => or_zero(of.messages_per_connection),
        "message_rate_per_minute" => or_zero(of.message_rate_per_minute),
        "recipients_per_message" => or_zero(of.recipients_per_message),
        "cooldown" => text(duration_text(of.cooldown_ms)),
        _ => None,
    }
}
