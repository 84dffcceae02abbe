//! Owns how this process was started, so that it can be started once more: as a successor, or in its own place.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
    pub fn successor(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(SUCCEED).stdin(Stdio::null());
        bare(&mut command).spawn()
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
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command
}

/// The option that makes a start a succession.
pub const SUCCEED: &str = "--succeed";
const OWN_PROGRAM: &str = "/proc/self/exe";
