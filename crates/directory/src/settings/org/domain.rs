//! The rows of `[[accepted_domain]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Flag, Text, Texts};
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
        Absent("every local part is taken"),
        "The local parts that exist; all others are refused with 550 5.1.1. `postmaster` always exists.",
    ),
    row(
        "recipients_file",
        Text,
        Absent("none"),
        "File with more local parts, one a line, `#` starts a comment. It is read with this document.",
    ),
    row("plus_addressing", Flag, Is("false"), "`bob+anything` is the mailbox `bob`."),
];
