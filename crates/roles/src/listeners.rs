//! Owns which sockets take mail, and changes them when the organization document does. Knows no SMTP: connections go to the receiver.
//! Always holds: a reload that cannot have all its sockets changes none.

use std::sync::{Mutex, MutexGuard, PoisonError};

use directory::{Listener, Org};
use tokio::sync::watch;
use transport::receive::Receiver;

use crate::listen::{BindError, Bound, accept_until};
use crate::view;

/// The open sockets of a node.
pub struct Listeners {
    receiver: Receiver,
    open: Mutex<Vec<Open>>,
}

struct Open {
    listener: Listener,
    /// Dropped or true: the socket closes.
    stop: watch::Sender<bool>,
}

/// Sockets that have their addresses and do not listen yet.
pub struct BoundListeners {
    bound: Vec<(Listener, Bound)>,
    is_written: bool,
}

impl BoundListeners {
    /// Takes every address that `listeners` name, or says which one cannot be had. `is_written`: they are of a document that an
    /// operator wrote, not of the one that is built in.
    pub fn bind(listeners: Vec<Listener>, is_written: bool) -> Result<BoundListeners, BindError> {
        let bind = |listener: Listener| {
            let bound = Bound::bind(listener.address, &remedy(&listener, is_written))?;
            Ok((listener, bound))
        };
        let bound = listeners.into_iter().map(bind).collect::<Result<_, _>>()?;
        Ok(BoundListeners { bound, is_written })
    }
}

impl Listeners {
    /// No socket yet.
    pub fn new(receiver: Receiver) -> Listeners {
        Listeners { receiver, open: Mutex::default() }
    }

    /// Starts to take mail on all of them.
    pub fn listen(&self, bound: BoundListeners) -> Result<(), BindError> {
        for (listener, taken) in bound.bound {
            let socket = taken.listen(&remedy(&listener, bound.is_written))?;
            let (stop, stopped) = watch::channel(false);
            let receiver = self.receiver.clone();
            tokio::spawn(accept_until(socket, stopped, move |stream, peer| {
                let receiver = receiver.clone();
                async move {
                    // A peer that is gone already has no address and needs no answer.
                    if let Ok(local) = stream.local_addr() {
                        receiver.serve(stream, local, peer).await;
                    }
                }
            }));
            self.open().push(Open { listener, stop });
        }
        Ok(())
    }

    /// Opens what is new in `org` and closes what is not in it any more. Sessions go on. `is_written` as in [`BoundListeners::bind`].
    pub fn follow(&self, org: &Org, is_written: bool) -> Result<(), BindError> {
        let wanted = org.listeners();
        let is_open = |wanted: &Listener| self.open().iter().any(|open| open.listener.address == wanted.address);
        let added = wanted.iter().filter(|listener| !is_open(listener)).cloned().collect();
        let bound = BoundListeners::bind(added, is_written)?;
        self.listen(bound)?;
        let mut open = self.open();
        open.retain(|open| wanted.iter().any(|wanted| wanted.address == open.listener.address));
        for open in open.iter_mut() {
            if let Some(now) = wanted.iter().find(|wanted| wanted.address == open.listener.address) {
                open.listener = now.clone();
            }
        }
        Ok(())
    }

    /// Closes all of them.
    pub fn stop(&self) {
        for open in self.open().drain(..) {
            open.stop.send_replace(true);
        }
    }

    /// For people.
    pub fn shown(&self) -> Vec<view::Listener> {
        let shown = |open: &Open| view::Listener {
            address: open.listener.address.to_string(),
            protocol: open.listener.protocol.word().into(),
            connectors: open.listener.connectors.iter().map(|name| name.to_string()).collect(),
        };
        self.open().iter().map(shown).collect()
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        // A list of whole values; nobody panics while holding it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remedy(listener: &Listener, is_written: bool) -> String {
    let name = listener.connectors.first().map_or("", |name| name);
    match (is_written, name) {
        (true, name) => format!("receive_connector '{name}' listens there, its 'listen' chooses another"),
        (false, "submission") => "--submission ADDRESS chooses another".into(),
        (false, _) => "--smtp ADDRESS chooses another".into(),
    }
}
