//! Recipients and users of a real slapd: 100,000 entries loaded, changed, removed; servers that die; a result that shrinks; logon.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::ldap::{PASSWORD, SUFFIX, Slapd, people, person};
use tests::process::Node;
use tests::wire::Wire;
use tests::{eventually, free_port};

const PEOPLE: usize = 100_000;
const FEW: usize = 30_000;
const BOUND: Duration = Duration::from_secs(30);

struct Lab {
    node: Node,
    first: Slapd,
    second: Slapd,
    dir: tempfile::TempDir,
}

fn lab() -> Lab {
    let dir = tempfile::tempdir().unwrap();
    let ldif = dir.path().join("people.ldif");
    people(&ldif, PEOPLE);
    let mut first = Slapd::loaded(&dir.path().join("first"), "ldap", &ldif);
    let mut second = first.copied(&dir.path().join("second"), "ldaps");
    first.start();
    second.start();
    let submission = free_port();
    let mut node = Node::new(&["--org", "org.toml"]);
    node.submission = submission;
    let ca = [&first, &second].map(|server| fs::read_to_string(server.ca()).unwrap()).concat();
    fs::write(node.dir.join("ca.pem"), ca).unwrap();
    fs::write(node.dir.join("password"), PASSWORD).unwrap();
    fs::write(
        node.dir.join("org.toml"),
        format!(
            "[[accepted_domain]]\nname = \"example.org\"\ndeliver = \"maildir\"\nunknown_recipients = \"refuse\"\n\
             [[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\ntarpit_ms = 0\nerrors_max = 1000\n\
             [[receive_connector]]\nname = \"submission\"\nlisten = [\"127.0.0.1:{submission}\"]\nprotocol = \"submission\"\ntarpit_ms = 0\n\
             message_rate_per_minute = 0\n\
             [[directory]]\nname = \"corp\"\nservers = [\"{}\", \"{}\"]\ntls_ca_file = \"ca.pem\"\nbase = \"ou=people,{SUFFIX}\"\n\
             bind_dn = \"cn=reader,{SUFFIX}\"\npassword_file = \"password\"\npoll_interval = \"1s\"\nlogon = true\nlogon_cache = \"1s\"\n",
            node.smtp,
            first.url(),
            second.url(),
        ),
    )
    .unwrap();
    node.start();
    Lab { node, first, second, dir }
}

/// What the node answers to RCPT.
fn rcpt(node: &Node, to: &str) -> String {
    let mut wire = Wire::connect(node.smtp);
    wire.reply();
    assert!(wire.command("EHLO client.example").starts_with("250"));
    assert!(wire.command("MAIL FROM:<a@client.example>").starts_with("250"));
    wire.command(&format!("RCPT TO:<{to}>"))
}

fn becomes(node: &Node, to: &str, code: &str) {
    let mut said = String::new();
    let began = Instant::now();
    while !said.starts_with(code) {
        assert!(began.elapsed() < BOUND, "{to} is not answered with {code} but {said}\n{}", node.log());
        said = rcpt(node, to);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn directory(node: &Node) -> serde_json::Value {
    node.json(&["directory", "status"])["directories"][0].clone()
}

fn directory_becomes(node: &Node, state: &str) -> serde_json::Value {
    let end = Instant::now() + BOUND;
    loop {
        let shown = directory(node);
        if shown["state"] == state {
            return shown;
        }
        assert!(Instant::now() < end, "not {state} but {shown}\n{}", node.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What swaks heard in the end, with a sender and a user of its choice.
fn swaks(node: &Node, from: &str, user: &str, password: &str, mechanism: &str) -> String {
    let server = format!("127.0.0.1:{}", node.submission);
    let mut command = Command::new("swaks");
    command.args(["--server", &server, "--tls", "--timeout", "20", "--from", from, "--to", "u3@example.org"]);
    command.args(["--auth", mechanism, "--auth-user", user, "--auth-password", password]);
    let out = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

fn modify_both(lab: &Lab, ldif: &str) {
    lab.first.modify(ldif);
    lab.second.modify(ldif);
}

#[test]
fn a_directory_of_100_000_recipients() {
    let began = Instant::now();
    let mut lab = lab();
    println!("ready after {:?}", began.elapsed());
    loaded_and_changed(&lab);
    users_log_on(&lab);
    servers_die(&mut lab);
    a_result_shrinks(&mut lab);
}

fn loaded_and_changed(lab: &Lab) {
    let node = &lab.node;
    let began = Instant::now();
    while directory(node)["recipients"] != PEOPLE + 1 {
        assert!(began.elapsed() < BOUND, "{}\n{}", directory(node), node.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("read after {:?}: {}", began.elapsed(), directory(node));
    for (to, code) in [
        ("u5@example.org", "250"),
        ("U99999.Alias@Example.ORG", "250"),
        ("team@example.org", "250"),
        ("postmaster@example.org", "250"),
        ("u100000@example.org", "550 5.1.1"),
        ("nobody@elsewhere.example", "550 5.7.1"),
    ] {
        assert!(rcpt(node, to).starts_with(code), "{to}: {}", rcpt(node, to));
    }
    // Added and changed ones are seen by asking for changes, removed ones by reading all.
    modify_both(lab, &person("eve").replacen('\n', "\nchangetype: add\n", 1));
    becomes(node, "eve@example.org", "250");
    let moved = "changetype: modify\nreplace: mail\nmail: seven@example.org\n";
    modify_both(lab, &format!("dn: uid=u7,ou=people,{SUFFIX}\n{moved}"));
    becomes(node, "seven@example.org", "250");
    becomes(node, "u7@example.org", "550 5.1.1");
    modify_both(lab, &format!("dn: uid=u8,ou=people,{SUFFIX}\nchangetype: delete\n"));
    assert!(rcpt(node, "u8@example.org").starts_with("250"));
    assert_eq!(node.verb(&["directory", "sync", "corp"]).0, 0);
    becomes(node, "u8@example.org", "550 5.1.1");
    assert_eq!(directory(node)["recipients"], PEOPLE + 1);
}

fn users_log_on(lab: &Lab) {
    let node = &lab.node;
    let sent = |heard: &str| heard.contains("Ok: queued") || heard.contains("250 2.0.0") || heard.contains("250 2.6.0");
    for (user, mechanism) in [("u3", "PLAIN"), ("U3@Example.org", "LOGIN")] {
        let heard = swaks(node, "u3@example.org", user, PASSWORD, mechanism);
        assert!(heard.contains("235 2.7.0") && sent(&heard), "{heard}");
    }
    let heard = swaks(node, "u3.alias@example.org", "u3", PASSWORD, "PLAIN");
    assert!(sent(&heard), "{heard}");
    let heard = swaks(node, "u4@example.org", "u3", PASSWORD, "PLAIN");
    assert!(heard.contains("235 2.7.0") && heard.contains("550 5.7.1"), "another one's address: {heard}");
    for (user, password) in
        [("u3", "crayon"), ("nobody", PASSWORD), ("u*", PASSWORD), ("*)(uid=u3", PASSWORD), ("u3", "")]
    {
        let heard = swaks(node, "u3@example.org", user, password, "PLAIN");
        assert!(!heard.contains("235 2.7.0"), "{user} {password}: {heard}");
    }
    // Locked: it ends when the cached logon does.
    modify_both(
        lab,
        &format!(
            "dn: uid=u3,ou=people,{SUFFIX}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
        ),
    );
    eventually("a locked account is refused", Duration::from_secs(10), || {
        swaks(node, "u3@example.org", "u3", PASSWORD, "PLAIN").contains("535 5.7.8")
    });
}

fn servers_die(lab: &mut Lab) {
    lab.first.kill();
    eventually("the second server is asked", BOUND, || directory(&lab.node)["server"] == lab.second.url());
    assert!(
        swaks(&lab.node, "u9@example.org", "u9", PASSWORD, "PLAIN").contains("235 2.7.0"),
        "logon at the second one"
    );
    lab.second.modify(&person("late").replacen('\n', "\nchangetype: add\n", 1));
    becomes(&lab.node, "late@example.org", "250");
    lab.second.kill();
    let shown = directory_becomes(&lab.node, "down");
    assert!(shown["wrong"][0].as_str().unwrap().contains("none of its servers"), "{shown}");
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(swaks(&lab.node, "u9@example.org", "u9", PASSWORD, "PLAIN").contains("454 4.7.0"), "later, not never");
    // Nobody is forgotten, not even by a node that starts meanwhile.
    for round in 0..2 {
        for (to, code) in [
            ("u5@example.org", "250"),
            ("late@example.org", "250"),
            ("seven@example.org", "250"),
            ("u8@example.org", "550"),
        ] {
            assert!(rcpt(&lab.node, to).starts_with(code), "round {round}, {to}: {}", rcpt(&lab.node, to));
        }
        if round == 0 {
            lab.node.kill();
            lab.node.start();
        }
    }
}

fn a_result_shrinks(lab: &mut Lab) {
    let ldif = lab.dir.path().join("few.ldif");
    people(&ldif, FEW);
    let mut few = Slapd::loaded(&lab.dir.path().join("few"), "ldap", &ldif).on_the_port_of(&lab.first);
    few.start();
    assert_eq!(lab.node.verb(&["directory", "sync", "corp"]).0, 0);
    let shown = directory_becomes(&lab.node, "held");
    assert_eq!(shown["held"]["recipients"], FEW + 1, "{shown}");
    assert!(shown["wrong"][0].as_str().unwrap().contains("would vanish"), "{shown}");
    assert!(rcpt(&lab.node, "u99999@example.org").starts_with("250"), "nothing was changed");
    assert_eq!(lab.node.verb(&["directory", "accept", "corp"]).0, 0);
    becomes(&lab.node, "u99999@example.org", "550 5.1.1");
    assert!(rcpt(&lab.node, "u5@example.org").starts_with("250"));
    directory_becomes(&lab.node, "ok");
    let (code, _, told) = lab.node.verb(&["directory", "accept", "corp"]);
    assert!(code == 1 && told.contains("nothing of directory 'corp' is held"), "{told}");
}
