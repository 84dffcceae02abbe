//! A cell that holds the current version of something shared and lets it be exchanged while others use it.
//!
//! Whoever loaded a version keeps it as long as it likes: a session lives with the policy that it started with.
//! Always holds: a load never waits for more than the copy of a pointer.

use std::sync::{Arc, PoisonError, RwLock};

/// The current version of a `T`.
#[derive(Debug)]
pub struct Swap<T>(RwLock<Arc<T>>);

impl<T> Swap<T> {
    /// A cell that holds `first`.
    pub fn new(first: Arc<T>) -> Swap<T> {
        Swap(RwLock::new(first))
    }

    /// The version of this moment.
    pub fn load(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes `next` the version that later loads get; gives back the one before.
    pub fn store(&self, next: Arc<T>) -> Arc<T> {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), next)
    }
}
