//! The task that tells secondaries of changes, from an address that they know us by.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::{Shared, count};
use crate::notify::{Notices, Told};
use crate::zones::Zones;

/// Tells. Dropped, it tells no more.
pub(super) struct Teller {
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    shared: Arc<Shared>,
    notices: Mutex<Notices>,
    /// Our addresses: secondaries believe only those.
    from: Mutex<Vec<IpAddr>>,
    changed: Notify,
}

impl Teller {
    /// Call it inside a tokio runtime.
    pub fn new(shared: Arc<Shared>) -> Teller {
        let (notices, from, changed) = (Mutex::default(), Mutex::default(), Notify::new());
        let state = Arc::new(State { shared, notices, from, changed });
        let task = tokio::spawn(run(state.clone()));
        Teller { state, task }
    }

    /// Messages go out from these addresses.
    pub fn send_from(&self, addresses: &[IpAddr]) {
        let mut from = self.state.from.lock().unwrap_or_else(PoisonError::into_inner);
        if *from != addresses {
            *from = addresses.to_vec();
            self.state.changed.notify_one();
        }
    }

    /// Tells the secondaries of each zone that is new or has another serial.
    pub fn tell(&self, before: &Zones, now: &Zones) {
        let now_ms = self.state.shared.world.clock.mono_ms();
        let mut notices = self.state.notices();
        notices.retain(|zone, to| now.get(zone).is_some_and(|served| served.rules.secondaries.contains(&to)));
        for served in now.iter().filter(|served| served.rules.notify) {
            let origin = served.zone.origin();
            if before.get(origin).is_some_and(|before| before.zone.serial() == served.zone.serial()) {
                continue;
            }
            for &to in &served.rules.secondaries {
                notices.add(origin, served.zone.soa(), to, served.rules.keys.first(), now_ms);
            }
        }
        drop(notices);
        self.state.changed.notify_one();
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn notices(&self) -> MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket for each family, on our own address where we have one that reaches beyond this machine.
    async fn sockets(&self) -> (Option<UdpSocket>, Option<UdpSocket>) {
        let from = self.from.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let own = |is_v4: bool| from.iter().copied().filter(|ip| ip.is_ipv4() == is_v4).min_by_key(IpAddr::is_loopback);
        let v4 = own(true).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let v6 = own(false).unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        (bind(v4).await.ok(), bind(v6).await.ok())
    }

    fn due(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        let world = &self.shared.world;
        let (messages, lost) =
            self.notices().due(world.clock.mono_ms(), self.shared.now_s(), || world.chance.u64() as u16);
        lost.iter().for_each(|told| self.say(told));
        messages
    }

    fn say(&self, Told { zone, to, result }: &Told) {
        let is_news = self.shared.secondaries.told(zone, to.ip(), result);
        match result {
            Ok(()) if is_news => info!(%zone, secondary = %to, "the secondary hears of changes again"),
            Ok(()) => debug!(%zone, secondary = %to, "the secondary has heard of the change"),
            Err(why) if is_news => {
                warn!(%zone, secondary = %to, "the secondary does not hear of changes: {why}; it looks by itself after the zone's refresh time");
            }
            Err(why) => debug!(%zone, secondary = %to, why, "the secondary does not hear of changes"),
        }
        count::notified(if result.is_ok() { "heard" } else { "lost" });
    }
}

async fn run(state: Arc<State>) {
    loop {
        let (v4, v6) = state.sockets().await;
        let socket_of = |to: &SocketAddr| if to.is_ipv4() { v4.as_ref() } else { v6.as_ref() };
        let from = state.from.lock().unwrap_or_else(PoisonError::into_inner).clone();
        loop {
            for (to, message) in state.due() {
                if let Some(socket) = socket_of(&to) {
                    // Not to be reached now: the next try says so if that lasts.
                    let _ = socket.send_to(&message, to).await;
                }
            }
            let next_ms = state.notices().next_due_ms();
            let wait = next_ms.map(|due_ms| due_ms.saturating_sub(state.shared.world.clock.mono_ms()));
            let (mut four, mut six) = ([0; ANSWER_MAX], [0; ANSWER_MAX]);
            let heard = tokio::select! {
                Ok((len, from)) = receive(v4.as_ref(), &mut four) => Some((from, &four[..len])),
                Ok((len, from)) = receive(v6.as_ref(), &mut six) => Some((from, &six[..len])),
                () = pause(wait) => None,
                () = state.changed.notified() => None,
            };
            if let Some((from, answer)) = heard {
                let told = state.notices().heard(from, answer, state.shared.now_s());
                told.iter().for_each(|told| state.say(told));
            }
            if *state.from.lock().unwrap_or_else(PoisonError::into_inner) != from {
                break;
            }
        }
    }
}

async fn bind(ip: IpAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(SocketAddr::new(ip, 0)).await
}

async fn pause(wait_ms: Option<u64>) {
    match wait_ms {
        Some(ms) => sleep(Duration::from_millis(ms)).await,
        None => std::future::pending().await,
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        // An error is of a message that came back; the timer goes on.
        Some(socket) => match socket.recv_from(buffer).await {
            Ok(received) => Ok(received),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

const ANSWER_MAX: usize = 1_500;
