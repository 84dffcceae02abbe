//! Owns the verbs on the organization document. Knows no HTTP.
//! Always holds: a document that is not sound on this node never reaches etcd; whoever changes it has named the version that it replaces,
//! and says who and why; no password hash is shown.

use std::future::Future;

use cluster::org::{Document, OrgError, OrgStore, Proposal};
use directory::{OrgText, fill_passwords, hide_both, hide_passwords};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{Control, Refusal};
use crate::difference::difference;
use crate::org::Heard;
use crate::view;

/// A document that is proposed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OrgProposal {
    /// `org.toml`.
    pub text: String,
    /// What it is called in problems.
    #[serde(default = "org_toml")]
    pub name: String,
    /// The version that it replaces; 0 when there is none.
    pub base: u64,
    /// Who wants it.
    #[serde(default)]
    pub who: String,
    /// Why.
    pub why: String,
}

/// An old version that is to count again.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OrgRollback {
    /// The old version.
    pub to: u64,
    /// The version that it replaces.
    pub base: u64,
    /// Who wants it.
    #[serde(default)]
    pub who: String,
    /// Why.
    pub why: String,
}

/// What is to be compared. Nothing named: the last version with the one before it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrgComparison {
    /// A version; the one that counts if there is a text, else the one before `to`.
    pub from: Option<u64>,
    /// A version; the one that counts if there is no text.
    pub to: Option<u64>,
    /// A document, in the place of `to`.
    pub text: Option<String>,
    /// What it is called in problems.
    #[serde(default = "org_toml")]
    pub name: String,
}

/// A document that is to be checked.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OrgDraft {
    /// `org.toml`.
    pub text: String,
    /// What it is called in problems.
    #[serde(default = "org_toml")]
    pub name: String,
}

fn org_toml() -> String {
    "org.toml".into()
}

/// A text that is compared, and what it is called.
struct Side {
    called: String,
    text: String,
}

impl Side {
    fn of(document: &Document) -> Side {
        Side { called: format!("version {}", document.version), text: document.text.clone() }
    }
}

impl Control {
    /// What runs against what counts; none without a cluster.
    pub fn org(&self) -> Option<view::Org> {
        let place = self.node.cluster.as_ref()?;
        let (source, heard) = (self.node.config.source(), self.node.standing.heard());
        let view = place.cluster.view().borrow().clone();
        let counts = match &heard {
            Heard::Version(document) => Some(view::OrgVersion::from(&**document)),
            _ => None,
        };
        let runs = source.version().map(|document| view::OrgVersion::from(&**document));
        let word = match (&runs, &heard, self.node.config.org_file()) {
            (Some(_), Heard::Nothing, _) => "cache",
            (Some(_), ..) => "etcd",
            (None, _, Some(_)) => "file",
            (None, _, None) => "built in",
        };
        let node = |(name, record): (&String, &cluster::record::NodeRecord)| view::OrgNode {
            node: name.clone(),
            runs: record.org,
            refused: (!record.org_refused.is_empty()).then(|| record.org_refused.clone()),
        };
        Some(view::Org {
            source: word.into(),
            refused: self.node.standing.refusal().map(|(version, why)| format!("not version {version}: {why}")),
            notes: self.org_notes(&heard, runs.is_some(), view.silent.is_some()),
            runs,
            counts,
            nodes: view.nodes.iter().map(node).collect(),
        })
    }

    fn org_notes(&self, heard: &Heard, runs_version: bool, silent: bool) -> Vec<String> {
        let mut notes = Vec::new();
        match heard {
            Heard::Nothing => notes.push("etcd was not heard since the start: another version may count by now".into()),
            _ if silent => notes.push("etcd does not answer: another version may count by now".into()),
            Heard::NoDocument if runs_version => {
                notes.push("etcd has no organization document any more; posthouse org apply puts one there".into());
            }
            Heard::NoDocument => {
                notes.push("etcd has no organization document yet; posthouse org apply makes one for all nodes".into());
            }
            Heard::Unreadable => {
                notes.push("the document in etcd is of a newer Posthouse, or was written by hand".into())
            }
            Heard::Version(_) => {}
        }
        if let (true, Some(file)) = (runs_version, self.node.config.org_file()) {
            notes.push(format!("--org {} is not used: the document in etcd counts", file.display()));
        }
        notes
    }

    /// The document that counts, as this node knows it; without a cluster, or before there is a version, the one that runs here.
    pub fn org_text(&self) -> view::OrgText {
        match self.node.standing.heard() {
            Heard::Version(document) => shown(&document),
            _ => match self.node.config.source().version() {
                Some(document) => shown(document),
                None => view::OrgText { version: None, text: hide_passwords(&self.started_with().text).into_owned() },
            },
        }
    }

    /// What the node was started with, as it is written.
    fn started_with(&self) -> Side {
        let file = self.node.config.org_file();
        let called = file.map_or("the built-in document".into(), |file| format!("{}, as it runs here", file.display()));
        Side { called, text: self.node.config.loaded().org_text.to_string() }
    }

    /// Checks a document with this node's reader. Changes nothing.
    pub async fn org_validate(&self, draft: OrgDraft) -> Result<view::OrgChecked, Refusal> {
        let known = match self.node.standing.heard() {
            Heard::Version(document) => document.text.clone(),
            _ => self.node.config.loaded().org_text.to_string(),
        };
        self.check(fill_passwords(&draft.text, &known).into_owned(), draft.name).await
    }

    pub(super) async fn check(&self, text: String, name: String) -> Result<view::OrgChecked, Refusal> {
        let node = self.node.clone();
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let lines = |problems: &directory::Problems| problems.0.iter().map(|problem| problem.to_string()).collect();
        let checked = spawn_blocking(move || match node.config.read_text(Some(OrgText { name: &name, text: &text })) {
            Ok(loaded) => view::OrgChecked { problems: Vec::new(), warnings: lines(&loaded.warnings) },
            Err(problems) => view::OrgChecked { problems: lines(&problems), warnings: Vec::new() },
        });
        checked.await.map_err(|_| Refusal::busy("the node is stopping".into(), "ask again after its start"))
    }

    /// Compares a document, or a version, with a version.
    pub async fn org_diff(&self, asked: OrgComparison) -> Result<view::OrgDifference, Refusal> {
        let newest = match &self.node.cluster {
            Some(place) => patient(place.cluster.org().read()).await?,
            None => None,
        };
        let base = newest.as_ref().map_or(0, |newest| newest.version);
        let counts = || newest.as_ref().map_or_else(|| self.started_with(), Side::of);
        let (mut from, mut checked) = (None, view::OrgChecked::default());
        let to = match (asked.text, asked.to) {
            (Some(text), _) => {
                let known = newest
                    .as_ref()
                    .map_or(self.node.config.loaded().org_text.to_string(), |newest| newest.text.clone());
                let text = fill_passwords(&text, &known).into_owned();
                checked = self.check(text.clone(), asked.name.clone()).await?;
                from = asked.from.is_none().then(counts);
                Side { called: asked.name, text }
            }
            (None, Some(version)) => Side::of(&self.version(version).await?),
            (None, None) => counts(),
        };
        let before = asked.to.unwrap_or(base).checked_sub(1).filter(|before| *before > 0);
        let from = match (from, asked.from.or(before)) {
            (Some(from), _) => from,
            (None, Some(version)) => Side::of(&self.version(version).await?),
            (None, None) => Side { called: "no document".into(), text: String::new() },
        };
        let difference = self.compared(&from.text, &to.text).await?;
        Ok(view::OrgDifference { base, from: from.called, to: to.called, difference, checked })
    }

    /// The lines that differ, without password hashes.
    pub(super) async fn compared(&self, from: &str, to: &str) -> Result<Vec<String>, Refusal> {
        let (from, to) = (from.to_string(), to.to_string());
        let lines = spawn_blocking(move || {
            let (from, to) = hide_both(&from, &to);
            difference(&from, &to)
        });
        lines.await.map_err(|_| Refusal::busy("the node is stopping".into(), "ask again after its start"))
    }

    /// Makes a document the version that counts, if it is sound and `base` still counts.
    pub async fn org_apply(&self, asked: OrgProposal) -> Result<view::OrgApplied, Refusal> {
        let store = self.org_store()?;
        reasons(&asked.who, &asked.why)?;
        let newest = patient(store.read()).await?;
        stale(newest.as_ref(), asked.base)?;
        let known =
            newest.as_ref().map_or(self.node.config.loaded().org_text.to_string(), |newest| newest.text.clone());
        let text = fill_passwords(&asked.text, &known).into_owned();
        let checked = self.check(text.clone(), asked.name.clone()).await?;
        if !checked.problems.is_empty() {
            return Err(Refusal::bad(checked.problems.join("\n"), "nothing was changed; correct it and apply again"));
        }
        let before = newest.as_ref().map_or(String::new(), |newest| newest.text.clone());
        if let Some(newest) = newest.filter(|newest| newest.text == text) {
            let (version, warnings) = ((&newest).into(), checked.warnings);
            return Ok(view::OrgApplied { version, unchanged: true, warnings, ..view::OrgApplied::default() });
        }
        let proposal =
            Proposal { base: asked.base, text: &text, who: &asked.who, why: &asked.why, when_ms: self.now_ms() };
        let made = patient(store.apply(&proposal)).await?;
        tracing::info!(
            version = made.version,
            who = made.who,
            why = made.why,
            "a version of the organization document was applied on this node"
        );
        let difference = self.compared(&before, &text).await.unwrap_or_default();
        Ok(view::OrgApplied { version: (&made).into(), unchanged: false, difference, warnings: checked.warnings })
    }

    /// Makes an old version's text the version that counts, if it is sound still.
    pub async fn org_rollback(&self, asked: OrgRollback) -> Result<view::OrgApplied, Refusal> {
        let old = self.version(asked.to).await?;
        let name = format!("version {} of org.toml", old.version);
        let OrgRollback { base, who, why, .. } = asked;
        self.org_apply(OrgProposal { text: old.text, name, base, who, why }).await
    }

    /// The versions that are kept, the newest first.
    pub async fn org_history(&self) -> Result<Vec<view::OrgVersion>, Refusal> {
        let kept = patient(self.org_store()?.history()).await?;
        Ok(kept.iter().rev().map(view::OrgVersion::from).collect())
    }

    /// One version with its text.
    pub async fn org_version(&self, version: u64) -> Result<view::OrgText, Refusal> {
        Ok(shown(&self.version(version).await?))
    }

    async fn version(&self, version: u64) -> Result<Document, Refusal> {
        let found = patient(self.org_store()?.version(version)).await?;
        found.ok_or_else(|| refusal(OrgError::NoVersion(version)))
    }

    fn org_store(&self) -> Result<OrgStore, Refusal> {
        let what_to_do = "edit org.toml and say posthouse reload; docs/operating/change-the-organization.md";
        let alone = || {
            Refusal::bad("posthouse.toml has no [cluster]: this node keeps no versions of org.toml".into(), what_to_do)
        };
        Ok(self.node.cluster.as_ref().ok_or_else(alone)?.cluster.org())
    }
}

fn shown(document: &Document) -> view::OrgText {
    view::OrgText { version: Some(document.into()), text: hide_passwords(&document.text).into_owned() }
}

/// Who and why are for those who read the history next year.
fn reasons(who: &str, why: &str) -> Result<(), Refusal> {
    match (who.trim().is_empty(), why.trim().is_empty()) {
        (true, _) => Err(Refusal::bad("nobody is named who applies it".into(), "say who")),
        (_, true) => Err(Refusal::bad("no reason is given".into(), "say why, in a sentence: it stands in the history")),
        _ => Ok(()),
    }
}

pub(super) fn stale(newest: Option<&Document>, base: u64) -> Result<(), Refusal> {
    let Some(newest) = newest else {
        return match base {
            0 => Ok(()),
            _ => Err(Refusal::busy(
                format!("there is no version {base}: etcd has no organization document"),
                "apply with base 0",
            )),
        };
    };
    if newest.version == base {
        return Ok(());
    }
    let Document { version, who, why, .. } = newest;
    let error = format!("version {version} is there now (by {who}: {why}), and this replaces version {base}");
    Err(Refusal::busy(
        error,
        "look at what it changed (posthouse org diff), put that into your document, then apply it again",
    ))
}

/// Waits for etcd for a bounded time.
pub(super) async fn patient<T>(ask: impl Future<Output = Result<T, OrgError>>) -> Result<T, Refusal> {
    match tokio::time::timeout(ETCD_PATIENCE, ask).await {
        Ok(answer) => answer.map_err(refusal),
        Err(_) => Err(Refusal::busy(
            format!(
                "etcd did not answer within {} s; it is not known whether anything was changed",
                ETCD_PATIENCE.as_secs()
            ),
            "look at the history (posthouse org history) when it answers again",
        )),
    }
}

fn refusal(error: OrgError) -> Refusal {
    let what = error.to_string();
    match error {
        OrgError::Stale(_) => Refusal::busy(what, "posthouse org diff shows what it changed"),
        OrgError::TooLong => Refusal::bad(what, "put recipients into a recipients_file on the nodes"),
        OrgError::NoVersion(_) => Refusal::missing(what, "posthouse org history lists them"),
        OrgError::Open(_) => Refusal::failed(what, "posthouse org history tells"),
        OrgError::Etcd(_) => Refusal::busy(what, "nothing was changed; try again when etcd answers (posthouse status)"),
        OrgError::Unreadable => Refusal::failed(what, "upgrade this node, or put it right with etcdctl"),
    }
}

/// Several tries of a write, each with the patience of the way to etcd, fit into it.
const ETCD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// Of a document's name in problems.
const NAME_CHARS_MAX: usize = 200;
