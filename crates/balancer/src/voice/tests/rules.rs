//! Each rule by itself: packets in, packets out, no network.

use super::*;
use crate::sip::{Answer, Message, Name, Start, top_via};
use proptest::prelude::*;

struct Desk {
    plan: Plan,
    voice: Voice<DialPlan>,
    now_ms: u64,
    notes: Vec<Note>,
}

type Sent = Vec<(SocketAddr, Vec<u8>)>;

impl Desk {
    fn new(settings: &str, hosts: usize) -> Desk {
        let plan = Plan::new(settings, hosts);
        let voice = plan.machine();
        Desk { plan, voice, now_ms: 0, notes: Vec::new() }
    }

    fn step(&mut self, input: Input) -> Sent {
        let mut packets = Vec::new();
        self.voice.hosts_mut().refresh(self.now_ms);
        self.voice.step(self.now_ms, input, &mut packets, &mut self.notes);
        packets.into_iter().map(|packet| (packet.hop.address, packet.bytes)).collect()
    }

    fn packet(&mut self, from: SocketAddr, bytes: &[u8]) -> Sent {
        let from = Hop { transport: Transport::Udp, listener: 0, flow: 0, address: from };
        self.step(Input::Packet { from, bytes })
    }

    fn gateway(&mut self, bytes: &[u8]) -> Sent {
        self.packet(GATEWAY.parse().unwrap(), bytes)
    }

    /// Lets time pass until `now_ms`, each timer at its moment.
    fn until(&mut self, now_ms: u64) -> Sent {
        let mut sent = Vec::new();
        while let Some(due_ms) = self.voice.due_ms().filter(|due_ms| *due_ms <= now_ms) {
            self.now_ms = due_ms.max(self.now_ms);
            sent.extend(self.step(Input::Time));
        }
        self.now_ms = now_ms;
        sent
    }

    /// The host to which an INVITE was sent last answers it.
    fn answers(&mut self, invite: &(SocketAddr, Vec<u8>), code: u16) -> Sent {
        let request = Message::parse(&invite.1).unwrap();
        let answer = Answer::new(&request, us(), code).header("Contact", "<sip:um@10.9.9.9>").finish();
        self.packet(invite.0, &answer)
    }
}

const GATEWAY: &str = "198.51.100.1:5060";

/// Method or code of each packet that went to `to`.
fn words(sent: &Sent, to: &str) -> Vec<String> {
    let word = |bytes: &[u8]| match Message::parse(bytes).unwrap().start {
        Start::Request { method, .. } => String::from_utf8_lossy(method).into_owned(),
        Start::Response { code, .. } => code.to_string(),
    };
    sent.iter().filter(|(address, _)| address.to_string() == to).map(|(_, bytes)| word(bytes)).collect()
}

fn invite(sent: &Sent) -> (SocketAddr, Vec<u8>) {
    sent.iter().rfind(|(_, bytes)| bytes.starts_with(b"INVITE")).cloned().expect("an INVITE goes on")
}

fn all(sent: &Sent) -> String {
    sent.iter().map(|(address, bytes)| format!("-> {address}\n{}", String::from_utf8_lossy(bytes))).collect()
}

#[test]
fn a_redirect_names_all_in_an_order_that_a_retransmission_repeats() {
    let mut desk = Desk::new("", 3);
    let mut firsts = std::collections::BTreeMap::new();
    for call in 0..3000 {
        let bytes = request("INVITE", &format!("c{call}"), "");
        let sent = desk.gateway(&bytes);
        assert_eq!(words(&sent, GATEWAY), ["302"]);
        assert_eq!(sent, desk.gateway(&bytes), "the same bytes again, with nothing remembered");
        let answer = Message::parse(&sent[0].1).unwrap();
        let contacts: Vec<String> =
            answer.list(Name::Contact).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        assert_eq!(contacts.len(), 3);
        assert!(
            contacts[0].starts_with("<sip:+1555@10.0.0.") && contacts[0].ends_with(":5060;user=phone>;q=1.0"),
            "{contacts:?}"
        );
        assert!(contacts[1].ends_with("q=0.9") && contacts[2].ends_with("q=0.8"));
        *firsts.entry(contacts[0].clone()).or_insert(0) += 1;
    }
    assert!(firsts.len() == 3 && firsts.values().all(|count| (900..1100).contains(count)), "{firsts:?}");
    assert_eq!(desk.voice.held(), (0, 0));
    assert_eq!(words(&desk.gateway(&request("ACK", "c1", "")), GATEWAY), [""; 0]);
    desk.plan.told[0].set(Health::Down);
    desk.plan.told[1].set(Health::Draining);
    let sent = desk.gateway(&request("INVITE", "down", ""));
    assert_eq!(Message::parse(&sent[0].1).unwrap().list(Name::Contact).count(), 1, "only who takes calls");
    desk.plan.told[2].set(Health::Down);
    let sent = desk.gateway(&request("INVITE", "nobody", ""));
    assert_eq!(words(&sent, GATEWAY), ["503"]);
    assert!(all(&sent).contains("\r\nRetry-After: 5\r\n"));
}

#[test]
fn a_redirect_server_answers_what_it_does_not_do() {
    let mut desk = Desk::new("", 2);
    let in_dialog = |method: &str| {
        String::from_utf8(request(method, "x", ""))
            .unwrap()
            .replace("voice.example>\r\nCall", "voice.example>;tag=1\r\nCall")
            .into_bytes()
    };
    for (bytes, code) in [
        (request("OPTIONS", "a", ""), "200"),
        (request("CANCEL", "a", ""), "481"),
        (request("REGISTER", "a", ""), "405"),
        (in_dialog("BYE"), "481"),
        (in_dialog("INVITE"), "481"),
        (request("INVITE", "a", "Max-Forwards: 1\r\n"), "dropped"),
        (
            String::from_utf8(request("INVITE", "a", ""))
                .unwrap()
                .replace("CSeq: 1 INVITE", "CSeq: 1 BYE")
                .into_bytes(),
            "400",
        ),
        (
            String::from_utf8(request("INVITE", "a", ""))
                .unwrap()
                .replace("sip:+1555@voice.example;user", "tel:+1;user")
                .into_bytes(),
            "416",
        ),
    ] {
        let sent = desk.gateway(&bytes);
        let heard = words(&sent, GATEWAY).pop().unwrap_or("dropped".into());
        assert_eq!(heard, code, "{}", String::from_utf8_lossy(&bytes));
    }
    desk.step(Input::Ready(false));
    assert_eq!(
        words(&desk.gateway(&request("OPTIONS", "b", "")), GATEWAY),
        ["503"],
        "a node that drains says so to gateways"
    );
    assert_eq!(words(&desk.gateway(&request("INVITE", "b", "")), GATEWAY), ["503"]);
}

#[test]
fn calls_go_round_and_an_answer_goes_back() {
    let mut desk = Desk::new("sip_mode = \"forward\"", 3);
    let mut counts = [0; 3];
    for call in 0..30 {
        let sent = desk.gateway(&request("INVITE", &format!("c{call}"), "X-Kept: 1,2\r\n"));
        assert_eq!(words(&sent, GATEWAY), ["100"]);
        let invite = invite(&sent);
        let number = (0..3).find(|n| host_address(*n) == invite.0).unwrap();
        counts[number] += 1;
        let text = String::from_utf8_lossy(&invite.1).into_owned();
        assert!(
            text.starts_with(&format!("INVITE sip:+1555@10.0.0.{}:5060;user=phone SIP/2.0\r\n", number + 1)),
            "{text}"
        );
        assert!(text.contains("\r\nMax-Forwards: 69\r\n") && text.contains("\r\nX-Kept: 1,2\r\n"));
        assert!(!text.contains("Record-Route"), "an established call runs without us");
        assert_eq!(words(&desk.answers(&invite, 180), GATEWAY), ["180"]);
        let sent = desk.answers(&invite, 200);
        assert_eq!(words(&sent, GATEWAY), ["200"]);
        let answer = Message::parse(&sent[0].1).unwrap();
        assert_eq!(top_via(&answer).unwrap().branch(), format!("z9hG4bKc{call}").as_bytes());
        assert_eq!(words(&desk.answers(&invite, 200), GATEWAY), ["200"], "a 2xx that is said again is passed on again");
        assert_eq!(desk.gateway(&request("INVITE", &format!("c{call}"), "")), [], "a late INVITE again is absorbed");
    }
    assert_eq!(counts, [10, 10, 10]);
    assert_eq!(desk.voice.held().0, 30);
    assert_eq!(desk.plan.pool.members().iter().map(|member| member.active()).sum::<u32>(), 0);
    assert_eq!(desk.until(40_000), []);
    assert_eq!(desk.voice.held(), (0, 0));
}

#[test]
fn a_refused_call_goes_on_and_the_best_refusal_is_heard() {
    // What three hosts say (0: nothing), and what the caller hears.
    for (codes, heard) in [
        ([486, 200, 0], "200"),
        ([503, 503, 200], "200"),
        ([480, 500, 200], "200"),
        ([0, 200, 0], "200"),
        ([0, 0, 200], "200"),
        ([486, 503, 408], "486"),
        ([503, 480, 500], "480"),
        ([503, 503, 503], "503"),
        ([500, 503, 503], "500"),
        ([0, 0, 0], "408"),
        ([0, 503, 486], "486"),
        ([603, 200, 200], "603"),
        ([404, 200, 200], "404"),
        ([302, 200, 200], "302"),
        ([401, 200, 200], "401"),
    ] {
        let mut desk = Desk::new("sip_mode = \"forward\"\ngreeting_timeout = \"2s\"", 3);
        let mut sent = desk.gateway(&request("INVITE", "c", ""));
        let mut final_heard = None;
        for code in codes {
            if final_heard.is_some() {
                break;
            }
            let invite = invite(&sent);
            sent = match code {
                0 => desk.until(desk.now_ms + 2_000),
                _ => desk.answers(&invite, code),
            };
            if code >= 300 {
                assert_eq!(words(&sent, &invite.0.to_string()), ["ACK"], "{codes:?}");
                let again = desk.answers(&invite, code);
                assert_eq!(
                    words(&again, &invite.0.to_string()),
                    ["ACK"],
                    "a refusal that is said again is acknowledged again"
                );
            }
            final_heard = words(&sent, GATEWAY).pop();
        }
        assert_eq!(final_heard.as_deref(), Some(heard), "{codes:?}\n{}", all(&sent));
        if heard == "200" {
            continue;
        }
        let again = desk.until(desk.now_ms + 500);
        assert_eq!(words(&again, GATEWAY), [heard], "said again until it is acknowledged: {codes:?}");
        desk.gateway(&request("ACK", "c", ""));
        assert_eq!(desk.until(desk.now_ms + 60_000), [], "{codes:?}");
        assert_eq!(desk.voice.held(), (0, 0));
    }
}

#[test]
fn who_rings_too_long_is_called_back_and_who_hangs_up_is_offered_to_nobody() {
    let settings = "sip_mode = \"forward\"\nanswer_timeout = \"20s\"";
    let mut desk = Desk::new(settings, 2);
    let first = invite(&desk.gateway(&request("INVITE", "c", "")));
    desk.answers(&first, 180);
    let sent = desk.until(20_000);
    assert_eq!(words(&sent, &first.0.to_string()), ["CANCEL"]);
    let second = invite(&sent);
    assert_ne!(first.0, second.0);
    assert_eq!(words(&desk.answers(&first, 487), &first.0.to_string()), ["ACK"]);
    desk.answers(&second, 180);
    // The caller hangs up.
    let sent = desk.gateway(&request("CANCEL", "c", ""));
    assert_eq!(
        (words(&sent, GATEWAY), words(&sent, &second.0.to_string())),
        (vec!["200".into()], vec!["CANCEL".into()])
    );
    let sent = desk.answers(&second, 487);
    assert_eq!((words(&sent, GATEWAY), words(&sent, &second.0.to_string())), (vec!["487".into()], vec!["ACK".into()]));

    // Before anybody has said a word there is nothing to cancel yet (RFC 3261 9.1): a busy host ends the call, a ringing one is called back.
    let mut desk = Desk::new(settings, 2);
    let first = invite(&desk.gateway(&request("INVITE", "d", "")));
    assert_eq!(words(&desk.gateway(&request("CANCEL", "d", "")), GATEWAY), ["200"]);
    assert_eq!(words(&desk.answers(&first, 180), &first.0.to_string()), ["CANCEL"]);
    assert_eq!(words(&desk.answers(&first, 486), GATEWAY), ["487"]);
    assert_eq!(words(&desk.gateway(&request("CANCEL", "unknown", "")), GATEWAY), ["481"]);
}

#[test]
fn a_host_that_wakes_up_late_is_called_back() {
    let mut desk = Desk::new("sip_mode = \"forward\"\ngreeting_timeout = \"2s\"", 2);
    let first = invite(&desk.gateway(&request("INVITE", "c", "")));
    let second = invite(&desk.until(2_000));
    assert_ne!(first.0, second.0);
    assert_eq!(words(&desk.answers(&first, 180), &first.0.to_string()), ["CANCEL"]);
    assert_eq!(words(&desk.answers(&first, 180), &first.0.to_string()), [""; 0], "once");
    let again = desk.until(3_000);
    assert_eq!(words(&again, &first.0.to_string()), ["CANCEL"], "and again until the host has answered it");
    assert_eq!(words(&desk.answers(&second, 200), GATEWAY), ["200"]);
    assert_eq!(words(&desk.answers(&first, 487), &first.0.to_string()), ["ACK"]);
}

#[test]
fn drained_and_dead_hosts_get_no_new_calls_and_calls_that_are_set_up_go_on() {
    let mut desk = Desk::new("sip_mode = \"forward\"", 2);
    let sent = desk.gateway(&request("INVITE", "c0", ""));
    let ringing = invite(&sent);
    desk.answers(&ringing, 180);
    let drained = (0..2).find(|n| host_address(*n) == ringing.0).unwrap();
    desk.plan.drain(drained);
    desk.now_ms += 1_000;
    for call in 1..9 {
        assert_ne!(invite(&desk.gateway(&request("INVITE", &format!("c{call}"), ""))).0, ringing.0);
    }
    assert_eq!(words(&desk.answers(&ringing, 200), GATEWAY), ["200"], "what was offered before may still be taken");
    desk.plan.told[1 - drained].set(Health::Down);
    assert_eq!(words(&desk.gateway(&request("OPTIONS", "o", "")), GATEWAY), ["503"]);
    assert_eq!(words(&desk.gateway(&request("INVITE", "c10", "")), GATEWAY), ["100", "503"]);
}

#[test]
fn established_calls_pass_without_a_record_and_go_to_hosts_only() {
    let mut desk = Desk::new("sip_mode = \"forward\"", 2);
    let bye = |uri: &str| {
        let text = String::from_utf8(request("BYE", "b", "Route: <sip:192.0.2.10;lr>\r\n")).unwrap();
        text.replace("sip:+1555@voice.example;user=phone SIP", &format!("{uri} SIP"))
            .replace("voice.example>\r\nCall", "voice.example>;tag=1\r\nCall")
            .into_bytes()
    };
    let sent = desk.gateway(&bye("sip:um@10.0.0.2:5065"));
    assert_eq!(words(&sent, "10.0.0.2:5065"), ["BYE"]);
    assert!(!all(&sent).contains("Route:"), "a Route that names us has done its work");
    assert_eq!(sent, desk.gateway(&bye("sip:um@10.0.0.2:5065")), "a retransmission is the same, branch and all");
    let to_host = Message::parse(&sent[0].1).unwrap();
    let answer = Answer::new(&to_host, us(), 200).finish();
    // This node may have been started anew meanwhile: nothing is remembered.
    let mut other = Desk::new("sip_mode = \"forward\"", 2);
    assert_eq!(words(&other.packet("10.0.0.2:5065".parse().unwrap(), &answer), GATEWAY), ["200"]);
    assert_eq!(other.packet("203.0.113.9:5060".parse().unwrap(), &answer), [], "only hosts answer");
    assert_eq!(words(&desk.gateway(&bye("sip:victim@203.0.113.9")), GATEWAY), ["481"], "no relay for others");
    assert_eq!(words(&desk.gateway(&bye("sip:voice@192.0.2.10")), GATEWAY), ["481"]);
}

#[test]
fn loops_end_and_full_tables_say_so() {
    let mut desk = Desk::new("sip_mode = \"forward\"", 2);
    let text = String::from_utf8(request("INVITE", "c", "")).unwrap();
    assert_eq!(words(&desk.gateway(text.replace("Forwards: 70", "Forwards: 0").as_bytes()), GATEWAY), ["483"]);
    assert_eq!(
        words(&desk.gateway(text.replace("Contact:", "Proxy-Require: foo\r\nContact:").as_bytes()), GATEWAY),
        ["420"]
    );
    assert_eq!(words(&desk.gateway(text.replace("INVITE sip:", "INVITE sips:").as_bytes()), GATEWAY), ["416"]);
    let via = invite(&desk.gateway(text.as_bytes()));
    let via = Message::parse(&via.1)
        .unwrap()
        .list(Name::Via)
        .next()
        .map(|v| String::from_utf8_lossy(v).into_owned())
        .unwrap();
    let looped = text.replace(
        "Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKc",
        &format!("Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKother, {via}"),
    );
    assert_eq!(words(&desk.gateway(looped.as_bytes()), GATEWAY), ["482"]);
}

#[test]
fn hosts_and_tables_that_are_full_say_so() {
    let padding = format!("X-Padding: {}\r\n", "x".repeat(30_000));
    // A host has 100 calls that are being set up (behaviours 8.2), unless the document says something else.
    for (of_members, offered, heard) in
        [("", 200, vec!["100", "503"]), ("connections_max = 0", HELD_BYTES_MAX / 60_000, vec!["503"])]
    {
        let plan = Plan::with("sip_mode = \"forward\"", of_members, 2);
        let mut desk = Desk { voice: plan.machine(), plan, now_ms: 0, notes: Vec::new() };
        let mut last = Vec::new();
        for call in 0..1_500 {
            last = words(&desk.gateway(&request("INVITE", &format!("full{call}"), &padding)), GATEWAY);
            assert!(desk.voice.held().1 < HELD_BYTES_MAX + 100_000);
        }
        assert_eq!(last, heard, "{of_members}");
        let active: u32 = desk.plan.pool.members().iter().map(|member| member.active()).sum();
        assert!(active.abs_diff(offered as u32) <= 20, "{of_members}: {active}");
    }
}

#[test]
fn a_long_call_goes_over_a_stream_and_falls_back() {
    let mut desk = Desk::new("sip_mode = \"forward\"", 2);
    let padding = format!("X-Padding: {}\r\n", "x".repeat(2_000));
    let mut packets = Vec::new();
    let bytes = request("INVITE", "c", &padding);
    let from = Hop { transport: Transport::Udp, listener: 0, flow: 0, address: GATEWAY.parse().unwrap() };
    desk.voice.step(0, Input::Packet { from, bytes: &bytes }, &mut packets, &mut desk.notes);
    let sent = packets.pop().unwrap();
    assert_eq!((sent.hop.transport, sent.hop.listener), (Transport::Tcp, 1));
    assert!(String::from_utf8_lossy(&sent.bytes).contains("Via: SIP/2.0/TCP 192.0.2.10:5060;branch=z9hG4bKph."));
    let mut packets = Vec::new();
    desk.voice.step(1, Input::Unreachable(sent.ticket.unwrap()), &mut packets, &mut desk.notes);
    let again = packets.pop().unwrap();
    assert_eq!(
        (again.hop.transport, again.hop.address),
        (Transport::Udp, sent.hop.address),
        "the same host by datagram"
    );
    let mut packets = Vec::new();
    desk.voice.step(2, Input::Unreachable(again.ticket.unwrap()), &mut packets, &mut desk.notes);
    assert_ne!(packets.pop().unwrap().hop.address, sent.hop.address, "then the next host");
}

/// What came over TLS goes on over TLS, whatever a Contact or a Via calls it, and `sips:` is nothing unusual there.
#[test]
fn what_is_secured_stays_secured() {
    let plan = Plan::of("sips", "sip_mode = \"forward\"", "", 2);
    let voice = plan.machine();
    let mut desk = Desk { plan, voice, now_ms: 0, notes: Vec::new() };
    let mut over_tls = |bytes: &[u8], address: SocketAddr| {
        let mut packets = Vec::new();
        let from = Hop { transport: Transport::Tls, listener: 0, flow: 7, address };
        desk.voice.step(0, Input::Packet { from, bytes }, &mut packets, &mut desk.notes);
        packets
    };
    let gateway: SocketAddr = "198.51.100.1:40000".parse().unwrap();
    let secured = |method: &str, call: &str, more: &str| {
        String::from_utf8(request(method, call, more)).unwrap().replace("UDP 198.51.100.1:5060", "TCP gw.example")
    };
    for (scheme, goes_as) in [
        ("sip", "INVITE sip:+1555@10.0.0.1:5060;user=phone;transport=tls SIP/2.0\r\n"),
        ("sips", "INVITE sips:+1555@10.0.0.2:5060;user=phone SIP/2.0\r\n"),
    ] {
        let text = secured("INVITE", scheme, "").replace("INVITE sip:", &format!("INVITE {scheme}:"));
        let sent = over_tls(text.as_bytes(), gateway);
        let offered = sent.iter().find(|packet| packet.bytes.starts_with(b"INVITE")).unwrap();
        assert!(offered.bytes.starts_with(goes_as.as_bytes()), "{}", String::from_utf8_lossy(&offered.bytes));
        assert_eq!(offered.hop.transport, Transport::Tls);
        let via = format!("Via: SIP/2.0/TLS {};branch=", us());
        assert!(String::from_utf8_lossy(&offered.bytes).contains(&via));
        let answer = Answer::new(&Message::parse(&offered.bytes).unwrap(), us(), 200).finish();
        let back = over_tls(&answer, offered.hop.address);
        assert_eq!((back[0].hop.transport, back[0].hop.flow), (Transport::Tls, 7), "on the stream that it came on");
    }
    let ack = secured("ACK", "x", "").replace("sip:+1555@voice.example;user=phone", "sip:um@10.0.0.2;transport=tcp");
    let sent = over_tls(ack.as_bytes(), gateway);
    assert_eq!((sent[0].hop.transport, sent[0].hop.address.to_string().as_str()), (Transport::Tls, "10.0.0.2:5061"));
    // An answer to what had no record finds the Via of a gateway that calls its stream TCP.
    let answer = Answer::new(&Message::parse(&sent[0].bytes).unwrap(), us(), 200).finish();
    let back = over_tls(&answer, sent[0].hop.address);
    assert_eq!((back[0].hop.transport, back[0].hop.flow), (Transport::Tls, 7));
}

proptest! {
    /// Whatever is said over TLS, by gateways and hosts: nothing of it leaves in clear.
    #[test]
    fn nothing_secured_leaves_in_clear(
        method in prop::sample::select(vec!["INVITE", "ACK", "BYE", "OPTIONS", "CANCEL"]),
        uri in prop::sample::select(vec![
            "sips:x@voice.example", "sip:um@10.0.0.1;transport=tcp", "sip:um@10.0.0.2:5060;transport=udp", "sips:um@10.0.0.2;transport=tls",
        ]),
        via in prop::sample::select(vec!["UDP", "TCP", "TLS"]),
        route in prop::sample::select(vec!["", "Route: <sip:192.0.2.10;transport=udp;lr>\r\n", "Route: <sip:10.0.0.1;transport=udp;lr>\r\n"]),
        (changes, redirects) in (prop::collection::vec((0_usize..600, any::<u8>()), 0..4), any::<bool>()),
    ) {
        let mode = if redirects { "redirect" } else { "forward" };
        let mut voice = Plan::of("sips", &format!("sip_mode = \"{mode}\""), "", 2).machine();
        let text = String::from_utf8(request(method, "x", route)).unwrap();
        let mut bytes = text.replace("sip:+1555@voice.example;user=phone", uri).replace("/UDP", &format!("/{via}")).into_bytes();
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        let (mut packets, mut notes) = (Vec::new(), Vec::new());
        for address in [GATEWAY.parse().unwrap(), host_address(0)] {
            let from = Hop { transport: Transport::Tls, listener: 0, flow: 3, address };
            voice.step(0, Input::Packet { from, bytes: &bytes }, &mut packets, &mut notes);
        }
        for packet in packets.clone() {
            let Ok(message) = Message::parse(&packet.bytes) else { continue };
            let answer = Answer::new(&message, us(), 200).finish();
            let from = Hop { transport: Transport::Tls, listener: 0, flow: 4, address: packet.hop.address };
            voice.step(1, Input::Packet { from, bytes: &answer }, &mut packets, &mut notes);
        }
        prop_assert!(packets.iter().all(|packet| packet.hop.transport == Transport::Tls), "{packets:?}");
    }
}
