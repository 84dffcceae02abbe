//! Owns what a running node knows of the organization document's versions, and decides what is to be run. Does nothing itself.
//! Always holds: what etcd said last is what is to be run; what cannot be run is not tried again and again, and not forgotten.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::org::Document;

use crate::config::Source;

/// What etcd says of the document.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Heard {
    /// Nothing was heard yet.
    #[default]
    Nothing,
    /// There is no document.
    NoDocument,
    /// There is one that this version of Posthouse cannot read.
    Unreadable,
    /// This one counts.
    Version(Arc<Document>),
}

/// What is to be done after something was heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// This version is to be run.
    Run(Arc<Document>),
    /// What runs stays; the operator must know why.
    Warn(String),
}

/// What is known. What runs is not kept here: it is the configuration's.
#[derive(Default)]
pub struct Standing(Mutex<State>);

#[derive(Default)]
struct State {
    heard: Heard,
    refused: Option<Refused>,
    said: Option<String>,
}

struct Refused {
    document: Arc<Document>,
    why: String,
}

impl Standing {
    /// Takes in what etcd says now, while `runs` runs.
    pub fn hear(&self, heard: Heard, runs: &Source) -> Step {
        let mut state = self.state();
        state.heard = heard.clone();
        let Heard::Version(document) = heard else { return state.without_version(runs) };
        state.said = None;
        if runs.version() == Some(&document) {
            state.refused = None;
            return Step::Nothing;
        }
        match &state.refused {
            Some(refused) if refused.document == document => Step::Nothing,
            _ => Step::Run(document),
        }
    }

    /// What is to be run when somebody asks for it, or time has passed: the version that counts, whether it was refused or not.
    pub fn wanted(&self, runs: &Source) -> Source {
        match &self.state().heard {
            Heard::Version(document) => Source::Version(document.clone()),
            _ => runs.clone(),
        }
    }

    /// A version runs.
    pub fn ran(&self) {
        self.state().refused = None;
    }

    /// A version cannot be run. Tells whether that is news.
    pub fn refused(&self, document: Arc<Document>, why: &str) -> bool {
        let mut state = self.state();
        let known = state.refused.as_ref().is_some_and(|known| known.document == document && known.why == why);
        state.refused = Some(Refused { document, why: why.into() });
        !known
    }

    /// The version that was refused and not replaced since, and why.
    pub fn refusal(&self) -> Option<(u64, String)> {
        self.state().refused.as_ref().map(|refused| (refused.document.version, refused.why.clone()))
    }

    /// What etcd said last.
    pub fn heard(&self) -> Heard {
        self.state().heard.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only whole values are stored in it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// etcd has no version for us: what runs stays. Said once.
    fn without_version(&mut self, runs: &Source) -> Step {
        self.refused = None;
        let version = runs.version().map(|document| document.version);
        let what = match (&self.heard, version) {
            (Heard::Unreadable, _) => {
                "the organization document in etcd cannot be read: it is of a newer Posthouse, or was written by hand; \
                 this node keeps what it has; upgrade it, or apply a document again (posthouse org apply)"
                    .to_string()
            }
            (Heard::NoDocument, Some(version)) => format!(
                "etcd has no organization document any more; this node keeps version {version}; if nobody removed it, etcd \
                 lost its data, or [cluster] prefix names another organization; posthouse org apply puts it back"
            ),
            _ => return Step::Nothing,
        };
        if self.said.as_ref() == Some(&what) {
            return Step::Nothing;
        }
        self.said = Some(what.clone());
        Step::Warn(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: u64) -> Arc<Document> {
        Arc::new(Document { version, text: format!("# {version}"), ..Document::default() })
    }

    #[test]
    fn what_counts_is_run_once_and_what_was_refused_only_when_asked_for() {
        let standing = Standing::default();
        let mut runs = Source::Start;
        assert_eq!(standing.hear(Heard::Nothing, &runs), Step::Nothing);
        assert_eq!(standing.hear(Heard::NoDocument, &runs), Step::Nothing, "before the first apply");
        assert_eq!(standing.hear(Heard::Version(version(1)), &runs), Step::Run(version(1)));
        runs = Source::Version(version(1));
        standing.ran();
        assert_eq!(standing.hear(Heard::Version(version(1)), &runs), Step::Nothing);

        assert_eq!(standing.hear(Heard::Version(version(2)), &runs), Step::Run(version(2)));
        assert!(standing.refused(version(2), "port"));
        assert!(!standing.refused(version(2), "port"), "no news");
        assert_eq!(standing.hear(Heard::Version(version(2)), &runs), Step::Nothing);
        assert_eq!(
            (standing.refusal(), standing.wanted(&runs)),
            (Some((2, "port".into())), Source::Version(version(2)))
        );

        // The same text under the next number is another try; back to what runs ends the trouble.
        assert_eq!(standing.hear(Heard::Version(version(3)), &runs), Step::Run(version(3)));
        assert_eq!(standing.hear(Heard::Version(version(1)), &runs), Step::Nothing);
        assert_eq!(standing.refusal(), None);
    }

    #[test]
    fn etcd_without_a_document_changes_nothing_and_is_said_once() {
        let (standing, runs) = (Standing::default(), Source::Version(version(4)));
        assert!(
            matches!(standing.hear(Heard::NoDocument, &runs), Step::Warn(what) if what.contains("keeps version 4"))
        );
        assert_eq!(standing.hear(Heard::NoDocument, &runs), Step::Nothing);
        assert!(matches!(standing.hear(Heard::Unreadable, &runs), Step::Warn(what) if what.contains("cannot be read")));
        assert_eq!(standing.wanted(&runs), runs);
        // An etcd that was restored from a backup has an older one: it counts.
        assert_eq!(standing.hear(Heard::Version(version(3)), &runs), Step::Run(version(3)));
        assert!(matches!(standing.hear(Heard::NoDocument, &runs), Step::Warn(_)), "it is said anew");
    }
}
