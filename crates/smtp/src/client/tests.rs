//! Dialogs with the machine: what it writes, what it hears, what comes of it.

use super::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use mail::{BodyKind, Mailbox, Recipient, Ret, ReversePath};
use proptest::prelude::*;

mod journey;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Letter {
    from: ReversePath,
    to: Vec<Recipient>,
    body: &'static str,
    kind: BodyKind,
    utf8: bool,
}

impl Outgoing for Letter {
    fn from(&self) -> &ReversePath {
        &self.from
    }
    fn recipients(&self) -> usize {
        self.to.len()
    }
    fn recipient(&self, index: usize) -> &Recipient {
        &self.to[index]
    }
    fn size_bytes(&self) -> u64 {
        self.body.len() as u64
    }
    fn body(&self) -> BodyKind {
        self.kind
    }
    fn smtputf8(&self) -> bool {
        self.utf8
    }
    fn header_needs_utf8(&self) -> bool {
        !self.body.is_ascii()
    }
    fn ret(&self) -> Option<Ret> {
        None
    }
    fn envid(&self) -> Option<&str> {
        None
    }
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).expect("a valid address")
}

fn letter(to: &[&str], body: &'static str) -> Letter {
    Letter {
        from: ReversePath::Mailbox(mailbox("a@x.test")),
        to: to.iter().map(|to| Recipient::new(mailbox(to))).collect(),
        body,
        kind: BodyKind::SevenBit,
        utf8: false,
    }
}

fn settings() -> Settings {
    Settings {
        protocol: Protocol::Smtp,
        hello: "me.test".into(),
        start_tls: StartTls::IfOffered,
        credentials: None,
        in_flight_max: 4,
        eager_bytes_max: 100,
    }
}

/// All that the machine writes now, bodies included.
fn said(client: &mut Client<Letter>) -> String {
    let mut out = Vec::new();
    while let Some(output) = client.next_output() {
        match output {
            Output::Text(text) => out.extend_from_slice(&text),
            body => {
                let bytes = client.sending().expect("a body is named").body.as_bytes();
                let mut stuffer = Stuffer::new();
                match body {
                    Output::Dotted => stuffer.part(bytes, |range| out.extend_from_slice(&bytes[range])),
                    _ => out.extend_from_slice(bytes),
                }
                client.body_sent(stuffer.end());
            }
        }
    }
    String::from_utf8(out).expect("tests write UTF-8")
}

/// The peer says this; what the machine says to it.
fn hear(client: &mut Client<Letter>, text: &str) -> String {
    client.receive(text.as_bytes());
    said(client)
}

/// What happened, in short.
fn events(client: &mut Client<Letter>) -> Vec<String> {
    core::iter::from_fn(|| client.poll_event()).map(|event| describe(&event)).collect()
}

fn describe(event: &Event<Letter>) -> String {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Accepted(reply) => format!("accepted {reply}"),
        Outcome::Later(reply) => format!("later {reply}"),
        Outcome::Never(reply) => format!("never {reply}"),
        Outcome::Uncertain(reply) => format!("uncertain {reply}"),
    };
    match event {
        Event::Done(done) => done.outcomes.iter().map(of).collect::<Vec<_>>().join(" | "),
        Event::Returned(letter) => format!("returned {}", letter.to[0].address),
        Event::Over(ending) => format!("over: {ending}"),
        Event::Ready => "ready".into(),
        Event::StartTls => "start TLS".into(),
    }
}

/// A session that is open with a peer that offers `extensions`.
fn open(settings: Settings, extensions: &[&str]) -> Client<Letter> {
    let mut client = Client::new(settings);
    assert_eq!(said(&mut client), "");
    let hello = hear(&mut client, "220 peer.test\r\n");
    assert!(hello.ends_with("LO me.test\r\n"), "{hello}");
    let mut lines = vec!["peer.test"];
    lines.extend_from_slice(extensions);
    let last = lines.pop().expect("at least one");
    let answer: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
    assert_eq!(hear(&mut client, &format!("{answer}250 {last}\r\n")), "");
    assert_eq!(events(&mut client), ["ready"]);
    client
}

#[test]
fn one_command_at_a_time_without_pipelining() {
    let mut client = open(settings(), &[]);
    assert_eq!(client.wants(), 1);
    client.send(letter(&["b@y.test", "c@y.test"], "hi\r\n.dot\r\n"));
    assert_eq!(client.wants(), 0);
    assert_eq!(said(&mut client), "MAIL FROM:<a@x.test>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "RCPT TO:<b@y.test>\r\n");
    assert_eq!(hear(&mut client, "550 5.1.1 no\r\n"), "RCPT TO:<c@y.test>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "DATA\r\n");
    assert_eq!(hear(&mut client, "354 go\r\n"), "hi\r\n..dot\r\n.\r\n");
    assert_eq!(hear(&mut client, "250 2.0.0 got it\r\n"), "");
    assert_eq!(events(&mut client), ["never 550 5.1.1 no | accepted 250 2.0.0 got it"]);
    client.quit();
    assert_eq!(said(&mut client), "QUIT\r\n");
    assert_eq!(hear(&mut client, "221 bye\r\n"), "");
    assert_eq!(events(&mut client), ["over: we said QUIT"]);
}

#[test]
fn a_refused_sender_or_no_recipient_costs_no_data() {
    let mut client = open(settings(), &[]);
    client.send(letter(&["b@y.test"], "hi\r\n"));
    assert_eq!(said(&mut client), "MAIL FROM:<a@x.test>\r\n");
    assert_eq!(hear(&mut client, "553 5.1.8 no\r\n"), "");
    client.send(letter(&["b@y.test"], "hi\r\n"));
    assert_eq!(said(&mut client), "MAIL FROM:<a@x.test>\r\n", "no transaction was open: no RSET");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "RCPT TO:<b@y.test>\r\n");
    assert_eq!(hear(&mut client, "450 4.2.1 not now\r\n"), "");
    assert_eq!(events(&mut client), ["never 553 5.1.8 no", "later 450 4.2.1 not now"]);
    client.send(letter(&["b@y.test"], "hi\r\n"));
    assert_eq!(said(&mut client), "RSET\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "MAIL FROM:<a@x.test>\r\n");
}

#[test]
fn with_pipelining_the_next_envelope_follows_the_dot() {
    let mut client = open(settings(), &["PIPELINING", "SIZE 1000", "8BITMIME"]);
    assert_eq!(client.wants(), 2);
    client.send(letter(&["b@y.test", "c@y.test"], "one"));
    client.send(letter(&["d@y.test"], "two\r\n"));
    assert_eq!(client.wants(), 0);
    assert_eq!(
        said(&mut client),
        "MAIL FROM:<a@x.test> SIZE=3\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n"
    );
    assert_eq!(
        hear(&mut client, "250 ok\r\n250 ok\r\n452 4.2.2 full\r\n354 go\r\n"),
        "one\r\n.\r\nMAIL FROM:<a@x.test> SIZE=5\r\nRCPT TO:<d@y.test>\r\nDATA\r\n"
    );
    assert_eq!(hear(&mut client, "250 got one\r\n250 ok\r\n250 ok\r\n354 go\r\n"), "two\r\n.\r\n");
    assert_eq!(hear(&mut client, "554 5.6.0 bad\r\n"), "");
    assert_eq!(events(&mut client), ["accepted 250 got one | later 452 4.2.2 full", "never 554 5.6.0 bad"]);
}

#[test]
fn a_peer_that_wants_a_message_for_nobody_gets_an_empty_one() {
    let mut client = open(settings(), &["PIPELINING"]);
    client.send(letter(&["b@y.test"], "one\r\n"));
    said(&mut client);
    assert_eq!(hear(&mut client, "250 ok\r\n550 no\r\n354 go\r\n"), ".\r\n");
    assert_eq!(hear(&mut client, "250 taken\r\n"), "");
    assert_eq!(events(&mut client), ["never 550 no"], "what it says about nobody's message counts for nobody");
    client.send(letter(&["b@y.test"], "two\r\n"));
    assert_eq!(said(&mut client), "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n");
}

#[test]
fn a_refused_data_leaves_the_transaction_open() {
    let mut client = open(settings(), &["PIPELINING"]);
    client.send(letter(&["b@y.test"], "one\r\n"));
    client.send(letter(&["c@y.test"], "two\r\n"));
    said(&mut client);
    assert_eq!(
        hear(&mut client, "250 ok\r\n250 ok\r\n451 4.3.0 later\r\n"),
        "RSET\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<c@y.test>\r\nDATA\r\n"
    );
    assert_eq!(events(&mut client), ["later 451 4.3.0 later"]);
}

#[test]
fn with_chunking_several_messages_are_in_flight() {
    let mut client = open(settings(), &["PIPELINING", "CHUNKING"]);
    assert_eq!(client.wants(), 4);
    client.send(letter(&["b@y.test"], "one\r\n"));
    client.send(letter(&["c@y.test"], ".two"));
    assert_eq!(
        said(&mut client),
        "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nBDAT 5 LAST\r\none\r\n\
         RSET\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<c@y.test>\r\nBDAT 4 LAST\r\n.two"
    );
    assert_eq!(hear(&mut client, "250 ok\r\n550 no\r\n554 no valid recipients\r\n"), "");
    assert_eq!(hear(&mut client, "250 reset\r\n250 ok\r\n250 ok\r\n250 got two\r\n"), "");
    assert_eq!(events(&mut client), ["never 550 no", "accepted 250 got two"]);
}

#[test]
fn a_large_body_waits_for_its_recipients() {
    const LARGE: &str =
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789x";
    let mut client = open(settings(), &["PIPELINING", "CHUNKING"]);
    client.send(letter(&["b@y.test"], LARGE));
    assert_eq!(said(&mut client), "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n"), "");
    assert_eq!(hear(&mut client, "250 ok\r\n"), format!("BDAT 101 LAST\r\n{LARGE}"));
}

#[test]
fn lost_after_the_dot_is_uncertain_and_the_next_one_untouched() {
    let mut client = open(settings(), &["PIPELINING"]);
    client.send(letter(&["b@y.test", "c@y.test"], "one\r\n"));
    client.send(letter(&["d@y.test"], "two\r\n"));
    said(&mut client);
    hear(&mut client, "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n");
    assert_eq!(client.awaits(), Some(Stage::DataEnd));
    client.lost(Loss::TimedOut);
    assert_eq!(
        events(&mut client),
        [
            "uncertain 451 4.4.2 timed out while waiting for the answer to the message | never 550 no",
            "returned d@y.test",
            "over: timed out"
        ]
    );
    client.receive(b"250 too late\r\n");
    assert_eq!((said(&mut client).as_str(), events(&mut client).len(), client.wants()), ("", 0, 0));
}

#[test]
fn lost_before_the_dot_is_later() {
    let mut client = open(settings(), &["PIPELINING"]);
    client.send(letter(&["b@y.test"], "one\r\n"));
    said(&mut client);
    client.lost(Loss::Closed);
    assert_eq!(events(&mut client), ["later 451 4.4.2 connection lost while sending MAIL", "over: connection lost"]);
}

#[test]
fn closing_by_421_defers_one_and_returns_the_others() {
    let mut client = open(settings(), &["PIPELINING", "CHUNKING"]);
    client.send(letter(&["b@y.test"], "one\r\n"));
    client.send(letter(&["c@y.test"], "two\r\n"));
    said(&mut client);
    hear(&mut client, "250 ok\r\n250 ok\r\n421 4.3.2 closing\r\n");
    assert_eq!(
        events(&mut client),
        ["later 421 4.3.2 closing", "returned c@y.test", "over: closed by the peer: 421 4.3.2 closing"]
    );
    let mut idle = open(settings(), &[]);
    hear(&mut idle, "421 4.4.2 idle too long\r\n");
    assert_eq!(events(&mut idle), ["over: closed by the peer: 421 4.4.2 idle too long"]);
}

#[test]
fn lmtp_answers_each_recipient_after_the_dot() {
    let mut client = open(Settings { protocol: Protocol::Lmtp, ..settings() }, &["PIPELINING", "CHUNKING"]);
    client.send(letter(&["b@y.test", "c@y.test", "d@y.test"], "one\r\n"));
    assert!(said(&mut client).ends_with("DATA\r\n"));
    assert_eq!(hear(&mut client, "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"), "one\r\n.\r\n");
    assert_eq!(hear(&mut client, "552 5.2.2 full\r\n"), "");
    assert_eq!(events(&mut client), [""; 0]);
    hear(&mut client, "250 kept\r\n");
    assert_eq!(events(&mut client), ["never 552 5.2.2 full | never 550 no | accepted 250 kept"]);
}

#[test]
fn clear_text_behind_starttls_is_dropped() {
    let mut client: Client<Letter> = Client::new(settings());
    hear(&mut client, "220 peer.test\r\n");
    assert_eq!(hear(&mut client, "250-peer.test\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"), "STARTTLS\r\n");
    assert_eq!(hear(&mut client, "220 go\r\n250-evil\r\n250 PIPELINING\r\n"), "");
    assert_eq!(hear(&mut client, "250 more evil\r\n"), "");
    assert_eq!(events(&mut client), ["start TLS"]);
    client.tls_started();
    assert_eq!(said(&mut client), "EHLO me.test\r\n");
    assert_eq!(hear(&mut client, "250-peer.test\r\n250 STARTTLS\r\n"), "");
    assert_eq!(events(&mut client), ["ready"]);
    assert_eq!((client.capabilities().auth_plain, client.capabilities().pipelining), (false, false));
}

#[test]
fn what_tls_is_required_for_never_goes_in_clear() {
    let required = Settings { start_tls: StartTls::Required, ..settings() };
    let mut client: Client<Letter> = Client::new(required.clone());
    hear(&mut client, "220 peer.test\r\n");
    assert_eq!(hear(&mut client, "250 peer.test\r\n"), "");
    assert_eq!(events(&mut client), ["over: TLS is required and is not offered"]);
    let mut client: Client<Letter> = Client::new(required);
    hear(&mut client, "220 peer.test\r\n");
    hear(&mut client, "250-peer.test\r\n250 STARTTLS\r\n");
    hear(&mut client, "454 4.7.0 not now\r\n");
    assert_eq!(events(&mut client), ["over: TLS is required and was refused: 454 4.7.0 not now"]);
    let mut client: Client<Letter> = Client::new(settings());
    hear(&mut client, "220 peer.test\r\n");
    hear(&mut client, "250-peer.test\r\n250 STARTTLS\r\n");
    hear(&mut client, "454 4.7.0 not now\r\n");
    assert_eq!(events(&mut client), ["ready"]);
    assert_eq!(client.tls_refused().map(|reply| reply.code), Some(454));
}

#[test]
fn a_password_is_never_told_in_clear() {
    let credentials = Some(Credentials { username: "me".into(), password: "secret".into() });
    for start_tls in [StartTls::Never, StartTls::IfOffered] {
        let mut client: Client<Letter> =
            Client::new(Settings { credentials: credentials.clone(), start_tls, ..settings() });
        hear(&mut client, "220 peer.test\r\n");
        assert_eq!(hear(&mut client, "250-peer.test\r\n250 AUTH LOGIN PLAIN\r\n"), "");
        assert_eq!(events(&mut client), ["over: AUTH PLAIN under TLS is not offered"]);
    }
    let mut client: Client<Letter> = Client::new(Settings { credentials, ..settings() });
    hear(&mut client, "220 peer.test\r\n");
    assert_eq!(hear(&mut client, "250-peer.test\r\n250-STARTTLS\r\n250 AUTH LOGIN PLAIN\r\n"), "STARTTLS\r\n");
    hear(&mut client, "220 go\r\n");
    client.tls_started();
    said(&mut client);
    let auth = hear(&mut client, "250-peer.test\r\n250 AUTH LOGIN PLAIN\r\n");
    assert_eq!(auth, "AUTH PLAIN AG1lAHNlY3JldA==\r\n");
    assert_eq!(hear(&mut client, "334 \r\n"), "AG1lAHNlY3JldA==\r\n");
    assert_eq!(hear(&mut client, "535 5.7.8 no\r\n"), "");
    assert_eq!(events(&mut client), ["start TLS", "over: refused while authenticating: 535 5.7.8 no"]);
}

#[test]
fn an_old_server_is_greeted_with_helo_and_a_closed_one_not_at_all() {
    let mut client: Client<Letter> = Client::new(settings());
    hear(&mut client, "220 old\r\n");
    assert_eq!(hear(&mut client, "502 what\r\n"), "HELO me.test\r\n");
    hear(&mut client, "250 old\r\n");
    assert_eq!(events(&mut client), ["ready"]);
    let mut client: Client<Letter> = Client::new(settings());
    assert_eq!(hear(&mut client, "554 go away\r\n"), "");
    assert_eq!(events(&mut client), ["over: refused while waiting for the greeting: 554 go away"]);
}

#[test]
fn what_the_peer_cannot_take_is_not_sent() {
    let mut client = open(settings(), &["SIZE 4", "PIPELINING"]);
    client.send(letter(&["b@y.test"], "12345"));
    assert!(events(&mut client)[0].starts_with("never 552 5.3.4"));
    client.send(letter(&["b@y.test", "j\u{f6}rg@y.test"], "1234"));
    assert_eq!(said(&mut client), "MAIL FROM:<a@x.test> SIZE=4\r\nRCPT TO:<b@y.test>\r\nDATA\r\n");
    hear(&mut client, "250 ok\r\n250 ok\r\n354 go\r\n");
    hear(&mut client, "250 got it\r\n");
    let done = events(&mut client);
    assert!(done[0].starts_with("accepted 250 got it | never 550 5.6.7"), "{done:?}");
    client.send(Letter { utf8: true, ..letter(&["b@y.test"], "\u{f6}") });
    assert!(events(&mut client)[0].starts_with("never 554 5.6.9"));
    client.send(Letter { kind: BodyKind::BinaryMime, ..letter(&["b@y.test"], "x") });
    assert!(events(&mut client)[0].starts_with("never 554 5.6.3"));
    assert_eq!(said(&mut client), "");
}

#[test]
fn an_answer_to_nothing_ends_the_session() {
    let mut client = open(settings(), &[]);
    hear(&mut client, "250 hello again\r\n");
    assert_eq!(events(&mut client), ["over: peer answered when nothing was asked: 250 hello again"]);
    client.send(letter(&["b@y.test"], "x"));
    assert_eq!(events(&mut client), ["returned b@y.test"]);
}

/// A peer that answers each command by its line number; `refuse` picks those that it refuses.
struct Peer {
    refuse: u64,
    commands: u32,
    in_body: bool,
    skip: usize,
}

impl Peer {
    /// Answers to what the client said.
    fn answer(&mut self, text: &str) -> String {
        let mut answers = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            if self.skip > 0 {
                let count = self.skip.min(rest.len());
                (self.skip, rest) = (self.skip - count, &rest[count..]);
                continue;
            }
            let (line, tail) = rest.split_once("\r\n").unwrap_or((rest, ""));
            rest = tail;
            if self.in_body && line != "." {
                continue;
            }
            self.commands += 1;
            let refused = self.refuse >> (self.commands % 64) & 1 == 1;
            let answer = match line.split(' ').next().unwrap_or_default() {
                "RSET" => "250 2.0.0 reset",
                "DATA" if !refused => "354 go",
                "BDAT" => {
                    self.skip = line.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
                    if refused { "554-5.6.0 no\r\n554 5.6.0 never" } else { "250-2.0.0 taken\r\n250 2.0.0 over" }
                }
                _ if refused && self.commands.is_multiple_of(2) => "450-4.2.0 not\r\n450 4.2.0 now",
                _ if refused => "550 5.1.1 no",
                _ => "250 2.0.0 ok",
            };
            self.in_body = answer == "354 go";
            answers.push_str(answer);
            answers.push_str("\r\n");
        }
        answers
    }
}

/// Six messages over one session whose answers are cut at `cuts`; all that was said and all that happened.
fn session(extensions: &[&str], refuse: u64, cuts: &[usize]) -> (String, Vec<String>) {
    let mut client = open(settings(), extensions);
    let mut peer = Peer { refuse, commands: 0, in_body: false, skip: 0 };
    let mut waiting: Vec<Letter> = (0..6)
        .map(|n| {
            letter(
                &[&format!("b{n}@y.test"), &format!("c{n}@y.test")],
                ["..\r\n", "body", "", "a\r\n.\r\nb", "x", "y\r\n"][n],
            )
        })
        .collect();
    let (mut log, mut happened) = (String::new(), Vec::new());
    let mut cuts = cuts.iter().cycle();
    loop {
        while client.wants() > 0 && !waiting.is_empty() {
            client.send(waiting.remove(0));
        }
        let text = said(&mut client);
        log.push_str(&text);
        happened.extend(events(&mut client));
        let answers = peer.answer(&text);
        if answers.is_empty() {
            return (log, happened);
        }
        let mut rest = answers.as_bytes();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().expect("cycles")).clamp(1, rest.len()));
            client.receive(now);
            rest = later;
        }
    }
}

proptest! {
    #[test]
    fn cuts_do_not_matter(refuse in any::<u64>(), cuts in proptest::collection::vec(1usize..40, 1..8), kind in 0usize..3) {
        let extensions: &[&str] = [&[][..], &["PIPELINING"], &["PIPELINING", "CHUNKING"]][kind];
        let (log, whole) = session(extensions, refuse, &[usize::MAX]);
        let (cut_log, cut) = session(extensions, refuse, &cuts);
        prop_assert_eq!(&whole, &cut);
        prop_assert_eq!(log, cut_log);
        prop_assert_eq!(whole.len(), 6, "every message comes out once: {:?}", whole);
    }

    #[test]
    fn nonsense_never_panics_and_loses_no_message(
        bytes in proptest::collection::vec(prop_oneof![Just(b'2'), Just(b'5'), Just(b'0'), Just(b' '), Just(b'-'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200),
    ) {
        let mut client = open(settings(), &["PIPELINING"]);
        client.send(letter(&["b@y.test"], "one\r\n"));
        client.send(letter(&["c@y.test"], "two\r\n"));
        for part in bytes.chunks(7) {
            client.receive(part);
            said(&mut client);
        }
        client.lost(Loss::Closed);
        let out = events(&mut client).len();
        prop_assert_eq!(out, 3, "two messages and the end");
    }
}

#[test]
fn strings_of_events_are_for_people() {
    let endings = [Ending::Malformed(Malformed::Code), Ending::NoTls(None), Ending::Lost(Loss::Ours)];
    let texts: Vec<String> = endings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["peer does not speak SMTP: a line without a reply code", "TLS is required and is not offered", "broken off"]
    );
}
