//! Owns which organization document a node of a cluster starts with. Takes its sockets, so that one whose sockets cannot be had is not chosen.
//! Always holds: etcd's version first, then the one that ran last, then what the node was started with; each one that is skipped is named.

use std::sync::Arc;

use cluster::org::Document;
use tracing::{error, info, warn};

use crate::config::{Running, Source};
use crate::listen::BindError;
use crate::listeners::BoundListeners;

/// What there is to choose from.
pub struct Found {
    /// What etcd says; the error says why it does not answer.
    pub etcd: Result<Option<Document>, String>,
    /// What was kept on disk; the error says what is wrong with it.
    pub cache: Result<Option<Document>, String>,
}

/// Makes the first document that can be run the running one, and has its sockets. The error is of the first whose sockets cannot be had.
pub fn choose(config: &Running, found: Found) -> Result<BoundListeners, BindError> {
    let silent = found.etcd.as_ref().err().cloned();
    if let Err(what) = &found.cache {
        error!("the organization document that was kept for a start without etcd cannot be used: {what}");
    }
    let etcd = found.etcd.ok().flatten();
    let cache = found.cache.ok().flatten().filter(|kept| etcd.as_ref() != Some(kept));
    let mut no_socket = None;
    for (place, document) in [("etcd", etcd), ("the data directory", cache)] {
        let Some(document) = document.map(Arc::new) else { continue };
        match attempt(config, &Source::Version(document.clone())) {
            Ok(bound) => {
                say(config, &document, place, silent.as_deref());
                return Ok(bound);
            }
            Err(Trouble::Unsound(what)) => {
                error!(
                    "version {} of the organization document ({place}) is not sound on this node: {what}",
                    document.version
                );
            }
            Err(Trouble::NoSocket(what)) => {
                error!(
                    "version {} of the organization document ({place}) cannot run on this node: {what}",
                    document.version
                );
                no_socket = no_socket.or(Some(what));
            }
        }
    }
    // Sockets that are taken are most likely this node's own, in another process: nothing else is to take their place.
    if let Some(what) = no_socket {
        return Err(what);
    }
    let runs = config.org_file().map_or("the built-in organization document".into(), |file| file.display().to_string());
    match silent {
        Some(why) => warn!(
            "etcd does not answer ({why}) and no version of the organization document was kept here: {runs} runs until it does"
        ),
        None => info!(
            "etcd has no organization document yet: {runs} runs; posthouse org apply FILE --why TEXT makes one for all nodes"
        ),
    }
    match attempt(config, &Source::Start) {
        Ok(bound) => Ok(bound),
        Err(Trouble::NoSocket(what)) => Err(what),
        // It was read a moment ago; whoever changed it since is told at the next reload.
        Err(Trouble::Unsound(_)) => BoundListeners::bind(config.loaded().org.listeners(), config.org_file().is_some()),
    }
}

enum Trouble {
    Unsound(String),
    NoSocket(BindError),
}

fn attempt(config: &Running, source: &Source) -> Result<BoundListeners, Trouble> {
    let next = config.read(source).map_err(|problems| Trouble::Unsound(problems.to_string()))?;
    let written = source.version().is_some() || config.org_file().is_some();
    let bound = BoundListeners::bind(next.org.listeners(), written).map_err(Trouble::NoSocket)?;
    next.warnings.0.iter().for_each(|warning| warn!("{warning}"));
    config.begin(next, source.clone());
    Ok(bound)
}

fn say(config: &Running, document: &Document, place: &str, silent: Option<&str>) {
    let Document { version, who, why, .. } = document;
    match silent {
        Some(silent) => warn!(
            version,
            who,
            "etcd does not answer ({silent}): this node starts with the version of the organization document that it ran last"
        ),
        None => info!(version, who, why, "the organization document, from {place}"),
    }
    if let Some(file) = config.org_file() {
        warn!(
            "--org {} is not used: the organization document in etcd counts; posthouse org diff FILE compares",
            file.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::Start;
    use std::net::TcpListener;
    use world::World;

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn version(version: u64, text: &str) -> Result<Option<Document>, String> {
        Ok(Some(Document { version, text: text.into(), ..Document::default() }))
    }

    fn listens(port: u16) -> String {
        format!("[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:{port}\"]\n")
    }

    /// Which version is chosen; 0 for the one that the node was started with.
    fn chosen(etcd: Result<Option<Document>, String>, cache: Result<Option<Document>, String>) -> Result<u64, String> {
        let socket = |port| Some(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let start = Start { smtp: socket(free_port()), submission: socket(free_port()), ..Start::default() };
        let config = Running::load(&World::simulated(1).0, start).unwrap();
        choose(&config, Found { etcd, cache }).map_err(|error| error.to_string())?;
        Ok(config.source().version().map_or(0, |document| document.version))
    }

    #[test]
    fn etcd_then_what_ran_last_then_what_it_was_started_with() {
        let (good, bad, away) = (listens(free_port()), "tpyo = 1", || Err("away".to_string()));
        assert_eq!(chosen(version(8, &good), version(7, &good)), Ok(8));
        assert_eq!(chosen(version(8, bad), version(7, &good)), Ok(7), "not sound on this node");
        assert_eq!(chosen(away(), version(7, &good)), Ok(7));
        assert_eq!(chosen(Ok(None), version(7, &good)), Ok(7), "an etcd that lost it");
        assert_eq!(chosen(away(), version(7, bad)), Ok(0));
        assert_eq!(chosen(away(), Err("torn".into())), Ok(0));
        assert_eq!(chosen(Ok(None), Ok(None)), Ok(0));
    }

    #[test]
    fn sockets_that_are_taken_never_lead_to_another_organization() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let (blocked, good) = (listens(taken.local_addr().unwrap().port()), listens(free_port()));
        assert_eq!(chosen(version(8, &blocked), version(7, &good)), Ok(7), "what ran here before still can");
        let error = chosen(version(8, &blocked), Ok(None)).unwrap_err();
        assert!(error.contains("in use by another program; receive_connector 'in' listens there"), "{error}");
    }
}
