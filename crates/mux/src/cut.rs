//! Why a connection cannot go on.

use std::fmt;

/// What the other end did, or did not do. The connection is closed; a later one starts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A frame that no Posthouse sends; the text says what is wrong with it.
    Garbage(&'static str),
    /// The first frame was not a hello, or a second hello came.
    Hello,
    /// A channel number that cannot be.
    Number(u32),
    /// More bytes of a channel than we gave credit for.
    OverCredit(u32),
    /// Bytes behind the end of a channel.
    AfterEnd(u32),
    /// It makes us answer and reads no answers.
    Flood,
    /// Nothing was heard of it for so many milliseconds.
    Silent(u64),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Garbage(what) => write!(f, "it sent what is no frame: {what}"),
            Cut::Hello => f.write_str("it did not begin with one hello"),
            Cut::Number(channel) => write!(f, "it used channel number {channel}, which cannot be"),
            Cut::OverCredit(channel) => write!(f, "it sent more on channel {channel} than it had credit for"),
            Cut::AfterEnd(channel) => write!(f, "it sent bytes behind the end of channel {channel}"),
            Cut::Flood => f.write_str("it asks more than it reads answers"),
            Cut::Silent(ms) => write!(f, "nothing was heard of it for {ms} ms"),
        }
    }
}

impl std::error::Error for Cut {}
