//! Calls over a network that loses, repeats and reorders packets: what must hold whatever happens.

use super::sides::{Caller, Habit, Host, Out};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Network {
    random: u64,
    /// Of 1000 packets.
    lost: u64,
    repeated: u64,
    late_ms: u64,
    under_way: BTreeMap<(u64, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    sent: u64,
}

impl Network {
    fn below(&mut self, n: u64) -> u64 {
        self.random = crate::sip::scatter(self.random.wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.random % n.max(1)
    }

    fn send(&mut self, now_ms: u64, from: SocketAddr, out: Out) {
        for (to, bytes) in out {
            if self.below(1000) < self.lost {
                continue;
            }
            let copies = 1 + u64::from(self.below(1000) < self.repeated);
            for _ in 0..copies {
                self.sent += 1;
                let at_ms = now_ms + 1 + self.below(self.late_ms);
                self.under_way.insert((at_ms, self.sent), (from, to, bytes.clone()));
            }
        }
    }

    fn arrived(&mut self, now_ms: u64) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let first = *self.under_way.first_key_value()?.0;
        (first.0 <= now_ms).then(|| self.under_way.remove(&first))?
    }
}

struct World {
    network: Network,
    voice: Voice<DialPlan>,
    plan: Plan,
    hosts: Vec<Host>,
    callers: Vec<Caller>,
    notes: Vec<Note>,
}

impl World {
    fn new(seed: u64, lost: u64, repeated: u64, late_ms: u64, habits: &[Habit]) -> World {
        let plan = Plan::new("sip_mode = \"forward\"\nanswer_timeout = \"20s\"\nejection_failures = 0", habits.len());
        let network = Network { random: seed, lost, repeated, late_ms, under_way: BTreeMap::new(), sent: 0 };
        let host =
            |(n, habit): (usize, &Habit)| Host { address: host_address(n), habit: *habit, calls: BTreeMap::new() };
        let hosts = habits.iter().enumerate().map(host).collect();
        World { network, voice: plan.machine(), plan, hosts, callers: Vec::new(), notes: Vec::new() }
    }

    fn call(&mut self, now_ms: u64, hangs_up_ms: u64) {
        let number = self.callers.len();
        let address = SocketAddr::from(([198, 51, 100, 1], 6000 + number as u16));
        let text = String::from_utf8(request("INVITE", &format!("call{number}"), "")).unwrap();
        let invite = text.replace("198.51.100.1:5060", &address.to_string()).into_bytes();
        let mut out = Vec::new();
        self.callers.push(Caller::new(now_ms, address, invite, hangs_up_ms, &mut out));
        self.network.send(now_ms, address, out);
    }

    fn moment(&mut self, now_ms: u64) {
        while let Some((from, to, bytes)) = self.network.arrived(now_ms) {
            let mut out = Vec::new();
            if to == us() {
                let from = Hop { transport: Transport::Udp, listener: 0, flow: 0, address: from };
                self.machine(now_ms, Input::Packet { from, bytes: &bytes });
            } else if let Some(host) = self.hosts.iter_mut().find(|host| host.address == to) {
                host.take(now_ms, &bytes, &mut out);
            } else if let Some(caller) = self.callers.iter_mut().find(|caller| caller.address == to) {
                caller.take(&bytes, &mut out);
            } else {
                panic!("a packet to nobody: {to}");
            }
            self.network.send(now_ms, to, out);
        }
        self.machine(now_ms, Input::Time);
        for at in 0..self.hosts.len() {
            let mut out = Vec::new();
            self.hosts[at].tick(now_ms, &mut out);
            self.network.send(now_ms, self.hosts[at].address, out);
        }
        for at in 0..self.callers.len() {
            let mut out = Vec::new();
            self.callers[at].tick(now_ms, &mut out);
            self.network.send(now_ms, self.callers[at].address, out);
        }
    }

    fn machine(&mut self, now_ms: u64, input: Input) {
        let mut packets = Vec::new();
        self.voice.step(now_ms, input, &mut packets, &mut self.notes);
        let out = packets.into_iter().map(|packet| (packet.hop.address, packet.bytes)).collect();
        self.network.send(now_ms, us(), out);
    }

    fn run(&mut self, from_ms: u64, to_ms: u64) {
        (from_ms..to_ms).step_by(20).for_each(|now_ms| self.moment(now_ms));
    }

    /// What must hold when all is quiet again.
    fn check(&self, case: &str) {
        assert_eq!(self.voice.held(), (0, 0), "{case}: every record has its end");
        let active: u32 = self.plan.pool.members().iter().map(|member| member.active()).sum();
        assert_eq!(active, 0, "{case}: no place is held by a call that is over");
        let dropped: Vec<_> = self.notes.iter().filter(|note| matches!(note, Note::Dropped(_))).collect();
        assert!(dropped.is_empty(), "{case}: {dropped:?}");
        for (number, caller) in self.callers.iter().enumerate() {
            assert!(!caller.heard.is_empty(), "{case}: call {number} heard nothing final");
            let refusals = caller.heard.values().filter(|code| **code >= 300).count();
            assert!(refusals <= 1, "{case}: call {number} heard {:?}", caller.heard);
        }
        for host in &self.hosts {
            for (branch, taken) in &host.calls {
                let name = format!("{case}: {} {}", host.address, String::from_utf8_lossy(branch));
                assert!(taken.final_code.is_some(), "{name} rings for ever");
            }
        }
    }

    fn answered(&self) -> usize {
        self.callers.iter().filter(|caller| caller.heard.values().any(|code| *code == 200)).count()
    }
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![
        4 => (0..3000_u64).prop_map(|after| Habit::Says(200, after)),
        1 => (0..3000_u64).prop_map(|after| Habit::Says(486, after)),
        1 => (0..3000_u64).prop_map(|after| Habit::Says(503, after)),
        1 => (0..3000_u64).prop_map(|after| Habit::Says(603, after)),
        1 => Just(Habit::Rings),
        1 => Just(Habit::Silent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_call_has_one_end(seed in any::<u64>(), lost in 0..200_u64, repeated in 0..300_u64, late_ms in 1..400_u64,
                              habits in prop::collection::vec(habit(), 1..4), calls in 1..8_u64, hangs_up in any::<u8>()) {
        let mut world = World::new(seed, lost, repeated, late_ms, &habits);
        for call in 0..calls {
            let hangs_up_ms = if hangs_up >> call & 1 == 1 { 500 + call * 700 } else { u64::MAX };
            world.call(0, hangs_up_ms);
        }
        // Three hosts at most: 3 times 20 seconds of ringing, and twice 32 until the last record ends.
        world.run(0, 160_000);
        world.check(&format!("seed {seed}, lost {lost}, repeated {repeated}, late {late_ms}, {habits:?}, hang up {hangs_up}"));
        if lost == 0 {
            for caller in &world.callers {
                prop_assert_eq!(caller.heard.len(), 1, "without loss there is one answer");
            }
            for taken in world.hosts.iter().flat_map(|host| host.calls.values()) {
                prop_assert!(taken.is_acknowledged, "every final answer is acknowledged");
            }
        }
    }
}

#[test]
fn a_host_that_dies_costs_no_new_call_and_established_calls_do_not_notice() {
    let mut world = World::new(1, 50, 50, 50, &[Habit::Says(200, 100), Habit::Says(200, 100), Habit::Says(200, 100)]);
    for call in 0..30 {
        world.call(call * 100, u64::MAX);
        world.run(call * 100, call * 100 + 100);
    }
    world.run(3_000, 10_000);
    assert_eq!(world.answered(), 30);
    let (before, sent) = (world.hosts[0].calls.len(), world.network.sent);
    assert!((8..=12).contains(&before), "in turn");
    world.run(10_000, 50_000);
    assert_eq!(world.network.sent, sent, "an established call sends nothing through here");
    world.hosts[1].habit = Habit::Silent;
    for call in 0..30 {
        world.call(50_000 + call * 100, u64::MAX);
        world.run(50_000 + call * 100, 50_100 + call * 100);
    }
    world.run(53_000, 140_000);
    assert_eq!(world.answered(), 60, "each call lands elsewhere");
    world.hosts[1].calls.retain(|_, taken| taken.final_code.is_some());
    world.check("a host died");
}

/// A host that does not hear an ACK repeats its refusal for 32 seconds, and the record is there for it so long.
#[test]
fn a_lost_ack_is_sent_again() {
    let habits = [Habit::Says(486, 63), Habit::Says(486, 2195)];
    let mut world = World::new(14_025_934_347_261_708_197, 184, 106, 93, &habits);
    for call in 0..7 {
        let hangs_up_ms = if 125_u8 >> call & 1 == 1 { 500 + call * 700 } else { u64::MAX };
        world.call(0, hangs_up_ms);
    }
    world.run(0, 160_000);
    world.check("the network loses a fifth");
}
