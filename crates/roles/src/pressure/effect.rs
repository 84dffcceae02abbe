//! Owns what follows from a level of a resource (behaviours 4.6, second table). Pure.
//! Always holds: who is refused at one level is refused at the next one too.

use transport::receive::Asker;

use super::level::Level;
use super::resource::Resource;

/// Who is refused. Each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// Nobody.
    #[default]
    Nobody = 0,
    /// Strangers.
    Strangers = 1,
    /// And users, and applications that may relay.
    Users = 2,
    /// And our own servers.
    Servers = 3,
}

impl Refused {
    const ALL: [Refused; 4] = [Refused::Nobody, Refused::Strangers, Refused::Users, Refused::Servers];

    /// Whether this one is refused.
    pub fn includes(self, asker: Asker) -> bool {
        match asker {
            Asker::Stranger => self >= Refused::Strangers,
            Asker::User => self >= Refused::Users,
            Asker::Server => self >= Refused::Servers,
        }
    }

    /// One step nearer to `target`: doors close and open one at a time, so that strangers are refused before users, users before our own
    /// servers, and let in again in the reverse order.
    pub fn toward(self, target: Refused) -> Refused {
        let (now, target) = (self as usize, target as usize);
        let next = if now < target { now + 1 } else { now.saturating_sub(usize::from(now > target)) };
        Refused::of(next as u8)
    }

    /// From its number.
    pub fn of(number: u8) -> Refused {
        Refused::ALL.get(usize::from(number)).copied().unwrap_or(Refused::Servers)
    }

    /// For operators.
    pub fn words(self) -> &'static [&'static str] {
        let all: &[&str] = &["strangers", "users and applications that relay", "our own servers"];
        &all[..self as usize]
    }
}

/// What is done about pressure. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Who is to be refused, in the end.
    pub refuse: Refused,
    /// Answers to MAIL are held back.
    pub tarpit: bool,
    /// Bodies in memory are dropped; envelopes stay.
    pub dehydrate: bool,
    /// The answers of name servers are forgotten.
    pub flush: bool,
    /// No journal that has no copy here gets one.
    pub refuse_copies: bool,
    /// Nothing is taken out of the spool for next hops.
    pub pause_delivery: bool,
}

impl Effects {
    /// What one resource asks for. `patient`: its history depth is not over yet, and gentle means may still help.
    pub fn of(resource: Resource, level: Level, patient: bool) -> Effects {
        let none = Effects::default();
        let as_medium_disk = Effects { refuse: Refused::Strangers, refuse_copies: true, ..none };
        let all = Effects { refuse: Refused::Servers, ..as_medium_disk };
        match (resource, level) {
            (_, Level::Normal) => none,
            (Resource::SystemMemory, _) => Effects { dehydrate: true, flush: true, ..none },
            (Resource::JournalDisk | Resource::DataDisk | Resource::JournalSegments, Level::Medium) => as_medium_disk,
            (Resource::JournalDisk | Resource::DataDisk | Resource::JournalSegments, Level::High) => all,
            (Resource::ProcessMemory, Level::Medium) if patient => {
                Effects { dehydrate: true, flush: true, refuse_copies: true, ..none }
            }
            (Resource::ProcessMemory, Level::Medium) => Effects { dehydrate: true, flush: true, ..as_medium_disk },
            (Resource::ProcessMemory, Level::High) => Effects { dehydrate: true, flush: true, ..all },
            (Resource::JournalLag | Resource::QueueLength, Level::Medium) if patient => {
                Effects { tarpit: true, ..none }
            }
            // A journal that lags still keeps the copies of others: they cost it nothing (behaviours 4.6, refinements).
            (Resource::JournalLag, Level::Medium) => Effects { refuse: Refused::Strangers, ..none },
            (Resource::JournalLag, Level::High) => Effects { pause_delivery: true, ..all },
            (Resource::QueueLength, Level::Medium) => as_medium_disk,
            (Resource::QueueLength, Level::High) => Effects { dehydrate: true, flush: true, ..all },
        }
    }

    /// Both.
    pub fn and(self, other: Effects) -> Effects {
        Effects {
            refuse: self.refuse.max(other.refuse),
            tarpit: self.tarpit | other.tarpit,
            dehydrate: self.dehydrate | other.dehydrate,
            flush: self.flush | other.flush,
            refuse_copies: self.refuse_copies | other.refuse_copies,
            pause_delivery: self.pause_delivery | other.pause_delivery,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{High, Medium, Normal};
    use super::Resource::*;
    use super::*;

    /// The second table of behaviours 4.6, row by row.
    #[test]
    fn the_effects_of_the_book_of_behaviours() {
        use Refused::{Nobody, Servers, Strangers};
        // resource, level, within its history depth: refused, tarpit, dehydrate, flush, no new copies, delivery paused
        type Row = (Resource, Level, bool, Refused, [bool; 5]);
        let rows: [Row; 20] = [
            (JournalDisk, Medium, true, Strangers, [false, false, false, true, false]),
            (JournalDisk, High, true, Servers, [false, false, false, true, false]),
            (DataDisk, Medium, true, Strangers, [false, false, false, true, false]),
            (DataDisk, High, true, Servers, [false, false, false, true, false]),
            (JournalSegments, Medium, true, Strangers, [false, false, false, true, false]),
            (JournalSegments, High, true, Servers, [false, false, false, true, false]),
            (ProcessMemory, Medium, true, Nobody, [false, true, true, true, false]),
            (ProcessMemory, Medium, false, Strangers, [false, true, true, true, false]),
            (ProcessMemory, High, true, Servers, [false, true, true, true, false]),
            (SystemMemory, Medium, false, Nobody, [false, true, true, false, false]),
            (SystemMemory, High, false, Nobody, [false, true, true, false, false]),
            (JournalLag, Medium, true, Nobody, [true, false, false, false, false]),
            (JournalLag, Medium, false, Strangers, [false, false, false, false, false]),
            (JournalLag, High, true, Servers, [false, false, false, true, true]),
            (QueueLength, Medium, true, Nobody, [true, false, false, false, false]),
            (QueueLength, Medium, false, Strangers, [false, false, false, true, false]),
            (QueueLength, High, true, Servers, [false, true, true, true, false]),
            (JournalDisk, Normal, true, Nobody, [false; 5]),
            (ProcessMemory, Normal, false, Nobody, [false; 5]),
            (QueueLength, Normal, false, Nobody, [false; 5]),
        ];
        for (resource, level, patient, refuse, [tarpit, dehydrate, flush, refuse_copies, pause_delivery]) in rows {
            let expected = Effects { refuse, tarpit, dehydrate, flush, refuse_copies, pause_delivery };
            assert_eq!(Effects::of(resource, level, patient), expected, "{resource:?} {level:?} {patient}");
        }
    }

    #[test]
    fn doors_close_one_after_the_other() {
        let mut refused = Refused::Nobody;
        let mut seen = Vec::new();
        for target in [Refused::Servers; 4].into_iter().chain([Refused::Nobody; 4]) {
            refused = refused.toward(target);
            seen.push(refused as u8);
        }
        assert_eq!(seen, [1, 2, 3, 3, 2, 1, 0, 0]);
        for refused in Refused::ALL {
            let who = [Asker::Stranger, Asker::User, Asker::Server].map(|asker| refused.includes(asker));
            assert!(who.is_sorted_by(|a, b| a >= b), "{refused:?} refuses {who:?}");
            assert_eq!(refused.words().len(), who.iter().filter(|is| **is).count());
        }
    }
}
