//! Owns how each resource is looked at: file systems, `/proc`, control groups, the journal's and the spool's figures. Knows no effects.
//! Always holds: a look changes nothing; what cannot be read is not seen, and never taken for zero.

use std::path::{Path, PathBuf};

use directory::{BackPressure, Thresholds};
use world::{Disk, World};

use super::level::turned;
use super::machine::Seen;
use super::resource::{PERCENT, Resource, free_of, rounded};

/// Where to look.
pub struct Places {
    /// The directory of the journal.
    pub journal: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// Free space that the journal leaves alone.
    pub keep_free_bytes: u64,
}

/// The figures that the parts of a node have of themselves.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Size of a segment.
    pub segment_bytes: u64,
    /// Empty segments that are ready.
    pub spare_segments: u64,
    /// How long the write under way, or a copy that counts, keeps others waiting.
    pub lag_ms: u64,
    /// Messages in custody.
    pub messages: u64,
}

/// One look at the machine.
pub struct Look<'l> {
    settings: &'l BackPressure,
    places: &'l Places,
    figures: &'l Figures,
    journal: Option<Space>,
    data: Option<Space>,
    memory: Memory,
}

#[derive(Clone, Copy, PartialEq)]
struct Space {
    free: u64,
    total: u64,
}

#[derive(Default)]
struct Memory {
    /// Of the process, and the most that it may have.
    process: Option<(u64, u64)>,
    /// Available on the machine, and all.
    system: Option<(u64, u64)>,
}

impl<'l> Look<'l> {
    /// Reads what the machine says of itself. Blocks.
    pub fn at(world: &World, settings: &'l BackPressure, places: &'l Places, figures: &'l Figures) -> Look<'l> {
        let disk = world.disk.as_ref();
        let (journal, data) = (space(disk, &places.journal), space(disk, &places.data));
        Look { settings, places, figures, journal, data, memory: memory(disk) }
    }

    /// What was found of one resource.
    pub fn see(&self, resource: Resource) -> Option<Seen> {
        let settings = self.settings;
        match resource {
            Resource::JournalDisk => self.disk(self.journal?),
            // The same figures to the byte: the same file system.
            Resource::DataDisk => self.disk(self.data.filter(|data| Some(*data) != self.journal)?),
            Resource::JournalSegments => self.segments(self.journal?),
            Resource::ProcessMemory => {
                let (used, most) = self.memory.process?;
                let detail = format!("{} of {}", rounded(used), rounded(most));
                Some(Seen { value: part(used, most)?, at: percents(settings.process_memory_percent), detail })
            }
            Resource::SystemMemory => {
                let (available, total) = self.memory.system?;
                let value = part(total.saturating_sub(available), total)?;
                Some(Seen { value, at: percents(settings.system_memory_percent), detail: free_of(available, total) })
            }
            Resource::JournalLag => {
                let (value, at) = (self.figures.lag_ms, settings.journal_lag_ms);
                Some(Seen { value, at, detail: String::new() })
            }
            Resource::QueueLength => {
                let (value, at) = (self.figures.messages, settings.queue_length);
                Some(Seen { value, at, detail: String::new() })
            }
        }
    }

    fn disk(&self, of: Space) -> Option<Seen> {
        let value = part(of.total.saturating_sub(of.free), of.total)?;
        let at = match self.settings.disk_percent {
            Some(written) => percents(written),
            None => computed(of.total, self.places.keep_free_bytes, self.figures.segment_bytes),
        };
        Some(Seen { value, at, detail: free_of(of.free, of.total) })
    }

    /// Segments that mail may still begin: those that are ready but for the reserve, and those that there is space to make.
    fn segments(&self, of: Space) -> Option<Seen> {
        let (size, keep) = (self.figures.segment_bytes.max(1), self.places.keep_free_bytes);
        let ready = self.figures.spare_segments.saturating_sub(RESERVE_SEGMENTS);
        let value = ready + of.free.saturating_sub(keep) / size;
        let room = of.total.saturating_sub(keep) / size;
        let scaled = |few: u64| turned(if room < ROOM_SEGMENTS { few * room / ROOM_SEGMENTS } else { few });
        let [normal, medium, medium_again, high] = self.settings.journal_segments.numbers().map(scaled);
        let at = Thresholds { normal, medium, medium_again, high };
        Some(Seen { value: turned(value), at, detail: free_of(of.free, of.total) })
    }
}

/// The thresholds of a file system of `total` bytes: behaviours 4.6 keeps 5 GB or three checkpoints free; we keep what the journal leaves
/// alone and three segments, and of a small file system at most a twentieth. Multiples of it are the lower thresholds.
fn computed(total: u64, keep_free: u64, segment: u64) -> Thresholds {
    let least = keep_free.saturating_add(3 * segment).min(total / 20);
    let used = |times: u64| part(total.saturating_sub(times * least), total).unwrap_or(0);
    Thresholds { normal: used(6), medium: used(4), medium_again: used(2), high: used(1) }
}

fn percents(of: Thresholds) -> Thresholds {
    Thresholds::of(of.numbers().map(|percent| percent * PERCENT))
}

/// Which part of `whole`, in millionths.
fn part(some: u64, whole: u64) -> Option<u64> {
    let parts = u128::from(some) * 100 * u128::from(PERCENT);
    u64::try_from(parts.checked_div(whole.into())?).ok()
}

fn space(disk: &dyn Disk, dir: &Path) -> Option<Space> {
    Some(Space { free: disk.free_bytes(dir).ok()?, total: disk.total_bytes(dir).ok()? })
}

fn memory(disk: &dyn Disk) -> Memory {
    let text =
        |path: &str| disk.read_all(Path::new(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let machine = text("/proc/meminfo");
    let total = machine.as_deref().and_then(|text| field_bytes(text, "MemTotal:"));
    let available = machine.as_deref().and_then(|text| field_bytes(text, "MemAvailable:"));
    let used = text("/proc/self/status").and_then(|text| field_bytes(&text, "VmRSS:"));
    let bound = text("/proc/self/cgroup").and_then(|groups| group_bound(&groups, &text));
    let most = total.map(|total| bound.map_or(total, |bound| bound.min(total)));
    Memory { process: used.zip(most), system: available.zip(total) }
}

/// `Name:   123 kB`
fn field_bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// The least memory bound of the control group that `/proc/self/cgroup` names, and of those above it.
fn group_bound(groups: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (root, file, group) = match (parts.next(), parts.next()) {
            (Some(""), Some(group)) => ("/sys/fs/cgroup", "memory.max", group),
            (Some(controllers), Some(group)) if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", group)
            }
            _ => continue,
        };
        // Inside a container the root may be our own group already.
        let mut at = Some(Path::new(group));
        while let Some(path) = at {
            let above = path.to_string_lossy();
            let bound = read(&format!("{root}{}/{file}", above.trim_end_matches('/')));
            let bound = bound.and_then(|text| text.trim().parse::<u64>().ok());
            least = [least, bound].into_iter().flatten().min();
            at = path.parent();
        }
    }
    least
}

/// Empty segments that only settling may begin (`journal::Settings::reserve_segments`).
const RESERVE_SEGMENTS: u64 = 1;
/// With room for fewer segments than this, thresholds in segments are made smaller in proportion.
const ROOM_SEGMENTS: u64 = 32;

#[cfg(test)]
mod tests {
    use super::super::level::Level;
    use super::*;

    const GB: u64 = 1 << 30;
    const MB: u64 = 1 << 20;

    #[test]
    fn thresholds_of_disks_come_from_their_size() {
        // One terabyte, 64 MB kept free, 64 MB segments: high below 256 MB free, medium below 1 GB, normal from 1.5 GB.
        let at = computed(1024 * GB, 64 * MB, 64 * MB);
        let level = |level: Level, free: u64| level.after(part(1024 * GB - free, 1024 * GB).unwrap(), &at);
        assert_eq!(level(Level::Normal, 1100 * MB), Level::Normal);
        assert_eq!(level(Level::Normal, 1000 * MB), Level::Medium);
        assert_eq!(level(Level::Medium, 1400 * MB), Level::Medium);
        assert_eq!(level(Level::Medium, 1600 * MB), Level::Normal);
        assert_eq!(level(Level::Medium, 250 * MB), Level::High);
        assert_eq!(level(Level::High, 500 * MB), Level::High);
        assert_eq!(level(Level::High, 600 * MB), Level::Medium);
        // A small one is not full from the start.
        let small = computed(96 * MB, 8 * MB, 4 * MB);
        assert_eq!(Level::Normal.after(part(40 * MB, 96 * MB).unwrap(), &small), Level::Normal);
        assert_eq!(Level::Normal.after(part(92 * MB, 96 * MB).unwrap(), &small), Level::High);
        for total in [0, 1, 1000, MB, GB, u64::MAX] {
            let [normal, medium, medium_again, high] = computed(total, 64 * MB, 64 * MB).numbers();
            assert!(normal <= medium && medium <= medium_again && medium_again <= high, "{total}");
        }
    }

    #[test]
    fn the_least_bound_of_all_groups_counts() {
        let files = [
            ("/sys/fs/cgroup/a/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "2000\n"),
            ("/sys/fs/cgroup/memory.max", "3000\n"),
            ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1500\n"),
        ];
        let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_string());
        assert_eq!(group_bound("0::/a/b\n", &read), Some(2000));
        assert_eq!(group_bound("0::/\n", &read), Some(3000));
        assert_eq!(group_bound("5:cpu,memory:/x\n0::/elsewhere\n", &read), Some(1500));
        assert_eq!(group_bound("", &read), None);
        assert_eq!(field_bytes("MemTotal:  10 kB\nMemAvailable: 7 kB\n", "MemAvailable:"), Some(7168));
    }

    #[test]
    fn a_real_machine_can_be_seen() {
        let world = World::real();
        let places = Places { journal: "/".into(), data: "/".into(), keep_free_bytes: 64 * MB };
        let node = directory::Loaded::load(world.disk.as_ref(), &directory::Start::default()).unwrap().node;
        let figures = Figures { segment_bytes: 64 * MB, ..Figures::default() };
        let look = Look::at(&world, &node.back_pressure, &places, &figures);
        for resource in Resource::ALL {
            assert_eq!(look.see(resource).is_some(), resource != Resource::DataDisk, "{resource:?}");
        }
        let memory = look.see(Resource::ProcessMemory).unwrap();
        assert!(memory.value > 0 && memory.value < 100 * PERCENT, "{memory:?}");
    }
}
