//! Owns one live connection: moves bytes between a socket and the machine in [`mux`], and wakes who waits for a channel.
//! Knows no names and no policy. Always holds: no lock is held while a socket is read or written; one task per link, woken only when
//! there is something to do; at most [`OUT_MAX`] bytes (and one frame) stand between a heartbeat and the socket.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mux::{Counts, Cut, Event, Mux, Pieces};
use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsStream;
use world::World;

use super::trouble::Trouble;

/// The socket below a link. rustls reads 4 KiB at a time; the buffer makes one system call of sixteen.
pub type Socket = TlsStream<BufReader<TcpStream>>;

/// What the users of a link and its driver share.
pub struct Shared {
    state: Mutex<State>,
}

/// Behind the lock; held for the time of a few moves in memory.
pub struct State {
    /// The machine.
    pub mux: Mux,
    /// Who waits for which channel.
    pub waiting: HashMap<u32, Waiting>,
    /// Why the link is over, once it is.
    pub over: Option<String>,
    /// The driver, while it has nothing to do.
    driver: Option<Waker>,
}

/// Who waits for a channel.
#[derive(Default)]
pub struct Waiting {
    /// For bytes.
    pub reader: Option<Waker>,
    /// For room.
    pub writer: Option<Waker>,
}

impl Shared {
    /// A link whose bytes nobody moves yet.
    pub fn new(mux: Mux) -> Arc<Shared> {
        let state = State { mux, waiting: HashMap::new(), over: None, driver: None };
        Arc::new(Shared { state: Mutex::new(state) })
    }

    /// Does something with the machine, and calls the driver if that gave it something to write.
    pub fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let done = work(&mut state);
        let driver = if state.mux.has_output() { state.driver.take() } else { None };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        done
    }

    /// Bytes in and out, and the round trip in microseconds.
    pub fn measured(&self) -> (Counts, Option<u64>) {
        let state = self.lock();
        (state.mux.counts(), state.mux.round_trip_us())
    }

    /// Everybody who waits for a channel hears that the link is over.
    pub fn end(&self, why: &str) {
        let mut state = self.lock();
        state.over.get_or_insert_with(|| why.to_string());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().flat_map(|waiting| [waiting.reader, waiting.writer]).flatten().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the machine's events: channels are woken here, the rest is the driver's.
    fn sort_events(&mut self, wakers: &mut Vec<Waker>, events: &mut VecDeque<Event>) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Readable(channel) => wakers.extend(self.waiter(channel, |waiting| waiting.reader.take())),
                Event::Writable(channel) => wakers.extend(self.waiter(channel, |waiting| waiting.writer.take())),
                Event::Over(channel) => {
                    let waiting = self.waiting.remove(&channel).unwrap_or_default();
                    wakers.extend([waiting.reader, waiting.writer].into_iter().flatten());
                }
                Event::Hello(_) | Event::Opened { .. } | Event::Bye(_) => events.push_back(event),
            }
        }
    }

    fn waiter(&mut self, channel: u32, take: impl FnOnce(&mut Waiting) -> Option<Waker>) -> Option<Waker> {
        self.waiting.get_mut(&channel).and_then(take)
    }
}

/// Moves the bytes of one link.
pub struct Driver {
    world: World,
    socket: Socket,
    shared: Arc<Shared>,
    out: Pieces,
    events: VecDeque<Event>,
    wakers: Vec<Waker>,
    beat: Pin<Box<Sleep>>,
    /// When the certificates of this link end, Unix milliseconds.
    valid_until_ms: u64,
}

impl Driver {
    /// For a socket whose handshake is done.
    pub fn new(world: &World, socket: Socket, shared: Arc<Shared>, valid_until_ms: u64) -> Driver {
        Driver {
            world: world.clone(),
            socket,
            shared,
            out: Pieces::default(),
            events: VecDeque::new(),
            wakers: Vec::new(),
            beat: Box::pin(tokio::time::sleep(Duration::ZERO)),
            valid_until_ms,
        }
    }

    /// What the link is about next: a hello, an opened channel, a farewell. Bytes move only while this is awaited.
    pub async fn next(&mut self) -> Result<Event, Trouble> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Says why the link ends, if the other end still listens, and closes it.
    pub async fn farewell(&mut self, why: &str) {
        self.shared.with(|state| state.mux.close(why));
        let said = poll_fn(|cx| match self.write(cx) {
            Ok(Wrote::All) => Pin::new(&mut self.socket).poll_shutdown(cx).map(|_| ()),
            Ok(Wrote::Some) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(Wrote::Blocked) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        });
        // One that does not take it is gone anyway.
        let _ = tokio::time::timeout(FAREWELL, said).await;
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Trouble>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Ok(event));
            }
            // Reading first: what lies in the socket is a sign of life, however late we come to look.
            let read = self.read(cx);
            // Readers are woken once for all that has come, not for each record of TLS.
            self.wakers.drain(..).for_each(Waker::wake);
            let read = read?;
            if !self.events.is_empty() {
                // The last words count, even if the socket is closed behind them.
                continue;
            }
            self.tick(cx)?;
            let wrote = self.write(cx)?;
            if self.events.is_empty() && !read && wrote != Wrote::Some && self.rest(cx, wrote) {
                return Poll::Pending;
            }
        }
    }

    /// Takes what has come; says whether there may be more.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Trouble> {
        for _ in 0..READS_AT_ONCE {
            let bytes = match Pin::new(&mut self.socket).poll_fill_buf(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok([])) => return Err(Trouble::Closed("the other end closed it".into())),
                Poll::Ready(Ok(bytes)) => bytes,
                Poll::Ready(Err(error)) => return Err(Trouble::of(&error, None)),
            };
            let length = bytes.len();
            let mut state = self.shared.lock();
            let received = state.mux.receive(self.world.clock.mono_us(), bytes);
            state.sort_events(&mut self.wakers, &mut self.events);
            drop(state);
            Pin::new(&mut self.socket).consume(length);
            received.map_err(Trouble::Cut)?;
            if !self.events.is_empty() {
                break;
            }
        }
        Ok(true)
    }

    /// Heartbeats, and the end of certificates.
    fn tick(&mut self, cx: &mut Context<'_>) -> Result<(), Trouble> {
        while self.beat.as_mut().poll(cx).is_ready() {
            if self.world.clock.wall_ms() >= self.valid_until_ms {
                return Err(Trouble::Ended("a certificate of this link has ended; a new one makes a new link"));
            }
            let now_us = self.world.clock.mono_us();
            let mut state = self.shared.lock();
            let ticked: Result<(), Cut> = state.mux.tick(now_us);
            let wait_us = state.mux.due_us().saturating_sub(now_us).max(1_000);
            drop(state);
            ticked.map_err(Trouble::Cut)?;
            self.beat.as_mut().reset(Instant::now() + Duration::from_micros(wait_us));
        }
        Ok(())
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<Wrote, Trouble> {
        for _ in 0..WRITES_AT_ONCE {
            if self.out.len() < OUT_LOW {
                let mut state = self.shared.lock();
                state.mux.output(&mut self.out, OUT_MAX);
                state.sort_events(&mut self.wakers, &mut self.events);
                drop(state);
                self.wakers.drain(..).for_each(Waker::wake);
            }
            let closed = |error: io::Error| Trouble::of(&error, None);
            if self.out.is_empty() {
                // What TLS still holds goes out now.
                return match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Ready(done) => done.map(|()| Wrote::All).map_err(closed),
                    Poll::Pending => Ok(Wrote::Blocked),
                };
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.out.slices(&mut slices);
            match Pin::new(&mut self.socket).poll_write_vectored(cx, &slices[..count]) {
                Poll::Pending => return Ok(Wrote::Blocked),
                Poll::Ready(Ok(0)) => return Err(Trouble::Closed("the other end closed it".into())),
                Poll::Ready(Ok(written)) => self.out.advance(written),
                Poll::Ready(Err(error)) => return Err(closed(error)),
            }
        }
        Ok(Wrote::Some)
    }

    /// Leaves word where to find us; false if there is something to write already.
    fn rest(&mut self, cx: &mut Context<'_>, wrote: Wrote) -> bool {
        let mut state = self.shared.lock();
        if wrote == Wrote::Blocked {
            // The socket calls us; what users add in the meantime waits for it anyway.
            state.driver = None;
            return true;
        }
        state.driver = Some(cx.waker().clone());
        !state.mux.has_output()
    }
}

/// How far a write came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    /// Nothing is left.
    All,
    /// There is more.
    Some,
    /// The socket takes no more now.
    Blocked,
}

/// Bytes of frames that are made before they are written.
const OUT_MAX: usize = 128 << 10;
/// Frames are made again when fewer wait.
const OUT_LOW: usize = 64 << 10;
/// Slices of one vectored write.
const SLICES: usize = 32;
/// Turns of one direction before the other one has its turn.
const READS_AT_ONCE: usize = 16;
const WRITES_AT_ONCE: usize = 8;
const FAREWELL: Duration = Duration::from_secs(1);
