//! Owns lists that run through the values of a slab, without memory of their own.
//! Always holds: a value is in at most one list; its links say which neighbours it has.

use crate::slab::{NONE, Slab};

/// The neighbours of a value in its list.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    /// The value behind this one, or [`NONE`].
    pub fn next(&self) -> u32 {
        self.next
    }
}

impl Default for Links {
    fn default() -> Links {
        Links { prev: NONE, next: NONE }
    }
}

/// A value with links.
pub trait Linked {
    /// Its links.
    fn links(&mut self) -> &mut Links;
    /// The same, to look.
    fn next(&self) -> u32;
}

/// First, last and number of the values in a list.
#[derive(Clone, Copy, Debug)]
pub struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl Default for List {
    fn default() -> List {
        List { head: NONE, tail: NONE, len: 0 }
    }
}

impl List {
    /// The first value, or [`NONE`].
    pub fn head(&self) -> u32 {
        self.head
    }

    /// Number of values.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Puts a value at the end.
    pub fn push_back<T: Linked>(&mut self, slab: &mut Slab<T>, at: u32) {
        *slab[at].links() = Links { prev: self.tail, next: NONE };
        match self.tail {
            NONE => self.head = at,
            tail => slab[tail].links().next = at,
        }
        self.tail = at;
        self.len += 1;
    }

    /// Puts a value at the start.
    pub fn push_front<T: Linked>(&mut self, slab: &mut Slab<T>, at: u32) {
        *slab[at].links() = Links { prev: NONE, next: self.head };
        match self.head {
            NONE => self.tail = at,
            head => slab[head].links().prev = at,
        }
        self.head = at;
        self.len += 1;
    }

    /// Takes a value out, wherever it is in this list.
    pub fn unlink<T: Linked>(&mut self, slab: &mut Slab<T>, at: u32) {
        let Links { prev, next } = std::mem::take(slab[at].links());
        match prev {
            NONE => self.head = next,
            prev => slab[prev].links().next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => slab[next].links().prev = prev,
        }
        self.len -= 1;
    }

    /// Takes the first value out.
    pub fn pop_front<T: Linked>(&mut self, slab: &mut Slab<T>) -> Option<u32> {
        let at = self.head;
        if at == NONE {
            return None;
        }
        self.unlink(slab, at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Bead(Links);

    impl Linked for Bead {
        fn links(&mut self) -> &mut Links {
            &mut self.0
        }
        fn next(&self) -> u32 {
            self.0.next
        }
    }

    fn walk(list: &List, slab: &Slab<Bead>) -> Vec<u32> {
        let mut at = list.head();
        let mut seen = Vec::new();
        while at != NONE {
            seen.push(at);
            at = slab[at].next();
        }
        seen
    }

    #[test]
    fn keeps_order_through_all_moves() {
        let mut slab = Slab::new();
        let mut list = List::default();
        let n: Vec<u32> = (0..5).map(|_| slab.insert(Bead::default())).collect();
        n[..4].iter().for_each(|at| list.push_back(&mut slab, *at));
        list.push_front(&mut slab, n[4]);
        list.unlink(&mut slab, n[1]);
        assert_eq!(walk(&list, &slab), [4, 0, 2, 3]);
        assert_eq!(list.pop_front(&mut slab), Some(4));
        list.unlink(&mut slab, n[3]);
        assert_eq!((walk(&list, &slab), list.len()), (vec![0, 2], 2));
        list.pop_front(&mut slab);
        list.pop_front(&mut slab);
        assert!(list.len() == 0 && list.pop_front(&mut slab).is_none());
    }
}
