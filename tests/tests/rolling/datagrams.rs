//! Datagrams: what is asked while a node restarts is answered, by the one process or the other.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tests::process::Node;
use tests::sipp::DialPlan;
use tests::{eventually, free_port};

use super::{Applications, Heir, RESTARTS};

/// Longer than any restart takes on a busy machine. Nobody asks twice: a datagram that is lost is found.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks with one datagram, and hears one answer that is to it.
fn ask(to: SocketAddr, question: &[u8], is_answer: impl Fn(&[u8]) -> bool) -> Result<(), String> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let own = socket.local_addr().map_err(|error| error.to_string())?;
    let question = String::from_utf8_lossy(question).replace("OWN", &own.to_string());
    // A question that is no text goes as it is.
    socket.send_to(question.as_bytes(), to).map_err(|error| format!("asking: {error}"))?;
    let mut answer = [0; 2048];
    let count = socket.recv(&mut answer).map_err(|error| format!("no answer: {error}"))?;
    if is_answer(&answer[..count]) { Ok(()) } else { Err(String::from_utf8_lossy(&answer[..count]).into_owned()) }
}

/// A for www.example.org, recursion not desired. All of it is ASCII.
fn question(number: u16) -> Vec<u8> {
    let mut bytes = vec![(number >> 8) as u8 & 0x7f, number as u8 & 0x7f, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["www", "example", "org"] {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}

fn kdig(port: u16, more: &str) -> Result<(), String> {
    let mut kdig = Command::new("kdig");
    kdig.args(["@127.0.0.1", "-p", &port.to_string(), "+time=30", "+retry=0", "+short"]);
    let out = kdig.args(more.split(' ')).args(["www.example.org", "A"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    if said == "192.0.2.7\n" { Ok(()) } else { Err(format!("kdig {more}: {said}")) }
}

#[test]
fn no_question_is_unanswered_while_a_name_server_restarts() {
    let port = free_port();
    let mut node = Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]);
    let listen = format!("name = \"ns.example.org\"\n[dns_server]\nlisten = [\"127.0.0.1:{port}\"]\nrate_limit = 0\n");
    std::fs::write(node.dir.join("posthouse.toml"), listen).unwrap();
    let org = format!(
        "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{}\"]\n\
         [[zone]]\nname = \"example.org\"\nname_servers = [\"ns.example.org\"]\n\
         [[dns_name]]\nname = \"ns.example.org\"\naddresses = [\"127.0.0.1\"]\n\
         [[dns_name]]\nname = \"www.example.org\"\naddresses = [\"192.0.2.7\"]\n",
        node.smtp
    );
    std::fs::write(node.dir.join("org.toml"), org).unwrap();
    node.start();
    eventually("it answers", Duration::from_secs(60), || kdig(port, "+notcp").is_ok());
    let data = node.data();
    let heir = Heir(&data);
    let by_datagram = |port: u16, _: &AtomicBool, sent: &AtomicUsize| {
        let number = sent.fetch_add(1, Ordering::Relaxed) as u16;
        let question = question(number);
        let is_answer =
            |answer: &[u8]| answer[..2] == question[..2] && answer.windows(4).any(|four| four == [192, 0, 2, 7]);
        ask(([127, 0, 0, 1], port).into(), &question, is_answer)
    };
    let by_kdig = |more: &'static str| {
        move |port: u16, _: &AtomicBool, sent: &AtomicUsize| {
            sent.fetch_add(1, Ordering::Relaxed);
            kdig(port, more)
        }
    };
    let askers = Applications::new().add(port, by_datagram).add(port, by_kdig("+notcp")).add(port, by_kdig("+tcp"));
    let mut processes = vec![node.process().pid()];
    for _ in 0..RESTARTS {
        askers.wait_for(30);
        let (code, out, err) = node.verb(&["restart"]);
        assert_eq!(code, 0, "{out}{err}\n{}", node.log());
        processes.extend(heir.pid());
    }
    askers.wait_for(30);
    println!("DNS: {} questions in {RESTARTS} restarts, all answered", askers.end());
    processes.dedup();
    assert_eq!(processes.len(), RESTARTS + 1);
    node.process().wait(Duration::from_secs(60));
}

const OPTIONS: &str = "OPTIONS sip:ping@127.0.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP OWN;branch=z9hG4bKNUMBER\r\nMax-Forwards: 70\r\n\
     From: <sip:gateway@OWN>;tag=1\r\nTo: <sip:ping@127.0.0.9>\r\nCall-ID: NUMBER@test\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

#[test]
fn no_call_fails_while_a_voice_balancer_restarts() {
    let hosts: [(&str, &[&str]); 2] = [("uas.xml", &[]), ("uas.xml", &[])];
    let mut plan = DialPlan::start("sip_mode = \"forward\"\n", &hosts);
    let data = plan.node.data();
    let heir = Heir(&data);
    let service = plan.service;
    let by_options = move |_: u16, _: &AtomicBool, sent: &AtomicUsize| {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let question = OPTIONS.replace("NUMBER", &number.to_string());
        ask(service, question.as_bytes(), |answer| answer.starts_with(b"SIP/2.0 200 "))
    };
    let askers = Applications::new().add(service.port(), by_options);
    let mut gateway = plan.gateway("uac.xml", 400, 20, &["-d", "300"]);
    let mut restarts = 0;
    while gateway.process.is_running() {
        askers.wait_for(50);
        let (code, out, err) = plan.node.verb(&["restart"]);
        assert_eq!(code, 0, "{out}{err}\n{}", plan.node.log());
        restarts += 1;
    }
    gateway.all_went_well();
    println!("voice: {} pings and 400 calls in {restarts} restarts, all answered", askers.end());
    assert!(restarts > 2 && heir.pid().is_some(), "{restarts} restarts");
    assert_eq!(plan.offered().iter().sum::<usize>(), 400, "nobody is called twice");
}
