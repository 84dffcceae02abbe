//! Owns the verbs on single objects of the organization document: get, new, set, remove. Knows no HTTP.
//! Always holds: a change is checked with the whole document before anything is written; it replaces exactly the document that it was
//! made from, or nothing happens; a document that cannot run here is not left in the file.

mod file;
mod test;

pub use test::ObjectTest;

use std::collections::BTreeMap;

use cluster::org::Document;
use directory::objects::{self as rows, Change, ObjectError, Value, Verb};
use directory::{fill_passwords, hide_passwords};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::org::{patient, stale};
use super::{Control, OrgProposal, Refusal};
use crate::view;

/// What is to be done to an object. Values are texts as one types them, or JSON of the setting's kind.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectOrder {
    /// Which one; empty for what there is once.
    pub name: String,
    /// Values that it gets.
    pub set: BTreeMap<String, serde_json::Value>,
    /// What its lists get besides.
    pub add: BTreeMap<String, serde_json::Value>,
    /// What its lists lose.
    pub take: BTreeMap<String, serde_json::Value>,
    /// Keys that go back to their defaults.
    pub unset: Vec<String>,
    /// The version of the document that it is meant for, in a cluster; nothing is the one that counts now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// Who wants it.
    pub who: String,
    /// Why; what is done, in words, if nothing is said.
    pub why: String,
}

/// Where the document is that counts.
enum Home {
    Etcd(Box<Document>),
    File,
}

impl Control {
    /// The kinds of objects that there are.
    pub fn object_kinds(&self) -> Result<Vec<view::Kind>, Refusal> {
        let text = self.org_text().text;
        let kind = |section: &'static directory::settings::Section| {
            let found = rows::objects(&text, section).map_err(refusal)?;
            Ok(view::Kind {
                kind: rows::kind_word(section).into(),
                several: section.repeated,
                written: found.iter().filter(|object| object.line.is_some()).count(),
                what: section.what.into(),
            })
        };
        directory::settings::ORG.iter().map(kind).collect()
    }

    /// All objects of a kind.
    pub fn objects(&self, kind: &str) -> Result<Vec<view::Object>, Refusal> {
        let section = rows::kind(kind).map_err(refusal)?;
        let found = rows::objects(&self.org_text().text, section).map_err(refusal)?;
        Ok(found.into_iter().map(|object| view::Object::of(rows::kind_word(section), object)).collect())
    }

    /// One object.
    pub fn object(&self, kind: &str, name: &str) -> Result<view::Object, Refusal> {
        let section = rows::kind(kind).map_err(refusal)?;
        let found = rows::object(&self.org_text().text, section, name).map_err(refusal)?;
        Ok(view::Object::of(rows::kind_word(section), found))
    }

    /// Makes, changes or removes an object in the document that counts, and has it run. With `dry_run` only shows what would be.
    pub async fn object_change(
        &self,
        kind: &str,
        verb: Verb,
        order: ObjectOrder,
        dry_run: bool,
    ) -> Result<view::ObjectChanged, Refusal> {
        let change = change(kind, verb, &order)?;
        match self.home().await? {
            Home::Etcd(newest) => self.change_version(*newest, change, order, dry_run).await,
            Home::File => {
                if order.base.is_some() {
                    let error = "posthouse.toml has no [cluster]: its document has no versions".to_string();
                    return Err(Refusal::bad(error, "leave --base away"));
                }
                let control = self.clone();
                let changed = spawn_blocking(move || control.change_file(&change, dry_run)).await;
                changed.map_err(|_| stopping())?
            }
        }
    }

    async fn home(&self) -> Result<Home, Refusal> {
        if let Some(place) = &self.node.cluster {
            let none = || {
                Refusal::bad(
                    "etcd has no organization document yet".into(),
                    "make the first version: posthouse org show --text > org.toml; posthouse org apply org.toml --why \"the first one\"",
                )
            };
            let newest = patient(place.cluster.org().read()).await?;
            return newest.map(|newest| Home::Etcd(Box::new(newest))).ok_or_else(none);
        }
        match self.node.config.org_file() {
            Some(_) => Ok(Home::File),
            None => Err(Refusal::bad(
                "this node runs the built-in organization: there is no document to change".into(),
                "posthouse org show --text > org.toml, then start the node with --org org.toml",
            )),
        }
    }

    async fn change_version(
        &self,
        newest: Document,
        change: Change,
        order: ObjectOrder,
        dry_run: bool,
    ) -> Result<view::ObjectChanged, Refusal> {
        stale(Some(&newest), order.base.unwrap_or(newest.version))?;
        let text = edited(&newest.text, &change)?;
        let difference = self.compared(&newest.text, &text).await?;
        let done = said(&change, dry_run);
        if dry_run {
            let checked = self.check(text, ORG_TOML.into()).await?;
            sound(&checked)?;
            let warnings = checked.warnings;
            return Ok(view::ObjectChanged { done, dry_run, difference, warnings, ..Default::default() });
        }
        let why = if order.why.trim().is_empty() { said(&change, false) } else { order.why };
        let proposal = OrgProposal { text, name: ORG_TOML.into(), base: newest.version, who: order.who, why };
        let applied = self.org_apply(proposal).await?;
        let done = if applied.unchanged { nothing_to_do(&change) } else { done };
        let (version, warnings) = (Some(applied.version), applied.warnings);
        Ok(view::ObjectChanged { done, difference, version, warnings, ..Default::default() })
    }
}

/// The document after the change, with the passwords that it had.
fn edited(text: &str, change: &Change) -> Result<String, Refusal> {
    let new = rows::edited(text, change).map_err(refusal)?;
    Ok(fill_passwords(&new, text).into_owned())
}

fn change(kind: &str, verb: Verb, order: &ObjectOrder) -> Result<Change, Refusal> {
    let section = rows::kind(kind).map_err(refusal)?;
    let name = order.name.trim();
    if section.repeated && name.is_empty() {
        let error = format!("no {} is named", rows::kind_word(section));
        return Err(Refusal::bad(error, "name one"));
    }
    let values = |of: &BTreeMap<String, serde_json::Value>| -> Result<Vec<(String, Value)>, Refusal> {
        of.iter().map(|(key, json)| Ok((key.clone(), value(key, json)?))).collect()
    };
    Ok(Change {
        section,
        name: if section.repeated { name.into() } else { String::new() },
        verb,
        set: values(&order.set)?,
        add: values(&order.add)?,
        take: values(&order.take)?,
        unset: order.unset.clone(),
    })
}

fn value(key: &str, json: &serde_json::Value) -> Result<Value, Refusal> {
    use serde_json::Value::{Array, Bool, Number, String};
    let texts = |items: &Vec<serde_json::Value>| -> Option<Vec<std::string::String>> {
        items.iter().map(|item| item.as_str().map(Into::into)).collect()
    };
    let value = match json {
        String(text) => Some(Value::Text(text.clone())),
        Bool(flag) => Some(Value::Flag(*flag)),
        Number(number) => number.as_u64().map(Value::Number),
        Array(items) if items.iter().any(serde_json::Value::is_u64) => {
            items.iter().map(serde_json::Value::as_u64).collect::<Option<_>>().map(Value::Numbers)
        }
        Array(items) => texts(items).map(Value::Texts),
        _ => None,
    };
    value.ok_or_else(|| {
        let error = format!("{key} = {json} is no value of a setting");
        Refusal::bad(
            error,
            "give a text, a list of texts, a whole number, true or false; a key in \"unset\" goes back to its default",
        )
    })
}

/// In words, without secrets: `set send_connector out: cost = 20, port- `.
fn said(change: &Change, dry_run: bool) -> String {
    let kind = rows::kind_word(change.section);
    let verb = match (change.verb, dry_run) {
        (Verb::New, false) => "new",
        (Verb::Set, false) => "set",
        (Verb::Remove, false) => "remove",
        (Verb::New, true) => "would make",
        (Verb::Set, true) => "would set",
        (Verb::Remove, true) => "would remove",
    };
    let pair = |sign: &str, (key, value): &(String, Value)| match key.as_str() {
        "password" => format!("{key}{sign}{}", directory::HIDDEN),
        _ => hide_passwords(&format!("{key}{sign}{}", value.text())).into_owned(),
    };
    let set = change.set.iter().map(|given| pair("=", given));
    let add = change.add.iter().map(|given| pair("+=", given));
    let take = change.take.iter().map(|given| pair("-=", given));
    let unset = change.unset.iter().map(|key| format!("{key}-"));
    let what: Vec<String> = set.chain(add).chain(take).chain(unset).collect();
    let name = if change.name.is_empty() { String::new() } else { format!(" {}", change.name) };
    let what = if what.is_empty() { String::new() } else { format!(": {}", what.join(" ")) };
    format!("{verb} {kind}{name}{what}").chars().take(SAID_CHARS_MAX).collect()
}

fn nothing_to_do(change: &Change) -> String {
    let kind = rows::kind_word(change.section);
    format!("nothing was changed: {kind} {} says so already", change.name).replace("  ", " ")
}

fn sound(checked: &view::OrgChecked) -> Result<(), Refusal> {
    match checked.problems.is_empty() {
        true => Ok(()),
        false => Err(Refusal::bad(checked.problems.join("\n"), UNSOUND)),
    }
}

pub(super) fn refusal(error: ObjectError) -> Refusal {
    match error.missing {
        true => Refusal::missing(error.error, &error.what_to_do),
        false => Refusal::bad(error.error, &error.what_to_do),
    }
}

fn stopping() -> Refusal {
    Refusal::busy("the node is stopping".into(), "ask again after its start")
}

const ORG_TOML: &str = "org.toml";
const UNSOUND: &str = "nothing was changed; --dry-run shows what the lines would be";
const SAID_CHARS_MAX: usize = 300;
