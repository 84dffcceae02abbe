//! The new process's end of the dialog.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use super::wire::Wire;
use super::{Answer, Ask, Bequest, Lingering, PROTOCOL, inherited, meeting_place};

/// This process, once it has met its predecessor and has its sockets.
pub struct Successor {
    wire: Wire,
    /// The predecessor's number.
    process: u32,
}

/// Why there is no succession. Nothing was changed, and the predecessor goes on.
#[derive(Debug)]
pub struct NoSuccession(String);

impl fmt::Display for NoSuccession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoSuccession {}

impl Successor {
    /// Meets the process that runs on this data directory and takes its sockets in; `None` if nobody is there. Blocks.
    pub fn meet(data: &Path) -> Result<Option<Successor>, NoSuccession> {
        let place = meeting_place(data);
        let stream = match super::predecessor::at(&place, |path| UnixStream::connect(path)) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(NoSuccession(format!("{}: {error}", place.display()))),
        };
        Successor::greet(stream).map(Some)
    }

    fn greet(stream: UnixStream) -> Result<Successor, NoSuccession> {
        let wire = Wire::new(stream).map_err(silent)?;
        let (process, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_string());
        wire.send(&Ask::Hello { protocol: PROTOCOL, process, version }, &[]).map_err(silent)?;
        loop {
            match wire.receive(HELLO_MAX).map_err(silent)? {
                (Answer::Sockets { process, rest }, sockets) => {
                    inherited::take_in(sockets);
                    if rest == 0 {
                        return Ok(Successor { wire, process });
                    }
                }
                (Answer::Refused(why), _) => return Err(NoSuccession(why)),
                _ => return Err(NoSuccession("the process that runs answers another question".into())),
            }
        }
    }

    /// Has the predecessor end its mail; when this returns, the data directory is free, or its lock says who has it. Blocks.
    pub fn take_place(&self) -> Result<(), NoSuccession> {
        let process = self.process;
        info!("process {process} is asked to end its mail; its sockets are here, and nobody is refused");
        self.wire.send(&Ask::Yield, &[]).map_err(silent)?;
        match self.wire.receive(YIELD_MAX) {
            Ok((Answer::Yielded, _)) => Ok(()),
            Ok((Answer::Refused(why), _)) => Err(NoSuccession(why)),
            Ok(_) => {
                Err(NoSuccession(format!("process {process} answers another question; posthouse restart tries again")))
            }
            // It died: then its lock is gone, and there is nothing to wait for.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                warn!("process {process} ended while it was ending its mail; what it had accepted is in the journal");
                Ok(())
            }
            Err(_) => Err(NoSuccession(format!(
                "process {process} has not ended its mail within {} s; if it is frozen: kill -9 {process}, then start again",
                YIELD_MAX.as_secs()
            ))),
        }
    }

    /// Takes the virtual addresses that the predecessor has kept. If it does not give them, it keeps them or its guard ends them: nobody
    /// may count on one that is not in here. Blocks.
    pub fn addresses(&self) -> Bequest {
        let asked = self.wire.send(&Ask::Addresses, &[]).and_then(|()| self.wire.receive(ADDRESSES_MAX));
        match asked {
            Ok((Answer::Addresses(addresses), sockets)) => Bequest { addresses, guard: sockets.into_iter().next() },
            Ok(_) => Bequest::default(),
            Err(error) => {
                warn!("process {} does not say which virtual addresses it has: {error}; they may move", self.process);
                Bequest::default()
            }
        }
    }

    /// This process serves: the predecessor has nothing to do any more but to linger.
    pub fn serves(self, lingering: &Lingering) {
        if self.wire.send(&Ask::Serving, &[]).is_ok() {
            lingering.begins(self.wire);
        }
        info!("this process has taken the place of process {}", self.process);
        super::manager::i_am_the_service();
    }
}

fn silent(error: io::Error) -> NoSuccession {
    NoSuccession(format!(
        "the process that runs on this data directory does not answer ({error}): it is being restarted by somebody else, or is frozen; \
         posthouse status says which process it is, and kill -9 ends a frozen one: what it has accepted is in its journal"
    ))
}

const HELLO_MAX: Duration = Duration::from_secs(5);
/// Longer than the predecessor waits for its own thread.
const ADDRESSES_MAX: Duration = Duration::from_secs(5);
/// What is in flight has 20 s to finish, and some more is needed to sync.
const YIELD_MAX: Duration = Duration::from_secs(90);
