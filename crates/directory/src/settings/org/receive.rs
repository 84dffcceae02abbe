//! The rows of `[[receive_connector]]`.

use crate::settings::Default::{Absent, BySubmission, Is, Needed};
use crate::settings::Kind::{Bytes, Choice, Choices, Count, Duration, Flag, Text, Texts};
use crate::settings::{DAY, GB, KB, SECOND, Setting, row};

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "Its name in logs and metrics; it may hold spaces."),
    row(
        "usage",
        Choice(&["custom", "client", "internal", "internet", "partner"]),
        Absent("the defaults below"),
        "What it is for: other defaults to start from, see [Usages](#usages). What is written counts, whatever the usage.",
    ),
    row("enabled", Flag, Is("true"), "`false` keeps it in the document and takes no connections with it."),
    row(
        "listen",
        Texts,
        Needed,
        "Addresses and ports; `0.0.0.0:25` and `[::]:25` stand for all addresses of a family.",
    ),
    row(
        "servers",
        Texts,
        Absent("every server"),
        "The servers (nodes) that it is for, by name. The others do not listen there.",
    ),
    row(
        "remote",
        Texts,
        Is("[\"0.0.0.0/0\", \"::/0\"]"),
        "The peers that it is for: single addresses, ranges `a-b`, networks. Two connectors on one socket may nest their ranges but not cross them.",
    ),
    row(
        "protocol",
        Choice(&["smtp", "submission", "lmtp"]),
        Is("\"smtp\""),
        "`submission` adds missing Date and Message-ID fields and has stricter defaults; `lmtp` answers once per recipient.",
    ),
    row(
        "tls",
        Choice(&["off", "offer", "require", "implicit", "organization"]),
        Is("\"offer\""),
        "`offer` and `require` are STARTTLS; `implicit` is TLS from the first byte; `organization` too, with certificates of the organization (`[peers]` of the node document) at both ends: only its own servers get in, with `permissions = [\"servers\"]`.",
    ),
    row(
        "auth",
        Choices(&["plain", "login", "scram-sha-256"]),
        Absent("all of them where `users` may send, otherwise none"),
        "Mechanisms that users may log on with.",
    ),
    row(
        "auth_without_tls",
        Flag,
        Is("false"),
        "Offer AUTH before TLS as well: passwords may then be read on the wire.",
    ),
    row(
        "permissions",
        Choices(&["anonymous", "users", "relay", "partners", "servers"]),
        BySubmission("[\"anonymous\"]", "[\"users\"]"),
        "Who may send, and what: see [Permissions](#permissions).",
    ),
    row(
        "grant",
        Texts,
        Is("[]"),
        "Single permissions beside those of the groups, `GROUP:PERMISSION` or `USER:PERMISSION`, for example `[\"anonymous:any-recipient\"]`.",
    ),
    row(
        "deny",
        Texts,
        Is("[]"),
        "Single permissions that are taken, in the same form, for example `[\"anonymous:own-domain-sender\"]`. What is denied is denied, whoever grants it.",
    ),
    row(
        "externally_secured",
        Flag,
        Absent("`true` where `servers` may send and `remote` is narrow, otherwise `false`"),
        "Peers in `remote` count as `servers` by their address alone, because something else proves who they are (a network of its own, IPsec). \
         They are trusted in everything but header fields of the organization.",
    ),
    row(
        "own_domain_senders",
        Flag,
        Is("true"),
        "Peers that have not authenticated may use our accepted domains as sender. `false` is the usual hardening against forgeries.",
    ),
    row(
        "bare_newline",
        Choice(&["reject", "repair"]),
        BySubmission("\"reject\"", "\"repair\""),
        "A CR or LF alone in a body: refuse the message with 550 5.6.11, or make it CRLF.",
    ),
    row(
        "extensions_off",
        Choices(&["size", "size-value", "pipelining", "chunking", "8bitmime", "smtputf8", "dsn", "enhancedstatuscodes"]),
        Is("[]"),
        "Extensions that are not offered, for peers that choke on one. `size-value` offers SIZE without the number.",
    ),
    row(
        "require_hello_domain",
        Flag,
        Is("false"),
        "The name in EHLO or HELO must have a dot in it, or be an address literal; all others hear 501 5.5.4.",
    ),
    row(
        "refuse_domains",
        Choices(&["single-label", "reserved"]),
        Is("[]"),
        "Recipients in domains that are not ours and have no dot, or are reserved by RFC 2606 (`test`, `example.com` ...), hear 550 5.1.2.",
    ),
    row(
        "trusted_proxies",
        Texts,
        Is("[]"),
        "Peers that must send a PROXY header (v1 or v2). From all others one is an error.",
    ),
    row("trusted_xclient", Texts, Is("[]"), "Peers that may use XCLIENT."),
    row(
        "copies",
        Count(0, 2),
        Absent("1 on a node that has peers, otherwise 0"),
        "Synced copies on other nodes that a message must have before its 250.",
    ),
    row(
        "when_short",
        Choice(&["refuse", "accept"]),
        Is("\"refuse\""),
        "With fewer nodes than `copies` asks for: refuse with 451 4.4.0, or take the message without, count it and mark it in the trace.",
    ),
    row("hostname", Text, Absent("the node's name"), "Our name in the banner, in EHLO and in `Received`."),
    row("banner", Text, Absent("`<hostname> ESMTP Posthouse`"), "What stands behind `220 `."),
    row("message_size_max", Bytes(KB, 2 * GB), Is("\"36MB\""), "Size of a message, told with SIZE; then 552 5.3.4."),
    row("header_size_max", Bytes(KB, 16 * 1024 * KB), Is("\"256KB\""), "Size of a message's header; then 552 5.3.4."),
    row("recipients_max", Count(1, 100_000), Is("200"), "Recipients of a message; the rest hears 452 4.5.3."),
    row("connections_max", Count(1, 1_000_000), Is("5000"), "Connections to this connector; then 421 4.7.0."),
    row(
        "connections_per_source_max",
        Count(0, 1_000_000),
        Is("20"),
        "Connections of one peer address; then 421 4.7.0. 0 is no bound.",
    ),
    row(
        "connections_per_source_percent_max",
        Count(1, 100),
        Is("2"),
        "The same in per cent of the connections that are still free: it shrinks as the connector fills. The smaller of the two counts.",
    ),
    row(
        "message_rate_per_minute",
        Count(0, 10_000_000),
        BySubmission("0", "5"),
        "Messages a minute: of one user on a submission connector, of one address on others; then 451 4.7.1. 0 is no bound.",
    ),
    row("errors_max", Count(1, 1_000), Is("5"), "Protocol errors; then 421 4.7.0."),
    row("logon_failures_max", Count(0, 1_000), Is("3"), "Failed logons; then 421 4.7.0. 0 is no bound."),
    row(
        "tarpit_ms",
        Count(0, 240_000),
        Is("5000"),
        "Milliseconds that an error reply to a stranger is held back. 0 is not at all.",
    ),
    row(
        "auth_tarpit_ms",
        Count(0, 240_000),
        Absent("as `tarpit_ms`"),
        "The same for the reply to a failed logon.",
    ),
    row("idle_timeout", Duration(SECOND, DAY), Is("\"5m\""), "Silence of the peer; then 421 4.4.2."),
    row(
        "session_timeout",
        Duration(SECOND, 7 * DAY),
        Is("\"10m\""),
        "Length of a session, even while data flows; then 421 4.4.2. Not shorter than `idle_timeout`.",
    ),
    row(
        "hops_max",
        Count(1, 200),
        Is("30"),
        "`Received` fields of a message; more is a loop and refused with 554 5.4.6.",
    ),
];
