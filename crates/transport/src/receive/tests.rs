use super::testing::{Node, org};
use mail::{Enhanced, Reply};
use std::time::Duration;
use tokio::time::Instant;

/// A relay for one domain, without tarpit.
fn relay(settings: &str) -> String {
    format!(
        "[[accepted_domain]]\nname = \"posthouse.test\"\nrecipients = [\"bob\"]\n\
         [[receive_connector]]\nname = \"in\"\nlisten = [\"@LISTEN@\"]\ntarpit_ms = 0\n{settings}\n"
    )
}

/// A submission port with two users: bob has an argon2id hash, alice SCRAM keys; both passwords are "pencil".
fn submission(settings: &str) -> String {
    let bob = crate::auth::argon2id(b"pencil", [1; 16]).unwrap();
    let alice = crate::auth::scram_sha_256(b"pencil", [2; 16]);
    format!(
        "{}\n[[user]]\nname = \"bob@posthouse.test\"\npassword = \"{bob}\"\n\
         [[user]]\nname = \"alice@posthouse.test\"\npassword = \"{alice}\"\n",
        relay(&format!(
            "protocol = \"submission\"\npermissions = [\"users\"]\nauth_without_tls = true\n\
             auth = [\"plain\", \"login\", \"scram-sha-256\"]\n{settings}"
        ))
    )
}

const LETTER: &str = "From: a@client.example\r\nMessage-ID: <1@client.example>\r\n\r\nhello\r\n";

#[tokio::test]
async fn a_message_is_answered_with_its_id_when_it_is_in_custody() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    let reply = client.sends("bob@posthouse.test", LETTER, "250 2.0.0").await;
    let stored = node.only_message();
    let id = reply.split(' ').nth(2).unwrap();
    assert!(stored.contains(&format!("id {id}")), "{stored}");
    assert!(stored.contains("Received: from client.example ([127.0.0.1])\r\n"), "{stored}");
    assert!(stored.contains("with ESMTP") && stored.contains("for <bob@posthouse.test>;"), "{stored}");
    assert!(stored.ends_with(LETTER), "{stored}");
    client.asks("QUIT\r\n", "221").await;
    client.is_closed().await;
    let lines = node.records.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("RECEIVE <a@client.example> [\"bob@posthouse.test\"] peer=127.0.0.1:"), "{lines:?}");
    assert!(lines[0].ends_with("via=in reply=250 helo=client.example message-id=<1@client.example>"), "{lines:?}");
}

#[tokio::test]
async fn a_pipelined_group_and_what_follows_it_is_answered_in_order() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    let group = "MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@posthouse.test>\r\nDATA\r\n";
    client.says(group).await;
    for expected in ["250 2.1.0", "250 2.1.5", "354"] {
        client.hears(expected).await;
    }
    client.says(&format!("{LETTER}.\r\n{group}")).await;
    for expected in ["250 2.0.0", "250 2.1.0", "250 2.1.5", "354"] {
        client.hears(expected).await;
    }
    client.says(&format!("{}.\r\nQUIT\r\n", LETTER.repeat(5000))).await;
    client.hears("250 2.0.0").await;
    client.hears("221").await;
    assert_eq!(node.messages(), 2);
}

/// Behaviours 4.6 and 1.11: pressure acts at MAIL and tells strangers from users; a tarpit holds the answer back and lets the mail in.
#[tokio::test]
async fn pressure_refuses_strangers_at_mail_and_slows_the_rest() {
    let node = Node::start(&submission("permissions = [\"users\", \"anonymous\"]\n").replacen(
        "permissions = [\"users\"]\n",
        "",
        1,
    ))
    .await;
    let brake = Duration::from_millis(300);
    *node.ready.1.lock().unwrap() = Some((super::Asker::User, brake));
    let mut client = node.client().await;
    client.asks("MAIL FROM:<a@client.example>\r\n", "452 4.3.1").await;
    let refused = node.records.lines();
    assert!(refused[0].contains("back_pressure"), "{refused:?}");
    client.asks("AUTH PLAIN AGJvYkBwb3N0aG91c2UudGVzdABwZW5jaWw=\r\n", "235").await;
    let began = Instant::now();
    client.asks("MAIL FROM:<bob@posthouse.test>\r\n", "250").await;
    assert!(began.elapsed() >= brake, "answered after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_user_who_sends_too_much_is_told_later() {
    let bounds = crate::limits::UserBounds { messages_per_minute: Some(2), recipients_per_hour: Some(1) };
    let node = Node::behind(&submission(""), crate::limits::Doors::with_user_bounds(9, None, bounds)).await;
    for (mail, rcpt) in
        [("250", "250"), ("250", "451 4.7.1 too many recipients"), ("451 4.7.1 too many messages", "503")]
    {
        // Each time over a connection of its own.
        let mut client = node.client().await;
        client.asks("AUTH PLAIN AGJvYkBwb3N0aG91c2UudGVzdABwZW5jaWw=\r\n", "235").await;
        client.asks("MAIL FROM:<bob@posthouse.test>\r\n", mail).await;
        client.asks("RCPT TO:<bob@posthouse.test>\r\n", rcpt).await;
    }
}

#[tokio::test]
async fn how_the_bytes_were_cut_changes_nothing() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    let group = "MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@posthouse.test>\r\nDATA\r\n";
    for byte in format!("{group}{LETTER}.\r\nQUIT\r\n").chars() {
        client.says(&byte.to_string()).await;
        tokio::task::yield_now().await;
    }
    for expected in ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0", "221"] {
        client.hears(expected).await;
    }
    assert!(node.only_message().ends_with(LETTER));
}

#[tokio::test]
async fn strangers_may_not_relay_and_unknown_mailboxes_are_named() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    client.asks("MAIL FROM:<>\r\n", "250").await;
    client.asks("RCPT TO:<x@elsewhere.example>\r\n", "550 5.7.1").await;
    client.asks("RCPT TO:<nobody@posthouse.test>\r\n", "550 5.1.1").await;
    client.asks("RCPT TO:<Postmaster>\r\n", "250 2.1.5").await;
    let lines = node.records.lines();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("REFUSE <> [\"x@elsewhere.example\"]") && lines[0].contains("relay_denied"), "{lines:?}");
    assert!(lines[1].contains("unknown_user"), "{lines:?}");
}

#[tokio::test]
async fn without_a_sync_there_is_no_250() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    client.sends("bob@posthouse.test", LETTER, "250 2.0.0").await;
    // All from now on: one alone might hit the thread that makes spare segments, which may fail.
    node.sim.disk.change_faults(|faults| faults.sync_fails_per_mille = 1000);
    client.sends("bob@posthouse.test", LETTER, "4").await;
    assert_eq!(node.records.lines().iter().filter(|line| line.starts_with("RECEIVE")).count(), 1);
}

#[tokio::test]
async fn a_loop_is_cut_and_the_session_goes_on() {
    let node = Node::start(&relay("hops_max = 3")).await;
    let mut client = node.client().await;
    let looped = format!("{}\r\nbody\r\n", "Received: from a by b; date\r\n".repeat(4));
    client.sends("bob@posthouse.test", &looped, "554 5.4.6").await;
    let fits = format!("{}\r\nbody\r\n", "Received: from a by b; date\r\n".repeat(3));
    client.sends("bob@posthouse.test", &fits, "250 2.0.0").await;
    assert_eq!(node.messages(), 1);
    let refused: Vec<String> = node.records.lines().into_iter().filter(|line| line.starts_with("REFUSE")).collect();
    assert!(refused.len() == 1 && refused[0].contains("554 5.4.6"), "{refused:?}");
}

#[tokio::test]
async fn size_is_checked_at_mail_and_while_the_body_arrives() {
    let node = Node::start(&relay("message_size_max = 100000")).await;
    let mut client = node.client().await;
    client.asks("MAIL FROM:<a@client.example> SIZE=100001\r\n", "552 5.3.4").await;
    client.sends("bob@posthouse.test", &format!("\r\n{}", "x\r\n".repeat(50_000)), "552 5.3.4").await;
    client.sends("bob@posthouse.test", LETTER, "250").await;
    assert_eq!(node.messages(), 1);
}

#[tokio::test]
async fn a_large_message_is_kept_whole() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    let body: String = (0..80_000).map(|i| format!("line {i}\r\n")).collect();
    client.sends("bob@posthouse.test", &format!("Subject: large\r\n\r\n{body}"), "250").await;
    assert!(node.only_message().ends_with(&body));
}

#[tokio::test]
async fn only_a_trusted_peer_speaks_proxy() {
    let node = Node::start(&relay("trusted_proxies = [\"127.0.0.1\"]")).await;
    let mut client = node.connect().await;
    client.says("PROXY TCP4 192.0.2.77 192.0.2.1 40000 25\r\n").await;
    client.hears("220").await;
    client.asks("EHLO client.example\r\n", "250").await;
    client.sends("bob@posthouse.test", LETTER, "250").await;
    assert!(node.only_message().contains("([192.0.2.77])"));
    let mut impostor = node.connect().await;
    impostor.says("EHLO client.example\r\n").await;
    impostor.is_closed().await;

    let node = Node::start(&relay("")).await;
    let mut client = node.connect().await;
    client.says("PROXY TCP4 192.0.2.77 192.0.2.1 40000 25\r\n").await;
    client.hears("220").await;
    client.hears("500").await;
    client.asks("EHLO client.example\r\n", "250").await;
    client.sends("bob@posthouse.test", LETTER, "250").await;
    assert!(node.only_message().contains("([127.0.0.1])"));
}

#[tokio::test]
async fn the_connector_is_chosen_by_the_true_client() {
    let inside = "permissions = [\"relay\"]\nremote = [\"192.0.2.0/24\"]\ntrusted_proxies = [\"127.0.0.1\"]";
    let document =
        format!("{}\n[[receive_connector]]\nname = \"inside\"\nlisten = [\"@LISTEN@\"]\n{inside}", relay(""));
    let node = Node::start(&document).await;
    for (address, expected) in [("192.0.2.77", "250"), ("198.51.100.1", "550 5.7.1")] {
        let mut client = node.connect().await;
        client.says(&format!("PROXY TCP4 {address} 192.0.2.1 40000 25\r\n")).await;
        client.hears("220").await;
        client.asks("EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n", "250").await;
        client.hears("250 2.1.0").await;
        client.asks("RCPT TO:<x@elsewhere.example>\r\n", expected).await;
    }
}

#[tokio::test]
async fn xclient_from_a_trusted_peer_changes_who_is_there() {
    let node = Node::start(&relay("trusted_xclient = [\"127.0.0.1\"]")).await;
    let mut client = node.client().await;
    client.asks("XCLIENT ADDR=192.0.2.79 HELO=told.example\r\n", "220").await;
    client.asks("EHLO client.example\r\n", "250").await;
    client.sends("bob@posthouse.test", LETTER, "250").await;
    assert!(node.only_message().contains("([192.0.2.79])"));
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    client.asks("XCLIENT ADDR=192.0.2.79\r\n", "5").await;
}

#[tokio::test]
async fn who_speaks_for_an_unknown_client_lends_it_nothing() {
    let filter = "permissions = [\"relay\"]\nremote = [\"127.0.0.1\"]\ntrusted_xclient = [\"127.0.0.1\"]";
    let document =
        format!("{}\n[[receive_connector]]\nname = \"filter\"\nlisten = [\"@LISTEN@\"]\n{filter}", relay(""));
    let node = Node::start(&document).await;
    let mut client = node.client().await;
    client.asks("MAIL FROM:<a@client.example>\r\n", "250").await;
    client.asks("RCPT TO:<x@elsewhere.example>\r\n", "250").await;
    client.asks("RSET\r\n", "250").await;
    client.asks("XCLIENT ADDR=[UNAVAILABLE]\r\n", "220").await;
    client.asks("EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n", "250").await;
    client.hears("250 2.1.0").await;
    client.asks("RCPT TO:<x@elsewhere.example>\r\n", "550 5.7.1").await;
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_says_nothing_is_not_waited_for() {
    let node = Node::start(&relay("trusted_proxies = [\"127.0.0.1\"]")).await;
    let begun = Instant::now();
    node.connect().await.is_closed().await;
    assert!((9..12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(node.records.lines()[0].contains("proxy_header_late"), "{:?}", node.records.lines());
}

#[tokio::test]
async fn starttls_drops_what_was_said_in_the_clear() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    client.asks("STARTTLS\r\nMAIL FROM:<injected@client.example>\r\n", "220 2.0.0").await;
    let mut client = node.tls(client).await;
    client.asks("RCPT TO:<bob@posthouse.test>\r\n", "503 5.5.1").await;
    let extensions = client.asks("EHLO client.example\r\n", "250").await;
    assert!(!extensions.contains("STARTTLS"), "{extensions}");
    client.sends("bob@posthouse.test", LETTER, "250").await;
    let stored = node.only_message();
    assert!(stored.contains("with ESMTPS") && stored.contains("(using TLSv1.3 TLS_"), "{stored}");
    assert!(node.records.lines().last().unwrap().contains("tls=TLSv1.3 TLS_"));
}

#[tokio::test]
async fn implicit_tls_behind_a_proxy_header() {
    let node = Node::start(&relay("tls = \"implicit\"\ntrusted_proxies = [\"127.0.0.1\"]")).await;
    let mut client = node.connect().await;
    client.says("PROXY TCP4 192.0.2.77 192.0.2.1 40000 465\r\n").await;
    let mut client = node.tls(client).await;
    client.hears("220").await;
    client.asks("EHLO client.example\r\n", "250").await;
    client.sends("bob@posthouse.test", LETTER, "250").await;
    assert!(node.only_message().contains("([192.0.2.77])"));
}

#[tokio::test]
async fn each_source_has_its_share_of_connections_and_of_messages() {
    let document =
        relay("connections_per_source_max = 2\nconnections_per_source_percent_max = 100\nmessage_rate_per_minute = 2");
    let node = Node::start(&document).await;
    let (mut first, _second) = (node.client().await, node.client().await);
    let mut third = node.connect().await;
    third.hears("421 4.7.0").await;
    third.is_closed().await;
    for expected in ["250", "250", "451 4.7.1"] {
        first.asks("MAIL FROM:<a@client.example>\r\n", expected).await;
        first.asks("RSET\r\n", "250").await;
    }
    first.asks("QUIT\r\n", "221").await;
    first.is_closed().await;
    // The count of a connection ends with its task, which may be a moment after the peer saw it close.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut again = node.connect().await;
        if again.hears("").await.starts_with("220") {
            return;
        }
    }
    panic!("the place of a closed connection is never free again");
}

#[tokio::test]
async fn a_node_that_cannot_accept_says_so_at_connect_and_at_mail() {
    let node = Node::start(&relay("")).await;
    let mut client = node.client().await;
    let sorry = Reply::new(421, Enhanced::new(4, 3, 2), "draining");
    *node.ready.0.lock().unwrap() = Some(sorry);
    let mut late = node.connect().await;
    late.hears("421 4.3.2 draining").await;
    late.is_closed().await;
    client.asks("MAIL FROM:<a@client.example>\r\n", "421 4.3.2").await;
    client.is_closed().await;
}

#[tokio::test(start_paused = true)]
async fn errors_wait_in_the_tarpit_and_end_the_session() {
    let node = Node::start(&relay("").replace("tarpit_ms = 0", "tarpit_ms = 5000")).await;
    let mut client = node.client().await;
    let begun = Instant::now();
    client.asks("NOOP\r\n", "250").await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    for _ in 0..4 {
        client.asks("BOGUS\r\n", "500").await;
    }
    client.says("BOGUS\r\n").await;
    while !client.hears("").await.starts_with("421 4.7.0") {}
    let held = begun.elapsed();
    assert!(held >= Duration::from_secs(20) && held < Duration::from_secs(40), "{held:?}");
    client.is_closed().await;
}

#[tokio::test(start_paused = true)]
async fn silence_and_long_sessions_end() {
    let node = Node::start(&relay("idle_timeout = \"20s\"\nsession_timeout = \"60s\"")).await;
    let (mut silent, begun) = (node.client().await, Instant::now());
    silent.hears("421 4.4.2").await;
    assert!((20..22).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    silent.is_closed().await;
    let (mut busy, begun) = (node.client().await, Instant::now());
    while begun.elapsed() < Duration::from_secs(58) {
        tokio::time::sleep(Duration::from_secs(15)).await;
        busy.says("NOOP\r\n").await;
        if busy.hears("").await.starts_with("421 4.4.2") {
            break;
        }
    }
    assert!((58..62).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn stop_lets_a_message_finish_and_tells_the_idle() {
    let node = Node::start(&relay("")).await;
    let (mut idle, mut busy) = (node.client().await, node.client().await);
    busy.asks("MAIL FROM:<a@client.example>\r\n", "250").await;
    busy.asks("RCPT TO:<bob@posthouse.test>\r\n", "250").await;
    busy.asks("DATA\r\n", "354").await;
    busy.says("Subject: x\r\n").await;
    node.receiver.stop(Duration::from_secs(30));
    idle.hears("421 4.3.2").await;
    idle.is_closed().await;
    busy.asks("\r\nrest\r\n.\r\n", "250 2.0.0").await;
    busy.hears("421 4.3.2").await;
    busy.is_closed().await;
    tokio::time::timeout(Duration::from_secs(5), node.receiver.stopped()).await.unwrap();
    assert_eq!(node.messages(), 1);
    let mut late = node.connect().await;
    late.hears("421 4.3.2").await;
}

#[tokio::test]
async fn a_soft_stop_lets_each_bring_what_it_has_come_for() {
    let node = Node::start(&relay("")).await;
    let (mut fresh, mut kept, mut between) = (node.client().await, node.client().await, node.client().await);
    kept.sends("bob@posthouse.test", "Subject: 1\r\n\r\nx\r\n", "250").await;
    between.asks("MAIL FROM:<a@client.example>\r\n", "250").await;
    node.receiver.finish(Duration::from_secs(30));
    fresh.sends("bob@posthouse.test", "Subject: 2\r\n\r\nx\r\n", "250").await;
    fresh.asks("QUIT\r\n", "221").await;
    kept.asks("MAIL FROM:<a@client.example>\r\n", "421 4.3.2").await;
    kept.is_closed().await;
    between.asks("RCPT TO:<bob@posthouse.test>\r\n", "250").await;
    between.asks("DATA\r\n", "354").await;
    between.asks("Subject: 3\r\n\r\nx\r\n.\r\n", "250").await;
    between.hears("421 4.3.2").await;
    tokio::time::timeout(Duration::from_secs(10), node.receiver.stopped()).await.unwrap();
    assert_eq!(node.messages(), 3);
}

#[tokio::test(start_paused = true)]
async fn stop_does_not_wait_for_ever() {
    let node = Node::start(&relay("")).await;
    let mut busy = node.client().await;
    busy.asks("MAIL FROM:<a@client.example>\r\n", "250").await;
    busy.asks("RCPT TO:<bob@posthouse.test>\r\n", "250").await;
    busy.asks("DATA\r\n", "354").await;
    let begun = Instant::now();
    node.receiver.stop(Duration::from_secs(30));
    node.receiver.stopped().await;
    assert!((30..35).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    busy.hears("421 4.3.2").await;
    assert_eq!(node.messages(), 0);
}

#[tokio::test]
async fn submission_adds_what_is_missing_and_nothing_else() {
    let node = Node::start(&relay("protocol = \"submission\"\npermissions = [\"anonymous\"]")).await;
    let mut client = node.client().await;
    client.sends("bob@posthouse.test", "Subject: x\r\nBcc: c@x.example\r\n\r\nhi\r\n", "250").await;
    let stored = node.only_message();
    assert!(stored.ends_with("Subject: x\r\nBcc: c@x.example\r\n\r\nhi\r\n"), "{stored}");
    let id = stored.find("\r\nMessage-ID: <").unwrap();
    let date = stored.find("\r\nDate: ").unwrap();
    assert!(stored.find("Received:").unwrap() < date && date < id && id < stored.find("Subject:").unwrap(), "{stored}");
    let node = Node::start(&relay("protocol = \"submission\"\npermissions = [\"anonymous\"]")).await;
    let mut client = node.client().await;
    let whole = "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <own@x.example>\r\n\r\nhi\r\n";
    client.sends("bob@posthouse.test", whole, "250").await;
    assert_eq!(node.only_message().matches("Date:").count(), 1);
    assert_eq!(node.only_message().matches("Message-ID:").count(), 1);
}

#[tokio::test]
async fn users_log_on_and_send_as_themselves() {
    let node = Node::start(&submission("")).await;
    let mut client = node.client().await;
    client.asks("MAIL FROM:<bob@posthouse.test>\r\n", "530 5.7.0").await;
    client.asks("AUTH PLAIN AGJvYkBwb3N0aG91c2UudGVzdAB3cm9uZw==\r\n", "535 5.7.8").await;
    client.asks("AUTH PLAIN AGJvYkBwb3N0aG91c2UudGVzdABwZW5jaWw=\r\n", "235 2.7.0").await;
    let not_theirs = client.asks("MAIL FROM:<carol@posthouse.test>\r\n", "55").await;
    assert!(not_theirs.contains(" 5.7."), "{not_theirs}");
    client.asks("MAIL FROM:<bob@posthouse.test>\r\n", "250").await;
    client.asks("RCPT TO:<x@elsewhere.example>\r\n", "250").await;
    client.asks("DATA\r\n", "354").await;
    client.asks("\r\nhi\r\n.\r\n", "250 2.0.0").await;
    assert!(node.only_message().contains("with ESMTPA"));
    assert!(node.records.lines().last().unwrap().contains("user=bob@posthouse.test"));
}

#[tokio::test]
async fn login_with_and_without_an_initial_response() {
    let node = Node::start(&submission("")).await;
    let (user, password) = ("Ym9iQHBvc3Rob3VzZS50ZXN0\r\n", "cGVuY2ls\r\n");
    let mut client = node.client().await;
    client.asks("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6").await;
    client.asks(user, "334 UGFzc3dvcmQ6").await;
    client.asks(password, "235 2.7.0").await;
    let mut client = node.client().await;
    client.asks(&format!("AUTH LOGIN {user}"), "334 UGFzc3dvcmQ6").await;
    client.asks(password, "235 2.7.0").await;
}

#[tokio::test]
async fn the_third_wrong_password_ends_the_session() {
    let node = Node::start(&submission("")).await;
    let mut client = node.client().await;
    client.asks("AUTH PLAIN AGJvYkBwb3N0aG91c2UudGVzdAB3cm9uZw==\r\n", "535 5.7.8").await;
    client.asks("AUTH PLAIN AG5vYm9keUBzdWJtaXQudGVzdAB3cm9uZw==\r\n", "535 5.7.8").await;
    client.asks("AUTH PLAIN AGJvYkBwb3N0aG91c2UudGVzdAB3cm9uZw==\r\n", "421 4.7.0").await;
    client.is_closed().await;
    assert_eq!(node.records.lines().iter().filter(|line| line.contains("logon")).count(), 3);
}

#[tokio::test]
async fn lmtp_answers_once_per_recipient() {
    let document = relay("protocol = \"lmtp\"").replace("recipients = [\"bob\"]", "recipients = [\"bob\", \"alice\"]");
    let node = Node::start(&document).await;
    let mut client = node.connect().await;
    client.hears("220").await;
    client.asks("LHLO client.example\r\n", "250").await;
    client.asks("MAIL FROM:<a@client.example>\r\n", "250").await;
    client.asks("RCPT TO:<bob@posthouse.test>\r\n", "250").await;
    client.asks("RCPT TO:<nobody@posthouse.test>\r\n", "550 5.1.1").await;
    client.asks("RCPT TO:<alice@posthouse.test>\r\n", "250").await;
    client.asks("DATA\r\n", "354").await;
    client.asks(&format!("{LETTER}.\r\n"), "250 2.0.0").await;
    client.hears("250 2.0.0").await;
    client.asks("QUIT\r\n", "221").await;
}

#[test]
fn settings_reach_the_machine() {
    let org = org(&submission("message_size_max = 10000\nrecipients_max = 7\nbare_newline = \"reject\"")
        .replace("@LISTEN@", "127.0.0.1:25"));
    let connector = &org.receive_connectors[0];
    let settings = {
        let grants = connector.grants(&directory::Principal::Peer);
        let limits = super::settings::limits(connector, grants, directory::MessageLimits::default(), false);
        super::settings::of(connector, limits)
    };
    assert_eq!(settings.auth_mechanisms, ["SCRAM-SHA-256", "PLAIN", "LOGIN"]);
    assert_eq!((settings.limits.message_bytes_max, settings.limits.recipients_max), (10_000, 7));
    assert_eq!(settings.bare_newline, smtp::server::BareNewline::Reject);
}

#[tokio::test]
async fn a_connection_is_small_while_nothing_happens() {
    let node = Node::start(&relay("")).await;
    let stream = tokio::net::TcpStream::connect(node.address).await.unwrap();
    let address = node.address;
    let task = node.receiver.serve(stream, address, address);
    let bytes = size_of_val(&task);
    assert!(bytes <= 8 << 10, "a session's task takes {bytes} bytes");
}

/// A drained member's sessions that the balancer cannot read are ended by the member: at MAIL, and not before what was begun is over.
#[tokio::test]
async fn a_session_under_tls_goes_when_its_member_is_drained() {
    let document = |address: &str, drain: bool| {
        format!(
            "{}[[service]]\nname = \"smtp\"\nlisten = [\"127.0.0.9:25\"]\n\
             [[member]]\nname = \"m\"\nservice = \"smtp\"\naddress = \"{address}\"\ndrain = {drain}\n",
            relay("trusted_proxies = [\"127.0.0.1\"]").replace("@LISTEN@", address)
        )
    };
    let node = Node::start(&document("@LISTEN@", false)).await;
    let address = node.address.to_string();
    let mail = "MAIL FROM:<a@client.example>\r\n";
    let (mut clear, mut begun, mut idle) = (node.connect().await, node.connect().await, node.connect().await);
    for client in [&mut clear, &mut begun, &mut idle] {
        client.says("PROXY TCP4 192.0.2.77 192.0.2.1 40000 25\r\n").await;
        client.hears("220 ").await;
        client.asks("EHLO client.example\r\n", "250").await;
    }
    begun.asks("STARTTLS\r\n", "220").await;
    idle.asks("STARTTLS\r\n", "220").await;
    let (mut begun, mut idle) = (node.tls(begun).await, node.tls(idle).await);
    for client in [&mut begun, &mut idle] {
        client.asks("EHLO client.example\r\n", "250").await;
        client.asks(mail, "250").await;
    }
    idle.asks("RSET\r\n", "250").await;
    assert!(node.reload(&document(&address, true)).is_some());
    begun.asks("RCPT TO:<bob@posthouse.test>\r\n", "250").await;
    begun.asks("DATA\r\n", "354").await;
    begun.asks(&format!("{LETTER}.\r\n"), "250").await;
    for mut client in [begun, idle] {
        client.asks("NOOP\r\n", "250").await;
        client.asks(mail, "421 4.3.2 the server goes out of service").await;
        client.is_closed().await;
    }
    // What the balancer can read it ends itself; whoever comes directly came for this server.
    clear.asks(mail, "250").await;
}
