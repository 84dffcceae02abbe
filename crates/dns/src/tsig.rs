//! Signatures of messages with a shared key (TSIG, RFC 8945).
//!
//! Owns keys, what is signed, and what a bad signature is answered with. Knows no socket and no clock: `now_s` is given.
//! Always holds: signatures are compared in constant time, and only whole ones count.

use std::fmt;

use aws_lc_rs::hmac;

use crate::name::Name;
use crate::record::Kind;

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`.
    Sha256,
    /// `hmac-sha384`.
    Sha384,
    /// `hmac-sha512`.
    Sha512,
}

impl Algorithm {
    fn wire(self) -> &'static [u8] {
        match self {
            Algorithm::Sha256 => b"\x0bhmac-sha256\0",
            Algorithm::Sha384 => b"\x0bhmac-sha384\0",
            Algorithm::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha384 => hmac::HMAC_SHA384,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A key that two servers share.
#[derive(Clone)]
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    key: hmac::Key,
}

impl Key {
    /// A key of this name; `secret` are its octets, not base64.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Key {
        Key { name, algorithm, key: hmac::Key::new(algorithm.hmac(), secret) }
    }

    /// The name that both sides call it by.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Signs the first message of a conversation: the TSIG record is appended, and the count of records in its header raised.
    /// What the answer is signed after comes back.
    pub fn sign_request(&self, message: &mut Vec<u8>, now_s: u64) -> Chain {
        Chain { key: self.clone(), before: Vec::new(), is_first: true }.signed(message, now_s)
    }
}

/// Nothing of a key is for people but its name.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.algorithm, self.name)
    }
}

/// A conversation under a key: each signature covers the one before it.
#[derive(Clone)]
pub struct Chain {
    key: Key,
    before: Vec<u8>,
    is_first: bool,
}

impl Chain {
    /// Whose key it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Signs the next message: one of an answer to what this chain began with.
    pub fn sign(&mut self, message: &mut Vec<u8>, now_s: u64) {
        let chain = Chain { key: self.key.clone(), before: std::mem::take(&mut self.before), is_first: self.is_first };
        *self = chain.signed(message, now_s);
    }

    fn signed(self, message: &mut Vec<u8>, now_s: u64) -> Chain {
        let record = Record { algorithm: self.key.algorithm.wire(), now_s, fudge_s: FUDGE_S, error: 0, other: &[] };
        let is_answer = !self.before.is_empty();
        let tag = self.key.tag(&self.before, message, &record, !is_answer || self.is_first);
        let id = [message[0], message[1]];
        append(message, &self.key.name, &record, tag.as_ref(), id);
        Chain { key: self.key, before: tag.as_ref().to_vec(), is_first: !is_answer }
    }

    /// Checks the next message of an answer, and takes its signature off. The error is for the operator.
    pub fn verify_answer(&mut self, message: &mut Vec<u8>, now_s: u64) -> Result<(), String> {
        let Some(at) = crate::wire::message::tsig_at(message) else {
            return Err("the answer is not signed".into());
        };
        let Some(seen) = Seen::read(message, at) else { return Err("the answer's signature cannot be read".into()) };
        if seen.error != 0 {
            return Err(format!("the other side says {} of our signature", error_word(seen.error)));
        }
        if seen.name != self.key.name || !seen.algorithm.eq_ignore_ascii_case(self.key.algorithm.wire()) {
            return Err("the answer is signed with another key".into());
        }
        let bare = seen.bare(message, at);
        let mut context = hmac::Context::with_key(&self.key.key);
        chained(&mut context, &self.before);
        context.update(&bare);
        seen.record().cover(&mut context, &self.key.name, self.is_first);
        let tag = context.sign();
        if aws_lc_rs::constant_time::verify_slices_are_equal(tag.as_ref(), &seen.mac).is_err() {
            return Err("the answer's signature is wrong".into());
        }
        if now_s.abs_diff(seen.now_s) > u64::from(seen.fudge_s) {
            return Err("the answer's signature is too old or of the future: are both clocks right?".into());
        }
        *message = bare;
        (self.before, self.is_first) = (seen.mac, false);
        Ok(())
    }
}

impl Key {
    fn tag(&self, before: &[u8], message: &[u8], record: &Record<'_>, is_whole: bool) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        chained(&mut context, before);
        context.update(message);
        record.cover(&mut context, &self.name, is_whole);
        context.sign()
    }
}

fn chained(context: &mut hmac::Context, before: &[u8]) {
    if !before.is_empty() {
        context.update(&(before.len() as u16).to_be_bytes());
        context.update(before);
    }
}

/// What became of the signature of a request.
pub enum Verdict {
    /// Signed with this key, now. The answer is signed in this chain.
    Good(Chain),
    /// Answer `NOTAUTH` with [`Refusal::append`].
    Bad(Refusal),
    /// Not to be read: `FORMERR`.
    Unreadable,
}

/// How a bad signature is answered (RFC 8945, 5.2).
pub struct Refusal {
    error: u16,
    name: Name,
    algorithm: Box<[u8]>,
    now_s: u64,
    fudge_s: u16,
    /// The clock was the trouble: the answer is signed, and says ours.
    signed: Option<Chain>,
}

impl Refusal {
    /// For the operator.
    pub fn word(&self) -> &'static str {
        error_word(self.error)
    }

    /// Appends the TSIG record that says so.
    pub fn append(&self, message: &mut Vec<u8>, now_s: u64) {
        let ours = now_s.to_be_bytes();
        let other: &[u8] = if self.signed.is_some() { &ours[2..] } else { &[] };
        let fudge_s = self.fudge_s;
        let record = Record { algorithm: &self.algorithm, now_s: self.now_s, fudge_s, error: self.error, other };
        let tag = self.signed.as_ref().map(|chain| chain.key.tag(&chain.before, message, &record, true));
        let id = [message[0], message[1]];
        append(message, &self.name, &record, tag.as_ref().map_or(&[], AsRef::as_ref), id);
    }
}

/// Looks at a request whose TSIG record begins at `at`.
pub fn verify_request<'k>(
    message: &[u8],
    at: usize,
    find: impl FnOnce(&Name) -> Option<&'k Key>,
    now_s: u64,
) -> Verdict {
    let Some(seen) = Seen::read(message, at) else { return Verdict::Unreadable };
    let refusal = |error, signed| {
        let (algorithm, name) = (seen.algorithm.clone(), seen.name.clone());
        Verdict::Bad(Refusal { error, name, algorithm, now_s: seen.now_s, fudge_s: seen.fudge_s, signed })
    };
    let key = find(&seen.name).filter(|key| seen.algorithm.eq_ignore_ascii_case(key.algorithm.wire()));
    let Some(key) = key else { return refusal(BADKEY, None) };
    let bare = seen.bare(message, at);
    let mut context = hmac::Context::with_key(&key.key);
    context.update(&bare);
    seen.record().cover(&mut context, &key.name, true);
    let tag = context.sign();
    if aws_lc_rs::constant_time::verify_slices_are_equal(tag.as_ref(), &seen.mac).is_err() {
        return refusal(BADSIG, None);
    }
    let chain = Chain { key: key.clone(), before: seen.mac.clone(), is_first: true };
    match now_s.abs_diff(seen.now_s) > u64::from(seen.fudge_s) {
        true => refusal(BADTIME, Some(chain)),
        false => Verdict::Good(chain),
    }
}

/// The fields of a TSIG record that are signed.
struct Record<'r> {
    algorithm: &'r [u8],
    now_s: u64,
    fudge_s: u16,
    error: u16,
    other: &'r [u8],
}

impl Record<'_> {
    /// RFC 8945, 4.3.3: all fields, or those of time only.
    fn cover(&self, context: &mut hmac::Context, name: &Name, is_whole: bool) {
        let time = &self.now_s.to_be_bytes()[2..];
        if !is_whole {
            context.update(time);
            context.update(&self.fudge_s.to_be_bytes());
            return;
        }
        context.update(&name.key());
        context.update(&CLASS_ANY.to_be_bytes());
        context.update(&[0; 4]);
        context.update(&self.algorithm.to_ascii_lowercase());
        context.update(time);
        for number in [self.fudge_s, self.error, self.other.len() as u16] {
            context.update(&number.to_be_bytes());
        }
        context.update(self.other);
    }
}

fn append(message: &mut Vec<u8>, name: &Name, record: &Record<'_>, mac: &[u8], id: [u8; 2]) {
    message.extend(name.wire());
    message.extend(Kind::TSIG.0.to_be_bytes());
    message.extend(CLASS_ANY.to_be_bytes());
    message.extend([0; 4]);
    let length = record.algorithm.len() + 6 + 2 + 2 + mac.len() + 2 + 2 + 2 + record.other.len();
    message.extend((length as u16).to_be_bytes());
    message.extend(record.algorithm);
    message.extend(&record.now_s.to_be_bytes()[2..]);
    message.extend(record.fudge_s.to_be_bytes());
    message.extend((mac.len() as u16).to_be_bytes());
    message.extend(mac);
    message.extend(id);
    message.extend(record.error.to_be_bytes());
    message.extend((record.other.len() as u16).to_be_bytes());
    message.extend(record.other);
    let count = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1);
    message[10..12].copy_from_slice(&count.to_be_bytes());
}

/// A TSIG record as it came.
struct Seen {
    name: Name,
    algorithm: Box<[u8]>,
    now_s: u64,
    fudge_s: u16,
    mac: Vec<u8>,
    id: [u8; 2],
    error: u16,
    other: Vec<u8>,
}

impl Seen {
    /// Reads the record that begins at `at` and must be the last of the message.
    fn read(message: &[u8], at: usize) -> Option<Seen> {
        let rest = message.get(at..)?;
        let (name, rest) = take_name(rest)?;
        let (head, rest) = rest.split_at_checked(10)?;
        let (algorithm, rest) = take_name(rest)?;
        let (fixed, rest) = rest.split_at_checked(10)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let (mac, rest) = rest.split_at_checked(number(&fixed[8..10]) as usize)?;
        let (tail, other) = rest.split_at_checked(6)?;
        let is_whole = number(&tail[4..6]) as usize == other.len();
        let length = number(&head[8..10]) as usize;
        let is_right = length == algorithm.wire().len() + 10 + mac.len() + 6 + other.len();
        (is_whole && is_right).then(|| Seen {
            name,
            algorithm: algorithm.wire().into(),
            now_s: number(&fixed[..6]),
            fudge_s: number(&fixed[6..8]) as u16,
            mac: mac.to_vec(),
            id: [tail[0], tail[1]],
            error: number(&tail[2..4]) as u16,
            other: other.to_vec(),
        })
    }

    fn record(&self) -> Record<'_> {
        let Seen { algorithm, now_s, fudge_s, error, other, .. } = self;
        Record { algorithm, now_s: *now_s, fudge_s: *fudge_s, error: *error, other }
    }

    /// The message as it was signed: without this record, under the id that it began with.
    fn bare(&self, message: &[u8], at: usize) -> Vec<u8> {
        let mut bare = message[..at].to_vec();
        bare[..2].copy_from_slice(&self.id);
        let count = u16::from_be_bytes([bare[10], bare[11]]).wrapping_sub(1);
        bare[10..12].copy_from_slice(&count.to_be_bytes());
        bare
    }
}

/// Names in and around a TSIG record are never compressed (RFC 8945, 4.2).
fn take_name(octets: &[u8]) -> Option<(Name, &[u8])> {
    let (name, rest) = octets.split_at(crate::name::wire_len(octets)?);
    Some((Name::from_wire(name)?, rest))
}

fn error_word(error: u16) -> &'static str {
    match error {
        BADSIG => "BADSIG (the secret is another one)",
        BADKEY => "BADKEY (it has no such key, or under another algorithm)",
        BADTIME => "BADTIME (the clocks differ)",
        BADTRUNC => "BADTRUNC",
        _ => "an unknown error",
    }
}

/// Octets that the largest TSIG record of ours has: a name, an algorithm, a MAC of 64.
pub const TSIG_MAX: usize = 255 + 10 + 13 + 10 + 64 + 6 + 6;

const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
const BADTRUNC: u16 = 22;
const CLASS_ANY: u16 = 255;
/// Clocks may differ by so much (RFC 8945, 10).
const FUDGE_S: u16 = 300;
