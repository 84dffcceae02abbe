//! Two nodes as real processes that see each other over mutual TLS: linked, killed, frozen, renewed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // tests of real processes

use std::fs;

use tests::eventually;
use tests::process::Node;
use tests::two::{SOON, Two, peer, pki};

fn error(of: &Node) -> String {
    peer(of)["last_error"].as_str().unwrap_or_default().to_string()
}

#[test]
fn two_nodes_see_each_other_and_one_comes_back_after_kill_9() {
    let Two { keep: _keep, a, mut b } = Two::started();
    eventually("heartbeats are measured", SOON, || peer(&a)["round_trip_us"].as_u64().is_some());
    let (_, text, _) = a.verb(&["status"]);
    assert!(text.contains("peers      listens 127.0.0.1:") && text.contains("b.test  up"), "{text}");
    let (_, metrics) = a.get("/metrics");
    assert!(metrics.lines().any(|line| line == "posthouse_peer_up{peer=\"b.test\"} 1"), "{metrics}");
    let (_, page) = a.get("/");
    assert!(page.contains("<h2>Peers</h2>") && page.contains("b.test"), "{page}");

    b.kill();
    eventually("a sees that b is gone", SOON, || peer(&a)["connected"] == false);
    eventually("and says why it cannot reach it", SOON, || error(&a).contains("cannot be reached"));
    let (_, metrics) = a.get("/metrics");
    assert!(metrics.lines().any(|line| line == "posthouse_peer_up{peer=\"b.test\"} 0"), "{metrics}");
    b.start();
    eventually("b is back", SOON, || peer(&a)["connected"] == true && peer(&b)["connected"] == true);
    assert_eq!(peer(&a)["links"], 2);
    assert!(b.stop().success());
    eventually("a hears that b goes", SOON, || a.log().contains("the node is going down"));
}

#[test]
fn a_frozen_node_is_noticed_and_comes_back() {
    let Two { keep: _keep, a, mut b } = Two::started();
    b.process().signal("STOP");
    eventually("a misses its heartbeats", SOON, || error(&a).contains("nothing was heard of it for"));
    assert_eq!(peer(&a)["connected"], false);
    b.process().signal("CONT");
    eventually("b is back", SOON, || peer(&a)["connected"] == true && peer(&b)["connected"] == true);
}

#[test]
fn certificates_are_renewed_under_a_live_link_and_wrong_ones_are_not_taken() {
    let Two { keep, mut a, b } = Two::started();
    let until = peer(&b)["certificate_until"].clone();
    pki(keep.path(), &["renew", "a.test", "--new-key", "--days", "700"]);
    a.process().signal("HUP");
    eventually("a has loaded it", SOON, || a.log().contains("the certificates of peer links were loaded again"));
    assert_eq!((&peer(&b)["certificate_until"], &peer(&b)["links"]), (&until, &1.into()), "the live link goes on");
    a.kill();
    a.start();
    eventually("a new link has it", SOON, || {
        let now = peer(&b);
        now["connected"] == true && now["certificate_until"].as_str() > until.as_str()
    });
    // The certificate of another node is never taken.
    let own = keep.path().join("pki/nodes/a.test/certificate.pem");
    fs::copy(keep.path().join("pki/nodes/b.test/certificate.pem"), &own).unwrap();
    a.process().signal("HUP");
    let says = "is the certificate of node b.test, and this node is a.test";
    eventually("a refuses it", SOON, || {
        a.log().contains(says) && a.log().contains("links go on with the certificates of before")
    });
    assert_eq!(peer(&a)["connected"], true);
    a.kill();
    let mut command = a.command();
    let out = command.output().unwrap();
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains(says), "a start with it is refused");
}
