//! Every setting of both documents, once: name, kind, default, bounds and meaning. The reader, the dump and the reference in
//! `docs/configuration.md` all come from these rows, so that none of them can say something else.

mod back_pressure;
mod dns_server;
mod node;
mod org;
mod reference;

pub use node::NODE;
pub use org::ORG;
pub use reference::reference;

use crate::unit::{bytes_text, duration_text};

/// One table of a document.
#[derive(Debug)]
pub struct Section {
    /// The table's name; empty for what stands before the first table.
    pub name: &'static str,
    /// Written `[[name]]`, as often as needed.
    pub repeated: bool,
    /// What it is for.
    pub what: &'static str,
    /// Its keys.
    pub settings: &'static [Setting],
}

/// One key.
#[derive(Debug)]
pub struct Setting {
    /// The word before the `=`.
    pub key: &'static str,
    /// What stands behind it.
    pub kind: Kind,
    /// What counts when it is not written.
    pub default: Default,
    /// What it means.
    pub what: &'static str,
}

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A list of texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A whole number between these two.
    Count(u64, u64),
    /// A list of whole numbers, each between these two.
    Counts(u64, u64),
    /// A size (`"36MB"`, or a number of bytes) between these two.
    Bytes(u64, u64),
    /// A duration (`"5m"`) between these two, in milliseconds.
    Duration(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words.
    Choices(&'static [&'static str]),
}

/// What counts when a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// It must be written.
    Needed,
    /// Nothing; the text says what that means.
    Absent(&'static str),
    /// This TOML value.
    Is(&'static str),
    /// The first TOML value; the second one on a submission connector.
    BySubmission(&'static str, &'static str),
}

impl Section {
    /// The row of a key.
    pub fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// The section as an operator writes it: `[http]`, `[[user]]`.
    pub fn heading(&self) -> String {
        match (self.name, self.repeated) {
            ("", _) => "the top of the file".into(),
            (name, false) => format!("[{name}]"),
            (name, true) => format!("[[{name}]]"),
        }
    }
}

impl Kind {
    /// A number as a value of this kind is written.
    pub fn written(self, number: u64) -> String {
        match self {
            Kind::Bytes(..) => bytes_text(number),
            Kind::Duration(..) => duration_text(number),
            _ => number.to_string(),
        }
    }
}

const fn row(key: &'static str, kind: Kind, default: Default, what: &'static str) -> Setting {
    Setting { key, kind, default, what }
}

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;
const TB: u64 = 1 << 40;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
