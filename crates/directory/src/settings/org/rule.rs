//! The rows of `[[rule]]`.

use super::super::{GB, KB, Setting, row};
use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Bytes, Choice, Count, Flag, Text, Texts};

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "Its name, for the trace."),
    row(
        "from",
        Texts,
        Absent("every sender"),
        "Senders of the envelope: `bob@example.org`, `*@example.org`, `*@*.example.org` (it and all below it), `<>`, `*`.",
    ),
    row(
        "to",
        Texts,
        Absent("every recipient"),
        "Recipients of the envelope as they were written, or by their own address.",
    ),
    row(
        "header",
        Text,
        Absent("no header field is looked at"),
        "A header field, for example `Subject`: it must be there.",
    ),
    row("header_contains", Texts, Absent("any text"), "Texts of which one must stand in it. Case does not count."),
    row(
        "header_matches",
        Texts,
        Absent("any text"),
        "Patterns of which one must fit all of it; `*` is any text. Case does not count.",
    ),
    row(
        "size_over",
        Bytes(1, 2 * GB),
        Absent("any size"),
        "The message is larger. Rules with it stand behind those that tag: a header is on its way before the size is known.",
    ),
    row(
        "refuse",
        Text,
        Absent("one of `refuse`, `redirect`, `copy`, `tag_header` and `tag_subject` is needed"),
        "Refuse with 550 5.7.1 and this text.",
    ),
    row("redirect", Text, Absent("see `refuse`"), "This address gets it instead."),
    row("copy", Text, Absent("see `refuse`"), "This address gets it too."),
    row("tag_header", Text, Absent("see `refuse`"), "A header field to put on top, for example `X-Origin: outside`."),
    row(
        "tag_subject",
        Text,
        Absent("see `refuse`"),
        "A text to put in front of the subject, unless it stands there already.",
    ),
    row(
        "then",
        Choice(&["stop", "go_on"]),
        Is("\"stop\""),
        "`stop`: no later rule is looked at for the recipients that this one was about. `go_on`: the next one is.",
    ),
];

pub(super) const REMOTE_DOMAIN: &[Setting] = &[
    row(
        "domains",
        Texts,
        Needed,
        "`example.org`, `*.example.org` (it and all below it), or `*`; the most specific one counts.",
    ),
    row("auto_forward", Flag, Is("true"), "Mail may be forwarded there (`forward_to`). `false`: the mailbox keeps it."),
    row(
        "notifications",
        Flag,
        Is("true"),
        "Senders there hear of mail that could not be delivered, or is late. `false`: they never do.",
    ),
    row(
        "automatic_replies",
        Flag,
        Is("true"),
        "Answers of robots (`Auto-Submitted: auto-replied`, RFC 3834) may go there. `false`: 550 5.7.1.",
    ),
];

pub(super) const MESSAGE_LIMITS: &[Setting] = &[
    row(
        "message_size_max",
        Bytes(KB, 2 * GB),
        Absent("the connectors say"),
        "Size of a message; then 552 5.3.4. The strictest of this, the connector and the recipient counts. Peers with the permission \
         `servers` are exempt. A user whose own recipient has a `message_size_max` may go beyond this one, to recipients that have one too.",
    ),
    row(
        "recipients_max",
        Count(1, 100_000),
        Absent("the connectors say"),
        "Recipients of a message before groups are expanded; the rest hears 452 4.5.3. Counts for everybody.",
    ),
];
