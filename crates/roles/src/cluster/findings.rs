//! Owns the sentences about a cluster: what is wrong, and what to do. Pure: what is shown comes in, sentences go out, the worst first.
//! Always holds: a cluster that is well gets no sentence.

use std::collections::BTreeSet;

use crate::view::{Cluster, ClusterJournal, ClusterNode};

/// All that is wrong.
pub fn wrong(of: &Cluster) -> Vec<String> {
    let mut said = Vec::new();
    etcd(of, &mut said);
    orphans(of, &mut said);
    short_of_copies(of, &mut said);
    gone_nodes(of, &mut said);
    taken(of, &mut said);
    live_nodes(of, &mut said);
    versions(of, &mut said);
    if let Some(first) = of.unreadable.first() {
        said.push(format!(
            "{} keys in etcd cannot be read here, e.g. {first}: a newer Posthouse wrote them, or a person did. Upgrade this node, or look \
             at them with etcdctl",
            of.unreadable.len()
        ));
    }
    said
}

fn etcd(of: &Cluster, said: &mut Vec<String>) {
    let urls: Vec<&str> = of.etcd.endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
    if of.seen == "clash" {
        said.push(format!(
            "another live node is called {} and has another disk: this node takes no mail. Give one of the two another name, or stop the \
             other one and wait until its lease has ended",
            of.node
        ));
    }
    if !of.etcd.answers {
        let why = of.etcd.error.as_deref().unwrap_or("it was not heard yet");
        said.push(format!(
            "no answer from etcd since {} ({}): mail flows on with the copies that count, but nothing can be taken over, no copy can be \
             replaced and no node can join. Look at the etcd members at {}",
            clock(&of.etcd.since),
            why.strip_prefix("etcd does not answer: ").unwrap_or(why),
            urls.join(", ")
        ));
        return;
    }
    for endpoint in of.etcd.endpoints.iter().filter(|endpoint| endpoint.well == Some(false)) {
        said.push(format!(
            "etcd goes on without its member at {} ({}); without most of its members it stands still. Mend that one",
            endpoint.url, endpoint.says
        ));
    }
    if of.etcd.went_back > 0 {
        said.push(format!(
            "etcd came back with an older state than it had ({} times since this node's start): was it restored from a backup? The nodes \
             go on with what their disks know",
            of.etcd.went_back
        ));
    }
    if of.lease != "held" {
        said.push(String::from("this node's lease is not held: the others may take its journal over. Look at the load and the clock of this machine"));
    }
}

/// Nobody has the journal.
fn orphans(of: &Cluster, said: &mut Vec<String>) {
    for journal in of.journals.iter().filter(|journal| journal.state == "orphan" && of.etcd.answers) {
        if !journal.takers.is_empty() {
            said.push(format!(
                "nobody has the journal {}: {} takes it over now",
                journal.name,
                journal.takers.join(" or ")
            ));
            continue;
        }
        let mut able = vec![match is_here(of, &journal.owner) {
            true => format!("{} with the disk that it had", journal.owner),
            false => journal.owner.clone(),
        }];
        able.extend(level_set(journal).map(String::from).filter(|holder| *holder != journal.owner));
        said.push(format!(
            "nobody has the journal {}: it waits for {} to return. Nothing that was promised is lost as long as one of their disks is \
             there: start one of them. If none will ever come back: posthouse node remove {} --lose-its-mail",
            journal.name,
            able.join(" or "),
            journal.owner
        ));
    }
}

fn short_of_copies(of: &Cluster, said: &mut Vec<String>) {
    for journal in of.journals.iter().filter(|journal| journal.held && journal.state != "drained") {
        let is_known = journal.copies.iter().any(|copy| copy.state.is_some());
        let counts = match is_known {
            true => journal.copies.iter().any(|copy| copy.state.as_ref().is_some_and(|state| state.counts)),
            false => journal.copies.iter().any(|copy| copy.in_level_set),
        };
        if counts {
            continue;
        }
        let name = &journal.name;
        said.push(match journal.state.as_str() {
            "owned" => format!(
                "no copy counts for the journal {name}: mail that asks for copies is refused with 451 on {}, or taken without any \
                 where its connector says so, and what is in it is lost with that disk. Bring other nodes back; posthouse journal list shows \
                 why copies do not count",
                journal.owner
            ),
            _ if journal.messages == Some(0) => continue,
            _ => format!(
                "no copy counts for the journal {name} that {} has taken over: what is left in it is lost if that disk is, too. Bring \
                 other nodes back",
                journal.owner
            ),
        });
    }
}

fn gone_nodes(of: &Cluster, said: &mut Vec<String>) {
    for node in of.nodes.iter().filter(|node| !node.here && of.etcd.answers) {
        let since = node.gone_since.as_deref().map_or(String::new(), |since| format!(" since {}", clock(since)));
        let own = of.journals.iter().filter(|journal| home(journal) == node.name);
        let parts: Vec<String> = own.filter_map(|journal| part(journal, &node.name)).collect();
        if parts.is_empty() {
            said.push(format!(
                "{} is gone{since}: it is in this node's document, and etcd does not show it. Start it, or take its [[peer]] out",
                node.name
            ));
            continue;
        }
        let never = match own_is_finished(of, &node.name) {
            true => format!(". If it never comes back: posthouse node remove {}", node.name),
            false => String::new(),
        };
        said.push(format!("{} is gone{since}; {}{never}", node.name, parts.join("; ")));
    }
}

/// What became of a journal of a node that is gone.
fn part(journal: &ClusterJournal, node: &str) -> Option<String> {
    let name = &journal.name;
    Some(match journal.state.as_str() {
        "drained" => format!("all mail of its journal {name} is delivered"),
        "orphan" => format!("its journal {name} has nobody (see above)"),
        _ if journal.owner == node => format!("its lease on {name} has not ended yet"),
        _ => format!("its journal {name} is delivered from {}{}", journal.owner, left(journal)),
    })
}

fn own_is_finished(of: &Cluster, node: &str) -> bool {
    let mut own = of.journals.iter().filter(|journal| home(journal) == node || journal.owner == node);
    own.all(|journal| journal.state == "drained")
}

/// Journals of nodes that are there again, which others still deliver; and those under way from one to another.
fn taken(of: &Cluster, said: &mut Vec<String>) {
    for journal in of.journals.iter().filter(|journal| journal.state != "orphan" && journal.state != "drained") {
        if let Some(to) = &journal.successor {
            said.push(format!("{} hands {} over to {to} now", journal.owner, journal.name));
        } else if journal.state == "taken" && is_here(of, home(journal)) {
            let at = journal.taken_at.as_deref().map_or(String::new(), |at| format!(" at {}", clock(at)));
            said.push(format!(
                "{} was taken over by {}{at}, which delivers it{}; nothing to do",
                journal.name,
                journal.owner,
                left(journal)
            ));
        }
    }
}

fn live_nodes(of: &Cluster, said: &mut Vec<String>) {
    for node in of.nodes.iter().filter(|node| node.here) {
        let name = &node.name;
        match node.health.as_str() {
            "ready" | "" => {}
            "draining" => {
                said.push(format!("{name} is draining: it takes no new mail. posthouse node resume {name} ends that"))
            }
            word => said.push(format!("{name} takes no mail: {word}. posthouse status there says more")),
        }
        if node.link == Some(false) {
            let why = node.link_error.as_deref().map_or(String::new(), |why| format!(" ({why})"));
            said.push(format!(
                "there is no link between {} and {name}{why}: copies cannot go that way. Look at the network between them; posthouse status \
                 shows the links",
                of.node
            ));
        }
    }
}

fn versions(of: &Cluster, said: &mut Vec<String>) {
    let live: Vec<&ClusterNode> = of.nodes.iter().filter(|node| node.here).collect();
    for node in live.iter().filter(|node| !node.org_refused.is_empty()) {
        said.push(format!(
            "{} does not run the organization document that counts: {}. Correct it with posthouse org apply, or go back with posthouse \
             org rollback",
            node.name, node.org_refused
        ));
    }
    let refuses = live.iter().any(|node| !node.org_refused.is_empty());
    if let (Some(all), false) = (differ(&live, |node| node.org.to_string()), refuses) {
        said.push(format!("the nodes run different versions of the organization document: {all}. After a change that lasts for seconds"));
    }
    if let Some(all) = differ(&live, |node| node.version.clone()) {
        said.push(format!(
            "the nodes run different versions of Posthouse: {all}. During an upgrade that is as it should be"
        ));
    }
}

/// Who has which, if not all have the same.
fn differ(nodes: &[&ClusterNode], of: impl Fn(&ClusterNode) -> String) -> Option<String> {
    let all: BTreeSet<String> = nodes.iter().map(|node| of(node)).collect();
    let who = |what: &String| {
        let names: Vec<&str> = nodes.iter().filter(|node| of(node) == *what).map(|node| node.name.as_str()).collect();
        format!("{what} on {}", names.join(", "))
    };
    (all.len() > 1).then(|| all.iter().map(who).collect::<Vec<_>>().join("; "))
}

fn left(journal: &ClusterJournal) -> String {
    match journal.messages {
        Some(1) => ", 1 message left".into(),
        Some(messages) => format!(", {messages} messages left"),
        None => String::new(),
    }
}

fn level_set(journal: &ClusterJournal) -> impl Iterator<Item = &str> {
    journal.copies.iter().filter(|copy| copy.in_level_set).map(|copy| copy.holder.as_str())
}

fn home(journal: &ClusterJournal) -> &str {
    journal.name.split_once('/').map_or("", |(node, _)| node)
}

fn is_here(of: &Cluster, node: &str) -> bool {
    of.nodes.iter().any(|shown| shown.name == node && shown.here)
}

/// `2026-11-21T21:03:04.123Z` as `2026-11-21 21:03:04 (UTC)`.
fn clock(time: &str) -> String {
    format!("{} (UTC)", time.get(..19).unwrap_or(time).replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Etcd, EtcdEndpoint, JournalCopy, OwnCopy};

    fn node(name: &str) -> ClusterNode {
        ClusterNode {
            name: name.into(),
            here: true,
            health: "ready".into(),
            version: "1".into(),
            org: 3,
            link: (name != "n1").then_some(true),
            ..ClusterNode::default()
        }
    }

    fn copy(holder: &str, counts: bool) -> JournalCopy {
        let state = OwnCopy { holder: holder.into(), counts, ..OwnCopy::default() };
        JournalCopy { holder: holder.into(), in_level_set: true, state: Some(state) }
    }

    fn journal(name: &str) -> ClusterJournal {
        let owner = name.split_once('/').unwrap().0;
        ClusterJournal {
            name: name.into(),
            state: "owned".into(),
            owner: owner.into(),
            held: true,
            epoch: 256,
            copies: vec![copy(if owner == "n1" { "n2" } else { "n1" }, true)],
            messages: Some(0),
            ..ClusterJournal::default()
        }
    }

    fn well() -> Cluster {
        let endpoint = EtcdEndpoint { url: "http://e:2379".into(), well: Some(true), says: "3.5".into() };
        Cluster {
            node: "n1".into(),
            etcd: Etcd {
                answers: true,
                since: "2026-11-21T21:03:04Z".into(),
                endpoints: vec![endpoint],
                ..Etcd::default()
            },
            lease: "held".into(),
            seen: "yes".into(),
            nodes: ["n1", "n2", "n3"].map(node).into(),
            journals: ["n1/s", "n2/s", "n3/s"].map(journal).into(),
            ..Cluster::default()
        }
    }

    /// n2 is gone, and its journal is like this.
    fn without_n2(change: impl FnOnce(&mut ClusterJournal)) -> Cluster {
        let mut all = well();
        (all.nodes[1].here, all.nodes[1].gone_since) = (false, Some("2026-11-21T21:09:00Z".into()));
        change(&mut all.journals[1]);
        all
    }

    fn orphan(takers: &[&str]) -> impl FnOnce(&mut ClusterJournal) {
        let takers: Vec<String> = takers.iter().map(ToString::to_string).collect();
        |journal| (journal.state, journal.held, journal.takers) = ("orphan".into(), false, takers)
    }

    #[test]
    fn a_cluster_that_is_well_gets_no_sentence() {
        assert_eq!(wrong(&well()), Vec::<String>::new());
    }

    #[test]
    fn each_trouble_has_its_sentence() {
        let with = |change: fn(&mut Cluster)| {
            let mut all = well();
            change(&mut all);
            all
        };
        let taken = |messages| {
            without_n2(move |journal| {
                (journal.state, journal.owner, journal.messages) = ("taken".into(), "n3".into(), Some(messages))
            })
        };
        let drained = without_n2(|journal| (journal.state, journal.held) = ("drained".into(), false));
        let table: Vec<(Cluster, &[&str])> = vec![
            (
                with(|c| (c.etcd.answers, c.etcd.error) = (false, Some("etcd does not answer: refused".into()))),
                &["no answer from etcd since 2026-11-21 21:03:04 (UTC) (refused): mail flows on", "http://e:2379"],
            ),
            (with(|c| c.seen = "clash".into()), &["another live node is called n1", "takes no mail"]),
            (with(|c| c.lease = "not held".into()), &["lease is not held"]),
            (with(|c| c.etcd.went_back = 2), &["older state than it had (2 times"]),
            (with(|c| c.etcd.endpoints[0].well = Some(false)), &["goes on without its member at http://e:2379 (3.5)"]),
            (without_n2(orphan(&["n1"])), &["nobody has the journal n2/s: n1 takes it over now"]),
            (
                without_n2(orphan(&[])),
                &[
                    "n2/s: it waits for n2 or n1 to return",
                    "as long as one of their disks",
                    "remove n2 --lose-its-mail",
                ],
            ),
            (
                taken(12),
                &[
                    "n2 is gone since 2026-11-21 21:09:00 (UTC); its journal n2/s is delivered from n3, 12 messages left",
                ],
            ),
            (taken(1), &["1 message left"]),
            (drained, &["all mail of its journal n2/s is delivered. If it never comes back: posthouse node remove n2"]),
            (without_n2(|journal| journal.name = "n9/s".into()), &["n2 is gone", "take its [[peer]] out"]),
            (
                with(|c| c.journals[0].copies = vec![copy("n2", false)]),
                &["no copy counts for the journal n1/s", "451 on n1"],
            ),
            (with(|c| c.journals[0].copies.clear()), &["no copy counts for the journal n1/s"]),
            (
                with(|c| {
                    let journal = &mut c.journals[1];
                    (journal.state, journal.owner, journal.messages) = ("taken".into(), "n3".into(), Some(4));
                    journal.copies.clear();
                }),
                &[
                    "no copy counts for the journal n2/s that n3 has taken over",
                    "n2/s was taken over by n3, which delivers it, 4 messages left",
                ],
            ),
            (with(|c| c.journals[1].successor = Some("n3".into())), &["n2 hands n2/s over to n3 now"]),
            (with(|c| c.nodes[2].health = "draining".into()), &["n3 is draining", "node resume n3"]),
            (with(|c| c.nodes[2].health = "no-room".into()), &["n3 takes no mail: no-room"]),
            (
                with(|c| (c.nodes[2].link, c.nodes[2].link_error) = (Some(false), Some("refused".into()))),
                &["no link between n1 and n3 (refused)"],
            ),
            (with(|c| c.nodes[1].org = 2), &["different versions of the organization document: 2 on n2; 3 on n1, n3"]),
            (
                with(|c| c.nodes[1].org_refused = "not version 3: no file".into()),
                &["n2 does not run", "not version 3: no file"],
            ),
            (with(|c| c.nodes[1].version = "2".into()), &["different versions of Posthouse: 1 on n1, n3; 2 on n2"]),
            (with(|c| c.unreadable = vec!["/p/x".into()]), &["1 keys in etcd cannot be read here, e.g. /p/x"]),
        ];
        for (cluster, parts) in table {
            let said = wrong(&cluster).join("\n");
            for part in parts {
                assert!(said.contains(part), "{part:?} is not in:\n{said}");
            }
        }
    }

    #[test]
    fn while_etcd_is_silent_nothing_is_said_that_only_it_can_know() {
        let mut all = without_n2(orphan(&[]));
        (all.etcd.answers, all.etcd.error) = (false, Some("etcd does not answer".into()));
        assert_eq!(wrong(&all).len(), 1, "{:#?}", wrong(&all));
    }
}
