//! Live events as server-sent events: `trace` with new events of messages, `status` every two seconds.
//! Always holds: a reader that is slow misses events and slows nobody; there are at most [`READERS_MAX`] readers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use roles::control::Control;
use roles::trace::TraceEvent;
use roles::view::{
    Cluster, HeldCopy, Org, OwnCopy, Peer, Pressure, Queue, Services, Spool, TakenJournal, VirtualAddress, Zones,
};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::answer::Failure;

/// What the page shows of the state, every two seconds.
#[derive(Serialize)]
struct Pulse {
    phase: String,
    ready: bool,
    reasons: Vec<String>,
    uptime_s: u64,
    pressure: Pressure,
    spool: Spool,
    queues: Vec<Queue>,
    name: String,
    peers: Vec<Peer>,
    copies: Vec<OwnCopy>,
    held: Vec<HeldCopy>,
    taken: Vec<TakenJournal>,
    org: Option<Org>,
    cluster: Option<Cluster>,
    services: Services,
    addresses: Vec<VirtualAddress>,
    zones: Zones,
}

/// `GET /api/v1/events`
pub async fn stream(
    State(control): State<Control>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let place = Place::take().ok_or_else(|| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many live readers", "close some pages of this node")
    })?;
    let mut ticks = interval(PULSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader { events: control.events(), control, ticks, _place: place };
    let stream =
        stream::unfold(reader, |mut reader| async move { reader.next().await.map(|event| (Ok(event), reader)) });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

struct Reader {
    control: Control,
    events: Receiver<Arc<[TraceEvent]>>,
    ticks: Interval,
    _place: Place,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                _ = self.ticks.tick() => return json("status", &self.pulse().await),
                events = self.events.recv() => match events {
                    Ok(events) => return json("trace", &*events),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    async fn pulse(&self) -> Pulse {
        let (cluster, services) = tokio::join!(self.control.shown_cluster(), self.control.services());
        let pulse = self.control.pulse();
        Pulse {
            phase: pulse.phase,
            ready: pulse.ready,
            reasons: pulse.reasons,
            uptime_s: pulse.uptime_s,
            pressure: pulse.pressure,
            spool: pulse.spool,
            name: pulse.name,
            peers: pulse.peers,
            copies: pulse.copies,
            held: pulse.held,
            taken: pulse.taken,
            org: pulse.org,
            cluster,
            services,
            addresses: self.control.virtual_addresses(),
            zones: super::page::in_short(self.control.zones()),
            queues: super::page::largest(self.control.queues()),
        }
    }
}

/// `None` ends the stream: these types always serialize.
fn json(name: &str, value: &(impl Serialize + ?Sized)) -> Option<Event> {
    Event::default().event(name).json_data(value).ok()
}

/// One of the places for readers.
struct Place;

static READERS: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Place> {
        let taken = READERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < READERS_MAX).then_some(n + 1));
        taken.is_ok().then_some(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

const PULSE: Duration = Duration::from_secs(2);
const READERS_MAX: usize = 32;
