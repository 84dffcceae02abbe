//! What an owner does for as long as a journal is its own, step by step: whom it asks to keep copies, which of them it tells etcd to
//! count, whom receipts wait for, and the hand-over. One [`Tenure`] a journal, between its seat and its copies.
//!
//! Knows no I/O, no journal's bytes, no links. Always holds: a copy is waited for before etcd may count it, and until etcd no longer
//! does; [`ownership::Input::Guarded`] is told only when each member that is new in the demand has everything.

mod choice;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use crate::ownership::{self, Event};
use crate::record::{Member, NodeRecord, Taken};

pub use choice::{Choice, Seen, Spread};
pub use standing::{Change, Look, PATIENCE_MS, Standing};

/// What is known of a copy that a member was asked to keep.
#[derive(Clone, Debug)]
pub struct CopySeen {
    /// Who keeps it.
    pub member: Member,
    /// It lacks nothing but what is under way.
    pub level: bool,
    /// Why it is late, if it is.
    pub late: Option<String>,
    /// Receipts wait for it, and it has everything that was receipted before they did.
    pub has_all: bool,
    /// Where it ends. A position.
    pub acked: u64,
}

/// What the rules of the organization ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How many copies, at most.
    pub copies: usize,
    /// Mail is also taken without any: the owner need not wait for the last copy when that is gone.
    pub may_go_alone: bool,
}

/// What a tenure gets to know.
pub enum Input<'a> {
    /// What the seat wants.
    Seat(ownership::Effect),
    /// How things are, some ten times a second, and at once after [`Effect::Wait`].
    Look {
        /// The copies.
        copies: &'a [CopySeen],
        /// Nodes that are there and may keep one.
        nodes: &'a BTreeMap<String, NodeRecord>,
        /// What the organization's rules say.
        rules: Rules,
        /// Nothing is left in the journal, and all outcomes are written.
        empty: bool,
    },
    /// Hand it over, to this node or to whoever comes first. Nothing is written any more; the log ends `at`.
    HandOver {
        /// To whom.
        to: Option<String>,
        /// Where the log ends. A position.
        at: u64,
    },
}

/// What a tenure wants done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Tell the seat.
    Tell(ownership::Input),
    /// Write under this epoch from now on, persisted before the first record.
    Raise(u32),
    /// Receipts wait for all of these from now on, and so many of them count as protection. Then look.
    Wait {
        /// Whom.
        require: Vec<Member>,
        /// How many count.
        counted: usize,
    },
    /// These, and nobody else, keep copies.
    Follow(Vec<Member>),
    /// Something that people should read about ownership.
    Say(Event),
    /// A copy counts, or counts no more.
    Standing(Change),
    /// What became of a hand-over.
    HandedOver(Result<Member, String>),
    /// It is over.
    Ended(Ended),
}

/// How a tenure ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Another node owns the journal.
    Lost {
        /// Its epoch.
        epoch: u32,
        /// What it has.
        taken: Taken,
        /// It was handed over by us.
        handed_over: bool,
    },
    /// It was empty, and etcd knows that.
    Finished,
}

/// A journal of ours.
pub struct Tenure {
    choice: Choice,
    standing: Standing,
    /// Who is asked to keep a copy.
    asked: Vec<Member>,
    /// Whose copies etcd counts, as it has confirmed them last: they have everything that was ever protected.
    confirmed: Option<BTreeSet<Member>>,
    /// A demand that is in force, but not yet filled by those who are new in it.
    guard: Option<(u64, Vec<Member>)>,
    told: Option<Vec<Member>>,
    /// Whether the seat knows that it may go on without any copy.
    told_alone: bool,
    started_ms: u64,
    /// No new mail comes in: it ends when it is empty.
    drains: bool,
    drained: bool,
    handing_over: bool,
}

impl Tenure {
    /// From now on. `drains`: no new mail comes in.
    pub fn new(now_ms: u64, choice: Choice, drains: bool) -> Tenure {
        Tenure {
            choice,
            standing: Standing::default(),
            asked: Vec::new(),
            confirmed: None,
            guard: None,
            told: None,
            told_alone: false,
            started_ms: now_ms,
            drains,
            drained: false,
            handing_over: false,
        }
    }

    /// One step.
    pub fn step(&mut self, now_ms: u64, input: Input<'_>) -> Vec<Effect> {
        match input {
            Input::Seat(effect) => self.seat(effect).into_iter().collect(),
            Input::Look { copies, nodes, rules, empty } => self.look(now_ms, copies, nodes, rules, empty),
            Input::HandOver { to, at } => vec![self.hand_over(to, at)],
        }
    }

    fn seat(&mut self, effect: ownership::Effect) -> Option<Effect> {
        use ownership::Effect as Wish;
        match effect {
            Wish::Own { epoch, .. } => Some(Effect::Raise(epoch)),
            Wish::Guard { generation, require, counted } => {
                // At the beginning these are etcd's own: they have everything that was ever protected.
                self.confirmed.get_or_insert_with(|| require.iter().cloned().collect());
                self.guard = Some((generation, require.clone()));
                Some(Effect::Wait { require, counted: counted as usize })
            }
            Wish::Lost { epoch, taken, handed_over, .. } => {
                Some(Effect::Ended(Ended::Lost { epoch, taken, handed_over }))
            }
            Wish::Delete => Some(Effect::Ended(Ended::Finished)),
            Wish::Kept => {
                let asked = std::mem::take(&mut self.handing_over);
                asked.then(|| Effect::HandedOver(Err(String::from("no level copy of it is where it could go"))))
            }
            Wish::Say(event) => {
                if let Event::LevelNow { level } = &event {
                    self.confirmed = Some(level.iter().cloned().collect());
                }
                Some(Effect::Say(event))
            }
            Wish::NameTaken => Some(Effect::Say(Event::NameTaken)),
            // Only who has a copy is told these, and a transaction never comes here.
            Wish::Freeze { .. } | Wish::Thaw | Wish::Try(_) => None,
        }
    }

    fn look(
        &mut self,
        now_ms: u64,
        copies: &[CopySeen],
        nodes: &BTreeMap<String, NodeRecord>,
        rules: Rules,
        empty: bool,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let wanted = rules.copies;
        if self.told_alone != rules.may_go_alone {
            self.told_alone = rules.may_go_alone;
            effects.push(Effect::Tell(ownership::Input::MayGoAlone(rules.may_go_alone)));
        }
        let looks =
            copies.iter().map(|copy| Look { holder: &copy.member, level: copy.level, late: copy.late.as_deref() });
        // Where others do what is wanted, nobody waits long for one that is late.
        let sound = |copy: &&CopySeen| copy.late.is_none() && self.standing.counts(&copy.member);
        let enough = copies.iter().filter(sound).count() >= wanted;
        let patience_ms = if enough { PATIENCE_AMONG_OTHERS_MS } else { PATIENCE_MS };
        effects.extend(self.standing.step(now_ms, patience_ms, looks).into_iter().map(Effect::Standing));
        let copy_of = |member: &Member| copies.iter().find(|copy| copy.member == *member);
        // One that is late still counts for a while, and mail waits for it; another one is sought meanwhile.
        let answers = |member: &Member| copy_of(member).is_some_and(|copy| copy.late.is_none());
        let seen = |member: &Member| Seen {
            counts: self.standing.counts(member) && answers(member),
            acked: copy_of(member).map_or(0, |copy| copy.acked),
        };
        let chosen = self.choice.step(now_ms, nodes, wanted, seen);
        if chosen != self.asked {
            self.asked = chosen.clone();
            effects.push(Effect::Follow(chosen));
        }
        let level: Vec<Member> = self.asked.iter().filter(|member| self.standing.counts(member)).cloned().collect();
        let is_new = self.told.as_ref() != Some(&level);
        // After a start the copies of before get the time to be linked: etcd counts them until then.
        if is_new && (self.told.is_some() || now_ms - self.started_ms >= LINK_MS || level.len() >= self.asked.len()) {
            self.told = Some(level.clone());
            effects.push(Effect::Tell(ownership::Input::Level(level)));
        }
        effects.extend(self.look_at_guard(copies));
        if self.drains && !self.drained && empty {
            self.drained = true;
            effects.push(Effect::Tell(ownership::Input::Drained));
        }
        effects
    }

    /// Those who are new in a demand must have everything that was receipted before it.
    fn look_at_guard(&mut self, copies: &[CopySeen]) -> Option<Effect> {
        let (generation, require) = self.guard.as_ref()?;
        let old = |member: &&Member| self.confirmed.as_ref().is_some_and(|confirmed| confirmed.contains(*member));
        let has_all = |member: &Member| copies.iter().any(|copy| copy.member == *member && copy.has_all);
        if !require.iter().filter(|member| !old(member)).all(has_all) {
            return None;
        }
        let told = Effect::Tell(ownership::Input::Guarded(*generation));
        self.guard = None;
        Some(told)
    }

    fn hand_over(&mut self, to: Option<String>, at: u64) -> Effect {
        let level = self.confirmed.iter().flatten();
        let mut takers = level.filter(|member| self.standing.counts(member));
        let taker = match &to {
            Some(node) => takers.find(|member| member.node == *node),
            None => takers.next(),
        };
        match taker {
            Some(taker) => {
                self.handing_over = true;
                Effect::Tell(ownership::Input::HandOver { to: taker.node.clone(), at })
            }
            None => {
                let whom = to.unwrap_or_else(|| "any other node".into());
                Effect::HandedOver(Err(format!("no copy that counts is on {whom}")))
            }
        }
    }
}

/// Patience with a copy that is late while others do what is wanted.
const PATIENCE_AMONG_OTHERS_MS: u64 = 1_000;
/// Links of copies are made within this time after a start, in milliseconds.
const LINK_MS: u64 = 6_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn follows(effects: &[Effect]) -> Option<Vec<&str>> {
        let mut follow = effects.iter().filter_map(|effect| match effect {
            Effect::Follow(members) => Some(members.iter().map(|member| member.node.as_str()).collect()),
            _ => None,
        });
        follow.next_back()
    }

    #[test]
    fn another_one_is_sought_while_the_first_is_late_and_still_counts() {
        let member = |node: &str| Member { node: node.into(), disk: 1 };
        let nodes: BTreeMap<String, NodeRecord> =
            ["b", "c"].map(|node| (node.to_string(), NodeRecord { disk: 1, ..NodeRecord::default() })).into();
        let copy = |node: &str, late: bool| CopySeen {
            member: member(node),
            level: !late,
            late: late.then(|| "there is no link to it".into()),
            has_all: !late,
            acked: 9,
        };
        let choice = Choice::new("", "", Spread::Any, 7, &[member("b")]);
        let mut tenure = Tenure::new(0, choice, false);
        let mut look = |now_ms, copies: &[CopySeen]| {
            let rules = Rules { copies: 1, may_go_alone: false };
            tenure.step(now_ms, Input::Look { copies, nodes: &nodes, rules, empty: false })
        };
        assert_eq!(follows(&look(0, &[copy("b", false)])), Some(vec!["b"]));
        look(1_000, &[copy("b", true)]);
        let effects = look(3_000, &[copy("b", true)]);
        assert_eq!(follows(&effects), Some(vec!["b", "c"]), "the first may come back: {effects:?}");
        let gone = |effect: &Effect| matches!(effect, Effect::Standing(Change::CountsNoMore(..)));
        assert!(!effects.iter().any(gone), "and mail still waits for it: {effects:?}");
        let effects = look(3_100, &[copy("b", true), copy("c", false)]);
        assert_eq!(follows(&effects), Some(vec!["c"]));
        let told = effects.iter().find_map(|effect| match effect {
            Effect::Tell(ownership::Input::Level(level)) => Some(level.clone()),
            _ => None,
        });
        assert_eq!(told, Some(vec![member("c")]), "they change places: {effects:?}");
    }
}
