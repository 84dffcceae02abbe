//! The rows of `[[recipient]]`, `[[group]]` and `[[contact]]`.

use super::super::{GB, KB, Setting, row};
use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Bytes, Choice, Flag, Text, Texts};

const ALIASES: Setting = row("aliases", Texts, Is("[]"), "Its other addresses.");

const SENDERS: Setting = row(
    "senders",
    Choice(&["anybody", "trusted"]),
    Is("\"anybody\""),
    "`trusted`: only who has authenticated or comes from our own servers may write to it; others hear 550 5.7.1.",
);

const MESSAGE_SIZE_MAX: Setting = row(
    "message_size_max",
    Bytes(KB, 2 * GB),
    Absent("as `[message_limits]` and the connector say"),
    "Size of a message for it; then 552 5.3.4, or a notification if others get the message.",
);

pub(super) const RECIPIENT: &[Setting] = &[
    row("address", Text, Needed, "The address that it goes by, in an accepted domain."),
    ALIASES,
    row("forward_to", Text, Absent("nowhere"), "Another address that gets its mail, inside or outside."),
    row("keep_copy", Flag, Is("false"), "With `forward_to`: the mailbox gets the mail too."),
    SENDERS,
    MESSAGE_SIZE_MAX,
    row("attributes", Texts, Is("[]"), "What dynamic groups choose by: `[\"department=sales\", \"site=berlin\"]`."),
];

pub(super) const GROUP: &[Setting] = &[
    row("address", Text, Needed, "The address that it goes by, in an accepted domain."),
    ALIASES,
    row("members", Texts, Is("[]"), "Addresses of recipients, of other groups, or outside."),
    row(
        "having",
        Texts,
        Is("[]"),
        "Every recipient that has all of these attributes is a member too: `[\"department=sales\"]`. Case does not count.",
    ),
    SENDERS,
    MESSAGE_SIZE_MAX,
    row(
        "notifications",
        Choice(&["sender", "nobody"]),
        Is("\"sender\""),
        "Who hears of members that mail did not reach. A sender who asked to be told of success hears once that the group was expanded.",
    ),
];

pub(super) const CONTACT: &[Setting] = &[
    row("address", Text, Needed, "The address that it goes by here, in an accepted domain."),
    ALIASES,
    row("target", Text, Needed, "The address that gets its mail, usually outside."),
    SENDERS,
    MESSAGE_SIZE_MAX,
];
