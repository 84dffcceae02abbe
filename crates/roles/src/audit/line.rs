//! Lines of the audit log: JSON, one that says what is asked for and one that says what came of it, with the same number.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Deed, Entry, Outcome};

/// Either of the two. What has no value is not written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Which deed.
    #[serde(rename = "n")]
    pub number: u64,
    /// When the line was written.
    pub when: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    who: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unix_user: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    verb: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    object: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    asked: Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    result: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    before: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    after: Value,
}

impl Line {
    /// What is asked for.
    pub fn begun(number: u64, when: String, deed: &Deed) -> Line {
        Line {
            number,
            when,
            who: short(&deed.who),
            from: deed.from.clone(),
            unix_user: deed.unix_user.clone(),
            verb: short(&deed.verb),
            object: short(&deed.object),
            asked: bounded(deed.asked.clone()),
            ..Line::default()
        }
    }

    /// What came of it.
    pub fn ended(number: u64, when: String, outcome: &Outcome) -> Line {
        Line {
            number,
            when,
            result: if outcome.done { "done" } else { "refused" }.into(),
            why: outcome.why.as_ref().map(|why| why.chars().take(WHY_CHARS_MAX).collect()),
            before: bounded(outcome.before.clone()),
            after: bounded(outcome.after.clone()),
            ..Line::default()
        }
    }

    /// It is the first of the two.
    pub fn is_begin(&self) -> bool {
        self.result.is_empty()
    }

    /// As it is written.
    pub fn bytes(&self) -> Vec<u8> {
        // These types always serialize.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Nothing for padding, and for what a power cut has torn.
    pub fn parse(bytes: &[u8]) -> Option<Line> {
        if bytes.is_empty() { None } else { serde_json::from_slice(bytes).ok() }
    }

    /// The deed that this begins, with its end.
    pub fn entry(self, end: Option<Line>) -> Entry {
        let end = end.unwrap_or_else(|| Line { result: "not known".into(), ..Line::default() });
        Entry {
            number: self.number,
            when: self.when,
            who: self.who,
            from: self.from,
            unix_user: self.unix_user,
            verb: self.verb,
            object: self.object,
            asked: self.asked,
            result: end.result,
            why: end.why,
            before: end.before,
            after: end.after,
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(WORD_CHARS_MAX).collect()
}

/// A value that is too long says how long it is instead; of lines the first ones are kept.
fn bounded(value: Value) -> Value {
    let long = |value: &Value| serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len());
    if long(&value) <= VALUE_BYTES_MAX {
        return value;
    }
    if let Value::Object(fields) = value {
        let fields = fields.into_iter().map(|(key, value)| (key, bounded_part(value)));
        return Value::Object(fields.collect());
    }
    bounded_part(value)
}

fn bounded_part(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let (mut kept, mut bytes, count) = (Vec::new(), 0, items.len());
            for item in items {
                bytes += serde_json::to_vec(&item).map_or(usize::MAX, |text| text.len());
                if bytes > PART_BYTES_MAX {
                    kept.push(format!("... {} of {count} are left out", count - kept.len()).into());
                    break;
                }
                kept.push(item);
            }
            Value::Array(kept)
        }
        other => {
            let text = other.to_string();
            if text.len() <= PART_BYTES_MAX { other } else { format!("({} bytes, left out)", text.len()).into() }
        }
    }
}

const WORD_CHARS_MAX: usize = 300;
const WHY_CHARS_MAX: usize = 4_000;
/// Of `asked`, `before` and `after`, each.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Of one field of theirs, where they are longer.
const PART_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_bound_whatever_is_in_it() {
        let lines: Vec<String> = (0..50_000).map(|n| format!("+line {n}")).collect();
        let after = serde_json::json!({ "version": 7, "difference": lines, "long": "x".repeat(1 << 20) });
        let outcome = Outcome { done: true, after, why: Some("y".repeat(1 << 20)), ..Outcome::default() };
        let line = Line::ended(1, String::new(), &outcome);
        assert!(line.bytes().len() < VALUE_BYTES_MAX, "{}", line.bytes().len());
        assert_eq!((&line.after["version"], &line.after["difference"][0]), (&7.into(), &"+line 0".into()));
        let deed = Deed { who: "z".repeat(1 << 20), asked: "q".repeat(1 << 20).into(), ..Deed::default() };
        assert!(Line::begun(1, String::new(), &deed).bytes().len() < 1_000);
    }
}
