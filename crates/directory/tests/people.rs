//! What is wrong or doubtful between recipients, groups, contacts and rules, and what they mean.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::{good, load};
use directory::recipients::{Is, Senders};
use directory::{Action, AddressPattern, Question};
use mail::Mailbox;

const BASE: &str = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n\
                    [[accepted_domain]]\nname = \"ours.example\"\ndeliver = \"maildir\"\nrecipients = [\"bob\"]\n";

/// The first line behind [`BASE`].
const LINE: usize = 8;

fn at(text: &str) -> Mailbox {
    Mailbox::parse(text, true).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn problems(text: &str) -> String {
    load(None, &format!("{BASE}{text}"))
        .map_or_else(|problems| problems.to_string(), |loaded| format!("good: {}", loaded.warnings))
}

/// Each document has one fault; the problem or warning says where, and where the other place is.
#[test]
fn faults_are_told_with_both_places() {
    let cases = [
        (
            "[[recipient]]\naddress = \"a@ours.example\"\n[[contact]]\naddress = \"A@Ours.example\"\ntarget = \"a@x.example\"\n",
            "org.toml:11:11: A@Ours.example is an address of a@ours.example already (line 9)",
        ),
        (
            "[[recipient]]\naddress = \"a@ours.example\"\naliases = [\"a@ours.example\"]\n",
            "a@ours.example is written twice (line 9)",
        ),
        (
            "[[recipient]]\naddress = \"a@theirs.example\"\n",
            "org.toml:9:11: a@theirs.example is in none of our domains",
        ),
        ("[[recipient]]\naddress = \"a b\"\n", "org.toml:9:11: \"a b\":"),
        ("[[recipient]]\naddress = \"a@ours.example\"\nkeep_copy = true\n", "keep_copy goes with forward_to"),
        ("[[recipient]]\naddress = \"a@ours.example\"\nattributes = [\"sales\"]\n", "\"sales\" is no attribute"),
        (
            "[[recipient]]\naddress = \"a@ours.example\"\nforward_to = \"b@ours.example\"\n[[recipient]]\naddress = \"b@ours.example\"\nforward_to = \"a@ours.example\"\n",
            "org.toml:13:14: mail would be forwarded round and round (a@ours.example -> b@ours.example -> a@ours.example)",
        ),
        (
            "[[recipient]]\naddress = \"a@ours.example\"\nforward_to = \"a@ours.example\"\n",
            "round and round (a@ours.example -> a@ours.example)",
        ),
        (
            "[[recipient]]\naddress = \"a@ours.example\"\nkeep_copy = true\nforward_to = \"b@ours.example\"\n[[recipient]]\naddress = \"b@ours.example\"\nforward_to = \"a@ours.example\"\n",
            "good: org.toml:14:14: mail is forwarded in a circle",
        ),
        (
            "[[group]]\naddress = \"g@ours.example\"\nmembers = [\"h@ours.example\"]\n[[group]]\naddress = \"h@ours.example\"\nmembers = [\"bob@ours.example\", \"g@ours.example\"]\n",
            "good: org.toml:13:32: this group contains itself (g@ours.example -> h@ours.example -> g@ours.example)",
        ),
        (
            "[[group]]\naddress = \"g@ours.example\"\nmembers = [\"nobody@ours.example\", \"bob@ours.example\", \"x@away.example\"]\n",
            "good: org.toml:10:12: nobody@ours.example is in a domain of ours and among no recipients",
        ),
        ("[[group]]\naddress = \"g@ours.example\"\n", "this group can have no members"),
        ("[[contact]]\naddress = \"g@ours.example\"\n", "[[contact]] has no target"),
        ("[[rule]]\nname = \"r\"\n", "this rule does nothing"),
        (
            "[[rule]]\nname = \"r\"\nrefuse = \"no\"\ncopy = \"a@b.example\"\n",
            "does one thing, and this one has refuse already",
        ),
        ("[[rule]]\nname = \"r\"\nrefuse = \"no\"\nheader_contains = [\"x\"]\n", "header_contains goes with header"),
        ("[[rule]]\nname = \"r\"\nrefuse = \"no\"\nheader = \"Subject:\"\n", "is no header field"),
        ("[[rule]]\nname = \"r\"\nrefuse = \"n\u{f6}\"\n", "a reply is ASCII"),
        ("[[rule]]\nname = \"r\"\ntag_header = \"Received: x\"\n", "Received says how mail travels"),
        ("[[rule]]\nname = \"r\"\ntag_header = \"just words\"\n", "a tag is one header field"),
        (
            "[[rule]]\nname = \"r\"\nfrom = [\"*example.org\"]\nrefuse = \"no\"\n",
            "write bob@example.org, *@example.org",
        ),
        ("[[rule]]\nname = \"r\"\nto = [\"<>\"]\nrefuse = \"no\"\n", "\"<>\":"),
        (
            "[[rule]]\nname = \"s\"\nsize_over = 5\nrefuse = \"no\"\n[[rule]]\nname = \"t\"\ntag_subject = \"x\"\n",
            "org.toml:13:8: this rule tags, and stands behind \"s\" with size_over (line 9)",
        ),
        ("[[rule]]\nname = \"t\"\nsize_over = 5\ntag_subject = \"x\"\n", "a rule with size_over cannot tag"),
        (
            "[[rule]]\nname = \"t\"\nrefuse = \"x\"\n[[rule]]\nname = \"t\"\nrefuse = \"x\"\n",
            "there is a [[rule]] \"t\" already (line 9)",
        ),
        (
            "[[remote_domain]]\ndomains = [\"*\"]\n[[remote_domain]]\ndomains = [\"a.example\", \"*\"]\n",
            "there is a [[remote_domain]] \"*\" already (line 9)",
        ),
        ("[[remote_domain]]\n", "[[remote_domain]] has no domains"),
    ];
    assert_eq!(BASE.lines().count() + 1, LINE);
    for (text, expected) in cases {
        let told = problems(text);
        assert!(told.contains(expected), "{text}\n  told: {told}\n  not: {expected}");
    }
}

#[test]
fn what_the_document_says_is_what_the_table_has() {
    let loaded = good(&format!(
        "{BASE}[[recipient]]\naddress = \"Bob@ours.example\"\naliases = [\"b@ours.example\"]\nattributes = [\"Department=Sales\"]\nsenders = \"trusted\"\n\
         [[group]]\naddress = \"g@ours.example\"\nhaving = [\"department=sales\"]\nnotifications = \"nobody\"\n\
         [[remote_domain]]\ndomains = [\"*.away.example\"]\nauto_forward = false\n[[remote_domain]]\ndomains = [\"in.away.example\"]\n\
         [[rule]]\nname = \"r\"\nto = [\"*@*.Ours.example\"]\nredirect = \"bob@ours.example\"\n"
    ));
    let handling = &loaded.org.handling;
    let table = loaded.org.recipients();
    let bob = table.get(&at("B@OURS.example")).unwrap_or_else(|| panic!("no alias"));
    assert_eq!((bob.address().as_str(), bob.senders()), ("Bob@ours.example", Senders::Trusted));
    assert_eq!(bob.attribute("department").collect::<Vec<_>>(), ["Sales"]);
    let group = table.get(&at("g@ours.example")).unwrap_or_else(|| panic!("no group"));
    assert!(matches!(group.is(), Is::Group { members, having } if members.is_empty() && *having[0].0 == *"department"));
    assert!(handling.is_quiet(&at("G@ours.example")) && !handling.is_quiet(&at("bob@ours.example")));
    let forward = |domain| handling.remote_domain(domain).is_none_or(|known| known.auto_forward);
    assert_eq!(
        [forward("away.example"), forward("x.AWAY.example"), forward("in.away.example"), forward("other.example")],
        [false, false, true, true]
    );
    assert!(handling.rules[0].stops && matches!(handling.rules[0].action, Action::Redirect(_)));
    assert_eq!(handling.rules[0].to, Some(vec![AddressPattern::Below("ours.example".into())]));
    assert!(!handling.wants_header());
    let connection = || Question::connection("127.0.0.1".parse().unwrap(), "127.0.0.1:25".parse().unwrap());
    let told = |rcpt: &str| loaded.org.explain(&Question { rcpt: Some(at(rcpt)), ..connection() });
    assert!(told("b@ours.example").contains("b@ours.example leads to Bob@ours.example."), "{}", told("b@ours.example"));
    assert!(told("b@ours.example").contains("is refused with 550 5.7.1"));
    assert!(told("g@ours.example").contains("a group of 0 named members and 1 by attributes"));
}
