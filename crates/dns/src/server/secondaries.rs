//! What is known of those that copy our zones: for people.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::name::Name;
use crate::zones::Zones;

/// What is known of one secondary of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secondary {
    /// The zone.
    pub zone: Name,
    /// Its address.
    pub address: IpAddr,
    /// The serial that it copied last, and when by the wall clock, in milliseconds.
    pub copied: Option<(u32, u64)>,
    /// Why it could not be told of the last change.
    pub deaf: Option<String>,
}

/// All of them. Bounded: strangers that may copy a zone by a range push out nobody.
#[derive(Default)]
pub(super) struct Secondaries(Mutex<BTreeMap<(Name, IpAddr), Secondary>>);

impl Secondaries {
    pub fn copied(&self, zone: &Name, address: IpAddr, serial: u32, now_ms: u64) {
        self.with(zone, address, |secondary| secondary.copied = Some((serial, now_ms)));
    }

    /// Says whether that is news.
    pub fn told(&self, zone: &Name, address: IpAddr, result: &Result<(), String>) -> bool {
        let mut is_news = false;
        self.with(zone, address, |secondary| {
            let deaf = result.as_ref().err().cloned();
            is_news = secondary.deaf != deaf;
            secondary.deaf = deaf;
        });
        is_news
    }

    fn with(&self, zone: &Name, address: IpAddr, change: impl FnOnce(&mut Secondary)) {
        let mut all = self.lock();
        let address = address.to_canonical();
        let is_full = all.len() >= SECONDARIES_MAX && !all.contains_key(&(zone.clone(), address));
        if !is_full {
            let fresh = || Secondary { zone: zone.clone(), address, copied: None, deaf: None };
            change(all.entry((zone.clone(), address)).or_insert_with(fresh));
        }
    }

    /// Forgets those of zones that are not ours any more.
    pub fn retain(&self, zones: &Zones) {
        self.lock().retain(|(zone, _), _| zones.get(zone).is_some());
    }

    pub fn all(&self) -> Vec<Secondary> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Name, IpAddr), Secondary>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SECONDARIES_MAX: usize = 1_000;
