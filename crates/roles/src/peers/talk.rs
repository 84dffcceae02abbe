//! What the parts of a node do with links: open a channel, serve a kind of channel, ask a question.

use std::fmt;
use std::future::Future;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::Peers;
use super::channel::Channel;

/// Why a channel cannot be had, or a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no link to that node now.
    NoLink,
    /// No answer in time.
    Late,
    /// The link or the channel ended; why, in words.
    Over(String),
    /// The answer, or the question, is longer than may be.
    TooLong,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::NoLink => f.write_str("there is no link to that node"),
            NoAnswer::Late => f.write_str("it did not answer in time"),
            NoAnswer::Over(why) => f.write_str(why),
            NoAnswer::TooLong => write!(f, "more than {ANSWER_MAX} bytes were said"),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl From<mux::Gone> for NoAnswer {
    fn from(gone: mux::Gone) -> NoAnswer {
        NoAnswer::Over(gone.why)
    }
}

impl Peers {
    /// Opens a channel to the part of `peer` that serves `kind`; at most `window` bytes of it may be under way to us. Bytes may be sent
    /// at once. A link that comes later does not bring it back: open it again when [`Peers::changes`] says so.
    pub fn open(&self, peer: &str, kind: &str, name: &str, window: u32) -> Result<Channel, NoAnswer> {
        let up = self.inner.book.up(peer).ok_or(NoAnswer::NoLink)?;
        let opened = up.shared.with(|state| match &state.over {
            Some(why) => Err(NoAnswer::Over(why.clone())),
            None => state.mux.open(kind, name, window).map_err(|no| NoAnswer::Over(no.to_string())),
        });
        Ok(Channel::new(up.shared.clone(), opened?, peer.into(), kind.into(), name.into()))
    }

    /// The channels of `kind` that others open from now on; each has to be accepted ([`Channel::accept`]) or is ended when dropped. Whoever
    /// served the kind before serves it no more.
    pub fn serve(&self, kind: &'static str) -> mpsc::Receiver<Channel> {
        let (sender, channels) = mpsc::channel(OPENED_MAX);
        self.inner.served.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, sender);
        channels
    }

    /// Asks the part of `peer` that answers `kind`; question and answer have at most [`ANSWER_MAX`] bytes.
    pub async fn ask(&self, peer: &str, kind: &str, question: Bytes, patience: Duration) -> Result<Bytes, NoAnswer> {
        if question.len() > ANSWER_MAX {
            return Err(NoAnswer::TooLong);
        }
        let channel = self.open(peer, kind, "", ANSWER_MAX as u32)?;
        let answer = async {
            channel.send(question).await?;
            channel.finish()?;
            whole(&channel).await
        };
        tokio::time::timeout(patience, answer).await.unwrap_or(Err(NoAnswer::Late))
    }

    /// Answers questions of `kind` from now on, some of them at a time. `answer` gets the name of the node that asks.
    pub fn answer<F, A>(&self, kind: &'static str, answer: F)
    where
        F: Fn(String, Bytes) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Bytes> + Send + 'static,
    {
        let mut questions = self.serve(kind);
        tokio::spawn(async move {
            while let Some(channel) = questions.recv().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    // One who does not finish the question in time asks again.
                    let asked = tokio::time::timeout(QUESTION, whole(&channel)).await;
                    let Ok(Ok(question)) = asked else { return };
                    let said = answer(channel.peer().to_string(), question).await;
                    // One who does not wait for the answer does not get it.
                    let _ = tokio::time::timeout(QUESTION, channel.send(said)).await;
                    let _ = channel.finish();
                });
            }
        });
    }
}

/// All that the other end says, to its end.
async fn whole(channel: &Channel) -> Result<Bytes, NoAnswer> {
    let mut all = BytesMut::new();
    while let Some(bytes) = channel.receive().await? {
        if all.len() + bytes.len() > ANSWER_MAX {
            return Err(NoAnswer::TooLong);
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all.freeze())
}

/// Most bytes of a question, and of an answer.
pub const ANSWER_MAX: usize = 16 << 10;
/// Channels of one kind that wait to be taken.
const OPENED_MAX: usize = 64;
const QUESTION: Duration = Duration::from_secs(10);
