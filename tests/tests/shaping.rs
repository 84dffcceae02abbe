//! Shaping with a real name server (bind) and next hops that count: domains that share a provider's MX hosts share its bounds, and what leads
//! elsewhere is not slowed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tests::eventually;
use tests::named::Named;
use tests::process::Node;
use tests::wire::Wire;

const ZONE: &str = "$TTL 60
@ IN SOA ns.example. root.example. 1 3600 600 86400 60
@ IN NS ns.example.
ns IN A 127.0.0.1
*.hosted IN MX 10 mx.provider
mx.provider IN A 127.0.0.3
*.paced IN MX 10 mx.slow
mx.slow IN A 127.0.0.4
*.shy IN MX 10 mx.picky
mx.picky IN A 127.0.0.5
*.free IN MX 10 mx.free
mx.free IN A 127.0.0.6
";

const ORG: &str = "postmaster = \"postmaster@home.test\"\n\
    [[accepted_domain]]\nname = \"home.test\"\ndeliver = \"maildir\"\n\
    [[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:@SMTP@\"]\nremote = [\"127.0.0.0/8\"]\npermissions = [\"relay\"]\nmessage_rate_per_minute = 0\n\
    [[send_connector]]\nname = \"internet\"\nmx = true\nport = @SUBMISSION@\n\
    [[destination]]\nname = \"provider\"\nmx = [\"*.provider.example\"]\nconnections_max = 3\nmessages_per_connection = 5\nrecipients_per_message = 2\n\
    [[destination]]\nname = \"slow\"\nmx = [\"mx.slow.example\"]\nmessage_rate_per_minute = 120\n\
    [[destination]]\nname = \"picky\"\nmx = [\"*.picky.example\"]\nconnections_max = 8\ncooldown = \"1m\"\n\
    [retry]\nglitch_interval = \"1s\"\nmessage_retry_interval = \"1s\"\n";

/// What a next hop has seen.
#[derive(Default)]
struct Seen {
    open: usize,
    open_most: usize,
    connections: usize,
    /// Messages, when and over which connection.
    messages: Vec<(Instant, usize)>,
    recipients_most: usize,
    domains: HashMap<String, usize>,
}

/// A next hop that takes everything, each message in `slowness`; with more connections than `welcome` it says 421 4.7.0.
fn sink(address: &str, port: u16, slowness: Duration, welcome: usize) -> Arc<Mutex<Seen>> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (listener, shared) = (TcpListener::bind((address, port)).unwrap(), seen.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let number = {
                    let mut seen = shared.lock().unwrap();
                    seen.connections += 1;
                    seen.open += 1;
                    seen.open_most = seen.open_most.max(seen.open);
                    if seen.open > welcome { None } else { Some(seen.connections) }
                };
                // The other end may go away at any time.
                let _ = talk(&stream.unwrap(), number, slowness, Open(shared));
            });
        }
    });
    seen
}

/// An open connection, until it is dropped.
struct Open(Arc<Mutex<Seen>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().unwrap().open -= 1;
    }
}

fn talk(mut stream: &TcpStream, number: Option<usize>, slowness: Duration, open: Open) -> std::io::Result<()> {
    let Some(number) = number else {
        drop(open);
        return stream.write_all(b"421 4.7.0 too many connections, slow down\r\n");
    };
    stream.write_all(b"220 sink\r\n")?;
    let (mut recipients, mut in_body, mut domain) = (0, false, String::new());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match line.to_ascii_uppercase() {
            _ if in_body && line != "." => continue,
            _ if in_body => {
                in_body = false;
                std::thread::sleep(slowness);
                let mut seen = open.0.lock().unwrap();
                seen.messages.push((Instant::now(), number));
                seen.recipients_most = seen.recipients_most.max(std::mem::take(&mut recipients));
                *seen.domains.entry(domain.clone()).or_default() += 1;
                "250 2.0.0 taken"
            }
            verb if verb.starts_with("EHLO") => "250-sink\r\n250 PIPELINING",
            verb if verb.starts_with("RCPT") => {
                recipients += 1;
                domain = line.split_once('@').unwrap_or_default().1.trim_end_matches('>').to_string();
                "250 2.1.5 ok"
            }
            verb if verb == "DATA" => {
                in_body = true;
                "354 go on"
            }
            verb if verb == "QUIT" => {
                // Once it has read the answer, the node may connect again.
                drop(open);
                return stream.write_all(b"221 2.0.0 bye\r\n");
            }
            _ => "250 2.0.0 ok",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

struct Stage {
    node: Node,
    _named: Named,
}

fn stage() -> Stage {
    let named = Named::start(ZONE);
    let mut node = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
    // `@SUBMISSION@` is the port of all next hops: the node itself does not listen there.
    let ports = [("@SMTP@", node.smtp), ("@SUBMISSION@", node.submission)];
    let org = ports.iter().fold(ORG.to_string(), |text, (mark, port)| text.replace(mark, &port.to_string()));
    fs::write(node.dir.join("org.toml"), org).unwrap();
    fs::write(
        node.dir.join("posthouse.toml"),
        format!("name = \"relay.test\"\n[dns]\nservers = [\"127.0.0.1:{}\"]\n", named.port),
    )
    .unwrap();
    node.start();
    Stage { node, _named: named }
}

impl Stage {
    /// Hands in a message for each list of recipients, over one connection.
    fn send(&self, messages: impl IntoIterator<Item = Vec<String>>) {
        let mut wire = Wire::connect(self.node.smtp);
        wire.reply();
        wire.command("EHLO application.example");
        for recipients in messages {
            let mut commands = vec!["MAIL FROM:<alice@home.test>".to_string()];
            commands.extend(recipients.iter().map(|to| format!("RCPT TO:<{to}>")));
            commands.extend(["DATA".into(), "Subject: shaped\r\n\r\nbody\r\n.".into()]);
            for command in commands {
                let said = wire.command(&command);
                assert!(said.starts_with('2') || said.starts_with('3'), "{command}: {said}");
            }
        }
    }

    /// How long a message to a domain that no destination matches takes.
    fn free_way(&self, free: &Mutex<Seen>) -> Duration {
        let (before, began) = (free.lock().unwrap().messages.len(), Instant::now());
        self.send([vec!["someone@x.free.example".to_string()]]);
        eventually("what leads elsewhere goes on", Duration::from_secs(10), || {
            free.lock().unwrap().messages.len() > before
        });
        began.elapsed()
    }
}

#[test]
fn domains_of_one_provider_share_its_connections() {
    let stage = stage();
    let port = stage.node.submission;
    let provider = sink("127.0.0.3", port, Duration::from_millis(40), 100);
    let free = sink("127.0.0.6", port, Duration::ZERO, 100);
    let to = |number: usize| vec![format!("user@d{}.hosted.example", number % 6)];
    stage.send((0..90).map(to));
    stage.send([(0..5).map(|number| format!("user{number}@d0.hosted.example")).collect()]);
    assert!(stage.free_way(&free) < Duration::from_secs(2));
    let total = 90 + 3;
    eventually("all arrive", Duration::from_secs(30), || provider.lock().unwrap().messages.len() == total);
    let seen = provider.lock().unwrap();
    assert_eq!(seen.open_most, 3, "connections at once");
    assert_eq!(seen.recipients_most, 2, "recipients in one transaction");
    let mut over: HashMap<usize, usize> = HashMap::new();
    seen.messages.iter().for_each(|(_, connection)| *over.entry(*connection).or_default() += 1);
    assert_eq!(over.values().max(), Some(&5), "messages over one connection");
    assert_eq!(seen.domains.len(), 6);
}

#[test]
fn a_rate_is_kept_and_who_waits_holds_no_connection() {
    let stage = stage();
    let port = stage.node.submission;
    let slow = sink("127.0.0.4", port, Duration::ZERO, 100);
    let free = sink("127.0.0.6", port, Duration::ZERO, 100);
    stage.send((0..34).map(|number| vec![format!("user@d{}.paced.example", number % 4)]));
    // 120 a minute: twenty at once, then ten as soon as there are tokens for ten.
    eventually("the first ones go at once", Duration::from_secs(15), || slow.lock().unwrap().messages.len() >= 20);
    eventually("who waits has no connection", Duration::from_secs(3), || slow.lock().unwrap().open == 0);
    let list = stage.node.verb(&["queue", "list"]).1;
    assert!(list.contains("held back: destination slow gets 120 messages in a minute"), "{list}");
    let queues = stage.node.json(&["queue", "list"]);
    let held: Vec<_> =
        queues["queues"].as_array().unwrap().iter().filter(|queue| queue["held_back"].is_string()).collect();
    assert!(!held.is_empty() && held.iter().any(|queue| queue["next_retry"].is_string()), "{queues:#}");
    assert!(stage.node.get("/metrics").1.contains("posthouse_destination_waiting_queues{destination=\"slow\"} "));
    assert!(stage.free_way(&free) < Duration::from_secs(2));
    eventually("all arrive", Duration::from_secs(30), || slow.lock().unwrap().messages.len() == 34);
    let seen = slow.lock().unwrap();
    let times: Vec<Instant> = seen.messages.iter().map(|(at, _)| *at).collect();
    let pause = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(pause > Duration::from_secs(4), "ten tokens take six seconds: {pause:?}");
    // A bucket of twenty tokens, filled with 101 a minute; the sink sees them a moment later.
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            let most = 20.0 + 101.0 / 60.0 * (*to - *from).as_secs_f64() + 3.0;
            assert!((last - first + 1) as f64 <= most, "{} in {:?}", last - first + 1, *to - *from);
        }
    }
}

#[test]
fn an_answer_that_asks_for_less_is_heard() {
    let stage = stage();
    let picky = sink("127.0.0.5", stage.node.submission, Duration::from_millis(30), 2);
    stage.send((0..60).map(|number| vec![format!("user@d{}.shy.example", number % 8)]));
    eventually("all arrive", Duration::from_secs(60), || picky.lock().unwrap().messages.len() == 60);
    assert!(picky.lock().unwrap().open_most > 2, "it was asked for too much first");
    let metrics = stage.node.get("/metrics").1;
    let most = metrics
        .lines()
        .find_map(|line| line.strip_prefix("posthouse_destination_connections_max{destination=\"picky\"} "));
    assert!(most.is_some_and(|most| most.parse::<u32>().unwrap() <= 4), "{most:?}\n{metrics}");
    assert!(stage.node.log().contains("the destination asks for less"), "{}", stage.node.log());
}
