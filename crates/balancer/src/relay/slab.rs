//! Places for connections, used again and again.
//!
//! Always holds: a slot that was given up answers to none of its earlier lives (until 65,536 lives have passed, which no event outlives).

/// Values by slot.
pub(super) struct Slab<T> {
    slots: Vec<(u16, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Slab<T> {
        Slab { slots: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts a value that is made with its slot and life.
    pub(super) fn insert(&mut self, make: impl FnOnce(u32, u16) -> T) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            (self.slots.len() - 1) as u32
        });
        let (life, place) = &mut self.slots[slot as usize];
        *place = Some(make(slot, *life));
        slot
    }

    pub(super) fn get(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.1.as_mut()
    }

    /// The value in this slot, if it is still that one.
    pub(super) fn get_life(&mut self, slot: u32, life: u16) -> Option<&mut T> {
        let (now, value) = self.slots.get_mut(slot as usize)?;
        value.as_mut().filter(|_| *now == life)
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let (life, place) = self.slots.get_mut(slot as usize)?;
        let value = place.take()?;
        *life = life.wrapping_add(1);
        self.free.push(slot);
        Some(value)
    }

    /// Slots that may hold something are below it.
    pub(super) fn end(&self) -> u32 {
        self.slots.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_several_lives() {
        let mut slab = Slab::new();
        let first = slab.insert(|slot, life| (slot, life));
        assert_eq!(slab.get_life(first, 0), Some(&mut (first, 0)));
        assert_eq!(slab.remove(first), Some((first, 0)));
        assert_eq!((slab.len(), slab.remove(first)), (0, None));
        let second = slab.insert(|slot, life| (slot, life));
        assert_eq!((second, slab.len(), slab.end()), (first, 1, 1));
        assert_eq!(slab.get_life(first, 0), None);
        assert_eq!(slab.get_life(second, 1), Some(&mut (second, 1)));
    }
}
