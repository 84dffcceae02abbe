//! The verbs on a cluster, on real processes: what `cluster status` says in each trouble, drain and hand-over of another node, and what
//! is forgotten of a node that never comes back. Needs root, iproute2 and etcd; `./test cluster` installs them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests touch the real world

use std::time::Duration;

use serde_json::Value;
use tests::cluster::{Cluster, Load, SOON};
use tests::eventually;

/// The cluster as a node sees it.
fn seen(cluster: &mut Cluster, by: usize) -> Value {
    let (_, body) = cluster.node(by).get("/api/v1/cluster").expect("it answers");
    serde_json::from_str(&body).unwrap()
}

/// Waits until `by` says this among what is wrong.
fn says(cluster: &mut Cluster, by: usize, what: &str) {
    let mut last = String::new();
    for _ in 0..SOON.as_millis() / 100 {
        let (code, said) = cluster.node(by).verb(&["cluster", "status"]);
        if code == 0 && said.contains(what) {
            return;
        }
        last = said;
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.tell();
    panic!("n{by} does not say '{what}':\n{last}");
}

/// Does a verb that must succeed.
fn done(cluster: &mut Cluster, by: usize, verb: &[&str]) -> String {
    let (code, said) = cluster.node(by).verb(verb);
    if code != 0 {
        cluster.tell();
    }
    assert_eq!(code, 0, "{verb:?}: {said}");
    said
}

/// Does a verb that must be refused.
fn refused(cluster: &mut Cluster, by: usize, verb: &[&str]) -> String {
    let (code, said) = cluster.node(by).verb(verb);
    assert_eq!(code, 1, "{verb:?}: {said}");
    said
}

fn figure(cluster: &mut Cluster, by: usize, name: &str) -> f64 {
    let (_, text) = cluster.node(by).get("/metrics").unwrap();
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

const N: [&str; 4] = ["", "n1.chaos.test", "n2.chaos.test", "n3.chaos.test"];

#[test]
fn each_trouble_is_said_with_what_to_do_and_its_end() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    says(&mut cluster, 1, "all is well");
    assert_eq!(figure(&mut cluster, 1, "posthouse_cluster_nodes"), 3.0);

    // Any node is drained from any other one.
    let said = done(&mut cluster, 1, &["node", "drain", N[2]]);
    assert!(said.contains("n2.chaos.test takes no new mail"), "{said}");
    says(&mut cluster, 3, "n2.chaos.test is draining");
    assert_eq!(cluster.node(2).get("/health/ready").unwrap().0, 503);
    done(&mut cluster, 3, &["node", "resume", N[2]]);
    says(&mut cluster, 1, "all is well");
    assert!(done(&mut cluster, 1, &["node", "list"]).contains(N[3]));

    // etcd is away: mail flows on.
    (0..3).for_each(|member| cluster.etcd.kill(member));
    says(&mut cluster, 1, "mail flows on");
    assert_eq!(cluster.node(1).get("/health/ready").unwrap().0, 200);
    assert_eq!(figure(&mut cluster, 1, "posthouse_etcd_up"), 0.0);
    let said = refused(&mut cluster, 1, &["node", "remove", N[2]]);
    assert!(said.contains("ask again when etcd answers"), "{said}");
    (0..3).for_each(|member| cluster.etcd.start(&cluster.net, member));
    cluster.etcd.leader(&cluster.net);
    says(&mut cluster, 1, "all is well");
    let log = cluster.node(1).log();
    assert_eq!(
        (log.matches("mail flows on").count(), log.matches("etcd answers again, after").count()),
        (1, 1),
        "{log}"
    );

    a_name_is_there_twice(&mut cluster);
    a_machine_dies(&mut cluster);
    two_machines_die(&mut cluster);
}

/// n3 comes back with another disk while its lease still lives: as if two machines had one name.
fn a_name_is_there_twice(cluster: &mut Cluster) {
    cluster.node(3).kill();
    cluster.node(3).lose_disk();
    cluster.node(3).start();
    let (code, body) = cluster.node(3).get("/health/ready").unwrap();
    assert!(code == 503, "a node that has not looked at its copies is not ready: {body}");
    says(cluster, 3, "another live node is called n3.chaos.test");
    let (code, body) = cluster.node(3).get("/health/ready").unwrap();
    assert!(code == 503 && body.contains("name clash"), "{body}");
    cluster.healthy();
    says(cluster, 1, "all is well");
}

/// n2 dies with mail that nobody takes yet: it is delivered from elsewhere, and then n2 can be forgotten.
fn a_machine_dies(cluster: &mut Cluster) {
    cluster.sink.behave("tempfail");
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[2], &["--messages", "0", "--rate", "20"]);
    eventually("n2 has mail", SOON, || load.promised_now() >= 12);
    load.end(&[2]);
    let said = refused(cluster, 1, &["node", "remove", N[2], "--lose-its-mail"]);
    assert!(said.contains("n2.chaos.test is there"), "{said}");
    cluster.node(2).kill();
    says(cluster, 1, "n2.chaos.test is gone since");
    says(cluster, 1, "messages left");
    says(cluster, 3, "its journal n2.chaos.test/spool-");
    let said = refused(cluster, 1, &["node", "remove", N[2], "--lose-its-mail"]);
    assert!(said.contains("still delivers n2.chaos.test/spool-"), "what is delivered is not lost: {said}");
    cluster.sink.behave("accept");
    load.all_arrive(&cluster.sink, SOON).unwrap();
    says(cluster, 1, "is delivered. If it never comes back: posthouse node remove n2.chaos.test");
    let said = done(cluster, 3, &["node", "remove", N[2]]);
    assert!(said.contains("its record is deleted") && said.contains("[[peer]] n2.chaos.test"), "{said}");
    let journals = seen(cluster, 1)["journals"].to_string();
    assert!(!journals.contains("n2.chaos.test/spool-"), "{journals}");
    // A new machine of that name.
    cluster.node(2).lose_disk();
    cluster.node(2).start();
    cluster.healthy();
    says(cluster, 1, "all is well");
}

/// A node and the only one that has a copy of its journal die at once.
fn two_machines_die(cluster: &mut Cluster) {
    let number = |name: &str| (1..=3).find(|number| N[*number] == name).unwrap();
    let journals = seen(cluster, 1)["journals"].as_array().unwrap().clone();
    let journal =
        journals.iter().find(|journal| journal["state"] == "owned" && journal["copies"].as_array().unwrap().len() == 1);
    let journal = journal.unwrap_or_else(|| panic!("a journal with one copy: {journals:?}"));
    let (owner, holder) = (journal["owner"].as_str().unwrap(), journal["copies"][0]["holder"].as_str().unwrap());
    let left = 6 - number(owner) - number(holder);
    cluster.node(number(owner)).kill();
    cluster.node(number(holder)).kill();
    says(cluster, left, &format!("it waits for {owner} or {holder} to return"));
    assert!(figure(cluster, left, "posthouse_orphans") >= 1.0);
    let said = refused(cluster, left, &["node", "remove", owner]);
    assert!(said.contains("--lose-its-mail gives up"), "{said}");
    // One of them is enough: it has everything.
    cluster.node(number(holder)).start();
    says(cluster, left, &format!("{owner} is gone"));
    says(cluster, left, &format!("posthouse node remove {owner}"));
    // Both die again, for good this time.
    let owned = |journal: &&Value| journal["owner"] == *holder && journal["state"] == "owned";
    eventually("a copy of the other one's journal is with who is left", SOON, || {
        let journals = seen(cluster, left)["journals"].as_array().unwrap().clone();
        journals.iter().find(owned).is_some_and(|journal| journal["copies"][0]["holder"] == N[left])
    });
    done(cluster, left, &["node", "remove", owner]);
    cluster.node(number(holder)).kill();
    says(cluster, left, &format!("If it never comes back: posthouse node remove {holder}"));
    done(cluster, left, &["node", "remove", holder]);
    let journals = seen(cluster, left)["journals"].as_array().unwrap().clone();
    assert!(journals.iter().all(|journal| journal["owner"] == N[left]), "only its own are left: {journals:?}");
}

/// Mail whose only disks are gone for good is given up by order, and by nothing else.
#[test]
fn mail_that_nobody_has_is_given_up_by_order_only() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    cluster.sink.behave("tempfail");
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], &["--messages", "0", "--rate", "20"]);
    eventually("all have mail", SOON, || load.promised_now() >= 60);
    load.end(&[1, 2, 3]);
    let journals = seen(&mut cluster, 1)["journals"].as_array().unwrap().clone();
    let number = |name: &Value| (1..=3).find(|number| *name == N[*number]).unwrap();
    let (owner, holder) = (number(&journals[0]["owner"]), number(&journals[0]["copies"][0]["holder"]));
    let left = 6 - owner - holder;
    cluster.node(owner).kill();
    cluster.node(holder).kill();
    says(&mut cluster, left, "Nothing that was promised is lost as long as one of their disks is there");
    let said = done(&mut cluster, left, &["node", "remove", N[owner], "--lose-its-mail"]);
    assert!(said.contains("is given up"), "{said}");
    let name = journals[0]["name"].as_str().unwrap();
    let all = seen(&mut cluster, left)["journals"].to_string();
    assert!(!all.contains(name), "{all}");
}

#[test]
fn another_node_is_handed_over_under_load_and_nothing_is_lost_or_doubled() {
    let Some(mut cluster) = Cluster::started(3) else { return };
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], &["--messages", "0", "--rate", "60", "--reconnect"]);
    eventually("mail flows", SOON, || load.promised_now() >= 200);
    // Something is left that no delivery can finish: it goes with the journal.
    cluster.sink.behave("tempfail");
    eventually("mail waits on n2", SOON, || cluster.node(2).status().unwrap()["spool"]["messages"].as_u64() > Some(20));
    let said = refused(&mut cluster, 1, &["node", "drain", N[2], "--hand-over", "--to", "n9.chaos.test"]);
    assert!(said.contains("nothing was begun"), "{said}");
    let said = done(&mut cluster, 1, &["node", "drain", N[2], "--hand-over"]);
    assert!(said.contains("'s now") && said.contains("n2.chaos.test may be switched off"), "{said}");
    let ended = cluster.node(2).process().wait(Duration::from_secs(30));
    assert_eq!(ended.code(), Some(77), "{}", cluster.node(2).log());
    cluster.node(2).kill();
    says(&mut cluster, 3, "n2.chaos.test is gone");
    cluster.sink.behave("accept");
    load.end(&[1, 2, 3]);
    let arrivals = load.all_arrive(&cluster.sink, SOON).unwrap_or_else(|why| {
        cluster.tell();
        panic!("{why}");
    });
    let (promised, doubts) = (load.tally().promised.len(), load.tally().doubts.len());
    println!(
        "hand-over of n2 from n1: promised {promised}, lost 0, duplicates {}, doubts {doubts}",
        arrivals.duplicates()
    );
    assert!(arrivals.duplicates() <= doubts, "{} came twice, {doubts} doubts", arrivals.duplicates());
    // It is welcome back.
    cluster.node(2).start();
    cluster.healthy();
}
