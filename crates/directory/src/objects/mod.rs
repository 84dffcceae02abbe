//! The objects of an organization document as operators name them, KIND and NAME: read, made, changed and removed one by one in the text.
//!
//! Owns which kinds there are (the sections of the [`settings`](crate::settings) rows: a new section has its verbs by having rows) and
//! what an edit does to a text. Refuses to know what a document means: whoever edits has the result checked as a whole. Always holds:
//! an edit changes the bytes of its own object only; comments, order and formatting of all else stay as they are.

mod edit;
mod layout;
mod read;
mod value;

pub use edit::{Change, Verb, edited};
pub use read::{Field, Object, default_of, object, objects};
pub use value::Value;

use crate::read::did_you_mean;
use crate::settings::{ORG, Section, Setting};
use std::fmt;

/// Why an object cannot be read or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    /// Nothing of that name is there.
    pub missing: bool,
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub what_to_do: String,
}

impl ObjectError {
    fn bad(error: String, what_to_do: impl Into<String>) -> ObjectError {
        ObjectError { missing: false, error, what_to_do: what_to_do.into() }
    }

    fn missing(error: String, what_to_do: impl Into<String>) -> ObjectError {
        ObjectError { missing: true, error, what_to_do: what_to_do.into() }
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.what_to_do)
    }
}

impl std::error::Error for ObjectError {}

/// What a kind is called: the name of its section; [`TOP`] for what stands before the first table.
pub fn kind_word(section: &Section) -> &'static str {
    if section.name.is_empty() { TOP } else { section.name }
}

/// The kind that a word means: `send_connector`, `send-connector`, `SendConnector`.
pub fn kind(word: &str) -> Result<&'static Section, ObjectError> {
    let plain = |word: &str| -> String {
        word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
    };
    let found = ORG.iter().find(|section| plain(kind_word(section)) == plain(word));
    found.ok_or_else(|| {
        let words: Vec<&str> = ORG.iter().map(kind_word).collect();
        let near = did_you_mean(word, words.iter().copied()).unwrap_or_default();
        ObjectError::missing(
            format!("there is no kind of object \"{word}\"{near}"),
            format!("the kinds are {}", words.join(", ")),
        )
    })
}

/// The key whose value names an object of a repeated section: `name`, or the first one.
pub fn naming(section: &Section) -> &'static Setting {
    section.setting("name").unwrap_or(&section.settings[0])
}

/// The kind of what stands before the first table.
pub const TOP: &str = "organization";
