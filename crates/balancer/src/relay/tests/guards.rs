//! Bounds, strangers and bad input.

use super::super::Reason;
use super::*;
use ServiceProtocol::{Http, Https, Imap, Imaps, Ldap, Pop3, Smtp, Submissions, Tcp};
use directory::IpRange;

fn refused(fixture: &Fixture, reason: Reason) -> u64 {
    fixture.totals().refused[reason.index()]
}

#[test]
fn who_has_enough_is_told() {
    let mut of_source = plan(Smtp);
    of_source.service.limits.connections_per_source_max = Some(1);
    let mut of_service = plan(Smtp);
    of_service.service.limits.connections_max = 1;
    for (plan, reason, is) in [
        (of_source, Reason::Source, "421 4.7.0 mail.example too many connections from your address"),
        (of_service, Reason::Connections, "421 4.3.2 mail.example no server can take mail now: too many connections"),
    ] {
        let fixture = plan.serve(vec![smtp("a")]);
        let mut first = fixture.client();
        assert_eq!(first.line(), "220-a");
        assert_eq!(fixture.client().line(), is);
        assert_eq!(refused(&fixture, reason), 1);
        drop(first);
        until(|| fixture.client().line() == "220-a", || "the place is not given back".into());
    }
}

#[test]
fn only_those_who_may_come_come() {
    let mut plan = plan(Smtp);
    plan.service.remote = Ranges(vec![IpRange::parse("192.0.2.0/24").unwrap()]);
    let fixture = plan.serve(vec![smtp("a")]);
    // Without a word.
    assert_eq!(fixture.client().rest(), b"");
    assert_eq!(refused(&fixture, Reason::NotAllowed), 1);
}

/// Behaviours 3.9, row 4: servers of the organization do not pass a balancer. Loopback is no server's address: an application on the node is none.
#[test]
fn own_servers_are_refused() {
    let mut plan = plan(Smtp);
    plan.own_servers = vec!["192.0.2.7".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let fixture = plan.serve(vec![smtp("a")]);
    assert_eq!(fixture.client().line(), "220-a");
    // The same behind another balancer that we trust: its header says who it is.
    let mut plan = super::plan(Smtp);
    plan.own_servers = vec!["192.0.2.7".parse().unwrap()];
    plan.trusted = Ranges(vec![IpRange::parse("127.0.0.1").unwrap()]);
    let fixture = plan.serve(vec![smtp("a")]);
    for (source, is) in
        [("192.0.2.7", "550 5.7.1 mail.example servers do not pass the balancer"), ("192.0.2.8", "220-a")]
    {
        assert_eq!(fixture.client().ask(&format!("PROXY TCP4 {source} 192.0.2.1 1 25\r\n")), is);
    }
    assert_eq!(refused(&fixture, Reason::OwnServer), 1);
}

#[test]
fn silence_ends() {
    let mut plan = plan(Smtp);
    plan.service.limits.idle_timeout_ms = 50;
    let fixture = plan.serve(vec![smtp("a")]);
    let mut client = fixture.client();
    assert_eq!((client.line(), client.line()), ("220-a".into(), "220 ready".into()));
    assert_eq!(client.line(), "421 4.4.2 mail.example idle for too long");
    assert_eq!(refused(&fixture, Reason::Idle), 1);
}

/// Whoever takes its time before a member is chosen is closed; the member never hears of it.
#[test]
fn who_never_begins_is_closed() {
    let name = |mut member: ServiceMember| {
        member.sni = vec!["mail.example".into()];
        member
    };
    for protocol in [Https, Smtp] {
        let mut plan = plan(protocol);
        plan.timing.opening_ms = 50;
        if protocol == Smtp {
            plan.trusted = Ranges(vec![IpRange::parse("127.0.0.1").unwrap()]);
        }
        let fixture = plan.serve(vec![name(smtp("a"))]);
        let mut slow: Vec<Client> = (0..20).map(|_| fixture.client()).collect();
        let first = if protocol == Smtp { "PROX" } else { "\x16\x03" };
        for client in &mut slow {
            client.say(first);
        }
        for client in &mut slow {
            assert_eq!(client.line(), "");
        }
        fixture.until(|totals| totals.active == 0);
        assert_eq!(fixture.totals().relayed, 0);
    }
}

/// Garbage on each port: it is passed to a member or closed, and the next client is served.
#[test]
fn garbage_hurts_nobody() {
    let garbage: Vec<Vec<u8>> = vec![
        vec![0; 100_000],
        vec![0xff; 3],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(),
        b"\x16\x03\x01\xff\xff\x01\xff\xff\xff".to_vec(),
        b"PROXY TCP4 x\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".repeat(1_000),
        b"BDAT 99999999999999999999999 LAST\r\nDATA\r\n\r\n\r\n".to_vec(),
    ];
    for protocol in [Smtp, Imap, Pop3, Http, Https, Imaps, Submissions, Ldap, Tcp] {
        let greeting = match protocol {
            Imap => "* OK hi\r\n",
            Pop3 => "+OK hi\r\n",
            _ => "220 hi\r\n",
        };
        let polite = member("a", move |mut client| {
            client.say(greeting);
            client.rest();
        });
        let fixture = plan(protocol).serve(vec![polite]);
        for bytes in &garbage {
            let mut client = fixture.client();
            // The other end may be gone before all is written.
            let _ = client.stream.get_mut().write_all(bytes);
            let _ = client.stream.get_mut().shutdown(Shutdown::Write);
            client.rest();
        }
        assert_eq!(fixture.client().line(), greeting.trim_end(), "{protocol:?}");
        fixture.until(|totals| totals.active == 0);
    }
}
