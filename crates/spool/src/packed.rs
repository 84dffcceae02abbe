//! Owns the packed form of an envelope: in the accept record, and in memory while a message waits.
//! Always holds: what [`pack`] wrote, [`unpack`] reads back equal; other bytes are an error, never a panic.

use mail::{BodyKind, Envelope, Mailbox, Notify, Recipient, Ret, ReversePath};

/// The bytes are not a packed envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Appends the packed form.
pub fn pack(envelope: &Envelope, out: &mut Vec<u8>) {
    let body = match envelope.body {
        BodyKind::SevenBit => 0,
        BodyKind::EightBitMime => BODY_8BIT,
        BodyKind::BinaryMime => BODY_BINARY,
    };
    let ret = match envelope.ret {
        None => 0,
        Some(Ret::Full) => RET_FULL,
        Some(Ret::Hdrs) => RET_HDRS,
    };
    let utf8 = if envelope.smtputf8 { UTF8 } else { 0 };
    let envid = if envelope.envid.is_some() { ENVID } else { 0 };
    out.push(body | ret | utf8 | envid);
    text(out, envelope.from.as_str());
    if let Some(envid) = &envelope.envid {
        text(out, envid);
    }
    out.extend_from_slice(&(envelope.recipients.len() as u16).to_le_bytes());
    let mut before = None;
    for recipient in &envelope.recipients {
        text(out, recipient.address.as_str());
        let notify = match recipient.notify {
            Notify::Default => 0,
            Notify::Never => NEVER,
            Notify::On { success, failure, delay } => {
                let bit = |on: bool, bit: u8| if on { bit } else { 0 };
                ON | bit(success, SUCCESS) | bit(failure, FAILURE) | bit(delay, DELAY)
            }
        };
        // Members of a group all have the group's: it is written once.
        match recipient.orcpt.as_deref() {
            None => out.push(notify),
            same if same == before => out.push(notify | SAME),
            Some(orcpt) => {
                out.push(notify | ORCPT);
                text(out, orcpt);
                before = Some(orcpt);
            }
        }
    }
}

/// Reads back what [`pack`] wrote.
pub fn unpack(packed: &[u8]) -> Result<Envelope, Malformed> {
    let mut head = Head::read(packed)?;
    let mailbox = |text: &str| Mailbox::parse(text, true).map_err(|_| Malformed);
    let from = match head.sender {
        "" => ReversePath::Null,
        text => ReversePath::Mailbox(mailbox(text)?),
    };
    let mut recipients = Vec::with_capacity(head.recipients.left as usize);
    for part in head.recipients.by_ref() {
        let Part { address, notify, orcpt } = part?;
        let notify = match notify & (NEVER | ON) {
            0 => Notify::Default,
            NEVER => Notify::Never,
            _ => Notify::On {
                success: notify & SUCCESS != 0,
                failure: notify & FAILURE != 0,
                delay: notify & DELAY != 0,
            },
        };
        recipients.push(Recipient { address: mailbox(address)?, notify, orcpt: orcpt.map(Into::into) });
    }
    if recipients.is_empty() || !head.recipients.rest.is_empty() {
        return Err(Malformed);
    }
    Ok(Envelope {
        from,
        ret: match head.flags & (RET_FULL | RET_HDRS) {
            0 => None,
            RET_FULL => Some(Ret::Full),
            _ => Some(Ret::Hdrs),
        },
        envid: head.envid.map(Into::into),
        body: match head.flags & (BODY_8BIT | BODY_BINARY) {
            0 => BodyKind::SevenBit,
            BODY_8BIT => BodyKind::EightBitMime,
            _ => BodyKind::BinaryMime,
        },
        smtputf8: head.flags & UTF8 != 0,
        recipients,
    })
}

/// The sender of a packed envelope, empty for the null path.
pub fn sender(packed: &[u8]) -> &str {
    Head::read(packed).map_or("", |head| head.sender)
}

/// The addresses of its recipients, in order.
pub fn addresses(packed: &[u8]) -> impl Iterator<Item = &str> {
    Head::read(packed).into_iter().flat_map(|head| head.recipients).map_while(|part| part.ok().map(|p| p.address))
}

/// Number of its recipients.
pub fn recipients_len(packed: &[u8]) -> Result<u16, Malformed> {
    Head::read(packed).map(|head| head.recipients.left)
}

struct Head<'a> {
    flags: u8,
    sender: &'a str,
    envid: Option<&'a str>,
    recipients: Parts<'a>,
}

struct Parts<'a> {
    rest: &'a [u8],
    left: u16,
    /// The ORCPT that was read last.
    orcpt: Option<&'a str>,
}

struct Part<'a> {
    address: &'a str,
    notify: u8,
    orcpt: Option<&'a str>,
}

impl<'a> Head<'a> {
    fn read(packed: &'a [u8]) -> Result<Head<'a>, Malformed> {
        let (flags, mut rest) = packed.split_first().ok_or(Malformed)?;
        let sender = take_text(&mut rest)?;
        let envid = if flags & ENVID != 0 { Some(take_text(&mut rest)?) } else { None };
        let (count, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        Ok(Head {
            flags: *flags,
            sender,
            envid,
            recipients: Parts { rest, left: u16::from_le_bytes(*count), orcpt: None },
        })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.part())
    }
}

impl<'a> Parts<'a> {
    fn part(&mut self) -> Result<Part<'a>, Malformed> {
        let address = take_text(&mut self.rest)?;
        let (notify, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        if notify & ORCPT != 0 {
            self.orcpt = Some(take_text(&mut self.rest)?);
        }
        let orcpt = if notify & (ORCPT | SAME) != 0 { self.orcpt } else { None };
        Ok(Part { address, notify: *notify, orcpt })
    }
}

/// Lengths below 255 take one byte, others three.
fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..floor_char(text, usize::from(u16::MAX))];
    match u8::try_from(bytes.len()) {
        Ok(len) if len < LONG => out.push(len),
        _ => {
            out.push(LONG);
            out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

/// The largest character boundary of `text` up to `max`.
pub fn floor_char(text: &str, max: usize) -> usize {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    let (first, mut behind) = rest.split_first().ok_or(Malformed)?;
    let mut len = usize::from(*first);
    if *first == LONG {
        let (long, more) = behind.split_first_chunk().ok_or(Malformed)?;
        len = usize::from(u16::from_le_bytes(*long));
        behind = more;
    }
    let (text, behind) = behind.split_at_checked(len).ok_or(Malformed)?;
    *rest = behind;
    std::str::from_utf8(text).map_err(|_| Malformed)
}

const LONG: u8 = 255;

const BODY_8BIT: u8 = 1;
const BODY_BINARY: u8 = 2;
const RET_FULL: u8 = 4;
const RET_HDRS: u8 = 8;
const UTF8: u8 = 16;
const ENVID: u8 = 32;

const NEVER: u8 = 1;
const ON: u8 = 2;
const SUCCESS: u8 = 4;
const FAILURE: u8 = 8;
const DELAY: u8 = 16;
/// ORCPT is that of the last recipient that had one.
const SAME: u8 = 64;
const ORCPT: u8 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::parse(text, true).unwrap()
    }

    fn full() -> Envelope {
        let on = Notify::On { success: true, failure: false, delay: true };
        Envelope {
            from: ReversePath::Mailbox(mailbox("a@example.org")),
            ret: Some(Ret::Hdrs),
            envid: Some("x".repeat(400).into()),
            body: BodyKind::EightBitMime,
            smtputf8: true,
            recipients: vec![
                Recipient::new(mailbox("b@example.net")),
                Recipient { address: mailbox("grün@example.net"), notify: on, orcpt: Some("rfc822;b@x".into()) },
                Recipient { address: mailbox("c@example.net"), notify: Notify::Never, orcpt: None },
                Recipient { address: mailbox("d@example.net"), notify: on, orcpt: Some("rfc822;b@x".into()) },
                Recipient { address: mailbox("e@example.net"), notify: on, orcpt: Some("rfc822;c@x".into()) },
            ],
        }
    }

    #[test]
    fn what_was_packed_comes_back_equal() {
        let plain = Envelope {
            from: ReversePath::Null,
            ret: None,
            envid: None,
            body: BodyKind::SevenBit,
            smtputf8: false,
            recipients: vec![Recipient::new(mailbox("b@example.net"))],
        };
        for envelope in [full(), plain] {
            let mut packed = Vec::new();
            pack(&envelope, &mut packed);
            assert_eq!(unpack(&packed).as_ref(), Ok(&envelope));
            assert_eq!(sender(&packed), envelope.from.as_str());
            assert_eq!(
                addresses(&packed).collect::<Vec<_>>(),
                envelope.recipients.iter().map(|r| r.address.as_str()).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn members_of_a_group_share_what_the_sender_wrote() {
        let orcpt: Option<Box<str>> = Some("rfc822;everybody@example.org".into());
        let member = |n: usize| Recipient {
            address: mailbox(&format!("member{n:05}@example.org")),
            notify: Notify::Default,
            orcpt: orcpt.clone(),
        };
        let envelope = Envelope { recipients: (0..20_000).map(member).collect(), ..full() };
        let mut packed = Vec::new();
        pack(&envelope, &mut packed);
        assert!(packed.len() < 640 << 10, "{} bytes", packed.len());
        assert_eq!(unpack(&packed), Ok(envelope));
    }

    #[test]
    fn no_cut_or_changed_byte_panics_and_no_cut_is_taken() {
        let mut packed = Vec::new();
        pack(&full(), &mut packed);
        for end in 0..packed.len() {
            assert_eq!(unpack(&packed[..end]), Err(Malformed));
        }
        for at in 0..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 0xFF;
            let _ = (unpack(&changed), sender(&changed), addresses(&changed).count());
        }
    }
}
