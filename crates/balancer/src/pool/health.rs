//! How a member is, as far as a choice wants to know.

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody has looked yet. It is asked when nobody is up.
    Unknown,
    /// It takes connections.
    Up,
    /// It does not, as far as is known. It is asked when there is nobody else.
    Down,
    /// It wants no new ones: it drains, or it is short of something.
    Draining,
}

/// Somebody who looks after the health of one member.
pub trait Watched: Send + Sync {
    /// How it is now. Asked for each connection: cheap.
    fn health(&self) -> Health;

    /// Why it is not up, for people; empty if it is.
    fn reason(&self) -> String {
        String::new()
    }

    /// A connection of a client to it failed.
    fn failed(&self);

    /// A connection of a client to it was greeted. Called for each one: cheap.
    fn worked(&self) {}
}
