//! One directory: what is known of it now, what is held, what an operator asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use directory::ldap::Directory;
use directory::recipients::Recipients;
use mail::date::rfc3339;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::kept::Seal;
use crate::view;

/// One directory, shared by its task and those who ask.
pub struct Source {
    directory: Arc<Directory>,
    state: Mutex<State>,
    bell: Notify,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Read it whole now.
    Sync,
    /// Believe the result that is held.
    Accept,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// There is none of that name.
    NoDirectory,
    /// Nothing is held.
    NothingHeld,
}

/// What is known of it.
#[derive(Clone, Default)]
pub struct State {
    pub known: Recipients,
    /// It was read whole at some time: who is not known does not exist.
    pub is_read: bool,
    /// Of the large file on disk; changes are kept beside it.
    pub seal: Seal,
    /// When it was read whole, and when it was asked at all with success; wall time.
    pub read_ms: Option<u64>,
    pub asked_ms: Option<u64>,
    /// The server that is asked, by its place.
    pub server: usize,
    /// What went wrong last, and whether no server answers.
    pub error: Option<String>,
    pub is_down: bool,
    pub held: Option<Held>,
    pub clashes: Vec<String>,
    sync: bool,
    accept: bool,
}

/// A result that shrank.
#[derive(Clone)]
pub struct Held {
    pub recipients: Recipients,
    /// Who would vanish, of how many.
    pub missing: usize,
    pub of: usize,
}

impl Source {
    /// A directory of which this was kept.
    pub fn new(directory: Arc<Directory>, kept: Option<(Recipients, u64, Seal)>) -> Arc<Source> {
        let state = kept.map(|(known, when_ms, seal)| State {
            known,
            seal,
            is_read: true,
            read_ms: Some(when_ms),
            ..State::default()
        });
        Source::with(directory, state.unwrap_or_default())
    }

    /// The same directory with other settings: it begins anew, with whom it knows.
    pub fn changed_to(&self, directory: Arc<Directory>) -> Arc<Source> {
        let State { known, is_read, seal, read_ms, .. } = self.state().clone();
        Source::with(directory, State { known, is_read, seal, read_ms, ..State::default() })
    }

    fn with(directory: Arc<Directory>, state: State) -> Arc<Source> {
        Arc::new(Source { directory, state: Mutex::new(state), bell: Notify::new(), task: Mutex::default() })
    }

    /// As the document says it.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Everybody whom it told.
    pub fn known(&self) -> Recipients {
        let state = self.state();
        if state.is_read { state.known.clone() } else { Recipients::unread() }
    }

    /// Starts its task, if it has none.
    pub fn start(&self, spawn: impl FnOnce() -> JoinHandle<()>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.get_or_insert_with(spawn);
    }

    /// Ends its task.
    pub fn stop(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// An operator wants something.
    pub fn ask(&self, ask: Ask) -> Result<(), NotAsked> {
        {
            let mut state = self.state();
            match ask {
                Ask::Sync => state.sync = true,
                Ask::Accept if state.held.is_none() => return Err(NotAsked::NothingHeld),
                Ask::Accept => state.accept = true,
            }
        }
        self.bell.notify_one();
        Ok(())
    }

    /// What was asked for since the last time.
    pub fn take_asked(&self) -> Option<Ask> {
        let mut state = self.state();
        if std::mem::take(&mut state.accept) {
            return Some(Ask::Accept);
        }
        std::mem::take(&mut state.sync).then_some(Ask::Sync)
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        self.bell.notified().await;
    }

    /// What is known.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // Only whole values are stored in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As an operator sees it.
    pub fn shown(&self) -> view::Directory {
        let state = self.state();
        let server = |at: usize| self.directory.servers.get(at).map(ToString::to_string).unwrap_or_default();
        view::Directory {
            name: self.directory.name.to_string(),
            state: self.word(&state).into(),
            server: server(state.server),
            recipients: state.known.len(),
            changed: state.known.changed(),
            memory_bytes: state.known.memory_bytes(),
            read: state.read_ms.map(rfc3339),
            asked: state.asked_ms.map(rfc3339),
            held: state
                .held
                .as_ref()
                .map(|held| view::DirectoryHeld { recipients: held.recipients.len(), missing: held.missing }),
            error: state.error.clone(),
            clashes: state.clashes.clone(),
            wrong: self.wrong(&state),
        }
    }

    fn word(&self, state: &State) -> &'static str {
        match () {
            () if state.held.is_some() => "held",
            () if state.is_down => "down",
            () if !state.is_read => "never-read",
            () => "ok",
        }
    }

    /// What is wrong, and what to do.
    fn wrong(&self, state: &State) -> Vec<String> {
        let name = &self.directory.name;
        let mut wrong = Vec::new();
        if let Some(Held { recipients, missing, of }) = &state.held {
            wrong.push(match of {
                0 => format!(
                    "directory {name} tells no recipient at all: look at base, filter and bind_dn; if that is right, posthouse directory \
                     accept {name}"
                ),
                _ => format!(
                    "directory {name} tells {} recipients, and {missing} of the {of} that are known would vanish (shrink_percent_max is {}): \
                     nothing was changed; look at the directory, then posthouse directory accept {name}, or sync once it is repaired",
                    recipients.len(),
                    self.directory.shrink_percent_max
                ),
            });
        }
        if state.is_down {
            let error = state.error.as_deref().unwrap_or("no answer");
            let known = state.read_ms.map_or("nothing".into(), |ms| format!("what it told at {}", rfc3339(ms)));
            let servers = self.directory.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            wrong.push(format!(
                "directory {name}: none of its servers ({servers}) answers, the last error was: {error}; {known} counts meanwhile"
            ));
        }
        if !state.is_read {
            wrong.push(format!(
                "directory {name} was never read: recipients whom nothing else knows hear 451 4.3.0 until it is"
            ));
        }
        wrong
    }
}
