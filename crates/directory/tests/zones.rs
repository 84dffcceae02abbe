//! What follows from `[[zone]]`, `[[dns_name]]`, `[[mx_layout]]` and `[[server]]`: the records, and what they hang on.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::good;
use directory::zone::Naming;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const HEAD: &str = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n[[site]]\nname = \"east\"\n[[site]]\nname = \"west\"\n\
                    [[zone]]\nname = \"example.org\"\nname_servers = [\"ns1.example.net\", \"ns2.example.net\"]\n";

fn edges(count: usize) -> String {
    let edge = |n: usize| {
        let site = if n < count.div_ceil(2) { "east" } else { "west" };
        format!(
            "[[server]]\nname = \"edge{n}.example.org\"\nsite = \"{site}\"\naddress = \"10.0.0.{n}:2526\"\npublic_addresses = [\"192.0.2.{n}\"]\n"
        )
    };
    (0..count).map(edge).collect()
}

/// The records of a zone as lines: name, TTL, type, data, what they hang on.
fn lines(naming: &Naming, zone: &str) -> Vec<String> {
    let line = |entry: &directory::zone::Entry| {
        let when: Vec<String> = entry.when.iter().map(|subject| format!(" <{subject}>")).collect();
        format!("{} {} {} {}{}", entry.name, entry.ttl_s, entry.data.kind().word(), entry.data, when.concat())
    };
    naming.entries(zone).iter().map(line).collect()
}

#[test]
fn three_by_two_over_six_edges_in_two_sites() {
    let layout = "[[mx_layout]]\nname = \"main\"\ndomains = [\"example.org\"]\nhosts = 3\naddresses = 2\n";
    let loaded = good(&format!("{HEAD}{}{layout}", edges(6)));
    let map = loaded.org.topology();
    let hosts = loaded.org.naming.layouts()[0].hosts(map);
    let of: Vec<(String, Vec<String>)> =
        hosts.iter().map(|h| (h.name.clone(), h.servers.iter().map(|s| s.name[..5].to_string()).collect())).collect();
    let pair = |name: &str, a: &str, b: &str| (name.to_string(), vec![a.to_string(), b.to_string()]);
    assert_eq!(
        of,
        [
            pair("mx1.example.org", "edge0", "edge3"),
            pair("mx2.example.org", "edge1", "edge4"),
            pair("mx3.example.org", "edge2", "edge5")
        ]
    );
    let lines = lines(&loaded.org.naming, "example.org");
    let has = |line: &str| assert!(lines.iter().any(|one| one == line), "{line} in {lines:#?}");
    has("example.org 300 MX 10 mx1.example.org. <node edge0.example.org> <node edge3.example.org>");
    has("mx1.example.org 300 A 192.0.2.3 <node edge3.example.org>");
    has("edge3.example.org 300 A 192.0.2.3");
    assert_eq!(lines.iter().filter(|line| line.contains(" MX ")).count(), 3);
    assert_eq!(lines.iter().filter(|line| line.starts_with("mx")).count(), 6);
}

#[test]
fn what_follows_from_names_and_servers() {
    let text = format!(
        "{HEAD}{}
        [[zone]]
        name = \"2.0.192.in-addr.arpa\"
        name_servers = [\"ns1.example.net\", \"ns2.example.net\"]
        ttl = \"1h\"
        [[zone]]
        name = \"lab.example.org\"
        name_servers = [\"ns1.example.net\", \"ns2.example.net\"]
        [[dns_name]]
        name = \"smtp.example.org\"
        servers = [\"edge1.example.org\", \"edge0.example.org\"]
        addresses = [\"192.0.2.1\"]
        ttl = \"1m\"
        [[dns_name]]
        name = \"relay.lab.example.org\"
        addresses = [\"192.0.2.77\", \"2001:db8::77\"]
        [[dns_name]]
        name = \"1.2.0.192.in-addr.arpa\"
        ptr_to = [\"one.example.org\"]
        ",
        edges(2)
    );
    let loaded = good(&text);
    let naming = &loaded.org.naming;
    assert_eq!(
        lines(naming, "example.org"),
        [
            "example.org 300 NS ns1.example.net.",
            "example.org 300 NS ns2.example.net.",
            "edge0.example.org 300 A 192.0.2.0",
            "edge1.example.org 300 A 192.0.2.1",
            "smtp.example.org 60 A 192.0.2.0 <node edge0.example.org>",
            "smtp.example.org 60 A 192.0.2.1",
        ],
        "an address that is written stands whatever its server does"
    );
    assert_eq!(
        lines(naming, "2.0.192.in-addr.arpa")[2..],
        [
            "0.2.0.192.in-addr.arpa 3600 PTR edge0.example.org.",
            "1.2.0.192.in-addr.arpa 3600 PTR one.example.org.",
            "77.2.0.192.in-addr.arpa 3600 PTR relay.lab.example.org.",
        ]
    );
    assert_eq!(lines(naming, "lab.example.org").len(), 4);
}

/// A service on every address of its nodes follows the nodes; on an address of its own, the service. Programs find it by SRV.
#[test]
fn names_of_services() {
    let service = |name: &str, protocol: &str, listen: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\nlisten = [{listen}]\nservers = [\"edge1.example.org\"]\n[[member]]\nname = \"m-{name}\"\nservice = \"{name}\"\naddress = \"10.0.0.9:2599\"\n"
        )
    };
    let text = format!(
        "{HEAD}{}{}{}[[dns_name]]\nname = \"mail.example.org\"\nservices = [\"sub\", \"imap\"]\nsrv_for = [\"example.org\"]\n",
        edges(2),
        service("sub", "submissions", "\"0.0.0.0:465\", \"0.0.0.0:4650\""),
        service("imap", "imaps", "\"192.0.2.200:993\""),
    );
    assert_eq!(
        lines(&good(&text).org.naming, "example.org")[2..],
        [
            "_imaps._tcp.example.org 300 SRV 0 1 993 mail.example.org.",
            "_submissions._tcp.example.org 300 SRV 0 1 465 mail.example.org.",
            "_submissions._tcp.example.org 300 SRV 0 1 4650 mail.example.org.",
            "edge0.example.org 300 A 192.0.2.0",
            "edge1.example.org 300 A 192.0.2.1",
            "mail.example.org 300 A 192.0.2.1 <node edge1.example.org>",
            "mail.example.org 300 A 192.0.2.200 <service imap at 192.0.2.200>",
        ]
    );
}

/// A virtual address is a name's by itself, or because a service listens there; it points back to the first that has it of its own.
#[test]
fn names_of_virtual_addresses() {
    let text = format!(
        "{HEAD}{}[[virtual_address]]\nname = \"front\"\naddress = \"192.0.2.100/24\"\ninterface = \"eth0\"\n\
         [[service]]\nname = \"relay\"\nprotocol = \"smtp\"\nlisten = [\"192.0.2.100:25\"]\n\
         [[member]]\nname = \"m\"\nservice = \"relay\"\naddress = \"10.0.0.9:2599\"\n\
         [[zone]]\nname = \"2.0.192.in-addr.arpa\"\nname_servers = [\"ns1.example.net\", \"ns2.example.net\"]\n\
         [[dns_name]]\nname = \"relay.example.org\"\nservices = [\"relay\"]\n\
         [[dns_name]]\nname = \"vip.example.org\"\nvirtual_addresses = [\"front\"]\n",
        edges(1)
    );
    let loaded = good(&text);
    let forward = lines(&loaded.org.naming, "example.org");
    assert_eq!(
        forward[3..],
        [
            "relay.example.org 300 A 192.0.2.100 <virtual address front>",
            "vip.example.org 300 A 192.0.2.100 <virtual address front>",
        ]
    );
    let back = lines(&loaded.org.naming, "2.0.192.in-addr.arpa");
    assert!(back.contains(&"100.2.0.192.in-addr.arpa 300 PTR vip.example.org.".to_string()), "{back:?}");
}

proptest! {
    /// Whatever the numbers: a host has a server once, loads differ by one, and a site that is lost takes no host with it if both are as large.
    #[test]
    fn layouts_spread(servers in 1_usize..12, hosts in 1_usize..12, addresses in 1_usize..6) {
        let layout = format!("[[mx_layout]]\nname = \"main\"\ndomains = [\"example.org\"]\nhosts = {hosts}\naddresses = {addresses}\n");
        let loaded = good(&format!("{HEAD}{}{layout}", edges(servers)));
        let made = loaded.org.naming.layouts()[0].hosts(loaded.org.topology());
        prop_assert_eq!(made.len(), hosts);
        let mut load: BTreeMap<&str, usize> = BTreeMap::new();
        for host in &made {
            let names: BTreeSet<&str> = host.servers.iter().map(|server| &*server.name).collect();
            prop_assert_eq!(names.len(), host.servers.len());
            prop_assert_eq!(names.len(), addresses.min(servers));
            names.into_iter().for_each(|name| *load.entry(name).or_default() += 1);
            let sites: BTreeSet<_> = host.servers.iter().map(|server| &server.site).collect();
            prop_assert!(servers % 2 == 1 || sites.len() == addresses.min(servers).min(2), "{:?}", made);
        }
        let (most, least) = (load.values().max().unwrap(), load.values().min().unwrap());
        prop_assert!(most - least <= 1 && (load.len() == servers || *most == 1));
    }
}
