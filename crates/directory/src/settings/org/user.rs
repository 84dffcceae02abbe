//! The rows of `[[user]]`.

use crate::settings::Default::{Is, Needed};
use crate::settings::Kind::{Text, Texts};
use crate::settings::{Setting, row};

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "The name to log on with. A user whose name is an address may send as that address."),
    row(
        "password",
        Text,
        Needed,
        "A hash as `posthouse hash-password` prints it: argon2id (for `plain` and `login`) or SCRAM-SHA-256 keys (for all mechanisms).",
    ),
    row(
        "may_send_as",
        Texts,
        Is("[]"),
        "More senders that the user may use: `sales@example.org`, `*@example.org`, or `*` for all.",
    ),
];
