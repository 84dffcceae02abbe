//! Owns the question of a node that starts: was my journal taken over while I was away? And the answer of the node that took it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use world::World;

use super::note::TakeNote;
use crate::peers::Peers;

/// Answers other nodes about their own journals from now on, from the notes under `copies`.
pub fn answer(world: &World, copies: PathBuf, peers: &Peers) {
    let world = world.clone();
    peers.answer(KIND, move |node, _| {
        let (world, dir) = (world.clone(), copies.join(node));
        async move {
            let read = tokio::task::spawn_blocking(move || TakeNote::read(&world, &dir)).await;
            let note = read.ok().and_then(|read| read.ok()).flatten();
            // "Not taken" is an answer too.
            note.map_or_else(|| Bytes::from_static(b"null"), TakeNote::bytes)
        }
    });
}

/// Asks those who keep copies of this node's journal, for at most `patience`; the take-over with the highest epoch. One who cannot be
/// reached is not waited for any longer: a node alone must be able to start.
pub async fn ask(peers: &Peers, holders: &[String], patience: Duration) -> Option<TakeNote> {
    let until = Instant::now() + patience;
    let mut silent: Vec<&String> = holders.iter().collect();
    let mut latest: Option<TakeNote> = None;
    while !silent.is_empty() && Instant::now() < until {
        let mut still = Vec::new();
        for holder in silent {
            match peers.ask(holder, KIND, Bytes::new(), ANSWER).await {
                Ok(answer) => {
                    latest = latest.into_iter().chain(TakeNote::parse(&answer)).max_by_key(|note| note.epoch);
                }
                Err(_) => still.push(holder),
            }
        }
        silent = still;
        sleep(AGAIN).await;
    }
    latest
}

/// The kind of question.
const KIND: &str = "journal taken";
const ANSWER: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(50);
