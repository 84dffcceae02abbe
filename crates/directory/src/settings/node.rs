//! The rows of `posthouse.toml`.

use super::Default::{Absent, Is, Needed};
use super::Kind::{Bytes, Choice, Count, Duration, Flag, Text, Texts};
use super::back_pressure;
use super::{DAY, GB, HOUR, KB, MB, MINUTE, SECOND, Section, Setting, TB, row};

/// The sections of the node document.
pub static NODE: &[Section] = &[
    Section {
        name: "",
        repeated: false,
        what: "The node.",
        settings: &[
            row(
                "name",
                Text,
                Absent("the machine's host name"),
                "Host name of the node: in the banner, in EHLO, in `Received` and in notifications.",
            ),
            row(
                "data",
                Text,
                Is("\"posthouse-data\""),
                "Directory for everything that is kept. A relative path starts at the directory of this file.",
            ),
        ],
    },
    Section {
        name: "http",
        repeated: false,
        what: "API, page, metrics and health.",
        settings: &[row(
            "listen",
            Text,
            Is("\"127.0.0.1:8025\""),
            "Address and port. There is no password on it: keep it on loopback or behind something that has one.",
        )],
    },
    Section {
        name: "tls",
        repeated: false,
        what: "The certificate for STARTTLS and implicit TLS. Without this table a self-signed one is made in the data directory.",
        settings: &[
            row("certificate", Text, Needed, "File with the certificate chain, PEM. Read again when it changes."),
            row("key", Text, Needed, "File with the private key, PEM."),
        ],
    },
    Section {
        name: "peers",
        repeated: false,
        what: "Links to the other nodes of the organization. Without this table the node has none. `posthouse pki` makes the files.",
        settings: &[
            row("listen", Text, Is("\"0.0.0.0:2526\""), "Address and port for the links of other nodes."),
            row(
                "certificate",
                Text,
                Needed,
                "File with this node's certificate of the organization, PEM. Read again when it changes.",
            ),
            row("key", Text, Needed, "File with its private key, PEM."),
            row(
                "ca",
                Text,
                Needed,
                "File with the certificate of the organization's authority (several while one follows another), PEM.",
            ),
            row(
                "heartbeat",
                Duration(100, MINUTE),
                Is("\"1s\""),
                "Time between two heartbeats on a link. The same on all nodes.",
            ),
            row(
                "missed_heartbeats_max",
                Count(1, 100),
                Is("3"),
                "So many heartbeats in a row without a sign of life, and the link is given up and made anew.",
            ),
        ],
    },
    Section {
        name: "peer",
        repeated: true,
        what: "Another node of the organization, for links that need no etcd.",
        settings: &[
            row("name", Text, Needed, "Its name, as in its own `posthouse.toml` and in its certificate."),
            row("address", Text, Needed, "Where its links listen: host or address, with a port if it is not 2526."),
            row(
                "keeps_copy",
                Flag,
                Is("true"),
                "It keeps a copy of this node's journal, and mail that asks for copies waits for it before the 250.",
            ),
        ],
    },
    Section {
        name: "cluster",
        repeated: false,
        what: "The etcd (3.4 or later) that the nodes of the organization agree with: who is there, who owns which journal, which organization \
               document counts. It needs `[peers]`. Without this table the node is alone, or its journal is taken over only when a person says so.",
        settings: CLUSTER,
    },
    Section {
        name: "dns",
        repeated: false,
        what: "Name servers, which are asked for MX records and addresses of next hops.",
        settings: &[row(
            "servers",
            Texts,
            Absent("those of `/etc/resolv.conf`"),
            "Address and port of each, for example `[\"192.0.2.53:53\"]`.",
        )],
    },
    super::dns_server::DNS_SERVER,
    Section {
        name: "journal",
        repeated: false,
        what: "The journal that accepted mail is kept in.",
        settings: &[
            row(
                "segment_size",
                Bytes(MB, GB),
                Is("\"64MB\""),
                "Size of one segment file. Counts when the journal is made; a multiple of 4KB.",
            ),
            row(
                "keep_free",
                Bytes(0, TB),
                Is("\"64MB\""),
                "Free space that is left alone: below it new mail is refused with 452 4.3.1 until space is back.",
            ),
        ],
    },
    Section {
        name: "maildir",
        repeated: false,
        what: "The Maildirs of domains that are kept here, `DATA/mail/DOMAIN/MAILBOX`.",
        settings: &[row(
            "duplicate_window",
            Duration(0, 30 * DAY),
            Is("\"7d\""),
            "What was delivered is remembered so long, in a bounded number of letters: a message that comes again after a crash or a take-over is \
             not put into a mailbox twice, though it was read, moved or removed there. 0 remembers nothing.",
        )],
    },
    Section {
        name: "log",
        repeated: false,
        what: "The program's log, on standard error.",
        settings: &[
            row(
                "level",
                Choice(&["error", "warn", "info", "debug", "trace"]),
                Is("\"info\""),
                "Least important thing that is written.",
            ),
            row("format", Choice(&["text", "json"]), Is("\"text\""), "Lines for people, or one JSON object a line."),
        ],
    },
    Section {
        name: "limits",
        repeated: false,
        what: "Bounds of the whole node.",
        settings: &[
            row(
                "connections_max",
                Count(1, 1_000_000),
                Is("10000"),
                "Connections in, all connectors together; then 421 4.7.0.",
            ),
            row(
                "connection_rate_per_minute",
                Count(0, 10_000_000),
                Is("1200"),
                "New connections in a minute, all connectors together; then 421 4.7.0. 0 is no bound.",
            ),
            row(
                "outbound_connections_max",
                Count(1, 1_000_000),
                Is("1000"),
                "Connections out, all next hops together.",
            ),
            row(
                "user_message_rate_per_minute",
                Count(0, 10_000_000),
                Is("0"),
                "Messages of one user who has authenticated in a minute, all connectors together; then 451 4.7.1. 0 is no bound.",
            ),
            row(
                "user_recipients_per_hour",
                Count(0, 10_000_000),
                Is("0"),
                "Recipients that one user may name in an hour, all connectors together; then 451 4.7.1. 0 is no bound.",
            ),
            row(
                "body_memory",
                Bytes(256 * KB, TB),
                Is("\"16MB\""),
                "Memory for bodies of accepted mail that wait for delivery; beyond it they are read back from the journal.",
            ),
            row(
                "linger",
                Duration(0, DAY),
                Is("\"10m\""),
                "How long connections that a service relays may go on in the old process after `posthouse restart`; then they are closed.",
            ),
        ],
    },
    Section { name: "back_pressure", repeated: false, what: back_pressure::WHAT, settings: back_pressure::ROWS },
    Section {
        name: "trace",
        repeated: false,
        what: "The message trace, which `posthouse trace` searches.",
        settings: &[row(
            "keep_bytes",
            Bytes(MB, TB),
            Is("\"256MB\""),
            "Size of all trace files together; the oldest go first.",
        )],
    },
];

const CLUSTER: &[Setting] = &[
    row(
        "endpoints",
        Texts,
        Needed,
        "Client URLs of etcd's members, for example `[\"https://10.0.0.1:2379\", \"https://10.0.0.2:2379\"]`. The next one is asked when one fails.",
    ),
    row(
        "prefix",
        Text,
        Is("\"/posthouse\""),
        "What all keys start with. Different organizations on one etcd need different ones.",
    ),
    row(
        "ttl",
        Duration(2 * SECOND, HOUR),
        Is("\"5s\""),
        "How long a node may be silent until its journal is taken over. Whole seconds; etcd may make it a little longer.",
    ),
    row(
        "ca",
        Text,
        Absent("the public authorities"),
        "File with the authorities that etcd's certificates are from, PEM.",
    ),
    row(
        "certificate",
        Text,
        Absent("none is shown"),
        "File with the certificate that this node shows to etcd, PEM. With a user it must have no common name (CN).",
    ),
    row("key", Text, Absent("none"), "File with its private key, PEM."),
    row("user", Text, Absent("no logon"), "User of etcd's. Needs `https`, or etcd on loopback."),
    row(
        "password_file",
        Text,
        Absent("no logon"),
        "File whose first line is the password. Only its owner should be able to read it.",
    ),
    row(
        "address",
        Text,
        Absent("`[peers] listen`"),
        "Where the other nodes reach the links of this one, if that is not what it listens on: host or address, with a port if it is not 2526.",
    ),
    row("site", Text, Absent("none"), "Where this node stands, in a word of yours; see `spread`."),
    row(
        "rack",
        Text,
        Absent("none"),
        "What it shares with its neighbours there (rack, power, hypervisor), in a word of yours; see `spread`.",
    ),
    row(
        "spread",
        Choice(&["any", "rack", "site"]),
        Is("\"any\""),
        "Which nodes are asked first to keep copies of this node's journal: any, those of another rack, those of another site.",
    ),
];
