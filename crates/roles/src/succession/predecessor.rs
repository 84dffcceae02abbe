//! The running process's end of the dialog, on a thread of its own: it goes on when everything else of the node has ended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::getuid;
use tokio::sync::watch;
use tracing::{error, info, warn};
use world::World;

use super::launcher::Started;
use super::wire::{SOCKETS_AT_ONCE, Wire};
use super::{Answer, Ask, Bequest, Launcher, Lingering, PROTOCOL, Relayed, manager, meeting_place};
use crate::view;

/// The place of this process, and who wants it.
pub struct Succession {
    launcher: Launcher,
    state: Mutex<State>,
    changed: Condvar,
    /// A successor can run and wants the mail to end here.
    wanted: watch::Sender<bool>,
    /// The one that this process has succeeded.
    pub before: Lingering,
    /// What is left of this process, once its mail has ended.
    rest: OnceLock<Rest>,
}

/// What is left of a process whose mail has ended.
pub struct Rest {
    /// What is relayed still; members that are named are drained.
    pub relayed: Look,
    /// Gives the virtual addresses away.
    pub give_addresses: Box<dyn Fn() -> Bequest + Send + Sync>,
}

type Look = Box<dyn Fn(&[(String, String)]) -> Vec<Relayed> + Send + Sync>;
/// Duplicates all sockets that listen now.
type Sockets = dyn Fn() -> Vec<OwnedFd> + Send + Sync;

#[derive(Default)]
struct State {
    stage: Stage,
    /// The successor that was started from here.
    child: Option<Started>,
    /// Somebody is being met.
    is_met: bool,
    /// What a successor was given: open here too until it serves.
    held: Vec<OwnedFd>,
    /// The mail has ended, the data directory is free.
    is_free: bool,
    /// What became of the last attempt, if it failed.
    failed: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nobody wants the place.
    #[default]
    Alone,
    /// One was started and has not yet come.
    Started,
    /// One has the sockets and looks whether it can run.
    Met(u32),
    /// One waits for the end of the mail here, or is starting its own.
    Yielding(u32),
    /// One was there, after the mail had ended, and is gone.
    Lost,
    /// One serves.
    Over(u32),
}

/// How it went on for a process whose mail has ended.
pub enum Left {
    /// The process of this number serves.
    To(u32),
    /// None could: the sockets are still here.
    ToNobody(Vec<OwnedFd>),
}

impl Succession {
    /// Nobody wants the place yet.
    pub fn new(launcher: Launcher) -> Succession {
        let (state, changed, wanted) = (Mutex::default(), Condvar::new(), watch::Sender::new(false));
        Succession { launcher, state, changed, wanted, before: Lingering::default(), rest: OnceLock::new() }
    }

    /// Begins to answer successors; `sockets` duplicates those that listen now. The data directory must be ours.
    pub fn answer(
        self: &Arc<Self>,
        world: &World,
        data: &Path,
        sockets: impl Fn() -> Vec<OwnedFd> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let place = meeting_place(data);
        if world.disk.exists(&place)? {
            // Of a process that is gone, or that gave its data directory to us.
            world.disk.remove(&place)?;
        }
        let listener = at(&place, |path| UnixListener::bind(path))?;
        let answering = self.clone();
        let thread = thread::Builder::new().name("succession".into());
        thread.spawn(move || answering.meet_all(&listener, &(Arc::new(sockets) as Arc<Sockets>))).map(drop)
    }

    /// Starts a successor; how it goes on is in [`shown`](Self::shown). The error is for people.
    pub fn start_one(self: &Arc<Self>) -> Result<u32, String> {
        let mut state = self.state();
        state.look_at_child();
        if state.is_met || state.stage != Stage::Alone {
            return Err(String::from("a restart is under way"));
        }
        let child = self.launcher.successor().map_err(|error| format!("the program cannot be started: {error}"))?;
        let process = child.process();
        let watching = self.clone();
        let thread = thread::Builder::new().name("succession".into()).spawn(move || watching.watch(process));
        if let Err(error) = thread {
            child.end();
            return Err(format!("nobody could look after the new process: {error}"));
        }
        (state.child, state.failed, state.stage) = (Some(child), None, Stage::Started);
        Ok(process)
    }

    /// Looks after a successor that was started from here until it waits for the end of the mail, or is gone. One that says nothing for
    /// [`FIRST_WORD_MAX`] is ended, and so is one whose place another one got: nobody else could ever be started.
    fn watch(&self, process: u32) {
        let (mut state, mut silent_ms) = (self.state(), 0);
        loop {
            state.look_at_child();
            if state.child.as_ref().is_none_or(|child| child.process() != process) {
                return;
            }
            match state.stage {
                Stage::Started if silent_ms >= FIRST_WORD_MAX.as_millis() => break,
                Stage::Started => silent_ms += LOOK.as_millis(),
                Stage::Met(_) => silent_ms = 0,
                Stage::Yielding(other) | Stage::Over(other) if other != process => break,
                _ => return,
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let Some(mut child) = state.child.take() else { return };
        child.kill();
        if state.stage == Stage::Started {
            let why = silent(process);
            warn!("{why}");
            (state.failed, state.stage) = (Some(why), Stage::Alone);
        }
        drop(state);
        // Its end may wait for a disk.
        child.end();
    }

    /// How a restart goes.
    pub fn shown(&self) -> view::Restart {
        let mut state = self.state();
        state.look_at_child();
        let stage = match state.stage {
            Stage::Alone => "no restart is under way",
            Stage::Started => "the new process reads its documents",
            Stage::Met(_) => "the new process has the sockets and looks whether it can run",
            Stage::Yielding(_) | Stage::Lost => "mail in flight is finished here, then the new process goes on",
            Stage::Over(_) => "the new process serves",
        };
        view::Restart {
            process: std::process::id(),
            under_way: state.stage != Stage::Alone,
            stage: stage.into(),
            failed: state.failed.clone(),
        }
    }

    /// Waits until a successor wants the mail to end here.
    pub async fn wanted(&self) {
        // The sender lives as long as we do.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// The mail has ended and the data directory is free. Blocks until a successor serves; one that dies is followed by others, a few.
    pub fn leave(&self, rest: Rest) -> Left {
        self.rest.get_or_init(|| rest);
        let mut state = self.state();
        state.is_free = true;
        self.changed.notify_all();
        let mut more = MORE_SUCCESSORS;
        let mut silent_ms = 0;
        loop {
            if let Stage::Over(process) = state.stage {
                state.held.clear();
                return Left::To(process);
            }
            state.look_at_child();
            let is_lost = matches!(state.stage, Stage::Lost | Stage::Alone);
            let patience = if state.stage == Stage::Started { FIRST_WORD_MAX } else { START_MAX };
            let is_silent = silent_ms > patience.as_millis();
            if is_lost || is_silent {
                state.end_child();
                let Some(rest) = more.checked_sub(1) else { return Left::ToNobody(std::mem::take(&mut state.held)) };
                (more, silent_ms) = (rest, 0);
                warn!(
                    "the new process ended before it served; another one is started, and nobody is refused meanwhile"
                );
                match self.launcher.successor() {
                    Ok(child) => (state.child, state.stage) = (Some(child), Stage::Started),
                    Err(error) => error!("the program cannot be started: {error}"),
                }
            }
            // The service manager may kill a service that says nothing.
            manager::alive();
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            silent_ms += LOOK.as_millis();
        }
    }

    /// This very program in the place of this process, with `sockets` open. Comes back only with an error.
    pub fn start_again(&self, sockets: &[OwnedFd]) -> io::Error {
        self.launcher.exec(true, sockets)
    }

    /// Meets one successor at a time, and tells others that there is one.
    fn meet_all(self: &Arc<Self>, listener: &UnixListener, sockets: &Arc<Sockets>) {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // Out of descriptors: not quicker than it can be borne.
                drop(self.changed.wait_timeout(self.state(), LOOK));
                continue;
            };
            if let Err(why) = self.admit() {
                // Whoever does not listen is told nothing.
                let _ = refuse(stream, why);
                continue;
            }
            let (meeting, sockets) = (self.clone(), sockets.clone());
            let thread = thread::Builder::new().name("succession".into());
            let met = thread.spawn(move || {
                let met = meeting.meet(stream, &*sockets);
                meeting.after(met);
            });
            if let Err(error) = met {
                self.after(Err(error));
            }
        }
    }

    /// Whether somebody may be met now; the error is for the people of who may not.
    fn admit(&self) -> Result<(), String> {
        let mut state = self.state();
        let own = std::process::id();
        match state.stage {
            Stage::Over(process) => Err(format!("process {process} has taken the place of process {own}")),
            Stage::Met(process) | Stage::Yielding(process) if state.is_met => {
                Err(format!("process {process} is taking the place of process {own} just now"))
            }
            _ if state.is_met => Err(format!("another process is taking the place of process {own} just now")),
            _ => {
                state.is_met = true;
                Ok(())
            }
        }
    }

    /// Nobody is met any more.
    fn after(&self, met: io::Result<()>) {
        let mut state = self.state();
        state.is_met = false;
        match (met, state.stage) {
            (Err(error), Stage::Yielding(process)) => {
                warn!("process {process}, which wanted this process's place, is gone: {error}");
                state.stage = Stage::Lost;
            }
            (Err(error), Stage::Met(process)) => {
                info!("process {process} did not take this process's place: {error}");
                state.stage = match state.is_free {
                    true => Stage::Lost,
                    // Its end says why; or it was another one, and ours may still come.
                    false if state.child.is_some() => Stage::Started,
                    false => {
                        state.failed = Some("the new process cannot run; it says why, and the old one goes on".into());
                        Stage::Alone
                    }
                };
            }
            // It was somebody who said nothing, or it has lingered long enough.
            (Ok(()) | Err(_), _) => {}
        }
        self.changed.notify_all();
    }

    /// One successor, from its first word to its last.
    fn meet(&self, stream: UnixStream, sockets: &Sockets) -> io::Result<()> {
        let wire = Wire::new(stream)?;
        if wire.peer_user()? != getuid() {
            return wire.send(&Answer::Refused("another user's process runs on this data directory".into()), &[]);
        }
        let (Ask::Hello { protocol, process, version }, _) = wire.receive(HELLO_MAX)? else {
            return Err(out_of_turn());
        };
        if protocol != PROTOCOL {
            let why = format!(
                "the program that runs (version {}) cannot give its place to version {version}: stop it, then start the other one",
                env!("CARGO_PKG_VERSION")
            );
            return wire.send(&Answer::Refused(why), &[]);
        }
        let given = self.give(&wire, process, sockets)?;
        let (Ask::Yield, _) = wire.receive(CHECK_MAX)? else { return Err(out_of_turn()) };
        self.end_mail(process, given);
        wire.send(&Answer::Yielded, &[])?;
        loop {
            match wire.receive(START_MAX)? {
                (Ask::Addresses, _) => self.give_addresses(&wire)?,
                (Ask::Serving, _) => break,
                _ => return Err(out_of_turn()),
            }
        }
        self.state().stage = Stage::Over(process);
        self.changed.notify_all();
        self.answer_looks(&wire);
        Ok(())
    }

    /// The virtual addresses go over. If the successor dies before it has them, their guard's pipe is closed with the frame that it lies in.
    fn give_addresses(&self, wire: &Wire) -> io::Result<()> {
        let Bequest { addresses, guard } = self.rest.get().map(|rest| (rest.give_addresses)()).unwrap_or_default();
        let guard: Vec<BorrowedFd<'_>> = guard.iter().map(AsFd::as_fd).collect();
        wire.send(&Answer::Addresses(addresses), &guard)
    }

    /// Says what is left as often as it is asked, until the successor is gone.
    fn answer_looks(&self, wire: &Wire) {
        while let Ok((Ask::Look { drained }, _)) = wire.receive(LOOK_SILENCE_MAX) {
            let mut left = self.rest.get().map(|rest| (rest.relayed)(&drained)).unwrap_or_default();
            left.extend(self.before.look(&drained));
            left.truncate(RELAYED_MAX);
            if wire.send(&Answer::Left(left), &[]).is_err() {
                return;
            }
        }
    }

    /// Duplicates of the sockets go over; ours stay as they are.
    fn give(&self, wire: &Wire, process: u32, sockets: &Sockets) -> io::Result<Vec<OwnedFd>> {
        let given = {
            let state = self.state();
            let held: io::Result<Vec<OwnedFd>> = state.held.iter().map(OwnedFd::try_clone).collect();
            if state.is_free { held? } else { sockets() }
        };
        self.state().stage = Stage::Met(process);
        let all: Vec<BorrowedFd<'_>> = given.iter().map(AsFd::as_fd).collect();
        let mut rest = all.len();
        let some = all.chunks(SOCKETS_AT_ONCE);
        for chunk in some.chain(all.is_empty().then_some(&[][..])) {
            rest -= chunk.len();
            wire.send(&Answer::Sockets { process: std::process::id(), rest }, chunk)?;
        }
        Ok(given)
    }

    /// Has the mail of this process end, and waits until it has.
    fn end_mail(&self, process: u32, given: Vec<OwnedFd>) {
        let mut state = self.state();
        (state.held, state.stage) = (given, Stage::Yielding(process));
        self.wanted.send_replace(true);
        while !state.is_free {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole values; nobody panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a successor that ended before it came, and lets the system forget it.
    fn look_at_child(&mut self) {
        let Some((status, why)) = self.child.as_mut().and_then(Started::ended) else { return };
        self.child = None;
        if self.stage == Stage::Started {
            self.failed = Some(match why.trim_end() {
                "" => format!("the new process cannot run ({status}); the log says why, and the old one goes on"),
                why => format!("the new process cannot run, and the old one goes on: {why}"),
            });
            self.stage = if self.is_free { Stage::Lost } else { Stage::Alone };
        }
    }

    /// Whoever was started from here and did not come in time must not come later.
    fn end_child(&mut self) {
        if let Some(child) = self.child.take() {
            child.end();
        }
        self.stage = Stage::Lost;
    }
}

/// Tells a second successor that it is not needed.
fn refuse(stream: UnixStream, why: String) -> io::Result<()> {
    let wire = Wire::new(stream)?;
    // Who is gone with something unread cannot be told anything.
    wire.receive::<Ask>(REFUSAL_MAX)?;
    wire.send(&Answer::Refused(format!("{why}; this one is not needed, and posthouse status shows who serves")), &[])
}

/// What people are told of a successor that was ended because it said nothing.
fn silent(process: u32) -> String {
    format!(
        "the new process {process} said nothing for {} s and was ended; nothing was changed, and the old one goes on: see what it waits for \
         (posthouse check with the new program reads the same documents), then posthouse restart",
        FIRST_WORD_MAX.as_secs()
    )
}

fn out_of_turn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it spoke out of turn")
}

/// Does something with a unix socket's path however long it is: the address of one has room for 107 bytes.
pub(super) fn at<T>(place: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(dir), Some(name)) = (place.parent(), place.file_name()) else { return act(place) };
    if place.as_os_str().len() <= SHORT_PATH_BYTES {
        return act(place);
    }
    let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&dir);
    act(&Path::new(&format!("/proc/self/fd/{number}")).join(name))
}

const SHORT_PATH_BYTES: usize = 100;
const HELLO_MAX: Duration = Duration::from_secs(5);
/// Others wait meanwhile.
const REFUSAL_MAX: Duration = Duration::from_secs(1);
/// A program is loaded and documents are read, on a busy machine.
const FIRST_WORD_MAX: Duration = Duration::from_secs(30);
/// Documents and certificates are read; in a cluster etcd is asked.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// A spool with millions of messages takes a while.
const START_MAX: Duration = Duration::from_secs(600);
/// Successors that are started when one dies in the middle; then this process's own program starts again.
const MORE_SUCCESSORS: u32 = 3;
const LOOK: Duration = Duration::from_millis(100);
/// A successor asks every second.
const LOOK_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Members of which is spoken: a frame has a bound.
const RELAYED_MAX: usize = 256;
