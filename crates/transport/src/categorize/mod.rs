//! Who gets a message, and which next hop each recipient belongs to.
//!
//! The first is decided once, before custody ([`decide`]): aliases, groups, forwarding, rules. The second is asked for again whenever the
//! organization changes ([`Categorizer`]): accepted domains first, then send connectors by address space and cost. Always holds: it never
//! waits for I/O, and a stranger cannot make more queues with it than there are domains.

mod decide;
mod expand;
mod rules;
mod tag;

pub use decide::{Decided, Question, decide, rcpt_refusal};
pub use expand::{Change, LOOKUPS_MAX, RECIPIENTS_MAX, Why, too_large};
pub use rules::{Seen, walk};
pub use tag::tagged;

use crate::swap::Swap;
use directory::{Org, SendTo, Trip};
use mail::Mailbox;
use spool::{HopKey, Route, ToRoute};
use std::sync::Arc;

/// Answers the spool from the organization of the moment.
pub struct Categorizer {
    org: Arc<Swap<Org>>,
}

impl Categorizer {
    /// Asks `org`, whichever version it holds at that time. After a change the spool asks anew with `Spool::reroute`.
    pub fn new(org: Arc<Swap<Org>>) -> Categorizer {
        Categorizer { org }
    }

    /// Where a message from nobody to this recipient would go now.
    pub fn hop_of(&self, to: &Mailbox) -> HopKey {
        let org = self.org.load();
        hop(org.route(to), to)
    }
}

impl Route for Categorizer {
    fn hops(&self, message: &ToRoute<'_>) -> Vec<HopKey> {
        let org = self.org.load();
        let bytes = message.journey.limited_bytes(message.size_bytes);
        let trip = Trip { server: org.server(), bytes, been_in: &message.journey.sites };
        let recipients = message.envelope.recipients.iter().map(|recipient| &recipient.address);
        let hop = |route, to| own_or_other_store(&org, &trip, message, hop(route, to), to);
        match &message.envelope.recipients[..] {
            [only] => vec![hop(org.route_one(&trip, &only.address), &only.address)],
            _ => {
                let routes = org.route_message(&trip, recipients.clone());
                routes.into_iter().zip(recipients).map(|(route, to)| hop(route, to)).collect()
            }
        }
    }
}

/// A store of our own that does not answer is passed by, if the domain says so and another server delivers it.
fn own_or_other_store(org: &Org, trip: &Trip<'_>, message: &ToRoute<'_>, key: HopKey, to: &Mailbox) -> HopKey {
    if !matches!(key, HopKey::Lmtp { .. }) {
        return key;
    }
    let Some(others) = org.instead_of_own_store(trip, to) else { return key };
    if (message.waits)(&key) { HopKey::Servers { of: others.to_string().into() } } else { key }
}

fn hop(route: directory::Route, to: &Mailbox) -> HopKey {
    match route {
        directory::Route::Maildir(domain) => HopKey::Maildir { domain: (&*domain.name).into() },
        directory::Route::Lmtp(target) => HopKey::Lmtp { target: target.to_string().into() },
        directory::Route::Connector(connector) => match &connector.to {
            SendTo::SmartHosts(_) => HopKey::SmartHosts { connector: (&*connector.name).into() },
            SendTo::Mx => HopKey::Mx { connector: (&*connector.name).into(), domain: to.domain_lower().into() },
            SendTo::Lmtp(target) => HopKey::Lmtp { target: target.to_string().into() },
        },
        directory::Route::Site(site) => HopKey::Site { site: (&*site.name).into() },
        directory::Route::Servers(of) => HopKey::Servers { of: of.to_string().into() },
        directory::Route::TooLarge(what) => HopKey::TooLarge { what },
        directory::Route::Unreachable(reason) => HopKey::Unreachable { reason: reason.into() },
    }
}

#[cfg(test)]
mod tests;
