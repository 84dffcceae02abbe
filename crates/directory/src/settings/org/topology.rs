//! The rows of `[[site]]`, `[[site_link]]` and `[[server]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Bytes, Count, Flag, Text, Texts};
use crate::settings::{GB, KB, Setting, row};

pub(super) const SITE: &[Setting] = &[
    row("name", Text, Needed, "Its name: up to 64 letters, digits, `-`, `_` and `.`, without regard to case."),
    row("hub_site", Flag, Is("false"), "Mail whose least-cost path leads through this site stops here on its way."),
];

pub(super) const SITE_LINK: &[Setting] = &[
    row("name", Text, Needed, "Its name in `explain` and in refusals."),
    row("sites", Texts, Needed, "The sites that it joins, two or more: each with each, at this cost."),
    row("cost", Count(1, 1_000_000), Is("1"), "What it costs to go over it. The path with the lowest sum counts."),
    row(
        "message_size_max",
        Bytes(KB, 2 * GB),
        Absent("no limit"),
        "Larger messages cannot go over it: they come back with 5.3.4. No other path is looked for.",
    ),
];

pub(super) const SERVER: &[Setting] = &[
    row("name", Text, Needed, "The name of the node, as its `posthouse.toml` says it."),
    row("site", Text, Absent("nowhere; in a document without sites, where all are"), "The site that it stands in."),
    row(
        "address",
        Text,
        Needed,
        "Where the other servers of the organization reach it, `host:port`: its receive connector with `tls = \"organization\"`, never a balancer.",
    ),
    row(
        "public_name",
        Text,
        Absent("its name"),
        "What the world calls it. Where its [[zone]] is ours, it has the `public_addresses` there; they point back to it in reverse zones of ours.",
    ),
    row(
        "public_addresses",
        Texts,
        Is("[]"),
        "Where the world reaches it. Names in DNS give these; without any, that of `address`.",
    ),
];
