//! The zones that this node answers for.

use super::Control;
use crate::view;

impl Control {
    /// What is answered, where, and what is known of those who copy it.
    pub fn zones(&self) -> view::Zones {
        match &self.node.zones {
            Some(zones) => view::Zones {
                listeners: zones.shown_listeners(),
                zones: zones.shown(),
                document: self.zones_of_document(),
            },
            None => view::Zones::default(),
        }
    }
}
