//! The objects of the organization document, as the API shows them. Password hashes are never in it.

use directory::objects::{self, Value};
use serde::{Deserialize, Serialize};

use super::OrgVersion;

/// A kind of object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// What it is called: the section of `org.toml`.
    pub kind: String,
    /// There may be several; otherwise there is always one.
    pub several: bool,
    /// How many are written.
    pub written: usize,
    /// What it is for.
    pub what: String,
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What kind.
    pub kind: String,
    /// Its name; empty for what there is once.
    pub name: String,
    /// The line that it begins at in the document.
    pub line: Option<u32>,
    /// All its settings, in the order of the reference.
    pub fields: Vec<Field>,
}

/// One setting of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its key.
    pub key: String,
    /// What counts: a text, a list of texts, a number, `true` or `false`; `null` where nothing is written and there is no default.
    pub value: serde_json::Value,
    /// It stands in the document; otherwise it is the default.
    pub written: bool,
    /// What counts where `value` is `null`, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub otherwise: String,
}

/// What became of an order to make, change or remove an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChanged {
    /// What was done, in words.
    pub done: String,
    /// Nothing was done: only what would be is shown.
    pub dry_run: bool,
    /// Lines as of `diff -u`; empty if the document says so already.
    pub difference: Vec<String>,
    /// The version that counts now, in a cluster.
    pub version: Option<OrgVersion>,
    /// The file that was written, without a cluster.
    pub file: Option<String>,
    /// What is allowed but hardly meant.
    pub warnings: Vec<String>,
    /// What counts only from the next start on.
    pub after_restart: Vec<String>,
}

/// What a test of an object found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// What kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// All went well.
    pub ok: bool,
    /// What was looked at, one after the other.
    pub findings: Vec<Finding>,
}

/// One thing that a test looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What: a binding, a host, a file.
    pub what: String,
    /// `success`, `unable to connect`, `transient`, `permanent`, `external error`, or `information`.
    pub result: String,
    /// What was seen.
    pub detail: String,
}

impl Object {
    /// As it was read.
    pub(crate) fn of(kind: &str, object: objects::Object) -> Object {
        let field = |field: objects::Field| Field {
            key: field.setting.key.into(),
            otherwise: field.otherwise().into(),
            written: field.written,
            value: field.value.map_or(serde_json::Value::Null, json),
        };
        Object {
            kind: kind.into(),
            name: object.name,
            line: object.line,
            fields: object.fields.into_iter().map(field).collect(),
        }
    }
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.into(),
        Value::Texts(texts) => texts.into(),
        Value::Numbers(numbers) => numbers.into(),
        Value::Flag(flag) => flag.into(),
        Value::Number(number) => number.into(),
    }
}
