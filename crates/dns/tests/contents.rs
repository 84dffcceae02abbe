//! What stands in a zone, by what is up; and as a file.
#![allow(clippy::unwrap_used)] // a test says so by failing

use directory::zone::{Subject, Type};
use directory::{Loaded, OrgText, Start};
use dns::contents::{Contents, Standing};
use dns::file::zone_file;
use proptest::prelude::*;
use std::collections::BTreeSet;
use world::World;

const DOCUMENT: &str = r#"
[[receive_connector]]
name = "in"
listen = ["127.0.0.1:25"]
[[server]]
name = "a.example.org"
address = "10.0.0.1:26"
public_addresses = ["192.0.2.1", "2001:db8::1"]
[[server]]
name = "b.example.org"
address = "10.0.0.2:26"
public_addresses = ["192.0.2.2"]
[[server]]
name = "c.example.org"
address = "10.0.0.3:26"
public_addresses = ["2001:db8::3"]
[[zone]]
name = "example.org"
name_servers = ["a.example.org", "ns.example.net"]
contact = "host.master@example.org"
[[dns_name]]
name = "smtp.example.org"
servers = ["a.example.org", "b.example.org", "c.example.org"]
[[dns_name]]
name = "mixed.example.org"
servers = ["a.example.org"]
addresses = ["192.0.2.99"]
[[dns_name]]
name = "example.org"
txt = ["v=spf1 mx -all"]
[[mx_layout]]
name = "main"
domains = ["example.org"]
[[mx_layout]]
name = "spare"
domains = ["example.org"]
host_name = "spare#.example.org"
servers = ["b.example.org"]
preference = 90
"#;

fn loaded() -> Loaded {
    let (world, _) = World::simulated(1);
    let given = OrgText { name: "org.toml", text: DOCUMENT };
    Loaded::load_with(world.disk.as_ref(), &Start::default(), Some(given))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn contents(loaded: &Loaded, standing: &dyn Fn(&str) -> Standing) -> Contents {
    let naming = &loaded.org.naming;
    let of = |subject: &Subject| match subject {
        Subject::Node(name) => standing(&name[..1]),
        _ => Standing::Unknown,
    };
    Contents::of(naming, &naming.zones()[0], &of)
}

fn down() -> Standing {
    Standing::Down("draining".into())
}

/// What is answered, without the names of what it hangs on.
fn answered(contents: &Contents, name: &str, kind: Type) -> (Vec<String>, bool) {
    let set = contents.set(name, kind).unwrap();
    (set.standing().map(ToString::to_string).collect(), set.all_down)
}

#[test]
fn addresses_follow_their_servers_across_families() {
    let loaded = loaded();
    let of = |standing: &dyn Fn(&str) -> Standing, name: &str, kind| answered(&contents(&loaded, standing), name, kind);
    let texts = |texts: &[&str], all_down: bool| (texts.iter().map(ToString::to_string).collect::<Vec<_>>(), all_down);
    let smtp = "smtp.example.org";
    let b_down = |node: &str| if node == "b" { down() } else { Standing::Up };
    assert_eq!(of(&b_down, smtp, Type::A), texts(&["192.0.2.1"], false));
    assert_eq!(of(&b_down, smtp, Type::Aaaa), texts(&["2001:db8::1", "2001:db8::3"], false));
    // The only one that is up has no IPv6 address: no dead one is given in its place.
    let only_b = |node: &str| if node == "b" { Standing::Up } else { down() };
    assert_eq!(of(&only_b, smtp, Type::Aaaa), texts(&[], false));
    assert_eq!(of(&|_| down(), smtp, Type::A), texts(&["192.0.2.1", "192.0.2.2"], true));
    assert_eq!(of(&|_| Standing::Unknown, smtp, Type::A), texts(&["192.0.2.1", "192.0.2.2"], false));
    let b_known = |node: &str| if node == "b" { Standing::Up } else { Standing::Unknown };
    assert_eq!(of(&b_known, smtp, Type::A), texts(&["192.0.2.2"], false));
    assert_eq!(of(&|_| down(), "mixed.example.org", Type::A), texts(&["192.0.2.99"], false));
    assert_eq!(of(&|_| down(), "a.example.org", Type::A), texts(&["192.0.2.1"], false));
}

#[test]
fn an_mx_host_without_servers_leaves_the_list_and_keeps_its_addresses() {
    let loaded = loaded();
    let b_down = contents(&loaded, &|node| if node == "b" { down() } else { Standing::Up });
    let (mx, all_down) = answered(&b_down, "example.org", Type::Mx);
    assert_eq!((mx, all_down), (vec!["10 mx1.example.org.".to_string(), "10 mx3.example.org.".into()], false));
    assert_eq!(answered(&b_down, "mx2.example.org", Type::A), (vec!["192.0.2.2".into()], true));
    let gone = b_down.set("example.org", Type::Mx).unwrap().records.iter().find(|record| !record.stands).unwrap();
    assert_eq!(gone.why.to_string(), "node b.example.org: draining");
    let all = contents(&loaded, &|_| down());
    assert_eq!(answered(&all, "example.org", Type::Mx).0.len(), 4);
    assert_eq!(all.all_down().count(), 8, "MX, and the addresses of smtp (two families), mx1 (two), mx2, mx3, spare1");
}

#[test]
fn a_file_says_what_is_not_given_and_why() {
    let contents = contents(&loaded(), &|node| if node == "b" { down() } else { Standing::Up });
    let file = zone_file(&contents, 7, "about\nit");
    let has = |line: &str| assert!(file.lines().any(|one| one == line), "{line} in\n{file}");
    has("; about");
    has("$ORIGIN example.org.");
    has(
        "example.org. IN SOA a.example.org. host\\.master.example.org. ( 7 3600 600 1209600 300 ) ; serial refresh retry expire negative",
    );
    has("example.org. 300 IN TXT \"v=spf1 mx -all\"");
    has("smtp.example.org. 300 IN A 192.0.2.1");
    has("; not now: smtp.example.org. 300 IN A 192.0.2.2 ; node b.example.org: draining");
    has("; all that mx2.example.org A hangs on is down: all of it is given");
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![Just(Standing::Unknown), Just(Standing::Up), Just(down())]
}

proptest! {
    /// Against the rule as it is told: those that are up; if none is, all; unknown is up only if all are unknown.
    #[test]
    fn the_rule_of_health(a in standing(), b in standing(), c in standing()) {
        let loaded = loaded();
        let contents = contents(&loaded, &|node| match node { "a" => a.clone(), "b" => b.clone(), _ => c.clone() });
        let all = [(&a, vec!["192.0.2.1", "2001:db8::1"]), (&b, vec!["192.0.2.2"]), (&c, vec!["2001:db8::3"])];
        let up = |standing: &Standing| *standing == Standing::Up;
        let is_any_up = all.iter().any(|(standing, _)| up(standing));
        let wanted: BTreeSet<String> = all
            .iter()
            .filter(|(standing, _)| !is_any_up || up(standing))
            .flat_map(|(_, addresses)| addresses.iter().map(ToString::to_string))
            .collect();
        let (v4, flagged) = answered(&contents, "smtp.example.org", Type::A);
        let (v6, flagged_v6) = answered(&contents, "smtp.example.org", Type::Aaaa);
        prop_assert_eq!(v4.into_iter().chain(v6).collect::<BTreeSet<_>>(), wanted);
        let all_unknown = all.iter().all(|(standing, _)| **standing == Standing::Unknown);
        prop_assert_eq!((flagged, flagged_v6), (!is_any_up && !all_unknown, !is_any_up && !all_unknown));
        prop_assert!(contents.sets.iter().all(|set| set.standing().count() > 0 || set.kind == Type::A || set.kind == Type::Aaaa));
    }
}
