//! Bytes, both ways, and their ends.

use super::*;
use ServiceProtocol::{Smtp, Tcp};
use smtp::proxy::{Parsed, parse};

/// Bytes that do not repeat soon.
fn noise(count: usize) -> Vec<u8> {
    let mut x = 1_u32;
    let next = |x: &mut u32| {
        *x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*x >> 24) as u8
    };
    (0..count).map(|_| next(&mut x)).collect()
}

/// Sends back all that it gets, when it has all of it.
fn echo(name: &str) -> ServiceMember {
    member(name, |mut client| {
        let all = client.rest();
        client.stream.get_mut().write_all(&all).unwrap();
    })
}

#[test]
fn each_way_ends_for_itself() {
    let fixture = plan(Tcp).serve(vec![echo("echo")]);
    let mut client = fixture.client();
    client.say("one ");
    client.say("two");
    client.end();
    assert_eq!(client.rest(), b"one two");
    // The other way round: the member ends first and still listens.
    let (heard, hears) = std::sync::mpsc::channel();
    let heard = Arc::new(std::sync::Mutex::new(heard));
    let first = member("first", move |mut client| {
        client.say("all there is");
        client.end();
        heard.lock().unwrap().send(client.rest()).unwrap();
    });
    let fixture = plan(Tcp).serve(vec![first]);
    let mut client = fixture.client();
    assert_eq!(client.rest(), b"all there is");
    client.say("thanks");
    drop(client);
    assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), b"thanks");
    fixture.until(|totals| totals.active == 0);
}

#[test]
fn bulk_arrives_whole_whoever_is_slow() {
    let fixture = plan(Tcp).serve(vec![echo("echo")]);
    let sent = noise(12 << 20);
    let mut client = fixture.client();
    let mut writer = client.stream.get_ref().try_clone().unwrap();
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        // Pieces of all sizes, so that both copying and splicing are used.
        let mut rest = &bytes[..];
        let mut size = 1;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(size));
            writer.write_all(now).unwrap();
            (rest, size) = (later, size * 3 % 700_001 + 1);
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    let mut piece = vec![0; 70_001];
    loop {
        // The reader takes its time now and then: the way has to wait for it.
        match client.stream.read(&mut piece).unwrap() {
            0 => break,
            count => got.extend_from_slice(&piece[..count]),
        }
        if got.len() % 7 == 0 {
            std::thread::yield_now();
        }
    }
    writing.join().unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    drop(client);
    fixture.until(|totals| totals.active == 0);
    let shown = &fixture.setup.pool.shown(0)[0];
    assert_eq!((shown.up_bytes, shown.down_bytes), (sent.len() as u64, sent.len() as u64));
}

/// Whoever does not read stops whoever writes: nothing piles up in between but what the kernel's buffers hold.
#[test]
fn a_reader_that_stops_stops_the_writer() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(wait));
    let stuck = member("stuck", move |mut client| {
        let _ = wait.lock().unwrap().recv();
        client.rest();
    });
    let fixture = plan(Tcp).serve(vec![stuck]);
    let client = fixture.client();
    let mut stream = client.stream.get_ref().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = noise(1 << 20);
    let mut sent = 0;
    while let Ok(count) = stream.write(&piece) {
        sent += count;
        assert!(sent < 256 << 20, "somebody keeps it all");
    }
    release.send(()).unwrap();
    drop((client, stream));
    fixture.until(|totals| totals.active == 0);
}

#[test]
fn a_member_that_closes_in_the_middle_is_heard_first() {
    let rude = member("rude", |mut client| {
        client.say("220 hub\r\n");
        client.line();
        client.say("421 4.7.0 no more\r\n");
    });
    let fixture = plan(Smtp).serve(vec![rude]);
    let mut client = fixture.client();
    assert_eq!(client.line(), "220 hub");
    assert_eq!((client.ask("EHLO x\r\n"), client.rest()), ("421 4.7.0 no more".into(), Vec::new()));
}

/// The member that gets a header reads it and says who the client is.
fn names_client(proxy: ProxyHeader, greets: bool) -> ServiceMember {
    proxied("named", proxy, move |mut client| {
        let mut seen = Vec::new();
        let header = loop {
            let mut byte = [0; 1];
            client.stream.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
            match parse(&seen) {
                Parsed::Header(header) => break header,
                Parsed::Incomplete => {}
                other => panic!("{other:?}: {}", seen.escape_ascii()),
            }
        };
        let (source, destination) = header.addresses.unwrap();
        client.say(&format!("220 {source} {destination}\r\n"));
        if greets {
            speak_smtp("named", client);
        } else {
            let line = client.line();
            client.say(&format!("{line}\r\n"));
        }
    })
}

#[test]
fn members_learn_who_the_client_is() {
    for proxy in [ProxyHeader::V1, ProxyHeader::V2] {
        for protocol in [Smtp, Tcp] {
            let fixture = plan(protocol).serve(vec![names_client(proxy, protocol == Smtp)]);
            let mut client = fixture.client();
            if protocol == Tcp {
                client.say("first\r\n");
            }
            assert_eq!(client.line(), format!("220 {} {}", client.address(), fixture.at));
            let next = client.line();
            assert_eq!(next, if protocol == Tcp { "first" } else { "220-named" });
        }
    }
}

#[test]
fn a_header_is_believed_from_those_who_are_trusted() {
    let header = "PROXY TCP4 192.0.2.9 192.0.2.1 4000 25\r\n";
    // A stranger's header is passed on as what it is: bytes.
    let fixture = plan(Tcp).serve(vec![echo("echo")]);
    let mut client = fixture.client();
    client.say(header);
    client.end();
    assert_eq!(client.rest(), header.as_bytes());
    // A trusted proxy's is taken off, in however many pieces it comes.
    let mut plan = plan(Smtp);
    plan.trusted = Ranges(vec![directory::IpRange::parse("127.0.0.0/8").unwrap()]);
    let fixture = plan.serve(vec![names_client(ProxyHeader::V2, true)]);
    let mut client = fixture.client();
    for piece in header.as_bytes().chunks(9) {
        client.say(std::str::from_utf8(piece).unwrap());
    }
    assert_eq!(client.line(), "220 192.0.2.9:4000 192.0.2.1:25");
    // And whoever is trusted and sends none is not served.
    let mut client = fixture.client();
    assert_eq!(client.ask("EHLO x, and something that is no header\r\n"), "");
}
