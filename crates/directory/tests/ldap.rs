//! LDAP directories: what their entries mean, when they are asked what, and which answers are believed.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::load;
use directory::ldap::{
    Course, Directory, Filter, Found, Load, Order, Told, Transit, Verdict, WAIT_MAX_MS, changed_since, changes, judge,
    rest_of_range,
};
use directory::recipients::{Is, Recipients, Senders};
use mail::Mailbox;
use std::sync::Arc;

fn directory(keys: &str) -> Arc<Directory> {
    let text = format!(
        "[[receive_connector]]\nname = \"in\"\nlisten = [\"192.0.2.1:25\"]\n[[directory]]\nname = \"corp\"\n\
         servers = [\"ldaps://a.example\", \"ldap://b.example:1389\"]\nbase = \"dc=x\"\n{keys}"
    );
    load(None, &text).unwrap_or_else(|problems| panic!("{problems}")).org.directories[0].clone()
}

const AD: &str = "kind = \"active-directory\"\n";

fn found(dn: &str, attributes: &[(&str, &[&str])]) -> Found {
    let values = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect();
    Found {
        dn: dn.into(),
        attributes: attributes.iter().map(|(name, list)| (name.to_string(), values(list))).collect(),
    }
}

fn texts(addresses: &[Mailbox]) -> Vec<&str> {
    addresses.iter().map(|address| address.as_str()).collect()
}

#[test]
fn entries_of_openldap_and_active_directory_are_recipients() {
    let told =
        |keys: &str, attributes: &[(&str, &[&str])]| Told::of(&directory(keys), &found("UID=Ann, DC=X", attributes));
    let ann = told(
        "",
        &[
            ("Mail", &["ann@x.example", "a@x.example"]),
            ("mailAlternateAddress", &["ann.smith@x.example", "ANN@x.example"]),
        ],
    );
    let ann = ann.unwrap();
    assert_eq!((&*ann.key, ann.entry.address.as_str()), ("uid=ann,dc=x", "ann@x.example"));
    assert_eq!(texts(&ann.entry.aliases), ["a@x.example", "ann.smith@x.example"]);
    assert!(ann.is_complete() && ann.entry.is == Is::Mailbox);

    let proxies: &[&str] =
        &["smtp:ann@x.example", "SMTP:Ann.Smith@x.example", "x500:/o=x", "sip:ann@x.example", "no address"];
    let ann = told(AD, &[("mail", &["ann.smith@x.example"]), ("proxyAddresses", proxies)]).unwrap().entry;
    assert_eq!((ann.address.as_str(), texts(&ann.aliases)), ("Ann.Smith@x.example", vec!["ann@x.example"]));
    let ann = told(AD, &[("mail", &["a@x"]), ("msExchRequireAuthToSendTo", &["TRUE"]), ("delivContLength", &["10"])])
        .unwrap()
        .entry;
    assert_eq!((ann.senders, ann.message_bytes_max), (Senders::Trusted, Some(10_240)));

    let contact = told(
        AD,
        &[("objectClass", &["top", "contact"]), ("mail", &["c@x.example"]), ("targetAddress", &["SMTP:c@out.example"])],
    );
    assert_eq!(contact.unwrap().entry.is, Is::Contact { target: Mailbox::parse("c@out.example", true).unwrap() });
    let moved =
        told(AD, &[("objectClass", &["user"]), ("mail", &["c@x.example"]), ("targetAddress", &["SMTP:c@out.example"])])
            .unwrap();
    let forward = moved.entry.forward.unwrap();
    assert_eq!((forward.to.as_str(), forward.keep_copy), ("c@out.example", false));
    let both =
        told("", &[("mail", &["c@x.example"]), ("mailForwardingAddress", &["c@x.example", "c@out.example"])]).unwrap();
    assert!(both.entry.forward.is_some_and(|forward| forward.keep_copy && forward.to.as_str() == "c@out.example"));
    let named =
        told(AD, &[("mail", &["c@x.example"]), ("altRecipient", &["CN=Bob,DC=X"]), ("deliverAndRedirect", &["TRUE"])])
            .unwrap();
    assert_eq!(named.forward, Some(("cn=bob,dc=x".to_string(), true)));

    let ann =
        told("attributes = [\"department\"]\n", &[("mail", &["a@x"]), ("Department", &["Sales"]), ("title", &["x"])])
            .unwrap();
    assert_eq!(ann.entry.attributes, [("department".into(), "Sales".into())]);
    assert_eq!(told("", &[("cn", &["nobody"]), ("mail", &["not an address", ""])]), None);
}

#[test]
fn groups_find_their_members_wherever_these_stand() {
    let directory = directory("");
    let mut load = Load::of(directory.clone());
    let group: &[(&str, &[&str])] = &[
        ("objectClass", &["groupOfNames"]),
        ("mail", &["all@x.example"]),
        ("member", &["uid=ann,dc=x", "CN=Inner, DC=X", "uid=gone,dc=x"]),
        ("rfc822MailMember", &["eve@out.example"]),
    ];
    load.add(&found("cn=all,dc=x", group)).unwrap();
    load.add(&found("uid=ann,dc=x", &[("mail", &["ann@x.example"])])).unwrap();
    load.add(&found("cn=none,dc=x", &[("objectClass", &["groupOfMembers"]), ("mail", &["none@x.example"])])).unwrap();
    load.add(&found("cn=inner,dc=x", &[("mail", &["inner@x.example"]), ("uniqueMember", &["uid=ann,dc=x#'01'B"])]))
        .unwrap();
    load.add(&found("cn=printer,dc=x", &[("cn", &["printer"])])).unwrap();
    let loaded = load.finish().unwrap();
    assert_eq!((loaded.recipients.len(), loaded.unresolved, loaded.without_address), (4, 1, 1));
    let members = |known: &Recipients, key: &str| match known.by_key(key).unwrap().is() {
        Is::Group { members, .. } => members.iter().map(|member| member.to_string()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(members(&loaded.recipients, "cn=all,dc=x"), ["eve@out.example", "ann@x.example", "inner@x.example"]);
    assert_eq!(members(&loaded.recipients, "cn=inner,dc=x"), ["ann@x.example"]);
    assert!(members(&loaded.recipients, "cn=none,dc=x").is_empty());

    // What did not change is no change, and a changed group finds members among the old and the new.
    let same = found("uid=ann,dc=x", &[("mail", &["ann@x.example"])]);
    let new = found("uid=new,dc=x", &[("mail", &["new@x.example"])]);
    let inner =
        found("cn=inner,dc=x", &[("mail", &["inner@x.example"]), ("member", &["uid=ann,dc=x", "uid=new,dc=x"])]);
    let changed = changes(&directory, &loaded.recipients, &[same, new, inner]);
    assert_eq!(changed.iter().map(|change| &*change.key).collect::<Vec<_>>(), ["uid=new,dc=x", "cn=inner,dc=x"]);
    let after = loaded.recipients.after(&changed).unwrap();
    assert_eq!((after.len(), after.changed()), (5, 3));
    assert_eq!(members(&after, "cn=inner,dc=x"), ["ann@x.example", "new@x.example"]);
}

#[test]
fn an_answer_that_shrinks_is_held() {
    let table = |from: usize, to: usize| {
        let mut load = Load::of(directory(""));
        for i in from..to {
            load.add(&found(&format!("uid={i},dc=x"), &[("mail", &[&format!("u{i}@x.example")])])).unwrap();
        }
        load.finish().unwrap().recipients
    };
    let known = table(0, 100);
    for (next, expected) in [
        (table(0, 100), Verdict::Apply),
        (table(10, 100), Verdict::Apply),
        (table(11, 100), Verdict::Hold { missing: 11, of: 100 }),
        (table(0, 0), Verdict::Hold { missing: 100, of: 100 }),
        // As many as before, but others.
        (table(50, 150), Verdict::Hold { missing: 50, of: 100 }),
    ] {
        assert_eq!(judge(&known, &next, 10), expected);
    }
    assert_eq!(judge(&Recipients::default(), &table(0, 1), 0), Verdict::Apply);
    assert_eq!(judge(&known, &table(0, 0), 100), Verdict::Apply);
}

#[test]
fn servers_take_turns_and_waits_grow() {
    let mut course = Course::new(&directory("poll_interval = \"10s\"\nreload_interval = \"1m\"\n"));
    assert_eq!(course.order(5), Order::Load { server: 0 });
    course.failed(5);
    assert_eq!(course.order(5), Order::Load { server: 1 }, "the next one at once");
    course.failed(5);
    assert_eq!(course.order(5), Order::Wait { until_ms: 1_005 });
    assert!(course.is_down());
    for wait_ms in [2_000, 4_000, 8_000, 16_000, 32_000, WAIT_MAX_MS, WAIT_MAX_MS] {
        course.failed(10);
        course.failed(10);
        assert_eq!(course.order(10), Order::Wait { until_ms: 10 + wait_ms });
    }
    course.load_now();
    assert_eq!(course.order(10), Order::Load { server: 0 }, "an operator does not wait");
    course.loaded(1_000, 1_000_000_000);
    assert!(!course.is_down());
    assert_eq!(course.order(1_000), Order::Wait { until_ms: 11_000 });
    let since_ms = 1_000_000_000 - 300_000;
    assert_eq!(course.order(11_000), Order::Poll { server: 0, since_ms });
    course.failed(11_000);
    assert_eq!(
        course.order(11_000),
        Order::Poll { server: 1, since_ms },
        "no server knows something that the other does not"
    );
    course.polled(12_000, 1_000_011_000);
    assert_eq!(course.order(30_000), Order::Poll { server: 1, since_ms: 1_000_011_000 - 300_000 });
    assert_eq!(course.order(61_000), Order::Load { server: 1 });
}

#[test]
fn what_is_asked_is_what_is_meant() {
    let plain = directory("filter = \"(objectClass=person)\"\nlogon = true\n");
    let changed = changed_since(&plain, 1_700_000_000_123);
    assert_eq!(changed, Filter::parse("(&(objectClass=person)(modifyTimestamp>=20231114221320Z))").unwrap());
    let changed = changed_since(&directory(AD), 1_700_000_000_123);
    assert_eq!(changed, Filter::parse("(&(|(mail=*)(proxyAddresses=*))(whenChanged>=20231114221320.0Z))").unwrap());
    // A name is a value, whatever it holds.
    let evil = plain.user_filter(plain.logon.as_ref().unwrap(), "*)(uid=*");
    assert_eq!(
        evil,
        Filter::parse("(&(objectClass=person)(|(uid=\\2a\\29\\28uid=\\2a)(mail=\\2a\\29\\28uid=\\2a)))").unwrap()
    );
    let servers: Vec<(&str, u16, Transit)> =
        plain.servers.iter().map(|server| (&*server.host, server.port, server.transit)).collect();
    assert_eq!(servers, [("a.example", 636, Transit::Tls), ("b.example", 1389, Transit::StartTls)]);
    assert_eq!(directory("tls = \"off\"\n").servers[1].transit, Transit::Clear);
    let ranged = found("cn=g", &[("cn", &["g"]), ("member;range=0-1499", &["cn=a"])]);
    assert_eq!(rest_of_range(&ranged).as_deref(), Some("member;range=1500-*"));
    assert_eq!(rest_of_range(&found("cn=g", &[("member;range=1500-*", &["cn=a"]), ("mail;lang-en", &["x"])])), None);
}

#[test]
fn what_is_wrong_with_a_directory_is_said() {
    let told = |keys: &str| {
        let text = format!("[[receive_connector]]\nname = \"in\"\nlisten = [\"192.0.2.1:25\"]\n[[directory]]\n{keys}");
        load(None, &text).unwrap_err().to_string()
    };
    let base = "name = \"corp\"\nservers = [\"ldap://a\"]\nbase = \"dc=x\"\n";
    for (keys, expected) in [
        (
            "name = \"../x\"\nservers = [\"ldap://a\"]\nbase = \"dc=x\"\n".to_string(),
            "org.toml:5:8: \"../x\" is no name",
        ),
        (base.replace("ldap://a", "a.example"), "org.toml:6:12: \"a.example\" is no server; write ldaps://host"),
        (format!("{base}filter = \"mail=*\"\n"), "org.toml:8:10: \"mail=*\" is no filter: \"(\" is missing"),
        (format!("{base}bind_dn = \"cn=a\"\n"), "bind_dn needs password_file as well"),
        (format!("{base}bind_dn = \"cn=a\"\npassword_file = \"empty\"\n"), "has no password in its first line"),
        (format!("{base}[[directory]]\n{base}"), "there is a [[directory]] \"corp\" already"),
    ] {
        assert!(told(&keys).contains(expected), "{keys}\n{}", told(&keys));
    }
}
