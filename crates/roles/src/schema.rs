//! A JSON Schema (draft 2020-12) of both documents, for editors: made from the same rows as the reader and the reference.
//!
//! Knows what JSON Schema can say: types, words, bounds of numbers, forms of texts. What it cannot say (that a name is there, that ranges do
//! not cross, how large a size in words is) only the check of a document finds. Always holds: what the reader takes, the schema takes.

use directory::objects::{Value as Written, default_of};
use directory::settings::{Default, Kind, NODE, ORG, Section, Setting};
use serde_json::{Map, Value, json};

/// The document that a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `org.toml`
    Org,
    /// `posthouse.toml`
    Node,
}

/// The schema of a document.
pub fn schema(of: Document) -> Value {
    let (file, sections) = match of {
        Document::Org => ("org.toml", ORG),
        Document::Node => ("posthouse.toml", NODE),
    };
    let mut properties = Map::new();
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{file} of Posthouse {}", env!("CARGO_PKG_VERSION")),
        "type": "object",
        "additionalProperties": false,
    });
    for section in sections {
        if section.name.is_empty() {
            root["description"] = section.what.into();
            properties.extend(section.settings.iter().map(|setting| (setting.key.to_string(), of_setting(setting))));
            continue;
        }
        let table = of_table(section);
        let named = match section.repeated {
            true => json!({ "type": "array", "items": table, "description": section.what }),
            false => table,
        };
        properties.insert(section.name.into(), named);
    }
    root["properties"] = Value::Object(properties);
    root
}

fn of_table(section: &Section) -> Value {
    let properties = section.settings.iter().map(|setting| (setting.key.to_string(), of_setting(setting)));
    let needed = section.settings.iter().filter(|setting| setting.default == Default::Needed);
    json!({
        "type": "object",
        "description": section.what,
        "additionalProperties": false,
        "properties": properties.collect::<Map<_, _>>(),
        "required": needed.map(|setting| setting.key).collect::<Vec<_>>(),
    })
}

fn of_setting(setting: &Setting) -> Value {
    let mut schema = of_kind(setting.kind);
    let mut what = setting.what.to_string();
    let mut say = |text: &str| {
        what.push(if what.ends_with(['.', ':']) { ' ' } else { '\n' });
        what.push_str(text);
    };
    if let Kind::Bytes(min, max) | Kind::Duration(min, max) = setting.kind {
        say(&format!("From {} to {}.", setting.kind.written(min), setting.kind.written(max)));
    }
    match setting.default {
        Default::Absent(words) => say(&format!("Not written: {words}.")),
        Default::BySubmission(_, submission) => say(&format!("On a submission connector the default is {submission}.")),
        Default::Needed | Default::Is(_) => {}
    }
    if let Some(default) = default_of(setting) {
        schema["default"] = json_of(default);
    }
    schema["description"] = what.into();
    schema
}

fn of_kind(kind: Kind) -> Value {
    // A single text counts as a list of one.
    let list = |item: Value| json!({ "anyOf": [{ "type": "array", "items": item.clone() }, item] });
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Texts => list(json!({ "type": "string" })),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Counts(min, max) => {
            json!({ "type": "array", "items": { "type": "integer", "minimum": min, "maximum": max } })
        }
        Kind::Bytes(min, max) => json!({
            "anyOf": [
                { "type": "integer", "minimum": min, "maximum": max },
                { "type": "string", "pattern": "^[0-9]+\\s*([kKmMgGtT][iI]?)?[bB]$" },
            ],
        }),
        Kind::Duration(..) => json!({ "type": "string", "pattern": "^(0|[0-9]+\\s*([mM][sS]|[sSmMhHdD]))$" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Choices(words) => list(json!({ "type": "string", "enum": words })),
    }
}

fn json_of(value: Written) -> Value {
    match value {
        Written::Text(text) => text.into(),
        Written::Texts(texts) => texts.into(),
        Written::Numbers(numbers) => numbers.into(),
        Written::Flag(flag) => flag.into(),
        Written::Number(number) => number.into(),
    }
}
