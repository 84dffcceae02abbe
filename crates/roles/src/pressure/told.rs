//! Owns what operators are told: status, page, log and metrics say it in the same words. Changes nothing.

use super::effect::Effects;
use super::level::Level;
use super::machine::{Machine, Standing};
use super::{Looked, Pressure};
use crate::exposition::{Exposition, Kind};
use crate::view;

impl Pressure {
    /// All of it, for the API.
    pub fn shown(&self) -> view::Pressure {
        let machine = self.machine();
        view::Pressure {
            level: if self.settings().enabled { machine.level().word() } else { "off" }.into(),
            refused: machine.refused().words().iter().map(|who| (*who).to_string()).collect(),
            tarpit_ms: machine.tarpit_ms(),
            effects: effects(&machine),
            resources: machine.standings().iter().filter_map(shown).collect(),
        }
    }

    /// Writes the figures into the page for Prometheus.
    pub fn metrics(&self, page: &mut Exposition) {
        let machine = self.machine();
        let mut levels = page.family(
            "posthouse_pressure_level",
            Kind::Gauge,
            "Back pressure by resource: 0 normal, 1 medium, 2 high.",
        );
        for standing in machine.standings().iter().filter(|standing| standing.seen.is_some()) {
            levels.sample(&[("resource", standing.resource.word())], standing.level as u8);
        }
        page.one(
            "posthouse_pressure_refused",
            Kind::Gauge,
            "Who is refused at MAIL with 452: 0 nobody, 1 strangers, 2 users too, 3 our own servers too.",
            machine.refused() as u8,
        );
        page.one(
            "posthouse_pressure_tarpit_seconds",
            Kind::Gauge,
            "How long answers to MAIL are held back.",
            machine.tarpit_ms() / 1000,
        );
    }

    /// Writes each change of a level into the log: up as a warning or an error, down as news.
    pub fn tell(&self, looked: &Looked) {
        let machine = self.machine();
        for change in &looked.changes {
            let Some(standing) = machine.standings().iter().find(|standing| standing.resource == change.resource)
            else {
                continue;
            };
            let (resource, to) = (change.resource.word(), change.to.word());
            let why = why(standing).unwrap_or_default();
            let what = effects(&machine).join("; ");
            match change.to {
                to_high if to_high > change.from && to_high == Level::High => {
                    tracing::error!(resource, "back pressure: {resource} is {to}: {why}. {what}");
                }
                to_medium if to_medium > change.from => {
                    tracing::warn!(resource, "back pressure: {resource} is {to}: {why}. {what}");
                }
                _ => tracing::info!(resource, "back pressure: {resource} is {to} again: {why}"),
            }
        }
    }
}

/// What is done now, a sentence for each; nothing when all is normal.
fn effects(machine: &Machine) -> Vec<String> {
    let Effects { tarpit, dehydrate, flush, refuse_copies, pause_delivery, refuse } = machine.effects();
    let mut told = Vec::new();
    let who = machine.refused().words();
    if let Some((last, before)) = who.split_last() {
        let all = if before.is_empty() { (*last).into() } else { format!("{} and {last}", before.join(", ")) };
        told.push(format!("mail of {all} is refused at MAIL with 452 4.3.1"));
    }
    if machine.refused() < refuse {
        told.push(format!("in a moment {} too", refuse.words()[machine.refused() as usize..].join(" and ")));
    }
    if tarpit {
        told.push(format!(
            "answers to MAIL are held back for {} s, but for our own servers",
            machine.tarpit_ms() / 1000
        ));
    }
    let rest = [
        (dehydrate, "bodies of mail are not kept in memory"),
        (flush, "the answers of name servers were forgotten"),
        (refuse_copies, "journals of other nodes that have no copy here get none"),
        (pause_delivery, "no mail is taken out of the queues"),
    ];
    told.extend(rest.into_iter().filter(|(is, _)| *is).map(|(_, text)| text.into()));
    told
}

fn shown(standing: &Standing) -> Option<view::PressureOf> {
    let seen = standing.seen.as_ref()?;
    let written = |value| standing.resource.written(value);
    Some(view::PressureOf {
        resource: standing.resource.word().into(),
        level: standing.level.word().into(),
        value: written(seen.value),
        detail: seen.detail.clone(),
        thresholds: seen.at.numbers().map(written).to_vec(),
        why: if standing.level == Level::Normal { String::new() } else { why(standing)? },
        what_to_do: if standing.level == Level::Normal { String::new() } else { standing.resource.what_to_do().into() },
    })
}

/// The value against the threshold that counts next.
fn why(standing: &Standing) -> Option<String> {
    let (of, seen) = (standing.resource, standing.seen.as_ref()?);
    let detail = if seen.detail.is_empty() { String::new() } else { format!(" ({})", seen.detail) };
    let (past, end) = if of.is_scarce() { ("below", "from") } else { ("above", "at") };
    let is = format!("{}{detail}", of.written(seen.value));
    Some(match standing.level {
        Level::Normal => is,
        Level::Medium => {
            format!(
                "{is}, medium {past} {}, normal again {end} {}",
                of.written(seen.at.medium),
                of.written(seen.at.normal)
            )
        }
        Level::High => {
            let again = of.written(seen.at.medium_again);
            format!("{is}, high {past} {}, medium again {end} {again}", of.written(seen.at.high))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::effect::Refused;
    use super::super::level::turned;
    use super::super::machine::Seen;
    use super::super::resource::Resource;
    use super::*;
    use directory::Thresholds;

    #[test]
    fn what_an_operator_reads() {
        let mut standing = Standing::of(Resource::JournalSegments, Level::Medium);
        let at = Thresholds::of([8, 4, 3, 1].map(turned));
        standing.seen = Some(Seen { value: turned(2), at, detail: "12.0MB of 1.0GB free".into() });
        let expected = "2 segments (12.0MB of 1.0GB free), medium below 4 segments, normal again from 8 segments";
        assert_eq!(why(&standing).as_deref(), Some(expected));
        assert_eq!(Refused::Users.words(), ["strangers", "users and applications that relay"]);
    }
}
