//! Owns how segments are read from one end to the other: in windows, by a thread that runs ahead, or directly.
//! Knows no records. Always holds: at most [`AHEAD`] + 2 windows are in memory, whatever is read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use world::{Disk, File, Open, World};

/// The windows of one file, one after the other.
pub(crate) trait Windows {
    /// Puts the next window in the place of `window`; `false` at the end of the file.
    fn next(&mut self, window: &mut Vec<u8>) -> io::Result<bool>;
}

/// Reads on the caller's thread.
pub(crate) struct Direct<'a> {
    file: &'a dyn File,
    offset: u64,
    /// Nothing from here on is shown.
    until: u64,
}

impl<'a> Direct<'a> {
    pub(crate) fn new(file: &'a dyn File, offset: u64) -> Direct<'a> {
        Direct { file, offset, until: u64::MAX }
    }

    /// The same up to offset `until`.
    pub(crate) fn part(file: &'a dyn File, offset: u64, until: u64) -> Direct<'a> {
        Direct { file, offset, until }
    }
}

impl Windows for Direct<'_> {
    fn next(&mut self, window: &mut Vec<u8>) -> io::Result<bool> {
        read_window(self.file, self.offset, window)?;
        window.truncate(self.until.saturating_sub(self.offset).min(WINDOW_BYTES as u64) as usize);
        self.offset += window.len() as u64;
        Ok(!window.is_empty())
    }
}

/// Reads several files on a thread of its own, always a few windows ahead.
pub(crate) struct Ahead {
    windows: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    /// Files before this one are not wanted any more.
    wanted: Arc<AtomicUsize>,
}

enum Message {
    Window(usize, Vec<u8>),
    End(usize),
    Failed(usize, io::Error),
}

impl Ahead {
    /// Starts to read the files at `paths`.
    pub(crate) fn start(world: &World, paths: Vec<PathBuf>) -> io::Result<Ahead> {
        let (window_in, windows) = sync_channel(AHEAD);
        let (empty, empty_out) = channel();
        let wanted = Arc::new(AtomicUsize::new(0));
        let (disk, wanted_there) = (world.disk.clone(), wanted.clone());
        std::thread::Builder::new().name("journal-reader".into()).spawn(move || {
            for (file, path) in paths.into_iter().enumerate() {
                let wanted = || wanted_there.load(Ordering::Relaxed) <= file;
                let last = match read_file(disk.as_ref(), file, &path, &wanted, &window_in, &empty_out) {
                    Ok(true) => Message::End(file),
                    Ok(false) => return, // nobody listens
                    Err(error) => Message::Failed(file, error),
                };
                if window_in.send(last).is_err() {
                    return;
                }
            }
        })?;
        Ok(Ahead { windows, empty, wanted })
    }

    /// The windows of the `file`-th file. Files come in order; what is left of earlier ones is skipped.
    pub(crate) fn file(&mut self, file: usize) -> AheadFile<'_> {
        self.wanted.store(file, Ordering::Relaxed);
        AheadFile { ahead: self, file }
    }
}

/// The windows of one file that is read ahead.
pub(crate) struct AheadFile<'a> {
    ahead: &'a Ahead,
    file: usize,
}

impl Windows for AheadFile<'_> {
    fn next(&mut self, window: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let gone = || io::Error::other("the reading thread ended");
            match self.ahead.windows.recv().map_err(|_| gone())? {
                Message::Window(file, bytes) => {
                    let other = if file == self.file { std::mem::replace(window, bytes) } else { bytes };
                    // The thread may have ended already; then nobody needs it back.
                    let _ = self.ahead.empty.send(other);
                    if file == self.file {
                        return Ok(true);
                    }
                }
                Message::End(file) if file == self.file => return Ok(false),
                Message::Failed(file, error) if file == self.file => return Err(error),
                Message::End(_) | Message::Failed(..) => {}
            }
        }
    }
}

/// Sends the windows of one file; `Ok(false)` when nobody listens any more.
fn read_file(
    disk: &dyn Disk,
    index: usize,
    path: &std::path::Path,
    wanted: &dyn Fn() -> bool,
    to: &SyncSender<Message>,
    empty: &Receiver<Vec<u8>>,
) -> io::Result<bool> {
    let file = disk.open(path, Open::Read)?;
    let mut offset = 0;
    while wanted() {
        let mut window = empty.try_recv().unwrap_or_default();
        read_window(file.as_ref(), offset, &mut window)?;
        if window.is_empty() {
            break;
        }
        offset += window.len() as u64;
        if to.send(Message::Window(index, window)).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fills `window` from `offset` on; shorter at the end of the file, empty behind it.
fn read_window(file: &dyn File, offset: u64, window: &mut Vec<u8>) -> io::Result<()> {
    window.resize(WINDOW_BYTES, 0);
    let mut done = 0;
    while done < WINDOW_BYTES {
        match file.read_at(offset + done as u64, &mut window[done..])? {
            0 => break,
            n => done += n,
        }
    }
    window.truncate(done);
    Ok(())
}

const WINDOW_BYTES: usize = 1 << 20;
/// Windows that wait to be looked at.
const AHEAD: usize = 2;
