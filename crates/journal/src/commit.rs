//! Owns the promise handed to an appender, and how it is kept without many threads fighting for one lock.
//! Always holds: a commit is completed once; a dropped one is completed too, unseen.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::AppendError;
use crate::position::{Extent, Position};

/// The outcome of an append, to be awaited or waited for.
/// Dropping it does not undo the append: the records stay live and nobody knows where they are until the next opening.
#[must_use = "an append is confirmed only by its commit"]
pub struct Commit {}

impl Commit {
    /// Blocks this thread until the batch is committed. Do not call it on a journal opened inline before `pump`.
    pub fn wait(self) -> Result<Committed, AppendError> {
        todo!()
    }

    /// The outcome if there is one already. Once it was returned, polling again panics.
    pub fn try_take(&mut self) -> Option<Result<Committed, AppendError>> {
        todo!()
    }
}

impl Future for Commit {
    type Output = Result<Committed, AppendError>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}

/// Where the records of a batch are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Position of the first record.
    pub first: Position,
    pub(crate) lens: Vec<u32>,
}

impl Committed {
    /// Where the `index`-th record of the batch is. Panics if there was none.
    pub fn extent(&self, index: usize) -> Extent {
        let _ = index;
        todo!()
    }

    /// All records of the batch in order.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        (0..self.lens.len()).map(|i| self.extent(i))
    }
}
