//! What two ends do to each other, and what an end does with a peer that is none.

#![allow(clippy::unwrap_used)] // a test

mod common;

use bytes::Bytes;
use common::*;
use mux::{Cut, DATA_MAX, Event, FIRST_CREDIT, NoChannel, Pieces, Received, Side};

const BULK: u32 = 4 << 20;

/// A question and its answer each travel with the opening and the end of their channel, and nothing of it stays.
#[test]
fn a_question_is_one_flight_each_way() {
    let (mut a, mut b) = pair();
    let asked = a.open("ask", "where", 0).unwrap();
    send(&mut a, asked, b"question");
    a.finish(asked).unwrap();
    assert_eq!(a.read(asked), Ok(Received::Nothing));
    b.receive(0, &output(&mut a)).unwrap();
    let Some(Event::Opened { channel, kind, name }) = b.poll_event() else { panic!("opened") };
    assert_eq!((kind.as_str(), name.as_str()), ("ask", "where"));
    assert_eq!(read_all(&mut b, channel), (b"question".to_vec(), true));
    send(&mut b, channel, b"answer");
    b.finish(channel).unwrap();
    b.forget(channel);
    a.receive(0, &output(&mut b)).unwrap();
    assert_eq!(a.poll_event(), Some(Event::Readable(asked)));
    assert_eq!(read_all(&mut a, asked), (b"answer".to_vec(), true));
    a.forget(asked);
    exchange(&mut a, &mut b, 0);
    assert_eq!((a.channels(), b.channels()), (0, 0));
    assert_eq!((a.poll_event(), b.poll_event()), (None, None));
}

/// With megabytes waiting on two channels, what is short goes first, and the two take turns frame by frame.
#[test]
fn heartbeats_go_first_and_channels_take_turns() {
    let (mut a, mut b) = pair();
    let numbers = [(); 3].map(|()| a.open("copy", "x", BULK).unwrap());
    exchange(&mut a, &mut b, 0);
    while let Some(Event::Opened { channel, .. }) = b.poll_event() {
        b.accept(channel, BULK);
    }
    exchange(&mut a, &mut b, 0);
    for number in &numbers[..2] {
        send(&mut a, *number, &vec![7; 256 << 10]);
    }
    let mut pieces = Pieces::default();
    a.output(&mut pieces, 1);
    send(&mut a, numbers[2], b"small");
    a.tick(2 * HEARTBEAT_US).unwrap();
    let mut bytes = drain(&mut pieces);
    bytes.extend(output(&mut a));
    let order: Vec<(u32, u8)> = frames(&bytes).into_iter().map(|(channel, kind, _)| (channel, kind)).collect();
    let [big, other, small] = numbers;
    assert_eq!(order[..6], [(big, 0), (0, 4), (other, 0), (big, 0), (small, 0), (other, 0)]);
    assert!(frames(&bytes).iter().all(|(_, _, payload)| payload.len() <= DATA_MAX));
}

/// A reader that does not read stops its own channel and no other one.
#[test]
fn a_full_window_stops_one_channel_only() {
    let (mut a, mut b) = pair();
    let slow = a.open("copy", "slow", 0).unwrap();
    let quick = a.open("copy", "quick", 0).unwrap();
    let offered = vec![1; 300 << 10];
    let mut rest = Bytes::from(offered.clone());
    assert_eq!(a.send(slow, &mut rest), Ok(256 << 10), "the queue has a bound");
    exchange(&mut a, &mut b, 0);
    assert_eq!(b.unread_bytes(), FIRST_CREDIT as usize);
    assert!(!a.has_output(), "no credit, no frame");
    send(&mut a, quick, b"passes");
    exchange(&mut a, &mut b, 0);
    assert_eq!(read_all(&mut b, quick), (b"passes".to_vec(), false));

    b.accept(slow, 64 << 10);
    exchange(&mut a, &mut b, 0);
    assert_eq!(b.unread_bytes(), 64 << 10);
    let mut arrived = Vec::new();
    for _ in 0..100 {
        arrived.extend(read_all(&mut b, slow).0);
        exchange(&mut a, &mut b, 0);
        if a.poll_event() == Some(Event::Writable(slow)) {
            a.send(slow, &mut rest).unwrap();
        }
        assert!(b.unread_bytes() <= 64 << 10);
    }
    assert!(arrived == offered && rest.is_empty());
}

#[test]
fn silence_is_noticed_and_the_round_trip_measured() {
    let (mut a, mut b) = pair();
    a.tick(0).unwrap();
    b.receive(400, &output(&mut a)).unwrap();
    a.receive(800, &output(&mut b)).unwrap();
    assert_eq!(a.round_trip_us(), Some(800));
    assert_eq!(a.due_us(), HEARTBEAT_US);
    for beat in 1..=3 {
        a.tick(beat * HEARTBEAT_US).unwrap();
    }
    assert_eq!(frames(&output(&mut a)).len(), 1, "questions that did not go out are not repeated");
    assert!(a.due_us() <= 3 * HEARTBEAT_US + HEARTBEAT_US / 2 + 800);
    assert_eq!(a.tick(4 * HEARTBEAT_US), Err(Cut::Silent(3999)));
    // Any byte is a sign of life.
    let mut b = end(Side::Answerer);
    b.receive(3 * HEARTBEAT_US, &frame(0, 6, 0, b"")[..3]).unwrap();
    b.tick(4 * HEARTBEAT_US).unwrap();
}

#[test]
fn an_end_at_once_reaches_the_other_end_and_leaves_nothing() {
    let (mut a, mut b) = pair();
    let number = a.open("copy", "x", 0).unwrap();
    send(&mut a, number, b"abc");
    exchange(&mut a, &mut b, 0);
    b.reset(number, "nobody here serves copy");
    send(&mut a, number, b"under way");
    exchange(&mut a, &mut b, 0);
    assert_eq!(a.poll_event(), Some(Event::Over(number)));
    assert_eq!(a.read(number).unwrap_err().why, "nobody here serves copy");
    assert_eq!(a.send(number, &mut Bytes::from_static(b"x")).unwrap_err().why, "nobody here serves copy");
    a.forget(number);
    assert_eq!((a.channels(), b.channels()), (0, 0));
    // Dropped in the middle: the other end hears of it.
    let number = a.open("copy", "y", 0).unwrap();
    exchange(&mut a, &mut b, 0);
    a.forget(number);
    exchange(&mut a, &mut b, 0);
    assert!(b.read(number).is_err());
    a.close("going down");
    b.receive(0, &output(&mut a)).unwrap();
    let last = std::iter::from_fn(|| b.poll_event()).last();
    assert_eq!(last, Some(Event::Bye("going down".into())));
    assert!(!a.has_output());
}

#[test]
fn there_are_so_many_channels_and_no_more() {
    let (mut a, mut b) = pair();
    let numbers: Vec<u32> = (0..8).map(|_| a.open("k", "", 0).unwrap()).collect();
    assert_eq!(numbers, [1, 3, 5, 7, 9, 11, 13, 15]);
    assert_eq!(a.open("k", "", 0), Err(NoChannel::TooMany));
    assert_eq!(a.open("", "", 0), Err(NoChannel::BadName));
    assert_eq!(b.open("k", "", 0), Ok(2));
    // One who opens more all the same is refused them, and the link goes on.
    let many: Vec<Vec<u8>> = (0..20).map(|i| frame(2 * i + 1, 1, 0, &opening(9, "k", ""))).collect();
    let mut flooded = said_to(&many).unwrap();
    assert_eq!(flooded.channels(), 8);
    let refused = frames(&output(&mut flooded)).into_iter().filter(|(_, kind, _)| *kind == 3).count();
    assert_eq!(refused, 12);
}

fn cut(frames: &[Vec<u8>]) -> Cut {
    said_to(frames).map(|_| ()).unwrap_err()
}

#[test]
fn what_no_end_sends_cuts_the_link_and_says_why() {
    let open = || frame(1, 1, 0, &opening(0, "copy", "a"));
    let data = |bytes: usize| frame(1, 0, 0, &vec![0; bytes]);
    let credit = |more: u32| frame(1, 2, 0, &more.to_le_bytes());
    assert_eq!(cut(&[open(), data(16 << 10), data(1)]), Cut::OverCredit(1));
    assert_eq!(cut(&[open(), data(20_000)]), Cut::OverCredit(1));
    assert_eq!(cut(&[open(), frame(1, 0, 1, b"x"), data(1)]), Cut::AfterEnd(1));
    assert_eq!(cut(&[data(1)]), Cut::Number(1));
    assert_eq!(cut(&[frame(2, 0, 0, b"x")]), Cut::Number(2), "we have opened nothing");
    assert_eq!(cut(&[frame(2, 1, 0, &opening(0, "copy", ""))]), Cut::Number(2), "even numbers are ours");
    assert_eq!(cut(&[open(), open()]), Cut::Number(1));
    assert_eq!(cut(&[frame(0, 6, 0, b"")]), Cut::Hello);
    assert_eq!(cut(&[open(), credit(u32::MAX), credit(u32::MAX)]), Cut::Garbage("credit without measure"));
    let garbage = [
        frame(0, 9, 0, b""),
        frame(0, 0, 0, b"x"),
        frame(1, 6, 0, b""),
        frame(0, 4, 0, b"short"),
        frame(1, 0, 0, b""),
        frame(1, 0, 2, b"x"),
        frame(0, 4, 1, &[0; 8]),
        frame(0, 6, 0, &[0; 1025]),
        frame(1, 0, 0, &[0; 65_535]),
        frame(1, 1, 0, &opening(0, "", "name")),
        frame(1, 1, 0, b"\0\0\0\0\x09ab"),
        frame(1, 1, 0, &opening(0, "co\npy", "")),
    ];
    for bytes in garbage {
        assert!(matches!(cut(std::slice::from_ref(&bytes)), Cut::Garbage(_)), "{bytes:?}");
    }
    let mut silent = end(Side::Answerer);
    assert_eq!(silent.receive(0, &frame(0, 4, 0, &[0; 8])), Err(Cut::Hello));
    let mut http = end(Side::Answerer);
    assert!(http.receive(0, b"GET / HTTP/1.1\r\n").is_err());
}

/// One who makes us answer and reads nothing: answers are few, and then it is cut.
#[test]
fn a_flood_of_questions_is_bounded() {
    let pings = vec![frame(0, 4, 0, &[1; 8]); 10_000];
    let mut pinged = said_to(&pings).unwrap();
    assert!(output(&mut pinged).len() < 100);
    let many: Vec<Vec<u8>> = (0..5_000).map(|i| frame(2 * i + 1, 1, 0, &opening(9, "k", ""))).collect();
    assert_eq!(cut(&many), Cut::Flood);
}

/// A transfer of megabytes makes few pieces, and none of its bytes is copied on the way out.
#[test]
fn what_is_large_is_not_copied() {
    let (mut a, mut b) = pair();
    let number = a.open("copy", "x", BULK).unwrap();
    exchange(&mut a, &mut b, 0);
    b.accept(number, BULK);
    exchange(&mut a, &mut b, 0);
    let bulk = Bytes::from(vec![3; 200 << 10]);
    let range = bulk.as_ptr_range();
    a.send(number, &mut bulk.clone()).unwrap();
    let mut pieces = Pieces::default();
    a.output(&mut pieces, usize::MAX);
    let mut slices = [std::io::IoSlice::new(&[]); 16];
    let count = pieces.slices(&mut slices);
    assert_eq!(count, 8, "four frames: a head and a body each");
    let ours = slices[..count].iter().filter(|slice| range.contains(&slice.as_ptr()));
    assert_eq!(ours.map(|slice| slice.len()).sum::<usize>(), bulk.len());
    for _ in 0..1000 {
        send(&mut a, number, b"tiny");
    }
    let mut pieces = Pieces::default();
    a.output(&mut pieces, usize::MAX);
    assert_eq!(pieces.slices(&mut slices), 2, "small writes become one");
    drain(&mut pieces);
    // A message in parts goes whole or not at all, and one that is larger than the queue goes when nothing else waits.
    let parts = [std::io::IoSlice::new(b"head"), std::io::IoSlice::new(&bulk), std::io::IoSlice::new(&bulk)];
    assert_eq!(a.send_parts(number, &parts), Ok(true));
    assert_eq!(a.send_parts(number, &parts[..1]), Ok(false));
    exchange(&mut a, &mut b, 0);
    assert!(std::iter::from_fn(|| a.poll_event()).any(|event| event == Event::Writable(number)));
    let (read, _) = read_all(&mut b, number);
    assert!(read.ends_with(&[b"head", &bulk[..], &bulk[..]].concat()), "{}", read.len());
}
