//! Who is in the groups that choose by attributes: made once for a version of the recipients, not once a message.

use crate::recipients::{Is, Recipient, Recipients};
use mail::Mailbox;
use std::collections::HashMap;

/// Members of dynamic groups, by the group's own address in lower case.
#[derive(Debug, Default)]
pub(crate) struct Dynamic {
    members: HashMap<Box<str>, Vec<Mailbox>>,
}

/// A group that chooses: its name, and what it chooses by, values in lower case.
struct Chooser {
    group: Box<str>,
    having: Vec<(Box<str>, String)>,
}

impl Dynamic {
    /// Looks at every recipient once. A second or so for a million of them: not for a thread that serves connections.
    pub fn of(recipients: &Recipients) -> Dynamic {
        let choosers: Vec<Chooser> = recipients.iter().filter_map(|recipient| chooser(&recipient)).collect();
        let mut by_first: HashMap<&str, HashMap<&str, Vec<&Chooser>>> = HashMap::new();
        for chooser in &choosers {
            let Some((name, value)) = chooser.having.first() else { continue };
            by_first.entry(name).or_default().entry(value).or_default().push(chooser);
        }
        let mut dynamic = Dynamic::default();
        if choosers.is_empty() {
            return dynamic;
        }
        for recipient in recipients.iter() {
            for (name, by_value) in &by_first {
                let values = recipient.attribute(name).map(str::to_lowercase);
                let chosen = values.filter_map(|value| by_value.get(&*value)).flatten();
                for chooser in chosen.filter(|chooser| chooser.covers(&recipient)) {
                    let members = dynamic.members.entry(chooser.group.clone()).or_default();
                    // Two values of one attribute may both lead here.
                    let address = recipient.address();
                    if members.last() != Some(&address) {
                        members.push(address);
                    }
                }
            }
        }
        dynamic
    }

    /// The members of a group by its own address.
    pub fn members(&self, group: &Mailbox) -> &[Mailbox] {
        self.members.get(&*group.as_str().to_lowercase()).map_or(&[], Vec::as_slice)
    }
}

impl Chooser {
    fn covers(&self, recipient: &Recipient<'_>) -> bool {
        self.having.iter().all(|(name, wanted)| recipient.attribute(name).any(|value| value.to_lowercase() == *wanted))
    }
}

fn chooser(recipient: &Recipient<'_>) -> Option<Chooser> {
    match recipient.is() {
        Is::Group { having, .. } if !having.is_empty() => Some(Chooser {
            group: recipient.address().as_str().to_lowercase().into(),
            having: having
                .into_iter()
                .map(|(name, value)| (name.to_lowercase().into(), value.to_lowercase()))
                .collect(),
        }),
        _ => None,
    }
}
