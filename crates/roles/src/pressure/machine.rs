//! Owns the state of back pressure: a level for each resource, and from all of them what is refused, slowed and given up. Pure: values
//! come in at each look, what changed goes out.
//! Always holds: the level of the whole is that of its worst resource; what is done is all that any resource asks for; doors close and
//! open one at a time.

use directory::{BackPressure, Tarpit, Thresholds};

use super::effect::{Effects, Refused};
use super::level::Level;
use super::resource::Resource;

/// What a look found of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its value; of a scarce one turned round.
    pub value: u64,
    /// Its thresholds now, of a scarce one turned round. Those of a disk depend on its size.
    pub at: Thresholds,
    /// What the value is made of, for people.
    pub detail: String,
}

/// A resource as it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Which.
    pub resource: Resource,
    /// Its level.
    pub level: Level,
    /// What the last look found; `None`: it cannot be seen here.
    pub seen: Option<Seen>,
    /// Looks at which it was above normal, in a row.
    above: u32,
}

/// A level that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of which resource.
    pub resource: Resource,
    /// Before.
    pub from: Level,
    /// Now.
    pub to: Level,
}

impl Standing {
    /// At a level, without having been looked at.
    pub fn of(resource: Resource, level: Level) -> Standing {
        Standing { resource, level, seen: None, above: 0 }
    }
}

/// The machine.
pub struct Machine {
    histories: [(Resource, u32); 3],
    tarpit: Tarpit,
    standings: Vec<Standing>,
    effects: Effects,
    refused: Refused,
    tarpit_ms: u64,
}

impl Machine {
    /// Nothing was looked at yet, all is normal.
    pub fn new(settings: &BackPressure) -> Machine {
        Machine {
            histories: [
                (Resource::ProcessMemory, settings.process_memory_history),
                (Resource::JournalLag, settings.journal_lag_history),
                (Resource::QueueLength, settings.queue_length_history),
            ],
            tarpit: settings.tarpit,
            standings: Resource::ALL.into_iter().map(|resource| Standing::of(resource, Level::Normal)).collect(),
            effects: Effects::default(),
            refused: Refused::Nobody,
            tarpit_ms: 0,
        }
    }

    /// A look: what `see` says of each resource. One that cannot be seen keeps its level. Gives the levels that changed.
    pub fn look(&mut self, mut see: impl FnMut(Resource) -> Option<Seen>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut effects = Effects::default();
        for standing in &mut self.standings {
            let resource = standing.resource;
            let from = standing.level;
            if let Some(seen) = see(resource) {
                standing.level = from.after(seen.value, &seen.at);
                standing.seen = Some(seen);
            }
            if standing.level != from {
                changes.push(Change { resource, from, to: standing.level });
            }
            standing.above = if standing.level == Level::Normal { 0 } else { standing.above.saturating_add(1) };
            let depth = self.histories.iter().find(|(of, _)| *of == resource).map_or(0, |(_, depth)| *depth);
            effects = effects.and(Effects::of(resource, standing.level, standing.above <= depth));
        }
        self.effects = effects;
        self.refused = self.refused.toward(effects.refuse);
        self.tarpit_ms = match (effects.tarpit, self.tarpit_ms) {
            (false, _) => 0,
            (true, 0) => self.tarpit.first_ms.min(self.tarpit.max_ms),
            (true, ms) => (ms + self.tarpit.step_ms).min(self.tarpit.max_ms),
        };
        changes
    }

    /// The worst level.
    pub fn level(&self) -> Level {
        self.standings.iter().map(|standing| standing.level).max().unwrap_or_default()
    }

    /// What is asked for now.
    pub fn effects(&self) -> Effects {
        self.effects
    }

    /// Who is refused now.
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// For how long answers to MAIL are held back, our own servers' apart.
    pub fn tarpit_ms(&self) -> u64 {
        self.tarpit_ms
    }

    /// Each resource.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::{Loaded, Start};
    use proptest::prelude::*;
    use transport::receive::Asker;

    fn settings() -> BackPressure {
        let (world, _) = world::World::simulated(1);
        Loaded::load(world.disk.as_ref(), &Start::default()).unwrap().node.back_pressure
    }

    const AT: Thresholds = Thresholds { normal: 10, medium: 20, medium_again: 25, high: 30 };

    fn look(machine: &mut Machine, of: Resource, value: u64) -> Vec<Change> {
        machine.look(|resource| (resource == of).then(|| Seen { value, at: AT, detail: String::new() }))
    }

    fn accepts(machine: &Machine) -> [bool; 3] {
        [Asker::Stranger, Asker::User, Asker::Server].map(|asker| !machine.refused().includes(asker))
    }

    #[test]
    fn a_disk_that_fills_and_empties() {
        let mut machine = Machine::new(&settings());
        assert_eq!(look(&mut machine, Resource::JournalDisk, 20), []);
        let up = Change { resource: Resource::JournalDisk, from: Level::Normal, to: Level::Medium };
        assert_eq!(look(&mut machine, Resource::JournalDisk, 21), [up]);
        assert_eq!((machine.level(), accepts(&machine)), (Level::Medium, [false, true, true]));
        look(&mut machine, Resource::JournalDisk, 31);
        assert_eq!((machine.level(), accepts(&machine)), (Level::High, [false, false, true]));
        look(&mut machine, Resource::JournalDisk, 26);
        assert_eq!(accepts(&machine), [false, false, false], "high until the lower threshold");
        // The reverse order, one door at a look.
        let again: Vec<_> = [25, 10, 10]
            .map(|value| {
                look(&mut machine, Resource::JournalDisk, value);
                accepts(&machine)
            })
            .into();
        assert_eq!(again, [[false, false, true], [false, true, true], [true, true, true]]);
        assert_eq!((machine.level(), machine.effects()), (Level::Normal, Effects::default()));
    }

    #[test]
    fn a_tarpit_grows_and_gives_way_to_refusal() {
        let mut machine = Machine::new(&BackPressure { queue_length_history: 12, ..settings() });
        let held: Vec<u64> = (0..13)
            .map(|_| {
                look(&mut machine, Resource::QueueLength, 22);
                machine.tarpit_ms() / 1000
            })
            .collect();
        assert_eq!(held, [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 55, 55, 0]);
        assert_eq!(accepts(&machine), [false, true, true]);
        look(&mut machine, Resource::QueueLength, 10);
        look(&mut machine, Resource::QueueLength, 22);
        assert_eq!((machine.tarpit_ms(), accepts(&machine)), (10_000, [true; 3]), "the history begins anew");
    }

    #[test]
    fn the_worst_counts_and_all_is_done() {
        let mut machine = Machine::new(&settings());
        let values = [(Resource::SystemMemory, 31), (Resource::JournalLag, 31), (Resource::JournalDisk, 15)];
        for _ in 0..3 {
            machine.look(|resource| {
                let (_, value) = values.iter().find(|(of, _)| *of == resource)?;
                Some(Seen { value: *value, at: AT, detail: String::new() })
            });
        }
        let effects = machine.effects();
        assert!(effects.pause_delivery && effects.dehydrate && machine.refused() == Refused::Servers);
        // What cannot be seen any more keeps its level: blindness is no cure.
        machine.look(|_| None);
        assert_eq!(machine.level(), Level::High);
    }

    proptest! {
        /// Whatever the values do: strangers are refused before users, users before servers; servers only while something is (or just
        /// was) high; nobody without a reason; doors move one at a time.
        #[test]
        fn refusals_are_nested_and_have_a_reason(looks in prop::collection::vec(prop::array::uniform7(0u64..40), 1..60)) {
            let mut machine = Machine::new(&BackPressure { queue_length_history: 2, journal_lag_history: 1, process_memory_history: 3, ..settings() });
            let mut before = Refused::Nobody;
            for values in looks {
                let was = machine.level();
                machine.look(|resource| {
                    let at = Resource::ALL.iter().position(|of| *of == resource)?;
                    Some(Seen { value: values[at], at: AT, detail: String::new() })
                });
                let now = machine.refused();
                prop_assert!(accepts(&machine).is_sorted());
                prop_assert!((now as i32 - before as i32).abs() <= 1);
                if now > before {
                    prop_assert!(now <= machine.effects().refuse);
                }
                if now == Refused::Servers {
                    prop_assert!(machine.level() == Level::High || was == Level::High);
                }
                if machine.level() == Level::Normal {
                    prop_assert!(machine.effects() == Effects::default() && (now < before || now == Refused::Nobody));
                }
                let worst = machine.standings().iter().map(|standing| standing.level).max();
                prop_assert_eq!(Some(machine.level()), worst);
                before = now;
            }
        }
    }
}
