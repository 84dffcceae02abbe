//! Owns how bytes go between a channel and one end of a copy's link. Knows neither what they mean nor which end it is.

use std::task::{Context, Poll};

use journal::copies::{HeldLink, Link, Malformed, Outgoing};

use crate::peers::Channel;

/// An end of a link, as [`journal::copies`] makes it.
pub trait End {
    /// Takes bytes of the other end.
    fn receive(&self, bytes: &[u8]) -> Result<(), Malformed>;
    /// Whether to read on.
    fn wants_input(&self) -> bool;
    /// The next frame to send.
    fn output(&self) -> Option<Outgoing>;
}

impl End for Link {
    fn receive(&self, bytes: &[u8]) -> Result<(), Malformed> {
        Link::receive(self, bytes)
    }

    fn wants_input(&self) -> bool {
        true
    }

    fn output(&self) -> Option<Outgoing> {
        Link::output(self)
    }
}

impl End for HeldLink {
    fn receive(&self, bytes: &[u8]) -> Result<(), Malformed> {
        HeldLink::receive(self, bytes)
    }

    fn wants_input(&self) -> bool {
        HeldLink::wants_input(self)
    }

    fn output(&self) -> Option<Outgoing> {
        HeldLink::output(self)
    }
}

/// Reads what has come. Says whether anything moved; the error is why the link is over, for people.
pub fn take_in(end: &impl End, channel: &Channel, cx: &mut Context<'_>) -> Result<bool, String> {
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
    Ok(moved)
}

/// Sends what there is; what there is no room for stays in `unsent`. Says whether anything moved.
pub fn send_out(
    end: &impl End,
    channel: &Channel,
    cx: &mut Context<'_>,
    unsent: &mut Option<Outgoing>,
) -> Result<bool, String> {
    let mut moved = false;
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
