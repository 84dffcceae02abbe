//! The audit log: who had this node do what, when, what was there before and after, and what came of it.
//!
//! Owns the lines and where they are kept. Knows no verbs and no HTTP. Always holds: before a verb does anything, a line that says what
//! was asked is synced; what came of it is a second line, synced before the asker hears of it. A verb without the first line is not
//! done; one without the second has an outcome that nobody knows, and is shown so. All files together have at most [`KEEP_BYTES`] and
//! one file more; the oldest go first.

mod caller;
mod files;
mod line;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mail::date::{parse_rfc3339, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use world::World;

pub use caller::unix_user;
pub use files::KEEP_BYTES;

use files::Files;
use line::Line;

/// What somebody asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deed {
    /// Who says so, in the asker's own words.
    pub who: String,
    /// From where: the other end of the connection, or a node.
    pub from: String,
    /// The user of this machine whose process it was, if it came from this machine: the kernel says so.
    pub unix_user: Option<String>,
    /// What is done: `queue retry`, `org set`.
    pub verb: String,
    /// To what: `mx:out:example.org`, `send_connector out`.
    pub object: String,
    /// With what else, as it was asked; without secrets.
    pub asked: Value,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// It was done.
    pub done: bool,
    /// What the asker hears if it was not.
    pub why: Option<String>,
    /// What was there before.
    pub before: Value,
    /// What is there now; for documents what differs.
    pub after: Value,
}

/// One deed with what came of it, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1 on each node.
    pub number: u64,
    /// When it was asked for.
    pub when: String,
    /// Who says so, in the asker's own words.
    pub who: String,
    /// From where.
    pub from: String,
    /// The user of this machine whose process it was.
    pub unix_user: Option<String>,
    /// What was to be done.
    pub verb: String,
    /// To what.
    pub object: String,
    /// With what else.
    pub asked: Value,
    /// `done`, `refused`, or `not known` where the node ended before it knew.
    pub result: String,
    /// Why it was refused.
    pub why: Option<String>,
    /// What was there before.
    pub before: Value,
    /// What was there after it; for documents what differs.
    pub after: Value,
}

/// Which deeds a search is for. All that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not older, in Unix milliseconds.
    pub since_ms: Option<u64>,
    /// A part of the object.
    pub object: Option<String>,
    /// A part of the verb.
    pub verb: Option<String>,
    /// A part of who it was.
    pub who: Option<String>,
    /// At most so many; 0 is [`LIMIT_DEFAULT`].
    pub limit: usize,
}

/// The log of one node.
pub struct Audit {
    world: World,
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    files: Files,
    next: u64,
}

impl Audit {
    /// Goes on where the last run ended. Blocks.
    pub fn open(world: &World, dir: &Path) -> io::Result<Audit> {
        world.disk.create_dir_all_durable(dir)?;
        let (files, last) = Files::open(world, dir)?;
        let state = Mutex::new(State { files, next: last + 1 });
        Ok(Audit { world: world.clone(), dir: dir.into(), state })
    }

    /// Notes what is asked for, before it is done; gives its number. Blocks for a sync.
    pub fn begin(&self, deed: &Deed) -> io::Result<u64> {
        let mut state = self.lock();
        let number = state.next;
        let line = Line::begun(number, rfc3339(self.world.clock.wall_ms()), deed);
        state.files.append(number, &line.bytes())?;
        state.next += 1;
        Ok(number)
    }

    /// Notes what came of it. A line that cannot be written is told in the program's log, whole. Blocks for a sync.
    pub fn end(&self, number: u64, outcome: &Outcome) {
        let line = Line::ended(number, rfc3339(self.world.clock.wall_ms()), outcome).bytes();
        let mut state = self.lock();
        let next = state.next;
        if let Err(error) = state.files.append(next, &line) {
            let line = String::from_utf8_lossy(&line);
            tracing::error!("the audit log cannot be written ({error}); this should be in it: {}", line.trim_end());
        }
    }

    /// Deeds that match, newest first. Blocks for reading files.
    pub fn search(&self, filter: &Filter) -> io::Result<Vec<Entry>> {
        let limit = if filter.limit == 0 { LIMIT_DEFAULT } else { filter.limit.min(LIMIT_MAX) };
        let (mut found, mut ended) = (Vec::new(), HashMap::new());
        for name in files::names(&self.world, &self.dir)?.iter().rev() {
            let bytes = match self.world.disk.read_all(&self.dir.join(name)) {
                // Removed meanwhile: it was the oldest.
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                read => read?,
            };
            for line in bytes.rsplit(|byte| *byte == b'\n').filter_map(Line::parse) {
                if !line.is_begin() {
                    ended.insert(line.number, line);
                    continue;
                }
                if filter.since_ms.is_some_and(|since_ms| parse_rfc3339(&line.when).is_some_and(|at| at < since_ms)) {
                    return Ok(found);
                }
                let end = ended.remove(&line.number);
                let entry = line.entry(end);
                if filter.fits(&entry) {
                    found.push(entry);
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filter {
    fn fits(&self, entry: &Entry) -> bool {
        let has = |part: &Option<String>, of: &[&str]| {
            part.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                of.iter().any(|text| text.to_lowercase().contains(&part))
            })
        };
        has(&self.object, &[&entry.object])
            && has(&self.verb, &[&entry.verb])
            && has(&self.who, &[&entry.who, &entry.from, entry.unix_user.as_deref().unwrap_or_default()])
    }
}

/// Deeds of a search that names no number.
pub const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(verb: &str, object: &str) -> Deed {
        Deed {
            who: "ann".into(),
            from: "127.0.0.1:9".into(),
            verb: verb.into(),
            object: object.into(),
            ..Deed::default()
        }
    }

    fn done(after: &str) -> Outcome {
        Outcome { done: true, after: after.into(), ..Outcome::default() }
    }

    #[test]
    fn a_deed_is_noted_before_it_is_done_and_what_came_of_it_after() {
        let (world, handle) = World::simulated(3);
        let dir = Path::new("/data/audit");
        let audit = Audit::open(&world, dir).unwrap();
        let first = audit.begin(&deed("queue retry", "mx:out:a.test")).unwrap();
        audit.end(first, &done("ready"));
        let second = audit.begin(&deed("org set", "send_connector out")).unwrap();
        let refused = Outcome { why: Some("line 3".into()), ..Outcome::default() };
        audit.end(second, &refused);
        let _third = audit.begin(&deed("message remove", "X")).unwrap();
        // A power cut: what was promised is there, and the next run counts on.
        handle.disk.crash();
        handle.disk.reboot();
        let audit = Audit::open(&world, dir).unwrap();
        let found = audit.search(&Filter::default()).unwrap();
        let short: Vec<_> = found.iter().map(|e| (e.number, e.verb.as_str(), e.result.as_str())).collect();
        assert_eq!(short, [(3, "message remove", "not known"), (2, "org set", "refused"), (1, "queue retry", "done")]);
        assert_eq!((found[1].why.as_deref(), &found[2].after), (Some("line 3"), &"ready".into()));
        assert_eq!(audit.begin(&deed("x", "y")).unwrap(), 4);
        let of = |filter: Filter| audit.search(&filter).unwrap().iter().map(|e| e.number).collect::<Vec<_>>();
        assert_eq!(of(Filter { object: Some("OUT".into()), ..Filter::default() }), [2, 1]);
        assert_eq!(of(Filter { verb: Some("org".into()), ..Filter::default() }), [2]);
        assert_eq!(of(Filter { who: Some("bob".into()), ..Filter::default() }), [0u64; 0]);
        assert_eq!(of(Filter { limit: 1, ..Filter::default() }), [4]);
        assert_eq!(of(Filter { since_ms: Some(u64::MAX), ..Filter::default() }), [0u64; 0]);
    }
}
