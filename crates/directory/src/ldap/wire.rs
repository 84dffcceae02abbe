//! Requests and answers of RFC 4511 4 as bytes: bind, search in pages (RFC 2696), STARTTLS. Whatever a server sends is an answer or none,
//! never a panic.

use super::ber::{self, Reader, element, elements, number};
use super::filter::Filter;
use super::meaning::Found;

pub use super::ber::NotBer;

/// Bytes of one message of a server: a group with some 100,000 members.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// What is searched for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'s> {
    /// Where.
    pub base: &'s str,
    /// All below it, or only itself.
    pub below: bool,
    /// What entries must be like.
    pub filter: &'s Filter,
    /// Which attributes are wanted.
    pub attributes: &'s [&'s str],
    /// Entries that are wanted at most; 0 is no bound.
    pub entries_max: u32,
    /// Entries of a page, and the mark that the page before ended with (RFC 2696).
    pub page: Option<(u32, &'s [u8])>,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One that was searched for.
    Entry(Found),
    /// Somebody else may know more: not followed.
    Reference,
    /// The end of a request.
    Done(Done),
}

/// How a request ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// Result code (RFC 4511 4.1.9); 0 is success.
    pub code: i64,
    /// What the server says about it.
    pub text: String,
    /// The mark for the next page; empty: that was the last one.
    pub mark: Vec<u8>,
}

/// A simple bind (4.2).
pub fn bind(id: i32, dn: &str, password: &[u8]) -> Vec<u8> {
    let parts = [number(INTEGER, 3), element(OCTETS, dn.as_bytes()), element(0x80, password)];
    message(id, elements(0x60, &parts), None)
}

/// STARTTLS (4.14).
pub fn start_tls(id: i32) -> Vec<u8> {
    message(id, elements(0x77, &[element(0x80, b"1.3.6.1.4.1.1466.20037")]), None)
}

/// The end of a connection (4.3).
pub fn unbind(id: i32) -> Vec<u8> {
    message(id, element(0x42, b""), None)
}

/// A search (4.5.1).
pub fn search(id: i32, search: &Search<'_>) -> Vec<u8> {
    let attributes: Vec<Vec<u8>> = search.attributes.iter().map(|name| element(OCTETS, name.as_bytes())).collect();
    let parts = [
        element(OCTETS, search.base.as_bytes()),
        number(ENUMERATED, if search.below { 2 } else { 0 }),
        number(ENUMERATED, 0), // aliases are not followed: whom they mean is below the base too, or not meant
        number(INTEGER, search.entries_max as i32),
        number(INTEGER, 0),
        element(BOOLEAN, &[0]),
        filter(search.filter),
        elements(SEQUENCE, &attributes),
    ];
    let controls = search.page.map(|(size, mark)| {
        let value = elements(SEQUENCE, &[number(INTEGER, size as i32), element(OCTETS, mark)]);
        elements(SEQUENCE, &[element(OCTETS, PAGES.as_bytes()), element(OCTETS, &value)])
    });
    message(id, elements(0x63, &parts), controls)
}

fn message(id: i32, request: Vec<u8>, control: Option<Vec<u8>>) -> Vec<u8> {
    let controls = control.map_or(Vec::new(), |control| elements(0xA0, &[control]));
    elements(SEQUENCE, &[number(INTEGER, id), request, controls])
}

/// A filter (4.5.1.7).
fn filter(asked: &Filter) -> Vec<u8> {
    let list = |tag, all: &[Filter]| elements(tag, &all.iter().map(filter).collect::<Vec<_>>());
    let pair = |tag, attribute: &str, value: &[u8]| {
        elements(tag, &[element(OCTETS, attribute.as_bytes()), element(OCTETS, value)])
    };
    match asked {
        Filter::And(all) => list(0xA0, all),
        Filter::Or(all) => list(0xA1, all),
        Filter::Not(inner) => elements(0xA2, &[filter(inner)]),
        Filter::Equal(attribute, value) => pair(0xA3, attribute, value),
        Filter::AtLeast(attribute, value) => pair(0xA5, attribute, value),
        Filter::AtMost(attribute, value) => pair(0xA6, attribute, value),
        Filter::Approx(attribute, value) => pair(0xA8, attribute, value),
        Filter::Present(attribute) => element(0x87, attribute.as_bytes()),
        Filter::Parts(attribute, parts) => {
            let last = parts.len() - 1;
            let tag = |place| match place {
                0 => 0x80,
                place if place == last => 0x82,
                _ => 0x81,
            };
            let written = parts.iter().enumerate().filter(|(_, part)| !part.is_empty());
            let written: Vec<Vec<u8>> = written.map(|(place, part)| element(tag(place), part)).collect();
            elements(0xA4, &[element(OCTETS, attribute.as_bytes()), elements(SEQUENCE, &written)])
        }
        Filter::Rule { attribute, rule, value, dn } => {
            let named = |tag, name: &str| if name.is_empty() { Vec::new() } else { element(tag, name.as_bytes()) };
            let dn = if *dn { element(0x84, &[0xFF]) } else { Vec::new() };
            elements(0xA9, &[named(0x81, rule), named(0x82, attribute), element(0x83, value), dn])
        }
    }
}

/// Bytes of the first message: `Ok(None)` if too few are there to know, an error if no message begins so.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, NotBer> {
    match bytes.first() {
        Some(&SEQUENCE) => ber::length(bytes),
        Some(_) => Err(NotBer),
        None => Ok(None),
    }
}

/// Reads an answer and the number of its request. `None`: it is none that we understand.
pub fn answer(bytes: &[u8]) -> Option<(i64, Answer)> {
    let mut whole = Reader(bytes).get(SEQUENCE)?;
    let id = whole.number(INTEGER)?;
    let (tag, content) = whole.any()?;
    let answer = match tag {
        0x64 => Answer::Entry(entry(content)?),
        0x73 => Answer::Reference,
        0x61 | 0x65 | 0x78 => {
            let (code, text) = result(content)?;
            Answer::Done(Done { code, text, mark: next_page(whole).unwrap_or_default() })
        }
        _ => return None,
    };
    Some((id, answer))
}

fn entry(mut content: Reader<'_>) -> Option<Found> {
    let mut found = Found { dn: content.text(OCTETS)?, attributes: Vec::new() };
    let mut attributes = content.get(SEQUENCE)?;
    while !attributes.is_empty() {
        let mut attribute = attributes.get(SEQUENCE)?;
        let (name, mut set) = (attribute.text(OCTETS)?, attribute.get(SET)?);
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.get(OCTETS)?.0.to_vec());
        }
        found.attributes.push((name, values));
    }
    Some(found)
}

fn result(mut content: Reader<'_>) -> Option<(i64, String)> {
    let code = content.number(ENUMERATED)?;
    content.get(OCTETS)?;
    Some((code, content.text(OCTETS)?))
}

/// The mark among the controls of an answer.
fn next_page(mut whole: Reader<'_>) -> Option<Vec<u8>> {
    let mut controls = whole.get(0xA0)?;
    while !controls.is_empty() {
        let mut control = controls.get(SEQUENCE)?;
        if control.get(OCTETS)?.0 != PAGES.as_bytes() {
            continue;
        }
        // It may say first how important it is.
        let _ = control.get(BOOLEAN);
        let mut value = control.get(OCTETS)?.get(SEQUENCE)?;
        value.number(INTEGER)?;
        return value.get(OCTETS).map(|mark| mark.0.to_vec());
    }
    None
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0A;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// RFC 2696.
const PAGES: &str = "1.2.840.113556.1.4.319";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_standard() {
        // Written by ldapsearch 2.5 (-x -D cn=a -w pw).
        assert_eq!(
            bind(1, "cn=a", b"pw"),
            [0x30, 0x12, 2, 1, 1, 0x60, 0x0d, 2, 1, 3, 4, 4, b'c', b'n', b'=', b'a', 0x80, 2, b'p', b'w']
        );
        assert_eq!(unbind(2), [0x30, 5, 2, 1, 2, 0x42, 0]);
        let asked = Filter::parse("(&(!(a=b))(c=*)(d=e*f*))").unwrap();
        let expected: [&[u8]; 4] = [
            &[0xA0, 0x1A, 0xA2, 8, 0xA3, 6, 4, 1, b'a', 4, 1, b'b'],
            &[0x87, 1, b'c'],
            &[0xA4, 11, 4, 1, b'd', 0x30, 6, 0x80, 1, b'e'],
            &[0x81, 1, b'f'],
        ];
        assert_eq!(filter(&asked), expected.concat());
    }

    #[test]
    fn answers_are_read_and_nonsense_is_not() {
        let entry = elements(
            SEQUENCE,
            &[
                number(INTEGER, 7),
                elements(
                    0x64,
                    &[
                        element(OCTETS, b"cn=x"),
                        elements(
                            SEQUENCE,
                            &[elements(
                                SEQUENCE,
                                &[
                                    element(OCTETS, b"mail"),
                                    elements(SET, &[element(OCTETS, b"a@b"), element(OCTETS, b"\xff")]),
                                ],
                            )],
                        ),
                    ],
                ),
            ],
        );
        let expected =
            Found { dn: "cn=x".into(), attributes: vec![("mail".into(), vec![b"a@b".to_vec(), vec![0xff]])] };
        assert_eq!(answer(&entry), Some((7, Answer::Entry(expected))));
        let page = elements(SEQUENCE, &[number(INTEGER, 0), element(OCTETS, b"more")]);
        let control =
            elements(SEQUENCE, &[element(OCTETS, PAGES.as_bytes()), element(BOOLEAN, &[255]), element(OCTETS, &page)]);
        let result = elements(0x65, &[number(ENUMERATED, 4), element(OCTETS, b""), element(OCTETS, b"too many")]);
        let done = elements(SEQUENCE, &[number(INTEGER, 1), result, elements(0xA0, &[control])]);
        let expected = Done { code: 4, text: "too many".into(), mark: b"more".to_vec() };
        assert_eq!(answer(&done), Some((1, Answer::Done(expected))));
        // Whatever is changed in it, it is read or refused.
        for bytes in [&entry, &done] {
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1_u8 << bit;
                    let _ = answer(&damaged);
                }
                assert_eq!(answer(&bytes[..at]), None);
            }
        }
    }
}
