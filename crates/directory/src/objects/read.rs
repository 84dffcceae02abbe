//! Objects as they are written, with the defaults of what is not.

use super::layout::{Layout, Table};
use super::{ObjectError, Value, kind_word, naming};
use crate::settings::{Default, Section, Setting};
use crate::usage::Usage;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What names it; empty for what there is once.
    pub name: String,
    /// Where it is written; nothing if all of it is default.
    pub line: Option<u32>,
    /// All its settings, in order of the rows.
    pub fields: Vec<Field>,
}

/// One setting of an object.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its row.
    pub setting: &'static Setting,
    /// What counts; nothing where the default is no value.
    pub value: Option<Value>,
    /// It is written.
    pub written: bool,
}

impl PartialEq for Field {
    fn eq(&self, other: &Field) -> bool {
        self.setting.key == other.setting.key && self.value == other.value && self.written == other.written
    }
}

impl Eq for Field {}

impl Field {
    /// What counts instead where there is no value, in words.
    pub fn otherwise(&self) -> &'static str {
        match (&self.value, self.setting.default) {
            (None, Default::Absent(words)) => words,
            _ => "",
        }
    }
}

/// All objects of a kind, in order of the document; of one that there is once, that one.
pub fn objects(text: &str, section: &'static Section) -> Result<Vec<Object>, ObjectError> {
    let layout = Layout::of(text)?;
    let tables = layout.tables(section)?;
    if tables.is_empty() && !section.repeated {
        return Ok(vec![Object { name: String::new(), line: None, fields: fields(section, None) }]);
    }
    Ok(tables.iter().map(|table| read(&layout, section, table)).collect())
}

/// The object of that name.
pub fn object(text: &str, section: &'static Section, name: &str) -> Result<Object, ObjectError> {
    let mut all = objects(text, section)?;
    let names: Vec<String> = all.iter().map(|object| object.name.clone()).collect();
    Ok(all.swap_remove(find(&names, section, name)?))
}

fn read(layout: &Layout<'_>, section: &'static Section, table: &Table<'_, '_>) -> Object {
    Object {
        name: name(section, table),
        line: table.header.as_ref().map(|header| layout.line_of(header.start)),
        fields: fields(section, Some(table)),
    }
}

/// What names an object.
pub(super) fn name(section: &'static Section, table: &Table<'_, '_>) -> String {
    let written = |key: &str| table.find(key).and_then(|(_, value, _)| Value::of(value));
    if !section.repeated {
        String::new()
    } else {
        written(naming(section).key).map_or(String::new(), |value| value.text())
    }
}

fn fields(section: &'static Section, table: Option<&Table<'_, '_>>) -> Vec<Field> {
    let field = |setting: &'static Setting| Field {
        setting,
        value: effective(setting, table),
        written: written(table, setting.key).is_some(),
    };
    section.settings.iter().map(field).collect()
}

fn written(table: Option<&Table<'_, '_>>, key: &str) -> Option<Value> {
    table?.find(key).and_then(|(_, value, _)| Value::of(value))
}

/// What counts in a table: what is written, or else the default.
pub(super) fn effective(setting: &Setting, table: Option<&Table<'_, '_>>) -> Option<Value> {
    if let Some(value) = written(table, setting.key) {
        return Some(value);
    }
    if let Some(value) = preset(table, setting.key) {
        return Some(value);
    }
    let protocol = written(table, "protocol").or_else(|| preset(table, "protocol"));
    match setting.default {
        Default::BySubmission(_, literal) if protocol == Some(Value::Text("submission".into())) => {
            Value::of_literal(literal)
        }
        _ => default_of(setting),
    }
}

/// What the usage of a receive connector puts in the place of a key that is not written.
fn preset(table: Option<&Table<'_, '_>>, key: &str) -> Option<Value> {
    let Some(Value::Text(word)) = written(table, "usage") else { return None };
    let (_, usage) = Usage::WORDS.iter().find(|(known, _)| *known == word)?;
    let (_, literal) = usage.presets().iter().find(|(known, _)| *known == key)?;
    Value::of_literal(literal)
}

/// What counts where a setting is not written, on a connector that is none for submission; nothing where that is no value.
pub fn default_of(setting: &Setting) -> Option<Value> {
    match setting.default {
        Default::Needed | Default::Absent(_) => None,
        Default::Is(literal) | Default::BySubmission(literal, _) => Value::of_literal(literal),
    }
}

/// The place of an object among those of its kind: the same name, or the only one that differs in case alone.
pub(super) fn find(names: &[String], section: &Section, name: &str) -> Result<usize, ObjectError> {
    if !section.repeated {
        return Ok(0);
    }
    if let Some(at) = names.iter().position(|other| other == name) {
        return Ok(at);
    }
    let alike: Vec<usize> = (0..names.len()).filter(|at| names[*at].eq_ignore_ascii_case(name)).collect();
    match alike[..] {
        [only] => Ok(only),
        _ => {
            let kind = kind_word(section);
            let near = crate::read::did_you_mean(name, names.iter().map(String::as_str)).unwrap_or_default();
            let error = format!("there is no {kind} \"{name}\"{near}");
            Err(ObjectError::missing(error, format!("posthouse org get {kind} lists them")))
        }
    }
}
