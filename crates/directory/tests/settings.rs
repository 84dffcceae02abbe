//! The rows of the settings against the code that reads and writes them, and against the documentation.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // reads documentation and examples of this tree

mod common;

use common::{ARGON2ID, SCRAM, good, load};
use directory::settings::{Default, NODE, ORG, Section, reference};
use directory::{Loaded, Secrets, Start};
use std::path::{Path, PathBuf};

const GOOD_ORG: &str = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n";

/// A value of a wrong kind under each key in turn must be told about at its place: so the code reads every row.
#[test]
fn every_row_is_read() {
    for (is_node, sections) in [(true, NODE), (false, ORG)] {
        for section in sections {
            for setting in section.settings {
                let head = if section.name.is_empty() { String::new() } else { section.heading() };
                let text = format!("{head}\n{} = 1979-05-27\n", setting.key);
                let result = if is_node { load(Some(&text), GOOD_ORG) } else { load(None, &text) };
                let told = result.map(|_| ()).unwrap_err().to_string();
                let (file, column) = (if is_node { "posthouse.toml" } else { "org.toml" }, setting.key.len() + 4);
                let expected = format!("{file}:2:{column}: {} = 1979-05-27 is not understood", setting.key);
                assert!(told.contains(&expected), "{text}\n{told}");
            }
        }
    }
}

const NODE_WITH_EVERYTHING: &str = "name = \"mx.example.org\"\ndata = \"d\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
                [peers]\nlisten = \"127.0.0.1:2526\"\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nca = \"cert.pem\"\nheartbeat = \"500ms\"\nmissed_heartbeats_max = 5\n\
                [[peer]]\nname = \"mx2.Example.org\"\naddress = \"10.0.0.2\"\n[[peer]]\nname = \"mx3.example.org\"\naddress = \"mx3.internal:99\"\n\
                [cluster]\nendpoints = [\"https://10.0.0.1:2379\", \"http://127.0.0.1:2379\"]\nprefix = \"/p/example\"\nttl = \"3s\"\n\
                ca = \"cert.pem\"\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nuser = \"us\"\npassword_file = \"secret\"\n\
                address = \"mx.internal\"\nsite = \"east\"\nrack = \"r1\"\nspread = \"site\"\n\
                [dns]\nservers = [\"127.0.0.1:53\", \"[::1]:53\"]\n\
                [dns_server]\nlisten = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\nthreads = 3\nrate_limit = 7\nrate_limit_slip = 3\nrate_limit_exempt = \"10.0.0.0/8\"\n\
                connections_max = 8\nconnections_per_source_max = 4\nidle_timeout = \"5s\"\n[journal]\nsegment_size = \"8MB\"\nkeep_free = 0\n[maildir]\nduplicate_window = \"3d\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n\
                [limits]\nconnections_max = 1\nconnection_rate_per_minute = 0\noutbound_connections_max = 2\nuser_message_rate_per_minute = 3\nuser_recipients_per_hour = 4\nbody_memory = \"1MB\"\n\
                [back_pressure]\npoll_interval = \"1s\"\ndisk_percent = [80, 89, 90, 99]\njournal_segments = [9, 5, 4, 2]\ntarpit_first = \"0\"\n\
                [trace]\nkeep_bytes = \"3MB\"\n";

fn document_with_everything() -> String {
    format!(
        r#"postmaster = "help@ours.example"
        [[accepted_domain]]
        name = "ours.example"
        deliver = "maildir"
        recipients = ["Bob", "\"a b\""]
        plus_addressing = true
        [[accepted_domain]]
        name = "*.lmtp.example"
        type = "internal_relay"
        servers = ["mx.example.org", "mx9.example.org"]
        local_preference = "avoid"
        deliver = "lmtp:unix:/run/l m\"tp"
        [[accepted_domain]]
        name = "relayed.example"
        [[receive_connector]]
        name = "in"
        listen = ["127.0.0.1:25", "[::1]:25"]
        servers = ["mx.Example.org", "mx2.example.org"]
        remote = ["10.0.0.1-10.0.0.9", "10.1.2.3/8", "::1"]
        tls = "implicit"
        auth = ["scram-sha-256"]
        auth_without_tls = true
        permissions = ["users", "partners"]
        grant = ["bob:any-sender", "users:any-size"]
        deny = ["partners:any-sender"]
        extensions_off = ["chunking", "size-value"]
        require_hello_domain = true
        refuse_domains = ["reserved", "single-label"]
        auth_tarpit_ms = 9
        own_domain_senders = false
        bare_newline = "repair"
        copies = 2
        when_short = "accept"
        trusted_proxies = ["10.0.0.1"]
        trusted_xclient = ["10.0.0.2"]
        hostname = "in.ours.example"
        banner = "hello"
        message_size_max = 1000001
        header_size_max = "64KB"
        recipients_max = 1
        connections_max = 2
        connections_per_source_max = 3
        connections_per_source_percent_max = 4
        message_rate_per_minute = 5
        errors_max = 6
        logon_failures_max = 0
        tarpit_ms = 7
        idle_timeout = "90s"
        session_timeout = "1h"
        hops_max = 8
        [[receive_connector]]
        name = "secured once"
        listen = ["0.0.0.0:25"]
        remote = ["10.9.0.0/24"]
        permissions = ["servers"]
        externally_secured = true
        enabled = false
        [[receive_connector]]
        name = "lmtp"
        listen = ["127.0.0.1:24"]
        protocol = "lmtp"
        tls = "off"
        [[site]]
        name = "North"
        hub_site = true
        [[site]]
        name = "south"
        [[site_link]]
        name = "line"
        sites = ["north", "South"]
        cost = 3
        message_size_max = "7MB"
        [[server]]
        name = "mx.example.org"
        site = "north"
        address = "10.0.0.1:2526"
        public_name = "out.example.org"
        public_addresses = ["192.0.2.1", "2001:db8::1"]
        [[tsig_key]]
        name = "Transfer.example.org"
        algorithm = "hmac-sha512"
        secret_file = "tsig"
        [[zone]]
        name = "Example.org."
        servers = ["mx.example.org"]
        name_servers = ["ns1.example.net", "out.example.org"]
        contact = "hostmaster@example.org"
        ttl = "1m"
        negative_ttl = "2m"
        refresh = "2h"
        retry = "3m"
        expire = "10d"
        secondaries = ["192.0.2.53", "[2001:db8::53]:5353"]
        notify = false
        transfer_allowed = ["192.0.2.0/24"]
        tsig_keys = ["transfer.example.org"]
        push = "ns.example.net"
        push_key = "transfer.example.org"
        push_on_change = false
        [[zone]]
        name = "2.0.192.in-addr.arpa"
        servers = []
        name_servers = ["ns1.example.net", "ns2.example.net"]
        [[dns_name]]
        name = "example.org"
        ttl = "1h"
        txt = ["v=spf1 mx -all", "say \"this\""]
        caa = ["0 issue \"letsencrypt.org\""]
        [[dns_name]]
        name = "smtp.example.org"
        servers = ["mx.example.org"]
        addresses = ["192.0.2.9"]
        ptr = false
        [[dns_name]]
        name = "www.example.org"
        cname = "smtp.example.org"
        [[dns_name]]
        name = "_sip._tcp.example.org"
        srv = ["1 2 5060 smtp.example.org", "2 0 5060 ."]
        [[dns_name]]
        name = "sub.example.org"
        ns = ["ns.elsewhere.example"]
        [[dns_name]]
        name = "_25._tcp.mx1.example.org"
        tlsa = ["3 1 1 0d6fce13243aa7d8e0d6fce13243aa7d8e0d6fce13243aa7d8e0d6fce1324300"]
        [[dns_name]]
        name = "4.2.0.192.in-addr.arpa"
        ptr_to = ["four.example.org"]
        [[dns_name]]
        name = "other.example.org"
        mx = ["10 mx1.example.org"]
        [[mx_layout]]
        name = "main"
        domains = ["example.org"]
        sites = ["north"]
        servers = ["mx.example.org"]
        hosts = 2
        addresses = 1
        host_name = "mx#.example.org"
        preference = 5
        ttl = "1h"
        [[send_connector]]
        name = "hosts"
        smart_hosts = ["a.example:587", "[::1]"]
        port = 26
        tls = "verify"
        tls_ca_file = "cert.pem"
        username = "us"
        password_file = "secret"
        source = "10.0.0.1"
        routing_headers = false
        [[send_connector]]
        name = "mx"
        domains = ["*.x.example", "y.example;9", "SMTP:z.example;7"]
        mx = true
        cost = 7
        servers = ["MX.example.org"]
        enabled = false
        scoped = true
        message_size_max = "3MB"
        connections_max = 1
        messages_per_connection = 2
        idle_timeout = "0"
        connect_timeout = "1s"
        greeting_timeout = "2s"
        command_timeout = "3s"
        data_timeout = "4s"
        data_block_timeout = "5s"
        data_end_timeout = "6s"
        hello = "out.ours.example"
        [[send_connector]]
        name = "lmtp"
        domains = ["l.example"]
        lmtp = "127.0.0.1:24"
        [[user]]
        name = "bob"
        password = "{SCRAM}"
        may_send_as = ["*", "*@x.example", "a@b.example"]
        [[user]]
        name = "carol"
        password = "{ARGON2ID}"
        [[directory]]
        name = "corp"
        servers = ["ldaps://dc1.example", "ldaps://[::1]:1636"]
        kind = "active-directory"
        tls_ca_file = "cert.pem"
        bind_dn = "cn=reader,dc=example"
        password_file = "secret"
        base = "dc=example"
        filter = "(mail=*@example.org)"
        mail_attribute = "m"
        alias_attributes = ["a", "b"]
        member_attributes = ["c"]
        forward_attributes = ["d"]
        attributes = ["department"]
        page_size = 10
        poll_interval = "2s"
        reload_interval = "3s"
        shrink_percent_max = 4
        logon = true
        logon_attributes = ["uid"]
        logon_cache = "5s"
        [[recipient]]
        address = "Bob@ours.example"
        aliases = ["robert@ours.example", "b@ours.example"]
        forward_to = "bob@away.example"
        keep_copy = true
        senders = "trusted"
        message_size_max = "1MB"
        attributes = ["department=Sales", "Site=Berlin"]
        [[recipient]]
        address = "carol@x.lmtp.example"
        [[group]]
        address = "all@ours.example"
        members = ["bob@ours.example", "carol@x.lmtp.example", "dave@away.example"]
        message_size_max = "5MB"
        having = ["department=sales"]
        notifications = "nobody"
        [[contact]]
        address = "dave@relayed.example"
        target = "dave@away.example"
        message_size_max = 2000
        [[remote_domain]]
        domains = ["away.example", "*.away.example"]
        auto_forward = false
        notifications = false
        automatic_replies = false
        [message_limits]
        message_size_max = "20MB"
        recipients_max = 500
        [[rule]]
        name = "tagged"
        from = ["<>", "a@b.example", "*@c.example", "*@*.d.example", "*"]
        to = ["*@ours.example"]
        header = "Subject"
        header_contains = ["Free", "cheap"]
        header_matches = ["*offer*"]
        tag_header = "X-Origin:  outside"
        then = "go_on"
        [[rule]]
        name = "subject"
        tag_subject = "[outside] "
        [[rule]]
        name = "large"
        size_over = "10MB"
        refuse = "too large for us"
        [[rule]]
        name = "moved"
        redirect = "bob@ours.example"
        [[rule]]
        name = "kept"
        copy = "all@ours.example"
        [[virtual_address]]
        name = "front"
        address = ["192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"]
        interface = "eth0"
        servers = ["MX.example.org", "mx2.example.org"]
        failback = true
        needs = ["node"]
        lease = "4s"
        announce_count = 3
        announce_interval = "500ms"
        [[destination]]
        name = "google"
        connections_max = 2
        [[destination]]
        name = "mine"
        domains = ["X.example"]
        mx = ["*.mx.example"]
        messages_per_connection = 3
        message_rate_per_minute = 4
        recipients_per_message = 5
        cooldown = "6m"
        [[service]]
        name = "relay"
        hostname = "Relay.ours.example"
        listen = ["10.0.0.9:25", "[::1]:26"]
        servers = ["mx.example.org"]
        algorithm = "source_hash"
        affinity_prefix = 24
        affinity_prefix_ipv6 = 48
        affinity_timeout = "20m"
        affinity_clients_max = 99
        proxy = "v1"
        remote = ["10.0.0.0/8"]
        trusted_proxies = ["10.0.0.77"]
        connections_max = 7
        connections_per_source_max = 3
        idle_timeout = "11m"
        connect_timeout = "300ms"
        greeting_timeout = "4s"
        retries = 2
        retry_budget = 21
        slow_start = "0s"
        ejection_failures = 0
        ejection_time = "2s"
        ejection_time_max = "3s"
        ejection_share_max = 34
        probe = "tcp"
        probe_interval = "7s"
        probe_timeout = "6s"
        probe_rise = 8
        probe_fall = 9
        probe_starttls = true
        keepalive = "0s"
        [[member]]
        name = "m1"
        service = "relay"
        address = "10.0.0.1:26"
        site = "South"
        weight = 3
        priority = 2
        connections_max = 5
        drain = true
        [[member]]
        name = "m2"
        service = "relay"
        address = "Hub.example"
        proxy = "none"
        [[service]]
        name = "mail"
        enabled = false
        listen = ["0.0.0.0:993"]
        protocol = "imaps"
        pool_servers = ["mx.example.org"]
        pool_site = ["south", "north"]
        pool_port = 1993
        tls = "terminate"
        [[member]]
        name = "m3"
        service = "mail"
        server = "mx.example.org"
        port = 2993
        sni = ["imap.ours.example", "*.Ours.example"]
        [[service]]
        name = "web"
        listen = ["10.0.0.9:443"]
        protocol = "https"
        probe_expired = "down"
        probe_certificate_days = [90, 10]
        probe_path = "/health?quick=1"
        probe_status = "204"
        [[member]]
        name = "m4"
        service = "web"
        address = "10.0.0.1:443"
        [[service]]
        name = "voice"
        listen = ["10.0.0.9:5060"]
        protocol = "sip"
        sip_mode = "forward"
        pool_servers = ["mx.example.org"]
        [retry]
        glitch_count = 1
        delay_notice_after = "0"
        postmaster_copy = ["5.4.6"]
        "#
    )
}

/// What is written back means the same: nothing that runs is left out.
#[test]
fn the_dump_loads_again_to_the_same() {
    let first =
        load(Some(NODE_WITH_EVERYTHING), &document_with_everything()).unwrap_or_else(|problems| panic!("{problems}"));
    let (node, org) = first.to_toml(Secrets::Show);
    let again = load(Some(&node), &org).unwrap_or_else(|problems| panic!("{problems}\nin\n{node}\n{org}"));
    assert_eq!(first.node, again.node);
    assert_eq!(first.org.accepted_domains, again.org.accepted_domains);
    assert_eq!(first.org.receive_connectors, again.org.receive_connectors);
    assert_eq!(first.org.send_connectors, again.org.send_connectors);
    assert_eq!(first.org.services.len(), 4);
    assert_eq!(first.org.services, again.org.services);
    let map = |loaded: &Loaded| {
        let map = loaded.org.topology();
        (map.sites.clone(), map.links.clone(), map.servers.clone())
    };
    assert_eq!(map(&first), map(&again));
    let naming = |loaded: &Loaded| {
        let naming = &loaded.org.naming;
        let entries: Vec<_> = naming.zones().iter().map(|zone| naming.entries(&zone.name).to_vec()).collect();
        format!("{:?} {:?} {:?} {:?} {entries:?}", naming.zones(), naming.keys(), naming.names(), naming.layouts())
    };
    assert_eq!(naming(&first), naming(&again));
    assert!(first.org.users == again.org.users, "users differ");
    assert_eq!(first.org.directories, again.org.directories);
    let handling = |loaded: &Loaded| {
        let handling = &loaded.org.handling;
        let entries: Vec<_> = loaded.org.recipients().iter().map(|recipient| recipient.entry()).collect();
        format!("{:?} {entries:?} {:?} {:?}", handling.limits, handling.rules, handling.remote_domains)
    };
    assert_eq!(handling(&first), handling(&again));
    assert_eq!(first.org.destinations.all(), again.org.destinations.all());
    assert_eq!(first.org.virtual_addresses, again.org.virtual_addresses);
    assert_eq!((&first.org.retry, &first.org.postmaster), (&again.org.retry, &again.org.postmaster));
    assert_eq!((node, org), again.to_toml(Secrets::Show));
    let hidden = first.to_toml(Secrets::Hide).1;
    assert!(!hidden.contains("argon2id$") && !hidden.contains("SCRAM-SHA-256$") && !hidden.contains("hunter2"));
}

/// Every row is in the dump, and nothing else is.
#[test]
fn the_dump_has_every_row() {
    let loaded =
        load(Some(NODE_WITH_EVERYTHING), &document_with_everything()).unwrap_or_else(|problems| panic!("{problems}"));
    let (node, org) = loaded.to_toml(Secrets::Hide);
    let lines_of = |text: &str, section: &Section| -> Vec<String> {
        let parts = text.split("\n[").filter(|part| {
            let name = part.trim_start_matches('[').split(']').next().unwrap_or_default();
            if section.name.is_empty() {
                !part.contains("]\n") || part.starts_with("name") || part.starts_with("postmaster")
            } else {
                name == section.name
            }
        });
        parts
            .flat_map(|part| part.lines())
            .filter_map(|l| l.split_once(" = "))
            .map(|(key, _)| key.to_string())
            .collect()
    };
    for (text, sections) in [(&node, NODE), (&org, ORG)] {
        for section in sections {
            let written = lines_of(text, section);
            // A file is written as what it held, a usage as the values that it stood in for.
            let told_otherwise = ["recipients_file", "usage"];
            for setting in section.settings.iter().filter(|setting| !told_otherwise.contains(&setting.key)) {
                assert!(
                    written.iter().any(|key| key == setting.key),
                    "{} of {} is not in the dump",
                    setting.key,
                    section.heading()
                );
            }
        }
    }
}

#[test]
fn defaults_are_values_within_their_bounds() {
    let loaded = good(GOOD_ORG);
    assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
    for setting in NODE.iter().chain(ORG).flat_map(|section| section.settings) {
        if let Default::Is(value) | Default::BySubmission(value, _) = setting.default {
            assert!(toml::de::DeValue::parse(value).is_ok(), "{} = {value}", setting.key);
        }
        assert!(setting.what.ends_with('.') || setting.what.ends_with('?'), "{}: {}", setting.key, setting.what);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The reference in the documentation is the one that the rows make. `BLESS=1 cargo test -p directory --test settings` writes it.
#[test]
fn the_documentation_has_this_reference() {
    const MARK: &str = "<!-- From here on written by `BLESS=1 cargo test -p directory --test settings`. -->\n\n";
    let path = root().join("docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (by_hand, written) = text.split_once(MARK).expect("docs/configuration.md has the mark");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{by_hand}{MARK}{}", reference())).unwrap();
    } else {
        assert!(
            written == reference(),
            "docs/configuration.md is not what the settings say: run this test with BLESS=1"
        );
    }
    // What is written by hand names no key that is not there.
    for word in by_hand.split('`').skip(1).step_by(2).filter(|word| word.contains('_') && !word.contains(' ')) {
        let known = NODE.iter().chain(ORG).any(|s| s.name == word || s.setting(word).is_some());
        assert!(known, "docs/configuration.md names `{word}`, which is no setting");
    }
}

/// The page of limits lists the destinations that are built in, as they are.
#[test]
fn the_documentation_lists_the_built_in_destinations() {
    let text = std::fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let or_any = |bound: Option<u32>| bound.map_or("any".into(), |bound| bound.to_string());
    for one in good(GOOD_ORG).org.destinations.all() {
        let (messages, recipients) = (or_any(one.messages_per_connection), or_any(one.recipients_per_message));
        let row = format!("| {} | {} | {messages} | {recipients} |", one.name, one.connections_max);
        assert!(text.contains(&row), "docs/limits.md lacks {row}");
    }
}

/// Every example loads without a problem or a warning. (That of several nodes makes its certificates when it starts: tests/tests/two_hub_lab.rs
/// starts it.)
#[test]
fn the_examples_are_good() {
    let world = world::World::real();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("examples")).unwrap().flatten() {
        let dir = entry.path();
        let makes_certificates = dir.ends_with("two-hub-lab");
        let nodes = ["posthouse.toml", "hub1/posthouse.toml", "hub2/posthouse.toml"].map(|file| dir.join(file));
        for node in nodes.into_iter().filter(|node| node.is_file() && !makes_certificates) {
            let start = Start { config: Some(node), org: Some(dir.join("org.toml")), ..Start::default() };
            let loaded = Loaded::load(world.disk.as_ref(), &start).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
            let words = std::fs::read_to_string(dir.join("README.md")).unwrap();
            assert!(words.contains("posthouse start --config"), "{}: README.md says how to start it", dir.display());
            count += 1;
        }
    }
    assert_eq!(count, 5);
}

/// The documents of the dialogs, which the process tests start nodes with.
#[test]
fn the_documents_of_the_dialogs_are_good() {
    for entry in std::fs::read_dir(root().join("tests/dialogs/nodes")).unwrap().flatten().filter(|e| e.path().is_dir())
    {
        let read = |file: &str| {
            let text = std::fs::read_to_string(entry.path().join(file)).unwrap();
            let ports = [("@SMTP@", "2501"), ("@SUBMISSION@", "2502"), ("@EXTRA@", "2503"), ("@HTTP@", "2504")];
            let text = ports.iter().fold(text, |text, (mark, port)| text.replace(mark, port));
            text.replace("@BOB@", ARGON2ID)
        };
        load(Some(&read("posthouse.toml")), &read("org.toml"))
            .unwrap_or_else(|problems| panic!("{}:\n{problems}", entry.path().display()));
    }
}
