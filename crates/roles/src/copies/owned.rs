//! Owns the copies of one journal of ours on other nodes: one task a holder. Knows neither how holders are chosen nor whose copies
//! count: whoever decides that says [`OwnCopies::follow`] and [`OwnCopies::set_level`].
//! Always holds: a holder that was let go is sent nothing more, and what it has acknowledged counts no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use journal::copies::{Copies, CopyState};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};
use world::World;

use super::carry::{Bell, carry};
use super::{CHANNEL, Shop, WINDOW_BYTES};
use crate::peers::Peers;

/// The copies of one journal.
#[derive(Clone)]
pub struct OwnCopies {
    shop: Shop,
    copies: Copies,
    journal: Arc<str>,
    deposed: Arc<watch::Sender<bool>>,
    kept: Arc<Mutex<Kept>>,
    runtime: Handle,
}

/// Who keeps a copy now, each with the number of its task.
#[derive(Default)]
struct Kept {
    tasks: u64,
    by_holder: BTreeMap<Arc<str>, u64>,
}

/// Where a copy is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderAt {
    /// Who holds it: the name by which its copy counts.
    pub holder: Arc<str>,
    /// The node to whom the link goes.
    pub node: String,
    /// Name of the channel.
    pub channel: String,
}

impl OwnCopies {
    /// Of `journal`; nobody keeps one yet. Call it inside a tokio runtime: the links are tasks there.
    pub fn new(world: &World, copies: Copies, journal: &str, peers: &Peers) -> OwnCopies {
        OwnCopies {
            shop: Shop::new(world, peers),
            copies,
            journal: journal.into(),
            deposed: Arc::new(watch::Sender::new(false)),
            kept: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// Has these, and nobody else, keep copies.
    pub fn follow(&self, holders: &[HolderAt]) {
        let mut kept = self.kept();
        let stays = |holder: &Arc<str>| holders.iter().any(|at| at.holder == *holder);
        let gone: Vec<Arc<str>> = kept.by_holder.keys().filter(|holder| !stays(holder)).cloned().collect();
        for holder in gone {
            kept.by_holder.remove(&holder);
            self.copies.detach(&holder);
        }
        for at in holders {
            if kept.by_holder.contains_key(&at.holder) {
                continue;
            }
            kept.tasks += 1;
            let (own, at, number) = (self.clone(), at.clone(), kept.tasks);
            kept.by_holder.insert(at.holder.clone(), number);
            self.runtime.spawn(async move { own.keep_on(&at, number).await });
        }
    }

    /// Names the copies that commits wait for, and how many of them count as protection.
    pub fn set_level(&self, holders: &[&str], counted: usize) {
        self.copies.set_level(holders, counted);
    }

    /// How each copy is.
    pub fn states(&self) -> Vec<CopyState> {
        self.copies.states()
    }

    /// The journal's name.
    pub fn journal(&self) -> &str {
        &self.journal
    }

    /// Where the log ends.
    pub fn tail(&self) -> u64 {
        self.copies.tail().0
    }

    /// Another node owns the journal under this epoch: nothing is promised any more.
    pub fn depose(&self, epoch: u32) {
        self.copies.depose(epoch);
        self.deposed.send_replace(true);
    }

    /// Waits until another node has taken this journal over.
    pub async fn deposed(&self) {
        // The sender lives as long as we do.
        let _ = self.deposed.subscribe().wait_for(|deposed| *deposed).await;
    }

    /// Waits until all copies that count have everything, for at most `patience`; says whether they have. Blocks.
    pub fn settle(&self, patience: Duration) -> bool {
        let until_ms = self.shop.world.clock.mono_ms() + patience.as_millis() as u64;
        let lacks = |copy: &CopyState| copy.in_level_set && copy.lag_bytes > 0;
        while self.states().iter().any(lacks) {
            if self.shop.world.clock.mono_ms() >= until_ms {
                return false;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        true
    }

    /// Ends the work on them.
    pub fn stop(&self) {
        self.shop.stop();
    }

    /// Whether the work on them goes on.
    pub fn is_stopping(&self) -> bool {
        self.shop.is_stopping()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.shop.world.clock.mono_ms()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One holder's task: link after link, until another task does it or nobody shall.
    async fn keep_on(&self, at: &HolderAt, number: u64) {
        let is_ours = || self.kept().by_holder.get(&at.holder) == Some(&number);
        let (mut said, node) = (String::new(), at.node.as_str());
        while !self.shop.is_stopping() && is_ours() {
            if let Ok(channel) = self.shop.peers.open(node, CHANNEL, &at.channel, WINDOW_BYTES) {
                let bell = Arc::new(Bell::default());
                let ringing = bell.clone();
                let link = self.copies.attach(&self.journal, &at.holder, Arc::new(move || ringing.ring()));
                let link = Arc::new(link);
                let why = carry(&self.shop, link.clone(), &bell, &channel).await;
                let state = self.states().into_iter().find(|copy| *copy.holder == *at.holder);
                let why = match state.and_then(|copy| copy.error) {
                    Some(error) => format!("{why}: {error}"),
                    None => why,
                };
                // One that refuses us does so each time.
                if said != why && is_ours() {
                    info!(holder = node, "no link for the copy on {node} any more: {why}");
                    said = why;
                }
                if let Some(epoch) = self.copies.deposed_by() {
                    error!(
                        holder = node,
                        "{} was taken over (epoch {epoch}): this node promises and delivers no mail of it any more",
                        self.journal
                    );
                    self.deposed.send_replace(true);
                    return;
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }
}

/// Wait before a link that ended, or could not be had, is made again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
