//! Owns the way from a message id to its place: an open table of 8 bytes a cell. Knows only numbers.
//! Always holds: ids are drawn by chance, by us, so that their low bytes serve as the hash.

use mail::MessageId;

use crate::slab::NONE;

/// Places by id. Who asks says which id a place has.
pub struct Index {
    cells: Vec<Cell>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Cell {
    hash: u32,
    place: u32,
}

const EMPTY: Cell = Cell { hash: 0, place: NONE };
const CELLS_MIN: usize = 64;

impl Index {
    /// An empty index.
    pub fn new() -> Index {
        Index { cells: vec![EMPTY; CELLS_MIN], len: 0 }
    }

    /// Adds an id that is not in it.
    pub fn insert(&mut self, id: MessageId, place: u32) {
        if (self.len + 1) * 4 > self.cells.len() * 3 {
            self.grow();
        }
        self.len += 1;
        put(&mut self.cells, Cell { hash: hash(id), place });
    }

    /// The place of an id, if `is` says so of one.
    pub fn find(&self, id: MessageId, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.cell(id, is).map(|at| self.cells[at].place)
    }

    /// Takes an id out.
    pub fn remove(&mut self, id: MessageId, place: u32) {
        let Some(mut hole) = self.cell(id, |p| p == place) else { return };
        let mask = self.cells.len() - 1;
        // Close the hole: each cell behind it that may stand there moves up, so that no search stops early.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let cell = self.cells[at];
            if cell.place == NONE {
                break;
            }
            let home = cell.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.cells[hole] = cell;
                hole = at;
            }
        }
        self.cells[hole] = EMPTY;
        self.len -= 1;
    }

    fn cell(&self, id: MessageId, is: impl Fn(u32) -> bool) -> Option<usize> {
        let (hash, mask) = (hash(id), self.cells.len() - 1);
        let mut at = hash as usize & mask;
        while self.cells[at].place != NONE {
            if self.cells[at].hash == hash && is(self.cells[at].place) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn grow(&mut self) {
        let mut cells = vec![EMPTY; self.cells.len() * 2];
        for cell in self.cells.iter().filter(|c| c.place != NONE) {
            put(&mut cells, *cell);
        }
        self.cells = cells;
    }
}

fn put(cells: &mut [Cell], cell: Cell) {
    let mask = cells.len() - 1;
    let mut at = cell.hash as usize & mask;
    while cells[at].place != NONE {
        at = (at + 1) & mask;
    }
    cells[at] = cell;
}

fn hash(id: MessageId) -> u32 {
    let bytes = id.to_bytes();
    u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn agrees_with_a_plain_map_through_inserts_and_removals() {
        let (mut index, mut map, mut ids) = (Index::new(), HashMap::new(), Vec::new());
        let mut x = 1u64;
        for step in 0..20_000u32 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if step % 3 == 2 {
                let (id, place) = ids.swap_remove((x >> 33) as usize % ids.len());
                index.remove(id, place);
                map.remove(&id);
            } else {
                let mut chance = [0; 10];
                // Few different hashes: long runs that wrap around are what goes wrong in such tables.
                chance[6] = (x >> 40) as u8 | 0xC0;
                chance[..4].copy_from_slice(&step.to_le_bytes());
                let id = MessageId::new(1, chance);
                index.insert(id, step);
                map.insert(id, step);
                ids.push((id, step));
            }
        }
        let by_place: HashMap<u32, MessageId> = map.iter().map(|(id, place)| (*place, *id)).collect();
        for (id, place) in &map {
            assert_eq!(index.find(*id, |p| by_place.get(&p) == Some(id)), Some(*place));
        }
        assert_eq!(index.len, map.len());
    }
}
