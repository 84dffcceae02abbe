//! Owns the processes of a cluster for trying things out: starting them, knowing them again, signalling them.
//! Always holds: a process is signalled through a handle that was opened before its command line was read. So a number that the
//! system has given to somebody else meanwhile harms nobody.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use world::World;

use super::DevError;
use super::place::Place;

/// The command line of a node.
pub fn node_command(place: &Place, number: u16, program: &Path) -> Command {
    let dir = place.node_dir(number);
    let mut command = Command::new(program);
    command.arg("start").arg("--config").arg(dir.join("posthouse.toml")).arg("--org").arg(dir.join("org.toml"));
    command.current_dir(dir);
    command
}

/// Starts a process in a group of its own, so that a Ctrl-C in the terminal is not for it; what it prints goes into `log`.
pub fn spawn(mut command: Command, log: &Path) -> Result<Child, DevError> {
    let output = || world::tools::output_file(log).map_err(|error| DevError::io(log, &error));
    command.stdin(Stdio::null()).stdout(output()?).stderr(output()?).process_group(0);
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .map_err(|error| DevError::new(format!("{program}: {error}"), "is it installed, and may you run it?"))
}

/// A process of ours that was alive a moment ago.
pub struct Living {
    handle: OwnedFd,
}

impl Living {
    /// The process `pid`, if it is one of this place: its command line names a file below the place's directory.
    pub fn find(place: &Place, pid: u32) -> Option<Living> {
        let handle = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        let line = World::real().disk.read_all(Path::new(&format!("/proc/{pid}/cmdline"))).ok()?;
        names(&line, place.dir()).then_some(Living { handle })
    }

    /// Asks it to end in order.
    pub fn end(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.handle, Signal::TERM)?)
    }

    /// Ends it as a power cut would.
    pub fn kill(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.handle, Signal::KILL)?)
    }
}

/// Whether one argument is a path below `dir`, or an option with such a value.
fn names(line: &[u8], dir: &Path) -> bool {
    let arguments = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let below = |text: &str| Path::new(text).starts_with(dir) && Path::new(text) != dir;
    arguments.into_iter().any(|argument| below(argument.split_once('=').map_or(&*argument, |(_, value)| value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_directory() {
        let dir = Path::new("/tmp/a b/dev");
        assert!(names(b"/usr/bin/posthouse\0start\0--config\0/tmp/a b/dev/n1/posthouse.toml\0", dir));
        assert!(names(b"etcd\0--data-dir=/tmp/a b/dev/etcd\0", dir));
        assert!(!names(b"posthouse\0dev\0cluster\0--dir\0/tmp/a b/dev\0", dir), "the foreground is no node");
        assert!(!names(b"posthouse\0start\0--config\0/tmp/a b/dev2/n1/posthouse.toml\0", dir));
        assert!(!names(b"", dir));
    }

    #[test]
    fn a_stranger_is_not_signalled() {
        let place = Place::at(Path::new("/nowhere/dev")).unwrap();
        assert!(Living::find(&place, std::process::id()).is_none());
        assert!(Living::find(&place, 0).is_none() && Living::find(&place, u32::MAX).is_none());
    }
}
