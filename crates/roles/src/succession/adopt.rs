//! Owns the descriptors that are in this process by number only: those of the service manager (`LISTEN_FDS`), and those that our own
//! program kept over an `exec`. Unsafe because a number says nothing of whose descriptor it is; once for the process, before it takes
//! anything else from there, and only what listens or takes datagrams at an address.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use super::inherited::of_use;

/// What our own program calls the sockets that it keeps over an `exec`: `PID:N,N,...`.
const KEPT: &str = "POSTHOUSE_SOCKETS";

/// The sockets that came with the process; nothing at a second call.
pub fn in_environment() -> Vec<OwnedFd> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    // What is wrong in there is the manager's, and the node binds its own sockets then.
    let mut numbers: Vec<RawFd> = sd_notify::listen_fds().map(Iterator::collect).unwrap_or_default();
    numbers.extend(kept(std::env::var(KEPT).ok().as_deref(), std::process::id()));
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().filter_map(owned).collect()
}

fn kept(text: Option<&str>, process: u32) -> Vec<RawFd> {
    let numbers = text.and_then(|text| text.strip_prefix(&format!("{process}:")));
    numbers.unwrap_or_default().split(',').filter_map(|number| number.parse().ok()).filter(|n| *n > 2).collect()
}

fn owned(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: it is borrowed for questions only; the kernel answers EBADF or ENOTSOCK where it is no socket.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    of_use(&borrowed)?;
    // It is not for children.
    fcntl_setfd(borrowed, FdFlags::CLOEXEC).ok()?;
    // SAFETY: whoever started this process put it there for it, nobody in it has made a socket yet, and this is asked once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets these survive an `exec` of this process; the variable to give to the program.
pub fn keep_over_exec(sockets: &[OwnedFd]) -> (&'static str, OsString) {
    let mut numbers = Vec::new();
    for socket in sockets {
        let cleared = fcntl_getfd(socket).and_then(|flags| fcntl_setfd(socket, flags - FdFlags::CLOEXEC));
        if cleared.is_ok() {
            numbers.push(socket.as_raw_fd().to_string());
        }
    }
    (KEPT, format!("{}:{}", std::process::id(), numbers.join(",")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_another_process_are_not_ours() {
        assert_eq!(kept(Some("7:3,4,x,9"), 7), [3, 4, 9]);
        assert!(kept(Some("7:3,4"), 8).is_empty() && kept(Some("junk"), 8).is_empty() && kept(None, 8).is_empty());
        assert!(kept(Some("7:0,1,2,-5"), 7).is_empty(), "standard streams are nobody's sockets");
    }
}
