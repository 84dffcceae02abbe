//! The rows of `[[virtual_address]]`.

use crate::settings::Default::{Absent, Is, Needed};
use crate::settings::Kind::{Count, Duration, Flag, Text, Texts};
use crate::settings::{MINUTE, SECOND, Setting, row};

pub(super) const WHAT: &str = "An address, or several, that one of the nodes has at a time. The node that etcd gives the lease to adds them to its interface and announces them; \
     they move when it dies, is cut off, is drained, or is not ready. It needs [cluster]; docs/operating/virtual-address.md, and without etcd \
     docs/operating/virtual-address-with-keepalived.md.";

pub(super) const ROWS: &[Setting] = &[
    row("name", Text, Needed, "Its name, in `posthouse vip status` and in metrics."),
    row(
        "address",
        Texts,
        Needed,
        "Addresses with the length of their subnet's prefix: `192.0.2.10/24`, `2001:db8::10/64`. Several move together; those of one family are of one subnet.",
    ),
    row("interface", Text, Needed, "The interface that they are added to, the same name on each node."),
    row(
        "servers",
        Texts,
        Absent("every node, in order of names"),
        "The nodes that may have it, in order of preference.",
    ),
    row(
        "failback",
        Flag,
        Is("false"),
        "It goes back to a node that stands before its holder in `servers` once that has been ready for ten seconds. `false` spares the connections of a needless move.",
    ),
    row(
        "needs",
        Texts,
        Absent("`node`, and the services that listen on one of the addresses"),
        "What must be ready where it is: names of services, and `node` for the node itself (it would take mail now).",
    ),
    row(
        "lease",
        Duration(3 * SECOND, MINUTE),
        Is("\"5s\""),
        "How long etcd waits for a holder that is silent before another node may have it. The holder has dropped it by then. Shorter moves sooner after a power cut; \
         longer outlives a slower change of etcd's leader.",
    ),
    row(
        "announce_count",
        Count(1, 100),
        Is("5"),
        "Announcements to the neighbours after it was taken: gratuitous ARP, unsolicited neighbour advertisement.",
    ),
    row("announce_interval", Duration(100, MINUTE), Is("\"1s\""), "Between two of them."),
];
