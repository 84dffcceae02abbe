//! What a message has been through inside the organization: when it was first taken, how large it was then, the sites that it has been in.
//!
//! Owns words only. Always holds where it is kept: a message never goes to a site that it has been in, so no documents, however they
//! contradict each other, can send it in circles between sites.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Facts that a message carries from server to server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journey {
    /// When the organization first took it, Unix milliseconds: expiry counts from there.
    pub first_ms: u64,
    /// Its size then, in bytes: limits compare with that where it has grown on the way.
    pub original_bytes: u64,
    /// The sites that it has been in and has left, in lower case, first one first.
    pub sites: Vec<Box<str>>,
    /// Its sender counts as one of the organization.
    pub trusted: bool,
}

impl Journey {
    /// It has been in that site.
    pub fn has_been_in(&self, site: &str) -> bool {
        self.sites.iter().any(|been| been.eq_ignore_ascii_case(site))
    }
}
