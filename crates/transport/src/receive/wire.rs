//! A socket with its buffer and its alarms: idle timeout, session timeout, stop. One timer per connection; it is not touched when
//! bytes arrive, but looks at the clock when it goes off and sleeps again if it was too early.

use super::buffer::ReadBuffer;
use super::socket::Socket;
use super::stop::Stop;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::TlsAcceptor;

/// Buffers full of unread bytes that are dropped at a close; a peer that has sent more gets its reset.
const LEFTOVER_READS_MAX: usize = 8;

/// Why nothing more is read or written.
#[derive(Debug)]
pub enum End {
    /// The peer has closed its side, or the connection broke.
    Lost,
    /// Nothing came, or nothing could be sent, for the idle timeout.
    Idle,
    /// The session timeout is over.
    Session,
    /// The node stops.
    Stop,
}

/// A connection as the driver sees it.
pub struct Wire {
    socket: Socket,
    buffer: ReadBuffer,
    alarms: Alarms,
}

struct Alarms {
    stop: Arc<Stop>,
    stop_begun: Pin<Box<OwnedNotified>>,
    stop_seen: bool,
    sleep: Pin<Box<Sleep>>,
    /// Who is woken by `sleep` and `stop_begun`. While it is the task that asks, neither is polled again.
    armed: Option<Waker>,
    idle: Duration,
    idle_at: Instant,
    session_at: Instant,
}

impl Wire {
    /// A connection that may be silent for `idle` and open for `session`.
    pub fn new(socket: Socket, stop: Arc<Stop>, idle: Duration, session: Duration) -> Wire {
        let now = Instant::now();
        let stop_begun = Box::pin(stop.begun());
        let (idle_at, session_at) = (now + idle, now + session);
        let sleep = Box::pin(sleep_until(idle_at.min(session_at)));
        let alarms = Alarms { stop, stop_begun, stop_seen: false, sleep, armed: None, idle, idle_at, session_at };
        Wire { socket, buffer: ReadBuffer::default(), alarms }
    }

    /// Changes the timeouts, once it is known whose connection this is. The session's counts from now.
    pub fn set_timeouts(&mut self, idle: Duration, session: Duration) {
        let now = Instant::now();
        self.alarms.idle = idle;
        self.alarms.idle_at = now + idle;
        self.alarms.session_at = now + session;
        self.alarms.rearm();
    }

    /// Changes the time for which nothing may be heard, from now on.
    pub fn set_idle(&mut self, idle: Duration) {
        self.alarms.idle = idle;
        self.alarms.idle_at = Instant::now() + idle;
        self.alarms.rearm();
    }

    /// What was read and not used.
    pub fn unread(&self) -> &[u8] {
        self.buffer.unread()
    }

    /// The first `count` bytes of [`unread`](Self::unread) are done with.
    pub fn consume(&mut self, count: usize) {
        self.buffer.consume(count);
    }

    /// Waits for bytes. They stand behind those that were not used.
    pub async fn fill(&mut self) -> Result<(), End> {
        let Wire { socket, buffer, alarms } = self;
        let read = poll_fn(|cx| {
            let mut pending = false;
            let read = buffer.fill(|room| match socket.poll_read(cx, room) {
                Poll::Ready(Ok(count)) => Ok(count),
                Poll::Ready(Err(error)) => Err(error),
                Poll::Pending => {
                    pending = true;
                    Err(io::ErrorKind::WouldBlock.into())
                }
            });
            match (read, pending) {
                (_, true) => alarms.poll(cx).map(Err),
                (Ok(1..), _) => Poll::Ready(Ok(())),
                (Ok(0) | Err(_), _) => Poll::Ready(Err(End::Lost)),
            }
        });
        read.await?;
        alarms.idle_at = Instant::now() + alarms.idle;
        Ok(())
    }

    /// Writes all of `bytes`, or says why not. The wish to stop does not end a write.
    pub async fn send(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        let Wire { socket, alarms, .. } = self;
        while !bytes.is_empty() {
            let count = poll_fn(|cx| alarms.or_late(cx, |cx| socket.poll_write(cx, bytes))).await?;
            bytes = bytes.get(count.max(1)..).unwrap_or_default();
        }
        poll_fn(|cx| alarms.or_late(cx, |cx| socket.poll_flush(cx))).await
    }

    /// Lets time pass without holding a thread; cut short when the session must end.
    pub async fn pause(&mut self, time: Duration) -> Result<(), End> {
        let mut over = pin!(tokio::time::sleep(time));
        poll_fn(|cx| match over.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => self.alarms.poll(cx).map(Err),
        })
        .await
    }

    /// Drops what was read in the clear and makes the handshake.
    pub async fn start_tls(&mut self, acceptor: TlsAcceptor) -> Result<(), End> {
        self.handshake(acceptor).await?.map_err(|_| End::Lost)
    }

    /// The same, with what TLS says of a handshake that failed.
    pub async fn handshake(&mut self, acceptor: TlsAcceptor) -> Result<io::Result<()>, End> {
        self.buffer.clear();
        let mut handshake = pin!(self.socket.start_tls(acceptor));
        let alarms = &mut self.alarms;
        poll_fn(|cx| alarms.or_late(cx, |cx| handshake.as_mut().poll(cx).map(Ok))).await
    }

    /// Version and cipher, if under TLS.
    pub fn tls(&self) -> Option<String> {
        self.socket.tls()
    }

    /// Says goodbye and closes. What the peer has sent meanwhile is read and dropped: closed with bytes unread, the kernel would reset
    /// the connection, and the peer might never see our last words.
    pub async fn close(mut self) {
        let Wire { socket, alarms, buffer } = &mut self;
        let _ = poll_fn(|cx| alarms.or_late(cx, |cx| socket.poll_shutdown(cx))).await;
        poll_fn(|cx| {
            for _ in 0..LEFTOVER_READS_MAX {
                buffer.clear();
                let read = buffer.fill(|room| match socket.poll_read(cx, room) {
                    Poll::Ready(Ok(count @ 1..)) => Ok(count),
                    _ => Err(()),
                });
                if read.is_err() {
                    break;
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The node wants to stop.
    pub fn is_stopping(&self) -> bool {
        self.alarms.stop.grace().is_some()
    }

    /// It may wait until a message is over.
    pub fn is_stopping_softly(&self) -> bool {
        self.is_stopping() && self.alarms.stop.is_soft()
    }

    /// The session's time is over.
    pub fn is_overdue(&self) -> bool {
        Instant::now() >= self.alarms.session_at
    }
}

impl Alarms {
    /// The end that has come, if one has.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let ours = self.armed.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if ours && !self.sleep.is_elapsed() && (self.stop_seen || self.stop.grace().is_none()) {
            return Poll::Pending;
        }
        self.armed = Some(cx.waker().clone());
        if !self.stop_seen && (self.stop_begun.as_mut().poll(cx).is_ready() || self.stop.grace().is_some()) {
            self.stop_seen = true;
            self.session_at = self.session_at.min(Instant::now() + self.stop.grace().unwrap_or_default());
            self.rearm();
            self.armed = Some(cx.waker().clone());
            let _ = self.sleep.as_mut().poll(cx);
            return Poll::Ready(End::Stop);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.session_at {
                return Poll::Ready(if self.stop_seen { End::Stop } else { End::Session });
            }
            if now >= self.idle_at {
                return Poll::Ready(End::Idle);
            }
            self.sleep.as_mut().reset(self.idle_at.min(self.session_at));
        }
        Poll::Pending
    }

    /// Polls `work`; while it waits, only a timeout ends it.
    fn or_late<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<Result<T, End>> {
        match work(cx) {
            Poll::Ready(Ok(done)) => Poll::Ready(Ok(done)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(End::Lost)),
            Poll::Pending => match self.poll(cx) {
                // The first word of a stop only shortens the session's time.
                Poll::Ready(End::Stop) if Instant::now() < self.session_at => Poll::Pending,
                end => end.map(Err),
            },
        }
    }

    fn rearm(&mut self) {
        self.sleep.as_mut().reset(self.idle_at.min(self.session_at));
        self.armed = None;
    }
}
