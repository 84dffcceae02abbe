//! Owns the frames of the dialog: a length, JSON, and with it descriptors (SCM_RIGHTS). Knows no words.
//! Always holds: a frame has at most [`FRAME_BYTES_MAX`] and [`SOCKETS_AT_ONCE`] descriptors; what comes does not reach children.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One end.
pub struct Wire(UnixStream);

impl Wire {
    /// On a connected socket, in blocking mode.
    pub fn new(stream: UnixStream) -> io::Result<Wire> {
        stream.set_nonblocking(false)?;
        // A word is short: it fits into the buffer, or nobody reads any more.
        stream.set_write_timeout(Some(WRITE_MAX))?;
        Ok(Wire(stream))
    }

    /// The user of the process at the other end.
    pub fn peer_user(&self) -> io::Result<rustix::process::Uid> {
        Ok(rustix::net::sockopt::socket_peercred(&self.0)?.uid)
    }

    /// Sends a word and duplicates of `sockets`.
    pub fn send(&self, word: &impl Serialize, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let json = serde_json::to_vec(word)?;
        let length = u32::try_from(json.len()).map_err(io::Error::other)?.to_be_bytes();
        let mut frame = [&length[..], &json].concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("too many descriptors for one frame"));
        }
        while !frame.is_empty() {
            match sendmsg(&self.0, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    frame.drain(..sent);
                    // They went with the first byte.
                    control.clear();
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for a word, at most so long. An end of the other side is `UnexpectedEof`.
    pub fn receive<T: DeserializeOwned>(&self, patience: Duration) -> io::Result<(T, Vec<OwnedFd>)> {
        self.0.set_read_timeout(Some(patience))?;
        let (mut length, mut sockets) = ([0; 4], Vec::new());
        self.fill(&mut length, &mut sockets)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
        }
        let mut json = vec![0; length];
        self.fill(&mut json, &mut sockets)?;
        Ok((serde_json::from_slice(&json)?, sockets))
    }

    fn fill(&self, mut wanted: &mut [u8], sockets: &mut Vec<OwnedFd>) -> io::Result<()> {
        while !wanted.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let got = match recvmsg(&self.0, &mut [IoSliceMut::new(wanted)], &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(got) => got.bytes,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    sockets.extend(descriptors);
                }
            }
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            wanted = &mut wanted[got..];
        }
        Ok(())
    }
}

/// Descriptors in one frame; the kernel takes 253.
pub const SOCKETS_AT_ONCE: usize = 64;
/// Some hundred virtual addresses.
const FRAME_BYTES_MAX: usize = 256 << 10;
const WRITE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn words_and_sockets_arrive_together_and_an_end_is_seen() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (Wire::new(one).unwrap(), Wire::new(other).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fds = [listener.as_fd(), listener.as_fd()];
        one.send(&"first", &fds).unwrap();
        one.send(&"second", &[]).unwrap();
        let (word, sockets) = other.receive::<String>(Duration::from_secs(5)).unwrap();
        assert_eq!((word.as_str(), sockets.len()), ("first", 2));
        let given = TcpListener::from(sockets.into_iter().next().unwrap());
        assert_eq!(given.local_addr().unwrap(), listener.local_addr().unwrap());
        let (word, sockets) = other.receive::<String>(Duration::from_secs(5)).unwrap();
        assert_eq!((word.as_str(), sockets.len()), ("second", 0));
        assert_eq!(other.peer_user().unwrap(), rustix::process::getuid());
        drop(one);
        let error = other.receive::<String>(Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_stranger_cannot_make_us_take_much() {
        let (one, other) = UnixStream::pair().unwrap();
        io::Write::write_all(&mut &one, &u32::MAX.to_be_bytes()).unwrap();
        let other = Wire::new(other).unwrap();
        assert_eq!(other.receive::<String>(Duration::from_secs(5)).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
