//! The SIP service against real SIPp processes: gateways that have no retry of their own, hosts that answer, refuse, ring, say nothing and die.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // tests touch the real world

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use tests::eventually;
use tests::sipp::DialPlan;
use tests::wire::Wire;

const ANSWERS: (&str, &[&str]) = ("uas.xml", &[]);
const FORWARD: &str = "sip_mode = \"forward\"\n";

#[test]
fn a_hundred_calls_a_second_are_spread_and_none_fails() {
    let mut plan = DialPlan::start(FORWARD, &[ANSWERS, ANSWERS, ANSWERS]);
    plan.gateway("uac.xml", 900, 100, &["-d", "300"]).all_went_well();
    assert_eq!(plan.offered(), [300, 300, 300], "in turn");
    assert_eq!(plan.counted("posthouse_voice_calls_total", "answered"), 900.0);
    assert_eq!(plan.counted("posthouse_voice_dropped_total", ""), 0.0);

    // The same with a tenth of all packets lost at the gateway: who must repeat repeats, and nobody is called twice.
    let mut gateway = plan.gateway("uac.xml", 150, 30, &["-d", "300", "-lost", "10"]);
    gateway.end();
    let answered: BTreeSet<String> = gateway.said("ANSWERED").into_iter().collect();
    assert_eq!(answered.len(), 150, "every call is put through");
    assert_eq!(plan.offered().iter().sum::<usize>(), 1050, "and to one host each");

    // Gateways ask whether we are there (behaviours 8.2).
    assert!(plan.ask(OPTIONS).starts_with("SIP/2.0 200 OK\r\n"));
    plan.hosts.iter_mut().for_each(|host| host.process.kill());
    ["m1", "m2", "m3"].iter().for_each(|member| plan.wait_for(member, "down"));
    let answer = plan.ask(OPTIONS);
    assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
}

#[test]
fn a_call_that_is_refused_rings_on_or_is_not_heard_goes_to_the_next_host() {
    let settings = format!(
        "{FORWARD}greeting_timeout = \"3s\"\nanswer_timeout = \"3s\"\nejection_failures = 0\nprobe_fall = 100\n"
    );
    // Three answer, so that further tries stay within `retry_budget`.
    let hosts: [(&str, &[&str]); 7] = [
        ("uas_busy.xml", &[]),
        ("uas_refuses.xml", &[]),
        ("uas_rings.xml", &[]),
        ("uas_silent.xml", &[]),
        ANSWERS,
        ANSWERS,
        ANSWERS,
    ];
    let mut plan = DialPlan::start(&format!("{settings}retries = 4"), &hosts);
    plan.gateway("uac.xml", 10, 2, &["-d", "200"]).all_went_well();
    let offered = plan.offered();
    assert_eq!(offered[4..].iter().sum::<usize>(), 10, "the caller hears nothing of the others: {offered:?}");
    assert!(offered[..4].iter().all(|calls| *calls > 0), "and each was asked: {offered:?}");
    let called_back: BTreeSet<String> = plan.hosts[2].said("CANCEL").into_iter().collect();
    assert_eq!(called_back.len(), offered[2], "who rings too long is called back");
    // The figures that members of all protocols have.
    for (at, calls) in offered.iter().enumerate() {
        let of = plan.node.member_figures("voice", &format!("m{}", at + 1));
        let (calls, fails, says) = (*calls as f64, at < 4, at != 3);
        assert_eq!(of["posthouse_service_retries_hidden_total"], if fails { calls } else { 0.0 }, "{of:?}");
        assert_eq!(of["posthouse_service_connections_total"], calls, "{of:?}");
        // Who is busy, or rings, is well.
        assert_eq!(of["posthouse_service_refused_total"], if matches!(at, 1 | 3) { calls } else { 0.0 }, "{of:?}");
        assert_eq!(of["posthouse_service_greeting_seconds_count"], if says { calls } else { 0.0 }, "{of:?}");
        assert_eq!(of["posthouse_service_greeting_seconds_sum"] > 0.0, says, "{of:?}");
        assert!(of["posthouse_service_bytes_total direction=\"up\""] > 0.0, "{of:?}");
        assert_eq!(of["posthouse_service_bytes_total direction=\"down\""] > 0.0, says, "{of:?}");
        assert_eq!(of["posthouse_member_up"], 1.0, "{of:?}");
    }
    for (member, outcome) in [("m1", "busy"), ("m2", "refused"), ("m3", "unanswered"), ("m4", "silent")] {
        let label = format!("member=\"{member}\",outcome=\"{outcome}\"");
        assert!(plan.counted("posthouse_voice_calls_total", &label) > 0.0, "{label}\n{}", plan.node.get("/metrics").1);
    }
}

#[test]
fn who_hangs_up_while_it_rings_is_called_back_once() {
    let mut plan = DialPlan::start(FORWARD, &[("uas_rings.xml", &[]), ("uas_rings.xml", &[])]);
    plan.gateway("uac_hangs_up.xml", 40, 20, &[]).all_went_well();
    assert_eq!(plan.offered(), [20, 20], "nobody else is asked");
    let called_back: BTreeSet<String> = plan.hosts.iter().flat_map(|host| host.said("CANCEL")).collect();
    assert_eq!(called_back.len(), 40);
}

#[test]
fn a_host_that_dies_takes_only_its_own_calls_with_it_and_a_balancer_takes_none() {
    let mut plan = DialPlan::start(&format!("{FORWARD}greeting_timeout = \"3s\""), &[ANSWERS, ANSWERS, ANSWERS]);
    let mut gateway = plan.gateway("uac.xml", 120, 20, &["-d", "3000"]);
    eventually("calls are established", Duration::from_secs(60), || gateway.said("ANSWERED").len() >= 40);
    plan.hosts[1].process.kill();
    gateway.end();
    let answered: BTreeSet<String> = gateway.said("ANSWERED").into_iter().collect();
    assert_eq!(answered.len(), 120, "every call is set up, before and after");
    let ended: BTreeSet<String> = plan.hosts.iter().flat_map(|host| host.said("BYE")).collect();
    for call in &answered {
        let (id, host) = call.split_once(' ').unwrap();
        assert!(host == "127.0.0.12" || ended.contains(id), "{call} was established on a host that lives");
    }
    plan.wait_for("m2", "down");

    // Calls that are established end in order when the balancer is gone.
    let mut gateway = plan.gateway("uac.xml", 40, 40, &["-d", "4000"]);
    eventually("calls are established", Duration::from_secs(60), || gateway.said("ANSWERED").len() == 40);
    plan.node.kill();
    gateway.all_went_well();
}

#[test]
fn a_drained_host_gets_no_new_calls_and_keeps_those_that_it_has() {
    let mut plan = DialPlan::start(FORWARD, &[ANSWERS, ANSWERS]);
    let mut gateway = plan.gateway("uac.xml", 20, 20, &["-d", "4000"]);
    eventually("calls are established", Duration::from_secs(60), || gateway.said("ANSWERED").len() == 20);
    verb(&plan, &["service", "drain", "m1", "--wait", "--timeout", "60"]);
    let before = plan.offered();
    plan.gateway("uac.xml", 40, 40, &["-d", "100"]).all_went_well();
    assert_eq!(plan.offered(), [before[0], before[1] + 40]);
    gateway.all_went_well();
    assert_eq!(plan.hosts[0].said("BYE").len(), before[0], "its calls ended by themselves");
    assert!(plan.ask(OPTIONS).starts_with("SIP/2.0 200 OK\r\n"), "one is left");
    verb(&plan, &["service", "resume", "m1"]);
    let before = plan.offered();
    plan.gateway("uac.xml", 20, 20, &["-d", "100"]).all_went_well();
    assert_eq!(plan.offered(), [before[0] + 10, before[1] + 10]);
}

/// Gateways with a second proxy go there: who asks hears 503, and so does a call; what is established does not notice.
#[test]
fn a_node_that_drains_takes_no_calls_and_says_so() {
    let mut plan = DialPlan::start(FORWARD, &[ANSWERS, ANSWERS]);
    let mut gateway = plan.gateway("uac.xml", 10, 10, &["-d", "4000"]);
    eventually("calls are established", Duration::from_secs(60), || gateway.said("ANSWERED").len() == 10);
    verb(&plan, &["node", "drain"]);
    let answer = plan.ask(OPTIONS);
    assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    let refused = plan.gateway("uac.xml", 5, 5, &["-d", "100"]).end();
    assert!(!refused.success());
    assert_eq!(plan.offered(), [5, 5], "nobody new was put through");
    gateway.all_went_well();
    verb(&plan, &["node", "resume"]);
    assert!(plan.ask(OPTIONS).starts_with("SIP/2.0 200 OK\r\n"));
    // All members drained is the same for those who ask.
    verb(&plan, &["service", "drain", "m1"]);
    verb(&plan, &["service", "drain", "m2", "--force"]);
    assert!(plan.ask(OPTIONS).starts_with("SIP/2.0 503 "));
}

#[test]
fn a_secured_dial_plan_is_tls_on_both_sides() {
    let mut plan = DialPlan::secured(FORWARD, 2);
    let through = plan.service.to_string();
    let through = ["-t", "t1", "-d", "200", "-key", "where", &through];
    plan.gateway("uac_secured.xml", 60, 30, &through).all_went_well();
    assert_eq!(plan.offered(), [30, 30], "in turn, ACK and BYE the same way");
    assert!(
        plan.node.counted("posthouse_probe_certificate_seconds", "sips 127.0.0.11") > 0.0,
        "what hosts show is watched"
    );
    // In clear nobody speaks there.
    let mut clear = TcpStream::connect(plan.service).unwrap();
    clear.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    clear.write_all(OPTIONS).unwrap();
    let mut heard = Vec::new();
    let _ = clear.read_to_end(&mut heard);
    assert!(!heard.starts_with(b"SIP"), "{heard:?}");
    eventually("it is counted", Duration::from_secs(30), || {
        plan.counted("posthouse_voice_dropped_total", "handshake") > 0.0
    });
    // The certificate is the node's, and a renewed one is for connections to come.
    let asked = |wire: &mut Wire| {
        wire.send(&String::from_utf8_lossy(OPTIONS).replace("OWN", "127.0.0.1").replace("/UDP", "/TLS").into_bytes())
            .unwrap();
        let heard = wire.line().unwrap().unwrap();
        while !wire.line().unwrap().unwrap().is_empty() {}
        heard
    };
    let connect = || {
        let mut wire = Wire::over(TcpStream::connect(plan.service).unwrap());
        wire.start_tls_to("voice.test");
        assert_eq!(asked(&mut wire), "SIP/2.0 200 OK");
        wire
    };
    let mut earlier = connect();
    std::fs::remove_file(plan.node.data().join("tls/certificate.pem")).unwrap();
    std::fs::remove_file(plan.node.data().join("tls/key.pem")).unwrap();
    let pair = rcgen::generate_simple_self_signed(["voice.test".to_string()]).unwrap();
    std::fs::write(plan.node.data().join("tls/key.pem"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(plan.node.data().join("tls/certificate.pem"), pair.cert.pem()).unwrap();
    verb(&plan, &["reload"]);
    eventually("the renewed one is shown", Duration::from_secs(30), || {
        connect().peer_certificate() == **pair.cert.der()
    });
    assert_eq!(asked(&mut earlier), "SIP/2.0 200 OK", "who was there stays");
    assert_ne!(earlier.peer_certificate(), **pair.cert.der());
}

/// A verb of the command line that must succeed.
fn verb(plan: &DialPlan, arguments: &[&str]) {
    let (code, out, error) = plan.node.verb(arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{error}");
}

#[test]
fn a_gateway_that_follows_redirects_meets_all_that_are_up() {
    let mut plan = DialPlan::start("", &[ANSWERS, ANSWERS, ANSWERS]);
    plan.gateway("uac_redirected.xml", 300, 100, &["-d", "100"]).all_went_well();
    let offered = plan.offered();
    assert!(offered.iter().sum::<usize>() == 300 && offered.iter().all(|calls| *calls > 60), "{offered:?}");
    plan.hosts[0].process.kill();
    plan.wait_for("m1", "down");
    plan.gateway("uac_redirected.xml", 60, 30, &["-d", "100"]).all_went_well();
    let now = plan.offered();
    assert_eq!((now[0], now[1] + now[2]), (offered[0], offered[1] + offered[2] + 60));
}

#[test]
fn streams_work_as_datagrams_do_and_an_outbound_proxy_too() {
    let mut plan = DialPlan::start(FORWARD, &[("uas_through.xml", &["-t", "t1"]), ("uas_through.xml", &["-t", "t1"])]);
    plan.gateway("uac_through.xml", 100, 50, &["-t", "t1", "-d", "200"]).all_went_well();
    assert_eq!(plan.offered(), [50, 50]);
    plan.hosts[0].process.kill();
    // The first of these meets a connection that is refused; its caller hears nothing of it.
    plan.gateway("uac_through.xml", 40, 20, &["-t", "t1", "-d", "200"]).all_went_well();
    assert_eq!(plan.offered()[1], 90);
}

#[test]
fn garbage_on_the_port_harms_nobody() {
    let mut plan = DialPlan::start(FORWARD, &[ANSWERS, ANSWERS]);
    let mut gateway = plan.gateway("uac.xml", 200, 50, &["-d", "100"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = 1_u64;
    let mut idle = Vec::new();
    for round in 0..2_000_u32 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bytes = OPTIONS.to_vec();
        for step in 0..4 {
            let at = (random >> (step * 12)) as usize % bytes.len();
            bytes[at] = (random >> 56) as u8 ^ step as u8;
        }
        bytes.truncate((random >> 20) as usize % 2_000);
        socket.send_to(&bytes, plan.service).unwrap();
        if round % 50 == 0 {
            let mut stream = TcpStream::connect(plan.service).unwrap();
            let _ = stream.write_all(&bytes);
            idle.push(stream);
        }
    }
    let mut lost = TcpStream::connect(plan.service).unwrap();
    lost.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    lost.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(lost.read(&mut [0; 64]).unwrap_or(0), 0, "what makes no sense on a stream ends it");
    gateway.all_went_well();
    assert!(plan.counted("posthouse_voice_dropped_total", "malformed") > 100.0);
    assert!(plan.ask(OPTIONS).starts_with("SIP/2.0 200 OK\r\n"));
    drop(idle);
}

const OPTIONS: &[u8] = b"OPTIONS sip:voice@service SIP/2.0\r\nVia: SIP/2.0/UDP OWN;branch=z9hG4bKprobe;rport\r\n\
    From: <sip:gw@OWN>;tag=1\r\nTo: <sip:voice@service>\r\nCall-ID: one\r\nCSeq: 7 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
