//! Everybody, from all sources: tables on top of each other. What changed since a source was read whole is a small table above its
//! large one, so that a change costs what it changes.

use super::address::Lower;
use super::builder::{Builder, Clash, Full};
use super::entry::Entry;
use super::record::Recipient;
use super::table::Table;
use mail::Mailbox;
use std::collections::HashSet;
use std::sync::Arc;

/// Everybody who exists. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Recipients {
    /// The first one that has an address counts.
    layers: Vec<Layer>,
    /// A source was never read: who is in no layer may exist.
    unread: bool,
}

#[derive(Clone, Debug)]
struct Layer {
    table: Arc<Table>,
    /// Records that do not count any more.
    gone: Arc<HashSet<u32>>,
}

/// What a source says of one recipient since it was read whole.
#[derive(Clone, Debug)]
pub struct Change {
    /// What the source calls it.
    pub key: String,
    /// What it is now; `None`: it is no recipient any more.
    pub entry: Option<Entry>,
}

impl Recipients {
    /// A table of these; where addresses clash, the earlier one counts and the clash is told.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> (Recipients, Vec<Clash>) {
        let mut builder = Builder::default();
        for entry in entries {
            // No document is so large.
            if builder.push("", &entry) == Err(Full) {
                break;
            }
        }
        let (table, clashes) = builder.finish();
        (Recipients::from(table), clashes)
    }

    /// A source that was never read: it may know anybody.
    pub fn unread() -> Recipients {
        Recipients { layers: Vec::new(), unread: true }
    }

    /// Every source was read: who is not here does not exist.
    pub fn are_whole(&self) -> bool {
        !self.unread
    }

    /// These and those: where addresses clash, those of `self` count.
    pub fn and(&self, others: &Recipients) -> Recipients {
        let layers = self.layers.iter().chain(&others.layers).cloned().collect();
        Recipients { layers, unread: self.unread || others.unread }
    }

    /// The recipients of one source after these changes.
    pub fn after(&self, changes: &[Change]) -> Result<Recipients, Full> {
        let Some((base, above)) = self.layers.split_last() else {
            return young(changes, &[]).map(Recipients::from);
        };
        let table = young(changes, above)?;
        let mut gone = (*base.gone).clone();
        gone.extend(changes.iter().filter_map(|change| base.table.by_key(&change.key)).map(|known| known.at()));
        let base = Layer { table: base.table.clone(), gone: Arc::new(gone) };
        let above = (!table.is_empty()).then(|| Layer { table: Arc::new(table), gone: Arc::default() });
        Ok(Recipients { layers: above.into_iter().chain([base]).collect(), unread: false })
    }

    /// One source: its table, what changed since above it, and which records of the table do not count.
    pub(super) fn of_tables(base: Table, above: Table, gone: HashSet<u32>) -> Recipients {
        let below = Layer { table: Arc::new(base), gone: Arc::new(gone) };
        let above = (!above.is_empty()).then(|| Layer { table: Arc::new(above), gone: Arc::default() });
        Recipients { layers: above.into_iter().chain([below]).collect(), unread: false }
    }

    /// The large table of one source.
    pub fn base(&self) -> Option<&Arc<Table>> {
        self.layers.last().map(|layer| &layer.table)
    }

    /// What changed since the source was read whole, to be kept beside what [`Kept::base`](super::Kept::base) gave.
    pub fn kept_changes(&self, base: &[u8]) -> Option<Vec<u8>> {
        let (below, above) = self.layers.split_last()?;
        let nothing = Table::default();
        let above = above.first().map_or(&nothing, |layer| &layer.table);
        Some(super::Kept::changes(base, above, &below.gone))
    }

    /// Who has this address.
    pub fn get(&self, address: &Mailbox) -> Option<Recipient<'_>> {
        if self.layers.is_empty() {
            return None;
        }
        let lower = Lower::of(address);
        self.layers.iter().find_map(|layer| layer.table.find(&lower).filter(|known| layer.counts(known)))
    }

    /// The recipient that its source knows by this key.
    pub fn by_key(&self, key: &str) -> Option<Recipient<'_>> {
        self.layers.iter().find_map(|layer| layer.table.by_key(key).filter(|known| layer.counts(known)))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Recipient<'_>> {
        self.layers.iter().flat_map(Layer::iter)
    }

    /// How many recipients.
    pub fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.table.len() - layer.gone.len()).sum()
    }

    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that they take, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.table.memory_bytes()).sum()
    }

    /// Recipients that changed since the source was read whole: those that stand above, and those that are gone.
    pub fn changed(&self) -> usize {
        let above = self.layers.split_last().map_or(&[][..], |(_, above)| above);
        above.iter().map(|layer| layer.table.len()).sum::<usize>()
            + self.layers.last().map_or(0, |base| base.gone.len())
    }

    /// How many of these are in `next` by no address of theirs any more. Takes a look-up for each.
    pub fn missing_in(&self, next: &Recipients) -> usize {
        self.iter().filter(|known| next.get(&known.address()).is_none()).count()
    }
}

impl From<Table> for Recipients {
    fn from(table: Table) -> Recipients {
        Recipients::of_tables(table, Table::default(), HashSet::new())
    }
}

impl Layer {
    fn counts(&self, known: &Recipient<'_>) -> bool {
        self.gone.is_empty() || !self.gone.contains(&known.at())
    }

    fn iter(&self) -> impl Iterator<Item = Recipient<'_>> {
        self.table.iter().filter(|known| self.counts(known))
    }
}

/// One table of the changes, and of what stood `above` the large table and did not change.
fn young(changes: &[Change], above: &[Layer]) -> Result<Table, Full> {
    let changed: HashSet<&str> = changes.iter().map(|change| &*change.key).collect();
    let mut builder = Builder::default();
    for change in changes {
        change.entry.as_ref().map_or(Ok(()), |entry| builder.push(&change.key, entry))?;
    }
    for known in above.iter().flat_map(Layer::iter) {
        let key = known.key();
        if !changed.contains(&*key) {
            builder.push(&key, &known.entry())?;
        }
    }
    Ok(builder.finish().0)
}
