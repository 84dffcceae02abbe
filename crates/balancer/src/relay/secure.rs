//! TLS that ends here: the client's end is encrypted, the member's is not.
//!
//! Owns one session of rustls and its two ways. Knows no certificate: the configuration comes from above. Always holds: plain bytes wait nowhere but in
//! rustls's own bounded buffers and in the way's leftover; the client's end is a close_notify.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use super::tools::{READ_BYTES, Tools};
use super::way::{Moved, Way};

/// One session with a client.
pub(super) struct Secure {
    tls: ServerConnection,
    /// The member's end was said to the client.
    said_end: bool,
}

/// Where a handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    More,
    Done,
    Lost,
}

/// Reads and writes in one turn.
const ROUNDS_MAX: usize = 16;

impl Secure {
    /// `None`: the configuration cannot be used.
    pub(super) fn new(config: &Arc<ServerConfig>) -> Option<Secure> {
        let tls = ServerConnection::new(Arc::clone(config)).ok()?;
        Some(Secure { tls, said_end: false })
    }

    pub(super) fn server_name(&self) -> Option<&str> {
        self.tls.server_name()
    }

    /// Version and cipher suite, by the names of their registries.
    pub(super) fn facts(&self) -> Option<(&'static str, String)> {
        let version = match self.tls.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            _ => return None,
        };
        let suite = format!("{:?}", self.tls.negotiated_cipher_suite()?.suite());
        Some((version, suite.replacen("TLS13_", "TLS_", 1)))
    }

    pub(super) fn handshake(
        &mut self,
        up: &mut Way,
        down: &mut Way,
        client: BorrowedFd<'_>,
        tools: &mut Tools,
    ) -> Handshake {
        // Nothing of TLS is kept in the thread's buffer.
        let _ = tools;
        for _ in 0..ROUNDS_MAX {
            match self.write_out(down, client) {
                Moved::Ended => {}
                Moved::Waits => return Handshake::More,
                _ => return Handshake::Lost,
            }
            if !self.tls.is_handshaking() {
                return Handshake::Done;
            }
            match self.read_in(up, down, client) {
                Moved::Again => {}
                Moved::Waits => return Handshake::More,
                _ => return Handshake::Lost,
            }
        }
        Handshake::Lost
    }

    /// From the client to the member.
    pub(super) fn pump_up(
        &mut self,
        up: &mut Way,
        client: BorrowedFd<'_>,
        member: BorrowedFd<'_>,
        tools: &mut Tools,
        mut look: impl FnMut(&[u8]) -> usize,
    ) -> Moved {
        for _ in 0..ROUNDS_MAX {
            match up.flush(member, tools) {
                Moved::Ended => {}
                other => return other,
            }
            if up.has_ended() {
                return Moved::Ended;
            }
            match self.tls.reader().read(&mut tools.buffer[..READ_BYTES]) {
                Ok(0) => {
                    up.end();
                    return Moved::Ended;
                }
                Ok(count) => {
                    if look(&tools.buffer[..count]) < count {
                        return Moved::Stopped;
                    }
                    match up.write(member, tools, count, false) {
                        Moved::Ended => continue,
                        other => return other,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The connection ended without a close_notify: what was sent may have been cut.
                Err(_) => return Moved::SourceLost,
            }
            match self.read_in(up, &mut Way::default(), client) {
                Moved::Again => {}
                other => return other,
            }
        }
        Moved::Again
    }

    /// From the member to the client.
    pub(super) fn pump_down(
        &mut self,
        down: &mut Way,
        member: BorrowedFd<'_>,
        client: BorrowedFd<'_>,
        tools: &mut Tools,
        mut look: impl FnMut(&[u8]) -> usize,
    ) -> Moved {
        for _ in 0..ROUNDS_MAX {
            match self.write_out(down, client) {
                Moved::Ended => {}
                other => return other,
            }
            if !down.waiting().is_empty() {
                // The greeting, which was held back.
                if self.tls.writer().write_all(down.waiting()).is_err() {
                    return Moved::SinkLost;
                }
                down.release(tools);
                continue;
            }
            if down.has_ended() {
                if self.said_end {
                    return Moved::Ended;
                }
                self.said_end = true;
                self.tls.send_close_notify();
                continue;
            }
            if !down.is_readable() {
                return Moved::Waits;
            }
            match down.read(member, tools, READ_BYTES) {
                Ok(Some(0)) => {}
                Ok(Some(count)) => {
                    look(&tools.buffer[..count]);
                    if self.tls.writer().write_all(&tools.buffer[..count]).is_err() {
                        return Moved::SinkLost;
                    }
                }
                Ok(None) => return Moved::Waits,
                Err(lost) => return lost,
            }
        }
        Moved::Again
    }

    /// Last words. True: they are on their way.
    pub(super) fn say(&mut self, client: BorrowedFd<'_>, words: &[u8]) -> bool {
        if self.tls.is_handshaking() || self.tls.writer().write_all(words).is_err() {
            return false;
        }
        self.tls.send_close_notify();
        self.write_out(&mut Way::default(), client) == Moved::Ended
    }

    /// One read of the client. `Again`: something came.
    fn read_in(&mut self, up: &mut Way, down: &mut Way, client: BorrowedFd<'_>) -> Moved {
        if !up.is_readable() {
            return Moved::Waits;
        }
        match self.tls.read_tls(&mut Socket(client)) {
            Ok(0) if self.tls.is_handshaking() => return Moved::SourceLost,
            // rustls's reader says whether the end was a proper one.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                up.drained_all();
                return Moved::Waits;
            }
            Err(_) => return Moved::SourceLost,
        }
        if self.tls.process_new_packets().is_err() {
            // The client may hear what was wrong; it is gone in any case.
            let _ = self.write_out(down, client);
            return Moved::SourceLost;
        }
        Moved::Again
    }

    /// Writes what rustls has for the client. `Ended`: it has nothing more.
    fn write_out(&mut self, down: &mut Way, client: BorrowedFd<'_>) -> Moved {
        while self.tls.wants_write() {
            if down.is_blocked() {
                return Moved::Waits;
            }
            match self.tls.write_tls(&mut Socket(client)) {
                Ok(count) => down.count(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    down.block();
                    return Moved::Waits;
                }
                Err(_) => return Moved::SinkLost,
            }
        }
        Moved::Ended
    }
}

/// A socket as rustls wants it.
struct Socket<'a>(BorrowedFd<'a>);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.0, buffer, RecvFlags::empty()).map(|(count, _)| count)?)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
