//! What the organization knows of a message from before it came to a server: when it was first taken, how large it was then, the sites
//! that it has been in.
//!
//! Owns words only. Always holds where it is kept: a message never goes to a site that it has been in, so no documents, however they
//! contradict each other, can send it in circles between sites.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// How a message came here through the organization. The default is that of a message that begins here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journey {
    /// When the organization took it first, Unix milliseconds: expiry counts from there. 0: now.
    pub first_ms: u64,
    /// Its size then. 0: its size now.
    pub original_bytes: u64,
    /// The sites that have handed it on to another one, in order, in lower case. It never goes to one of them again. Empty: it begins
    /// in this site.
    pub sites: Vec<Box<str>>,
    /// Its sender counts as internal.
    pub trusted: bool,
}

impl Journey {
    /// The same for a message that was accepted at `accepted_ms` with `size_bytes`: what is not known is what is now, and nothing of it
    /// lies in the future.
    pub fn from(mut self, accepted_ms: u64, size_bytes: u64) -> Journey {
        self.first_ms = if self.first_ms == 0 { accepted_ms } else { self.first_ms.min(accepted_ms) };
        if self.original_bytes == 0 {
            self.original_bytes = size_bytes;
        }
        self
    }

    /// The size that limits on the way are compared with: what the organization adds never makes a message too large.
    pub fn limited_bytes(&self, size_bytes: u64) -> u64 {
        if self.original_bytes == 0 { size_bytes } else { self.original_bytes.min(size_bytes) }
    }

    /// It has been in that site, and has left it.
    pub fn has_been_in(&self, site: &str) -> bool {
        self.sites.iter().any(|been| been.eq_ignore_ascii_case(site))
    }
}
