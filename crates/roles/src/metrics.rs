//! Owns the page for Prometheus: what was counted where it happened, and what is looked at now.
//! Knows what the figures mean. Always holds: labels that mail can grow (next hops) are bounded; all others are fixed words.

use balancer::pool::{Health, Shown};
use spool::QueueView;
use transport::deliver::DestinationFigures;

use crate::cluster::{InCluster, JOURNAL_STATES, state_of};
use crate::copies::NodeCopies;
use crate::exposition::{Exposition, Kind};
use crate::node::Node;
use crate::org::Heard;
use crate::peers::Peers;
use crate::tally::AllCounted;
use crate::view;

/// The whole page.
pub fn page(node: &Node) -> String {
    if let Some(services) = &node.services {
        services.publish();
    }
    let mut page = Exposition::after(node.counted.page());
    health(&mut page, node);
    node.pressure.metrics(&mut page);
    mail(&mut page, node);
    directories(&mut page, &node.directories.shown());
    let views: Vec<QueueView> = node.spools().queues().into_iter().map(|(view, _)| view).collect();
    queues(&mut page, &views);
    services(&mut page, &node.counted_services());
    destinations(&mut page, node);
    journal(&mut page, &node.spool.journal_stats());
    if let Some(links) = &node.peers {
        peers(&mut page, links);
    }
    if let Some(place) = &node.cluster {
        org(&mut page, node);
        cluster(&mut page, node, place);
    }
    if let Some(of_node) = &node.copies {
        copies(&mut page, of_node);
    }
    page.into_text()
}

fn health(page: &mut Exposition, node: &Node) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.family("posthouse_info", Kind::Gauge, "The program.").sample(&version, 1);
    let ready = u8::from(node.health.ready().is_ok());
    page.one("posthouse_ready", Kind::Gauge, "1 if mail can be taken into custody now.", ready);
    page.one("posthouse_uptime_seconds", Kind::Gauge, "Since the start.", node.uptime_ms() / 1000);
    if let Ok(free) = node.world.disk.free_bytes(node.data.root()) {
        page.one("posthouse_disk_free_bytes", Kind::Gauge, "Free space of the data directory's file system.", free);
    }
}

/// Names of directories are the document's: mail cannot grow them.
fn directories(page: &mut Exposition, all: &[view::Directory]) {
    if all.is_empty() {
        return;
    }
    let mut family =
        page.family("posthouse_directory_recipients", Kind::Gauge, "Recipients whom an LDAP directory told.");
    all.iter().for_each(|one| family.sample(&[("directory", &one.name)], one.recipients));
    let what = "1 for the state that an LDAP directory is in: ok, down, held, never-read.";
    let mut family = page.family("posthouse_directory_state", Kind::Gauge, what);
    all.iter().for_each(|one| family.sample(&[("directory", &one.name), ("state", &one.state)], 1));
}

/// What of members is looked at and not counted. Names of services and members are the document's: clients cannot grow them.
fn services(page: &mut Exposition, all: &AllCounted) {
    let mut members: Vec<(&str, &Shown)> = Vec::new();
    for (service, counted) in all {
        members.extend(counted.members.iter().map(|member| (service.as_str(), member)));
    }
    members.sort_by_key(|(service, member)| (*service, member.name.clone()));
    if members.is_empty() {
        return;
    }
    let mut gauge = |name: &str, what: &str, value: fn(&Shown) -> u64| {
        let mut family = page.family(name, Kind::Gauge, what);
        // A member at several addresses is one.
        for same in members.chunk_by(|(a, of_a), (b, of_b)| a == b && of_a.name == of_b.name) {
            let Some((service, first)) = same.first() else { continue };
            let sum: u64 = same.iter().map(|(_, member)| value(member)).sum();
            family.sample(&[("service", service), ("member", &first.name)], sum);
        }
    };
    gauge("posthouse_member_connections", "Connections that a member of a service has.", |of| of.active.into());
    gauge("posthouse_member_in_transaction", "Of these, in the middle of a mail.", |of| of.in_transaction.into());
    gauge("posthouse_member_drained", "1 if the document keeps new connections away.", |of| of.is_drained.into());
    gauge("posthouse_member_ejected", "1 while it is left alone because connections failed.", |of| {
        u64::from(of.ejected_for_ms > 0)
    });
    gauge("posthouse_member_up", "1 if the probes find it well.", |of| u64::from(of.health == Health::Up));
    gauge("posthouse_member_draining", "1 if it says that it drains.", |of| u64::from(of.health == Health::Draining));
}

fn mail(page: &mut Exposition, node: &Node) {
    let mut events = page.family("posthouse_events_total", Kind::Counter, "Events of messages, as in the trace.");
    for (kind, count) in node.trace.counts() {
        events.sample(&[("event", &kind.word().to_ascii_lowercase())], count);
    }
    page.one("posthouse_trace_dropped_total", Kind::Counter, "Trace lines that were not kept.", node.trace.dropped());
    let totals = node.spool.totals();
    page.one(
        "posthouse_spool_under_way_messages",
        Kind::Gauge,
        "Messages that a next hop may have: after a crash just now, the possible duplicates.",
        totals.under_way,
    );
    page.one(
        "posthouse_unnoted_messages_total",
        Kind::Counter,
        "Messages sent although a full journal could not note that they are under way.",
        totals.unnoted,
    );
    let spool = view::Spool::from(totals);
    page.one(
        "posthouse_accepted_total",
        Kind::Counter,
        "Messages taken into custody, notifications included.",
        spool.accepted,
    );
    page.one("posthouse_finished_total", Kind::Counter, "Messages whose last recipient was settled.", spool.finished);
    page.one("posthouse_dsns_total", Kind::Counter, "Notifications made.", spool.dsns);
    page.one("posthouse_spool_messages", Kind::Gauge, "Messages in custody.", spool.messages);
    page.one("posthouse_spool_bytes", Kind::Gauge, "Their content.", spool.bytes);
    page.one("posthouse_spool_memory_bytes", Kind::Gauge, "Bodies kept in memory.", spool.body_memory_bytes);
    page.one("posthouse_spool_poison_messages", Kind::Gauge, "Messages set aside.", spool.poison);
}

/// The largest queues by name, all others together: mail for a million domains must not become a million series.
fn queues(page: &mut Exposition, queues: &[QueueView]) {
    let mut by_size: Vec<&QueueView> = queues.iter().collect();
    by_size.sort_by_key(|queue| std::cmp::Reverse(queue.messages));
    let (named, others) = by_size.split_at(by_size.len().min(HOPS_MAX));
    type Count = (&'static str, fn(&QueueView) -> u64);
    let counts: [Count; 4] = [
        ("ready", |queue| queue.ready),
        ("active", |queue| queue.in_hand),
        ("deferred", |queue| queue.deferred),
        ("suspended", |queue| queue.suspended),
    ];
    let mut messages = page.family("posthouse_queue_messages", Kind::Gauge, "Messages by next hop and state.");
    for queue in named {
        let hop = queue.key.to_string();
        for (state, count) in counts {
            messages.sample(&[("hop", &hop), ("state", state)], count(queue));
        }
    }
    for (state, count) in counts {
        messages.sample(&[("hop", "other"), ("state", state)], others.iter().map(|queue| count(queue)).sum::<u64>());
    }
    let mut failures =
        page.family("posthouse_queue_failures", Kind::Gauge, "Failures in a row of a next hop, where there are any.");
    for queue in named.iter().filter(|queue| queue.failures > 0) {
        failures.sample(&[("hop", &queue.key.to_string())], queue.failures);
    }
    page.one("posthouse_queues", Kind::Gauge, "Next hops that have a queue.", queues.len());
}

/// Those of the document, and built-in ones: their number is bounded.
fn destinations(page: &mut Exposition, node: &Node) {
    let all = node.kit().shaping.destinations();
    type Figure = (&'static str, &'static str, fn(&DestinationFigures) -> usize);
    let figures: [Figure; 3] = [
        ("posthouse_destination_connections", "Connections to a destination.", |of| of.connections),
        ("posthouse_destination_connections_max", "How many there may be now.", |of| of.connections_max),
        ("posthouse_destination_waiting_queues", "Queues that are held back for a destination.", |of| of.waiting),
    ];
    for (name, help, figure) in figures {
        let mut family = page.family(name, Kind::Gauge, help);
        for of in &all {
            family.sample(&[("destination", &of.name)], figure(of));
        }
    }
}

fn journal(page: &mut Exposition, stats: &journal::Stats) {
    page.one("posthouse_journal_commits_total", Kind::Counter, "Batches appended.", stats.commits);
    page.one("posthouse_journal_syncs_total", Kind::Counter, "Syncs of the journal.", stats.syncs);
    page.one("posthouse_journal_records_total", Kind::Counter, "Records appended.", stats.appended_records);
    page.one("posthouse_journal_bytes_total", Kind::Counter, "Bytes appended.", stats.appended_bytes);
    page.one(
        "posthouse_journal_batch_records",
        Kind::Gauge,
        "Records confirmed by the last sync.",
        stats.batch_records_last,
    );
    page.one("posthouse_journal_live_bytes", Kind::Gauge, "Bytes of mail not yet finished.", stats.live_bytes);
    page.one(
        "posthouse_journal_dead_bytes",
        Kind::Gauge,
        "Bytes of finished mail not yet given back.",
        stats.dead_bytes,
    );
    page.one("posthouse_journal_segments", Kind::Gauge, "Segments with records.", stats.segments);
    page.one("posthouse_journal_room", Kind::Gauge, "1 if new mail has room.", u8::from(stats.free_for_accept));
    let mut syncs = page.family("posthouse_journal_sync_seconds", Kind::Histogram, "Duration of a sync.");
    syncs.powers_of_two(&stats.sync_us_histogram, 1e-6, sync_seconds(stats));
}

fn org(page: &mut Exposition, node: &Node) {
    let runs = node.config.source().version().map_or(0, |document| document.version);
    let counts = match node.standing.heard() {
        Heard::Version(document) => document.version,
        _ => 0,
    };
    page.one(
        "posthouse_org_version",
        Kind::Gauge,
        "Version of the organization document that runs here; 0 for none.",
        runs,
    );
    page.one("posthouse_org_newest_version", Kind::Gauge, "The version that counts; 0 while it is not known.", counts);
}

fn cluster(page: &mut Exposition, node: &Node, place: &InCluster) {
    let view = place.view();
    let answers = u8::from(view.at > 0 && view.silent.is_none());
    page.one("posthouse_etcd_up", Kind::Gauge, "1 if etcd answers this node.", answers);
    let held = u8::from(place.is_lease_held(node.world.clock.mono_ms()));
    page.one("posthouse_lease_held", Kind::Gauge, "1 if this node's lease in etcd counts.", held);
    page.one("posthouse_cluster_nodes", Kind::Gauge, "Nodes that are there, as etcd showed last.", view.nodes.len());
    let mut states = page.family("posthouse_journals", Kind::Gauge, "Journals of the cluster, as etcd showed last.");
    let of_state =
        |state: &str| view.journals.iter().filter(|(name, journal)| state_of(name, journal) == Some(state)).count();
    JOURNAL_STATES.iter().for_each(|state| states.sample(&[("state", state)], of_state(state)));
    let orphans = view.orphans().len();
    page.one("posthouse_orphans", Kind::Gauge, "Journals that nobody has: their mail waits.", orphans);
}

fn copies(page: &mut Exposition, of_node: &NodeCopies) {
    let own = of_node.own.shown();
    let mut counts = page.family("posthouse_copy_counts", Kind::Gauge, "1 if the copy on the node counts.");
    own.iter().for_each(|copy| counts.sample(&[("holder", &copy.holder)], u8::from(copy.counts)));
    let mut lag = page.family("posthouse_copy_lag_bytes", Kind::Gauge, "Bytes of our journal that the copy lacks.");
    own.iter().for_each(|copy| lag.sample(&[("holder", &copy.holder)], copy.lag_bytes));
    let mut late =
        page.family("posthouse_copy_lag_seconds", Kind::Gauge, "For how long the copy has lacked something.");
    own.iter().for_each(|copy| late.sample(&[("holder", &copy.holder)], copy.lag_ms as f64 * 1e-3));
    let held = of_node.held.shown();
    let mut level = page.family("posthouse_held_copy_level", Kind::Gauge, "1 if the copy here may be taken over.");
    held.iter().for_each(|copy| level.sample(&[("journal", &copy.journal)], u8::from(copy.level)));
    let taken: u64 = of_node.taken.shown().iter().map(|taken| taken.messages).sum();
    page.one("posthouse_taken_messages", Kind::Gauge, "Messages left in journals that were taken over.", taken);
}

/// Peers are named in the configuration: their number is the operator's.
fn peers(page: &mut Exposition, links: &Peers) {
    let states = links.states();
    let seconds = links.certificate_until_ms() / 1000;
    page.one(
        "posthouse_peers_certificate_end_seconds",
        Kind::Gauge,
        "When our certificate for links ends, Unix time.",
        seconds,
    );
    type Figure = (&'static str, Kind, &'static str, fn(&view::Peer) -> u64);
    let figures: [Figure; 4] = [
        ("posthouse_peer_up", Kind::Gauge, "1 if there is a link to the node.", |peer| u64::from(peer.connected)),
        ("posthouse_peer_links_total", Kind::Counter, "Links made with the node.", |peer| peer.links),
        ("posthouse_peer_in_bytes_total", Kind::Counter, "Bytes from the node.", |peer| peer.in_bytes),
        ("posthouse_peer_out_bytes_total", Kind::Counter, "Bytes to the node.", |peer| peer.out_bytes),
    ];
    for (name, kind, help, figure) in figures {
        let mut family = page.family(name, kind, help);
        states.iter().for_each(|peer| {
            family.sample(&[("peer", &peer.name)], figure(peer));
        });
    }
    let mut trips =
        page.family("posthouse_peer_round_trip_seconds", Kind::Gauge, "A heartbeat's way there and back, mean.");
    for peer in &states {
        if let Some(us) = peer.round_trip_us {
            trips.sample(&[("peer", &peer.name)], us as f64 * 1e-6);
        }
    }
    let mut troubles =
        page.family("posthouse_peer_troubles_total", Kind::Counter, "What kept links from being, strangers included.");
    for (word, count) in links.troubles() {
        troubles.sample(&[("reason", word)], count);
    }
}

/// The journal keeps no sum: each sync counts as the middle of its bucket.
fn sync_seconds(stats: &journal::Stats) -> f64 {
    let buckets = stats.sync_us_histogram.iter().enumerate();
    buckets.map(|(i, count)| *count as f64 * 1.5e-6 * (1u64 << i) as f64).sum()
}

const HOPS_MAX: usize = 50;
