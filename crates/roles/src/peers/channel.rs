//! One channel of a link, for whoever has something to say to the same part of another node.
//!
//! Always holds: a sender waits when the other end does not read, a reader when nothing has come; dropping a channel ends it, and what
//! was finished before still arrives.

use std::fmt;
use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use mux::{Gone, Received};

use super::link::{Shared, State};

/// A channel. Reading and writing may be done by two tasks (or, through the `poll_` functions and a waker of their own, by threads).
pub struct Channel {
    shared: Arc<Shared>,
    number: u32,
    peer: Arc<str>,
    kind: String,
    name: String,
}

impl Channel {
    pub(super) fn new(shared: Arc<Shared>, number: u32, peer: Arc<str>, kind: String, name: String) -> Channel {
        Channel { shared, number, peer, kind, name }
    }

    /// The node at the other end.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// What kind of channel it is.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Which one of that kind.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says that we read: at most `window` bytes may be under way to us. Only for a channel that the other end opened, once.
    pub fn accept(&self, window: u32) {
        self.shared.with(|state| state.mux.accept(self.number, window));
    }

    /// Hands over as much of `bytes` as there is room for; `Ready` when nothing is left. Large pieces are not copied.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<Result<(), Gone>> {
        self.shared.with(|state| {
            alive(state)?;
            state.mux.send(self.number, bytes)?;
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            state.waiting.entry(self.number).or_default().writer = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// Hands over a whole message in borrowed parts, or nothing of it; copies them once. `Pending`: offer the same message again when
    /// woken.
    pub fn poll_send_parts(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<Result<(), Gone>> {
        self.shared.with(|state| {
            alive(state)?;
            if state.mux.send_parts(self.number, parts)? {
                return Poll::Ready(Ok(()));
            }
            state.waiting.entry(self.number).or_default().writer = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// The next bytes in order; `None` when the other end has finished. What is given back counts as read: it makes room.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Gone>> {
        self.shared.with(|state| match state.mux.read(self.number) {
            Ok(Received::Bytes(bytes)) => Poll::Ready(Ok(Some(bytes))),
            Ok(Received::End) => Poll::Ready(Ok(None)),
            Err(gone) => Poll::Ready(Err(gone)),
            // What came before the link ended is still read.
            Ok(Received::Nothing) => match alive(state) {
                Err(gone) => Poll::Ready(Err(gone)),
                Ok(()) => {
                    state.waiting.entry(self.number).or_default().reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            },
        })
    }

    /// Sends all of `bytes`; waits while the other end does not read.
    pub async fn send(&self, mut bytes: Bytes) -> Result<(), Gone> {
        poll_fn(|cx| self.poll_send(cx, &mut bytes)).await
    }

    /// The next bytes in order; `None` when the other end has finished.
    pub async fn receive(&self) -> Result<Option<Bytes>, Gone> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Nothing more will be sent; what was sent still arrives.
    pub fn finish(&self) -> Result<(), Gone> {
        self.shared.with(|state| {
            alive(state)?;
            state.mux.finish(self.number)
        })
    }

    /// Ends it at once; the other end hears why.
    pub fn reset(self, why: &str) {
        self.shared.with(|state| state.mux.reset(self.number, why));
    }
}

fn alive(state: &State) -> Result<(), Gone> {
    match &state.over {
        Some(why) => Err(Gone { why: why.clone() }),
        None => Ok(()),
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.shared.with(|state| {
            state.waiting.remove(&self.number);
            state.mux.forget(self.number);
        });
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} with {}", self.kind, self.name, self.peer)
    }
}
