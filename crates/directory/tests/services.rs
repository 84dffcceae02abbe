//! What services and members mean, and what of them is wrong or doubtful.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::{good, load};
use directory::{Algorithm, ProxyHeader, Service, ServiceProtocol};
use std::sync::Arc;

/// Two hubs that are balancers as well, each with a connector of its own for the service.
const LAYOUT: &str = r#"
    [[site]]
    name = "east"
    [[server]]
    name = "hub1.example"
    site = "east"
    address = "10.0.0.1:2526"
    [[server]]
    name = "hub2.example"
    site = "east"
    address = "10.0.0.2:2526"
    [[receive_connector]]
    name = "in"
    listen = ["127.0.0.1:25"]
    [[service]]
    name = "relay"
    hostname = "relay.ours.example"
    listen = ["10.0.0.9:25"]
    [[receive_connector]]
    name = "one"
    servers = ["hub1.example"]
    listen = ["10.0.0.11:25"]
    hostname = "relay.ours.example"
    trusted_proxies = ["10.0.0.11", "10.0.0.2"]
    [[receive_connector]]
    name = "two"
    servers = ["hub2.example"]
    listen = ["10.0.0.12:25"]
    hostname = "relay.ours.example"
    trusted_proxies = ["10.0.0.12", "10.0.0.1"]
    [[member]]
    name = "m1"
    service = "relay"
    address = "10.0.0.11:25"
    [[member]]
    name = "m2"
    service = "relay"
    address = "10.0.0.12:25"
"#;

/// The layout with something in another way.
fn layout(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(LAYOUT.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

fn service(org: &str, name: &str) -> Arc<Service> {
    good(org).org.service(name).unwrap().clone()
}

fn warnings(org: &str) -> Vec<String> {
    good(org)
        .warnings
        .0
        .iter()
        .map(|warning| warning.text.clone())
        .filter(|text| !text.contains("it gets no mail"))
        .collect()
}

fn problems(org: &str) -> String {
    load(None, org).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_document_that_says_little_means_what_suits_the_protocol() {
    let service = service(LAYOUT, "relay");
    assert_eq!((service.protocol, service.algorithm), (ServiceProtocol::Smtp, Algorithm::LeastConnections));
    assert_eq!(
        service.limits.idle_timeout_ms,
        15 * 60_000,
        "a client may be silent for 10 minutes (RFC 5321 4.5.3.2.6)"
    );
    assert!(service.is_for("any.example"));
    let proxies: Vec<_> = service.members.iter().map(|member| (member.is_own, member.proxy)).collect();
    assert_eq!(proxies, [(true, ProxyHeader::V2); 2], "connectors of ours are bound to these addresses");
    assert_eq!(warnings(LAYOUT), [""; 0]);
    let stranger = layout(&[("address = \"10.0.0.12:25\"", "address = \"10.9.9.9:25\"")]);
    let service = self::service(&stranger, "relay");
    assert_eq!((service.members[1].is_own, service.members[1].proxy), (false, ProxyHeader::None));
    for (protocol, least_ms) in [("imap", 30), ("imaps", 30), ("pop3", 10), ("submission", 10), ("https", 45)] {
        let org = layout(&[(
            "listen = [\"10.0.0.9:25\"]",
            &format!("listen = [\"10.0.0.9:25\"]\nprotocol = \"{protocol}\""),
        )]);
        assert!(self::service(&org, "relay").limits.idle_timeout_ms >= least_ms * 60_000, "{protocol}");
    }
}

#[test]
fn the_map_gives_members_and_what_is_written_takes_their_place() {
    let member2 = "[[member]]\n    name = \"m2\"\n    service = \"relay\"\n    address = \"10.0.0.12:25\"";
    let org = layout(&[
        ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\npool_site = [\"East\"]\npool_port = 2525"),
        ("[[member]]\n    name = \"m1\"\n    service = \"relay\"\n    address = \"10.0.0.11:25\"", ""),
        (
            member2,
            "[[member]]\nname = \"second\"\nservice = \"relay\"\nserver = \"Hub2.example\"\ndrain = true\nweight = 2",
        ),
    ]);
    let service = service(&org, "relay");
    let shown = |m: &Arc<directory::ServiceMember>| format!("{} {} {} {}", m.name, m.address, m.drain, m.weight);
    let all: Vec<String> = service.members.iter().map(shown).collect();
    assert_eq!(all, ["hub1.example 10.0.0.1:2525 false 1", "second 10.0.0.2:25 true 2"]);
    assert_eq!(service.members[1].site.as_deref(), Some("east"));
}

#[test]
fn what_cannot_be_is_a_problem_with_its_line_and_what_to_do() {
    for (change, told) in [
        (
            ("listen = [\"127.0.0.1:25\"]", "listen = [\"0.0.0.0:25\"]"),
            "org.toml:18:15: receive connector \"in\" listens on 0.0.0.0:25 as well (line 14), on the same node; write the node's own \
             addresses there instead of the wildcard",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.11:25\"]"),
            "receive connector \"one\" listens on 10.0.0.11:25 as well (line 22), on the same node; give each its own address or port",
        ),
        (
            (
                "listen = [\"10.0.0.9:25\"]",
                "listen = [\"10.0.0.9:25\"]\n[[service]]\nname = \"two\"\nlisten = [\"0.0.0.0:25\"]\npool_servers = [\"hub1.example\"]",
            ),
            "0.0.0.0:25 is taken by service \"relay\" already (10.0.0.9:25, line 18)",
        ),
        (
            ("address = \"10.0.0.12:25\"", "address = \"10.0.0.9:25\""),
            "member \"m2\" is at 10.0.0.9:25, where its service listens itself",
        ),
        (
            ("address = \"10.0.0.12:25\"", "address = \"10.0.0.11:25\""),
            "10.0.0.11:25 is member \"m1\" of this service already",
        ),
        (
            ("address = \"10.0.0.2:2526\"", "address = \"10.0.0.9:25\""),
            "10.0.0.9:25 is the address of service \"relay\": servers reach each other by themselves and never through a balancer",
        ),
        (
            ("address = \"10.0.0.12:25\"", ""),
            "a member needs an address = \"host:port\", or a server = \"NAME\" of the map",
        ),
        (
            ("address = \"10.0.0.12:25\"", "server = \"hub3.example\""),
            "there is no [[server]] \"hub3.example\"; did you mean",
        ),
        (
            ("name = \"m2\"\n    service = \"relay\"", "name = \"m2\"\nservice = \"rely\""),
            "there is no [[service]] \"rely\"; did you mean \"relay\"?",
        ),
        (("name = \"m2\"", "name = \"m1\""), "there is a [[member]] \"m1\" already"),
        (
            ("hostname = \"relay.ours.example\"\n    listen", "tls = \"terminate\"\n    listen"),
            "tls = \"terminate\" is for protocols with TLS from the first byte",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\npool_site = [\"west\"]"),
            "there is no [[site]] \"west\"",
        ),
        (
            (
                "listen = [\"10.0.0.9:25\"]",
                "listen = [\"10.0.0.9:25\"]\nprotocol = \"tcp\"\npool_servers = [\"hub1.example\"]",
            ),
            "protocol tcp has no port of its own; write pool_port = ...",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\nejection_time = \"10m\""),
            "ejection_time_max is shorter than ejection_time",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\nprobe_path = \"/health\""),
            "probe_path is for protocol = \"http\" and \"https\"; remove it",
        ),
        (
            (
                "listen = [\"10.0.0.9:25\"]",
                "listen = [\"10.0.0.9:25\"]\nprotocol = \"http\"\nprobe = \"tcp\"\nprobe_status = \"204\"",
            ),
            "probe = \"tcp\" asks for nothing; remove it, or remove probe_status",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\nprotocol = \"http\"\nprobe_path = \"/a b\""),
            "\"/a b\" is no path; write it like /health or /check?quick=1",
        ),
        (
            (
                "listen = [\"10.0.0.9:25\"]",
                "listen = [\"10.0.0.9:25\"]\nprotocol = \"https\"\nprobe_status = \"299-200\"",
            ),
            "\"299-200\" is no status of HTTP; write 204, or 200-299",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\nprobe_certificate_days = [0]"),
            "probe_certificate_days = [.. 0 ..] is out of range",
        ),
    ] {
        let found = problems(&layout(&[change]));
        assert!(found.contains(told), "{change:?}\n{found}");
    }
    let alone = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n[[service]]\nname = \"s\"\nlisten = [\"127.0.0.2:25\"]\n";
    assert!(problems(alone).contains("service \"s\" has no members; add a [[member]] with service = \"s\""));
}

/// Who never meets on one node may have the same socket.
#[test]
fn other_nodes_are_no_problem() {
    let apart = layout(&[
        ("listen = [\"127.0.0.1:25\"]", "listen = [\"0.0.0.0:25\"]\nservers = [\"mx1.example.org\"]"),
        ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\nservers = [\"hub1.example\", \"hub2.example\"]"),
    ]);
    good(&apart);
    good(&layout(&[("listen = [\"10.0.0.9:25\"]", "enabled = false\nlisten = [\"127.0.0.1:25\"]")]));
}

/// Rows 57 and 58 of the behaviours.
#[test]
fn what_is_hardly_meant_is_a_warning_that_says_the_line_to_add() {
    for (change, told) in [
        (("listen = [\"10.0.0.12:25\"]", "listen = [\"10.0.0.13:25\"]"), ""),
        (
            ("address = \"10.0.0.12:25\"", "address = \"10.0.0.2:25\""),
            "no receive connector listens on 10.0.0.2:25: member \"m2\" refuses every connection; add a [[receive_connector]] with \
             listen = [\"10.0.0.2:25\"] and hostname = \"relay.ours.example\"; add trusted_proxies = [\"10.0.0.1\", \"10.0.0.2\"]",
        ),
        (
            (
                "hostname = \"relay.ours.example\"\n    trusted_proxies = [\"10.0.0.12\"",
                "trusted_proxies = [\"10.0.0.12\"",
            ),
            "clients of service \"relay\" know relay.ours.example and meet mx1.example.org here; add hostname = \"relay.ours.example\" to this \
             connector, or one with listen = [\"10.0.0.12:25\"] and that name",
        ),
        (
            ("trusted_proxies = [\"10.0.0.12\", \"10.0.0.1\"]", "trusted_proxies = [\"10.0.0.1\"]"),
            "service \"relay\" sends a PROXY header, and this connector does not take it from 10.0.0.12: such a connection ends in an error; \
             add trusted_proxies = [\"10.0.0.1\", \"10.0.0.12\"]",
        ),
        (
            ("trusted_proxies = [\"10.0.0.12\", \"10.0.0.1\"]", ""),
            "this connector does not take it from 10.0.0.1, 10.0.0.12: such a connection ends in an error; add trusted_proxies = [\"10.0.0.1\", \"10.0.0.12\"]",
        ),
        (
            ("address = \"10.0.0.12:25\"", "address = \"10.0.0.12:25\"\nproxy = \"none\""),
            "service \"relay\" sends no PROXY header, and this connector waits for one from 10.0.0.1",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\nidle_timeout = \"1m\""),
            "idle_timeout = \"1m\" is shorter than that of receive connector \"one\" behind it (\"5m\")",
        ),
        (
            (
                "trusted_proxies = [\"10.0.0.12\", \"10.0.0.1\"]",
                "tls = \"implicit\"\ntrusted_proxies = [\"10.0.0.12\", \"10.0.0.1\"]",
            ),
            "service \"relay\" (smtp) sends its clients here, and this connector speaks TLS from the first byte",
        ),
        (
            ("listen = [\"10.0.0.9:25\"]", "listen = [\"10.0.0.9:25\"]\nservers = [\"hub3.example\"]"),
            "no [[server]] is called hub3.example; did you mean \"hub1.example\"?",
        ),
    ] {
        let found = warnings(&layout(&[change]));
        match told {
            "" => assert_eq!(found, [""; 0], "a member that is none of ours needs nothing from us"),
            told => assert!(found.iter().any(|text| text.contains(told)), "{change:?}\n{found:#?}"),
        }
    }
    let drained = layout(&[("service = \"relay\"", "service = \"relay\"\ndrain = true")]);
    assert!(warnings(&drained).iter().any(|text| text.contains("all members of service \"relay\" are drained")));
}

/// What is asked of members says the same to a prober as in the document.
#[test]
fn probes_are_as_they_are_written() {
    let of = |more: &str| {
        let text = format!("listen = [\"10.0.0.9:25\"]\n{more}");
        service(&layout(&[("listen = [\"10.0.0.9:25\"]", &text)]), "relay").probe.clone()
    };
    let plain = of("");
    assert_eq!((&*plain.certificate_days, &*plain.path, plain.status), (&[60, 30, 7][..], "/", (200, 399)));
    assert!(
        !plain.expired_is_down && !plain.starttls,
        "a certificate that ends on all members must not end the service"
    );
    let other = of(
        "protocol = \"https\"\nprobe_path = \"/health?quick=1\"\nprobe_status = \"204\"\nprobe_certificate_days = [90]\nprobe_expired = \"down\"",
    );
    assert_eq!((&*other.certificate_days, &*other.path, other.status), (&[90][..], "/health?quick=1", (204, 204)));
    assert!(other.expired_is_down);
}

/// What another server's own connectors say is known here as well: a probe of it depends on them.
#[test]
fn connectors_of_other_servers_are_known_and_not_ours() {
    let org = good(LAYOUT).org;
    let of = |server: &str| -> Vec<String> { org.connectors_of(server).map(|one| one.name.to_string()).collect() };
    assert_eq!(
        (of("hub1.example"), of("hub2.example")),
        (vec!["in".into(), "one".into()], vec!["in".into(), "two".into()])
    );
    assert_eq!(org.receive_connectors.len(), 1, "this node is none of the two");
}
