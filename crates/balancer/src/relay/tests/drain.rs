//! Members and processes that go out of service.

use super::*;
use ServiceProtocol::{Imap, Smtp, Tcp};

fn fast() -> Timing {
    Timing { drain_idle_ms: 0, drain_busy_ms: 0, drain_opaque_ms: 0, ..Timing::default() }
}

#[test]
fn a_drained_member_finishes_what_it_began() {
    let mut plan = plan(Smtp);
    plan.timing = fast();
    let mut fixture = plan.serve(vec![smtp("old"), smtp("new")]);
    // Both are asked in turn: the idle one and the busy one are those at the old member.
    let mut clients: Vec<(String, Client)> = Vec::new();
    while clients.iter().filter(|(name, _)| name == "220-old").count() < 2 {
        let mut client = fixture.client();
        let name = client.line();
        assert_eq!(client.line(), "220 ready");
        clients.push((name, client));
    }
    let mut old = clients.into_iter().filter(|(name, _)| name == "220-old").map(|(_, client)| client);
    let (mut busy, mut idle) = (old.next().unwrap(), old.next().unwrap());
    assert_eq!(busy.ask("MAIL FROM:<a@x>\r\n"), "250 old");
    assert_eq!(busy.ask("RCPT TO:<b@y>\r\n"), "250 old");
    assert_eq!(busy.ask("DATA\r\n"), "354 go");
    fixture.drain(&["old"]);
    for _ in 0..4 {
        assert_eq!(fixture.client().line(), "220-new");
    }
    let active = || fixture.setup.pool.shown(0).iter().find(|shown| &*shown.name == "old").unwrap().active;
    // The idle one goes on at the other member, and does not know.
    until(|| active() == 1, || format!("{} left", active()));
    assert_eq!(idle.ask("NOOP\r\n"), "250 new");
    // The transaction goes on to its end; then it is its turn.
    assert_eq!(busy.ask("QUIT\r\n.\r\n"), "250 old has it");
    until(|| active() == 0, || format!("{} left", active()));
    assert_eq!(busy.ask("NOOP\r\n"), "250 new");
}

#[test]
fn who_has_nobody_else_hears_421_at_a_command() {
    let mut plan = plan(Smtp);
    plan.timing = fast();
    let mut fixture = plan.serve(vec![smtp("only")]);
    let mut client = fixture.client();
    assert_eq!((client.line(), client.line()), ("220-only".into(), "220 ready".into()));
    assert_eq!(client.ask("MAIL FROM:<a@x>\r\n"), "250 only");
    assert_eq!(client.ask("RCPT TO:<b@y>\r\n"), "250 only");
    assert_eq!(client.ask("DATA\r\n"), "354 go");
    fixture.drain(&["only"]);
    assert_eq!(client.ask(".\r\n"), "250 only has it");
    assert!(client.line().starts_with("421 4.3.2 mail.example "));
    assert_eq!(client.line(), "");
}

#[test]
fn who_only_waits_is_told_and_who_cannot_be_told_is_closed() {
    let idle = |greeting: &'static str| {
        member("a", move |mut client| {
            client.say(greeting);
            client.rest();
        })
    };
    for (protocol, greeting, last) in [(Imap, "* OK hi\r\n", "* BYE "), (Tcp, "hi\r\n", "")] {
        let mut plan = plan(protocol);
        plan.timing = fast();
        let mut fixture = plan.serve(vec![idle(greeting)]);
        let mut client = fixture.client();
        assert_eq!(client.line(), greeting.trim_end());
        fixture.drain(&["a"]);
        let said = client.line();
        assert!(said.starts_with(last) && said.is_empty() == last.is_empty(), "{said}");
    }
}

#[test]
fn the_end_of_the_drain_is_the_end() {
    let mut plan = plan(Smtp);
    plan.timing = Timing { drain_busy_ms: 1_000_000, drain_idle_ms: 1_000_000, ..Timing::default() };
    let fixture = plan.serve(vec![smtp("a")]);
    let mut idle = fixture.client();
    assert_eq!((idle.line(), idle.line()), ("220-a".into(), "220 ready".into()));
    let mut busy = fixture.client();
    assert_eq!((busy.line(), busy.line()), ("220-a".into(), "220 ready".into()));
    assert_eq!(busy.ask("MAIL FROM:<a@x>\r\n"), "250 a");
    fixture.relay.drain(1);
    assert!(idle.line().starts_with("421 4.3.2 "));
    // In the middle of a transaction there are no words: 421 would be taken as the answer to something else.
    assert_eq!(busy.line(), "");
    drop((idle, busy));
    until(|| fixture.relay.active() == 0, || "connections are left".into());
    assert!(TcpStream::connect(fixture.at).is_err());
}

/// An address leaves the machine: who is between two mails at that address is told, who is in one is not, nor who is at another one.
#[test]
fn who_is_between_two_mails_is_told_that_the_address_leaves() {
    let fixture = plan(Smtp).serve(vec![smtp("a")]);
    let greeted = || {
        let mut client = fixture.client();
        assert_eq!((client.line(), client.line()), ("220-a".into(), "220 ready".into()));
        client
    };
    let (mut idle, mut busy) = (greeted(), greeted());
    assert_eq!(busy.ask("MAIL FROM:<a@x>\r\n"), "250 a");
    assert!(fixture.relay.part(&["127.0.0.2".parse().unwrap()]).blocking_recv().is_none());
    assert_eq!(idle.ask("NOOP\r\n"), "250 a", "another address");
    assert!(fixture.relay.part(&[fixture.at.ip()]).blocking_recv().is_none(), "all threads are done");
    assert!(idle.line().starts_with("421 4.3.2 "));
    assert_eq!(idle.line(), "");
    assert_eq!(busy.ask("RCPT TO:<b@x>\r\n"), "250 a", "in the middle of a transaction there are no words");
}

#[test]
fn the_next_process_goes_on_with_the_same_sockets() {
    let fixture = plan(Smtp).serve(vec![smtp("a")]);
    let mut held = fixture.client();
    assert_eq!(held.line(), "220-a");
    let inherited: Vec<Inherited> = fixture.relay.sockets().unwrap().into_iter().map(|(_, socket)| socket).collect();
    assert_eq!(inherited.len(), 2);
    let next = Relay::start(&RelaySettings { threads: 3, ..RelaySettings::default() }, &world::World::real()).unwrap();
    assert_eq!(next.serve(fixture.setup.clone(), inherited).unwrap(), fixture.setup.service.listen);
    let next_accepted = || next.totals()[0].1.accepted;
    fixture.relay.drain(60_000);
    let before = next_accepted();
    // None is refused or reset, and in the end only the next one accepts.
    let mut rounds = 0;
    while next_accepted() < before + 20 {
        assert_eq!(fixture.client().line(), "220-a");
        rounds += 1;
        assert!(rounds < 10_000, "the next one gets nothing");
    }
    assert_eq!((held.line(), held.ask("NOOP\r\n")), ("220 ready".into(), "250 a".into()));
}

#[test]
fn a_service_changes_and_ends_without_hurting_its_connections() {
    let fixture = plan(Smtp).serve(vec![smtp("a")]);
    let mut before = fixture.client();
    assert_eq!((before.line(), before.line()), ("220-a".into(), "220 ready".into()));
    let mut service = Service::clone(&fixture.setup.service);
    service.limits.connections_max = 1;
    let changed = ServiceSetup { service: Arc::new(service), ..fixture.setup.clone() };
    assert_eq!(fixture.relay.serve(changed, Vec::new()).unwrap(), vec![fixture.at]);
    until(|| fixture.client().line().starts_with("421 4.3.2 mail.example no server"), || "no bound".into());
    assert_eq!(before.ask("NOOP\r\n"), "250 a");
    fixture.relay.close("mail");
    until(|| TcpStream::connect(fixture.at).is_err(), || "still listening".into());
    assert_eq!(before.ask("NOOP\r\n"), "250 a");
}
