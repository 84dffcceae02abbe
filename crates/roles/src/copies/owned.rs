//! Owns the copies of this node's journal on other nodes: one thread a holder, and the look at how they stand.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use journal::copies::{Copies, CopyState};
use tokio::sync::watch;
use tracing::{error, info, warn};
use world::World;

use super::drive::{drive, wake_of_this_thread};
use super::standing::{Change, Standing};
use super::{CHANNEL, Shop, WINDOW_BYTES, spool_of};
use crate::peers::Peers;

/// The copies of this node's journal.
#[derive(Clone)]
pub struct OwnCopies {
    shop: Shop,
    copies: Copies,
    journal: Arc<str>,
    deposed: Arc<watch::Sender<bool>>,
}

impl OwnCopies {
    /// Has `holders` keep copies of this node's journal.
    pub fn start(world: &World, copies: Copies, holders: &[String], peers: &Peers) -> io::Result<OwnCopies> {
        let own = OwnCopies {
            shop: Shop::new(world, peers),
            copies,
            journal: spool_of(peers.node()).into(),
            deposed: Arc::new(watch::Sender::new(false)),
        };
        for holder in holders {
            let (own, to) = (own.clone(), holder.clone());
            thread::Builder::new().name(format!("copy-on-{holder}")).spawn(move || own.keep_on(&to))?;
        }
        let watching = own.clone();
        thread::Builder::new().name("copies-watch".into()).spawn(move || watching.watch())?;
        Ok(own)
    }

    /// How each copy is.
    pub fn states(&self) -> Vec<CopyState> {
        self.copies.states()
    }

    /// Waits until another node has taken this node's journal over.
    pub async fn deposed(&self) {
        // The sender lives as long as we do.
        let _ = self.deposed.subscribe().wait_for(|deposed| *deposed).await;
    }

    /// Waits until all copies that count have everything, for at most `patience`. Blocks.
    pub fn settle(&self, patience: Duration) {
        let until_ms = self.shop.world.clock.mono_ms() + patience.as_millis() as u64;
        let lacks = |copy: &CopyState| copy.in_level_set && copy.lag_bytes > 0;
        while self.states().iter().any(lacks) && self.shop.world.clock.mono_ms() < until_ms {
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Ends the work on them.
    pub fn stop(&self) {
        self.shop.stop();
    }

    /// The body of one holder's thread: link after link.
    fn keep_on(&self, holder: &str) {
        let mut said = String::new();
        while !self.shop.is_stopping() {
            if let Ok(channel) = self.shop.peers.open(holder, CHANNEL, &self.journal, WINDOW_BYTES) {
                let link = self.copies.attach(&self.journal, holder, wake_of_this_thread());
                let why = drive(&self.shop, &link, &channel);
                let why = match self.states().into_iter().find(|copy| copy.holder == holder).and_then(|copy| copy.error)
                {
                    Some(error) => format!("{why}: {error}"),
                    None => why,
                };
                // One that refuses us does so each time.
                if said != why {
                    info!(holder, "no link for the copy on {holder} any more: {why}");
                    said = why;
                }
                if let Some(epoch) = self.copies.deposed_by() {
                    error!(
                        holder,
                        "{holder} has taken this node's journal over (epoch {epoch}): this node promises and delivers no mail any more"
                    );
                    self.deposed.send_replace(true);
                    return;
                }
            }
            thread::park_timeout(AGAIN_AFTER);
        }
    }

    /// The body of the thread that sees who counts.
    fn watch(&self) {
        let mut standing = Standing::default();
        while !self.shop.is_stopping() {
            let changes = standing.step(self.shop.world.clock.mono_ms(), &self.copies.states());
            if !changes.is_empty() {
                let counting = standing.counting();
                self.copies.set_level(&counting, counting.len());
            }
            for change in changes {
                match change {
                    Change::Counts(holder) => info!(holder, "the copy on {holder} is level: it counts from now on"),
                    Change::CountsNoMore(holder, why) => warn!(
                        holder,
                        "the copy on {holder} counts no more: {why}; connectors that want it refuse mail with 451, \
                         or take it without, until it is level again"
                    ),
                }
            }
            thread::park_timeout(WATCH_EVERY);
        }
    }
}

/// Wait before a link that ended, or could not be had, is made again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
const WATCH_EVERY: Duration = Duration::from_millis(100);
