//! A fresh install has exactly the connectors of behaviours 1.9, and they do what the table says.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::load;
use directory::fresh::{Role, documents};
use directory::{Loaded, Principal, RecipientAnswer, SenderAnswer};
use mail::{Mailbox, ReversePath};

fn fresh(role: Role) -> Loaded {
    let fresh = documents(role, "mx1.ours.example", "ours.example").unwrap();
    load(Some(&fresh.node), &fresh.org).unwrap_or_else(|problems| panic!("{problems}"))
}

fn from(text: &str) -> ReversePath {
    ReversePath::Mailbox(Mailbox::parse(text, false).unwrap())
}

#[test]
fn exactly_the_connectors_of_the_table() {
    for (role, expected) in [
        (
            Role::Hub,
            vec![
                r#"Default mx1.ours.example 25 offer ["users", "servers"] ["plain", "login", "scram-sha-256"] 5000 None"#,
                r#"Client mx1.ours.example 587 require ["users"] ["plain", "login", "scram-sha-256"] 200 Some(5)"#,
            ],
        ),
        (
            Role::Edge,
            vec![
                r#"Default internal receive connector mx1.ours.example 25 offer ["anonymous", "partners", "servers"] [] 200 Some(600)"#,
            ],
        ),
    ] {
        let loaded = fresh(role);
        let shown = loaded.org.receive_connectors.iter().map(|c| {
            let groups: Vec<&str> = c.permissions.iter().map(|group| group.word()).collect();
            let (recipients, rate) = (c.limits.recipients_max, c.limits.message_rate_per_minute);
            let everywhere = c.listen.iter().all(|socket| socket.ip().is_unspecified()) && c.remote.0.len() == 2;
            assert!(everywhere && c.listen.len() == 2, "{}: all addresses, all peers", c.name);
            let (port, tls, auth) = (c.listen[0].port(), c.tls.word(), c.auth.words());
            format!("{} {port} {tls} {groups:?} {auth:?} {recipients} {rate:?}", c.name)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        assert!(loaded.org.send_connectors.is_empty(), "none exists until one is made");
    }
    let hub = fresh(Role::Hub);
    assert_eq!(hub.org.receive_connectors[0].limits.connections_from_one_source(4_000), 1_000);
    let edge = &fresh(Role::Edge).org.receive_connectors[0].limits.clone();
    assert_eq!((edge.session_timeout_ms, edge.idle_timeout_ms), (300_000, 60_000));
}

/// "Do not fix this": a hub that nobody has touched takes nothing from the Internet.
#[test]
fn an_unmodified_hub_refuses_the_internet_and_an_edge_does_not() {
    let hub = fresh(Role::Hub).org;
    for connector in &hub.receive_connectors {
        let answer = hub.sender(connector, &Principal::Peer, &from("a@away.example"));
        assert_eq!(answer, SenderAnswer::AuthRequired, "{}", connector.name);
    }
    let edge = fresh(Role::Edge).org;
    let connector = &edge.receive_connectors[0];
    assert_eq!(edge.sender(connector, &Principal::Peer, &from("a@away.example")), SenderAnswer::Accept);
    let to = |text| edge.recipient(connector, &Principal::Peer, &Mailbox::parse(text, false).unwrap());
    assert_eq!(to("bob@ours.example"), RecipientAnswer::Accept);
    assert_eq!(to("bob@away.example"), RecipientAnswer::RelayDenied);
}

#[test]
fn what_is_missing_is_said() {
    let told = |role| fresh(role).warnings.to_string();
    assert!(told(Role::Hub).contains("this connector is for users, but there is no [[user]]"), "{}", told(Role::Hub));
    assert!(told(Role::Edge).contains("no send connector delivers ours.example"), "{}", told(Role::Edge));
    assert_eq!(
        documents(Role::Hub, "a b", "ours.example").unwrap_err(),
        "--name: \"a b\" is no host name; write it like mx1.example.org"
    );
}
