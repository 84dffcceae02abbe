//! The name that Posthouse gives to a message: sortable by time, unique across nodes without asking anybody.

use core::fmt;
use core::str::FromStr;

/// Identity of an accepted message: 48 bits of Unix milliseconds and 80 bits that its maker drew by chance.
/// Its text is 26 characters of Crockford's base 32; the 250 after DATA, the logs and the trace all name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

/// The text is not the 26 characters of a message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMessageId;

impl MessageId {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 26;

    /// Makes an id from Unix milliseconds and ten bytes of chance.
    pub fn new(unix_ms: u64, chance: [u8; 10]) -> MessageId {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&chance);
        MessageId(bytes)
    }

    /// The sixteen bytes as they stand on disk.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote.
    pub fn from_bytes(bytes: [u8; 16]) -> MessageId {
        MessageId(bytes)
    }

    /// When the id was made, in Unix milliseconds.
    pub fn unix_ms(self) -> u64 {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(ms)
    }

    fn text(self) -> [u8; Self::TEXT_LEN] {
        let mut value = u128::from_be_bytes(self.0);
        let mut text = [0; Self::TEXT_LEN];
        for place in text.iter_mut().rev() {
            *place = DIGITS[(value & 31) as usize];
            value >>= 5;
        }
        text
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(core::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = NotAMessageId;

    fn from_str(text: &str) -> Result<MessageId, NotAMessageId> {
        if text.len() != Self::TEXT_LEN || text.as_bytes()[0] > b'7' {
            return Err(NotAMessageId);
        }
        let mut value = 0u128;
        for byte in text.bytes() {
            let upper = byte.to_ascii_uppercase();
            let digit = DIGITS.iter().position(|d| *d == upper).ok_or(NotAMessageId)?;
            value = value << 5 | digit as u128;
        }
        Ok(MessageId(value.to_be_bytes()))
    }
}

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_and_bytes_come_back_the_same() {
        let id = MessageId::new(1_795_237_200_123, [1, 2, 3, 4, 5, 250, 251, 252, 253, 254]);
        assert_eq!(id.unix_ms(), 1_795_237_200_123);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_lowercase().parse(), Ok(id));
        assert_eq!(MessageId::from_bytes(id.to_bytes()), id);
        assert_eq!("ILLEGAL".parse::<MessageId>(), Err(NotAMessageId));
        assert_eq!("ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<MessageId>(), Err(NotAMessageId));
    }

    #[test]
    fn later_ids_sort_later() {
        assert!(MessageId::new(5, [255; 10]).to_string() < MessageId::new(6, [0; 10]).to_string());
    }
}
