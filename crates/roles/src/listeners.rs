//! Owns which sockets take mail, and changes them when the organization document does. Knows no SMTP: connections go to the receiver.
//! Always holds: a reload that cannot have a socket because it is taken changes none; an address that the machine does not have keeps
//! nobody from the others: it is shown as unbound, and tried again until the machine has it (behaviours 1.2).

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use directory::{Listener, Org};
use metrics::{describe_gauge, gauge};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};
use transport::receive::Receiver;

use crate::listen::{BindError, Bound, accept_until};
use crate::{succession, view};

/// The open sockets of a node.
pub struct Listeners {
    receiver: Receiver,
    sockets: Mutex<Sockets>,
}

#[derive(Default)]
struct Sockets {
    open: Vec<Open>,
    unbound: Vec<Unbound>,
    is_written: bool,
}

struct Open {
    listener: Listener,
    socket: Arc<TcpListener>,
    /// Dropped or true: the socket closes.
    stop: watch::Sender<bool>,
}

/// A listener whose address the machine does not have, and what is to be done.
struct Unbound {
    listener: Listener,
    why: String,
}

/// Sockets that have their addresses and do not listen yet.
pub struct BoundListeners {
    bound: Vec<(Listener, Bound)>,
    unbound: Vec<Unbound>,
    is_written: bool,
}

impl BoundListeners {
    /// Takes every address that `listeners` name, or says which one cannot be had. Those that the machine does not have are left out,
    /// unless it has none of them. `is_written`: they are of a document that an operator wrote, not of the one that is built in.
    pub fn bind(listeners: Vec<Listener>, is_written: bool) -> Result<BoundListeners, BindError> {
        let taken = BoundListeners::bind_present(listeners, is_written)?;
        match taken.unbound.first() {
            Some(Unbound { listener, .. }) if taken.bound.is_empty() => bind(listener, is_written).map(|_| taken),
            _ => Ok(taken),
        }
    }

    /// The same, though it may be that nothing is left.
    fn bind_present(listeners: Vec<Listener>, is_written: bool) -> Result<BoundListeners, BindError> {
        let mut taken = BoundListeners { bound: Vec::new(), unbound: Vec::new(), is_written };
        for listener in listeners {
            match bind(&listener, is_written) {
                Ok(bound) => taken.bound.push((listener, bound)),
                Err(error) if error.is_absent_address() => {
                    taken.unbound.push(Unbound { listener, why: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}

impl Listeners {
    /// No socket yet.
    pub fn new(receiver: Receiver) -> Listeners {
        describe_gauge!("posthouse_listeners_unbound", "Addresses to listen on that this machine does not have.");
        Listeners { receiver, sockets: Mutex::default() }
    }

    /// Starts to take mail on all of them, and says which ones cannot be had.
    pub fn listen(&self, bound: BoundListeners) -> Result<(), BindError> {
        bound.unbound.iter().for_each(|unbound| warn!("{}; it is tried again until the machine has it", unbound.why));
        let unbound = bound.unbound;
        gauge!("posthouse_listeners_unbound").set(unbound.len() as f64);
        {
            let mut sockets = self.sockets();
            (sockets.unbound, sockets.is_written) = (unbound, bound.is_written);
        }
        for (listener, taken) in bound.bound {
            let socket = Arc::new(taken.listen(&remedy(&listener, bound.is_written))?);
            let (stop, stopped) = watch::channel(false);
            let receiver = self.receiver.clone();
            tokio::spawn(accept_until(socket.clone(), stopped, move |stream, peer| {
                let receiver = receiver.clone();
                async move {
                    // A peer that is gone already has no address and needs no answer.
                    if let Ok(local) = stream.local_addr() {
                        receiver.serve(stream, local, peer).await;
                    }
                }
            }));
            self.sockets().open.push(Open { listener, socket, stop });
        }
        Ok(())
    }

    /// Opens what is new in `org` and closes what is not in it any more. Sessions go on. `is_written` as in [`BoundListeners::bind`].
    pub fn follow(&self, org: &Org, is_written: bool) -> Result<(), BindError> {
        let wanted = org.listeners();
        let is_open =
            |wanted: &Listener| self.sockets().open.iter().any(|open| open.listener.address == wanted.address);
        let added = wanted.iter().filter(|listener| !is_open(listener)).cloned().collect();
        let bound = BoundListeners::bind_present(added, is_written)?;
        self.listen(bound)?;
        let mut sockets = self.sockets();
        sockets.open.retain(|open| {
            let stays = wanted.iter().any(|wanted| wanted.address == open.listener.address);
            if !stays {
                succession::manager::forget(open.listener.address);
            }
            stays
        });
        for open in &mut sockets.open {
            if let Some(now) = wanted.iter().find(|wanted| wanted.address == open.listener.address) {
                open.listener = now.clone();
            }
        }
        Ok(())
    }

    /// Some address is not there.
    pub fn is_short(&self) -> bool {
        !self.sockets().unbound.is_empty()
    }

    /// Tries again to have the addresses that were not there. Call it inside a runtime.
    pub fn try_again(&self) {
        let (unbound, is_written) = {
            let mut sockets = self.sockets();
            (std::mem::take(&mut sockets.unbound), sockets.is_written)
        };
        let mut still = Vec::new();
        for Unbound { listener, why } in unbound {
            let address = listener.address;
            let bound = BoundListeners::bind(vec![listener.clone()], is_written);
            match bound.and_then(|bound| self.listen(bound)) {
                Ok(()) => info!("{address}: the machine has this address now, mail is taken there"),
                Err(error) if error.is_absent_address() => still.push(Unbound { listener, why }),
                Err(error) => still.push(Unbound { listener, why: error.to_string() }),
            }
        }
        gauge!("posthouse_listeners_unbound").set(still.len() as f64);
        self.sockets().unbound = still;
    }

    /// Closes all of them.
    pub fn stop(&self) {
        let mut sockets = self.sockets();
        sockets.unbound.clear();
        for open in sockets.open.drain(..) {
            open.stop.send_replace(true);
        }
    }

    /// Duplicates of those that listen now, for another process.
    pub fn duplicates(&self) -> Vec<OwnedFd> {
        // Out of descriptors: the other process makes its own.
        self.sockets().open.iter().filter_map(|open| open.socket.as_fd().try_clone_to_owned().ok()).collect()
    }

    /// For people.
    pub fn shown(&self) -> Vec<view::Listener> {
        let shown = |listener: &Listener, unbound: Option<String>| view::Listener {
            address: listener.address.to_string(),
            protocol: listener.protocol.word().into(),
            connectors: listener.connectors.iter().map(|name| name.to_string()).collect(),
            unbound,
        };
        let sockets = self.sockets();
        let open = sockets.open.iter().map(|open| shown(&open.listener, None));
        let unbound = sockets.unbound.iter().map(|unbound| shown(&unbound.listener, Some(unbound.why.clone())));
        open.chain(unbound).collect()
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        // Lists of whole values; nobody panics while holding them.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A virtual address is bound before this machine has it: connections are taken the moment that it comes.
fn bind(listener: &Listener, is_written: bool) -> Result<Bound, BindError> {
    let (address, remedy) = (listener.address, remedy(listener, is_written));
    if listener.is_virtual { Bound::bind_ahead(address, &remedy) } else { Bound::bind(address, &remedy) }
}

fn remedy(listener: &Listener, is_written: bool) -> String {
    let name = listener.connectors.first().map_or("", |name| name);
    match (is_written, name) {
        (true, name) => format!("receive_connector '{name}' listens there, its 'listen' chooses another"),
        (false, "submission") => "--submission ADDRESS chooses another".into(),
        (false, _) => "--smtp ADDRESS chooses another".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::Protocol;
    use std::net::SocketAddr;

    fn listener(address: &str) -> Listener {
        Listener {
            address: address.parse().unwrap(),
            protocol: Protocol::Smtp,
            connectors: vec!["in".into()],
            is_virtual: false,
        }
    }

    #[test]
    fn an_address_that_is_not_there_keeps_nobody_from_the_others() {
        // TEST-NET-1: no machine has it.
        let (absent, here) = (listener("192.0.2.1:25000"), listener("127.0.0.1:0"));
        let taken = BoundListeners::bind(vec![absent.clone(), here], true).unwrap();
        assert_eq!((taken.bound.len(), taken.unbound.len()), (1, 1));
        assert_eq!(
            taken.unbound[0].why,
            "192.0.2.1:25000: this machine has no such address; receive_connector 'in' listens there, its 'listen' chooses another"
        );
        let virtual_one = Listener { is_virtual: true, ..absent.clone() };
        let taken = BoundListeners::bind(vec![virtual_one], true).unwrap();
        assert_eq!((taken.bound.len(), taken.unbound.len()), (1, 0), "a virtual one is bound before it comes");
        let error = BoundListeners::bind(vec![absent.clone()], true).map(drop).unwrap_err();
        assert!(error.is_absent_address(), "a node that could listen nowhere does not start");
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let used: SocketAddr = other.local_addr().unwrap();
        let error = BoundListeners::bind(vec![absent, listener(&used.to_string())], true).map(drop).unwrap_err();
        assert!(error.to_string().contains("in use by another program"), "{error}");
    }
}
