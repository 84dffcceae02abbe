//! Owns what the service manager is told of sockets and processes. Without a service manager all of this does nothing.
//! Always holds: what it keeps is what listens here: a socket that is closed on purpose is forgotten there too.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixDatagram;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use sd_notify::NotifyState;

/// Has it keep a listening socket over a restart (FileDescriptorStoreMax of the unit).
pub fn keep(socket: BorrowedFd<'_>, address: SocketAddr) {
    // One that does not take it, or is not there, makes a restart shorter of sockets and nothing else.
    let _ = tell(&format!("FDSTORE=1\nFDNAME={}\n", name(address)), &[socket]);
}

/// Has it close a socket that is not wanted any more.
pub fn forget(address: SocketAddr) {
    let _ = tell(&format!("FDSTOREREMOVE=1\nFDNAME={}\n", name(address)), &[]);
}

/// This process is the service from now on.
pub fn i_am_the_service() {
    let _ = sd_notify::notify(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
}

/// The documents are taken anew; [`ready`] says when that is over.
pub fn reloading() {
    let Ok(now) = NotifyState::monotonic_usec_now() else { return };
    let _ = sd_notify::notify(&[NotifyState::Reloading, now]);
}

/// Everything is as it should be.
pub fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The service is alive.
pub fn alive() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}

/// `sd_notify` sends no descriptors without one more crate.
fn tell(words: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let manager = UnixDatagram::unbound()?;
    manager.connect(path)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("one socket at a time"));
    }
    sendmsg(&manager, &[IoSlice::new(words.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// `:` is not allowed in a name.
fn name(address: SocketAddr) -> String {
    address.to_string().replace(':', "_")
}
