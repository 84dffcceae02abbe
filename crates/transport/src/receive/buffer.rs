//! Read buffers. A session has one only while it has bytes that are not worked through: one that waits for its peer has none, so
//! thousands of idle connections cost no buffers. Free ones are kept per thread, without a lock.

use std::cell::RefCell;

/// Bytes of a buffer: the most that a peer can have sent ahead and we have read.
pub const BUFFER_BYTES: usize = 32 * 1024;

/// Free buffers that a thread keeps.
const FREE_PER_THREAD_MAX: usize = 16;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read and not used yet.
#[derive(Default)]
pub struct ReadBuffer {
    bytes: Option<Box<[u8]>>,
    used: usize,
    filled: usize,
}

impl ReadBuffer {
    /// What was read and not used.
    pub fn unread(&self) -> &[u8] {
        self.bytes.as_deref().and_then(|bytes| bytes.get(self.used..self.filled)).unwrap_or_default()
    }

    /// The first `count` bytes of [`unread`](Self::unread) are done with. Without any left, the buffer is given back.
    pub fn consume(&mut self, count: usize) {
        self.used = (self.used + count).min(self.filled);
        if self.used == self.filled {
            self.clear();
        }
    }

    /// Forgets what was read.
    pub fn clear(&mut self) {
        (self.used, self.filled) = (0, 0);
        if let Some(bytes) = self.bytes.take() {
            FREE.with_borrow_mut(|free| {
                if free.len() < FREE_PER_THREAD_MAX {
                    free.push(bytes);
                }
            });
        }
    }

    /// Has room read by `read`, which says how many bytes it put there. Gives back what `read` gave.
    pub fn fill<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        let bytes = self.bytes.get_or_insert_with(|| {
            FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice())
        });
        if self.used > 0 {
            bytes.copy_within(self.used..self.filled, 0);
            (self.used, self.filled) = (0, self.filled - self.used);
        }
        let read = read(&mut bytes[self.filled..]);
        if let Ok(count) = read {
            self.filled = (self.filled + count).min(BUFFER_BYTES);
        }
        if self.filled == 0 {
            self.clear();
        }
        read
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut ReadBuffer, text: &[u8]) -> Result<usize, ()> {
        buffer.fill(|room| {
            room[..text.len()].copy_from_slice(text);
            Ok(text.len())
        })
    }

    #[test]
    fn bytes_come_out_in_order_and_an_empty_buffer_is_given_back() {
        let mut buffer = ReadBuffer::default();
        put(&mut buffer, b"EHLO x\r\nMA").unwrap();
        buffer.consume(8);
        put(&mut buffer, b"IL").unwrap();
        assert_eq!(buffer.unread(), b"MAIL");
        buffer.consume(4);
        assert!(buffer.bytes.is_none() && buffer.unread().is_empty());
        assert_eq!(buffer.fill(|_| Err("would block")), Err("would block"));
        assert!(buffer.bytes.is_none(), "a session that waits has no buffer");
        assert_eq!(FREE.with_borrow(Vec::len), 1);
    }
}
