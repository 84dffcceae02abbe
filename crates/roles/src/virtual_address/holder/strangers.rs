//! What the task of an address does about machines that are none of ours and answer for it.
//!
//! Always holds: before any of our nodes has had the address the neighbours are asked (RFC 5227 2.1, RFC 4862 5.4), and one who answers keeps
//! it: it may be the address of a router. Once it was ours it is ours: it is taken without asking first, which costs no time, and defended
//! (RFC 5227 2.4 c), for else any machine on the network could keep our clients from us. Both are told, with the card that answers.

use ::metrics::counter;
use balancer::address::{Fit, Heard};
use tracing::warn;

use super::Holder;

/// What is known of others that answer.
#[derive(Default)]
pub(super) struct Strangers {
    /// Since when the neighbours are asked, before the first time.
    since_ms: Option<u64>,
    /// When they were asked last.
    asked_ms: u64,
    /// Who answered first, and when; and when somebody did last.
    heard: Option<(Heard, u64, u64)>,
}

impl Holder {
    /// Whether the node is fit, as far as others are concerned: the first of all of ours must find the address free. `known`: etcd answers,
    /// and one of ours has it.
    pub(super) fn alone(&mut self, now_ms: u64, fit: Fit, known: (bool, bool)) -> Fit {
        if self.machine.holds() {
            return fit;
        }
        let (etcd, is_held) = known;
        if is_held || !self.machine.is_first() {
            self.on_link.part();
            return fit;
        }
        let Ok(link) = self.link.clone() else { return fit };
        if fit != Fit::Ready {
            self.strangers = Strangers::default();
            return fit;
        }
        if !etcd {
            self.strangers = Strangers::default();
            return Fit::NotReady("it is not known yet whether another node has it".into());
        }
        let since_ms = *self.strangers.since_ms.get_or_insert(now_ms);
        if now_ms >= self.strangers.asked_ms + ASK_FIRST_MS {
            self.strangers.asked_ms = now_ms;
            if let Err(what) = self.on_link.ask(&link) {
                return Fit::NotReady(what);
            }
        }
        self.hear_first(now_ms);
        match &self.strangers.heard {
            // One of ours that has just taken it says so before etcd has told us: it is heard of from there in a moment.
            Some((heard, first_ms, _)) if now_ms >= first_ms + SETTLE_MS => {
                let mac = card(heard);
                Fit::Unable(format!(
                    "{} is another machine's: the card {mac} answers for it, and no node of ours has had it yet. Give the virtual address \
                     another number, or take it from that machine",
                    heard.address
                ))
            }
            Some(_) => Fit::NotReady("somebody answers for it".into()),
            None if now_ms < since_ms + FIRST_MS => Fit::NotReady("the neighbours are asked whether one has it".into()),
            None => fit,
        }
    }

    fn hear_first(&mut self, now_ms: u64) {
        let heard = self.on_link.hear().into_iter().next();
        let known = &mut self.strangers.heard;
        match (heard, &mut *known) {
            (Some(_), Some((_, _, last_ms))) => *last_ms = now_ms,
            (Some(heard), None) => {
                let name = self.spec.name.to_string();
                counter!("posthouse_virtual_address_conflicts_total", "address" => name).increment(1);
                *known = Some((heard, now_ms, now_ms));
            }
            // It has gone.
            (None, Some((_, _, last_ms))) if now_ms >= *last_ms + GONE_MS => *known = None,
            (None, _) => {}
        }
    }

    /// While we have it: who else answers is asked now and then, for a machine that has it without a word is heard only so.
    pub(super) fn look_for_conflicts(&mut self) {
        let now_ms = self.now_ms();
        if now_ms >= self.strangers.asked_ms + ASK_HELD_MS
            && let Ok(link) = self.link.clone()
        {
            self.strangers.asked_ms = now_ms;
            // Announcing has told already that there is no way to the neighbours.
            let _ = self.on_link.ask(&link);
        }
        let Some(heard) = self.on_link.hear().into_iter().next() else { return };
        let name = &self.spec.name;
        counter!("posthouse_virtual_address_conflicts_total", "address" => name.to_string()).increment(1);
        let what = format!(
            "{} is answered for by the card {} as well: its clients reach now us and now that machine. Find it and take the address from it",
            heard.address,
            card(&heard)
        );
        let wall_ms = self.shared.parts.world.clock.wall_ms();
        let mut is_new = false;
        self.said.note(name, |one| {
            is_new =
                one.conflict.as_ref().is_none_or(|(at_ms, before)| *before != what || at_ms + CONFLICT_MS < wall_ms);
            if is_new {
                one.conflict = Some((wall_ms, what.clone()));
            }
        });
        // Once in ten seconds, or the two would shout at each other.
        if is_new {
            warn!(address = &**name, "{what}");
            self.announce();
        }
    }
}

fn card(heard: &Heard) -> String {
    heard.mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// How long the neighbours are asked before the first of ours takes it.
const FIRST_MS: u64 = 400;
/// Between two questions until then.
const ASK_FIRST_MS: u64 = 300;
/// Between two questions while we have it.
const ASK_HELD_MS: u64 = 5_000;
/// etcd tells sooner than this that it was one of ours who answered.
const SETTLE_MS: u64 = 1_000;
/// Who has not answered for so long has it no more.
const GONE_MS: u64 = 2_000;
/// The same conflict is told again after so long.
const CONFLICT_MS: u64 = 10_000;
