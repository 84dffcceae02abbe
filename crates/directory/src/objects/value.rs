//! Values of settings between what an operator gives and what stands in a document.

use toml::de::DeValue;

use super::ObjectError;
use crate::quoted::quoted;
use crate::settings::{Kind, Setting};
use crate::unit::{duration_text, parse_bytes, parse_duration_ms};

/// A value of a setting, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, or anything as somebody has typed it.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of whole numbers.
    Numbers(Vec<u64>),
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(u64),
}

impl Value {
    /// What stands in a document; nothing if no setting has such a value.
    pub(super) fn of(value: &DeValue<'_>) -> Option<Value> {
        Some(match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Integer(_) => Value::Number(whole(value)?),
            DeValue::Array(items) if items.iter().any(|item| whole(item.get_ref()).is_some()) => {
                Value::Numbers(items.iter().map(|item| whole(item.get_ref())).collect::<Option<_>>()?)
            }
            DeValue::Array(items) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().map(String::from));
                Value::Texts(texts.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// What a literal of a document says: a default of the rows.
    pub(super) fn of_literal(literal: &str) -> Option<Value> {
        Value::of(DeValue::parse(literal).ok()?.get_ref())
    }

    /// As one text: a list with commas.
    pub fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Texts(texts) => texts.join(", "),
            Value::Numbers(_) => self.texts().unwrap_or_default().join(", "),
            Value::Flag(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
        }
    }

    /// The value as the document writes it for this setting. Bounds and words are not looked at: the check of the whole does that.
    pub(super) fn literal(&self, setting: &Setting) -> Result<String, ObjectError> {
        let key = setting.key;
        let written = match setting.kind {
            Kind::Texts | Kind::Choices(_) | Kind::Counts(..) => self.texts().and_then(|texts| list(setting, &texts)),
            Kind::Flag => self.flag().map(|flag| flag.to_string()),
            Kind::Count(..) => self.number().map(|number| number.to_string()),
            Kind::Bytes(..) => self.size(),
            Kind::Duration(..) => self.span(),
            _ => match self {
                Value::Text(text) => Some(quoted(text)),
                Value::Number(number) => Some(quoted(number)),
                Value::Flag(flag) => Some(quoted(flag)),
                Value::Texts(_) | Value::Numbers(_) => None,
            },
        };
        let wanted = match setting.kind {
            Kind::Texts | Kind::Choices(_) => format!("a list: {key}=a,b, or {key}='[\"a\", \"b\"]'"),
            Kind::Counts(..) => format!("a list of whole numbers: {key}=1,2"),
            Kind::Flag => format!("{key}=true or {key}=false"),
            Kind::Count(..) => format!("a whole number: {key}=5"),
            Kind::Bytes(..) => format!("a size: {key}=36MB"),
            Kind::Duration(..) => format!("a duration: {key}=5m, or {key}=00:05:00"),
            _ => format!("one text: {key}=..."),
        };
        written.ok_or_else(|| ObjectError::bad(format!("{key} = {} is not understood", self.text()), wanted))
    }

    /// As a list: `a,b`, or `["a", "b"]` as TOML has it.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        match self {
            Value::Texts(texts) => Some(texts.clone()),
            Value::Numbers(numbers) => Some(numbers.iter().map(u64::to_string).collect()),
            Value::Text(text) if text.trim_start().starts_with('[') && text.trim_end().ends_with(']') => {
                match Value::of_literal(text.trim()) {
                    Some(list @ (Value::Texts(_) | Value::Numbers(_))) => list.texts(),
                    // An IPv6 socket, and no list.
                    _ => Some(split(text)),
                }
            }
            Value::Text(text) => Some(split(text)),
            Value::Number(number) => Some(vec![number.to_string()]),
            Value::Flag(_) => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        let Value::Text(text) = self else { return if let Value::Flag(flag) = self { Some(*flag) } else { None } };
        match text.to_ascii_lowercase().trim_start_matches('$') {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.replace('_', "").parse().ok(),
            _ => None,
        }
    }

    fn size(&self) -> Option<String> {
        match self {
            Value::Text(text) if self.number().is_none() => parse_bytes(text).map(|_| quoted(text)),
            _ => self.number().map(|number| number.to_string()),
        }
    }

    fn span(&self) -> Option<String> {
        match self {
            Value::Text(text) if parse_duration_ms(text).is_some() => Some(quoted(text)),
            Value::Text(text) => clock_ms(text).map(|ms| quoted(duration_text(ms))),
            Value::Number(0) => Some(quoted(0)),
            _ => None,
        }
    }
}

/// A list as TOML has it; nothing where numbers are wanted and something else is there.
pub(super) fn list(setting: &Setting, items: &[String]) -> Option<String> {
    let item = |item: &String| match setting.kind {
        Kind::Counts(..) => item.trim().parse::<u64>().ok().map(|number| number.to_string()),
        _ => Some(quoted(item)),
    };
    let items: Option<Vec<String>> = items.iter().map(item).collect();
    items.map(|items| format!("[{}]", items.join(", ")))
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(String::from).collect()
}

/// `hh:mm:ss` or `dd.hh:mm:ss`, as other systems write a span of time.
fn clock_ms(text: &str) -> Option<u64> {
    let (days, clock) = text.split_once('.').unwrap_or(("0", text));
    let mut parts = clock.split(':').map(|part| part.parse::<u64>().ok());
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    let in_bounds = h < 24 && m < 60 && s < 60 && parts.next().is_none();
    let days = days.parse::<u64>().ok().filter(|days| in_bounds && *days < 10_000)?;
    Some((((days * 24 + h) * 60 + m) * 60 + s) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Default::Needed;

    #[test]
    fn what_is_typed_becomes_what_the_document_says() {
        let text = |text: &str| Value::Text(text.into());
        for (kind, value, literal) in [
            (Kind::Text, text("a \"b\""), Some("\"a \\\"b\\\"\"")),
            (Kind::Text, Value::Texts(vec![]), None),
            (Kind::Texts, text("a, b,"), Some("[\"a\", \"b\"]")),
            (Kind::Texts, text("[\"a,b\"]"), Some("[\"a,b\"]")),
            (Kind::Texts, text("[::1]:25,[::]"), Some("[\"[::1]:25\", \"[::]\"]")),
            (Kind::Texts, text(""), Some("[]")),
            (Kind::Counts(0, 9), text("25, 587"), Some("[25, 587]")),
            (Kind::Counts(0, 9), text("[25]"), Some("[25]")),
            (Kind::Counts(0, 9), text("smtp"), None),
            (Kind::Flag, text("$False"), Some("false")),
            (Kind::Flag, text("maybe"), None),
            (Kind::Count(0, 9), text("1_000"), Some("1000")),
            (Kind::Count(0, 9), text("five"), None),
            (Kind::Bytes(0, 9), text("36MB"), Some("\"36MB\"")),
            (Kind::Bytes(0, 9), text("500"), Some("500")),
            (Kind::Bytes(0, 9), text("much"), None),
            (Kind::Duration(0, 9), text("5m"), Some("\"5m\"")),
            (Kind::Duration(0, 9), text("00:05:00"), Some("\"5m\"")),
            (Kind::Duration(0, 9), text("2.00:00:30"), Some("\"172830s\"")),
            (Kind::Duration(0, 9), text("00:61:00"), None),
            (Kind::Duration(0, 9), Value::Number(5), None),
        ] {
            let setting = Setting { key: "k", kind, default: Needed, what: "" };
            assert_eq!(value.literal(&setting).ok().as_deref(), literal, "{kind:?} {value:?}");
        }
    }
}
