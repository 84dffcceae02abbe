//! The rows of `[retry]`.

use crate::settings::Default::Is;
use crate::settings::Kind::{Count, Duration, Texts};
use crate::settings::{DAY, SECOND, Setting, row};

pub(super) const ROWS: &[Setting] = &[
    row("glitch_count", Count(0, 1_000), Is("4"), "Attempts after a connection failed, first rung."),
    row("glitch_interval", Duration(10, DAY), Is("\"1m\""), "Wait between them."),
    row("transient_count", Count(0, 1_000), Is("6"), "Attempts on the second rung."),
    row("transient_interval", Duration(10, DAY), Is("\"5m\""), "Wait between them."),
    row("interval", Duration(10, 7 * DAY), Is("\"10m\""), "Wait between attempts from then on, until mail expires."),
    row(
        "message_retry_interval",
        Duration(10, DAY),
        Is("\"5m\""),
        "Wait after a 4xx for one message while its next hop works.",
    ),
    row(
        "delay_notice_after",
        Duration(0, 30 * DAY),
        Is("\"4h\""),
        "Age at which the sender is told that mail is late, once. \"0\" never tells.",
    ),
    row("expire_after", Duration(SECOND, 365 * DAY), Is("\"2d\""), "Age at which we give up and tell the sender."),
    row(
        "poison_after",
        Count(1, 100),
        Is("2"),
        "Times that a message may take the process down before it is set aside.",
    ),
    row(
        "postmaster_copy",
        Texts,
        Is("[]"),
        "Failures with these enhanced status codes, for example \"5.4.6\", are copied to the postmaster.",
    ),
];
