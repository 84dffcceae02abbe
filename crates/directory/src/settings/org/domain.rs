//! The rows of `[[accepted_domain]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Choice, Flag, Text, Texts};
use crate::settings::{Setting, row};

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "`example.org`, or `*.example.org` for that domain and all below it."),
    row(
        "type",
        Choice(&["authoritative", "internal_relay", "external_relay"]),
        Is("\"authoritative\""),
        "`authoritative`: all recipients are ours. `internal_relay`: those that we do not know are elsewhere, and send connectors lead there. `external_relay`: none is ours, all are elsewhere.",
    ),
    row(
        "deliver",
        Text,
        Is("\"relay\""),
        "`maildir` (kept on this node), `lmtp:unix:/run/dovecot/lmtp`, `lmtp:127.0.0.1:24`, or `relay` (send connectors decide).",
    ),
    row(
        "servers",
        Texts,
        Absent("every server delivers what it has"),
        "The servers that deliver it. The others hand its mail to the nearest of them.",
    ),
    row(
        "local_preference",
        Choice(&["prefer", "strict", "avoid"]),
        Is("\"prefer\""),
        "What one of `servers` does itself. `prefer`: deliver, and while its own store does not answer let another one of its site do it. `strict`: deliver, or wait for its own store. `avoid`: let another one of its site do it, if there is one.",
    ),
    row(
        "recipients",
        Texts,
        Absent("none"),
        "The local parts that exist, beside the addresses of the organization's recipients. `postmaster` always exists.",
    ),
    row(
        "recipients_file",
        Text,
        Absent("none"),
        "File with more local parts, one a line, `#` starts a comment. It is read with this document.",
    ),
    row(
        "unknown_recipients",
        Choice(&["refuse", "accept"]),
        Absent("`refuse` where `recipients` or `recipients_file` is written, otherwise `accept`"),
        "Whether an address that nobody has is refused with 550 5.1.1. Write `refuse` where a [[directory]] knows everybody.",
    ),
    row("plus_addressing", Flag, Is("false"), "`bob+anything` is the mailbox `bob`."),
];
