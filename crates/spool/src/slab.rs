//! Owns values in numbered places, in pages, so that a million of them never have to be moved at once.
//! Always holds: a place keeps its number until it is freed; freed places are used again first.

/// Values by number. Numbers are below [`NONE`].
pub struct Slab<T> {
    pages: Vec<Vec<Place<T>>>,
    free: u32,
}

enum Place<T> {
    Used(T),
    /// The next free place.
    Free(u32),
}

/// No place.
pub const NONE: u32 = u32::MAX;

const PAGE_BITS: u32 = 10;
const PAGE_LEN: usize = 1 << PAGE_BITS;

impl<T> Slab<T> {
    /// An empty slab.
    pub fn new() -> Slab<T> {
        Slab { pages: Vec::new(), free: NONE }
    }

    /// One more than the largest number in use or free.
    pub fn end(&self) -> u32 {
        self.pages.last().map_or(0, |last| ((self.pages.len() - 1) * PAGE_LEN + last.len()) as u32)
    }

    /// Puts a value in a place and gives its number.
    pub fn insert(&mut self, value: T) -> u32 {
        if self.free != NONE {
            let at = self.free;
            let place = self.place(at);
            if let Place::Free(next) = *place {
                *place = Place::Used(value);
                self.free = next;
            }
            return at;
        }
        if self.pages.last().is_none_or(|last| last.len() == PAGE_LEN) {
            self.pages.push(Vec::with_capacity(PAGE_LEN));
        }
        let at = self.end();
        if let Some(last) = self.pages.last_mut() {
            last.push(Place::Used(value));
        }
        at
    }

    /// Takes the value out and frees its place.
    pub fn remove(&mut self, at: u32) -> Option<T> {
        let free = self.free;
        let place = self.pages.get_mut((at >> PAGE_BITS) as usize)?.get_mut(at as usize % PAGE_LEN)?;
        match std::mem::replace(place, Place::Free(free)) {
            Place::Used(value) => {
                self.free = at;
                Some(value)
            }
            Place::Free(next) => {
                *place = Place::Free(next);
                None
            }
        }
    }

    /// The value at a number.
    pub fn get(&self, at: u32) -> Option<&T> {
        match self.pages.get((at >> PAGE_BITS) as usize)?.get(at as usize % PAGE_LEN)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// The value at a number, to be changed.
    pub fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        match self.pages.get_mut((at >> PAGE_BITS) as usize)?.get_mut(at as usize % PAGE_LEN)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    fn place(&mut self, at: u32) -> &mut Place<T> {
        &mut self.pages[(at >> PAGE_BITS) as usize][at as usize % PAGE_LEN]
    }
}

/// Panics on a number without a value: who holds a number keeps its value alive.
impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        self.get(at).expect("a number in use names a value")
    }
}

/// Panics like `Index`.
impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        self.get_mut(at).expect("a number in use names a value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_used_again() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..3000).map(|n| slab.insert(n)).collect();
        assert_eq!(numbers, (0..3000).collect::<Vec<u32>>());
        assert_eq!((slab.remove(7), slab.remove(7), slab.get(7)), (Some(7), None, None));
        assert_eq!((slab.insert(70), slab[7], slab.end()), (7, 70, 3000));
        assert_eq!(slab.get(99_999), None);
    }
}
