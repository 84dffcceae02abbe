//! Answers over UDP: some threads for each address, each with a socket of its own, between which the kernel spreads the askers.
//!
//! Always holds: a thread waits for nothing but its socket; it keeps no more than one message; of sockets that another process has had,
//! each has a thread, however many threads there should be.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::warn;

use super::count::Tally;
use super::{Shared, socket};
use crate::answer::{Answered, Outcome, Via, answer, ask_over_tcp};
use crate::rate::Verdict;
use crate::wire::Rcode;

/// The threads of one address.
pub(super) struct UdpThreads {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    sockets: Vec<Arc<UdpSocket>>,
}

impl UdpThreads {
    pub fn start(address: SocketAddr, inherited: Vec<OwnedFd>, shared: &Arc<Shared>) -> io::Result<UdpThreads> {
        let mut sockets = inherited.into_iter().map(adopt).collect::<io::Result<Vec<_>>>()?;
        while sockets.len() < shared.settings.threads.max(1) {
            sockets.push(Arc::new(bind(address)?));
        }
        let mut started = UdpThreads { stop: Arc::default(), threads: Vec::new(), sockets };
        for socket in started.sockets.clone() {
            let (shared, stop) = (shared.clone(), started.stop.clone());
            let thread = thread::Builder::new().name("dns".into());
            started.threads.push(thread.spawn(move || Asked::new(&shared).serve(&socket, &stop))?);
        }
        Ok(started)
    }

    /// Duplicates of its sockets.
    pub fn duplicates(&self) -> impl Iterator<Item = OwnedFd> {
        self.sockets.iter().filter_map(|socket| socket.try_clone().ok()).map(OwnedFd::from)
    }
}

/// Waits until the threads are gone: a moment, see [`LOOK`].
impl Drop for UdpThreads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // It ends by itself; a panic ends the process before we come here.
            let _ = thread.join();
        }
    }
}

/// A socket of another process, which may still read there for a moment: each datagram comes to one of the two.
fn adopt(socket: OwnedFd) -> io::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(Arc::new(socket))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, socket2::Type::DGRAM)?;
    socket.set_reuse_port(true)?;
    // The kernel may give less; a short flood waits there all the same.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket.into())
}

/// What a thread answers from and counts with.
struct Asked<'s> {
    shared: &'s Shared,
    tally: Tally,
}

impl Asked<'_> {
    fn new(shared: &Shared) -> Asked<'_> {
        Asked { shared, tally: Tally::new("udp") }
    }

    fn serve(mut self, socket: &UdpSocket, stop: &AtomicBool) {
        let (mut message, mut out) = ([0; QUERY_MAX], Vec::with_capacity(QUERY_MAX));
        let mut version = self.shared.version.load(Ordering::Acquire);
        let mut zones = self.shared.zones();
        while !stop.load(Ordering::Acquire) {
            let (len, from) = match socket.recv_from(&mut message) {
                Ok(received) => received,
                Err(error) => {
                    self.tally.flush(self.shared.world.clock.mono_us());
                    if !is_passing(&error) {
                        warn!(%error, "a DNS socket is broken, its thread ends; the node should be started again");
                        return;
                    }
                    continue;
                }
            };
            let now = self.shared.version.load(Ordering::Acquire);
            if now != version {
                (version, zones) = (now, self.shared.zones());
            }
            let now_us = self.shared.world.clock.mono_us();
            out.clear();
            let message = &message[..len];
            let outcome = answer(&zones, message, from.ip(), Via::Udp, || self.shared.now_s(), &mut out);
            if let Outcome::Answered(answered) = outcome
                && self.limit(answered, message, from, now_us, &mut out)
                // Whoever cannot be reached asks again.
                && socket.send_to(&out, from).is_ok()
            {
                self.tally.answered(answered, now_us);
            }
        }
    }

    /// Whether something is sent; it may be less than there was.
    fn limit(&mut self, answered: Answered, message: &[u8], from: SocketAddr, now_us: u64, out: &mut Vec<u8>) -> bool {
        match self.shared.rates.look(from.ip(), answered.same, now_us) {
            Verdict::Send => return true,
            Verdict::Slip if matches!(answered.rcode, Rcode::NoError | Rcode::NxDomain) => {
                out.clear();
                ask_over_tcp(message, out);
                self.tally.limited("slip");
                return true;
            }
            Verdict::Slip | Verdict::Drop => self.tally.limited("drop"),
        }
        false
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}

/// Octets of a question at most: 512 are usual, a signature and options come to a thousand.
pub(super) const QUERY_MAX: usize = 4_096;
const RECEIVE_BUFFER: usize = 4 << 20;
/// A thread looks so often whether it shall end.
const LOOK: Duration = Duration::from_millis(250);
