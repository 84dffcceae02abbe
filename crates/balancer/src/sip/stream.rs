//! Where messages end on a stream (RFC 3261 18.3) and the keepalives between them (RFC 5626 3.5.1). Knows no sockets.

use super::message::{MESSAGE_BYTES_MAX, Message, Name, head_end, number};

/// What the bytes of a stream begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// More must come.
    Incomplete,
    /// So many bytes of empty lines.
    Blank(usize),
    /// Four bytes that ask for an empty line as answer.
    Ping,
    /// A message of so many bytes.
    Message(usize),
    /// No message, or one without a length or a bound: nothing behind it can be found.
    Lost,
}

/// Cuts the first piece off what came so far.
pub fn frame(bytes: &[u8]) -> Frame {
    match bytes {
        [b'\r', b'\n', b'\r', b'\n', ..] => return Frame::Ping,
        [b'\r', b'\n', b'\r'] | [b'\r', b'\n'] | [b'\r'] | [] => return Frame::Incomplete,
        [b'\r', b'\n', ..] => return Frame::Blank(2),
        _ => {}
    }
    let Some(head_bytes) = head_end(bytes) else {
        return if bytes.len() > MESSAGE_BYTES_MAX { Frame::Lost } else { Frame::Incomplete };
    };
    let Some(body_bytes) = declared_bytes(&bytes[..head_bytes]) else { return Frame::Lost };
    let total = head_bytes + 2 + body_bytes;
    match total {
        _ if total > MESSAGE_BYTES_MAX => Frame::Lost,
        _ if total > bytes.len() => Frame::Incomplete,
        _ => Frame::Message(total),
    }
}

/// Content-Length of a header whose empty line is cut off.
fn declared_bytes(head: &[u8]) -> Option<usize> {
    let message = Message::headers_of(head).ok()?;
    number(message.value(Name::ContentLength)?).map(|bytes| bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_where_its_lengths_say() {
        let message = b"OPTIONS sip:a SIP/2.0\r\nl : 3\r\n\r\nabc";
        for end in 0..message.len() {
            assert_eq!(frame(&message[..end]), Frame::Incomplete, "{end}");
        }
        assert_eq!(frame(&[message.as_slice(), b"OPTIONS"].concat()), Frame::Message(message.len()));
        assert_eq!(frame(b"\r\n\r\nOPT"), Frame::Ping);
        assert_eq!(frame(b"\r\nOPT"), Frame::Blank(2));
        for lost in [
            "A sip:a SIP/2.0\r\n\r\n",
            "A sip:a SIP/2.0\r\nl: -1\r\n\r\n",
            "A sip:a SIP/2.0\r\nl: 99999\r\n\r\n",
            "GET / HTTP/1.1\r\nl: 0\r\n\r\n",
        ] {
            assert_eq!(frame(lost.as_bytes()), Frame::Lost, "{lost}");
        }
        assert_eq!(frame(&vec![b'a'; MESSAGE_BYTES_MAX + 1]), Frame::Lost);
    }
}
