//! What a session reports. Owns words only.

use super::reply::Malformed;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use mail::Reply;

/// Something happened that the driver must act on.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<M> {
    /// The peer knows us; messages may be handed in.
    Ready,
    /// The peer waits for the TLS handshake; then [`Client::tls_started`](super::Client::tls_started).
    StartTls,
    /// A transaction came to its end.
    Done(Done<M>),
    /// The peer has heard nothing, or nothing that counts, of this message: it may go over another connection at once.
    Returned(M),
    /// The session is over; nothing follows.
    Over(Ending),
}

/// A transaction that came to its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Done<M> {
    /// The message as it was handed in.
    pub message: M,
    /// What became of each of its recipients, in their order.
    pub outcomes: Vec<Outcome>,
    /// The peer offered DSN (RFC 3461): it tells of success where that was asked for.
    pub dsn_offered: bool,
}

/// What became of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer has taken custody.
    Accepted(Arc<Reply>),
    /// Not now: the peer's answer, or ours where the connection went before the end of the body.
    Later(Arc<Reply>),
    /// Never.
    Never(Arc<Reply>),
    /// The connection went between the end of the body and its answer: the peer may or may not have it. It must be tried again.
    Uncertain(Arc<Reply>),
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// We said QUIT.
    Quit,
    /// The peer would not open a session with us.
    Refused(Stage, Reply),
    /// 421: the peer closes (RFC 5321 3.8).
    Busy(Reply),
    /// TLS is required and not to be had; the peer's reply where it gave one.
    NoTls(Option<Reply>),
    /// Credentials are configured, and the peer does not offer AUTH PLAIN under TLS.
    NoAuth,
    /// The peer does not speak SMTP.
    Malformed(Malformed),
    /// It answered when nothing was asked.
    Unasked(Reply),
    /// It answered a message before its end, so that the connection is of no use any more.
    Early(Reply),
    /// The connection is gone.
    Lost(Loss),
}

/// How a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Closed or reset by the peer or the network.
    Closed,
    /// Our deadline passed.
    TimedOut,
    /// We could not go on: the body could not be read, or we are stopping.
    Ours,
}

/// Where a session stands, as far as waiting goes (RFC 5321 4.5.3.2 gives each its time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For the greeting.
    Greeting,
    /// For the answer to EHLO, HELO, LHLO, RSET or QUIT.
    Hello,
    /// For the answer to STARTTLS, or for the end of the handshake.
    Tls,
    /// For an answer of AUTH.
    Auth,
    /// For the answer to MAIL.
    Mail,
    /// For the answer to RCPT.
    Recipient,
    /// For 354.
    DataStart,
    /// For the peer to take more of the body.
    DataBlock,
    /// For the answer to the whole message.
    DataEnd,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Greeting => "waiting for the greeting",
            Stage::Hello => "saying hello",
            Stage::Tls => "starting TLS",
            Stage::Auth => "authenticating",
            Stage::Mail => "sending MAIL",
            Stage::Recipient => "sending RCPT",
            Stage::DataStart => "sending DATA",
            Stage::DataBlock => "sending the message",
            Stage::DataEnd => "waiting for the answer to the message",
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Closed => "connection lost",
            Loss::TimedOut => "timed out",
            Loss::Ours => "broken off",
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Quit => f.write_str("we said QUIT"),
            Ending::Refused(stage, reply) => write!(f, "refused while {stage}: {reply}"),
            Ending::Busy(reply) => write!(f, "closed by the peer: {reply}"),
            Ending::NoTls(Some(reply)) => write!(f, "TLS is required and was refused: {reply}"),
            Ending::NoTls(None) => f.write_str("TLS is required and is not offered"),
            Ending::NoAuth => f.write_str("AUTH PLAIN under TLS is not offered"),
            Ending::Malformed(malformed) => write!(f, "peer does not speak SMTP: {malformed}"),
            Ending::Unasked(reply) => write!(f, "peer answered when nothing was asked: {reply}"),
            Ending::Early(reply) => write!(f, "peer answered before the end of the message: {reply}"),
            Ending::Lost(loss) => write!(f, "{loss}"),
        }
    }
}
