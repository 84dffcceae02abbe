//! Bounds the strangers whose certificates are being looked at: all together, and from one address, so that one who only connects
//! cannot keep the nodes of the organization out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The places.
#[derive(Default)]
pub struct Places {
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them; given back when dropped.
pub struct Place {
    of: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// A place for a connection from `address`, if there is one.
    pub fn take(self: &Arc<Places>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let here = taken.entry(address).or_default();
        if all >= ALL_MAX || *here >= ONE_ADDRESS_MAX {
            if *here == 0 {
                taken.remove(&address);
            }
            return None;
        }
        *here += 1;
        Some(Place { of: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = taken.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// Connections that are looked at at a time; more are closed at once.
const ALL_MAX: usize = 64;
/// Of these, from one address.
const ONE_ADDRESS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_gives_it_back() {
        let places = Arc::new(Places::default());
        let from = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut held: Vec<Place> = (0..20).filter_map(|_| places.take(from(1))).collect();
        assert_eq!(held.len(), ONE_ADDRESS_MAX);
        held.extend((0..200).filter_map(|n| places.take(from(2 + n % 100))));
        assert_eq!(held.len(), ALL_MAX);
        drop(held);
        assert!(places.take(from(1)).is_some() && places.taken.lock().unwrap().is_empty());
    }
}
