//! Transport rules as the document says them. What they do to a message is the categorizer's.

use crate::pattern::{AddressPattern, fits};
use mail::{Mailbox, ReversePath};
use std::sync::Arc;

/// `[[rule]]`: what fits all of it, it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// Senders; none written is all.
    pub from: Option<Vec<AddressPattern>>,
    /// Recipients; none written is all.
    pub to: Option<Vec<AddressPattern>>,
    /// What the header must say.
    pub header: Option<HeaderTest>,
    /// The message is larger than so many bytes.
    pub over_bytes: Option<u64>,
    /// What is done.
    pub action: Action,
    /// No later rule is looked at for the recipients that it was about.
    pub stops: bool,
}

/// What a header field must say. Texts are in lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderTest {
    /// The field's name as written.
    pub name: Box<str>,
    /// One of these must stand in it.
    pub contains: Option<Vec<Box<str>>>,
    /// One of these must fit all of it.
    pub matches: Option<Vec<Box<str>>>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Refuses with 550 5.7.1 and this text.
    Refuse(Box<str>),
    /// Somebody else gets it instead.
    Redirect(Mailbox),
    /// Somebody gets it too.
    Copy(Mailbox),
    /// The message gets a field on top.
    TagHeader {
        /// The field's name.
        name: Box<str>,
        /// What stands behind the colon.
        value: Box<str>,
    },
    /// The subject gets a text in front of it.
    TagSubject(Box<str>),
}

impl Rule {
    /// It is about mail of this sender.
    pub fn covers_sender(&self, from: &ReversePath) -> bool {
        self.from.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers_sender(from)))
    }

    /// It is about mail to this address.
    pub fn covers_recipient(&self, to: &Mailbox) -> bool {
        self.to.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.covers(to)))
    }
}

impl Action {
    /// It changes the header of the message.
    pub fn tags(&self) -> bool {
        matches!(self, Action::TagHeader { .. } | Action::TagSubject(_))
    }
}

impl HeaderTest {
    /// One field of that name says it; `value` is unfolded and in lower case.
    pub fn fits(&self, value: &str) -> bool {
        let contains = |texts: &Vec<Box<str>>| texts.iter().any(|text| value.contains(&**text));
        let matches = |patterns: &Vec<Box<str>>| patterns.iter().any(|pattern| fits(pattern, value));
        self.contains.as_ref().is_none_or(contains) && self.matches.as_ref().is_none_or(matches)
    }
}
