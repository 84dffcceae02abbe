//! BER (X.690) within the bounds of RFC 4511 5.1: definite lengths, tags of one byte.

/// One element: its tag, and its content behind it.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    match content.len() {
        short @ 0..=0x7F => out.push(short as u8),
        long => {
            let bytes = (long as u64).to_be_bytes();
            let used = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | used.len() as u8);
            out.extend_from_slice(used);
        }
    }
    out.extend_from_slice(content);
    out
}

/// One element made of others.
pub fn elements(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

/// A number of 32 bits.
pub fn number(tag: u8, number: i32) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    // The shortest form: a leading byte goes as long as the next one has the same sign.
    let needless = bytes.windows(2).take_while(|pair| (pair[0] as i8) == (pair[1] as i8) >> 7).count();
    element(tag, &bytes[needless..])
}

/// Reads elements; `None` where the bytes are none.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// The next element, whatever it is.
    pub fn any(&mut self) -> Option<(u8, Reader<'b>)> {
        let (tag, head, len) = header(self.0)?;
        let (element, rest) = self.0.split_at_checked(head.checked_add(len)?)?;
        self.0 = rest;
        Some((tag, Reader(&element[head..])))
    }

    /// The next element, if it has this tag.
    pub fn get(&mut self, tag: u8) -> Option<Reader<'b>> {
        let mut ahead = *self;
        let (found, content) = ahead.any()?;
        (found == tag).then(|| {
            *self = ahead;
            content
        })
    }

    /// A number with this tag.
    pub fn number(&mut self, tag: u8) -> Option<i64> {
        let bytes = self.get(tag)?.0;
        let first = *bytes.first().filter(|_| bytes.len() <= 8)?;
        let sign = i64::from((first as i8) >> 7);
        Some(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
    }

    /// A text with this tag; what is no UTF-8 is shown as well as it can be.
    pub fn text(&mut self, tag: u8) -> Option<String> {
        self.get(tag).map(|content| String::from_utf8_lossy(content.0).into_owned())
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes are the beginning of no element of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBer;

/// Bytes of the first element, header included: `Ok(None)` if too few are there to know, an error if they are no element of ours.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, NotBer> {
    let Some(second) = bytes.get(1) else { return Ok(None) };
    let head = 2 + if *second < 0x80 { 0 } else { usize::from(second & 0x7F) };
    if *second == 0x80 || head > HEAD_MAX {
        return Err(NotBer);
    }
    if bytes.len() < head {
        return Ok(None);
    }
    header(bytes).and_then(|(_, head, len)| head.checked_add(len)).map(Some).ok_or(NotBer)
}

/// Tag, bytes of the header, bytes of the content.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (tag, second) = (*bytes.first()?, *bytes.get(1)?);
    if second < 0x80 {
        return Some((tag, 2, usize::from(second)));
    }
    let head = 2 + usize::from(second & 0x7F);
    let digits = bytes.get(2..head).filter(|digits| !digits.is_empty() && head <= HEAD_MAX)?;
    let len = digits.iter().fold(0_u64, |len, byte| len << 8 | u64::from(*byte));
    Some((tag, head, usize::try_from(len).ok()?))
}

/// Tag, length of the length, and eight bytes of length at most.
const HEAD_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::number as written;
    use super::*;

    #[test]
    fn elements_are_read_as_they_were_written() {
        for content in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = element(0x04, &vec![7; content]);
            assert_eq!(length(&bytes), Ok(Some(bytes.len())), "{content}");
            let mut reader = Reader(&bytes);
            assert_eq!(reader.get(0x04).map(|content| content.0.len()), Some(content));
            assert!(reader.is_empty() && reader.any().is_none());
            assert!(Reader(&bytes[..bytes.len() - 1]).any().is_none(), "cut off");
        }
        for number in [0, 1, -1, 127, 128, -128, -129, 255, 256, 65_535, i32::MAX, i32::MIN] {
            let bytes = written(0x02, number);
            assert_eq!(Reader(&bytes).number(0x02), Some(i64::from(number)), "{bytes:?}");
        }
        assert_eq!(written(0x02, 127), [2, 1, 127]);
        assert_eq!(written(0x02, 128), [2, 2, 0, 128]);
    }

    #[test]
    fn what_is_no_element_is_refused() {
        assert_eq!(length(&[0x30]), Ok(None));
        assert_eq!(length(&[0x30, 0x84, 0, 0]), Ok(None));
        assert_eq!(length(&[0x30, 0x80]), Err(NotBer), "indefinite");
        assert_eq!(length(&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1]), Err(NotBer));
        assert_eq!(length(&[0x30, 0x88, 255, 255, 255, 255, 255, 255, 255, 255]), Err(NotBer));
        assert!(Reader(&[2, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1]).number(2).is_none());
        assert!(Reader(&[2, 0]).number(2).is_none());
    }
}
