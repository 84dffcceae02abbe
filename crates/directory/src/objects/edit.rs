//! Edits of a document's text, one object at a time. Always holds: what an edit does not name keeps its bytes; the result is TOML; a
//! comment goes only with the line or the table that it stands at.

use std::ops::Range;

use super::layout::{Layout, Table};
use super::read::{effective, find, name};
use super::{ObjectError, Value, kind_word, naming};
use crate::quoted::quoted;
use crate::read::did_you_mean;
use crate::settings::{Kind, Section, Setting};

/// What is to be done to which object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What kind of object.
    pub section: &'static Section,
    /// Its name; empty for what there is once.
    pub name: String,
    /// What is done.
    pub verb: Verb,
    /// Values that it gets.
    pub set: Vec<(String, Value)>,
    /// What its lists get besides.
    pub add: Vec<(String, Value)>,
    /// What its lists lose.
    pub take: Vec<(String, Value)>,
    /// Values that go back to their defaults.
    pub unset: Vec<String>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is made.
    New,
    /// It is changed.
    Set,
    /// It is removed.
    Remove,
}

impl PartialEq for Section {
    fn eq(&self, other: &Section) -> bool {
        self.name == other.name
    }
}

/// The text after the change. Whether it means something is not looked at.
pub fn edited(text: &str, change: &Change) -> Result<String, ObjectError> {
    let layout = Layout::of(text)?;
    let section = change.section;
    let tables = layout.tables(section)?;
    let names: Vec<String> = tables.iter().map(|table| name(section, table)).collect();
    let edit = Edit { text, layout: &layout, section };
    if !section.repeated && change.verb != Verb::Set {
        let kind = kind_word(section);
        let error = format!("there is always one {kind} and never another");
        return Err(ObjectError::bad(
            error,
            format!("posthouse org set {kind} changes it; key- takes a value back to its default"),
        ));
    }
    match change.verb {
        Verb::New => edit.made(change, &tables, &names),
        Verb::Set if tables.is_empty() && !section.repeated => edit.made(change, &tables, &names),
        Verb::Set => edit.changed(change, &tables[find(&names, section, &change.name)?]),
        Verb::Remove => Ok(edit.removed(&tables[find(&names, section, &change.name)?])),
    }
}

/// An edit under way.
struct Edit<'e, 't> {
    text: &'t str,
    layout: &'e Layout<'t>,
    section: &'static Section,
}

impl<'t> Edit<'_, 't> {
    /// The text with a new table behind the last one of its kind.
    fn made(&self, change: &Change, tables: &[Table<'_, 't>], names: &[String]) -> Result<String, ObjectError> {
        let (kind, mut lines) = (kind_word(self.section), vec![self.section.heading()]);
        if self.section.repeated {
            let key = naming(self.section);
            if names.iter().any(|name| name.eq_ignore_ascii_case(&change.name)) {
                let error = format!("there is a {kind} \"{}\" already", change.name);
                return Err(ObjectError::bad(
                    error,
                    format!("posthouse org set {kind} changes it, or choose another name"),
                ));
            }
            lines.push(format!("{} = {}", key.key, Value::Text(change.name.clone()).literal(key)?));
        }
        for (key, literal) in self.literals(change, None)? {
            match literal {
                Some(literal) if !(self.section.repeated && key == naming(self.section).key) => {
                    lines.push(format!("{key} = {literal}"));
                }
                _ => {}
            }
        }
        if lines.len() == 1 {
            return Ok(self.text.into());
        }
        let at = tables.last().map_or(self.text.len(), |last| self.layout.with_comment_below(last.end(self.layout)));
        let before = &self.text[..at];
        let blank = before.is_empty() || before.ends_with("\n\n") || before.ends_with("\n\r\n");
        let mut block = String::from(if blank { "" } else { "\n" });
        if !before.is_empty() && !before.ends_with('\n') {
            block.insert(0, '\n');
        }
        block += &lines.join("\n");
        block.push('\n');
        Ok(self.with(vec![(at..at, block)]))
    }

    fn changed(&self, change: &Change, table: &Table<'_, 't>) -> Result<String, ObjectError> {
        let (mut parts, mut new) = (Vec::new(), String::new());
        let indent = table.indent(self.text, self.layout);
        for (key, literal) in self.literals(change, Some(table))? {
            match (table.find(key), literal) {
                (Some((_, _, value)), Some(literal)) => parts.push((value, literal)),
                (Some((key, _, value)), None) => {
                    let line = self.layout.line_start(key.start)..self.layout.line_end(value.end);
                    parts.push((line, String::new()));
                }
                (None, Some(literal)) => new += &format!("{indent}{key} = {literal}\n"),
                (None, None) => {}
            }
        }
        if !new.is_empty() {
            let at = match (&table.header, table.end(self.layout)) {
                (None, 0) => self.before_first_table(&mut new),
                (_, end) => end,
            };
            if at > 0 && !self.text[..at].ends_with('\n') {
                new.insert(0, '\n');
            }
            parts.push((at..at, new));
        }
        parts.sort_by_key(|(place, _)| (place.start, place.end));
        Ok(self.with(parts))
    }

    /// Where the first key of a document goes that has only tables.
    fn before_first_table(&self, new: &mut String) -> usize {
        let header = self.layout.first_header();
        new.push('\n');
        match self.layout.with_comment_above(header) {
            // What a file begins with is about the file.
            0 => header,
            above => above,
        }
    }

    fn removed(&self, table: &Table<'_, 't>) -> String {
        let head = table.header.as_ref().map_or(0, |header| self.layout.line_start(header.start));
        let start = match self.layout.with_comment_above(head) {
            0 => head,
            above => above,
        };
        let mut end = self.layout.with_comment_below(table.end(self.layout));
        // Of the blank lines around it one is left.
        let is_blank = |line: &str| line.trim().is_empty();
        if start == 0 || is_blank(&self.text[self.layout.line_start(start - 1)..start]) {
            while end < self.text.len() && is_blank(&self.text[end..self.layout.line_end(end)]) {
                end = self.layout.line_end(end);
            }
        }
        let rest = self.with(vec![(start..end, String::new())]);
        if end == self.text.len() && !rest.is_empty() { rest.trim_end().to_string() + "\n" } else { rest }
    }

    /// The literals of all keys that change, each key once; nothing for one that goes back to its default.
    fn literals(
        &self,
        change: &Change,
        table: Option<&Table<'_, 't>>,
    ) -> Result<Vec<(&'static str, Option<String>)>, ObjectError> {
        let mut all: Vec<(&'static str, Option<String>)> = Vec::new();
        for (key, value) in &change.set {
            let row = self.row(key)?;
            all.push((row.key, Some(value.literal(row)?)));
        }
        for key in &change.unset {
            all.push((self.row(key)?.key, None));
        }
        let lists = change.add.iter().chain(&change.take);
        let mut lists: Vec<&'static Setting> = lists.map(|(key, _)| self.row(key)).collect::<Result<_, _>>()?;
        lists.sort_by_key(|row| row.key);
        lists.dedup_by_key(|row| row.key);
        for row in lists {
            all.push((row.key, Some(self.list(change, row, table)?)));
        }
        // In the order of the reference, whatever order they are given in.
        all.sort_by_key(|(key, _)| self.section.settings.iter().position(|row| row.key == *key));
        for (at, (key, _)) in all.iter().enumerate() {
            if all[..at].iter().any(|(other, _)| other == key) {
                return Err(ObjectError::bad(format!("{key} is given twice"), "give each key once"));
            }
        }
        Ok(all)
    }

    /// A list with what comes to it and without what goes.
    fn list(
        &self,
        change: &Change,
        row: &'static Setting,
        table: Option<&Table<'_, 't>>,
    ) -> Result<String, ObjectError> {
        if !matches!(row.kind, Kind::Texts | Kind::Choices(_) | Kind::Counts(..)) {
            let error = format!("{} is no list", row.key);
            return Err(ObjectError::bad(error, format!("write {}=...", row.key)));
        }
        let mut texts = effective(row, table).and_then(|value| value.texts()).unwrap_or_default();
        let of = |of: &[(String, Value)]| -> Result<Vec<String>, ObjectError> {
            let mine = of.iter().filter(|(key, _)| key == row.key);
            let wrong = || ObjectError::bad(format!("{} takes a list", row.key), format!("write {}+=a,b", row.key));
            Ok(mine.map(|(_, value)| value.texts().ok_or_else(wrong)).collect::<Result<Vec<_>, _>>()?.concat())
        };
        for text in of(&change.take)? {
            let before = texts.len();
            texts.retain(|other| !other.eq_ignore_ascii_case(&text));
            if texts.len() == before {
                let error = format!("{} does not hold \"{text}\"", row.key);
                return Err(ObjectError::bad(error, format!("it holds {}", texts.join(", "))));
            }
        }
        for text in of(&change.add)? {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let wrong = || ObjectError::bad(format!("{} takes whole numbers", row.key), format!("write {}+=1,2", row.key));
        super::value::list(row, &texts).ok_or_else(wrong)
    }

    fn row(&self, key: &str) -> Result<&'static Setting, ObjectError> {
        self.section.setting(key).ok_or_else(|| {
            let keys = || self.section.settings.iter().map(|setting| setting.key);
            let near = did_you_mean(key, keys()).unwrap_or_default();
            let error = format!("a {} has no key {}{near}", kind_word(self.section), quoted(key));
            ObjectError::bad(error, format!("its keys are {}", keys().collect::<Vec<_>>().join(", ")))
        })
    }

    /// The text with others in the place of some of its parts, which are in order. Line ends are those that it has.
    fn with(&self, parts: Vec<(Range<usize>, String)>) -> String {
        let (mut out, mut from) = (String::with_capacity(self.text.len() + 256), 0);
        let crlf = self.text.contains("\r\n");
        for (place, by) in parts {
            out.push_str(&self.text[from..place.start]);
            out.push_str(&if crlf { by.replace('\n', "\r\n") } else { by });
            from = place.end;
        }
        out.push_str(&self.text[from..]);
        out
    }
}
