//! Owns the search through the trace files, newest event first. Reads files; changes nothing.

use std::io;
use std::path::Path;

use world::World;

use super::files;
use super::line::{RawLine, TraceEvent};

/// Which events are wanted. All that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A part of a recipient's address, in any case.
    pub to: Option<String>,
    /// A part of the sender's address, in any case; `<>` is the null sender.
    pub from: Option<String>,
    /// The message.
    pub id: Option<String>,
    /// The event's word.
    pub event: Option<String>,
    /// Not older than this, in Unix milliseconds.
    pub since_ms: Option<u64>,
    /// At most so many; 0 means [`LIMIT_DEFAULT`].
    pub limit: usize,
}

/// Events given when nobody says how many.
pub const LIMIT_DEFAULT: usize = 100;
/// Events given at most.
pub const LIMIT_MAX: usize = 10_000;

/// Reads the files from the newest to the oldest until there are enough.
pub fn search(world: &World, dir: &Path, filter: &Filter) -> io::Result<Vec<TraceEvent>> {
    let limit = if filter.limit == 0 { LIMIT_DEFAULT } else { filter.limit.min(LIMIT_MAX) };
    let wanted = Wanted::of(filter);
    let mut found = Vec::new();
    for name in files::names(world, dir)?.into_iter().rev() {
        let bytes = match world.disk.read_all(&dir.join(name)) {
            Ok(bytes) => bytes,
            // Rotation removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in bytes.rsplit(|byte| *byte == b'\n') {
            let Some(line) = RawLine::split(line) else { continue };
            if wanted.ended_before(&line) {
                return Ok(found);
            }
            if wanted.fits(&line) {
                found.push(line.decode());
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

/// The filter, made ready to compare.
struct Wanted {
    to: Option<String>,
    from: Option<String>,
    id: Option<String>,
    event: Option<String>,
    since_ms: Option<u64>,
}

impl Wanted {
    fn of(filter: &Filter) -> Wanted {
        let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        let upper = |text: &Option<String>| text.as_ref().map(|text| text.to_ascii_uppercase());
        Wanted {
            to: lower(&filter.to),
            from: lower(&filter.from),
            id: upper(&filter.id),
            event: upper(&filter.event),
            since_ms: filter.since_ms,
        }
    }

    /// Lines are almost in the order of time: threads race by less than [`DISORDER_MS`].
    fn ended_before(&self, line: &RawLine<'_>) -> bool {
        matches!((self.since_ms, line.unix_ms()), (Some(since), Some(at)) if at + DISORDER_MS < since)
    }

    fn fits(&self, line: &RawLine<'_>) -> bool {
        let part = |wanted: &Option<String>, field: &str| {
            wanted.as_ref().is_none_or(|wanted| field != "-" && field.to_lowercase().contains(wanted))
        };
        self.id.as_ref().is_none_or(|id| line.id() == id)
            && self.event.as_ref().is_none_or(|event| line.event() == event)
            && part(&self.from, line.sender())
            && part(&self.to, line.recipients())
            && self.since_ms.is_none_or(|since| line.unix_ms().is_some_and(|at| at >= since))
    }
}

const DISORDER_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(world: &World) {
        let dir = Path::new("/t");
        world.disk.create_dir_all_durable(dir).unwrap();
        for (file, minutes) in [("trace-00000000000001.tsv", 0..30), ("trace-00000000000002.tsv", 30..60)] {
            let text: String = minutes
                .map(|m| format!("2026-11-21T05:{m:02}:00.000Z\tSEND\tID{m}\t<>\tbob{m}@x.test\t1\t-\t-\t-\t-\n"))
                .collect();
            world.disk.replace_durable(&dir.join(file), text.as_bytes()).unwrap();
        }
    }

    fn ids(world: &World, filter: Filter) -> Vec<String> {
        search(world, Path::new("/t"), &filter).unwrap().into_iter().filter_map(|event| event.id).collect()
    }

    #[test]
    fn filters_narrow_and_limits_bound() {
        let (world, _) = World::simulated(1);
        fill(&world);
        assert_eq!(ids(&world, Filter::default()).len(), 60);
        assert_eq!(ids(&world, Filter { limit: 2, ..Filter::default() }), ["ID59", "ID58"]);
        assert_eq!(ids(&world, Filter { to: Some("BOB7@".into()), ..Filter::default() }), ["ID7"]);
        assert_eq!(ids(&world, Filter { id: Some("id12".into()), ..Filter::default() }), ["ID12"]);
        assert_eq!(ids(&world, Filter { event: Some("defer".into()), ..Filter::default() }), [""; 0]);
        assert_eq!(ids(&world, Filter { from: Some("<>".into()), ..Filter::default() }).len(), 60);
        let since_ms = mail::date::parse_rfc3339("2026-11-21T05:58:00Z");
        assert_eq!(ids(&world, Filter { since_ms, ..Filter::default() }), ["ID59", "ID58"]);
    }
}
