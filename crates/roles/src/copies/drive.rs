//! Owns the work on one end of a copy's link: bytes from the channel to the machine and back, on a thread of its own, because the
//! machine works with the disk. Knows neither what the bytes mean nor which end it is.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use journal::copies::{HeldLink, Link, Malformed, Outgoing};

use super::Shop;
use crate::peers::Channel;

/// An end of a link, as [`journal::copies`] makes it.
pub trait End {
    /// Takes bytes of the other end.
    fn receive(&self, bytes: &[u8]) -> Result<(), Malformed>;
    /// Whether to read on.
    fn wants_input(&self) -> bool;
    /// Works, with the disk if need be. Says whether there was anything to do.
    fn pump(&self) -> bool;
    /// The next frame to send.
    fn output(&self) -> Option<Outgoing>;
    /// Lets time pass if that is due; says when it is due again, in monotonic milliseconds.
    fn tick(&self, now_ms: u64) -> Option<u64>;
    /// Nothing more will come of it.
    fn is_over(&self) -> bool;
}

impl End for Link {
    fn receive(&self, bytes: &[u8]) -> Result<(), Malformed> {
        Link::receive(self, bytes)
    }

    fn wants_input(&self) -> bool {
        true
    }

    fn pump(&self) -> bool {
        Link::pump(self)
    }

    fn output(&self) -> Option<Outgoing> {
        Link::output(self)
    }

    fn tick(&self, now_ms: u64) -> Option<u64> {
        if self.next_due_ms()? <= now_ms {
            Link::tick(self);
        }
        self.next_due_ms()
    }

    fn is_over(&self) -> bool {
        self.next_due_ms().is_none()
    }
}

impl End for HeldLink {
    fn receive(&self, bytes: &[u8]) -> Result<(), Malformed> {
        HeldLink::receive(self, bytes)
    }

    fn wants_input(&self) -> bool {
        HeldLink::wants_input(self)
    }

    fn pump(&self) -> bool {
        HeldLink::pump(self)
    }

    fn output(&self) -> Option<Outgoing> {
        HeldLink::output(self)
    }

    fn tick(&self, _: u64) -> Option<u64> {
        None
    }

    fn is_over(&self) -> bool {
        HeldLink::is_over(self)
    }
}

/// Wakes this thread from wherever something happens to the link.
pub fn wake_of_this_thread() -> Arc<dyn Fn() + Send + Sync> {
    let me = thread::current();
    Arc::new(move || me.unpark())
}

/// Works until the channel, the end or the node is over; says why, for people.
pub fn drive(shop: &Shop, end: &impl End, channel: &Channel) -> String {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut unsent = None;
    loop {
        match turn(end, channel, &mut cx, &mut unsent) {
            Err(why) => return why,
            Ok(true) => continue,
            Ok(false) => {}
        }
        if end.is_over() {
            return String::from("the other end will not have this copy, or has a newer link");
        }
        if shop.is_stopping() {
            return String::from("the node is going down");
        }
        let now_ms = shop.world.clock.mono_ms();
        let rest_ms = end.tick(now_ms).map_or(REST_MS_MAX, |due_ms| due_ms.saturating_sub(now_ms).min(REST_MS_MAX));
        thread::park_timeout(Duration::from_millis(rest_ms.max(1)));
    }
}

/// Reads what has come, works, sends what there is. Says whether anything moved.
fn turn(
    end: &impl End,
    channel: &Channel,
    cx: &mut Context<'_>,
    unsent: &mut Option<Outgoing>,
) -> Result<bool, String> {
    let mut moved = false;
    while end.wants_input() {
        match channel.poll_receive(cx) {
            Poll::Ready(Ok(Some(bytes))) => end.receive(&bytes).map_err(|Malformed(what)| what.to_string())?,
            Poll::Ready(Ok(None)) => return Err(String::from("the other end has finished")),
            Poll::Ready(Err(gone)) => return Err(gone.why),
            Poll::Pending => break,
        }
        moved = true;
    }
    moved |= end.pump();
    loop {
        let Some(frame) = unsent.take().or_else(|| end.output()) else { return Ok(moved) };
        let mut slices = Vec::new();
        frame.slices(&mut slices);
        match channel.poll_send_parts(cx, &slices) {
            Poll::Ready(Ok(())) => moved = true,
            Poll::Ready(Err(gone)) => return Err(gone.why),
            Poll::Pending => {
                *unsent = Some(frame);
                return Ok(moved);
            }
        }
    }
}

/// Wakes a thread as tasks are woken.
pub struct Unpark(pub Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// A thread looks around at least so often: whether the node stops, whether its link was replaced.
const REST_MS_MAX: u64 = 200;
