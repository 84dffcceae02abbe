//! From the recipients that a sender wrote to those that get the message: aliases, groups, contacts, forwarding.
//!
//! Pure: asks the organization, decides nothing about sessions. Always holds: whoever is found gets the message once, whatever circles the
//! documents make; who is not found and not delivered to elsewhere is told about; the work for one message is bounded by
//! [`LOOKUPS_MAX`], its result by [`RECIPIENTS_MAX`].

use directory::recipients::{Forward, Is, Recipient as Known};
use directory::{Org, SizeLimits};
use mail::{Enhanced, Mailbox, Notify, Recipient, Reply};
use spool::{EARLY_MAX, Early, Settled};
use std::collections::HashSet;

/// Recipients of one message, as one accept record can hold them.
pub const RECIPIENTS_MAX: usize = 65_535;

/// Addresses that are looked at for one message, members of groups and steps of forwarding included.
pub const LOOKUPS_MAX: usize = 4 * RECIPIENTS_MAX;

/// Members that are no more, and of which the sender is told. A group with more of them still works for the others.
pub const MISSING_TOLD_MAX: usize = 100;

/// What the expansion of one message came to.
#[derive(Debug, Default, PartialEq)]
pub struct Expanded {
    /// Who gets the message.
    pub recipients: Vec<Recipient>,
    /// Who does not, and who was a group.
    pub early: Vec<Early>,
    /// What was done, for the trace.
    pub changes: Vec<Change>,
}

/// One thing that was done to the recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An alias became the recipient's own address.
    Resolved {
        /// As it was written.
        alias: Mailbox,
        /// The recipient's own address.
        own: Mailbox,
    },
    /// A group became its members.
    Expanded {
        /// The group's own address.
        group: Mailbox,
        /// Everybody in it, by name and by attributes.
        members: Vec<Mailbox>,
    },
    /// Somebody else gets it, or gets it too.
    Redirected {
        /// Whose mail it was; none for a copy that a rule makes.
        from: Option<Mailbox>,
        /// Who gets it.
        to: Mailbox,
        /// Why.
        why: Why,
    },
    /// It would have been forwarded there, which the remote domain does not allow: the mailbox keeps it.
    NotForwarded {
        /// The mailbox.
        from: Mailbox,
        /// Where it would have gone.
        to: Mailbox,
    },
}

/// Why somebody else gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The mailbox is forwarded.
    Forwarded {
        /// It gets it too.
        keeps_copy: bool,
    },
    /// It is a contact.
    Contact,
    /// The rule of this name redirects.
    Rule(std::sync::Arc<str>),
    /// The rule of this name copies.
    Copy(std::sync::Arc<str>),
}

/// Finds out who gets a message of `size_bytes` that was written to `recipients`. An error is the refusal of the whole message.
pub fn expand(org: &Org, recipients: Vec<Recipient>, size_bytes: u64, limits: SizeLimits) -> Result<Expanded, Reply> {
    let mut walk = Walk { size_bytes, limits, ..Walk::new(org) };
    let is_group = |to: &Recipient| {
        org.recipient_of(&to.address).is_some_and(|known| !known.is_mailbox() && matches!(known.is(), Is::Group { .. }))
    };
    // Who is written to by name is found first: what the sender asked to be told of it counts, not what a group makes of that.
    let (groups, others): (Vec<Recipient>, Vec<Recipient>) = recipients.into_iter().partition(is_group);
    for to in others.into_iter().chain(groups) {
        let (written, before) = (to.clone(), walk.progress);
        walk.run(to)?;
        if walk.progress == before {
            walk.check_alone(written)?;
        }
    }
    Ok(walk.found)
}

/// The refusal of a message that is too large for somebody.
pub fn too_large() -> Reply {
    Reply::new(552, Enhanced::new(5, 3, 4), "message is too large for this recipient")
}

/// The refusal of a message that would go to more than [`RECIPIENTS_MAX`].
pub fn too_many() -> Reply {
    Reply::new(550, Enhanced::new(5, 5, 3), "too many recipients once groups are expanded, write to fewer")
}

/// The refusal of a message that goes to nobody.
pub fn nobody() -> Reply {
    Reply::new(550, Enhanced::new(5, 2, 4), "nobody is in this group")
}

fn in_circles() -> Reply {
    Reply::new(550, Enhanced::new(5, 4, 6), "mail for this recipient is forwarded in a circle")
}

/// The request without a word about success (RFC 3461 5.2.7.3).
pub fn without_success(notify: Notify) -> Notify {
    match notify {
        Notify::On { success: true, failure: false, delay: false } => Notify::Never,
        Notify::On { success: true, failure, delay } => Notify::On { success: false, failure, delay },
        other => other,
    }
}

/// ORCPT as it travels on: what the sender gave, or else what it wrote (RFC 3461 4.2).
pub fn original(to: &Recipient) -> Option<Box<str>> {
    let kind = if to.address.needs_utf8() { "utf-8" } else { "rfc822" };
    to.orcpt.clone().or_else(|| Some(format!("{kind};{}", to.address).into()))
}

/// An address that is to be looked at.
struct Item {
    to: Recipient,
    /// The last of those that forwarded it here without keeping it: a place in [`Walk::trails`].
    trail: Option<usize>,
    /// The sender wrote it.
    direct: bool,
}

/// An expansion on its way.
struct Walk<'o> {
    org: &'o Org,
    size_bytes: u64,
    limits: SizeLimits,
    lookups: usize,
    stack: Vec<Item>,
    /// Who was looked at, by own address; and where mail goes that nobody of ours is behind.
    seen: HashSet<Box<str>>,
    /// Each one that forwards without keeping, and the one before it.
    trails: Vec<(Box<str>, Option<usize>)>,
    /// How often somebody was found who gets it, or fails.
    progress: usize,
    found: Expanded,
}

impl<'o> Walk<'o> {
    fn new(org: &'o Org) -> Walk<'o> {
        Walk {
            org,
            size_bytes: 0,
            limits: SizeLimits::default(),
            lookups: 0,
            stack: Vec::new(),
            seen: HashSet::new(),
            trails: Vec::new(),
            progress: 0,
            found: Expanded::default(),
        }
    }

    /// Follows one that the sender wrote to its ends.
    fn run(&mut self, to: Recipient) -> Result<(), Reply> {
        self.stack.push(Item { to, trail: None, direct: true });
        while let Some(item) = self.stack.pop() {
            self.step(item)?;
        }
        Ok(())
    }

    /// Nothing new came of one that the sender wrote: others lead to the same, or it leads nowhere. That is found out by following it
    /// alone, and told.
    fn check_alone(&mut self, to: Recipient) -> Result<(), Reply> {
        let mut alone = Walk { size_bytes: self.size_bytes, limits: self.limits, ..Walk::new(self.org) };
        alone.lookups = self.lookups;
        alone.run(to.clone())?;
        self.lookups = alone.lookups;
        if !alone.found.recipients.is_empty() {
            return Ok(());
        }
        let failed = alone.found.early.into_iter().filter_map(|early| match early.outcome {
            Settled::Failed(reply) => Some((early.recipient, reply)),
            Settled::Expanded => None,
        });
        let before = self.progress;
        failed.for_each(|(recipient, reply)| self.tell(recipient, reply));
        if self.progress == before {
            self.tell(to, if alone.trails.is_empty() { nobody() } else { in_circles() });
        }
        Ok(())
    }

    fn step(&mut self, item: Item) -> Result<(), Reply> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return Err(too_many());
        }
        let Some(known) = self.org.recipient_of(&item.to.address) else {
            return self.arrive_unknown(item.to);
        };
        let own = known.address();
        let name: Box<str> = own.as_str().to_lowercase().into();
        if !self.seen.insert(name.clone()) {
            if self.is_circle(&name, item.trail) {
                self.tell(item.to, in_circles());
            }
            return Ok(());
        }
        if self.is_too_large(known.message_bytes_max()) {
            self.tell(item.to, too_large());
            return Ok(());
        }
        match known.is() {
            Is::Group { members, having } => self.group(own, item, members, !having.is_empty()),
            Is::Contact { target } => {
                self.redirect(name, own, item, target, Why::Contact);
                Ok(())
            }
            Is::Mailbox => self.mailbox(&known, name, own, item),
        }
    }

    fn is_too_large(&self, own: Option<u64>) -> bool {
        self.limits.to(own).is_some_and(|max| self.size_bytes > max)
    }

    /// Somebody outside, or in a domain of ours that lists its mailboxes elsewhere.
    fn arrive_unknown(&mut self, to: Recipient) -> Result<(), Reply> {
        let place = place_of(self.org, &to.address);
        if !self.seen.insert(place.clone()) {
            return Ok(());
        }
        if self.is_too_large(None) {
            self.tell(to, too_large());
            return Ok(());
        }
        if self.is_missing(&to.address) {
            if self.found.early.len() < MISSING_TOLD_MAX {
                self.tell(to, Reply::new(550, Enhanced::new(5, 1, 1), "No such user here"));
            }
            return Ok(());
        }
        self.arrive(to)
    }

    /// A member or a target in a domain of ours that knows everybody of its own, and not this one.
    fn is_missing(&self, address: &Mailbox) -> bool {
        let refuses = self.org.accepted_domain(address.domain()).filter(|domain| domain.refuses_unknown);
        refuses.is_some_and(|domain| !domain.lists(address.local())) && self.org.recipients().are_whole()
    }

    fn arrive(&mut self, to: Recipient) -> Result<(), Reply> {
        if self.found.recipients.len() >= RECIPIENTS_MAX {
            return Err(too_many());
        }
        self.progress += 1;
        self.found.recipients.push(to);
        Ok(())
    }

    /// Forwarding came back to where it had been, and nobody kept the mail.
    fn is_circle(&self, name: &str, trail: Option<usize>) -> bool {
        let mut at = trail;
        while let Some((before, earlier)) = at.and_then(|at| self.trails.get(at)) {
            if **before == *name {
                return true;
            }
            at = *earlier;
        }
        false
    }

    /// The sender hears of each that it wrote, and what it led to, once.
    fn tell(&mut self, recipient: Recipient, reply: Reply) {
        let same = |known: &Recipient| known.address.same(&recipient.address) && known.orcpt == recipient.orcpt;
        // Beyond the bound the message is refused as a whole: who else fails does not matter.
        if self.found.early.len() <= EARLY_MAX && !self.found.early.iter().any(|early| same(&early.recipient)) {
            self.progress += 1;
            self.found.early.push(Early { recipient, outcome: Settled::Failed(reply) });
        }
    }

    fn group(&mut self, own: Mailbox, item: Item, mut members: Vec<Mailbox>, is_dynamic: bool) -> Result<(), Reply> {
        if is_dynamic {
            members.extend_from_slice(self.org.dynamic_members(&own));
        }
        if self.lookups + members.len() > LOOKUPS_MAX {
            return Err(too_many());
        }
        if members.is_empty() && item.direct {
            self.tell(item.to, nobody());
            return Ok(());
        }
        let quiet = self.org.handling.is_quiet(&own);
        let notify = if quiet { Notify::Never } else { without_success(item.to.notify) };
        let orcpt = original(&item.to);
        for address in members.iter().rev() {
            let to = Recipient { address: address.clone(), notify, orcpt: orcpt.clone() };
            self.stack.push(Item { to, trail: None, direct: false });
        }
        if item.to.notify.success() {
            self.found.early.push(Early { recipient: item.to, outcome: Settled::Expanded });
        }
        self.found.changes.push(Change::Expanded { group: own, members });
        Ok(())
    }

    fn mailbox(&mut self, known: &Known<'_>, name: Box<str>, own: Mailbox, item: Item) -> Result<(), Reply> {
        let forward = known.forward().filter(|forward| {
            let allowed = self.may_forward(&forward.to);
            if !allowed {
                let change = Change::NotForwarded { from: own.clone(), to: forward.to.clone() };
                self.found.changes.push(change);
            }
            allowed
        });
        match forward {
            None => self.keep(known, own, item),
            Some(Forward { to, keep_copy: false }) => {
                self.redirect(name, own, item, to, Why::Forwarded { keeps_copy: false });
                Ok(())
            }
            Some(Forward { to, keep_copy: true }) => {
                let copy = Recipient {
                    address: to.clone(),
                    notify: without_success(item.to.notify),
                    orcpt: original(&item.to),
                };
                let why = Why::Forwarded { keeps_copy: true };
                self.found.changes.push(Change::Redirected { from: Some(own.clone()), to, why });
                // The mailbox has it, so nothing is lost where the copy goes in a circle.
                self.stack.push(Item { to: copy, trail: None, direct: false });
                self.keep(known, own, item)
            }
        }
    }

    /// The mailbox gets it, under its own address; what stands behind a `+` stays.
    fn keep(&mut self, known: &Known<'_>, own: Mailbox, item: Item) -> Result<(), Reply> {
        let Item { mut to, .. } = item;
        let resolved = own_form(known, &own, &to.address);
        if let Some(resolved) = resolved {
            to.orcpt = original(&to);
            let alias = std::mem::replace(&mut to.address, resolved);
            self.found.changes.push(Change::Resolved { alias, own });
        }
        self.arrive(to)
    }

    fn redirect(&mut self, name: Box<str>, own: Mailbox, item: Item, to: Mailbox, why: Why) {
        let next = Recipient { address: to.clone(), notify: item.to.notify, orcpt: original(&item.to) };
        self.trails.push((name, item.trail));
        self.stack.push(Item { to: next, trail: Some(self.trails.len() - 1), direct: false });
        self.found.changes.push(Change::Redirected { from: Some(own), to, why });
    }

    fn may_forward(&self, to: &Mailbox) -> bool {
        let ours = self.org.accepted_domain(to.domain()).is_some();
        ours || self.org.handling.remote_domain(to.domain()).is_none_or(|known| known.auto_forward)
    }
}

/// Two addresses with the same place are one mailbox, as far as we can know.
fn place_of(org: &Org, address: &Mailbox) -> Box<str> {
    let domain = address.domain_lower();
    match org.accepted_domain(&domain) {
        Some(ours) => format!("{}@{domain}", ours.mailbox_name(address.local())).into(),
        // RFC 5321 2.4: what stands before the @ means something to its own host only.
        None => format!("{}@{domain}", address.local()).into(),
    }
}

/// The recipient's own address for what was written; none if it was written so already, but for what stands behind a `+`.
fn own_form(known: &Known<'_>, own: &Mailbox, written: &Mailbox) -> Option<Mailbox> {
    if known.goes_by(written) {
        return None;
    }
    let Some((base, detail)) = written.local().split_once('+') else { return Some(own.clone()) };
    if known.goes_by(&Mailbox::parse(&format!("{base}@{}", written.domain()), true).ok()?) {
        return None;
    }
    // Written in full, or the alias has a + of its own.
    let is_alias = known.aliases().any(|alias| alias.as_str().eq_ignore_ascii_case(written.as_str()));
    let with_detail = || Mailbox::parse(&format!("{}+{detail}@{}", own.local(), own.domain()), true).ok();
    let detailed = if is_alias { None } else { with_detail() };
    Some(detailed.unwrap_or_else(|| own.clone()))
}
