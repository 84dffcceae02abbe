//! Random conversations over a wire that cuts anywhere: every channel carries what was put into it, whole and in order, and nobody
//! keeps more than was granted.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::collections::HashMap;

use bytes::Bytes;
use common::*;
use mux::{Event, FIRST_CREDIT, Mux, Received, Side};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Open { by: usize, window: u32 },
    Send { by: usize, which: usize, bytes: usize },
    Finish { by: usize, which: usize },
    Read { by: usize, which: usize },
    Carry { from: usize, bytes: usize },
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let by = 0..2usize;
    prop_oneof![
        1 => (by.clone(), 0..100_000u32).prop_map(|(by, window)| Step::Open { by, window }),
        6 => (by.clone(), 0..8usize, 0..50_000usize).prop_map(|(by, which, bytes)| Step::Send { by, which, bytes }),
        1 => (by.clone(), 0..8usize).prop_map(|(by, which)| Step::Finish { by, which }),
        6 => (by.clone(), 0..8usize).prop_map(|(by, which)| Step::Read { by, which }),
        12 => (by, prop_oneof![1..20usize, 1..100_000usize]).prop_map(|(from, bytes)| Step::Carry { from, bytes }),
        1 => Just(Step::Tick),
    ]
}

#[derive(Default)]
struct Flow {
    sent: Vec<u8>,
    read: Vec<u8>,
    finished: bool,
    ended: bool,
}

/// Both ends, the wire between them, and for each direction of each channel what went in and came out.
struct Story {
    ends: [Mux; 2],
    wire: [Vec<u8>; 2],
    channels: Vec<u32>,
    windows: HashMap<u32, u32>,
    flows: HashMap<(u32, usize), Flow>,
    now_us: u64,
    next: u8,
}

impl Story {
    fn new() -> Story {
        let (a, b) = pair();
        Story {
            ends: [a, b],
            wire: [Vec::new(), Vec::new()],
            channels: Vec::new(),
            windows: HashMap::new(),
            flows: HashMap::new(),
            now_us: 0,
            next: 0,
        }
    }

    fn does(&mut self, step: &Step) {
        match *step {
            Step::Open { by, window } => {
                if let Ok(number) = self.ends[by].open("copy", "x", window) {
                    self.channels.push(number);
                    self.windows.insert(number, window.max(FIRST_CREDIT));
                }
            }
            Step::Send { by, which, bytes } => self.on(which, |story, number| {
                let flow = story.flows.entry((number, by)).or_default();
                if flow.finished {
                    return;
                }
                let offered: Vec<u8> = (0..bytes).map(|i| story.next.wrapping_add(i as u8)).collect();
                if let Ok(taken) = story.ends[by].send(number, &mut Bytes::from(offered.clone())) {
                    story.next = story.next.wrapping_add(taken as u8 ^ 0x55);
                    flow.sent.extend_from_slice(&offered[..taken]);
                }
            }),
            Step::Finish { by, which } => self.on(which, |story, number| {
                let finished = story.ends[by].finish(number).is_ok();
                story.flows.entry((number, by)).or_default().finished |= finished;
            }),
            Step::Read { by, which } => self.on(which, |story, number| story.read(by, number)),
            Step::Carry { from, bytes } => {
                self.wire[from].extend(output(&mut self.ends[from]));
                let rest = self.wire[from].split_off(bytes.min(self.wire[from].len()));
                let part = std::mem::replace(&mut self.wire[from], rest);
                self.ends[1 - from].receive(self.now_us, &part).unwrap();
                self.events(1 - from);
            }
            Step::Tick => {
                self.now_us += HEARTBEAT_US / 100;
                self.ends.iter_mut().for_each(|end| end.tick(self.now_us).unwrap());
            }
        }
        for end in &self.ends {
            let granted: usize = self.windows.values().map(|window| *window as usize).sum();
            assert!(end.unread_bytes() <= granted);
        }
    }

    fn on(&mut self, which: usize, does: impl FnOnce(&mut Story, u32)) {
        if let Some(number) = self.channels.get(which % self.channels.len().max(1)).copied() {
            does(self, number);
        }
    }

    fn read(&mut self, by: usize, number: u32) {
        let flow = self.flows.entry((number, 1 - by)).or_default();
        match self.ends[by].read(number) {
            Ok(Received::Bytes(bytes)) => flow.read.extend_from_slice(&bytes),
            Ok(Received::End) => flow.ended = true,
            Ok(Received::Nothing) | Err(_) => {}
        }
    }

    fn events(&mut self, of: usize) {
        while let Some(event) = self.ends[of].poll_event() {
            match event {
                Event::Opened { channel, .. } => self.ends[of].accept(channel, self.windows[&channel]),
                Event::Readable(_) | Event::Writable(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Lets everything arrive and be read.
    fn finish(&mut self) {
        for _ in 0..1_000 {
            let before: usize = self.flows.values().map(|flow| flow.read.len()).sum();
            for from in 0..2 {
                self.does(&Step::Carry { from, bytes: usize::MAX });
            }
            for number in self.channels.clone() {
                (0..2).for_each(|by| self.read(by, number));
            }
            let arrived = self.flows.values().all(|flow| flow.read.len() == flow.sent.len());
            let after: usize = self.flows.values().map(|flow| flow.read.len()).sum();
            if arrived
                && before == after
                && self.wire.iter().all(Vec::is_empty)
                && self.ends.iter().all(|e| !e.has_output())
            {
                return;
            }
        }
        panic!("the ends wait for each other");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_channel_carries_what_was_put_into_it(steps in prop::collection::vec(step(), 1..120)) {
        let mut story = Story::new();
        steps.iter().for_each(|step| story.does(step));
        story.finish();
        for ((number, by), flow) in &story.flows {
            prop_assert!(flow.sent == flow.read, "channel {} from {}: {} sent, {} read", number, by, flow.sent.len(), flow.read.len());
            prop_assert_eq!(flow.finished, flow.ended);
        }
    }

    /// The same bytes mean the same, however they are cut; whatever they are, nothing panics and little is kept.
    #[test]
    fn cuts_do_not_matter(bytes in hostile(), cuts in prop::collection::vec(1..40usize, 1..60)) {
        let whole = took(&bytes, &[usize::MAX]);
        prop_assert_eq!(whole, took(&bytes, &cuts));
    }
}

/// Frames that are mostly well formed, and sometimes not.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(opening(500, "k", "n")),
        Just(vec![1; 8]),
        Just(vec![9; 4])
    ];
    let one =
        (0..6u32, 0..9u8, 0..3u8, payload, 0..20u8).prop_map(|(channel, kind, flags, payload, chance)| match chance {
            0 => payload,
            _ => frame(if kind > 3 { 0 } else { channel }, kind, if kind == 0 { flags } else { 0 }, &payload),
        });
    prop::collection::vec(one, 0..40).prop_map(|frames| [vec![frame(0, 6, 0, b"hi")], frames].concat().concat())
}

/// How it ended, what was answered, and which events there were.
fn took(bytes: &[u8], cuts: &[usize]) -> (Option<mux::Cut>, Vec<u8>, Vec<Event>) {
    let mut end = end(Side::Answerer);
    let (mut rest, mut ended) = (bytes, None);
    for cut in cuts.iter().cycle() {
        let (part, behind) = rest.split_at((*cut).min(rest.len()));
        rest = behind;
        if let Err(cut) = end.receive(0, part) {
            ended = Some(cut);
        }
        if ended.is_some() || rest.is_empty() {
            break;
        }
    }
    assert!(end.channels() <= 8 && end.unread_bytes() <= 8 * FIRST_CREDIT as usize);
    let events = std::iter::from_fn(|| end.poll_event()).collect();
    (ended, output(&mut end), events)
}
