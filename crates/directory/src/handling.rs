//! What the organization does with mail before it takes it: limits, rules, remote domains.

use crate::domain::DomainMap;
use crate::limits::MessageLimits;
use crate::remote::RemoteDomain;
use crate::rule::Rule;
use mail::Mailbox;
use std::collections::HashSet;
use std::sync::Arc;

/// What the document says of mail on its way in.
#[derive(Debug, Default)]
pub struct Handling {
    /// `[message_limits]`.
    pub limits: MessageLimits,
    /// `[[rule]]`, in order of the document.
    pub rules: Vec<Rule>,
    /// `[[remote_domain]]`, in order of the document.
    pub remote_domains: Vec<Arc<RemoteDomain>>,
    remote: DomainMap<Arc<RemoteDomain>>,
    quiet: HashSet<Box<str>>,
}

impl Handling {
    /// Makes the maps. `quiet` are the groups whose members nobody hears of.
    pub(crate) fn new(
        limits: MessageLimits,
        rules: Vec<Rule>,
        remote_domains: Vec<Arc<RemoteDomain>>,
        quiet: impl Iterator<Item = Mailbox>,
    ) -> Handling {
        let mut remote = DomainMap::default();
        for known in &remote_domains {
            known.domains.iter().for_each(|space| remote.insert(space, Arc::clone(known)));
        }
        let quiet = quiet.map(|group| group.as_str().to_lowercase().into()).collect();
        Handling { limits, rules, remote_domains, remote, quiet }
    }

    /// What is allowed towards a domain; nothing is known of most.
    pub fn remote_domain(&self, domain: &str) -> Option<&RemoteDomain> {
        if self.remote_domains.is_empty() { None } else { self.remote.get(domain).map(|known| &**known) }
    }

    /// Nobody is told about members of this group that mail did not reach.
    pub fn is_quiet(&self, group: &Mailbox) -> bool {
        !self.quiet.is_empty() && self.quiet.contains(&*group.as_str().to_lowercase())
    }

    /// The header of a message is needed before it is on its way: rules look at it, or change it.
    pub fn wants_header(&self) -> bool {
        self.rules.iter().any(|rule| rule.header.is_some() || rule.action.tags())
            || self.remote_domains.iter().any(|known| !known.automatic_replies)
    }
}
