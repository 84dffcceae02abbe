//! The moments of a session: where its driver is asked, or told.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use mail::{BodyKind, Journey, Mailbox, Notify, Reply, Ret, ReversePath};

/// A point of a session that its driver must know of. Those that [ask](Moment::asks) wait for [`Session::answer`](super::Session::answer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment<'i> {
    /// HELO, EHLO or LHLO. Whatever transaction there was is gone. Asks: `accept`, or a reply that refuses.
    Hello {
        /// Which of the three.
        greeting: Greeting,
        /// What the peer calls itself: printable, 1 to 255 bytes, not checked otherwise.
        name: Box<str>,
    },
    /// STARTTLS. Asks: `accept` (then the session drops all input until [`tls_started`](super::Session::tls_started)), or a reply.
    StartTls,
    /// AUTH. Asks: `challenge`, `authenticated`, or a reply that refuses and ends the exchange.
    Auth {
        /// One of the settings' mechanisms.
        mechanism: String,
        /// The initial response, decoded; `=` gives an empty one.
        initial: Option<Vec<u8>>,
    },
    /// A line of the AUTH exchange, decoded. Asks what `Auth` asks.
    AuthResponse(Vec<u8>),
    /// The exchange is over without success (`*`, bad base 64, a line too long); it was answered with 501 or 500.
    AuthCancelled,
    /// XCLIENT from a peer that the session was told to trust. Asks: `accept` (the session starts again with a greeting), or a reply.
    Xclient(Box<XclientCommand>),
    /// MAIL. Asks: `accept` or a reply; a positive reply accepts as well.
    Mail(MailCommand),
    /// RCPT. Asks: `accept` or a reply; a positive reply accepts as well.
    Rcpt(RcptCommand),
    /// DATA, or the first BDAT of a message, with at least one accepted recipient. Asks: `accept`, or a reply that refuses: after DATA
    /// the transaction stands; a BDAT's octets are swallowed and the transaction is gone.
    Data(Framing),
    /// The next bytes of the body: dots unstuffed, never empty, line ends as the settings want them. Nothing to answer.
    Body(&'i [u8]),
    /// The session refuses the body (size, header, bare newline): forget the message. What is left of it is swallowed, then the reply
    /// is given. No `EndOfMessage` follows; the transaction is gone. Nothing to answer.
    BodyRefused(Reply),
    /// The body is whole. Asks: `custody`, or a reply that refuses. Afterwards the transaction is gone.
    EndOfMessage {
        /// Bytes that were given in `Body` moments.
        bytes: u64,
    },
    /// RSET: the transaction is gone. Nothing to answer.
    Reset,
    /// A command broke the protocol, was answered with this and was counted. Nothing to answer; a driver may delay what it writes.
    Error {
        /// The command, as far as it was understood.
        verb: Verb,
        /// What the peer hears; for the last error that is allowed it hears 421 instead, and `Close` follows.
        reply: Reply,
    },
    /// A sound command met a bound (size at MAIL, recipients, SMTPUTF8, TLS required ...) and was answered with this. Nothing to answer.
    Refused {
        /// The command.
        verb: Verb,
        /// What the peer hears.
        reply: Reply,
    },
    /// The session is over: write the output and close. Nothing to answer.
    Close(Closing),
}

impl Moment<'_> {
    /// The session waits for an answer to this moment.
    pub fn asks(&self) -> bool {
        match self {
            Moment::Hello { .. } | Moment::StartTls | Moment::Auth { .. } | Moment::AuthResponse(_) => true,
            Moment::Xclient(_) | Moment::Mail(_) | Moment::Rcpt(_) | Moment::Data(_) => true,
            Moment::EndOfMessage { .. } => true,
            Moment::AuthCancelled | Moment::Body(_) | Moment::BodyRefused(_) | Moment::Reset => false,
            Moment::Error { .. } | Moment::Refused { .. } | Moment::Close(_) => false,
        }
    }
}

/// How a peer said hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// HELO: no extensions.
    Helo,
    /// EHLO.
    Ehlo,
    /// LHLO of LMTP.
    Lhlo,
}

/// How the octets of a body are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// DATA: CRLF.CRLF ends it.
    Dot,
    /// BDAT: counted chunks.
    Chunks,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// QUIT, answered with 221.
    Quit,
    /// `errors_max` was reached, answered with 421.
    Errors,
    /// A line or a refused body went on without end, answered with 421.
    Flood,
    /// `messages_max` was reached, answered with 421.
    Messages,
    /// The driver refused the connection or closed it with a reply.
    Driver,
}

/// A command's name, for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of RFC 5321 and its extensions
pub enum Verb {
    Helo,
    Ehlo,
    Lhlo,
    StartTls,
    Auth,
    Xclient,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    /// Nothing that we know.
    Unknown,
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailCommand {
    /// The reverse path.
    pub from: ReversePath,
    /// SIZE= in bytes (RFC 1870); not over the bound.
    pub size: Option<u64>,
    /// BODY=.
    pub body: BodyKind,
    /// SMTPUTF8 was given.
    pub smtputf8: bool,
    /// RET=.
    pub ret: Option<Ret>,
    /// ENVID=, decoded from xtext.
    pub envid: Option<Box<str>>,
    /// AUTH= (RFC 4954 5).
    pub auth: Option<AuthParameter>,
    /// XPOSTHOUSE=, from a server of our organization: what the message has been through.
    pub journey: Option<Box<Journey>>,
}

/// AUTH= of MAIL: who submitted the message, as the peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthParameter {
    /// `<>`: nobody it knows.
    Nobody,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// RCPT TO with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptCommand {
    /// The forward path without source route; `None` for `<postmaster>` without a domain (RFC 5321 4.5.1).
    pub to: Option<Mailbox>,
    /// NOTIFY=.
    pub notify: Notify,
    /// ORCPT= as `type;address`, decoded from xtext.
    pub orcpt: Option<Box<str>>,
}

/// XCLIENT: what a trusted proxy says of the client behind it. `None`: not mentioned, so unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XclientCommand {
    /// NAME: the client's host name.
    pub name: Option<Told<Box<str>>>,
    /// ADDR: the client's address.
    pub address: Option<Told<IpAddr>>,
    /// PORT: the client's port.
    pub port: Option<Told<u16>>,
    /// PROTO.
    pub protocol: Option<Told<XclientProtocol>>,
    /// HELO: what the client called itself.
    pub helo: Option<Told<Box<str>>>,
    /// LOGIN: who the client authenticated as.
    pub login: Option<Told<Box<str>>>,
    /// DESTADDR: the address that the client connected to.
    pub destination_address: Option<Told<IpAddr>>,
    /// DESTPORT: the port that the client connected to.
    pub destination_port: Option<Told<u16>>,
}

/// An XCLIENT value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// It is this.
    Value(T),
    /// `[UNAVAILABLE]`: there is none.
    Unavailable,
    /// `[TEMPUNAVAIL]`: it could not be found out now.
    TemporarilyUnavailable,
}

/// PROTO of XCLIENT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XclientProtocol {
    /// SMTP: the client said HELO.
    Smtp,
    /// ESMTP: the client said EHLO.
    Esmtp,
}
