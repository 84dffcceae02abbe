//! A wide organization for the benches: 50 sites in a ring with chords and two servers each, 200 receive and 200 send connectors, 10,000
//! accepted domains, and as many recipients as one asks for. The same for the same numbers.

#![allow(dead_code)] // each bench uses some of it

use directory::recipients::{Entry, Is, Recipients, Senders, Table};
use directory::{Given, Loaded, Org, OrgText, Start};
use mail::Mailbox;
use std::fmt::Write;

pub const SITES: usize = 50;
pub const SEND_CONNECTORS: usize = 200;
pub const RECEIVE_CONNECTORS: usize = 200;
pub const DOMAINS: usize = 10_000;
pub const RECIPIENTS: usize = 1_000_000;

/// The name of a server; there are two in each site.
pub fn server(number: usize) -> String {
    format!("hub{}.site{}.example", number % 2, number / 2)
}

/// The organization as the first server reads it, nobody in it yet.
pub fn organization() -> Org {
    let world = world::World::real();
    let text = document();
    let given = OrgText { name: "org.toml", text: &text };
    let loaded =
        Loaded::load_for(world.disk.as_ref(), &Start::default(), Some(Given::Elsewhere(given)), Some(&server(0)));
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    Org::clone(&loaded.org)
}

/// The document.
pub fn document() -> String {
    let mut text = String::from("postmaster = \"postmaster@d0.ours.example\"\n");
    for site in 0..SITES {
        let _ = write!(text, "[[site]]\nname = \"site{site}\"\nhub_site = {}\n", site % 10 == 5);
        let (next, far) = ((site + 1) % SITES, (site * 7 + 3) % SITES);
        let _ = write!(
            text,
            "[[site_link]]\nname = \"ring{site}\"\nsites = [\"site{site}\", \"site{next}\"]\ncost = {}\n",
            1 + site % 9
        );
        if far != site && far != next {
            let _ = write!(
                text,
                "[[site_link]]\nname = \"chord{site}\"\nsites = [\"site{site}\", \"site{far}\"]\ncost = {}\n",
                5 + site % 13
            );
        }
    }
    for number in 0..2 * SITES {
        let _ = write!(
            text,
            "[[server]]\nname = \"{}\"\nsite = \"site{}\"\naddress = \"10.200.{}.{}:2526\"\n",
            server(number),
            number / 2,
            number / 2,
            1 + number % 2
        );
    }
    receive_connectors(&mut text);
    send_connectors(&mut text);
    for domain in 0..DOMAINS {
        let _ = write!(
            text,
            "[[accepted_domain]]\nname = \"d{domain}.ours.example\"\ndeliver = \"maildir\"\nunknown_recipients = \"refuse\"\nservers = [\"{}\"]\n",
            server(domain % (2 * SITES))
        );
    }
    text
}

fn receive_connectors(text: &mut String) {
    text.push_str("[[receive_connector]]\nname = \"all\"\nlisten = [\"0.0.0.0:25\"]\npermissions = [\"anonymous\"]\n");
    for number in 1..RECEIVE_CONNECTORS {
        let _ = write!(
            text,
            "[[receive_connector]]\nname = \"app{number}\"\nlisten = [\"0.0.0.0:25\"]\nremote = [\"10.0.{number}.0/24\"]\n\
             permissions = [\"anonymous\", \"relay\"]\n"
        );
    }
}

fn send_connectors(text: &mut String) {
    text.push_str("[[send_connector]]\nname = \"internet\"\ndomains = [\"*\"]\nmx = true\nservers = [");
    let _ = writeln!(text, "\"{}\", \"{}\"]", server(40), server(41));
    for number in 1..SEND_CONNECTORS {
        let _ = write!(
            text,
            "[[send_connector]]\nname = \"partner{number}\"\ndomains = [\"partner{}.example\", \"*.group{}.example\"]\n\
             smart_hosts = [\"192.0.2.{}:25\"]\ncost = {}\nservers = [\"{}\"]\n",
            number / 2,
            number / 2,
            1 + number % 250,
            1 + number % 7,
            server(number % (2 * SITES))
        );
    }
}

/// As a directory would give them: a name of their own, two aliases for every fourth, a department.
pub fn recipients(count: usize) -> Recipients {
    let mut builder = directory::recipients::Builder::default();
    for number in 0..count {
        let entry = entry(number);
        let key = format!("cn=user{number},ou=people,dc=ours,dc=example");
        builder.push(&key, &entry).expect("a table takes a million");
    }
    let (table, clashes): (Table, _) = builder.finish();
    assert!(clashes.is_empty(), "{clashes:?}");
    Recipients::from(table)
}

/// One of them.
pub fn entry(number: usize) -> Entry {
    let aliases = if number.is_multiple_of(4) {
        vec![address(&format!("u{number}"), number), address(&format!("first.last{number}"), number)]
    } else {
        Vec::new()
    };
    Entry {
        address: address(&format!("user{number}"), number),
        aliases,
        is: Is::Mailbox,
        forward: None,
        senders: Senders::Anybody,
        message_bytes_max: None,
        attributes: vec![("department".into(), format!("dep{}", number % 100).into())],
    }
}

fn address(local: &str, number: usize) -> Mailbox {
    Mailbox::parse(&format!("{local}@d{}.ours.example", number % DOMAINS), true).expect("an address")
}

/// Numbers that look random.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }
}
