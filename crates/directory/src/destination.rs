//! Destinations: bounds of what is sent to the MX hosts of a provider or to some domains. Those of large providers are built in.

use crate::domain::DomainMap;
use std::sync::Arc;

/// Bounds that all domains share which it matches, on each node. `None` is no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub name: Arc<str>,
    /// Domains of recipients, lower case: `example.org`, `*.example.org`, `*`.
    pub domains: Vec<Box<str>>,
    /// MX hosts in the same form.
    pub mx: Vec<Box<str>>,
    /// Connections to all its hosts together.
    pub connections_max: u32,
    /// Messages, then QUIT.
    pub messages_per_connection: Option<u32>,
    /// Messages in any minute.
    pub message_rate_per_minute: Option<u32>,
    /// Recipients in one transaction.
    pub recipients_per_message: Option<u32>,
    /// How long half the connections are left after an answer that asks for less, in milliseconds.
    pub cooldown_ms: u64,
}

/// All destinations of an organization: those of its document, and the built-in ones whose names it does not use.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    all: Vec<Arc<Destination>>,
    by_domain: DomainMap<Arc<Destination>>,
    by_mx: DomainMap<Arc<Destination>>,
}

impl Destinations {
    /// Those of a document before the built-in ones.
    pub(crate) fn of(written: Vec<Arc<Destination>>, built_in: Vec<Arc<Destination>>) -> Destinations {
        let mut all = written;
        for one in built_in {
            if !all.iter().any(|known| known.name == one.name) {
                all.push(one);
            }
        }
        let (mut by_domain, mut by_mx) = (DomainMap::default(), DomainMap::default());
        for one in &all {
            one.domains.iter().for_each(|space| by_domain.insert(space, Arc::clone(one)));
            one.mx.iter().for_each(|space| by_mx.insert(space, Arc::clone(one)));
        }
        Destinations { all, by_domain, by_mx }
    }

    /// All of them, those of the document first.
    pub fn all(&self) -> &[Arc<Destination>] {
        &self.all
    }

    /// The destination that mail for `domain` goes to, whose MX hosts are these, best first: by the domain, else by the first host that is
    /// in some destination.
    pub fn matching<'h>(&self, domain: &str, hosts: impl IntoIterator<Item = &'h str>) -> Option<&Arc<Destination>> {
        self.by_domain
            .get(domain)
            .or_else(|| hosts.into_iter().find_map(|host| self.by_mx.get(host.trim_end_matches('.'))))
    }
}
