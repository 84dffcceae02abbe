//! Owns the node's end of the pipe to its guard: starts the process, tells it what it has to know, and starts another one when it is gone.
//! Always holds: telling never waits; a guard that does not read is replaced; a guard ends what it knows of when the last process that has
//! its pipe is gone, so the pipe goes along when addresses go to another process.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use ::cluster::etcd::Access;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tracing::warn;

use super::guard::{Held, Line, VERB, Way};

/// The guard as its node knows it.
pub struct Watchman {
    access: Access,
    guard: Option<Running>,
    held: BTreeMap<String, Held>,
    warned: bool,
}

struct Running {
    child: Child,
    pipe: ChildStdin,
}

impl Watchman {
    /// None runs yet: it starts with the first address.
    pub fn new(access: &Access) -> Watchman {
        Watchman { access: access.clone(), guard: None, held: BTreeMap::new(), warned: false }
    }

    /// Addresses are about to be added.
    pub fn hold(&mut self, held: Held) {
        self.held.insert(held.name.clone(), held.clone());
        if self.guard.is_none() {
            self.start();
        } else {
            self.tell(&Line::Hold(held));
        }
    }

    /// The same with addresses that another process has held until now: from here on its guard, at the other end of `before`, has nothing
    /// more to do with them. `false`: that one does not read. It would end their lease one day, so nobody may count on it.
    pub fn take_on(&mut self, held: Held, before: Option<&OwnedFd>) -> bool {
        let name = held.name.clone();
        self.hold(held);
        let Some(before) = before else { return true };
        let line = written(&Line::Forget { name: name.clone() });
        match rustix::io::write(before, &line) {
            Ok(count) if count == line.len() => true,
            // It is dead, and ends nothing any more.
            Err(rustix::io::Errno::PIPE) => true,
            _ => {
                warn!(address = name, "the guard of the process before this one does not listen");
                self.forget(&name);
                false
            }
        }
    }

    /// The pipe of the guard: it goes on by itself, and is told nothing more from here.
    pub fn give(&mut self) -> Option<OwnedFd> {
        self.held.clear();
        self.guard.take().map(|Running { pipe, .. }| pipe.into())
    }

    /// They live longer.
    pub fn renew(&mut self, name: &str, for_ms: u64) {
        if let Some(held) = self.held.get_mut(name) {
            held.for_ms = for_ms;
        }
        self.tell(&Line::Renew { name: name.into(), for_ms });
    }

    /// They are gone.
    pub fn forget(&mut self, name: &str) {
        self.held.remove(name);
        self.tell(&Line::Forget { name: name.into() });
    }

    /// Starts another guard if there should be one and is none.
    pub fn look(&mut self) {
        let ended = self.guard.as_mut().is_some_and(|guard| !matches!(guard.child.try_wait(), Ok(None)));
        if ended {
            self.guard = None;
            warn!("the guard of the virtual addresses has ended; another one is started");
        }
        if self.guard.is_none() && !self.held.is_empty() {
            self.start();
        }
    }

    fn start(&mut self) {
        match begin() {
            Ok(guard) => {
                self.guard = Some(guard);
                self.tell(&Line::Etcd(Way::of(&self.access)));
                for held in self.held.values().cloned().collect::<Vec<_>>() {
                    self.tell(&Line::Hold(held));
                }
                self.warned = false;
            }
            Err(error) if !std::mem::replace(&mut self.warned, true) => {
                warn!(
                    "no guard for the virtual addresses: {error}; if this node is killed, they move when their lease ends"
                );
            }
            Err(_) => {}
        }
    }

    fn tell(&mut self, line: &Line) {
        let Some(guard) = &mut self.guard else { return };
        // A line is written whole or not at all, up to the size of a page; the first one, which may be longer, meets an empty pipe.
        if let Err(error) = guard.pipe.write_all(&written(line)) {
            warn!("the guard of the virtual addresses does not listen ({error}); another one is started");
            // Ended with its pipe closed it would remove what is held: it must not see that.
            let _ = guard.child.kill();
            let _ = guard.child.wait();
            self.guard = None;
        }
    }
}

fn written(line: &Line) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text
}

fn begin() -> io::Result<Running> {
    // What runs, even when an upgrade has put another file in its place.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("posthouse-guard").arg(VERB).stdin(Stdio::piped()).stdout(Stdio::null());
    // Ctrl-C on a terminal is for the node.
    let mut child = command.process_group(0).spawn()?;
    let pipe = child.stdin.take().ok_or_else(|| io::Error::other("no pipe"))?;
    fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
    Ok(Running { child, pipe })
}

impl Drop for Watchman {
    /// An orderly end: everything was forgotten, the closed pipe ends it.
    fn drop(&mut self) {
        if let Some(Running { mut child, pipe }) = self.guard.take() {
            drop(pipe);
            let _ = child.wait();
        }
    }
}
