//! Deliveries against peers that behave, and peers that do not, on loopback.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a test of real sockets and files

mod border;
mod routes;
mod stage;

use stage::{Manners, Stage, eventually, peer, run, session, tls_peer};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

fn smart_host(name: &str, domain: &str, ports: &[u16], more: &str) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    format!(
        "[[send_connector]]\nname = \"{name}\"\ndomains = [\"{domain}\"]\nsmart_hosts = [{}]\n{more}\n",
        hosts.join(", ")
    )
}

#[test]
fn a_hundred_messages_arrive_as_they_were() {
    for extensions in [&[][..], &["PIPELINING"], &["PIPELINING", "CHUNKING"]] {
        run(async move {
            let manners = Manners { extensions, ..Manners::default() };
            let port = peer(&manners).await;
            let stage = Stage::new(&smart_host("out", "*", &[port], "")).await;
            for number in 0..100 {
                stage.send(&[&format!("n{number}@away.test")], &format!(".{number}\r\n..\r\n.\r\n")).await;
            }
            stage.sees("SEND", 100).await;
            let mut got = manners.got.lock().unwrap().clone();
            got.sort_unstable();
            let mut sent: Vec<String> = (0..100).map(|n| format!("n{n}@away.test: .{n}\r\n..\r\n.\r\n")).collect();
            sent.sort_unstable();
            assert_eq!(got, sent);
            assert!(*manners.connections.lock().unwrap() <= 20, "connections are used again");
            assert!(stage.seen.events.lock().unwrap()[0].contains(&format!("127.0.0.1:{port}")));
            stage.deliverer.stop(Duration::from_secs(5)).await;
            assert_eq!(stage.deliverer.connections(), 0);
        });
    }
}

#[test]
fn a_large_message_is_stuffed_and_whole() {
    run(async {
        let manners = Manners { extensions: &["PIPELINING"], ..Manners::default() };
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "*", &[port], "")).await;
        let body: String = (0..200_000).map(|n| format!(".line {n}\r\n")).collect();
        stage.send(&["b@away.test"], &body).await;
        stage.sees("SEND", 1).await;
        assert!(manners.got.lock().unwrap()[0] == format!("b@away.test: {body}"), "the body is not what was sent");
    });
}

#[test]
fn a_hop_that_hangs_does_not_slow_another() {
    run(async {
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let manners = Manners::default();
        let port = peer(&manners).await;
        let hanging =
            smart_host("deaf", "deaf.test", &[deaf.local_addr().unwrap().port()], "greeting_timeout = \"1s\"");
        let stage = Stage::new(&(hanging + &smart_host("out", "*", &[port], ""))).await;
        for number in 0..50 {
            stage.send(&[&format!("n{number}@deaf.test")], "x\r\n").await;
        }
        stage.send(&["b@away.test"], "x\r\n").await;
        stage.sees("SEND b@away.test", 1).await;
        assert!(stage.deliverer.connections() <= 4);
        eventually("the hanging hop is put off", || {
            stage
                .seen
                .events
                .lock()
                .unwrap()
                .iter()
                .any(|event| event.contains("timed out while waiting for the greeting"))
        })
        .await;
    });
}

#[test]
fn stopping_does_not_wait_for_a_connection_that_hangs() {
    run(async {
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stage = Stage::new(&smart_host("deaf", "*", &[deaf.local_addr().unwrap().port()], "")).await;
        stage.send(&["b@deaf.test"], "x\r\n").await;
        eventually("it connects", || stage.deliverer.connections() == 1).await;
        let stopped = tokio::time::timeout(Duration::from_secs(2), stage.deliverer.stop(Duration::from_secs(60))).await;
        assert!(stopped.is_ok(), "it waits for the greeting");
        assert_eq!(stage.spool.totals().messages, 1);
    });
}

#[test]
fn the_next_smart_host_is_tried_at_once() {
    run(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let manners = Manners::default();
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "*", &[closed, port], "")).await;
        for number in 0..10 {
            stage.send(&[&format!("n{number}@away.test")], "x\r\n").await;
        }
        stage.sees("SEND", 10).await;
        stage.sees("DEFER", 0).await;
    });
}

#[test]
fn later_concerns_one_recipient_only() {
    run(async {
        let manners = Manners { later: Some("later"), ..Manners::default() };
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "*", &[port], "")).await;
        stage.send(&["now@away.test", "later@away.test"], "x\r\n").await;
        stage.sees("SEND now@away.test", 1).await;
        eventually("it is tried again", || {
            let events = stage.seen.events.lock().unwrap();
            events.iter().filter(|event| event.starts_with("DEFER later@away.test 450 4.2.1")).count() > 2
        })
        .await;
        assert_eq!(*manners.got.lock().unwrap(), ["now@away.test: x\r\n"]);
    });
}

#[test]
fn lost_after_the_dot_comes_again() {
    run(async {
        let manners = Manners { dies_after_dot: Arc::new(Mutex::new(2)), ..Manners::default() };
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "*", &[port], "")).await;
        stage.send(&["b@away.test"], "x\r\n").await;
        stage.sees("SEND b@away.test", 1).await;
        stage.sees("DEFER b@away.test 451 4.4.2 connection lost while waiting for the answer", 2).await;
        assert_eq!(manners.got.lock().unwrap().len(), 3);
    });
}

#[test]
fn a_busy_hop_waits_on_its_ladder() {
    run(async {
        let manners = Manners { busy: Arc::new(Mutex::new(3)), ..Manners::default() };
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "*", &[port], "connections_max = 1")).await;
        stage.send(&["b@away.test"], "x\r\n").await;
        stage.sees("SEND b@away.test", 1).await;
        stage.sees("DEFER b@away.test 421 4.3.2 too busy", 3).await;
    });
}

#[test]
fn lmtp_over_a_unix_socket() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for extensions in [&["PIPELINING"][..], &["PIPELINING", "CHUNKING"]] {
            let path = dir.path().join(extensions.len().to_string());
            let listener = UnixListener::bind(&path).unwrap();
            let manners = Manners { extensions, ..Manners::default() };
            let serving = manners.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(session(stream, serving.clone()));
                }
            });
            let domain =
                format!("[[accepted_domain]]\nname = \"home.test\"\ndeliver = \"lmtp:unix:{}\"\n", path.display());
            let stage = Stage::new(&domain).await;
            stage.send(&["b@home.test", "c@home.test"], "x\r\n").await;
            stage.sees("DELIVER", 2).await;
            let got = manners.got.lock().unwrap().join("|");
            let id = got
                .strip_prefix("b@home.test,c@home.test: X-Posthouse-Id: ")
                .and_then(|got| got.strip_suffix("\r\nx\r\n"));
            assert!(id.is_some_and(|id| id.parse::<mail::MessageId>().is_ok()), "{got:?}");
        }
    });
}

#[test]
fn maildir_mail_gets_its_head() {
    run(async {
        let stage = Stage::new("[[accepted_domain]]\nname = \"home.test\"\ndeliver = \"maildir\"\n").await;
        stage.send(&["b@home.test", "c@home.test"], "Subject: x\r\n\r\ny\r\n").await;
        stage.sees("DELIVER", 2).await;
        let letters = stage.seen.letters.lock().unwrap();
        assert_eq!(letters[0], "home.test: Return-Path: <>\r\nDelivered-To: b@home.test\r\nSubject: x\r\n\r\ny\r\n");
        assert!(letters[1].contains("Delivered-To: c@home.test"));
    });
}

/// A server's configuration for 127.0.0.1, and its certificate in PEM.
fn certified() -> (rustls::ServerConfig, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (config, made.cert.pem())
}

#[test]
fn verify_wants_the_right_authority() {
    for (right, tls) in [(true, "verify"), (false, "verify"), (false, "require"), (false, "opportunistic")] {
        run(async move {
            let manners = Manners { extensions: &["PIPELINING"], ..Manners::default() };
            let ((config, own), (_, other)) = (certified(), certified());
            let port = tls_peer(&manners, config).await;
            let more = match tls {
                "verify" => "tls = \"verify\"\ntls_ca_file = \"@DIR@/ca.pem\"".to_string(),
                tls => format!("tls = \"{tls}\""),
            };
            let ca = if right { own } else { other };
            let stage = Stage::with(&smart_host("out", "*", &[port], &more), &[("ca.pem", &ca)]).await;
            stage.send(&["b@away.test"], "x\r\n").await;
            let expected = if tls != "verify" || right { "SEND b@away.test" } else { "DEFER b@away.test 451 4.7.5" };
            eventually(expected, || stage.seen.events.lock().unwrap().iter().any(|event| event.starts_with(expected)))
                .await;
            let events = stage.seen.events.lock().unwrap().clone();
            assert_eq!(
                events.iter().any(|event| event.contains("[TLSv1.3 ")),
                expected.starts_with("SEND"),
                "{events:?}"
            );
            assert_eq!(manners.got.lock().unwrap().is_empty(), expected.starts_with("DEFER"));
        });
    }
}

#[test]
fn without_starttls_require_sends_nothing() {
    run(async {
        let manners = Manners::default();
        let port = peer(&manners).await;
        let stage = Stage::new(&smart_host("out", "*", &[port], "tls = \"require\"")).await;
        stage.send(&["b@away.test"], "x\r\n").await;
        eventually("it waits", || {
            stage.seen.events.lock().unwrap().iter().any(|event| event.starts_with("DEFER b@away.test 451 4.7.5"))
        })
        .await;
        assert!(manners.got.lock().unwrap().is_empty());
    });
}
