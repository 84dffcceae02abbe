//! The rows of `[dns_server]`.

use super::Default::{Absent, Is, Needed};
use super::Kind::{Count, Duration, Texts};
use super::{MINUTE, SECOND, Section, row};

/// The section.
pub(super) const DNS_SERVER: Section = Section {
    name: "dns_server",
    repeated: false,
    what: "This node answers for the [[zone]]s of the organization that name it, or name no servers. Without this table it answers for none.",
    settings: &[
        row(
            "listen",
            Texts,
            Needed,
            "Addresses, with a port where it is not 53. They are specific ones, so that answers leave from where they were asked; the machine \
             need not have them yet.",
        ),
        row(
            "threads",
            Count(1, 64),
            Absent("one for each processor"),
            "Threads that answer over UDP, for each address.",
        ),
        row(
            "rate_limit",
            Count(0, 1_000_000),
            Is("200"),
            "The same answers a second over UDP to one neighbourhood (an IPv4 /24, an IPv6 /56), against floods under forged addresses. 0: no bound.",
        ),
        row(
            "rate_limit_slip",
            Count(0, 100),
            Is("2"),
            "Of the answers above it, one in so many says \"ask over TCP\", which real askers do; the others are dropped. 0: all are.",
        ),
        row(
            "rate_limit_exempt",
            Texts,
            Is("[\"127.0.0.0/8\", \"::1\"]"),
            "Ranges of addresses that are never limited, for example one's own resolvers.",
        ),
        row(
            "connections_max",
            Count(1, 100_000),
            Is("500"),
            "Connections at the same time; further ones are closed at once.",
        ),
        row("connections_per_source_max", Count(1, 100_000), Is("20"), "The same from one address."),
        row(
            "idle_timeout",
            Duration(SECOND, 10 * MINUTE),
            Is("\"10s\""),
            "A connection without a whole question for so long is closed, as is one that does not take an answer.",
        ),
    ],
};
