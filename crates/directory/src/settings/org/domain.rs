//! The rows of `[[accepted_domain]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Choice, Flag, Text, Texts};
use crate::settings::{Setting, row};

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "`example.org`, or `*.example.org` for that domain and all below it."),
    row(
        "deliver",
        Text,
        Is("\"relay\""),
        "`maildir` (kept on this node), `lmtp:unix:/run/dovecot/lmtp`, `lmtp:127.0.0.1:24`, or `relay` (send connectors decide).",
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
