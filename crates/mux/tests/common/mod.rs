//! Two ends and a wire between them that cuts where the test says.
#![allow(dead_code, missing_docs, clippy::unwrap_used)] // each test file uses its part

use bytes::Bytes;
use mux::{Cut, Event, HEAD_BYTES, Mux, Pieces, Received, Settings, Side};

pub const HEARTBEAT_US: u64 = 1_000_000;

pub fn settings(side: Side) -> Settings {
    Settings { side, heartbeat_us: HEARTBEAT_US, missed_max: 3, channels_max: 8, queue_max: 256 << 10 }
}

pub fn end(side: Side) -> Mux {
    let mut end = Mux::new(settings(side), 0);
    end.introduce(b"hello".to_vec());
    end
}

/// Both ends, introduced to each other.
pub fn pair() -> (Mux, Mux) {
    let (mut a, mut b) = (end(Side::Dialer), end(Side::Answerer));
    exchange(&mut a, &mut b, 0);
    assert_eq!(a.poll_event(), Some(Event::Hello(b"hello".to_vec())));
    assert_eq!(b.poll_event(), Some(Event::Hello(b"hello".to_vec())));
    (a, b)
}

/// All that an end has to say now.
pub fn output(from: &mut Mux) -> Vec<u8> {
    let mut pieces = Pieces::default();
    from.output(&mut pieces, usize::MAX);
    drain(&mut pieces)
}

pub fn drain(pieces: &mut Pieces) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !pieces.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 4];
        let count = pieces.slices(&mut slices);
        let written = slices[..count].iter().map(|slice| slice.len()).sum();
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        pieces.advance(written);
    }
    bytes
}

/// Lets both talk until neither has anything to say.
pub fn exchange(a: &mut Mux, b: &mut Mux, now_us: u64) {
    loop {
        let (there, back) = (output(a), output(b));
        if there.is_empty() && back.is_empty() {
            return;
        }
        b.receive(now_us, &there).unwrap();
        a.receive(now_us, &back).unwrap();
    }
}

/// Channel, kind and payload of each frame.
pub fn frames(mut bytes: &[u8]) -> Vec<(u32, u8, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at(HEAD_BYTES);
        let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
        let (payload, rest) = rest.split_at(length);
        found.push((u32::from_le_bytes([head[0], head[1], head[2], head[3]]), head[6], payload.to_vec()));
        bytes = rest;
    }
    found
}

/// A frame as somebody else might make it.
pub fn frame(channel: u32, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = channel.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(payload);
    bytes
}

pub fn opening(credit: u32, kind: &str, name: &str) -> Vec<u8> {
    let mut payload = credit.to_le_bytes().to_vec();
    payload.push(kind.len() as u8);
    payload.extend_from_slice(kind.as_bytes());
    payload.extend_from_slice(name.as_bytes());
    payload
}

/// What an end says to these frames behind a hello.
pub fn said_to(frames: &[Vec<u8>]) -> Result<Mux, Cut> {
    let mut answerer = end(Side::Answerer);
    answerer.receive(0, &frame(0, 6, 0, b"hello"))?;
    frames.iter().try_for_each(|bytes| answerer.receive(0, bytes))?;
    Ok(answerer)
}

pub fn read_all(of: &mut Mux, channel: u32) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match of.read(channel).unwrap() {
            Received::Bytes(more) => bytes.extend_from_slice(&more),
            Received::Nothing => return (bytes, false),
            Received::End => return (bytes, true),
        }
    }
}

pub fn send(from: &mut Mux, channel: u32, bytes: &[u8]) -> usize {
    from.send(channel, &mut Bytes::copy_from_slice(bytes)).unwrap()
}
