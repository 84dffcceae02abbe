//! Real clients and servers that others wrote, against a real node: swaks, smtplib, aiosmtplib, msmtp, nodemailer, Postfix on
//! both sides, posttls-finger, dkimpy. `./test peers` installs them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real processes

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::postfix::Postfix;
use tests::process::{Node, Process};
use tests::{dialog, eventually, free_port, root};

const PASSWORD: &str = "correct horse";

/// Runs a command to its end; it must succeed. Returns what it printed.
fn run(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?} ended with {}:\n{text}", out.status);
    text
}

fn python(script: &str) -> Command {
    let mut command = Command::new(root().join("target/peers/venv/bin/python"));
    command.arg(root().join("tests/peers").join(script));
    command
}

fn arrives(node: &Node, address: &str, count: usize) -> Vec<Vec<u8>> {
    eventually(&format!("{count} messages for {address}"), Duration::from_secs(20), || {
        node.mailbox(address).len() >= count
    });
    let messages = node.mailbox(address);
    assert_eq!(messages.len(), count, "messages for {address}");
    messages
}

#[test]
fn swaks_in_clear_under_tls_and_with_auth() {
    let (node, _) = dialog::node("submission");
    let swaks = |extra: &[&str]| {
        let mut command = Command::new("swaks");
        command.args(["--from", "bob@submit.test", "--to", "swaks@submit.test", "--timeout", "20"]).args(extra);
        run(&mut command)
    };
    let (smtp, submission) = (format!("127.0.0.1:{}", node.smtp), format!("127.0.0.1:{}", node.submission));
    swaks(&["--server", &smtp]);
    swaks(&["--server", &smtp, "--tls"]);
    for mechanism in ["PLAIN", "LOGIN"] {
        let auth = ["--auth", mechanism, "--auth-user", "bob@submit.test", "--auth-password", PASSWORD];
        swaks(&[&["--server", &submission, "--tls"][..], &auth].concat());
    }
    swaks(&["--server", &smtp, "--pipeline"]);
    arrives(&node, "swaks@submit.test", 5);
}

#[test]
fn python_smtplib_and_aiosmtplib() {
    let (node, _) = dialog::node("submission");
    let ports = [node.smtp.to_string(), node.submission.to_string()];
    run(python("send_smtplib.py").args(&ports).args(["bob@submit.test", PASSWORD]));
    let clear = arrives(&node, "clear@submit.test", 1);
    assert!(String::from_utf8_lossy(&clear[0]).replace("\r\n", "\n").contains("\n.\n..two dots\nlast line\n"));
    arrives(&node, "tls@submit.test", 1);
    arrives(&node, "auth@submit.test", 1);
    run(python("send_aiosmtplib.py").arg(&ports[0]));
    arrives(&node, "aio@submit.test", 20);
}

#[test]
fn msmtp_as_an_application_uses_it() {
    let (node, _) = dialog::node("submission");
    let config = node.dir.join("msmtprc");
    fs::write(
        &config,
        format!(
            "account default\nhost 127.0.0.1\nport {}\nfrom bob@submit.test\ntls on\ntls_starttls on\ntls_certcheck off\n\
             auth plain\nuser bob@submit.test\npassword {PASSWORD}\n",
            node.submission
        ),
    )
    .unwrap();
    run(Command::new("chmod").arg("600").arg(&config));
    let letter = node.dir.join("letter");
    fs::write(&letter, "From: bob@submit.test\nTo: msmtp@submit.test\nSubject: msmtp\n\n.\ntext\n").unwrap();
    let mut command = Command::new("msmtp");
    command.arg("-C").arg(&config).arg("msmtp@submit.test").stdin(fs::File::open(&letter).unwrap());
    let status = command.status().unwrap();
    assert!(status.success(), "msmtp ended with {status}");
    arrives(&node, "msmtp@submit.test", 1);
}

/// A client program with its own TLS and SASL for each mechanism, on a hub's port for users: with the password, without it, and as
/// somebody else.
#[test]
fn each_mechanism_by_a_client_that_others_wrote() {
    let (node, _) = dialog::node("hub");
    let letter = node.dir.join("letter");
    fs::write(&letter, "From: carol@hub.test\nTo: auth@hub.test\nSubject: msmtp\n\ntext\n").unwrap();
    let msmtp = |mechanism: &str, from: &str, password: &str| {
        let config = node.dir.join("msmtprc");
        let text = format!(
            "account default\nhost 127.0.0.1\nport {}\nfrom {from}\ntls on\ntls_starttls on\ntls_certcheck off\n\
             auth {mechanism}\nuser carol@hub.test\npassword {password}\n",
            node.submission
        );
        fs::write(&config, text).unwrap();
        run(Command::new("chmod").arg("600").arg(&config));
        let mut command = Command::new("msmtp");
        command.arg("-C").arg(&config).arg("auth@hub.test").stdin(fs::File::open(&letter).unwrap());
        let out = command.output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    for mechanism in ["plain", "login", "scram-sha-256"] {
        let (sent, said) = msmtp(mechanism, "carol@hub.test", PASSWORD);
        assert!(sent, "{mechanism}: {said}");
    }
    let (sent, said) = msmtp("scram-sha-256", "carol@hub.test", "wrong");
    assert!(!sent && said.contains("535 5.7.8"), "{said}");
    let (sent, said) = msmtp("scram-sha-256", "bob@hub.test", PASSWORD);
    assert!(!sent && said.contains("550 5.7.1"), "{said}");
    arrives(&node, "auth@hub.test", 3);

    // Port 25 of a hub takes users too, and nobody else.
    let swaks = |extra: &[&str]| {
        let mut command = Command::new("swaks");
        command.args(["--server", &format!("127.0.0.1:{}", node.smtp), "--timeout", "20"]);
        command.args(["--from", "bob@hub.test", "--to", "swaks@hub.test"]).args(extra);
        let out = command.output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let (code, said) = swaks(&["--tls"]);
    assert!(code == Some(23) && said.contains("530 5.7.0"), "{said}");
    for mechanism in ["PLAIN", "LOGIN"] {
        let (code, said) =
            swaks(&["--tls", "--auth", mechanism, "--auth-user", "bob@hub.test", "--auth-password", PASSWORD]);
        assert_eq!(code, Some(0), "{said}");
    }
    arrives(&node, "swaks@hub.test", 2);
}

/// OpenSSL's own client, typed at as a postmaster would.
#[test]
fn openssl_s_client_with_auth_plain() {
    let (node, _) = dialog::node("hub");
    let server = format!("127.0.0.1:{}", node.submission);
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-crlf", "-starttls", "smtp", "-connect", &server]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = command.spawn().unwrap();
    let mut typed = client.stdin.take().unwrap();
    let lines = [
        "EHLO typed.example",
        "MAIL FROM:<bob@hub.test>",
        "AUTH PLAIN AGJvYkBodWIudGVzdAB3cm9uZw==",
        "AUTH PLAIN AGJvYkBodWIudGVzdABjb3JyZWN0IGhvcnNl",
        "MAIL FROM:<bob@hub.test>",
        "RCPT TO:<somebody@elsewhere.example>",
        "QUIT",
    ];
    for line in lines {
        std::io::Write::write_all(&mut typed, format!("{line}\n").as_bytes()).unwrap();
        // Nothing is pipelined behind AUTH.
        std::thread::sleep(Duration::from_millis(400));
    }
    drop(typed);
    let said = String::from_utf8_lossy(&client.wait_with_output().unwrap().stdout).into_owned();
    let codes: Vec<&str> = said.lines().filter(|l| l.as_bytes().get(3) == Some(&b' ')).map(|l| &l[..3]).collect();
    let tail = codes.get(codes.len().saturating_sub(7)..).unwrap_or_default();
    assert_eq!(tail, ["250", "530", "535", "235", "250", "250", "221"], "{said}");
}

#[test]
fn nodemailer_with_a_pool() {
    let (node, _) = dialog::node("submission");
    let mut command = Command::new("node");
    command
        .arg(root().join("tests/peers/send_nodemailer.js"))
        .env("NODE_PATH", root().join("target/peers/node_modules"));
    run(command.arg(node.submission.to_string()).args(["bob@submit.test", PASSWORD]));
    arrives(&node, "node@submit.test", 5);
}

#[test]
fn posttls_finger_finds_working_tls() {
    let (node, _) = dialog::node("submission");
    // It wants a main.cf, even an empty one.
    fs::write(node.dir.join("main.cf"), "compatibility_level = 3.6\n").unwrap();
    let said = run(Command::new("/usr/sbin/posttls-finger").env("MAIL_CONFIG", &node.dir).args([
        "-c",
        "-l",
        "encrypt",
        "-Lsummary",
        &format!("[127.0.0.1]:{}", node.smtp),
    ]));
    assert!(said.contains("TLS connection established") && said.contains("TLSv1.3"), "{said}");
}

#[test]
fn a_signed_message_passes_through_byte_for_byte() {
    let (node, _) = dialog::node("submission");
    run(python("dkim_sign.py").arg(&node.dir));
    let mut wire = tests::wire::Wire::connect(node.smtp);
    wire.reply();
    assert!(wire.command("EHLO signed.example").starts_with("250"));
    for (command, code) in [
        ("MAIL FROM:<alice@signed.example> BODY=8BITMIME", "250"),
        ("RCPT TO:<signed@submit.test>", "250"),
        ("DATA", "354"),
    ] {
        let said = wire.command(command);
        assert!(said.starts_with(code), "{command}: {said}");
    }
    let mut message = Vec::new();
    for line in fs::read(node.dir.join("signed.eml")).unwrap().split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            message.push(b'.');
        }
        message.extend_from_slice(line);
    }
    message.extend_from_slice(b".\r\n");
    wire.send(&message).unwrap();
    assert!(wire.reply().join("").starts_with("250 2.0.0"));
    let kept = &arrives(&node, "signed@submit.test", 1)[0];
    let file = node.dir.join("kept.eml");
    fs::write(&file, kept).unwrap();
    run(python("dkim_verify.py").arg(&node.dir).arg(&file));
}

#[test]
fn postfix_hands_its_mail_to_us() {
    let (node, _) = dialog::node("submission");
    let postfix = Postfix::start(&format!(
        "relayhost = [127.0.0.1]:{}\nsmtp_tls_security_level = may\nsmtp_destination_concurrency_limit = 20\n\
         queue_run_delay = 2s\nminimal_backoff_time = 2s\nmaximal_backoff_time = 5s",
        node.smtp
    ));
    smtp_source("postfix@submit.test", postfix.port);
    let all = || node.mailbox("postfix@submit.test").len() >= 200;
    let end = Instant::now() + Duration::from_secs(90);
    while !all() {
        // What Postfix could not hand over it tries again after two seconds: a busy machine is no failure.
        assert!(Instant::now() < end, "Postfix still has mail: {}", postfix.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(node.mailbox("postfix@submit.test").len(), 200, "{}", postfix.log());
}

#[test]
fn postfix_takes_our_mail_as_next_hop() {
    let sink = free_port();
    let dump = tempfile::tempdir().unwrap();
    run(Command::new("chmod").arg("777").arg(dump.path()));
    let mut smtp_sink = Command::new("/usr/sbin/smtp-sink");
    smtp_sink.args(["-u", "postfix", "-R", &dump.path().display().to_string(), "-d", "%M."]);
    smtp_sink.args([&format!("127.0.0.1:{sink}"), "100"]);
    let _sink = Process::start(&mut smtp_sink, &dump.path().join("sink.log"));
    let postfix =
        Postfix::start(&format!("relayhost = [127.0.0.1]:{sink}\nsmtpd_relay_restrictions = permit_mynetworks,reject"));
    let node = Node::started(&["--relay-to", &format!("127.0.0.1:{}", postfix.port)]);
    smtp_source("far@away.example", node.smtp);
    eventually("all of our mail behind Postfix", Duration::from_secs(60), || messages(dump.path()) >= 200);
    assert_eq!(messages(dump.path()), 200, "{}", postfix.log());
}

/// Postfix as somebody else's mail system behind a send connector: it delivers, refuses, defers, and sends a notification back.
#[test]
fn postfix_is_the_foreign_system_behind_a_send_connector() {
    let mut node = Node::new(&["--org", "org.toml"]);
    let mail = |postfix: &Postfix| postfix.dir.path().join("mail/bob/new");
    let foreign = |refusals: &str| {
        format!(
            "relayhost = [127.0.0.1]:{}\nvirtual_mailbox_domains = away.test\n\
             virtual_mailbox_maps = inline:{{ bob@away.test=bob/, later@away.test=bob/ }}\nvirtual_mailbox_base = $data_directory/../mail\n\
             virtual_minimum_uid = 1\nvirtual_uid_maps = static:5000\nvirtual_gid_maps = static:5000\n\
             smtpd_reject_unlisted_recipient = no\n\
             smtpd_recipient_restrictions = check_recipient_access inline:{{ {refusals} }}, permit_mynetworks, reject",
            node.smtp
        )
    };
    let postfix = Postfix::start(&foreign(
        "{later@away.test = 450 4.2.1 this mailbox is being moved} {never@away.test = 550 5.7.9 this house is empty}",
    ));
    fs::create_dir(postfix.dir.path().join("mail")).unwrap();
    run(Command::new("chown").arg("5000:5000").arg(postfix.dir.path().join("mail")));
    let org = format!(
        "postmaster = \"postmaster@ours.test\"\n[[accepted_domain]]\nname = \"ours.test\"\ndeliver = \"maildir\"\nrecipients = [\"alice\"]\n\
         [[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\npermissions = [\"anonymous\", \"relay\"]\n\
         [[send_connector]]\nname = \"partner\"\ndomains = [\"away.test\"]\nsmart_hosts = [\"127.0.0.1:{}\"]\n\
         messages_per_connection = 5\n[retry]\nmessage_retry_interval = \"1s\"\nglitch_interval = \"1s\"\n",
        node.smtp, postfix.port
    );
    fs::write(node.dir.join("org.toml"), org).unwrap();
    node.start();
    smtp_source_from("alice@ours.test", "bob@away.test", node.smtp, 20);
    eventually("all of it is in Postfix's mailbox", Duration::from_secs(60), || messages(&mail(&postfix)) == 20);

    // It says never: the sender hears it from us. It takes the mail and thinks better of it: the sender hears it from Postfix.
    smtp_source_from("alice@ours.test", "never@away.test", node.smtp, 1);
    let notified = |count: usize, words: &[&str]| {
        let letters = arrives(&node, "alice@ours.test", count);
        let texts: Vec<String> = letters.iter().map(|letter| String::from_utf8_lossy(letter).into_owned()).collect();
        let one = texts.iter().find(|text| words.iter().all(|word| text.contains(word)));
        assert!(one.is_some(), "{words:?} in none of {texts:#?}\n{}", postfix.log());
    };
    notified(1, &["Final-Recipient: rfc822; never@away.test", "Status: 5.7.9", "Diagnostic-Code: smtp; 550 5.7.9"]);
    smtp_source_from("alice@ours.test", "nobody@away.test", node.smtp, 1);
    notified(2, &["Final-Recipient: rfc822; nobody@away.test", "Status: 5.1.1", "Reporting-MTA: dns; peer.test"]);

    // It says later, to one recipient of two: that one waits, and the queue goes on.
    let mut wire = tests::wire::Wire::connect(node.smtp);
    wire.reply();
    for command in
        ["EHLO a.test", "MAIL FROM:<alice@ours.test>", "RCPT TO:<later@away.test>", "RCPT TO:<bob@away.test>", "DATA"]
    {
        assert!(wire.command(command).starts_with(['2', '3']), "{command}");
    }
    assert!(wire.command("Subject: one now, one later\r\n\r\n.").starts_with("250"));
    eventually("the other one has it", Duration::from_secs(30), || messages(&mail(&postfix)) == 21);
    eventually("it waits for its own retry", Duration::from_secs(30), || {
        let queues = node.json(&["queue", "list"]);
        queues["queues"].as_array().unwrap().iter().any(|queue| queue["messages"] == 1 && queue["state"] != "retry")
    });
    let main = fs::read_to_string(postfix.etc().join("main.cf")).unwrap();
    fs::write(postfix.etc().join("main.cf"), main.replace("later@away.test = 450", "else@away.test = 450")).unwrap();
    assert!(postfix.control("reload").0);
    eventually("it has it too", Duration::from_secs(60), || messages(&mail(&postfix)) == 22);
    arrives(&node, "alice@ours.test", 2);
}

/// Two hundred messages over ten connections, with Postfix's own generator.
fn smtp_source(to: &str, port: u16) {
    smtp_source_from("alice@peer.test", to, port, 200);
}

fn smtp_source_from(from: &str, to: &str, port: u16, count: u32) {
    let mut command = Command::new("/usr/sbin/smtp-source");
    command.args(["-s", &count.min(10).to_string(), "-m", &count.to_string(), "-l", "5000", "-f", from, "-t", to]);
    run(command.arg(format!("127.0.0.1:{port}")));
}

/// Files that smtp-sink wrote.
fn messages(dir: &Path) -> usize {
    fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.file_name() != "sink.log").count()
}
