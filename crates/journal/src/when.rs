//! Owns the word for how sure an append has to be before it is confirmed.

/// When an append is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After it is synced here and on every copy of the level set.
    Durable,
    /// After it is synced here, whatever the copies have.
    Here,
    /// After it is written; it is synced with the next durable batch or within `Settings::lazy_sync_ms`.
    Soon,
}

impl When {
    /// Whether it is to be written and synced at once.
    pub(crate) fn wants_sync(self) -> bool {
        self != When::Soon
    }
}
