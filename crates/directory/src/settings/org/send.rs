//! The rows of `[[send_connector]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Bytes, Choice, Count, Duration, Flag, Text, Texts};
use crate::settings::{GB, HOUR, KB, SECOND, Setting, row};

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "Its name, part of the names of its queues."),
    row(
        "domains",
        Texts,
        Is("[\"*\"]"),
        "Address spaces: `example.org` (that domain alone), `*.example.org` (it and all below it), `*` (all). `example.org;5` has a cost of its own, 1 to 100.",
    ),
    row(
        "cost",
        Count(1, 100),
        Is("1"),
        "Of address spaces without one. The lowest counts where two connectors have the same address space.",
    ),
    row(
        "servers",
        Texts,
        Absent("every server delivers what it has"),
        "The servers that deliver through it. The others hand such mail to the nearest of them; several in one site share it.",
    ),
    row("enabled", Flag, Is("true"), "Whether it is used at all. What waits for it is routed anew."),
    row("scoped", Flag, Is("false"), "Only servers in the sites of `servers` use it."),
    row("message_size_max", Bytes(KB, 2 * GB), Absent("no limit"), "Larger messages do not go through it."),
    row(
        "smart_hosts",
        Texts,
        Absent("one of `smart_hosts`, `mx` and `lmtp` is needed"),
        "Hosts to hand everything to, `host` or `host:port`: used in rotation, the next one at once if one fails.",
    ),
    row("mx", Flag, Is("false"), "Deliver to the MX hosts of the recipient's domain."),
    row("lmtp", Text, Absent("see `smart_hosts`"), "An LMTP server, `unix:/path` or `host:port`."),
    row("port", Count(1, 65_535), Is("25"), "Port of MX hosts, and of smart hosts that name none."),
    row(
        "tls",
        Choice(&["off", "opportunistic", "require", "verify"]),
        Is("\"opportunistic\""),
        "`opportunistic`: where offered, with any certificate, else in the clear. `require`: any certificate. `verify`: one that is valid for the host.",
    ),
    row("tls_ca_file", Text, Absent("the public authorities"), "Authorities that `verify` trusts instead, PEM."),
    row("username", Text, Absent("no AUTH"), "User name at the smart hosts. Sent under TLS only."),
    row(
        "password_file",
        Text,
        Absent("no AUTH"),
        "File whose first line is the password. Only its owner should be able to read it.",
    ),
    row(
        "connections_max",
        Count(1, 100_000),
        Is("20"),
        "Connections to one next hop: a set of smart hosts, an LMTP server, or a domain.",
    ),
    row(
        "messages_per_connection",
        Count(0, 1_000_000),
        Is("0"),
        "Messages over one connection before it is closed. 0 is no bound.",
    ),
    row(
        "idle_timeout",
        Duration(0, HOUR),
        Is("\"10s\""),
        "How long an unused connection is kept for the next message.",
    ),
    row("connect_timeout", Duration(SECOND, HOUR), Is("\"30s\""), "For the connection, per address."),
    row("greeting_timeout", Duration(SECOND, HOUR), Is("\"5m\""), "For the greeting."),
    row(
        "command_timeout",
        Duration(SECOND, HOUR),
        Is("\"5m\""),
        "For the answer to EHLO, STARTTLS, AUTH, MAIL and RCPT.",
    ),
    row("data_timeout", Duration(SECOND, HOUR), Is("\"2m\""), "For the answer to DATA."),
    row("data_block_timeout", Duration(SECOND, HOUR), Is("\"3m\""), "For progress while a body is sent."),
    row("data_end_timeout", Duration(SECOND, HOUR), Is("\"10m\""), "For the answer to the end of the message."),
    row(
        "routing_headers",
        Flag,
        Is("true"),
        "`false` removes `Received` and `Resent-*` fields from what leaves here: they tell how the inside looks, and nobody can see loops any more.",
    ),
    row("hello", Text, Absent("the node's name"), "Our name in EHLO."),
    row("source", Text, Absent("the system decides"), "The address that connections are made from."),
];
