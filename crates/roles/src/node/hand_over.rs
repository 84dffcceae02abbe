//! Owns the planned hand-over of a node: no new mail, what is in flight is finished, and then its journals are given to the nodes that
//! have copies. Knows no protocol.
//! Always holds: nothing is written to a journal from when it is offered; a node that has handed over does not go on by itself.

use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info};

use super::Node;
use crate::health::Phase;
use crate::view;

/// The wish, and what became of it.
pub struct HandOver {
    wanted: watch::Sender<Option<Wish>>,
    stage: watch::Sender<Stage>,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    No,
    Finishing,
    Levelling,
    Giving,
    Over(Result<String, String>),
}

/// To whom.
#[derive(Clone)]
pub struct Wish {
    /// `None`: whoever comes first.
    pub to: Option<String>,
}

impl Default for HandOver {
    fn default() -> HandOver {
        HandOver { wanted: watch::Sender::new(None), stage: watch::Sender::new(Stage::No) }
    }
}

impl HandOver {
    /// Waits until somebody wants it.
    pub async fn wanted(&self) -> Wish {
        let mut wanted = self.wanted.subscribe();
        loop {
            if let Some(wish) = wanted.borrow_and_update().clone() {
                return wish;
            }
            // The sender lives as long as we do.
            let _ = wanted.changed().await;
        }
    }
}

impl Node {
    /// Begins a hand-over; [`Node::handing_over`] tells how it goes. The error is for people; nothing was begun then.
    pub(crate) fn begin_hand_over(&self, to: Option<String>) -> Result<(), String> {
        let copies = self.copies.as_ref().filter(|_| self.cluster.is_some());
        let copies = copies.ok_or("this node is in no cluster: nobody can be told to take its journal")?;
        let is_it = |holder: &str| to.as_deref().is_none_or(|to| holder.split('@').next() == Some(to));
        if !copies.own.states().iter().any(|copy| copy.counts && is_it(&copy.holder)) {
            let whom = to.unwrap_or_else(|| "another node".into());
            return Err(format!("no copy of this node's journal that counts is on {whom}; nothing was begun"));
        }
        if self.health.phase() == Phase::Stopping {
            return Err(String::from("the node is stopping already"));
        }
        info!("handing over: no new mail, what is in flight is finished, then another node has the journals");
        self.hand_over.stage.send_replace(Stage::Finishing);
        self.hand_over.wanted.send_replace(Some(Wish { to }));
        Ok(())
    }

    /// How a hand-over goes, if one was begun.
    pub(crate) fn handing_over(&self) -> Option<view::HandOver> {
        let stage = self.hand_over.stage.borrow().clone();
        let said = match &stage {
            Stage::No => return None,
            Stage::Finishing => "no new mail is taken; what is in flight is finished",
            Stage::Levelling => "the copies get what was written last",
            Stage::Giving => "the journals are offered to those who have copies",
            Stage::Over(_) => "it is over",
        };
        let states = self.copies.as_ref().map(|copies| copies.own.states()).unwrap_or_default();
        let (done, failed) = match stage {
            Stage::Over(Ok(said)) => (Some(said), None),
            Stage::Over(Err(why)) => (None, Some(why)),
            _ => (None, None),
        };
        Some(view::HandOver {
            stage: said.into(),
            in_flight: self.spool.totals().in_hand,
            lag_bytes: states.iter().filter(|copy| copy.in_level_set).map(|copy| copy.lag_bytes).max().unwrap_or(0),
            done,
            failed,
        })
    }

    /// The last step: nothing is written any more, so the journals can go. Says whether all of them went.
    pub(super) async fn give_journals(&self, wish: &Wish) -> bool {
        let (Some(cluster), Some(copies)) = (&self.cluster, &self.copies) else { return false };
        let own = copies.own.clone();
        self.hand_over.stage.send_replace(Stage::Levelling);
        let level = tokio::task::spawn_blocking(move || own.settle(LEVEL_MAX)).await.unwrap_or(false);
        let given = match level {
            true => {
                self.hand_over.stage.send_replace(Stage::Giving);
                cluster.hand_over(wish.to.as_deref()).await
            }
            false => Err(format!("no copy has everything within {} s", LEVEL_MAX.as_secs())),
        };
        match &given {
            Ok(said) => info!("handed over: {}; this node may be switched off", said.join("; ")),
            Err(what) => error!("not handed over: {what}"),
        }
        let gone = given.is_ok();
        let name = &self.config.loaded().node.name;
        let told = given.map(|said| format!("{}; {name} may be switched off", said.join("; ")));
        self.hand_over.stage.send_replace(Stage::Over(told));
        // Whoever looks on is told before the process ends.
        tokio::time::sleep(FAREWELL).await;
        gone
    }
}

/// Copies of what was written last come in milliseconds, or not at all.
const LEVEL_MAX: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(1);
