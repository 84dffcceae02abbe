//! Owns the promise handed to an appender, and how it is kept without many threads fighting for one lock.
//! Knows no files. Always holds: a commit is completed once; a dropped one is completed too, unseen.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::batch::RECORD_HEADER_BYTES;
use crate::error::AppendError;
use crate::position::{Extent, Position};

/// The outcome of an append, to be awaited or waited for.
/// Dropping it does not undo the append: the records stay live and nobody knows where they are until the next opening.
#[must_use = "an append is confirmed only by its commit"]
#[derive(Debug)]
pub struct Commit {
    slot: Arc<Slot>,
}

impl Commit {
    /// A commit still to be completed, and the ticket that completes it.
    pub(crate) fn open() -> (Commit, Ticket) {
        let slot = Arc::new(Slot(Mutex::new(State::Waiting { waker: None, here: None })));
        (Commit { slot: slot.clone() }, Ticket { slot: Some(slot) })
    }

    /// Blocks this thread until the batch is committed. Do not call it on a journal opened inline before `pump`.
    pub fn wait(mut self) -> Result<Committed, AppendError> {
        thread_local!(static WAKER: Waker = Arc::new(Unpark(std::thread::current())).into());
        WAKER.with(|waker| {
            let mut context = Context::from_waker(waker);
            loop {
                match Pin::new(&mut self).poll(&mut context) {
                    Poll::Ready(outcome) => return outcome,
                    Poll::Pending => std::thread::park(),
                }
            }
        })
    }

    /// The outcome if there is one already. Once it was returned, polling again panics.
    pub fn try_take(&mut self) -> Option<Result<Committed, AppendError>> {
        self.slot.take(None)
    }

    /// The outcome with the sync here alone, for somebody who will not wait for the copies any longer. `None` while not even that is
    /// done. Once it was returned, polling again panics.
    pub fn take_here(&mut self) -> Option<Result<Committed, AppendError>> {
        let mut state = self.slot.lock();
        if let State::Waiting { here, .. } = &mut *state {
            let committed = here.take()?;
            *state = State::Taken;
            return Some(Ok(committed));
        }
        drop(state);
        self.slot.take(None)
    }
}

impl Future for Commit {
    type Output = Result<Committed, AppendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.slot.take(Some(context.waker())) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

/// The journal's end of a commit. Dropped without an outcome it answers [`AppendError::Stopped`].
#[derive(Debug)]
pub(crate) struct Ticket {
    slot: Option<Arc<Slot>>,
}

impl Ticket {
    /// Gives the appender its outcome and wakes it.
    pub(crate) fn complete(mut self, outcome: Result<Committed, AppendError>) {
        self.settle(outcome);
    }

    /// It is synced here, and goes on waiting for copies.
    pub(crate) fn is_here(&self, committed: &Committed) {
        let Some(slot) = &self.slot else { return };
        if let State::Waiting { here, .. } = &mut *slot.lock() {
            *here = Some(committed.clone());
        }
    }

    fn settle(&mut self, outcome: Result<Committed, AppendError>) {
        let Some(slot) = self.slot.take() else { return };
        // The lock is this commit's own: its one appender is all that can ever wait for it.
        let before = std::mem::replace(&mut *slot.lock(), State::Done(outcome));
        if let State::Waiting { waker: Some(waker), .. } = before {
            waker.wake();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle(Err(AppendError::Stopped));
    }
}

#[derive(Debug)]
struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    Waiting {
        waker: Option<Waker>,
        /// It is synced here, and waits for copies only.
        here: Option<Committed>,
    },
    Done(Result<Committed, AppendError>),
    Taken,
}

impl Slot {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome, or `waker` is woken when there is one.
    fn take(&self, waker: Option<&Waker>) -> Option<Result<Committed, AppendError>> {
        let mut state = self.lock();
        match &mut *state {
            State::Waiting { waker: known, .. } => {
                if let Some(waker) = waker
                    && !known.as_ref().is_some_and(|k| k.will_wake(waker))
                {
                    *known = Some(waker.clone());
                }
                None
            }
            State::Done(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Done(outcome) => Some(outcome),
                _ => None,
            },
            State::Taken => panic!("a commit was asked again after its outcome was taken"),
        }
    }
}

/// Wakes a thread that waits for a commit.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Where the records of a batch are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Position of the first record.
    pub first: Position,
    /// How many copies had it synced, besides the journal itself, when it was confirmed.
    pub copies: u8,
    lens: Lens,
}

impl Committed {
    pub(crate) fn new(first: Position, lens: impl ExactSizeIterator<Item = u32>) -> Committed {
        Committed { first, copies: 0, lens: Lens::new(lens) }
    }

    /// Where the `index`-th record of the batch is. Panics if there was none.
    pub fn extent(&self, index: usize) -> Extent {
        let lens = self.lens.as_slice();
        let before: u64 = lens[..index].iter().map(|len| u64::from(*len) + RECORD_HEADER_BYTES as u64).sum();
        Extent { position: Position(self.first.0 + before), len: lens[index] }
    }

    /// All records of the batch in order.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let mut position = self.first;
        self.lens.as_slice().iter().map(move |len| {
            let extent = Extent { position, len: *len };
            position.0 += u64::from(*len) + RECORD_HEADER_BYTES as u64;
            extent
        })
    }
}

/// Payload lengths; an ordinary message's few need no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lens {
    Few([u32; FEW], u8),
    Many(Box<[u32]>),
}

impl Lens {
    fn new(lens: impl ExactSizeIterator<Item = u32>) -> Lens {
        if lens.len() > FEW {
            return Lens::Many(lens.collect());
        }
        let (mut few, mut count) = ([0; FEW], 0);
        for len in lens {
            few[usize::from(count)] = len;
            count += 1;
        }
        Lens::Few(few, count)
    }

    fn as_slice(&self) -> &[u32] {
        match self {
            Lens::Few(lens, count) => &lens[..usize::from(*count)],
            Lens::Many(lens) => lens,
        }
    }
}

const FEW: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_follow_each_other_whatever_their_number() {
        for count in [1, FEW, FEW + 3] {
            let committed = Committed::new(Position(1000), (0..count as u32).map(|n| n * 10));
            let all: Vec<Extent> = committed.extents().collect();
            assert_eq!(all.len(), count);
            assert_eq!(all[0], Extent { position: Position(1000), len: 0 });
            for (i, extent) in all.iter().enumerate() {
                assert_eq!(committed.extent(i), *extent);
                let end = extent.position.0 + 32 + u64::from(extent.len);
                assert!(all.get(i + 1).is_none_or(|next| next.position.0 == end));
            }
        }
    }

    #[test]
    fn a_dropped_ticket_answers_and_a_waiting_thread_is_woken() {
        let (mut commit, ticket) = Commit::open();
        assert!(commit.try_take().is_none());
        drop(ticket);
        assert_eq!(commit.try_take(), Some(Err(AppendError::Stopped)));
        let (commit, ticket) = Commit::open();
        let waiter = std::thread::spawn(move || commit.wait());
        let done = Committed::new(Position(5), [1u32].into_iter());
        ticket.complete(Ok(done.clone()));
        assert_eq!(waiter.join().unwrap(), Ok(done));
    }
}
