//! Owns what the simulation breaks on purpose, to prove that its checkers see it.

/// A promise that is broken on purpose. [`Canary::None`] everywhere but in the simulation's own tests.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Canary {
    /// Nothing is broken.
    #[default]
    None,
    /// A holder acknowledges what it has not synced.
    AckBeforeSync,
    /// A holder listens to lower epochs.
    EpochIgnored,
    /// An owner is content with any one copy instead of all level ones.
    AnyCopyIsEnough,
    /// A holder removes released segments newest first.
    ReleasesBackwards,
    /// A frozen copy goes on listening to its owner.
    FrozenListens,
    /// A raised epoch is used and not written down.
    EpochBeforeMeta,
}
