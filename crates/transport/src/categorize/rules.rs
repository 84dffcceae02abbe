//! Transport rules: what they make of the recipients of one message, and how they tag it. Pure.
//!
//! Always holds: each recipient walks the rules by itself, in the order of the document; rules see the recipients as the sender wrote
//! them; what a rule adds passes no rules. See `docs/decisions/rules.md`.

use super::expand::{Change, Why, original};
use directory::{Action, Org, Rule};
use mail::fields::fields;
use mail::{Enhanced, Notify, Recipient, Reply, ReversePath};
use spool::{Early, Settled};

/// What the header of a message says, as far as anybody here asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// For each rule: the header fits it. Empty where no rule looks at headers.
    fits: Vec<bool>,
    /// A robot's answer to somebody (RFC 3834 5).
    pub automatic_reply: bool,
}

impl Seen {
    /// Looks at a header.
    pub fn of(rules: &[Rule], header: &[u8]) -> Seen {
        let texts: Vec<(&[u8], String)> =
            fields(header).map(|field| (field.name, field.text().to_lowercase())).collect();
        let any = |name: &str, says: &dyn Fn(&str) -> bool| {
            texts.iter().any(|(known, text)| known.eq_ignore_ascii_case(name.as_bytes()) && says(text))
        };
        let fits = |rule: &Rule| rule.header.as_ref().is_none_or(|test| any(&test.name, &|text| test.fits(text)));
        Seen {
            fits: rules.iter().map(fits).collect(),
            automatic_reply: any("Auto-Submitted", &|text| text.starts_with("auto-replied")),
        }
    }

    fn fits(&self, rule: &Rule, at: usize) -> bool {
        rule.header.is_none() || self.fits.get(at).is_some_and(|fits| *fits)
    }
}

/// What rules made of a message.
#[derive(Debug, Default, PartialEq)]
pub struct Walked<'o> {
    /// Those that are left, and those that were added.
    pub recipients: Vec<Recipient>,
    /// Those that were refused.
    pub early: Vec<Early>,
    /// What was done.
    pub changes: Vec<Change>,
    /// How the header is to be changed, each tag once.
    pub tags: Vec<&'o Action>,
}

/// Walks the rules with each recipient. Where `size_bytes` is not known yet, walks end before the first rule that asks for it: tags
/// are known by then.
pub fn walk<'o>(
    org: &'o Org,
    from: &ReversePath,
    recipients: Vec<Recipient>,
    seen: &Seen,
    size_bytes: Option<u64>,
) -> Walked<'o> {
    let rules = &org.handling.rules;
    // What is the same for all recipients is asked once.
    let about: Vec<bool> =
        rules.iter().enumerate().map(|(at, rule)| rule.covers_sender(from) && seen.fits(rule, at)).collect();
    let mut walked = Walked::default();
    let mut copied = vec![false; rules.len()];
    for to in recipients {
        one(org, to, &about, size_bytes, &mut walked, &mut copied);
    }
    walked
}

fn one<'o>(
    org: &'o Org,
    mut to: Recipient,
    about: &[bool],
    size_bytes: Option<u64>,
    walked: &mut Walked<'o>,
    copied: &mut [bool],
) {
    let written = to.address.clone();
    let own = org.recipient_of(&written).map(|known| known.address());
    for (at, rule) in org.handling.rules.iter().enumerate() {
        match (rule.over_bytes, size_bytes) {
            (Some(_), None) => break,
            (Some(over), Some(size)) if size <= over => continue,
            _ => {}
        }
        let is_about_it = rule.covers_recipient(&written) || own.as_ref().is_some_and(|own| rule.covers_recipient(own));
        if !about[at] || !is_about_it {
            continue;
        }
        match &rule.action {
            Action::Refuse(text) => {
                let reply = Reply::of(550, Enhanced::new(5, 7, 1), text.to_string());
                walked.early.push(Early { recipient: to, outcome: Settled::Failed(reply) });
                return;
            }
            Action::Redirect(target) => {
                to.orcpt = original(&to);
                let from = std::mem::replace(&mut to.address, target.clone());
                let why = Why::Rule(rule.name.clone());
                walked.changes.push(Change::Redirected { from: Some(from), to: target.clone(), why });
            }
            Action::Copy(target) if !copied[at] => {
                copied[at] = true;
                walked.recipients.push(Recipient { notify: Notify::Never, ..Recipient::new(target.clone()) });
                let why = Why::Copy(rule.name.clone());
                walked.changes.push(Change::Redirected { from: None, to: target.clone(), why });
            }
            Action::Copy(_) => {}
            tag => {
                if !walked.tags.iter().any(|known| std::ptr::eq(*known, tag)) {
                    walked.tags.push(tag);
                }
            }
        }
        if rule.stops {
            break;
        }
    }
    walked.recipients.push(to);
}
