//! Owns how this process was started, so that it can be started once more: as a successor, or in its own place; and the way by which a
//! successor that cannot run says why to whom has started it: its standard input, of which it has the writing end.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, getppid};

use super::adopt;

/// The program and its arguments.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// Where the program was when this process began: an upgrade puts another one there.
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Launcher {
    /// Of this process. Make it early: once the program has been replaced, the kernel does not tell its place any more.
    pub fn of_this_process() -> Launcher {
        let mut words = std::env::args_os();
        let first = words.next();
        let program = std::env::current_exe().ok().or_else(|| first.map(Into::into)).unwrap_or_default();
        Launcher { program, arguments: words.filter(|word| word != SUCCEED).collect() }
    }

    /// Starts a process that takes the place of this one.
    pub(super) fn successor(&self) -> io::Result<Started> {
        let (said, says) = io::pipe()?;
        fcntl_setfl(&said, fcntl_getfl(&said)? | OFlags::NONBLOCK)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(SUCCEED).stdin(says);
        let child = bare(&mut command).env(TOLD, std::process::id().to_string()).spawn()?;
        Ok(Started { child, said })
    }

    /// This process cannot run: says why to the process that has started it as its successor, if one has.
    pub fn tell_predecessor(&self, why: &str) {
        let told = std::env::var(TOLD).ok().and_then(|process| process.parse().ok());
        if told.is_some() && told == getppid().map(Pid::as_raw_nonzero).map(std::num::NonZero::get) {
            // One that does not listen any more does not need it.
            let _ = rustix::io::write(io::stdin().as_fd(), bounded(why).as_bytes());
        }
    }

    /// The same program with the same arguments takes the place of this process, with `sockets` open: the number of the process stays, and
    /// nothing else. `own`: the very program that runs, whatever is in its place by now. Comes back only with an error.
    pub fn exec(&self, own: bool, sockets: &[OwnedFd]) -> io::Error {
        let mut command = Command::new(if own { PathBuf::from(OWN_PROGRAM) } else { self.program.clone() });
        let (name, kept) = adopt::keep_over_exec(sockets);
        bare(command.args(&self.arguments)).env(name, kept).exec()
    }
}

/// Without what the service manager said to this process alone.
fn bare(command: &mut Command) -> &mut Command {
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", TOLD] {
        command.env_remove(name);
    }
    command
}

/// A successor that was started from here.
pub(super) struct Started {
    child: Child,
    said: PipeReader,
}

impl Started {
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has, and why, if it said so.
    pub fn ended(&mut self) -> Option<(ExitStatus, String)> {
        let status = self.child.try_wait().ok().flatten()?;
        let mut said = Vec::new();
        // What can be read was said before its end.
        let _ = (&mut self.said).take(WHY_BYTES_MAX as u64).read_to_end(&mut said);
        Some((status, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Whoever did not come in time must not come later.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
    }

    /// The same, and waits until it is gone.
    pub fn end(mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// As much of it as the pipe takes at once.
fn bounded(text: &str) -> &str {
    let end = (0..=WHY_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// The process that has started this one as its successor.
const TOLD: &str = "POSTHOUSE_SUCCEEDS";
/// Of a reason: documents may have many problems, and the log has all of them.
const WHY_BYTES_MAX: usize = 4_096;
/// The option that makes a start a succession.
pub const SUCCEED: &str = "--succeed";
const OWN_PROGRAM: &str = "/proc/self/exe";
