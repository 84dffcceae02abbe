//! The rows of `[[service]]` and `[[member]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Choice, Choices, Count, Counts, Duration, Flag, Text, Texts};
use crate::settings::{DAY, HOUR, MINUTE, SECOND, Setting, row};

pub(super) const SERVICE_WHAT: &str = "One name and address for clients, with several members behind it: the balancer (docs/operating/one-name-for-many-hubs.md). \
     Only for clients: our own servers reach each other by themselves, and are refused here.";

pub(super) const MEMBER_WHAT: &str = "A place that connections of a service are handed to.";

pub(super) const SERVICE: &[Setting] = &[
    row("name", Text, Needed, "Its name in logs, metrics and commands."),
    row(
        "hostname",
        Text,
        Absent("its name"),
        "The name that clients know. It stands in `421` answers, and the receive connectors of members should have it as `hostname`.",
    ),
    row("enabled", Flag, Is("true"), "`false` keeps it in the document and takes no connections with it."),
    row(
        "listen",
        Texts,
        Needed,
        "Addresses and ports. An address that the node does not have (a virtual address) is served from the moment it arrives.",
    ),
    row("servers", Texts, Absent("every server"), "The servers (nodes) that do it, by name."),
    row(
        "protocol",
        Choice(&[
            "smtp",
            "submission",
            "submissions",
            "imap",
            "imaps",
            "pop3",
            "pop3s",
            "http",
            "https",
            "ldap",
            "sip",
            "sips",
            "tcp",
        ]),
        Is("\"smtp\""),
        "What is spoken. Where the server speaks first (smtp, submission, imap, pop3) a member counts only once its greeting is there: the client hears of none that fails.",
    ),
    row(
        "algorithm",
        Choice(&["least_connections", "round_robin", "source_hash"]),
        Absent("`round_robin` for sip and sips, `least_connections` for all others"),
        "Who gets a connection, by weight: who has fewest; each in turn; or the same client the same member, on every balancer.",
    ),
    row(
        "affinity_prefix",
        Count(0, 32),
        Is("32"),
        "Bits of an IPv4 address that make a client: 24 takes a network of 256 as one.",
    ),
    row("affinity_prefix_ipv6", Count(0, 128), Is("64"), "The same for IPv6."),
    row(
        "affinity_timeout",
        Duration(0, DAY),
        Is("\"0s\""),
        "So long after its last connection a client comes back to its member, whoever joins or leaves meanwhile. 0 is not at all.",
    ),
    row(
        "affinity_clients_max",
        Count(16, 4_194_304),
        Is("65536"),
        "Clients that are remembered for that (16 bytes each); the longest unseen are forgotten first.",
    ),
    row(
        "pool_servers",
        Texts,
        Absent("none"),
        "Servers of the map ([[server]]) that are members, by name, each at the host of its `address`.",
    ),
    row("pool_site", Texts, Absent("none"), "All servers of these sites are members."),
    row(
        "pool_port",
        Count(1, 65_535),
        Absent("the port of the protocol"),
        "The port of members that `pool_servers` and `pool_site` give.",
    ),
    row(
        "proxy",
        Choice(&["none", "v1", "v2"]),
        Absent("`v2` to members that are our own servers, `none` to others"),
        "The PROXY header that tells members who the client is. Their receive connectors must have the balancers in `trusted_proxies`.",
    ),
    row(
        "remote",
        Texts,
        Is("[\"0.0.0.0/0\", \"::/0\"]"),
        "Clients that may connect: single addresses, ranges `a-b`, networks. Who may relay is said by the members' receive connectors.",
    ),
    row(
        "trusted_proxies",
        Texts,
        Is("[]"),
        "Clients that must send a PROXY header (v1 or v2): other balancers in front of this one. Of all others it is passed on as they send it.",
    ),
    row("connections_max", Count(1, 1_000_000), Is("10000"), "Connections through one balancer; then 421 4.3.2."),
    row(
        "connections_per_source_max",
        Count(0, 1_000_000),
        Is("0"),
        "Connections of one client address; then 421 4.7.0. 0 is no bound.",
    ),
    row(
        "idle_timeout",
        Duration(SECOND, 7 * DAY),
        Absent(
            "by protocol: smtp and submission 15m, imap 35m, pop3 12m, http 5m, https 45m, sip and sips 30m, ldap and tcp 1h",
        ),
        "Silence in both directions that ends a connection. It should be longer than what the members allow.",
    ),
    row("connect_timeout", Duration(50, MINUTE), Is("\"2s\""), "How long a member may take to accept a connection."),
    row(
        "greeting_timeout",
        Duration(50, 5 * MINUTE),
        Is("\"8s\""),
        "How long a member may take from there to its greeting, where the server speaks first.",
    ),
    row(
        "retries",
        Count(0, 10),
        Is("3"),
        "Further members that are tried for one connection before the client hears 421 4.3.2.",
    ),
    row(
        "retry_budget",
        Count(0, 100),
        Absent("50, and 100 for sip and sips, where a busy member is nothing unusual"),
        "Further tries in per cent of the connections of the last ten seconds, so that retries cannot drown a pool that is down. Ten are always free.",
    ),
    row(
        "slow_start",
        Duration(0, HOUR),
        Is("\"10s\""),
        "How long a member that comes back takes to get its full share. 0 is at once.",
    ),
    row(
        "ejection_failures",
        Count(0, 1_000),
        Is("5"),
        "Connections in a row that fail (refused, silent, bad greeting) and leave the member alone for a while. 0 is never.",
    ),
    row(
        "ejection_time",
        Duration(SECOND, HOUR),
        Is("\"10s\""),
        "For how long the first time; each further time is twice as long.",
    ),
    row("ejection_time_max", Duration(SECOND, DAY), Is("\"5m\""), "The longest."),
    row(
        "ejection_share_max",
        Count(0, 99),
        Is("50"),
        "Members that may be left alone at once, in per cent of those that are up: never all.",
    ),
    row(
        "probe",
        Choice(&["protocol", "tcp"]),
        Is("\"protocol\""),
        "How a member's health is asked for: the protocol is spoken, or a TCP connection is enough.",
    ),
    row("probe_interval", Duration(100, HOUR), Is("\"2s\""), "From one probe to the next one."),
    row("probe_timeout", Duration(100, 5 * MINUTE), Is("\"5s\""), "How long a probe may take."),
    row("probe_rise", Count(1, 100), Is("2"), "Good answers in a row that make a member up."),
    row("probe_fall", Count(1, 100), Is("2"), "Bad answers in a row that make it down."),
    row(
        "probe_starttls",
        Flag,
        Is("false"),
        "STARTTLS belongs to the probe: a member where it fails is down. Of a certificate `probe_expired` speaks.",
    ),
    row(
        "probe_expired",
        Choice(&["warn", "down"]),
        Is("\"warn\""),
        "What an expired certificate, seen by a probe under TLS, does to its member. `warn`: a line in the log; most clients of smtp do not mind, and members that share a certificate would all go at once. \
         `down`: the member counts as down; for services whose clients refuse such a certificate anyway.",
    ),
    row(
        "probe_certificate_days",
        Counts(1, 3_650),
        Is("[60, 30, 7]"),
        "So many days before the end of a member's certificate it is warned of in the log, once for each.",
    ),
    row(
        "probe_path",
        Text,
        Is("\"/\""),
        "Of http and https: the path, with its query if it has one, that the probe asks for (GET).",
    ),
    row(
        "probe_status",
        Text,
        Is("\"200-399\""),
        "Of http and https: the status that is a good answer to that, one (`204`) or from one to another (`200-299`).",
    ),
    row(
        "tls",
        Choice(&["pass", "terminate"]),
        Is("\"pass\""),
        "Of protocols with TLS from the first byte: it goes through to the members, or it ends here, with the node's certificate.",
    ),
    row(
        "sip_mode",
        Choice(&["redirect", "forward"]),
        Is("\"redirect\""),
        "Of sip and sips: callers are told where to go (302, members in the order in which to try them), or calls are offered to one member after the other here (docs/operating/voice.md).",
    ),
    row(
        "sip_transports",
        Choices(&["udp", "tcp"]),
        Is("[\"udp\", \"tcp\"]"),
        "Of sip: over what it listens, at each address of `listen`. TLS is a protocol of its own: `sips`.",
    ),
    row(
        "answer_timeout",
        Duration(SECOND, 10 * MINUTE),
        Is("\"3m\""),
        "Of sip and sips with `sip_mode = \"forward\"`: a member that rings for so long without an answer is called back, and the next one is asked. How long a member may say nothing at all is `greeting_timeout`.",
    ),
    row(
        "keepalive",
        Duration(0, DAY),
        Is("\"60s\""),
        "After so long a silence the kernel asks whether the other end is there. 0 is never.",
    ),
];

pub(super) const MEMBER: &[Setting] = &[
    row("name", Text, Needed, "Its name in logs, metrics and commands: one of its own in the whole document."),
    row("service", Text, Needed, "The service that it belongs to."),
    row(
        "address",
        Text,
        Absent("the host of its `server`"),
        "Where it listens, `host:port`. All addresses of a name are used, and looked up again every 30 seconds.",
    ),
    row(
        "server",
        Text,
        Absent("none; it may be one by its address"),
        "The server of the map ([[server]]) that it is. It takes the place of the one that `pool_servers` or `pool_site` give.",
    ),
    row(
        "port",
        Count(1, 65_535),
        Absent("the port of the protocol"),
        "The port at its server, where `address` is not written.",
    ),
    row("site", Text, Absent("that of its server"), "The site that it stands in."),
    row("weight", Count(1, 1_000), Is("1"), "Its share, against the weights of the other members."),
    row(
        "priority",
        Count(1, 100),
        Is("1"),
        "1 is asked first; members of a higher number only while those before them are down, full or drained.",
    ),
    row(
        "connections_max",
        Count(0, 1_000_000),
        Absent("0, and 100 for sip and sips"),
        "Connections that it may have through one balancer; of sip and sips: calls that are being set up. 0 is no bound.",
    ),
    row("proxy", Choice(&["none", "v1", "v2"]), Absent("as its service"), "The PROXY header that it gets."),
    row(
        "drain",
        Flag,
        Is("false"),
        "It gets no new connections; running ones end by themselves (`posthouse service drain`).",
    ),
    row(
        "sni",
        Texts,
        Is("[]"),
        "Names in the client's TLS greeting that it is for, `mail.example.org` or `*.example.org`. Empty: all that no other member has.",
    ),
];
