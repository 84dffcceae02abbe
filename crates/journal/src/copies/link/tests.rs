use std::path::Path;

use super::*;
use crate::batch::Batch;
use crate::copies::frame::tests::message;
use crate::copies::frame::{Frame, Message};
use crate::journal::{Journal, Mode};
use crate::settings::Settings;
use crate::when::When;
use proptest::prelude::*;
use world::World;

fn journal(world: &World) -> Journal {
    let settings = Settings {
        segment_bytes: 8192,
        keep_free_bytes: 0,
        copy_window_bytes: WINDOW,
        epoch: 3,
        ..Settings::default()
    };
    let journal = Journal::open_inline(world, Path::new("/j"), settings, Mode::Serve, &mut |_| ()).unwrap();
    for n in 0..6u8 {
        let mut commit = journal.append(Batch::new().record(1, &[n], vec![n; 3000]), When::Durable);
        while journal.pump() {}
        commit.try_take().unwrap().unwrap();
    }
    journal
}

/// The session in which the owner speaks now.
fn sent(link: &Link) -> Vec<Frame> {
    let mut decoder = Decoder::default();
    while link.pump() {}
    while let Some(frame) = link.output() {
        decoder.push(&frame.to_vec());
    }
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

proptest! {
    #[test]
    fn an_owner_survives_any_holder(said in proptest::collection::vec(message(), 1..40)) {
        let (world, sim) = World::simulated(3);
        let journal = journal(&world);
        let copies = journal.copies();
        let link = copies.attach("a/spool", "b", Arc::new(|| ()));
        let mut session = sent(&link)[0].session;
        for message in said {
            // Refused is the end: that is told elsewhere.
            if matches!(message, Message::Refuse { .. }) {
                continue;
            }
            if let Message::Welcome { session: new, more: false, .. } = &message {
                link.receive(&Frame { session, message: message.clone() }.encode()).unwrap();
                session = *new;
            }
            link.receive(&Frame { session, message }.encode()).unwrap();
            sim.clock.advance_ms(700);
            link.tick();
            let _commit = journal.append(Batch::new().record(1, b"more", vec![1; 900]), When::Durable);
            while journal.pump() {}
            if let Some(frame) = sent(&link).last() {
                session = frame.session;
            }
            let state = copies.states().remove(0);
            prop_assert!(state.queued_bytes <= WINDOW + 8192);
            prop_assert!(state.acked <= copies.tail());
        }
    }
}

#[test]
fn a_holder_that_never_answers_costs_a_window_and_is_called_again() {
    let (world, sim) = World::simulated(3);
    let journal = journal(&world);
    let link = journal.copies().attach("a/spool", "b", Arc::new(|| ()));
    let first = sent(&link).remove(0);
    assert!(matches!(first.message, Message::Hello(_)));
    sim.clock.advance_ms(5000);
    link.tick();
    assert_eq!(journal.copies().states()[0].stage, CopyStage::Resting);
    assert!(journal.copies().states()[0].error.as_ref().unwrap().contains("silent"));
    sim.clock.advance_ms(2000);
    link.tick();
    let again = sent(&link).remove(0);
    assert!(matches!(again.message, Message::Hello(_)) && again.session != first.session);
}

#[test]
fn a_deposed_owner_stops_for_good() {
    let (world, _) = World::simulated(3);
    let journal = journal(&world);
    journal.copies().set_level(&["b"], 1);
    let mut waits = journal.append(Batch::new().record(1, b"x", ()), When::Durable);
    while journal.pump() {}
    journal.copies().depose(3);
    assert!(waits.try_take().is_none(), "our own epoch is no reason");
    journal.copies().depose(4);
    assert_eq!(waits.try_take(), Some(Err(crate::error::AppendError::Stopped)));
    let mut late = journal.append(Batch::new().record(1, b"x", ()), When::Soon);
    while journal.pump() {}
    assert_eq!(late.try_take(), Some(Err(crate::error::AppendError::Stopped)));
    assert_eq!(journal.copies().deposed_by(), Some(4));
}

const WINDOW: u64 = 10_000;
