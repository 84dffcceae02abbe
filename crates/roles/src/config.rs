//! Owns the configuration that runs, and knows whether it is what is written. Knows no sockets.
//! Always holds: only a configuration that is sound as a whole takes the place of the running one; whatever differs is shown.

use std::sync::{Arc, Mutex, PoisonError};

use directory::{Loaded, Problems, Secrets, Start};
use mail::date::rfc3339;
use world::World;

use crate::view;

/// The configuration of a running node.
pub struct Running {
    world: World,
    start: Start,
    state: Mutex<State>,
}

struct State {
    loaded: Arc<Loaded>,
    loaded_ms: u64,
}

impl Running {
    /// Reads what `start` names.
    pub fn load(world: &World, start: Start) -> Result<Running, Problems> {
        let loaded = Arc::new(Loaded::load(world.disk.as_ref(), &start)?);
        let state = State { loaded, loaded_ms: world.clock.wall_ms() };
        Ok(Running { world: world.clone(), start, state: Mutex::new(state) })
    }

    /// What runs.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.state().loaded.clone()
    }

    /// Reads the documents again. Changes nothing.
    pub fn read(&self) -> Result<Loaded, Problems> {
        Loaded::load(self.world.disk.as_ref(), &self.start)
    }

    /// Makes the organization of `next` the running one. What only a start can change stays as it is, and is given back as the
    /// lines of a comparison: the node document, the retry schedule, the postmaster.
    pub fn take(&self, mut next: Loaded) -> Vec<String> {
        let mut state = self.state();
        let written = next.to_toml(Secrets::Hide);
        if let Some(org) = Arc::get_mut(&mut next.org) {
            org.retry = state.loaded.org.retry.clone();
            org.postmaster = state.loaded.org.postmaster.clone();
        }
        let loaded = Arc::new(Loaded { node: state.loaded.node.clone(), org: next.org, warnings: next.warnings });
        *state = State { loaded: loaded.clone(), loaded_ms: self.world.clock.wall_ms() };
        let runs = loaded.to_toml(Secrets::Hide);
        let mut after_restart = difference(&runs.0, &written.0);
        after_restart.extend(difference(&runs.1, &written.1));
        after_restart
    }

    /// Reads the documents and compares them with what runs. Changes nothing.
    pub fn compare(&self) -> view::Config {
        let (loaded, loaded_ms) = {
            let state = self.state();
            (state.loaded.clone(), state.loaded_ms)
        };
        let difference = match self.read() {
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
        view::Config {
            files: vec![named(&self.start.config, "node"), named(&self.start.org, "organization")],
            loaded: rfc3339(loaded_ms),
            as_written: difference.is_empty(),
            difference,
        }
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
