//! The rows of `[[destination]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Count, Duration, Text, Texts};
use crate::settings::{HOUR, SECOND, Setting, row};

pub(super) const WHAT: &str = "Bounds of what each node sends to a destination by MX: all domains that one of these matches share them. Large providers are built in (docs/limits.md \
     lists them); one with the name of a built-in takes its place.";

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "Its name, in `posthouse queue list` and in metrics."),
    row(
        "domains",
        Texts,
        Absent("none; with the name of a built-in one, what that has"),
        "Domains of recipients: `example.org`, `*.example.org`, `*`. The most specific one counts, and goes before `mx`.",
    ),
    row(
        "mx",
        Texts,
        Absent("none; with the name of a built-in one, what that has"),
        "MX hosts: `mx.example.net`, or `*.example.net` for that host and all below it. The first host of a domain that is in some destination counts.",
    ),
    row("connections_max", Count(1, 100_000), Is("20"), "Connections to all its hosts together."),
    row(
        "messages_per_connection",
        Count(0, 1_000_000),
        Is("0"),
        "Messages over one connection before it is closed. 0 is no bound but the send connector's.",
    ),
    row("message_rate_per_minute", Count(0, 10_000_000), Is("0"), "Messages in any minute. 0 is no bound."),
    row(
        "recipients_per_message",
        Count(0, 100_000),
        Is("0"),
        "Recipients in one transaction; the others go in the next one. 0 is no bound.",
    ),
    row(
        "cooldown",
        Duration(SECOND, 24 * HOUR),
        Is("\"5m\""),
        "After an answer that asks for less (421, or 4.7.x) half the connections are left for so long; then each message that goes through adds one.",
    ),
];
