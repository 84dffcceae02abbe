//! Owns one connection to a peer: bytes in, bytes out, and the one deadline that watches over it.
//!
//! Knows no SMTP but the stage that the machine waits in. Always holds: no timer is set per message; the sleep that is set never ends
//! later than the deadline, and if it ends earlier it is set anew.

use super::outbox::Outbox;
use super::wire::Wire;
use crate::tls_client::{Proof, TlsClient};
use directory::Timeouts;
use smtp::client::{Loss, Stage};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};
use world::Clock;

pub(super) struct Line {
    wire: Wire,
    pub outbox: Outbox,
    /// Why nothing could be read any more, once that is so.
    pub broken: Option<io::Error>,
    input: Box<[u8; INPUT_BYTES]>,
    clock: Arc<dyn Clock>,
    /// When bytes last moved, on the monotonic clock.
    moved_ms: u64,
    /// When the sleep ends, on the same clock.
    wakes_ms: u64,
    sleep: Pin<Box<Sleep>>,
}

/// What a connection was waited for.
pub(super) enum Moment {
    /// So many bytes came: see [`Line::input`].
    Read(usize),
    /// There is room in the outbox again.
    Room,
    /// Somebody rang.
    Rung,
    /// Nothing moved for as long as was allowed.
    TimedOut,
    /// It is gone.
    Lost(Loss),
}

impl Line {
    pub fn new(wire: Wire, clock: Arc<dyn Clock>) -> Line {
        let now_ms = clock.mono_ms();
        Line {
            wire,
            outbox: Outbox::default(),
            broken: None,
            input: Box::new([0; INPUT_BYTES]),
            clock,
            moved_ms: now_ms,
            wakes_ms: now_ms,
            sleep: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// What the last [`Moment::Read`] brought.
    pub fn input(&self, count: usize) -> &[u8] {
        &self.input[..count]
    }

    /// The version and cipher of TLS.
    pub fn tls_version(&self) -> Option<String> {
        self.wire.tls_version()
    }

    /// Does the TLS handshake. What was not sent in clear text until now is dropped.
    pub async fn secure(self, tls: &TlsClient, host: &str, proof: Proof<'_>, timeout_ms: u64) -> io::Result<Line> {
        let Wire::Tcp(stream) = self.wire else {
            return Err(io::Error::other("TLS is started on a clear TCP connection only"));
        };
        let handshake = tokio::time::timeout(Duration::from_millis(timeout_ms), tls.start(stream, host, proof));
        let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Line::new(Wire::Tls(Box::new(stream)), self.clock))
    }

    /// Writes what is to be written and waits until something happens, for at most `patience_ms` without a byte moving.
    /// With `bell` it also ends when that rings. `fed`: more of a body follows once there is room.
    pub async fn wait(&mut self, patience_ms: u64, fed: bool, bell: Option<&Notify>) -> Moment {
        let mut rung = pin!(async {
            match bell {
                Some(bell) => bell.notified().await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            if let Poll::Ready(moment) = self.poll_bytes(cx, fed) {
                return Poll::Ready(moment);
            }
            if rung.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Moment::Rung);
            }
            self.poll_deadline(cx, patience_ms)
        })
        .await
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, fed: bool) -> Poll<Moment> {
        while !self.outbox.is_empty() {
            match self.outbox.poll_write(cx, &mut self.wire) {
                Poll::Ready(Ok(wrote)) => {
                    if wrote.0 {
                        self.moved_ms = self.clock.mono_ms();
                    }
                    if fed && self.outbox.is_empty() {
                        return Poll::Ready(Moment::Room);
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Moment::Lost(Loss::Closed)),
                Poll::Pending => break,
            }
        }
        match self.wire.poll_read(cx, &mut self.input[..]) {
            Poll::Ready(Ok(count)) if count > 0 => {
                self.moved_ms = self.clock.mono_ms();
                Poll::Ready(Moment::Read(count))
            }
            Poll::Ready(read) => {
                self.broken = read.err();
                Poll::Ready(Moment::Lost(Loss::Closed))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, patience_ms: u64) -> Poll<Moment> {
        let deadline_ms = self.moved_ms.saturating_add(patience_ms);
        if self.wakes_ms > deadline_ms {
            self.sleep_until(deadline_ms);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.clock.mono_ms() >= deadline_ms {
                return Poll::Ready(Moment::TimedOut);
            }
            self.sleep_until(deadline_ms);
        }
        Poll::Pending
    }

    fn sleep_until(&mut self, deadline_ms: u64) {
        // Tokio's timer counts milliseconds too and may end one early.
        let wait_ms = deadline_ms.saturating_sub(self.clock.mono_ms()).max(1);
        self.wakes_ms = deadline_ms;
        self.sleep = Box::pin(sleep(Duration::from_millis(wait_ms)));
    }

    /// Nothing moved before this moment counts: something new is waited for.
    pub fn restart_deadline(&mut self) {
        self.moved_ms = self.clock.mono_ms();
    }
}

/// How long a stage may last without a byte moving.
pub(super) fn patience_ms(timeouts: &Timeouts, stage: Stage) -> u64 {
    match stage {
        Stage::Greeting => timeouts.greeting_ms,
        Stage::Hello | Stage::Tls | Stage::Auth | Stage::Mail | Stage::Recipient => timeouts.command_ms,
        Stage::DataStart => timeouts.data_ms,
        Stage::DataBlock => timeouts.data_block_ms,
        Stage::DataEnd => timeouts.data_end_ms,
    }
}

/// Replies are short; what a peer sends beyond this comes with the next read.
const INPUT_BYTES: usize = 4096;
