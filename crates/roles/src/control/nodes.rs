//! Owns the verbs on nodes: drain, resume, hand-over, removal; for this node, and over the peer links for every other one.
//! Always holds: who orders over a link has a certificate of the organization's authority; a hand-over is begun and then looked at, so
//! that nobody waits on a link for its end; whether it is done is what etcd says, not what anybody promises.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cluster::record::JournalName;
use cluster::view::View;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{Control, Refusal};
use crate::audit::Deed;
use crate::health::Phase;
use crate::view;

/// What one node asks of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// How it is.
    Report,
    /// What its services do.
    Services,
    /// Take no new mail.
    Drain,
    /// Take new mail again.
    Resume,
    /// Begin to hand the journals over.
    HandOver {
        /// To whom; nobody: whoever comes first.
        to: Option<String>,
    },
}

impl Order {
    fn verb(&self) -> &'static str {
        match self {
            Order::Report => "node report",
            Order::Services => "service list",
            Order::Drain => "node drain",
            Order::Resume => "node resume",
            Order::HandOver { .. } => "node hand-over",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Question {
    who: String,
    order: Order,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// How it is.
    Report(view::Report),
    /// What its services do.
    Services(Vec<view::Service>),
    /// What was done or begun.
    Done(String),
    /// Nothing, and why.
    Refused(Refusal),
}

/// What was begun from here.
#[derive(Default)]
pub(super) struct Begun {
    /// Hand-overs, by node.
    hand_overs: Mutex<BTreeMap<String, Start>>,
    /// One member is drained at a time.
    pub draining: tokio::sync::Mutex<()>,
}

/// What was there when it began.
#[derive(Clone)]
struct Start {
    journals: Vec<JournalName>,
    /// The number of the process that hands over.
    process: Option<u64>,
}

impl Control {
    /// Other nodes may ask and order from now on.
    pub(super) fn answer_peers(&self) {
        let Some(peers) = &self.node.peers else { return };
        let control = self.clone();
        peers.answer(KIND, move |peer, question| {
            let control = control.clone();
            async move {
                let answer = match serde_json::from_slice::<Question>(&question) {
                    Ok(Question { order: Order::Report, .. }) => Answer::Report(control.report()),
                    Ok(Question { order: Order::Services, .. }) => Answer::Services(control.own_services()),
                    Ok(Question { who, order }) => control.carry_out_for(peer, who, order).await,
                    Err(error) => Answer::Refused(Refusal::bad(
                        format!("{} does not understand this: {error}", control.name()),
                        "upgrade the older of the two nodes",
                    )),
                };
                // These types always serialize.
                serde_json::to_vec(&answer).unwrap_or_default().into()
            }
        });
    }

    /// What another node orders, with its lines in the audit log of this one.
    async fn carry_out_for(&self, peer: String, who: String, order: Order) -> Answer {
        let control = self.clone();
        let carried = spawn_blocking(move || {
            let deed = Deed {
                who: who.clone(),
                from: peer.clone(),
                verb: order.verb().into(),
                object: control.name(),
                asked: serde_json::to_value(&order).unwrap_or_default(),
                ..Deed::default()
            };
            let carry_out = || match control.carry_out(order, &format!("{who} on {peer}")) {
                Answer::Refused(refusal) => Err(refusal),
                Answer::Report(_) | Answer::Services(_) => Ok(control.name()),
                Answer::Done(done) => Ok(done),
            };
            control.audited(&deed, carry_out, |done| done.clone().into())
        });
        match carried.await {
            Ok(Ok(done)) => Answer::Done(done),
            Ok(Err(refusal)) => Answer::Refused(refusal),
            // A panic ends the process before this is seen; what is left is a runtime that shuts down.
            Err(_) => Answer::Refused(Refusal::busy("the node is stopping".into(), "ask again after its start")),
        }
    }

    fn carry_out(&self, order: Order, who: &str) -> Answer {
        let done = match order {
            Order::Report => return Answer::Report(self.report()),
            Order::Services => return Answer::Services(self.own_services()),
            Order::Drain => self.enter(Phase::Draining, who).map(|()| "takes no new mail; what is there is delivered"),
            Order::Resume => self.enter(Phase::Serving, who).map(|()| "takes new mail again"),
            Order::HandOver { to } => self.begin(to, who).map(|()| "hands its journals over"),
        };
        match done {
            Ok(done) => Answer::Done(format!("{} {done}", self.name())),
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    fn enter(&self, phase: Phase, who: &str) -> Result<(), Refusal> {
        match self.node.health.phase() {
            Phase::Serving | Phase::Draining => {
                if self.node.health.enter(phase) {
                    tracing::info!("{who} made the node {}", phase.word());
                }
                self.node.announce_health();
                Ok(())
            }
            other => Err(Refusal::busy(format!("the node is {}", other.word()), "ask again when it serves")),
        }
    }

    fn begin(&self, to: Option<String>, who: &str) -> Result<(), Refusal> {
        let begun = self.node.begin_hand_over(to);
        begun.map_err(|what| Refusal::busy(what, "posthouse journal list shows the copies; nothing is lost"))?;
        tracing::info!("{who} has this node hand its journals over");
        Ok(())
    }

    /// Asks one node, this one or another, for at most `patience`.
    pub(super) async fn ask(&self, node: &str, order: Order, who: &str, patience: Duration) -> Result<Answer, Refusal> {
        if node.eq_ignore_ascii_case(&self.name()) {
            return Ok(self.carry_out(order, who));
        }
        let unknown = || {
            Refusal::missing(
                format!("{} knows no node {node}", self.name()),
                "posthouse node list shows those that it knows",
            )
        };
        let peers = self.node.peers.as_ref().ok_or_else(unknown)?;
        if !peers.states().iter().any(|peer| peer.name == node) {
            return Err(unknown());
        }
        let question = Question { who: who.into(), order };
        let question =
            serde_json::to_vec(&question).map_err(|error| Refusal::failed(error.to_string(), "say it otherwise"))?;
        let answer = peers.ask(node, KIND, Bytes::from(question), patience).await.map_err(|why| {
            Refusal::busy(
                format!("{node} does not answer {}: {why}", self.name()),
                "if it runs, ask it itself: --url http://ITS-ADDRESS; posthouse status shows the links",
            )
        })?;
        serde_json::from_slice(&answer).map_err(|error| {
            Refusal::failed(
                format!("{node} says something that is not understood: {error}"),
                "upgrade the older of the two nodes",
            )
        })
    }

    async fn order(&self, node: &str, order: Order, who: &str) -> Result<String, Refusal> {
        match self.ask(&node.to_ascii_lowercase(), order, who, ORDER_PATIENCE).await? {
            Answer::Done(done) => Ok(done),
            Answer::Refused(refusal) => Err(refusal),
            Answer::Report(_) | Answer::Services(_) => {
                Err(Refusal::failed(format!("{node} answers another question"), "ask again"))
            }
        }
    }

    /// No new mail there from now on; what is there is delivered. Undone by [`Control::node_resume`] and by a restart.
    pub async fn node_drain(&self, node: &str, who: &str) -> Result<String, Refusal> {
        self.order(node, Order::Drain, who).await
    }

    /// New mail is taken there again.
    pub async fn node_resume(&self, node: &str, who: &str) -> Result<String, Refusal> {
        self.order(node, Order::Resume, who).await
    }

    /// Begins a planned hand-over of all journals of a node, to `to` or to whoever comes first; the node ends when it is done.
    /// [`Control::node_handing_over`] tells how it goes.
    pub async fn node_hand_over(&self, node: &str, to: Option<String>, who: &str) -> Result<String, Refusal> {
        let node = node.to_ascii_lowercase();
        let place = self.node.cluster.as_ref().ok_or_else(super::cluster::no_cluster)?;
        let start = Start::of(&place.view(), &node);
        let done = self.order(&node, Order::HandOver { to: to.map(|to| to.to_ascii_lowercase()) }, who).await?;
        let mut begun = self.begun.hand_overs.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.len() < BEGUN_MAX || begun.contains_key(&node) {
            begun.insert(node, start);
        }
        Ok(done)
    }

    /// How a hand-over that was begun from here goes.
    pub async fn node_handing_over(&self, node: &str) -> Result<view::HandOver, Refusal> {
        let node = node.to_ascii_lowercase();
        let start = self.begun.hand_overs.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned();
        let (Some(start), Some(place)) = (start, &self.node.cluster) else {
            let error = format!("no hand-over of {node} was begun from {}", self.name());
            return Err(Refusal::missing(error, "posthouse node drain NODE --hand-over begins one"));
        };
        let said = match self.ask(&node, Order::Report, "", LOOK_PATIENCE).await {
            Ok(Answer::Report(report)) => report.hand_over,
            _ => None,
        };
        Ok(start.judge(&place.view(), &node, said))
    }
}

impl Start {
    fn of(view: &View, node: &str) -> Start {
        let owns = |(name, journal): (&JournalName, &cluster::view::Journal)| {
            let (_, record) = journal.record.as_ref()?;
            (record.owner.node == node && !record.drained).then(|| name.clone())
        };
        Start {
            journals: view.journals.iter().filter_map(owns).collect(),
            process: view.nodes.get(node).map(|record| record.process),
        }
    }

    /// How it stands: as the node says, and when it says nothing any more, as etcd does.
    fn judge(&self, view: &View, node: &str, said: Option<view::HandOver>) -> view::HandOver {
        let mut shown = said.unwrap_or_else(|| view::HandOver {
            stage: format!("{node} does not answer any more"),
            ..Default::default()
        });
        if shown.done.is_some() || shown.failed.is_some() || view.silent.is_some() {
            return shown;
        }
        let owner = |name: &JournalName| {
            let (_, record) = view.journals.get(name)?.record.as_ref()?;
            (!record.drained).then(|| record.owner.node.clone())
        };
        if self.journals.iter().all(|name| owner(name).as_deref() != Some(node)) {
            let whose = |name: &JournalName| match owner(name) {
                Some(owner) => format!("{name} is {owner}'s now"),
                None => format!("all of {name} is delivered"),
            };
            let all: Vec<String> = self.journals.iter().map(whose).collect();
            shown.done = Some(format!("{}; {node} may be switched off", all.join("; ")));
        } else if view.nodes.get(node).is_some_and(|record| Some(record.process) != self.process) {
            shown.failed = Some(format!("{node} has started again and still owns its journals; its log says why"));
        }
        shown
    }
}

/// The kind of question.
const KIND: &str = "node";
const ORDER_PATIENCE: Duration = Duration::from_secs(5);
const LOOK_PATIENCE: Duration = Duration::from_secs(1);
/// Nodes whose hand-over is remembered.
const BEGUN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::record::{Member, NodeRecord, Record};

    fn view(owner: &str, process: u64) -> View {
        let mut view = View { at: 1, ..View::default() };
        let record = Record::new(1, Member { node: owner.into(), disk: 1 });
        view.journals.entry(JournalName::parse("n2/a").unwrap()).or_default().record = Some((1, record));
        view.nodes.insert("n2".into(), NodeRecord { process, ..NodeRecord::default() });
        view
    }

    #[test]
    fn etcd_says_whether_it_is_done() {
        let start = Start::of(&view("n2", 5), "n2");
        let under_way = view::HandOver { stage: "x".into(), in_flight: 3, ..Default::default() };
        assert_eq!(start.judge(&view("n2", 5), "n2", Some(under_way.clone())), under_way);
        let silent = start.judge(&view("n2", 5), "n2", None);
        assert!(silent.done.is_none() && silent.failed.is_none() && silent.stage.contains("does not answer"));
        let done = start.judge(&view("n3", 5), "n2", None).done.unwrap();
        assert_eq!(done, "n2/a is n3's now; n2 may be switched off");
        assert!(start.judge(&view("n2", 6), "n2", None).failed.unwrap().contains("started again"));
        assert!(start.judge(&View::default(), "n2", None).done.unwrap().contains("all of n2/a is delivered"));
    }
}
