//! The rows of `org.toml`.

use super::Default::{Absent, BySubmission, Is, Needed};
use super::Kind::{Bytes, Choice, Choices, Count, Duration, Flag, Text, Texts};
use super::{DAY, GB, HOUR, KB, SECOND, Section, Setting, row};

/// The sections of the organization document.
pub static ORG: &[Section] = &[
    Section {
        name: "",
        repeated: false,
        what: "The organization.",
        settings: &[row(
            "postmaster",
            Text,
            Absent("`postmaster@` the first accepted domain, or the node's name"),
            "Who gets mail for `<postmaster>` without a domain, and whose address notifications bear.",
        )],
    },
    Section {
        name: "accepted_domain",
        repeated: true,
        what: "A domain whose mail is ours: anybody who may send at all may send to it.",
        settings: ACCEPTED_DOMAIN,
    },
    Section {
        name: "receive_connector",
        repeated: true,
        what: "What a connection meets. Of the connectors on the socket, the one whose `remote` range around the peer is smallest counts; \
               a peer that is in no range hears 421 4.3.2.",
        settings: RECEIVE_CONNECTOR,
    },
    Section {
        name: "send_connector",
        repeated: true,
        what: "How mail for other domains leaves. The most specific address space counts, then the lowest cost, then the first name. Two \
               connectors never share the load of one address space, and none stands in for one whose next hop is down.",
        settings: SEND_CONNECTOR,
    },
    Section { name: "user", repeated: true, what: "Somebody who may authenticate.", settings: USER },
    Section {
        name: "retry",
        repeated: false,
        what: "When failed deliveries are tried again. A next hop that fails climbs from glitch to transient to the last rung; a success \
               brings it down again.",
        settings: RETRY,
    },
];

const ACCEPTED_DOMAIN: &[Setting] = &[
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

const RECEIVE_CONNECTOR: &[Setting] = &[
    row("name", Text, Needed, "Its name in logs and metrics."),
    row(
        "listen",
        Texts,
        Needed,
        "Addresses and ports; `0.0.0.0:25` and `[::]:25` stand for all addresses of a family.",
    ),
    row("nodes", Texts, Absent("every node"), "The nodes that it is for, by name. The others do not listen there."),
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
        Choice(&["off", "offer", "require", "implicit"]),
        Is("\"offer\""),
        "`offer` and `require` are STARTTLS; `implicit` is TLS from the first byte.",
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

const SEND_CONNECTOR: &[Setting] = &[
    row("name", Text, Needed, "Its name, part of the names of its queues."),
    row(
        "domains",
        Texts,
        Is("[\"*\"]"),
        "Address spaces: `example.org` (that domain alone), `*.example.org` (it and all below it), `*` (all).",
    ),
    row("cost", Count(1, 100), Is("1"), "The lowest counts where two connectors have the same address space."),
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
    row("hello", Text, Absent("the node's name"), "Our name in EHLO."),
    row("source", Text, Absent("the system decides"), "The address that connections are made from."),
];

const USER: &[Setting] = &[
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

const RETRY: &[Setting] = &[
    row("glitch_count", Count(0, 1_000), Is("4"), "Attempts after a connection failed, first rung."),
    row("glitch_interval", Duration(10, DAY), Is("\"1m\""), "Wait between them."),
    row("transient_count", Count(0, 1_000), Is("6"), "Attempts on the second rung."),
    row("transient_interval", Duration(10, DAY), Is("\"5m\""), "Wait between them."),
    row("interval", Duration(10, 7 * DAY), Is("\"10m\""), "Wait between attempts from then on, until mail expires."),
    row(
        "message_retry_interval",
        Duration(10, DAY),
        Is("\"5m\""),
        "Wait after a 4xx for one message while its next hop works.",
    ),
    row(
        "delay_notice_after",
        Duration(0, 30 * DAY),
        Is("\"4h\""),
        "Age at which the sender is told that mail is late, once. \"0\" never tells.",
    ),
    row("expire_after", Duration(SECOND, 365 * DAY), Is("\"2d\""), "Age at which we give up and tell the sender."),
    row(
        "poison_after",
        Count(1, 100),
        Is("2"),
        "Times that a message may take the process down before it is set aside.",
    ),
    row(
        "postmaster_copy",
        Texts,
        Is("[]"),
        "Failures with these enhanced status codes, for example \"5.4.6\", are copied to the postmaster.",
    ),
];
