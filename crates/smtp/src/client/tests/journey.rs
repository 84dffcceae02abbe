use super::*;
use mail::Journey;

/// A letter that has been somewhere.
struct Traveller(Letter, Journey);

impl Outgoing for Traveller {
    fn from(&self) -> &ReversePath {
        self.0.from()
    }
    fn recipients(&self) -> usize {
        self.0.recipients()
    }
    fn recipient(&self, index: usize) -> &Recipient {
        self.0.recipient(index)
    }
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }
    fn body(&self) -> BodyKind {
        self.0.body()
    }
    fn smtputf8(&self) -> bool {
        self.0.smtputf8()
    }
    fn header_needs_utf8(&self) -> bool {
        self.0.header_needs_utf8()
    }
    fn ret(&self) -> Option<Ret> {
        self.0.ret()
    }
    fn envid(&self) -> Option<&str> {
        self.0.envid()
    }
    fn journey(&self) -> Option<&Journey> {
        Some(&self.1)
    }
}

/// What is said to a peer with these extensions about a letter that has been in `sites`, and what happens.
fn told(extensions: &str, sites: &[&str]) -> (String, bool) {
    let mut client: Client<Traveller> = Client::new(settings());
    client.receive(format!("220 peer.test\r\n250-peer.test\r\n250 {extensions}\r\n").as_bytes());
    while client.next_output().is_some() {}
    assert!(matches!(client.poll_event(), Some(Event::Ready)));
    let sites = sites.iter().map(|site| (*site).into()).collect();
    let journey = Journey { first_ms: 7, original_bytes: 9, sites, trusted: true };
    client.send(Traveller(letter(&["b@y.test"], "hi\r\n"), journey));
    let said = match client.next_output() {
        Some(Output::Text(text)) => String::from_utf8(text).unwrap(),
        _ => String::new(),
    };
    let refused = match client.poll_event() {
        Some(Event::Done(done)) => matches!(&done.outcomes[..], [Outcome::Never(reply)] if reply.code == 554),
        _ => false,
    };
    (said, refused)
}

#[test]
fn a_journey_is_told_to_servers_that_offer_to_hear_it() {
    assert_eq!(told("xposthouse", &["a", "b"]).0, "MAIL FROM:<a@x.test> XPOSTHOUSE=1,7,9,i,a,b\r\n");
    assert_eq!(told("8BITMIME", &["a", "b"]).0, "MAIL FROM:<a@x.test>\r\n");
    let everywhere = vec!["site-with-a-rather-long-name"; 40];
    assert_eq!(told("XPOSTHOUSE", &everywhere), (String::new(), true));
    assert_eq!(told("8BITMIME", &everywhere).0, "MAIL FROM:<a@x.test>\r\n");
}
