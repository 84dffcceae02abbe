//! What a good document means for connections, senders and recipients.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::{ARGON2ID, good, load};
use directory::{Grants, Loaded, Org, OrgText, Principal, Question, RecipientAnswer, Route, SenderAnswer, Start};
use mail::{Mailbox, ReversePath};
use std::net::{IpAddr, SocketAddr};
use world::World;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).unwrap()
}

fn from(text: &str) -> ReversePath {
    if text.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(mailbox(text)) }
}

fn chosen(org: &Org, local: &str, peer: &str) -> String {
    org.choose_connector(socket(local), ip(peer)).map_or("421".into(), |connector| connector.name.to_string())
}

#[test]
fn the_smallest_range_around_the_peer_counts() {
    let loaded = good(
        r#"
        [[receive_connector]]
        name = "all"
        listen = ["0.0.0.0:25", "[::]:25"]
        [[receive_connector]]
        name = "net"
        listen = ["0.0.0.0:25"]
        remote = ["192.168.1.0-192.168.1.255", "2001:db8::/32"]
        [[receive_connector]]
        name = "one"
        listen = ["0.0.0.0:25"]
        remote = ["192.168.1.75"]
        [[receive_connector]]
        name = "exact"
        listen = ["10.0.0.1:25"]
        remote = ["192.168.1.75", "192.168.2.5/24"]
        [[receive_connector]]
        name = "narrow"
        listen = ["10.0.0.2:587"]
        remote = ["192.168.1.0/24"]
        "#,
    );
    let org = &loaded.org;
    assert_eq!(chosen(org, "10.0.0.9:25", "192.168.1.75"), "one");
    assert_eq!(chosen(org, "10.0.0.9:25", "192.168.1.100"), "net");
    assert_eq!(chosen(org, "10.0.0.9:25", "192.168.2.100"), "all");
    assert_eq!(chosen(org, "10.0.0.1:25", "192.168.1.75"), "exact", "the exact socket before the wildcard");
    assert_eq!(chosen(org, "10.0.0.1:25", "192.168.1.76"), "net", "a smaller range before the exact socket");
    assert_eq!(chosen(org, "10.0.0.1:25", "192.168.2.77"), "exact", "host bits in a network say nothing");
    assert_eq!(chosen(org, "10.0.0.9:25", "::ffff:192.168.1.75"), "one", "a mapped address is IPv4");
    assert_eq!(chosen(org, "[2001:db8::25]:25", "2001:db8::1"), "all", "net does not listen on IPv6");
    assert_eq!(chosen(org, "10.0.0.2:587", "192.168.2.1"), "421");
    assert_eq!(chosen(org, "10.0.0.2:26", "192.168.1.1"), "421");
    let listeners: Vec<String> = org.listeners().iter().map(|l| format!("{} {:?}", l.address, l.connectors)).collect();
    assert_eq!(
        listeners,
        [r#"0.0.0.0:25 ["all", "net", "one", "exact"]"#, r#"[::]:25 ["all"]"#, r#"10.0.0.2:587 ["narrow"]"#]
    );
}

/// A node with a certificate of the organization.
const NODE_WITH_LINKS: &str = "name = \"mx1.example.org\"\n[peers]\nlisten = \"127.0.0.1:2526\"\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nca = \"cert.pem\"\n";

#[test]
fn grants_are_those_of_behaviours_1_4() {
    let org = format!(
        r#"
        [[accepted_domain]]
        name = "ours.example"
        [[send_connector]]
        name = "out"
        mx = true
        [[user]]
        name = "bob@ours.example"
        password = "{ARGON2ID}"
        may_send_as = ["Sales@ours.example", "*@lists.example"]
        [[receive_connector]]
        name = "strangers"
        listen = ["192.0.2.1:25"]
        [[receive_connector]]
        name = "hardened"
        listen = ["192.0.2.2:25"]
        own_domain_senders = false
        [[receive_connector]]
        name = "partners"
        listen = ["192.0.2.3:25"]
        permissions = ["partners"]
        tls = "require"
        [[receive_connector]]
        name = "applications"
        listen = ["192.0.2.4:25"]
        remote = ["10.0.0.0/8"]
        permissions = ["relay"]
        [[receive_connector]]
        name = "servers"
        listen = ["192.0.2.5:25"]
        remote = ["10.0.0.5"]
        permissions = ["servers"]
        [[receive_connector]]
        name = "users"
        listen = ["192.0.2.6:587"]
        protocol = "submission"
        [[receive_connector]]
        name = "links"
        listen = ["192.0.2.7:2526"]
        tls = "organization"
        permissions = ["servers"]
        "#
    );
    let loaded = load(Some(NODE_WITH_LINKS), &org).unwrap();
    let org = &loaded.org;
    let bob = Principal::User(org.user("BOB@ours.example").unwrap().clone());
    let peer = Principal::Peer;
    let server = Principal::Server("mx2.ours.example".into());
    use RecipientAnswer::{Accept as Go, RelayDenied};
    use SenderAnswer::{Accept, AuthRequired, NotAllowed, NotTheirs, OwnDomain};
    // connector, principal, stranger as sender, own domain as sender, recipient elsewhere
    let table = [
        ("strangers", &peer, Accept, Accept, RelayDenied),
        ("hardened", &peer, Accept, OwnDomain, RelayDenied),
        ("partners", &peer, Accept, OwnDomain, RelayDenied),
        ("applications", &peer, Accept, Accept, Go),
        ("servers", &peer, Accept, Accept, Go),
        ("users", &peer, AuthRequired, AuthRequired, RelayDenied),
        ("users", &bob, NotTheirs, NotTheirs, Go),
        ("strangers", &bob, NotAllowed, NotAllowed, RelayDenied),
        ("links", &server, Accept, Accept, Go),
        ("links", &peer, NotAllowed, NotAllowed, RelayDenied),
        ("links", &bob, NotAllowed, NotAllowed, RelayDenied),
        ("strangers", &server, NotAllowed, NotAllowed, RelayDenied),
        ("servers", &server, Accept, Accept, Go),
    ];
    for (name, principal, stranger, own, elsewhere) in table {
        let connector = org.receive_connector(name).unwrap();
        assert_eq!(org.sender(connector, principal, &from("a@b.example")), stranger, "{name}");
        assert_eq!(org.sender(connector, principal, &from("a@Ours.example")), own, "{name}");
        assert_eq!(org.recipient(connector, principal, &mailbox("c@d.example")), elsewhere, "{name}");
        assert_eq!(org.recipient(connector, principal, &mailbox("c@OURS.example")), Go, "{name}");
    }
    let users = org.receive_connector("users").unwrap();
    for (sender, answer) in [
        ("bob@ours.example", Accept),
        ("Bob@Ours.example", Accept),
        ("sales@ours.example", Accept),
        ("x@lists.example", Accept),
        ("x@sub.lists.example", NotTheirs),
        ("", Accept),
    ] {
        assert_eq!(org.sender(users, &bob, &from(sender)), answer, "{sender}");
    }
    let servers = org.receive_connector("servers").unwrap().grants(&peer);
    assert!(servers.has(Grants::ANY_SIZE | Grants::TRUSTED | Grants::ANY_RECIPIENT_COUNT));
    let applications = org.receive_connector("applications").unwrap().grants(&peer);
    assert!(!applications.has(Grants::ANY_SIZE) && !applications.has(Grants::TRUSTED));
    assert_eq!(RelayDenied.refusal().unwrap().to_string(), "550 5.7.1 Relay access denied");
}

/// What each principal holds, and what single permissions make of it: behaviours 1.4, row by row.
#[test]
fn single_permissions_are_given_and_taken() {
    let on = |port: u16, text: &str| {
        format!(
            "[[receive_connector]]\nname = \"c{port}\"\nlisten = [\"192.0.2.1:{port}\"]\nremote = [\"10.0.0.0/24\"]\n{text}\n"
        )
    };
    let everybody = "submit any-sender own-domain-sender routing-headers";
    let secured = "submit any-recipient any-sender own-domain-sender trusted any-size any-recipient-count internal routing-headers";
    let users = "submit any-recipient trusted routing-headers";
    // document, what a peer holds, what bob holds
    let table = [
        ("permissions = [\"anonymous\"]", everybody, ""),
        (
            "permissions = [\"anonymous\"]\ngrant = [\"anonymous:any-recipient\"]",
            "submit any-recipient any-sender own-domain-sender routing-headers",
            "",
        ),
        ("permissions = [\"relay\"]", "submit any-recipient any-sender own-domain-sender routing-headers", ""),
        (
            "permissions = [\"anonymous\"]\ndeny = [\"anonymous:own-domain-sender\"]",
            "submit any-sender routing-headers",
            "",
        ),
        ("permissions = [\"partners\"]\ntls = \"require\"", "submit any-sender routing-headers", ""),
        ("permissions = [\"servers\"]\nexternally_secured = true", secured, ""),
        ("permissions = [\"users\", \"servers\"]\nexternally_secured = false", "", users),
        (
            "permissions = [\"users\"]\ngrant = [\"users:any-sender\"]\ndeny = [\"bob@ours.example:any-recipient\"]",
            "",
            "submit any-sender trusted routing-headers",
        ),
        (
            "permissions = [\"users\"]\ngrant = [\"bob@ours.example:any-size\", \"carol:any-sender\"]",
            "",
            "submit any-recipient trusted any-size routing-headers",
        ),
        // A grant counts for members of a group that is not named; a denial beats what any group gives.
        ("permissions = [\"users\"]\ngrant = [\"anonymous:submit\"]", "submit", users),
        ("permissions = [\"anonymous\", \"relay\"]\ndeny = [\"relay:any-recipient\"]", everybody, ""),
        ("permissions = [\"users\"]\ndeny = [\"users:submit\"]", "", "any-recipient trusted routing-headers"),
    ];
    let mut text = format!(
        "[[user]]\nname = \"Bob@ours.example\"\npassword = \"{ARGON2ID}\"\n[[user]]\nname = \"Carol\"\npassword = \"{ARGON2ID}\"\n"
    );
    table.iter().zip(1..).for_each(|((document, ..), port)| text.push_str(&on(port, document)));
    let loaded = good(&text);
    let bob = Principal::User(loaded.org.user("bob@ours.example").unwrap().clone());
    for ((document, peers, bobs), port) in table.iter().zip(1_u16..) {
        let connector = loaded.org.receive_connector(&format!("c{port}")).unwrap();
        assert_eq!(connector.grants(&Principal::Peer).words().join(" "), *peers, "{document}");
        assert_eq!(connector.grants(&bob).words().join(" "), *bobs, "{document}");
        // A server that has shown its certificate has everything where servers may send, and nothing elsewhere.
        let server = connector.grants(&Principal::Server("mx2.ours.example".into()));
        let all = Grants::WORDS.iter().fold(Grants::NONE, |sum, (_, one)| sum | *one);
        assert_eq!(server, if document.contains("servers") { all } else { Grants::NONE }, "{document}");
    }
}

#[test]
fn a_usage_is_a_start_and_what_is_written_counts() {
    let loaded = good(
        "[[receive_connector]]\nname = \"Client mx1\"\nusage = \"client\"\n\
         [[receive_connector]]\nname = \"Internet\"\nusage = \"internet\"\nlisten = [\"192.0.2.1:25\"]\n\
         [[receive_connector]]\nname = \"Partner\"\nusage = \"partner\"\nlisten = [\"192.0.2.2:25\"]\nremote = [\"10.0.0.1\"]\n\
         [[receive_connector]]\nname = \"odd\"\nusage = \"client\"\nlisten = [\"192.0.2.3:25\"]\ntls = \"offer\"\nprotocol = \"smtp\"\nenabled = false\n",
    );
    let shown: Vec<String> = loaded
        .org
        .receive_connectors
        .iter()
        .map(|c| {
            let groups: Vec<&str> = c.permissions.iter().map(|group| group.word()).collect();
            format!(
                "{}: {} {:?} {} {:?} {:?}",
                c.name,
                c.protocol.word(),
                c.listen,
                c.tls.word(),
                groups,
                c.auth.words()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"Client mx1: submission [0.0.0.0:587, [::]:587] require ["users"] ["plain", "login", "scram-sha-256"]"#,
            r#"Internet: smtp [192.0.2.1:25] offer ["anonymous"] []"#,
            r#"Partner: smtp [192.0.2.2:25] require ["partners"] []"#,
            r#"odd: smtp [192.0.2.3:25] offer ["users"] ["plain", "login", "scram-sha-256"]"#,
        ]
    );
    assert_eq!(chosen(&loaded.org, "192.0.2.3:25", "10.0.0.1"), "421", "a connector that is not enabled takes nobody");
    assert_eq!(loaded.org.listeners().len(), 4);
}

#[test]
fn domains_that_nobody_means_are_refused_unless_they_are_ours() {
    let loaded = good(
        "[[accepted_domain]]\nname = \"intranet\"\ndeliver = \"maildir\"\nrecipients = [\"bob\"]\n\
         [[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\npermissions = [\"relay\"]\nrefuse_domains = [\"single-label\", \"reserved\"]\n",
    );
    let (org, connector) = (&loaded.org, &loaded.org.receive_connectors[0]);
    for (to, answer) in [
        ("bob@intranet", RecipientAnswer::Accept),
        ("bob@elsewhere", RecipientAnswer::NoSuchDomain),
        ("bob@a.TEST", RecipientAnswer::NoSuchDomain),
        ("bob@example.com", RecipientAnswer::NoSuchDomain),
        ("bob@mail.example.com", RecipientAnswer::NoSuchDomain),
        ("bob@notexample.com", RecipientAnswer::Accept),
        ("bob@contest.org", RecipientAnswer::Accept),
        ("bob@[192.0.2.1]", RecipientAnswer::Accept),
    ] {
        assert_eq!(org.recipient(connector, &Principal::Peer, &mailbox(to)), answer, "{to}");
    }
    assert_eq!(RecipientAnswer::NoSuchDomain.refusal().unwrap().to_string(), "550 5.1.2 No such domain");
}

fn route(org: &Org, to: &str) -> String {
    match org.route(&mailbox(to)) {
        Route::Maildir(domain) => format!("maildir {}", domain.mailbox_name(mailbox(to).local())),
        Route::Lmtp(target) => format!("lmtp {target}"),
        Route::Connector(connector) => connector.name.to_string(),
        Route::Unreachable(_) => "unreachable".into(),
        Route::Site(_) | Route::Servers(_) | Route::TooLarge(_) => unreachable!("these documents have one server"),
    }
}

#[test]
fn recipients_and_routes() {
    let loaded = good(
        r#"
        [[receive_connector]]
        name = "in"
        listen = ["127.0.0.1:25"]
        [[accepted_domain]]
        name = "ours.example"
        deliver = "maildir"
        recipients = ["bob", "o'neil"]
        plus_addressing = true
        [[accepted_domain]]
        name = "*.ours.example"
        deliver = "lmtp:unix:/run/lmtp"
        [[accepted_domain]]
        name = "relayed.ours.example"
        [[send_connector]]
        name = "all"
        mx = true
        cost = 1
        [[send_connector]]
        name = "b-below"
        domains = ["*.corp.example"]
        mx = true
        cost = 5
        [[send_connector]]
        name = "a-below"
        domains = ["*.corp.example"]
        mx = true
        cost = 5
        [[send_connector]]
        name = "dear"
        domains = ["hq.corp.example"]
        mx = true
        cost = 100
        "#,
    );
    let (org, strangers) = (&loaded.org, &loaded.org.receive_connectors[0]);
    for (to, answer, way) in [
        ("bob@ours.example", RecipientAnswer::Accept, "maildir bob"),
        ("BOB+tag@Ours.Example", RecipientAnswer::Accept, "maildir bob"),
        ("\"bob\"@ours.example", RecipientAnswer::Accept, "maildir bob"),
        ("\"bob+x\"@ours.example", RecipientAnswer::Accept, "maildir bob"),
        ("+x@ours.example", RecipientAnswer::UnknownUser, "maildir +x"),
        ("Postmaster@ours.example", RecipientAnswer::Accept, "maildir postmaster"),
        ("carol@ours.example", RecipientAnswer::UnknownUser, "maildir carol"),
        ("carol@a.b.ours.example", RecipientAnswer::Accept, "lmtp unix:/run/lmtp"),
        ("carol@relayed.ours.example", RecipientAnswer::Accept, "all"),
        ("x@hq.corp.example", RecipientAnswer::RelayDenied, "dear"),
        ("x@corp.example", RecipientAnswer::RelayDenied, "a-below"),
        ("x@deep.hq.corp.example", RecipientAnswer::RelayDenied, "a-below"),
        ("x@notcorp.example", RecipientAnswer::RelayDenied, "all"),
        ("x@[192.0.2.1]", RecipientAnswer::RelayDenied, "all"),
        ("x@BÜCHER.example", RecipientAnswer::RelayDenied, "all"),
    ] {
        assert_eq!(org.recipient(strangers, &Principal::Peer, &mailbox(to)), answer, "{to}");
        assert_eq!(route(org, to), way, "{to}");
    }
}

#[test]
fn limits_have_the_defaults_of_behaviours_1_8() {
    let loaded = good(
        "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n\
         [[receive_connector]]\nname = \"sub\"\nlisten = [\"127.0.0.1:587\"]\nprotocol = \"submission\"\n",
    );
    let [smtp, submission] = [0, 1].map(|i| loaded.org.receive_connectors[i].limits.clone());
    assert_eq!((smtp.message_bytes_max, smtp.header_bytes_max), (36 << 20, 256 << 10));
    assert_eq!((smtp.recipients_max, smtp.connections_max, smtp.errors_max, smtp.hops_max), (200, 5000, 5, 30));
    assert_eq!((smtp.logon_failures_max, smtp.message_rate_per_minute), (Some(3), None));
    assert_eq!((smtp.tarpit_ms, smtp.idle_timeout_ms, smtp.session_timeout_ms), (5_000, 300_000, 600_000));
    assert_eq!(submission.message_rate_per_minute, Some(5));
    assert_eq!(smtp.connections_from_one_source(0), 20);
    assert_eq!(smtp.connections_from_one_source(4_500), 10, "two per cent of the 500 that are free");
    assert_eq!(smtp.connections_from_one_source(4_999), 1, "the last place is anybody's");
    assert_eq!(smtp.connections_from_one_source(5_000), 0);
}

#[test]
fn a_connector_is_for_the_nodes_that_it_names() {
    let on = |nodes: &str, name: &str, port: u16| {
        format!("[[receive_connector]]\nname = \"{name}\"\nlisten = [\"127.0.0.1:{port}\"]\n{nodes}\n")
    };
    let (ours, theirs) = ("servers = [\"MX1.example.org\"]", "servers = [\"mx2.example.org\", \"mx3.example.org\"]");
    let loaded = good(&(on(ours, "one", 25) + &on(theirs, "two", 25) + &on("", "all", 587)));
    let names: Vec<&str> = loaded.org.receive_connectors.iter().map(|connector| &*connector.name).collect();
    assert_eq!(names, ["one", "all"], "one socket on two nodes, a connector for each");
    assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
    let told = |org: &str| load(None, org).map(|_| ()).unwrap_err().to_string();
    assert!(told(&(on(theirs, "two", 25) + &on("", "all", 25))).contains("is taken by receive connector \"two\""));
    assert!(told(&on("servers = [\"a b\"]", "one", 25)).contains("org.toml:4:12: \"a b\" is no server's name"));
    let none = good(&on(theirs, "two", 25));
    assert!(none.warnings.to_string().contains("no [[receive_connector]] is for node mx1.example.org"));
    assert!(none.org.listeners().is_empty());
}

#[test]
fn a_document_that_is_in_no_file_has_its_name_in_problems_and_its_files_beside_the_node_document() {
    let world = World::simulated(1).0;
    let write = |name: &str, text: &str| {
        world.disk.create_dir_all_durable("etc".as_ref()).unwrap();
        world.disk.replace_durable(name.as_ref(), text.as_bytes()).unwrap();
    };
    write("etc/posthouse.toml", "name = \"mx1.example.org\"\n");
    write("etc/people", "alice\n");
    let text = "[[accepted_domain]]\nname = \"ours.example\"\nrecipients_file = \"people\"\ndeliver = \"maildir\"\n\
                [[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n";
    let start = Start { config: Some("etc/posthouse.toml".into()), ..Start::default() };
    let with = |text| Loaded::load_with(world.disk.as_ref(), &start, Some(OrgText { name: "org version 7", text }));
    let loaded = with(text).unwrap();
    assert_eq!(&*loaded.org_text, text);
    assert_eq!(
        loaded.org.recipient(&loaded.org.receive_connectors[0], &Principal::Peer, &mailbox("bob@ours.example")),
        RecipientAnswer::UnknownUser
    );
    let told = with("tpyo = 1").unwrap_err().to_string();
    assert!(told.starts_with("org version 7:1:1: unknown key \"tpyo\""), "{told}");
}

fn start(start: Start) -> Loaded {
    Loaded::load(World::simulated(1).0.disk.as_ref(), &start).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_built_in_single_node() {
    let loaded = start(Start { data: Some("/data".into()), http: Some(socket("127.0.0.1:1")), ..Start::default() });
    assert_eq!((loaded.node.data.to_str(), loaded.node.http.listen.port()), (Some("/data"), 1));
    assert_eq!(loaded.node.limits.connection_rate_per_minute, None);
    assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
    let org = &loaded.org;
    for local in ["127.0.0.1:2525", "127.0.0.1:5870"] {
        let connector = org.choose_connector(socket(local), ip("127.0.0.1")).unwrap();
        let answer = |to| org.recipient(connector, &Principal::Peer, &mailbox(to));
        assert_eq!(answer("anybody@posthouse.test"), RecipientAnswer::Accept);
        assert_eq!(answer("a@sub.posthouse.test"), RecipientAnswer::RelayDenied);
        assert_eq!(org.sender(connector, &Principal::Peer, &from("a@b.example")), SenderAnswer::Accept);
        assert_eq!(connector.limits.connections_from_one_source(0), 5_000);
        assert_eq!(connector.limits.message_rate_per_minute, None);
    }
    assert_eq!(route(org, "Bob@posthouse.test"), "maildir bob");
}

#[test]
fn the_built_in_relay_to_smart_hosts() {
    let loaded = start(Start {
        relay_to: vec!["10.0.0.5:26, relay.example.org".into(), "[2001:db8::1]:25".into()],
        smtp: Some(socket("0.0.0.0:2500")),
        ..Start::default()
    });
    let org = &loaded.org;
    assert_eq!(chosen(org, "192.0.2.1:2500", "127.0.0.2"), "in");
    assert_eq!(chosen(org, "192.0.2.1:2500", "10.0.0.1"), "421", "nobody but this machine may relay");
    assert!(
        org.explain(&asked("127.0.0.1", "127.0.0.1:2500", "a@posthouse.test"))
            .contains("smart hosts 10.0.0.5:26, relay.example.org:25, [2001:db8::1]:25")
    );
}

#[test]
fn bad_options() {
    let told = |start: &Start| {
        let world = World::simulated(1).0;
        Loaded::load(world.disk.as_ref(), start).map(|_| ()).unwrap_err().to_string()
    };
    let missing = Start { config: Some("no.toml".into()), org: Some("neither.toml".into()), ..Start::default() };
    assert_eq!(
        told(&missing),
        "no.toml: cannot be read: entity not found; --config must name a file that this user may read\n\
         neither.toml: cannot be read: entity not found; --org must name a file that this user may read"
    );
    let host = Start { relay_to: vec!["10.0.0.300".into()], ..Start::default() };
    assert_eq!(
        told(&host),
        "--relay-to: \"10.0.0.300\" is no host and port; write host:port, for example 192.0.2.1:25 or [2001:db8::1]:25"
    );
    let twice = Start { smtp: Some(socket("127.0.0.1:25")), http: Some(socket("127.0.0.1:25")), ..Start::default() };
    assert_eq!(
        told(&twice),
        "--http: HTTP cannot listen on 127.0.0.1:25: receive connector \"in\" does; give one of them another port"
    );
}

fn asked(from: &str, to: &str, rcpt: &str) -> Question {
    Question { rcpt: Some(mailbox(rcpt)), ..Question::connection(ip(from), socket(to)) }
}

#[test]
fn explain_says_who_may_send_what_and_finds_the_socket() {
    let loaded = good(&format!(
        "[[accepted_domain]]\nname = \"ours.example\"\ndeliver = \"maildir\"\nrecipients = [\"bob\"]\n\
         [[receive_connector]]\nname = \"sub\"\nprotocol = \"submission\"\nlisten = [\"127.0.0.1:587\"]\n\
         [[receive_connector]]\nname = \"in\"\nlisten = [\"0.0.0.0:25\", \"127.0.0.1:26\"]\nown_domain_senders = false\nmessage_size_max = \"1MB\"\n\
         [[user]]\nname = \"bob@ours.example\"\npassword = \"{ARGON2ID}\"\n\
         [[user]]\nname = \"ann\"\npassword = \"{ARGON2ID}\"\nmay_send_as = [\"*@ours.example\"]\n"
    ));
    let explain = |port, mail: &str, user: Option<&str>| {
        let (user, size_bytes) = (user.map(String::from), Some(2 << 20));
        loaded.org.explain(&Question {
            to: None,
            port,
            user,
            mail: Some(from(mail)),
            size_bytes,
            ..Question::connection(ip("192.0.2.9"), socket("0.0.0.0:1"))
        })
    };
    let strangers = explain(25, "bob@ours.example", None);
    for line in [
        "A connection from 192.0.2.9 to 0.0.0.0:25 meets receive connector \"in\", by its range 0.0.0.0/0.\n",
        "Without logging on, MAIL FROM:<bob@ours.example> is refused with 550 5.7.1 Senders of our own domains must authenticate: \
         accepted domain ours.example is ours, and peers of this connector may not use it.\n",
        "Without logging on, a message of 2MB is refused with 552 5.3.4: 1MB is the limit.\n",
    ] {
        assert!(strangers.contains(line), "{strangers}");
    }
    assert!(explain(25, "x@away.example", None).contains("MAIL FROM:<x@away.example> is accepted.\n"));
    assert!(
        explain(25, "x@away.example", Some("ann")).contains("ann cannot log on there: the connector offers no AUTH.\n")
    );
    let users = explain(587, "bob@ours.example", None);
    for line in [
        "to 127.0.0.1:587 meets receive connector \"sub\"",
        "Without logging on, MAIL FROM:<bob@ours.example> is refused with 530 5.7.0 Authentication required.\n",
        "After logging on, MAIL FROM:<bob@ours.example> is accepted from bob@ours.example, ann.\n",
        "Without logging on, a message of 2MB is not too large (36MB is the limit).\n",
    ] {
        assert!(users.contains(line), "{users}");
    }
    let ann = explain(587, "x@away.example", Some("Ann"));
    let refused = "Logged on as ann, MAIL FROM:<x@away.example> is refused with 550 5.7.1 You may not send as this address: \
                   neither the name of ann nor its may_send_as covers that address.\n";
    assert!(ann.contains(refused), "{ann}");
    assert!(explain(587, "x@away.example", None).contains("for every user: none may send as that address.\n"));
    assert!(explain(2525, "x@away.example", None).starts_with("Nothing listens on 0.0.0.0:2525.\n"));
}

#[test]
fn explain_says_what_is_met() {
    let loaded = good(&format!(
        "[[accepted_domain]]\nname = \"ours.example\"\ndeliver = \"lmtp:127.0.0.1:24\"\nrecipients = [\"bob\"]\n\
         [[receive_connector]]\nname = \"sub\"\nprotocol = \"submission\"\nlisten = [\"0.0.0.0:587\"]\nremote = [\"10.0.0.0/8\"]\n\
         trusted_proxies = [\"10.9.9.9\"]\n[[user]]\nname = \"bob\"\npassword = \"{ARGON2ID}\"\n"
    ));
    let explain = |from, to, rcpt| loaded.org.explain(&asked(from, to, rcpt));
    assert_eq!(
        explain("10.1.2.3", "192.0.2.1:587", "alice@ours.example"),
        "A connection from 10.1.2.3 to 192.0.2.1:587 meets receive connector \"sub\", by its range 10.0.0.0/8.\n\
         \x20 Greeting: 220 mx1.example.org ESMTP Posthouse\n\
         \x20 Message submission, STARTTLS offered, AUTH plain, login, scram-sha-256 under TLS.\n\
         \x20 Without logging on: may not send.\n\
         \x20 A user who has logged on: may send to any address, as senders of their own only.\n\
         \x20 A bare CR or LF in a message is repaired.\n\
         \x20 Limits: message 36MB, header 256KB, 200 recipients, 5000 connections (20 from one address while it is idle), 5 messages a minute,\n\
         \x20 5 errors, 5m of silence, 10m in all, 30 hops.\n\
         After logging on, RCPT TO:<alice@ours.example> is refused with 550 5.1.1 No such user here (accepted domain ours.example, where it is not among the recipients).\n\
         Mail to alice@ours.example goes over LMTP to 127.0.0.1:24.\n"
    );
    assert!(
        explain("11.1.2.3", "192.0.2.1:587", "a@b.example")
            .starts_with("A connection from 11.1.2.3 to 192.0.2.1:587 is refused with 421 4.3.2")
    );
    assert!(
        explain("10.9.9.9", "192.0.2.1:587", "a@b.example").starts_with("10.9.9.9 is a trusted proxy on 192.0.2.1:587")
    );
    assert!(explain("10.9.9.9", "192.0.2.1:25", "a@b.example").starts_with("Nothing listens on 192.0.2.1:25.\n"));
    assert!(
        explain("10.1.1.1", "192.0.2.1:587", "a@b.example")
            .ends_with("goes nowhere and waits: no send connector is for this domain.\n")
    );
}
