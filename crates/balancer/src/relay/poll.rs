//! epoll: which descriptors have something to say.
//!
//! Owns the instance and what a token means. Knows no connection. Always holds: connections are told of edges, listeners of levels; a token of
//! something that is gone is never taken for what came after it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

/// One epoll instance.
pub(super) struct Poll {
    epoll: OwnedFd,
}

/// Who an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Orders are waiting.
    Wake,
    /// A listener, by its number.
    Listener(u32),
    /// The client's end of a connection: its slot, and which of the slot's connections.
    Client { slot: u32, life: u16 },
    /// The member's end; and which of the connection's members.
    Member { slot: u32, life: u16, dial: u8 },
}

/// What an end can do, or what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// Something can be read, be it an end or an error.
    pub(super) readable: bool,
    /// Something can be written, or writing says what is wrong.
    pub(super) writable: bool,
    /// The other side has ended: what is read goes on to the end.
    pub(super) ending: bool,
    /// An error, or both ways are down.
    pub(super) broken: bool,
}

/// What a connection's end wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    Read,
    ReadWrite,
}

/// Events taken at once.
const EVENTS_MAX: usize = 256;

impl Poll {
    pub(super) fn new() -> io::Result<Poll> {
        Ok(Poll { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Tells of edges from now on; what is ready already is told as well.
    pub(super) fn add(&self, end: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, end, EventData::new_u64(token.number()), interest.flags())?)
    }

    /// The same end with another interest; what is ready now is told again.
    pub(super) fn change(&self, end: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, end, EventData::new_u64(token.number()), interest.flags())?)
    }

    /// Tells as long as something waits. A socket that several threads wait on wakes one of them.
    pub(super) fn add_level(&self, end: impl AsFd, token: Token) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        Ok(epoll::add(&self.epoll, end, EventData::new_u64(token.number()), flags)?)
    }

    /// Tells no more of it.
    pub(super) fn remove(&self, end: impl AsFd) {
        // One that is not there is not told of either.
        let _ = epoll::delete(&self.epoll, end);
    }

    /// Waits until something is ready, or for so long; `None` is for ever.
    pub(super) fn wait(&self, events: &mut Vec<Event>, wait_ms: Option<u64>) {
        events.clear();
        events.reserve(EVENTS_MAX);
        let wait = wait_ms
            .map(|ms| Timespec::try_from(Duration::from_millis(ms)).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 }));
        // Interrupted: nobody is ready, the caller comes again.
        let _ = epoll::wait(&self.epoll, spare_capacity(events), wait.as_ref());
    }
}

/// A descriptor that wakes a thread.
pub(super) fn waker() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

impl Interest {
    fn flags(self) -> EventFlags {
        let read = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        if self == Interest::Read { read } else { read | EventFlags::OUT }
    }
}

impl Ready {
    pub(super) fn of(event: &Event) -> Ready {
        let flags = event.flags;
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        Ready {
            readable: broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
            writable: broken || flags.contains(EventFlags::OUT),
            ending: broken || flags.contains(EventFlags::RDHUP),
            broken,
        }
    }
}

const KIND_BITS: u64 = 2;

impl Token {
    /// Slot in the upper half, then life, dial and kind.
    fn number(self) -> u64 {
        let of = |slot: u32, life: u16, dial: u8, kind: u64| {
            u64::from(slot) << 32 | u64::from(life) << 16 | u64::from(dial) << 8 | kind
        };
        match self {
            Token::Wake => 0,
            Token::Listener(number) => of(number, 0, 0, 1),
            Token::Client { slot, life } => of(slot, life, 0, 2),
            Token::Member { slot, life, dial } => of(slot, life, dial, 3),
        }
    }

    pub(super) fn of(event: &Event) -> Token {
        let number = event.data.u64();
        let (slot, life, dial) = ((number >> 32) as u32, (number >> 16) as u16, (number >> 8) as u8);
        match number & ((1 << KIND_BITS) - 1) {
            0 => Token::Wake,
            1 => Token::Listener(slot),
            2 => Token::Client { slot, life },
            _ => Token::Member { slot, life, dial },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        for token in [
            Token::Wake,
            Token::Listener(7),
            Token::Client { slot: u32::MAX, life: u16::MAX },
            Token::Member { slot: 1, life: 2, dial: 255 },
        ] {
            let event = Event { flags: EventFlags::IN, data: EventData::new_u64(token.number()) };
            assert_eq!(Token::of(&event), token);
        }
    }
}
