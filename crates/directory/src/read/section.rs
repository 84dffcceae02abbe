//! One table of a document, read by the rows of [`settings`](crate::settings): a key that has no row is a problem, a value of the
//! wrong kind is a problem and its default goes on in its place.

use super::document::{Document, did_you_mean, key_at};
use crate::settings::{self, Default, Kind, Setting};
use crate::unit::{parse_bytes, parse_duration_ms};
use std::net::SocketAddr;
use toml::de::{DeTable, DeValue};

/// One table while it is read.
pub struct Section<'d, 't> {
    document: &'d Document<'t>,
    row: &'static settings::Section,
    table: Option<&'d DeTable<'t>>,
    at: usize,
    submission: bool,
    presets: &'static [(&'static str, &'static str)],
}

/// A value with its place in the document.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Byte offset.
    pub at: usize,
}

impl<'d, 't> Section<'d, 't> {
    pub(super) fn new(
        document: &'d Document<'t>,
        row: &'static settings::Section,
        table: Option<&'d DeTable<'t>>,
        at: usize,
    ) -> Section<'d, 't> {
        let section = Section { document, row, table, at, submission: false, presets: &[] };
        // What stands at the top of the file is looked at with the names of sections.
        for (name, at) in table.into_iter().flatten().map(|(key, _)| key_at(key)).filter(|_| !row.name.is_empty()) {
            if row.setting(name).is_none() {
                let hint =
                    did_you_mean(name, row.settings.iter().map(|s| s.key)).unwrap_or_else(|| document.homes(name));
                section.document.problem(at, format!("unknown key \"{name}\" in {}{hint}", row.heading()));
            }
        }
        section
    }

    /// From here on the defaults of a submission connector count.
    pub fn is_submission(&mut self) {
        self.submission = true;
    }

    /// These values stand in for keys that are not written, before the defaults of the rows.
    pub fn use_presets(&mut self, presets: &'static [(&'static str, &'static str)]) {
        self.presets = presets;
    }

    /// The document.
    pub fn document(&self) -> &'d Document<'t> {
        self.document
    }

    /// A problem at the value of a key, or at the section's head if the key is not written.
    pub fn problem(&self, key: &str, text: impl Into<String>) {
        self.document.problem(self.at(key), text);
    }

    /// The same for a warning.
    pub fn warning(&self, key: &str, text: impl Into<String>) {
        self.document.warning(self.at(key), text);
    }

    /// The place of a key's value, or of the section's head.
    pub fn at(&self, key: &str) -> usize {
        self.written(key).map_or(self.at, |(_, at)| at)
    }

    /// The place of the section's head.
    pub fn head(&self) -> usize {
        self.at
    }

    /// The key is written.
    pub fn has(&self, key: &str) -> bool {
        self.written(key).is_some()
    }

    /// A text, or nothing where there is no default (a needed one that is not written is a problem).
    pub fn text(&self, key: &str) -> Option<At<String>> {
        let (value, at) = self.value(key)?;
        let text = value.as_str().map(str::to_string);
        let text = self.or_wrong(key, at, text, &value)?;
        if text.trim().is_empty() || text.contains(char::is_control) {
            self.document.problem(at, format!("{key} must not be empty or hold control characters"));
            return None;
        }
        Some(At { value: text, at })
    }

    /// A text of this section as an address and port to listen on.
    pub fn socket(&self, text: &At<String>) -> Option<SocketAddr> {
        let parsed: Option<SocketAddr> = text.value.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
        if parsed.is_none() {
            let hint = "write address:port, for example 127.0.0.1:25, 0.0.0.0:25 or [::]:25";
            self.document.problem(text.at, format!("\"{}\" is no address to listen on; {hint}", text.value));
        }
        parsed
    }

    /// A list of texts; nothing where there is no default. A single text counts as a list of one.
    pub fn texts(&self, key: &str) -> Option<Vec<At<String>>> {
        let (value, at) = self.value(key)?;
        match &value {
            DeValue::String(only) => Some(vec![At { value: only.to_string(), at }]),
            DeValue::Array(items) => items
                .iter()
                .map(|item| {
                    // Defaults are parsed by themselves: their places mean nothing here.
                    let at = if self.has(key) { item.span().start } else { at };
                    let text = item.get_ref().as_str().map(str::to_string);
                    self.or_wrong(key, at, text, item.get_ref()).map(|value| At { value, at })
                })
                .collect(),
            _ => self.or_wrong(key, at, None, &value),
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str) -> bool {
        self.with_default(key, |section, value, at| section.or_wrong(key, at, value.as_bool(), value))
            .unwrap_or_default()
    }

    /// A whole number within the bounds of its row.
    pub fn count(&self, key: &str) -> u32 {
        self.number(key).try_into().unwrap_or(u32::MAX)
    }

    /// Whole numbers, each within the bounds of its row; nothing where there is no default.
    pub fn counts(&self, key: &str) -> Option<At<Vec<u64>>> {
        let (value, at) = self.value(key)?;
        let number = |item: &DeValue<'_>| {
            let n = item.as_integer()?;
            u64::from_str_radix(n.as_str(), n.radix()).ok()
        };
        let items = value.as_array().and_then(|items| items.iter().map(|item| number(item.get_ref())).collect());
        let numbers: Vec<u64> = self.or_wrong(key, at, items, &value)?;
        let Kind::Counts(min, max) = self.setting(key).kind else { return None };
        if let Some(wrong) = numbers.iter().find(|number| !(min..=max).contains(*number)) {
            self.document.problem(at, format!("{key} = [.. {wrong} ..] is out of range; write {min} to {max}"));
            return None;
        }
        Some(At { value: numbers, at })
    }

    /// Bytes within the bounds of the row.
    pub fn bytes(&self, key: &str) -> u64 {
        self.number(key)
    }

    /// Milliseconds within the bounds of the row.
    pub fn duration_ms(&self, key: &str) -> u64 {
        self.number(key)
    }

    /// One of the words of the row, by its place there.
    pub fn choice<T: Copy>(&self, key: &str, of: &[(&'static str, T)]) -> T {
        let read = |section: &Self, value: &DeValue<'_>, at| {
            let word = section.or_wrong(key, at, value.as_str(), value)?;
            section.word(key, word, at, of)
        };
        self.with_default(key, read).unwrap_or(of[0].1)
    }

    /// Any of the words of the row; nothing where there is no default.
    pub fn choices<T: Copy>(&self, key: &str, of: &[(&'static str, T)]) -> Option<Vec<T>> {
        let words = self.texts(key)?;
        Some(words.iter().filter_map(|word| self.word(key, &word.value, word.at, of)).collect())
    }

    /// One of the words of the row.
    pub fn word<T: Copy>(&self, key: &str, word: &str, at: usize, of: &[(&'static str, T)]) -> Option<T> {
        let found = of.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let all = of.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            self.document.problem(at, format!("{key} knows no \"{word}\"; write one of {all}"));
        }
        found.map(|(_, value)| *value)
    }

    fn number(&self, key: &str) -> u64 {
        self.with_default(key, |section, value, at| section.read_number(key, value, at)).unwrap_or_default()
    }

    fn read_number(&self, key: &str, value: &DeValue<'_>, at: usize) -> Option<u64> {
        let kind = self.setting(key).kind;
        let whole = value.as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        let negative = value.as_integer().is_some_and(|n| n.as_str().starts_with('-'));
        let (read, min, max) = match kind {
            Kind::Bytes(min, max) => (whole.or_else(|| parse_bytes(value.as_str()?)), min, max),
            Kind::Duration(min, max) => (parse_duration_ms(value.as_str().unwrap_or_default()), min, max),
            Kind::Count(min, max) => (whole, min, max),
            _ => (None, 0, 0),
        };
        if !negative {
            let number = self.or_wrong(key, at, read, value)?;
            if (min..=max).contains(&number) {
                return Some(number);
            }
        }
        let bounds = format!("{} to {}", kind.written(min), kind.written(max));
        self.document.problem(at, format!("{key} = {} is out of range; write {bounds}", shown(value)));
        None
    }

    /// Reads what is written, or else the default.
    fn with_default<T>(&self, key: &str, read: impl Fn(&Self, &DeValue<'_>, usize) -> Option<T>) -> Option<T> {
        let written = self.value(key).and_then(|(value, at)| read(self, &value, at));
        written.or_else(|| read(self, &self.default(key)?, self.at))
    }

    /// The value, or a problem that says what to write instead.
    fn or_wrong<T>(&self, key: &str, at: usize, value: Option<T>, found: &DeValue<'_>) -> Option<T> {
        if value.is_none() {
            let wanted = match self.setting(key).kind {
                Kind::Text => "a text in quotes".into(),
                Kind::Texts | Kind::Choices(_) => "a list of texts like [\"a\", \"b\"]".into(),
                Kind::Flag => "true or false".into(),
                Kind::Counts(..) => "a list of whole numbers like [1, 2]".into(),
                Kind::Count(..) => "a whole number".into(),
                Kind::Bytes(..) => "a size like \"36MB\"".into(),
                Kind::Duration(..) => "a duration like \"30s\", \"5m\" or \"2d\"".into(),
                Kind::Choice(of) => {
                    format!("one of {}", of.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", "))
                }
            };
            self.document.problem(at, format!("{key} = {} is not understood; write {wanted}", shown(found)));
        }
        value
    }

    /// What is written, or else the default; a needed key that is not written is a problem.
    fn value(&self, key: &str) -> Option<(DeValue<'d>, usize)>
    where
        't: 'd,
    {
        if let Some((value, at)) = self.written(key) {
            return Some((value.clone(), at));
        }
        if self.setting(key).default == Default::Needed && self.preset(key).is_none() {
            let text = format!("{} has no {key}; add it: {key} = ...", self.row.heading());
            self.document.problem(self.at, text);
        }
        self.default(key).map(|value| (value, self.at))
    }

    fn written(&self, key: &str) -> Option<(&'d DeValue<'t>, usize)> {
        self.table?.get(key).map(|value| (value.get_ref(), value.span().start))
    }

    fn preset(&self, key: &str) -> Option<&'static str> {
        self.presets.iter().find(|(preset, _)| *preset == key).map(|(_, literal)| *literal)
    }

    fn default(&self, key: &str) -> Option<DeValue<'static>> {
        let literal = match self.setting(key).default {
            _ if self.preset(key).is_some() => self.preset(key)?,
            Default::Needed | Default::Absent(_) => return None,
            Default::Is(literal) => literal,
            Default::BySubmission(_, submission) if self.submission => submission,
            Default::BySubmission(literal, _) => literal,
        };
        DeValue::parse(literal).ok().map(toml::Spanned::into_inner)
    }

    /// The row of a key. Code and rows go together: a key without a row is an error of ours, which any test that reads the section finds.
    fn setting(&self, key: &str) -> &'static Setting {
        match self.row.setting(key) {
            Some(setting) => setting,
            None => panic!("{} has no row for {key}", self.row.heading()),
        }
    }
}

/// A value as it may be repeated in a problem.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", text.chars().take(80).collect::<String>().escape_debug()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "[...]".into(),
        DeValue::Table(_) => "{...}".into(),
    }
}
