//! Owns the configuration that runs, and knows whether it is what is written. Knows no sockets.
//! Always holds: only a configuration that is sound as a whole takes the place of the running one; whatever differs is shown.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use cluster::org::Document;
use directory::{Given, Loaded, OrgText, Problems, Secrets, Start};
use mail::date::rfc3339;
use world::World;

use crate::view;

/// Which organization document is meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The one that the node was started with: a file, or what is built in.
    Start,
    /// A version from the cluster's etcd.
    Version(Arc<Document>),
}

impl Source {
    /// The version, if it is one.
    pub fn version(&self) -> Option<&Arc<Document>> {
        match self {
            Source::Start => None,
            Source::Version(document) => Some(document),
        }
    }
}

/// The configuration of a running node.
pub struct Running {
    world: World,
    start: Start,
    state: Mutex<State>,
    writing: Mutex<()>,
}

struct State {
    loaded: Arc<Loaded>,
    source: Source,
    loaded_ms: u64,
}

impl Running {
    /// Reads what `start` names.
    pub fn load(world: &World, start: Start) -> Result<Running, Problems> {
        let loaded = Arc::new(Loaded::load(world.disk.as_ref(), &start)?);
        let state = State { loaded, source: Source::Start, loaded_ms: world.clock.wall_ms() };
        Ok(Running { world: world.clone(), start, state: Mutex::new(state), writing: Mutex::default() })
    }

    /// What runs.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.state().loaded.clone()
    }

    /// Which organization document runs.
    pub fn source(&self) -> Source {
        self.state().source.clone()
    }

    /// The file that the node was started with, if it has one for the organization.
    pub fn org_file(&self) -> Option<&std::path::Path> {
        self.start.org.as_deref()
    }

    /// Reads the documents again, with the organization document that is meant. Changes nothing.
    pub fn read(&self, source: &Source) -> Result<Loaded, Problems> {
        match source {
            Source::Start => self.read_text(None),
            Source::Version(document) => {
                let name = format!("version {} of org.toml", document.version);
                self.read_text(Some(OrgText { name: &name, text: &document.text }))
            }
        }
    }

    /// The same with an organization document that is given.
    pub fn read_text(&self, given: Option<OrgText<'_>>) -> Result<Loaded, Problems> {
        Loaded::load_with(self.world.disk.as_ref(), &self.start, given)
    }

    /// The organization document that runs, as another server would read it.
    pub fn read_as(&self, server: &str) -> Result<Loaded, Problems> {
        let (source, loaded) = (self.source(), self.loaded());
        let given = match &source {
            Source::Version(document) => Given::Elsewhere(OrgText { name: "org.toml", text: &document.text }),
            Source::Start => Given::Edited(&loaded.org_text),
        };
        Loaded::load_for(self.world.disk.as_ref(), &self.start, Some(given), Some(server))
    }

    /// The file that the node was started with, as if it said `text`. Changes nothing.
    pub fn read_edited(&self, text: &str) -> Result<Loaded, Problems> {
        Loaded::load_for(self.world.disk.as_ref(), &self.start, Some(Given::Edited(text)), None)
    }

    /// Makes all of `next` the running configuration: for a node that does not run yet.
    pub fn begin(&self, next: Loaded, source: Source) {
        *self.state() = State { loaded: Arc::new(next), source, loaded_ms: self.world.clock.wall_ms() };
    }

    /// Makes the organization of `next` the running one. What only a start can change stays as it is, and is given back as the
    /// lines of a comparison: the node document, the retry schedule, the postmaster. One caller at a time; everybody who asks what runs
    /// gets an answer meanwhile, since a large document takes a while to be compared.
    pub fn take(&self, mut next: Loaded, source: Source) -> Vec<String> {
        let before = self.loaded();
        let written = next.to_toml(Secrets::Hide);
        if let Some(org) = Arc::get_mut(&mut next.org) {
            org.retry = before.org.retry.clone();
            org.postmaster = before.org.postmaster.clone();
        }
        let loaded = Arc::new(Loaded { node: before.node.clone(), ..next });
        let runs = loaded.to_toml(Secrets::Hide);
        *self.state() = State { loaded, source, loaded_ms: self.world.clock.wall_ms() };
        let mut after_restart = difference(&runs.0, &written.0);
        after_restart.extend(difference(&runs.1, &written.1));
        after_restart
    }

    /// Reads the documents and compares them with what runs. Changes nothing.
    pub fn compare(&self) -> view::Config {
        let (loaded, source, loaded_ms) = {
            let state = self.state();
            (state.loaded.clone(), state.source.clone(), state.loaded_ms)
        };
        let difference = match self.read(&source) {
            Err(problems) => problems.0.iter().map(|problem| problem.to_string()).collect(),
            Ok(written) => {
                // Secrets are compared and not shown: a changed password shows as a changed line without the password.
                let (runs, says) = (loaded.to_toml(Secrets::Hide), written.to_toml(Secrets::Hide));
                let mut lines = difference(&runs.0, &says.0);
                lines.extend(difference(&runs.1, &says.1));
                if lines.is_empty() && loaded.to_toml(Secrets::Show) != written.to_toml(Secrets::Show) {
                    lines.push("a password differs".into());
                }
                lines
            }
        };
        let named = |path: &Option<std::path::PathBuf>, what: &str| match path {
            Some(path) => path.display().to_string(),
            None => format!("{what}: built in"),
        };
        let org = match &source {
            Source::Start => named(&self.start.org, "organization"),
            Source::Version(document) => format!("organization: version {} in etcd", document.version),
        };
        view::Config {
            files: vec![named(&self.start.config, "node"), org],
            loaded: rfc3339(loaded_ms),
            as_written: difference.is_empty(),
            difference,
        }
    }

    /// Whoever changes the file holds this from reading it until what it says runs.
    pub fn writing(&self) -> std::sync::MutexGuard<'_, ()> {
        // It guards no value that could be half changed.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Only whole values are stored in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines that only one of the two has, each with the table that it stands in: `-` is in the first, `+` in the second.
fn difference(first: &str, second: &str) -> Vec<String> {
    let (first, second) = (settings(first), settings(second));
    let only = |mark: char, lines: &[String], others: &[String]| {
        let others: HashSet<&String> = others.iter().collect();
        let missing = lines.iter().filter(|line| !others.contains(line));
        missing.map(|line| format!("{mark} {line}")).take(DIFFERENCE_LINES_MAX).collect::<Vec<_>>()
    };
    let mut lines = only('-', &first, &second);
    lines.extend(only('+', &second, &first));
    lines
}

/// `[[send_connector]] out: cost = 10` for each setting of a document.
fn settings(toml: &str) -> Vec<String> {
    let (mut table, mut name) = (String::new(), String::new());
    let mut lines = Vec::new();
    for line in toml.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') && line.ends_with(']') && !line.contains('=') {
            (table, name) = (format!("{line} "), String::new());
        } else if let Some(own) = line.strip_prefix("name = ").filter(|_| table.starts_with("[[")) {
            name = format!("{} ", own.trim_matches('"'));
            lines.push(format!("{table}{name}").trim().to_string());
        } else {
            lines.push(format!("{table}{name}{line}"));
        }
    }
    lines
}

const DIFFERENCE_LINES_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_table_and_both_values() {
        let runs = "name = \"a\"\n\n[[send_connector]]\nname = \"out\"\ncost = 10\n";
        let says = "name = \"a\"\n\n[[send_connector]]\nname = \"out\"\ncost = 20\n# words\n[[user]]\nname = \"bob\"\n";
        assert_eq!(
            difference(runs, says),
            ["- [[send_connector]] out cost = 10", "+ [[send_connector]] out cost = 20", "+ [[user]] bob"]
        );
        assert!(difference(runs, runs).is_empty());
    }
}
