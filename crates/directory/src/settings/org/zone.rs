//! The rows of `[[zone]]`, `[[tsig_key]]`, `[[dns_name]]` and `[[mx_layout]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Choice, Count, Duration, Flag, Text, Texts};
use crate::settings::{DAY, SECOND, Setting, row};

pub(super) const ZONE: &[Setting] = &[
    row("name", Text, Needed, "Its name, for example `example.org` or `2.0.192.in-addr.arpa`."),
    row(
        "servers",
        Texts,
        Absent("every node"),
        "The nodes that answer for it. `[]`: none of them; it is only exported, or pushed to another server.",
    ),
    row(
        "name_servers",
        Texts,
        Needed,
        "The names of its NS records: all servers that the parent zone delegates it to.",
    ),
    row("contact", Text, Absent("the postmaster of the organization"), "Who answers for it: an address, in its SOA."),
    row("ttl", Duration(SECOND, 7 * DAY), Is("\"5m\""), "How long others may keep what has no `ttl` of its own."),
    row("negative_ttl", Duration(SECOND, DAY), Is("\"5m\""), "How long they may believe that something is not there."),
    row(
        "refresh",
        Duration(SECOND, 30 * DAY),
        Is("\"1h\""),
        "How often its secondaries look for changes, besides NOTIFY.",
    ),
    row("retry", Duration(SECOND, 7 * DAY), Is("\"10m\""), "How long they wait after a look that failed."),
    row("expire", Duration(SECOND, 365 * DAY), Is("\"14d\""), "How long they go on answering while nobody here does."),
    row(
        "secondaries",
        Texts,
        Is("[]"),
        "Addresses of servers that copy it, with a port where it is not 53. They may transfer it, and are told of changes.",
    ),
    row("notify", Flag, Is("true"), "Whether the secondaries are told of changes (NOTIFY)."),
    row("transfer_allowed", Texts, Is("[]"), "Ranges of addresses that may transfer it besides the secondaries."),
    row(
        "tsig_keys",
        Texts,
        Is("[]"),
        "With any, a transfer must be signed with one of these [[tsig_key]]s. The first signs what we send to the secondaries.",
    ),
    row(
        "push",
        Text,
        Absent("nowhere"),
        "The primary name server of others, `host` or `host:port`, that it is written to by UPDATE (RFC 2136). Records that are not ours stay there.",
    ),
    row("push_key", Text, Absent("not signed"), "The [[tsig_key]] that signs the updates."),
    row(
        "push_on_change",
        Flag,
        Is("true"),
        "Push by itself when health or the document changes; else only `posthouse dns push` does.",
    ),
];

pub(super) const KEY: &[Setting] = &[
    row("name", Text, Needed, "Its name, the same at both ends."),
    row(
        "algorithm",
        Choice(&["hmac-sha256", "hmac-sha384", "hmac-sha512"]),
        Is("\"hmac-sha256\""),
        "The same at both ends.",
    ),
    row(
        "secret_file",
        Text,
        Needed,
        "File with the secret in base64 in its first line, or as `tsig-keygen` writes it. Only its owner should be able to read it.",
    ),
];

pub(super) const NAME: &[Setting] = &[
    row(
        "name",
        Text,
        Needed,
        "The whole name, for example `smtp.example.org`. It stands in the longest [[zone]] that ends it.",
    ),
    row("ttl", Duration(SECOND, 7 * DAY), Absent("that of the zone"), "How long others may keep what stands here."),
    row(
        "servers",
        Texts,
        Is("[]"),
        "It has the addresses of these [[server]]s that are ready; of all of them if none is.",
    ),
    row("services", Texts, Is("[]"), "It has the addresses that these [[service]]s listen on, by their health."),
    row("virtual_addresses", Texts, Is("[]"), "It has these [[virtual_address]]es."),
    row("addresses", Texts, Is("[]"), "It has these addresses, IPv4 and IPv6, whatever happens."),
    row("cname", Text, Absent("none"), "It is another name for this one. Nothing else may stand here then."),
    row("mx", Texts, Is("[]"), "MX records: `10 mx1.example.org`; `0 .` alone: this name takes no mail."),
    row(
        "txt",
        Texts,
        Is("[]"),
        "TXT records as they are (SPF, DKIM, DMARC, MTA-STS, ...). Long ones are cut as DNS wants it.",
    ),
    row("srv", Texts, Is("[]"), "SRV records: `0 1 587 smtp.example.org` (priority, weight, port, host)."),
    row("tlsa", Texts, Is("[]"), "TLSA records: `3 1 1 0d6fce13...`, at `_25._tcp.` and a host's name."),
    row("caa", Texts, Is("[]"), "CAA records: `0 issue \"letsencrypt.org\"`."),
    row("ns", Texts, Is("[]"), "NS records: this name is a zone that is delegated to these servers."),
    row(
        "ptr_to",
        Texts,
        Is("[]"),
        "PTR records, in a reverse zone. Those of `ptr` and [[server]] are made by themselves.",
    ),
    row(
        "srv_for",
        Texts,
        Is("[]"),
        "Domains whose users' programs find the `services` of this name by SRV (`_submission._tcp`, `_imaps._tcp`, `_sip._udp`, `_sips._tcp`, ...).",
    ),
    row(
        "ptr",
        Flag,
        Is("true"),
        "Its `addresses` and `virtual_addresses` point back to it where their reverse zone is ours.",
    ),
];

pub(super) const LAYOUT: &[Setting] = &[
    row("name", Text, Needed, "Its name in reasons and verbs."),
    row("domains", Texts, Needed, "The domains whose mail goes there: each gets these MX records."),
    row("sites", Texts, Is("[]"), "The [[site]]s whose servers take it."),
    row("servers", Texts, Is("[]"), "The [[server]]s that take it. Without both, all that have `public_addresses`."),
    row("hosts", Count(1, 50), Absent("as many as the servers fill"), "MX records, all of the same preference."),
    row(
        "addresses",
        Count(1, 20),
        Is("1"),
        "Servers behind each of them, from different sites where possible. Some senders only ever try the first MX: these still spread.",
    ),
    row(
        "host_name",
        Text,
        Absent("`mx#.` and the first domain"),
        "What the hosts are called, with `#` for their number.",
    ),
    row("preference", Count(0, 65_535), Is("10"), "Of all of them. Another layout with a higher one is back-up only."),
    row("ttl", Duration(SECOND, 7 * DAY), Absent("that of the zone"), "How long others may keep them."),
];
