//! One table per rule.

use super::maps::{compiled, mailbox, word};
use directory::{Org, Trip};
use std::sync::Arc;

/// A line of sites a-b-c-d-e-f-g with one server in each (`a.test` and so on) and a second one in c, `c2.test`; beside it x, which
/// nothing joins. Links cost 1, and that between c and d takes messages up to 1 MB.
fn line(more: &str) -> String {
    let mut out = String::from("[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n");
    for site in ["a", "b", "c", "d", "e", "f", "g", "x"] {
        out += &format!("[[site]]\nname = \"{site}\"\nhub_site = @{site}@\n");
        out += &format!("[[server]]\nname = \"{site}.test\"\nsite = \"{site}\"\naddress = \"{site}.test:2526\"\n");
    }
    out += "[[server]]\nname = \"c2.test\"\nsite = \"C\"\naddress = \"c2.test:2526\"\n";
    for pair in ["ab", "bc", "cd", "de", "ef", "fg"] {
        let (a, b) = pair.split_at(1);
        let limit = if pair == "cd" { "message_size_max = \"1MB\"\n" } else { "" };
        out += &format!("[[site_link]]\nname = \"{pair}\"\nsites = [\"{a}\", \"{b}\"]\n{limit}");
    }
    out + more
}

fn hub_sites(document: &str, of: &str) -> String {
    let is = |site: &str| if of.contains(site) { "true" } else { "false" };
    ["a", "b", "c", "d", "e", "f", "g", "x"]
        .iter()
        .fold(document.into(), |text: String, site| text.replace(&format!("@{site}@"), is(site)))
}

fn connector(name: &str, domains: &str, more: &str) -> String {
    format!("[[send_connector]]\nname = \"{name}\"\nmx = true\ndomains = [\"{domains}\"]\n{more}\n")
}

/// One for each site: mail for `SITE.example` leaves there.
fn one_each() -> String {
    let each = ["a", "b", "c", "d", "e", "f", "g", "x"];
    each.map(|site| connector(site, &format!("{site}.example"), &format!("servers = [\"{site}.test\"]"))).concat()
}

fn at(org: &Arc<Org>, server: &str, been_in: &[&str], bytes: u64, to: &[&str]) -> String {
    let been_in: Vec<Box<str>> = been_in.iter().map(|site| (*site).into()).collect();
    let to: Vec<_> = to.iter().map(|domain| mailbox(&format!("x@{domain}.example"))).collect();
    let trip = Trip { server, bytes, been_in: &been_in };
    org.route_message(&trip, to.iter()).iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn mail_goes_straight_to_its_site_and_stops_at_hub_sites_and_forks() {
    let org = compiled(&hub_sites(&line(&one_each()), ""), "a.test");
    for (server, to, way) in [
        ("a.test", &["a"][..], "out a"),
        ("a.test", &["e"], "site e"),
        ("c2.test", &["c"], "servers connector:c"),
        ("c.test", &["c"], "out c"),
        ("a.test", &["x"], "waits: no send connector for this domain can be used from here"),
        ("x.test", &["x", "a"], "out x, waits: no send connector for this domain can be used from here"),
        // Delayed fan-out: one copy to the last site that the paths share.
        ("a.test", &["e", "g"], "site e, site e"),
        ("a.test", &["g", "b", "a"], "site b, site b, out a"),
        ("d.test", &["a", "g"], "site a, site g"),
        ("d.test", &["a", "b", "g", "f"], "site b, site b, site f, site f"),
        ("stranger.test", &["e"], "waits: this server stands in no site"),
    ] {
        let way = way.replace(
            "no send connector for this domain can be used from here",
            match server {
                "stranger.test" => "this server stands in no site",
                _ => "no send connector for this domain can be used from here",
            },
        );
        assert_eq!(at(&org, server, &[], 0, to), way, "{server} {to:?}");
    }
    // At the fork c it has been already, or no server is there: one copy for each branch behind it.
    let fork = line(&(one_each() + "[[site_link]]\nname = \"cx\"\nsites = [\"c\", \"x\"]\n"));
    let empty = fork.replace("site = \"c\"\n", "site = \"a\"\n").replace("site = \"C\"\n", "site = \"a\"\n");
    let (org, empty) = (compiled(&hub_sites(&fork, ""), "a.test"), compiled(&hub_sites(&empty, ""), "a.test"));
    assert_eq!(at(&org, "a.test", &[], 0, &["x", "e", "g"]), "site c, site c, site c");
    assert_eq!(at(&org, "a.test", &["c"], 0, &["x", "e", "g"]), "site x, site e, site e");
    assert_eq!(at(&empty, "a.test", &[], 0, &["x", "e", "g"]), "site x, site e, site e");
    let hubs = compiled(&hub_sites(&line(&one_each()), "ce"), "a.test");
    for (server, been_in, to, way) in [
        ("a.test", &[][..], &["g"][..], "site c"),
        ("c.test", &["a"], &["g"], "site e"),
        ("c2.test", &["a"], &["d"], "site d"),
        ("e.test", &["a", "c"], &["g"], "site g"),
        // Not on the path: the flag does nothing.
        ("a.test", &[], &["b"], "site b"),
        // It has been there already.
        ("b.test", &["c"], &["g"], "site e"),
        ("b.test", &["c", "g"], &["g"], "waits: it has been in every site that delivers this"),
        ("a.test", &[], &["d", "g"], "site c, site c"),
    ] {
        assert_eq!(at(&hubs, server, been_in, 0, to), way, "{server} {been_in:?} {to:?}");
    }
}

#[test]
fn a_link_that_is_too_small_refuses_and_no_other_path_is_looked_for() {
    let other_way = "[[site_link]]\nname = \"wide\"\nsites = [\"a\", \"g\"]\ncost = 50\n";
    let org = compiled(&hub_sites(&line(&(one_each() + other_way)), ""), "a.test");
    assert_eq!(at(&org, "a.test", &[], 1 << 20, &["d"]), "site d");
    let way = at(&org, "a.test", &[], (1 << 20) + 1, &["d", "c", "a"]);
    assert_eq!(way, "too large: site link cd takes messages up to 1MB, site c, out a");
}

#[test]
fn the_choice_of_a_connector() {
    let table: &[(&str, &[(&str, &str, &str)], &str, u64, &str)] = &[
        ("specific beats cheap", &[("all", "*;1", ""), ("one", "y.example;100", "")], "a.test", 0, "out one"),
        ("below beats all", &[("all", "*", ""), ("below", "*.example;9", "")], "a.test", 0, "out below"),
        (
            "the path counts too",
            &[("far", "*;1", "servers = [\"d.test\"]"), ("near", "*;2", "servers = [\"b.test\"]")],
            "a.test",
            0,
            "site b",
        ),
        (
            "cost of the space",
            &[("far", "*;1", "servers = [\"d.test\"]"), ("near", "*;4", "servers = [\"b.test\"]")],
            "a.test",
            0,
            "site d",
        ),
        (
            "same cost: nearer",
            &[("far", "*;1", "servers = [\"d.test\"]"), ("near", "*;3", "servers = [\"b.test\"]")],
            "a.test",
            0,
            "site b",
        ),
        (
            "this server before this site",
            &[("a", "*", "servers = [\"c.test\"]"), ("b", "*", "servers = [\"c2.test\"]")],
            "c2.test",
            0,
            "out b",
        ),
        ("then names", &[("zz", "*", ""), ("aa", "*", "")], "c2.test", 0, "out aa"),
        (
            "size first",
            &[("small", "y.example", "message_size_max = \"1MB\""), ("all", "*;100", "")],
            "a.test",
            2 << 20,
            "out all",
        ),
        (
            "size excludes all",
            &[("small", "y.example", "message_size_max = \"1MB\"")],
            "a.test",
            2 << 20,
            "too large: send connector small takes messages up to 1MB",
        ),
        ("not enabled", &[("off", "y.example", "enabled = false"), ("all", "*;100", "")], "a.test", 0, "out all"),
        (
            "out of scope",
            &[("own", "y.example", "scoped = true\nservers = [\"b.test\"]"), ("all", "*", "")],
            "a.test",
            0,
            "out all",
        ),
        (
            "in scope",
            &[("own", "y.example", "scoped = true\nservers = [\"c.test\"]"), ("all", "*", "")],
            "c2.test",
            0,
            "servers connector:own",
        ),
        (
            "a server that nobody knows",
            &[("lost", "y.example", "servers = [\"no.test\"]"), ("all", "*", "")],
            "a.test",
            0,
            "out all",
        ),
        (
            "the closest site takes all",
            &[("c", "*", "servers = [\"g.test\", \"c.test\", \"c2.test\"]")],
            "a.test",
            0,
            "site c",
        ),
        ("none", &[("b", "b.example", "")], "a.test", 0, "waits: no send connector is for this domain"),
    ];
    for (what, connectors, server, bytes, way) in table {
        let written: String = connectors.iter().map(|(name, domains, more)| connector(name, domains, more)).collect();
        let org = compiled(&hub_sites(&line(&written), ""), server);
        assert_eq!(at(&org, server, &[], *bytes, &["y"]), *way, "{what}");
    }
}

#[test]
fn a_domain_is_delivered_by_its_servers() {
    let domain = |preference: &str| {
        format!(
            "[[accepted_domain]]\nname = \"y.example\"\ndeliver = \"lmtp:127.0.0.1:24\"\nservers = [\"c.test\", \"c2.test\", \"g.test\"]\n\
             local_preference = \"{preference}\"\n"
        )
    };
    let table: &[(&str, &str, &[&str], &str)] = &[
        ("prefer", "a.test", &[], "site c"),
        ("prefer", "f.test", &[], "site g"),
        ("prefer", "c.test", &[], "lmtp 127.0.0.1:24"),
        ("strict", "c.test", &[], "lmtp 127.0.0.1:24"),
        ("avoid", "c.test", &[], "servers domain:y.example"),
        ("avoid", "c.test", &["c"], "lmtp 127.0.0.1:24"),
        ("avoid", "g.test", &[], "lmtp 127.0.0.1:24"),
    ];
    for (preference, server, been_in, way) in table {
        let org = compiled(&hub_sites(&line(&domain(preference)), ""), server);
        assert_eq!(at(&org, server, been_in, 0, &["y"]), *way, "{preference} {server}");
    }
    let internal = "[[accepted_domain]]\nname = \"y.example\"\ntype = \"internal_relay\"\ndeliver = \"maildir\"\nrecipients = [\"x\"]\n";
    let org = compiled(&hub_sites(&line(&(internal.to_string() + &connector("other", "y.example", ""))), ""), "a.test");
    assert_eq!(word(&org.route(&mailbox("x@y.example"))), "maildir y.example");
    assert_eq!(word(&org.route(&mailbox("z@y.example"))), "out other");
}

#[test]
fn links_learn_whom_to_ask() {
    let names = |org: &Org, site: &str| org.hubs_of(site).map(|hub| hub.name.to_string()).collect::<Vec<_>>();
    let org = compiled(
        &hub_sites(&line(&connector("out", "*", "servers = [\"c2.test\", \"g.test\", \"c.test\"]")), ""),
        "c.test",
    );
    assert_eq!(names(&org, "c"), ["c2.test"]);
    assert_eq!(names(&org, "g"), ["g.test"]);
    assert!(names(&org, "nowhere").is_empty());
    assert_eq!(org.servers_of("connector:out").map(|server| &*server.name).collect::<Vec<_>>(), ["c2.test"]);
    assert_eq!(org.servers_of("connector:none").count() + org.servers_of("out").count(), 0);
    assert_eq!(org.own_site().map(|site| &*site.name), Some("c"));
    let back_off = |server: &str, site: &str, been_in: &[&str]| {
        let been_in: Vec<Box<str>> = been_in.iter().map(|site| (*site).into()).collect();
        let org = compiled(&hub_sites(&line(""), ""), server);
        org.back_off(site, &been_in).iter().map(|site| site.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    for (from, to, been_in, sites) in [
        ("a.test", "b", &[][..], ""),
        ("a.test", "e", &[], "d c b"),
        ("a.test", "e", &["c"], "d b"),
        // More than four links away the remaining distance is halved.
        ("a.test", "g", &[], "d c b"),
        ("b.test", "g", &[], "d c"),
        ("a.test", "x", &[], ""),
        ("a.test", "a", &[], ""),
        ("stranger.test", "g", &[], ""),
    ] {
        assert_eq!(back_off(from, to, been_in), sites, "{from} to {to}");
    }
}

#[test]
fn without_sites_all_servers_stand_in_one() {
    let written = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n\
        [[server]]\nname = \"b.test\"\naddress = \"b.test:2526\"\n[[server]]\nname = \"c.test\"\naddress = \"c.test:2526\"\n";
    let org = compiled(&(written.to_string() + &connector("out", "*", "servers = [\"b.test\"]")), "a.test");
    assert_eq!(at(&org, "a.test", &[], 0, &["y"]), "servers connector:out");
    assert_eq!(at(&org, "b.test", &["default"], 0, &["y"]), "out out");
    assert_eq!(
        at(&org, "c.test", &["default"], 0, &["y"]),
        "servers connector:out",
        "its server has an older document"
    );
    assert_eq!(
        at(&org, "c.test", &["default", "default"], 0, &["y"]),
        "waits: the servers of this site hand it to and fro"
    );
    assert_eq!(org.own_site().map(|site| &*site.name), Some("default"));
}

#[test]
fn explain_shows_the_path_and_why_each_other_connector_lost() {
    let written = connector("far", "*.example;2", "servers = [\"e.test\"]")
        + &connector("all", "*", "")
        + &connector("off", "y.example", "enabled = false")
        + &connector("own", "y.example", "servers = [\"c.test\"]\nscoped = true")
        + &connector("small", "*.example;1", "message_size_max = \"1MB\"")
        + &connector("farther", "*.example;2", "servers = [\"f.test\"]")
        + &connector("others", "other.example", "");
    let org = compiled(
        &hub_sites(&line(&written).replace("message_size_max = \"1MB\"\n[[site_link]]", "[[site_link]]"), "d"),
        "a.test",
    );
    let explain = |bytes: u64| {
        let question = directory::Question {
            rcpt: Some(mailbox("x@y.example")),
            size_bytes: Some(bytes),
            ..directory::Question::connection("127.0.0.1".parse().unwrap(), "127.0.0.1:25".parse().unwrap())
        };
        org.explain(&question)
    };
    let text = explain(2 << 20);
    for line in [
        "Mail to x@y.example goes to site d: d.test at d.test:2526.",
        "  Path: a -[ab 1]-> b -[bc 1]-> c -[cd 1]-> d (hub site) -[de 1]-> e; cost 4 over 4 links.",
        "  It stops at d, a hub site on that path.",
        "  If no server there takes it, it waits as near as it gets: c, then b.",
        "  \"far\" by *.example: cost 6 (path 4, address space 2), 4 links away.",
        "  Not \"all\" by *: it is less specific.",
        "  Not \"off\" by y.example: it is not enabled.",
        "  Not \"own\" by y.example: it is scoped, and none of its servers stands in this site.",
        "  Not \"small\" by *.example: it takes messages up to 1MB.",
        "  Not \"farther\" by *.example: it costs 7, more than 6.",
        "  Not \"others\": it has no address space for y.example.",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\nis not in\n{text}");
    }
    assert!(explain(1000).contains("  \"small\" by *.example: cost 1 (path 0, address space 1), from this server.\n"));
}
