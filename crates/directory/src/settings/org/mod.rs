//! The sections of `org.toml`; the rows of each are in a file of their own.

mod destination;
mod directory;
mod domain;
mod receive;
mod recipient;
mod retry;
mod rule;
mod send;
mod service;
mod topology;
mod user;
mod virtual_address;
mod zone;

use super::Default::Absent;
use super::Kind::Text;
use super::{Section, row};

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
        settings: domain::ROWS,
    },
    Section {
        name: "receive_connector",
        repeated: true,
        what: "What a connection meets. Of the connectors on the socket, the one whose `remote` range around the peer is smallest counts; \
               a peer that is in no range hears 421 4.3.2.",
        settings: receive::ROWS,
    },
    Section {
        name: "send_connector",
        repeated: true,
        what: "How mail for other domains leaves. The most specific address space counts, then the lowest cost (that of the address space and of the \
               path to the nearest of its servers), then the nearest one, then the first name. Two connectors never share the load of one address \
               space, and none stands in for one whose next hop is down.",
        settings: send::ROWS,
    },
    Section { name: "destination", repeated: true, what: destination::WHAT, settings: destination::ROWS },
    Section {
        name: "site",
        repeated: true,
        what: "A place that servers stand in. Without any, all servers stand in one.",
        settings: topology::SITE,
    },
    Section {
        name: "site_link",
        repeated: true,
        what: "A link between sites. Mail for another site takes the path with the lowest cost, of those the shortest, of those the one with the \
               lowest names from its end backwards. It goes straight to a server of that site; sites on the path are visited only if they are hub \
               sites, if the message forks there, or if nobody behind them answers.",
        settings: topology::SITE_LINK,
    },
    Section {
        name: "server",
        repeated: true,
        what: "A server (a node) that others hand mail to. A server that is not written here can send to the others, and gets nothing from them.",
        settings: topology::SERVER,
    },
    Section { name: "virtual_address", repeated: true, what: virtual_address::WHAT, settings: virtual_address::ROWS },
    Section {
        name: "zone",
        repeated: true,
        what: "A zone of DNS: its records follow from what is in this document and who is healthy now. It is answered here, written to a zone \
               file (`posthouse dns export`), or pushed to another server.",
        settings: zone::ZONE,
    },
    Section {
        name: "tsig_key",
        repeated: true,
        what: "A secret that we share with another name server: transfers, NOTIFY and updates are signed with it (RFC 8945).",
        settings: zone::KEY,
    },
    Section {
        name: "dns_name",
        repeated: true,
        what: "A name in DNS and all that stands at it. Addresses of servers, services and virtual addresses come and go with their health; if none \
               of them is healthy, all are given.",
        settings: zone::NAME,
    },
    Section {
        name: "mx_layout",
        repeated: true,
        what: "MX records made from servers: n hosts of equal preference, each with m addresses. Two draws of lots, the sender's among the hosts and \
               that among the addresses, spread mail evenly.",
        settings: zone::LAYOUT,
    },
    Section { name: "service", repeated: true, what: service::SERVICE_WHAT, settings: service::SERVICE },
    Section { name: "member", repeated: true, what: service::MEMBER_WHAT, settings: service::MEMBER },
    Section { name: "user", repeated: true, what: "Somebody who may authenticate.", settings: user::ROWS },
    Section {
        name: "directory",
        repeated: true,
        what: "An LDAP directory that knows recipients, and perhaps users. It is only read. What it told last is kept on disk: mail goes on while it is \
               away. Where two know the same address, the [[recipient]] of this document counts, then the first directory.",
        settings: directory::ROWS,
    },
    Section {
        name: "recipient",
        repeated: true,
        what: "A mailbox of an accepted domain: how its accepted domain delivers it, unless it is forwarded.",
        settings: recipient::RECIPIENT,
    },
    Section {
        name: "group",
        repeated: true,
        what: "Several recipients under one address. Each member gets a message once, however often groups inside groups name it. The return path stays the \
               sender's.",
        settings: recipient::GROUP,
    },
    Section {
        name: "contact",
        repeated: true,
        what: "Somebody outside, known here under an address of ours.",
        settings: recipient::CONTACT,
    },
    Section {
        name: "remote_domain",
        repeated: true,
        what: "What we allow towards domains that are not ours.",
        settings: rule::REMOTE_DOMAIN,
    },
    Section {
        name: "message_limits",
        repeated: false,
        what: "Limits of the organization.",
        settings: rule::MESSAGE_LIMITS,
    },
    Section {
        name: "rule",
        repeated: true,
        what: "What is done with mail that fits all that the rule says, before it is taken. Rules are asked in the order of the document, for each \
               recipient by itself; mail between our own servers passes none again.",
        settings: rule::ROWS,
    },
    Section {
        name: "retry",
        repeated: false,
        what: "When failed deliveries are tried again. A next hop that fails climbs from glitch to transient to the last rung; a success \
               brings it down again.",
        settings: retry::ROWS,
    },
];
