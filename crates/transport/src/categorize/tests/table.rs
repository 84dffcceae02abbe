//! One line of a table for each thing that is promised.

use super::*;

const PEOPLE: &str = r#"
[[recipient]]
address = "Bob@ours.example"
aliases = ["robert@ours.example", "rob+x@ours.example"]
attributes = ["Department=Sales", "floor=2"]
[[recipient]]
address = "carol@ours.example"
forward_to = "carol@home.example"
attributes = ["department=sales", "floor=3"]
[[recipient]]
address = "dave@ours.example"
forward_to = "erin@ours.example"
keep_copy = true
[[recipient]]
address = "erin@ours.example"
forward_to = "dave@ours.example"
keep_copy = true
[[recipient]]
address = "small@ours.example"
message_size_max = 2000
[[recipient]]
address = "boss@ours.example"
senders = "trusted"
message_size_max = "1MB"
[[contact]]
address = "agency@ours.example"
target = "desk@agency.example"
[[group]]
address = "team@ours.example"
aliases = ["crew@ours.example"]
members = ["robert@ours.example", "agency@ours.example", "outer@ours.example", "fay@away.example"]
[[group]]
address = "outer@ours.example"
members = ["team@ours.example", "BOB@ours.example", "dave@ours.example"]
[[group]]
address = "sales@ours.example"
having = ["department=SALES"]
[[group]]
address = "sales-up@ours.example"
having = ["floor=3", "department=sales"]
members = ["fay@away.example"]
[[group]]
address = "nobody@ours.example"
members = []
[[group]]
address = "quiet@ours.example"
members = ["bob@ours.example"]
notifications = "nobody"
[[group]]
address = "closed@ours.example"
members = ["bob@ours.example", "small@ours.example"]
senders = "trusted"
"#;

#[test]
fn who_gets_it() {
    let org = with(PEOPLE);
    let case = Case::of(&org);
    for (to, expected) in [
        (&["bob@ours.example"][..], "bob@ours.example"),
        (&["ROBERT@Ours.example"], "Bob@ours.example"),
        (&["unknown@ours.example", "x@away.example"], "unknown@ours.example, x@away.example"),
        // the same mailbox by three names, and outside an address is what its host makes of it
        (&["bob@ours.example", "robert@ours.example", "bob+news@ours.example"], "bob@ours.example"),
        (&["X@away.example", "x@away.example", "x@AWAY.example"], "X@away.example, x@away.example"),
        // sub-addressing
        (&["bob+news@ours.example"], "bob+news@ours.example"),
        (&["robert+news@ours.example"], "Bob+news@ours.example"),
        (&["rob+x@ours.example"], "Bob@ours.example"),
        (&["carol+a@ours.example"], "carol@home.example"),
        (&["agency+a@ours.example"], "desk@agency.example"),
        (&["sales-up+a@ours.example"], "fay@away.example, carol@home.example"),
        // forwarding, with a copy and in a circle that each mailbox keeps
        (&["carol@ours.example"], "carol@home.example"),
        (&["dave@ours.example"], "dave@ours.example, erin@ours.example"),
        (&["erin@ours.example", "dave@ours.example"], "erin@ours.example, dave@ours.example"),
        // groups in groups in circles: each member once, by its own address
        (
            &["team@ours.example"],
            "Bob@ours.example, desk@agency.example, dave@ours.example, erin@ours.example, fay@away.example",
        ),
        (
            &["crew@ours.example", "fay@away.example"],
            "fay@away.example, Bob@ours.example, desk@agency.example, dave@ours.example, erin@ours.example",
        ),
        (&["sales@ours.example"], "Bob@ours.example, carol@home.example"),
        (&["sales@ours.example", "sales-up@ours.example"], "Bob@ours.example, carol@home.example, fay@away.example"),
        // who may write to a group reaches its members
        (&["closed@ours.example"], "bob@ours.example, small@ours.example"),
        (&["nobody@ours.example"], "550 5.2.4 nobody is in this group"),
        (&["nobody@ours.example", "bob@ours.example"], "bob@ours.example, ! nobody@ours.example 5.2.4"),
    ] {
        assert_eq!(case.to(to), expected, "{to:?}");
    }
}

#[test]
fn what_the_sender_asked_to_be_told_travels_on() {
    let org = with(PEOPLE);
    let asked = |to: &str, asked: Notify| {
        let mut envelope = envelope("ann@away.example", &[to]);
        envelope.recipients[0].notify = asked;
        let decided = Case::of(&org).decide(&mut envelope).unwrap_or_else(|reply| panic!("{reply}"));
        let said = envelope
            .recipients
            .iter()
            .map(|to| format!("{} {:?} {}", to.address.local(), to.notify, to.orcpt.as_deref().unwrap_or("-")));
        (
            said.collect::<Vec<_>>().join("; "),
            decided.early.iter().filter(|early| early.outcome == Settled::Expanded).count(),
        )
    };
    let all = notify(true, true, true);
    // RFC 3461 5.2.7.2: an alias and a forwarding with one target pass everything on, and what was written besides
    assert_eq!(asked("robert@ours.example", all), (format!("Bob {all:?} rfc822;robert@ours.example"), 0));
    assert_eq!(asked("carol@ours.example", all), (format!("carol {all:?} rfc822;carol@ours.example"), 0));
    assert_eq!(asked("bob@ours.example", all), (format!("bob {all:?} -"), 0));
    // 5.2.7.3: of several, nobody tells of success but who expands; a mailbox that keeps a copy tells for itself
    let less = notify(false, true, true);
    assert_eq!(
        asked("sales@ours.example", all),
        (format!("Bob {less:?} rfc822;sales@ours.example; carol {less:?} rfc822;sales@ours.example"), 1)
    );
    assert_eq!(
        asked("sales-up@ours.example", notify(true, false, false)),
        ("fay Never rfc822;sales-up@ours.example; carol Never rfc822;sales-up@ours.example".into(), 1)
    );
    assert_eq!(asked("dave@ours.example", all), (format!("dave {all:?} -; erin {less:?} rfc822;dave@ours.example"), 0));
    assert_eq!(asked("quiet@ours.example", Notify::Default), ("bob Never rfc822;quiet@ours.example".into(), 0));
    // what the sender gave as ORCPT stays
    let mut given = envelope("ann@away.example", &["robert@ours.example"]);
    given.recipients[0].orcpt = Some("rfc822;first@example".into());
    Case::of(&org).decide(&mut given).unwrap_or_else(|reply| panic!("{reply}"));
    assert_eq!(given.recipients[0].orcpt.as_deref(), Some("rfc822;first@example"));
    // who is written to by name gets what was asked for it, not what a group makes of it
    let mut both = envelope("ann@away.example", &["sales@ours.example", "bob@ours.example"]);
    both.recipients[1].notify = all;
    Case::of(&org).decide(&mut both).unwrap_or_else(|reply| panic!("{reply}"));
    assert_eq!((both.recipients[0].address.local(), both.recipients[0].notify), ("bob", all));
}

#[test]
fn the_trace_says_what_was_done() {
    let org = with(PEOPLE);
    let mut envelope = envelope("ann@away.example", &["crew@ours.example", "carol@ours.example"]);
    let decided = Case::of(&org).decide(&mut envelope).unwrap_or_else(|reply| panic!("{reply}"));
    let changes: Vec<String> = decided.changes.iter().map(describe).collect();
    assert_eq!(
        changes,
        [
            "carol@ours.example to carol@home.example: forwarded, copy false",
            "team@ours.example has [<robert@ours.example>, <agency@ours.example>, <outer@ours.example>, <fay@away.example>]",
            "robert@ours.example is Bob@ours.example",
            "agency@ours.example to desk@agency.example: contact",
            "outer@ours.example has [<team@ours.example>, <BOB@ours.example>, <dave@ours.example>]",
            "dave@ours.example to erin@ours.example: forwarded, copy true",
            "erin@ours.example to dave@ours.example: forwarded, copy true",
        ]
    );
}

/// Behaviours 1.8: the strictest wins; too large for all is a refusal, too large for some is told about.
#[test]
fn sizes() {
    let org = with(&format!("[message_limits]\nmessage_size_max = 5000\n{PEOPLE}"));
    let sized = |size_bytes, sender, to: &[&str]| {
        let limits = SizeLimits { sender, ..Case::of(&org).limits };
        Case { size_bytes, limits, ..Case::of(&org) }.to(to)
    };
    let refused = "552 5.3.4 message is too large for this recipient";
    assert_eq!(sized(2000, None, &["small@ours.example"]), "small@ours.example");
    assert_eq!(sized(2001, None, &["small@ours.example"]), refused);
    assert_eq!(
        sized(2001, None, &["small@ours.example", "bob@ours.example"]),
        "bob@ours.example, ! small@ours.example 5.3.4"
    );
    assert_eq!(sized(2001, None, &["closed@ours.example"]), "bob@ours.example, ! small@ours.example 5.3.4");
    assert_eq!(sized(5001, None, &["x@away.example"]), refused);
    assert_eq!(sized(5001, None, &["boss@ours.example"]), refused, "a stranger stays below the organization's");
    assert_eq!(sized(5001, Some(2_000_000), &["boss@ours.example"]), "boss@ours.example", "between two who may more");
    assert_eq!(sized(5001, Some(2_000_000), &["bob@ours.example"]), refused, "one of whom has no bound of its own");
    let exempt = SizeLimits { exempt: true, ..SizeLimits::default() };
    assert_eq!(
        Case { size_bytes: 9000, limits: exempt, ..Case::of(&org) }.to(&["small@ours.example"]),
        "small@ours.example"
    );
}

#[test]
fn what_remote_domains_allow() {
    let org = with(&format!(
        "[[remote_domain]]\ndomains = [\"home.example\"]\nauto_forward = false\n\
         [[remote_domain]]\ndomains = [\"*\"]\nautomatic_replies = false\n\
         [[remote_domain]]\ndomains = [\"mute.example\"]\nnotifications = false\n{PEOPLE}"
    ));
    let case = Case::of(&org);
    assert_eq!(case.to(&["carol@ours.example"]), "carol@ours.example", "the mailbox keeps what may not be forwarded");
    assert_eq!(case.to(&["agency@ours.example"]), "desk@agency.example", "a contact is no forwarding of a mailbox");
    let reply = Case { from: "", header: "Auto-Submitted: Auto-Replied (vacation)\r\n\r\n", ..Case::of(&org) };
    assert_eq!(reply.to(&["x@away.example"]), "550 5.7.1 automatic replies do not go to this domain");
    assert_eq!(
        reply.to(&["x@away.example", "bob@ours.example", "x@mute.example"]),
        "bob@ours.example, x@mute.example, ! x@away.example 5.7.1"
    );
    assert_eq!(case.to(&["x@away.example"]), "x@away.example");
    let mut mute = envelope("a@mute.example", &["bob@ours.example", "small@ours.example"]);
    let large = Case { size_bytes: 3000, ..Case::of(&org) };
    let decided = large.decide(&mut mute).unwrap_or_else(|reply| panic!("{reply}"));
    assert_eq!((mute.recipients[0].notify, decided.early[0].recipient.notify), (Notify::Never, Notify::Never));
}

const RULES: &str = r#"
[[rule]]
name = "tag"
from = ["*@away.example"]
tag_subject = "[away] "
then = "go_on"
[[rule]]
name = "no ads"
header = "Subject"
header_contains = ["viagra", "casino"]
to = ["*@ours.example"]
refuse = "no advertisements"
[[rule]]
name = "invoices"
header = "subject"
header_matches = ["invoice *"]
redirect = "sales@ours.example"
[[rule]]
name = "kept"
to = ["carol@ours.example"]
copy = "archive@away.example"
then = "go_on"
[[rule]]
name = "large"
size_over = 5000
refuse = "too large for us"
"#;

#[test]
fn rules() {
    let org = with(&format!("{RULES}{PEOPLE}"));
    let headed = |header: &str, to: &[&str]| Case { header, ..Case::of(&org) }.to(to);
    assert_eq!(headed("Subject: hello\r\n\r\n", &["bob@ours.example"]), "bob@ours.example");
    assert_eq!(headed("Subject: Cheap Viagra\r\n\r\n", &["bob@ours.example"]), "550 5.7.1 no advertisements");
    assert_eq!(
        headed("Subject: your\r\n casino\r\n\r\n", &["bob@ours.example", "x@away.example"]),
        "x@away.example, ! bob@ours.example 5.7.1",
        "each recipient walks by itself"
    );
    assert_eq!(
        headed("Subject: =?utf-8?q?Invoice_12?=\r\n\r\n", &["x@away.example"]),
        "Bob@ours.example, carol@home.example"
    );
    assert_eq!(headed("Subject: no invoice 12\r\n\r\n", &["x@away.example"]), "x@away.example");
    assert_eq!(
        headed("\r\n", &["carol@ours.example", "bob@ours.example"]),
        "archive@away.example, carol@home.example, bob@ours.example"
    );
    let large = Case { size_bytes: 5001, header: "\r\n", ..Case::of(&org) };
    assert_eq!(large.to(&["bob@ours.example"]), "550 5.7.1 too large for us");
    // the first rule that stops ends the walk: an invoice may be large
    let invoice = Case { size_bytes: 5001, header: "Subject: invoice 1\r\n\r\n", ..Case::of(&org) };
    assert_eq!(invoice.to(&["bob@ours.example"]), "Bob@ours.example, carol@home.example");
    // size of the mailbox first, then the rules (behaviours 1.8)
    let small = Case { size_bytes: 2001, header: "Subject: invoice 1\r\n\r\n", ..Case::of(&org) };
    assert_eq!(small.to(&["small@ours.example"]), "552 5.3.4 message is too large for this recipient");
}

#[test]
fn a_copy_is_one_and_nobody_hears_of_it() {
    let org = with(&format!("{RULES}{PEOPLE}[[rule]]\nname = \"again\"\ncopy = \"archive@away.example\"\n"));
    let mut envelope = envelope("a@b.example", &["carol@ours.example", "bob@ours.example"]);
    Case::of(&org).decide(&mut envelope).unwrap_or_else(|reply| panic!("{reply}"));
    let copies: Vec<&Recipient> = envelope.recipients.iter().filter(|to| to.address.local() == "archive").collect();
    assert_eq!((copies.len(), copies[0].notify), (1, Notify::Never));
}

/// A tag is the message's: one recipient that walks into it is enough, and it is known before the size is.
#[test]
fn tags_are_known_at_the_end_of_the_header() {
    let org = with(&format!(
        "[[rule]]\nname = \"t\"\nto = [\"bob@ours.example\"]\ntag_header = \"X-Bob: yes\"\nthen = \"go_on\"\n{RULES}{PEOPLE}"
    ));
    let tags = |from: &str, to: &[&str], size| {
        let envelope = envelope(from, to);
        let seen = Seen::of(&org.handling.rules, b"\r\n");
        super::super::walk(&org, &envelope.from, envelope.recipients, &seen, size).tags.len()
    };
    assert_eq!(tags("x@b.example", &["x@c.example"], None), 0);
    assert_eq!(tags("x@b.example", &["x@c.example", "robert@ours.example"], None), 1, "by the alias");
    assert_eq!(tags("x@away.example", &["x@c.example", "bob@ours.example", "bob@ours.example"], None), 2);
    for to in [&["bob@ours.example"][..], &["x@c.example"]] {
        assert_eq!(tags("x@away.example", to, None), tags("x@away.example", to, Some(9999)));
    }
}

/// A member that is no more gets no mailbox made for it, and is no reason to refuse the others.
#[test]
fn members_who_do_not_exist() {
    let gone = (0..300).map(|n| format!("\"gone{n}@strict.example\"")).collect::<Vec<_>>().join(", ");
    let org = with(&format!(
        "[[accepted_domain]]\nname = \"strict.example\"\nunknown_recipients = \"refuse\"\nrecipients = [\"zoe\"]\n\
         [[group]]\naddress = \"g@ours.example\"\nmembers = [\"gone@strict.example\", \"zoe@strict.example\", \"postmaster@strict.example\"]\n\
         [[group]]\naddress = \"stale@ours.example\"\nmembers = [\"zoe@strict.example\", {gone}]\n\
         [[recipient]]\naddress = \"ann@ours.example\"\nforward_to = \"gone@strict.example\"\n"
    ));
    let case = Case::of(&org);
    assert_eq!(
        case.to(&["g@ours.example"]),
        "zoe@strict.example, postmaster@strict.example, ! gone@strict.example 5.1.1"
    );
    assert_eq!(case.to(&["ann@ours.example"]), "550 5.1.1 No such user here");
    assert_eq!(case.to(&["stale@ours.example"]).split(", ").count(), 101);
}

#[test]
fn the_bounds_have_an_answer() {
    let members = |n: usize| (0..n).map(|i| format!("\"m{i}@away.example\"")).collect::<Vec<_>>().join(", ");
    let org = with(&format!(
        "[[group]]\naddress = \"large@ours.example\"\nmembers = [{}]\n[[group]]\naddress = \"full@ours.example\"\nmembers = [{}]\n\
         [[group]]\naddress = \"most@ours.example\"\nmembers = [{}]\nmessage_size_max = 5000\n\
         [[remote_domain]]\ndomains = [\"away.example\"]\nautomatic_replies = false\n",
        members(65_536),
        members(65_535),
        members(129)
    ));
    let case = Case::of(&org);
    assert_eq!(
        case.to(&["large@ours.example"]),
        "550 5.5.3 too many recipients once groups are expanded, write to fewer"
    );
    assert_eq!(case.to(&["full@ours.example"]).split(", ").count(), 65_535);
    // more than a notification can name
    let reply = Case { header: "Auto-Submitted: auto-replied\r\n\r\n", ..Case::of(&org) };
    assert_eq!(
        reply.to(&["most@ours.example", "x@b.example"]),
        "550 5.7.1 refused for more than 128 of its recipients"
    );
}
