//! The rows of `[back_pressure]`. Defaults are those of behaviours 4.6 where the resource is the same.

use super::Default::{Absent, Is};
use super::Kind::{Count, Counts, Duration, Flag};
use super::{MINUTE, Setting, row};

pub(super) const WHAT: &str = "When mail is refused so that the node can go on delivering what it has. Each resource is normal, medium or high; its four \
     numbers are: `[normal again at, medium above, medium again at, high above]`. `posthouse status` shows where each stands and what \
     is refused; docs/operating/back-pressure.md says what each level does.";

pub(super) const ROWS: &[Setting] = &[
    row("enabled", Flag, Is("true"), "`false`: nothing is looked at, and only a disk without room refuses mail."),
    row("poll_interval", Duration(100, MINUTE), Is("\"2s\""), "Time between two looks at the resources."),
    row(
        "disk_percent",
        Counts(0, 100),
        Absent("from `keep_free` and `segment_size`"),
        "Used part of the file systems of the journal and of the data directory, in per cent. Computed: high below F bytes free, medium again \
         from 2 F, medium below 4 F, normal from 6 F, where F is `keep_free` and three segments, and at most a twentieth of the file system.",
    ),
    row(
        "journal_segments",
        Counts(0, 1_000_000),
        Is("[8, 4, 3, 1]"),
        "Segments that new mail may still begin; pressure is where there are fewer: high is none left. In proportion less on a file system that \
         has room for fewer than 32 segments.",
    ),
    row(
        "process_memory_percent",
        Counts(1, 100),
        Is("[71, 72, 73, 75]"),
        "Memory of the process, in per cent of the machine's memory or of its control group's bound.",
    ),
    row(
        "process_memory_history",
        Count(0, 100_000),
        Is("30"),
        "Looks for which medium memory is mended by giving up caches alone; then strangers are refused too.",
    ),
    row(
        "system_memory_percent",
        Counts(1, 100),
        Is("[84, 88, 89, 94]"),
        "Memory of the machine in use. Medium and high give up caches; nobody is refused for it.",
    ),
    row(
        "journal_lag_ms",
        Counts(0, 3_600_000),
        Is("[4000, 5000, 6000, 10000]"),
        "How long a write of the journal, or a copy that counts, keeps those waiting who wait for their 250, in milliseconds.",
    ),
    row(
        "journal_lag_history",
        Count(0, 100_000),
        Is("10"),
        "Looks for which a medium lag is mended by a tarpit alone; then strangers are refused.",
    ),
    row(
        "queue_length",
        Counts(1, 1_000_000_000),
        Is("[2000000, 9999000, 10000000, 15000000]"),
        "Messages in custody, whatever they wait for.",
    ),
    row(
        "queue_length_history",
        Count(0, 100_000),
        Is("300"),
        "Looks for which a medium queue is mended by a tarpit alone; then strangers are refused.",
    ),
    row("tarpit_first", Duration(0, 4 * MINUTE), Is("\"10s\""), "How long answers to MAIL are held back at first."),
    row("tarpit_step", Duration(0, 4 * MINUTE), Is("\"5s\""), "How much longer at each look."),
    row(
        "tarpit_max",
        Duration(0, 4 * MINUTE),
        Is("\"55s\""),
        "The longest; clients wait five minutes (RFC 5321 4.5.3.2).",
    ),
];
