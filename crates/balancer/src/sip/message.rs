//! One message as it lies in its bytes. Owns lines and names of headers. Knows nothing of what the headers mean together.
//! Always holds: lines end with CR LF and hold no other CR, LF or NUL, so nobody behind us sees other lines than we do.

use super::list::split;

/// A longer message is refused with 513 and, on a stream, ends the connection.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// More header lines make a message bad.
pub const HEADERS_MAX: usize = 128;

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// What the first line says.
    pub start: Start<'a>,
    /// The header lines in their order.
    pub headers: Vec<Header<'a>>,
    /// What follows the empty line.
    pub body: &'a [u8],
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// `METHOD URI SIP/2.0`
    Request {
        /// As written; case counts.
        method: &'a [u8],
        /// The Request-URI as written.
        uri: &'a [u8],
    },
    /// `SIP/2.0 CODE REASON`
    Response {
        /// 100 to 699.
        code: u16,
        /// For people.
        reason: &'a [u8],
    },
}

/// Methods that we treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Begins a call.
    Invite,
    /// Ends the exchange of an INVITE.
    Ack,
    /// Calls an INVITE back.
    Cancel,
    /// Asks what we can do: the probe of gateways.
    Options,
    /// Any other.
    Other,
}

impl Method {
    /// The method of that name.
    pub fn of(name: &[u8]) -> Method {
        match name {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"CANCEL" => Method::Cancel,
            b"OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }
}

/// One header line; folded lines belong to it.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// What it is.
    pub name: Name,
    /// Behind the colon, without space around it. Folds (CR LF and space) are inside.
    pub value: &'a [u8],
    /// The whole line with its folds, without the last CR LF.
    pub line: &'a [u8],
}

/// Headers that we look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the headers' own names
pub enum Name {
    Via,
    From,
    To,
    CallId,
    CSeq,
    MaxForwards,
    Contact,
    Route,
    ContentLength,
    ProxyRequire,
    Other,
}

impl Name {
    fn of(name: &[u8]) -> Name {
        const NAMES: [(&[u8], &[u8], Name); 10] = [
            (b"via", b"v", Name::Via),
            (b"from", b"f", Name::From),
            (b"to", b"t", Name::To),
            (b"call-id", b"i", Name::CallId),
            (b"cseq", b"", Name::CSeq),
            (b"max-forwards", b"", Name::MaxForwards),
            (b"contact", b"m", Name::Contact),
            (b"route", b"", Name::Route),
            (b"content-length", b"l", Name::ContentLength),
            (b"proxy-require", b"", Name::ProxyRequire),
        ];
        let found =
            NAMES.iter().find(|(long, short, _)| name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(short));
        found.map_or(Name::Other, |(_, _, name)| *name)
    }

    /// Headers of which a message has at most one.
    fn is_single(self) -> bool {
        matches!(self, Name::From | Name::To | Name::CallId | Name::CSeq | Name::MaxForwards | Name::ContentLength)
    }
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// More than [`MESSAGE_BYTES_MAX`].
    TooLong,
    /// No empty line ends the header.
    Unfinished,
    /// The first line is none of SIP/2.0.
    StartLine,
    /// A line that is no header.
    HeaderLine,
    /// More than [`HEADERS_MAX`].
    TooManyHeaders,
    /// A header twice that may stand there once.
    Twice,
    /// Content-Length is no number, or says more than there is.
    Length,
}

impl<'a> Message<'a> {
    /// Reads the message that `bytes` begin with: a datagram, or a [`super::frame`] of a stream.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Bad> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Bad::TooLong);
        }
        let head_bytes = head_end(bytes).ok_or(Bad::Unfinished)?;
        let mut message = Message::headers_of(&bytes[..head_bytes])?;
        message.body = &bytes[head_bytes + 2..];
        if let Some(length) = message.value(Name::ContentLength) {
            let length = number(length).ok_or(Bad::Length)? as usize;
            message.body = message.body.get(..length).ok_or(Bad::Length)?;
        }
        Ok(message)
    }

    /// Reads the lines of a header that end with the CR LF of the last one, whatever they say of a body.
    pub(super) fn headers_of(head: &'a [u8]) -> Result<Message<'a>, Bad> {
        let mut lines = Lines { rest: head };
        let start = lines.next().and_then(start_line).ok_or(Bad::StartLine)?;
        let mut headers: Vec<Header<'a>> = Vec::with_capacity(16);
        for line in lines {
            let header = header(line).ok_or(Bad::HeaderLine)?;
            if headers.len() == HEADERS_MAX {
                return Err(Bad::TooManyHeaders);
            }
            if header.name.is_single() && headers.iter().any(|known| known.name == header.name) {
                return Err(Bad::Twice);
            }
            headers.push(header);
        }
        Ok(Message { start, headers, body: &[] })
    }

    /// The value of the first header of that name.
    pub fn value(&self, name: Name) -> Option<&'a [u8]> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value)
    }

    /// All values of a header that may stand in several lines and be a list in each.
    pub fn list(&self, name: Name) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |header| header.name == name).flat_map(|header| split(header.value))
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> Option<(u32, &'a [u8])> {
        let value = self.value(Name::CSeq)?;
        let at = value.iter().position(u8::is_ascii_whitespace)?;
        Some((number(&value[..at])?, value[at..].trim_ascii()))
    }

    /// The tag in From or To.
    pub fn tag(&self, name: Name) -> Option<&'a [u8]> {
        let named = super::named(self.value(name)?)?;
        super::parameter(named.parameters, "tag")
    }

    /// What is missing or wrong of what every request must have (RFC 3261 8.1.1), besides its Via.
    pub fn lacks(&self) -> Option<&'static str> {
        let Start::Request { method, .. } = self.start else { return None };
        let named = |name| self.value(name).and_then(super::named).is_none();
        match self.cseq() {
            _ if named(Name::From) => Some("From is missing or wrong"),
            _ if named(Name::To) => Some("To is missing or wrong"),
            _ if self.value(Name::CallId).is_none_or(<[u8]>::is_empty) => Some("Call-ID is missing"),
            None => Some("CSeq is missing or wrong"),
            Some((_, of)) if of != method => Some("CSeq names another method"),
            _ if self.value(Name::MaxForwards).is_some_and(|value| number(value).is_none_or(|n| n > 255)) => {
                Some("Max-Forwards is wrong")
            }
            _ => None,
        }
    }

    /// Max-Forwards: 70 if it is not written (RFC 3261 16.6).
    pub fn max_forwards(&self) -> u32 {
        self.value(Name::MaxForwards).and_then(number).unwrap_or(70)
    }
}

/// Where the header ends: behind the CR LF of its last line, before the empty line.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 2)
}

/// A decimal number without sign.
pub(super) fn number(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Lines of a header with their folds, without their last CR LF.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut from = 0;
        loop {
            let end = from + self.rest.get(from..)?.windows(2).position(|two| two == b"\r\n")?;
            if !matches!(self.rest.get(end + 2), Some(b' ' | b'\t')) {
                let line = &self.rest[..end];
                self.rest = &self.rest[end + 2..];
                return Some(line);
            }
            from = end + 2;
        }
    }
}

fn start_line(line: &[u8]) -> Option<Start<'_>> {
    if !clean(line) || line.contains(&b'\r') {
        return None;
    }
    let mut words = line.splitn(3, |&b| b == b' ');
    let (first, second, third) = (words.next()?, words.next()?, words.next().unwrap_or_default());
    if first.eq_ignore_ascii_case(b"SIP/2.0") {
        let code = number(second).filter(|code| (100..700).contains(code))?;
        return Some(Start::Response { code: code as u16, reason: third });
    }
    let fits = is_token(first)
        && first.len() <= METHOD_BYTES_MAX
        && !second.is_empty()
        && third.eq_ignore_ascii_case(b"SIP/2.0");
    (fits && second.iter().all(|b| b.is_ascii_graphic() || *b >= 0x80))
        .then_some(Start::Request { method: first, uri: second })
}

fn header(line: &[u8]) -> Option<Header<'_>> {
    let colon = line.iter().position(|&b| b == b':')?;
    let name = line[..colon].trim_ascii_end();
    if !is_token(name) || !clean(line) {
        return None;
    }
    let (name, value) = (Name::of(name), line[colon + 1..].trim_ascii());
    // A proxy takes the first element off these.
    let headless = matches!(name, Name::Via | Name::Route) && matches!(value.first(), None | Some(b','));
    (!headless).then_some(Header { name, value, line })
}

fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(b))
}

/// No CR, LF or NUL other than those of folds.
fn clean(line: &[u8]) -> bool {
    line.iter().enumerate().all(|(at, byte)| match byte {
        0 => false,
        b'\r' => line.get(at + 1) == Some(&b'\n'),
        b'\n' => at > 0 && line[at - 1] == b'\r' && matches!(line.get(at + 1), Some(b' ' | b'\t')),
        _ => true,
    })
}

const METHOD_BYTES_MAX: usize = 32;
