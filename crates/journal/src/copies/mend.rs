//! Owns how a damaged journal gets its lost records back from a copy, before it is opened. Knows no sockets.
//! Always holds: only whole, true records are written, and only where the journal has none; all is synced before it is done.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use world::{File, Lock, Open, World};

use super::frame::{Decoder, Frame, Hello, Malformed, Message};
use super::group::Outgoing;
use super::runs::run;
use crate::ends::SegmentEnd;
use crate::error::OpenError;
use crate::files::segment_path;
use crate::meta;
use crate::position::{Position, SegmentNo};
use crate::record::Format;

/// A link to a holder that brings back what `OpenError::Damaged` names. The driver does with it what it does with a
/// [`super::Link`]; then the journal is opened again.
pub struct Mender {
    world: World,
    dir: PathBuf,
    format: Format,
    session: u64,
    decoder: Decoder,
    arrived: VecDeque<Frame>,
    output: VecDeque<Outgoing>,
    lost: VecDeque<Lost>,
    file: Option<(SegmentNo, Arc<dyn File>)>,
    outcome: Option<Result<(), MendError>>,
    _lock: Box<dyn Lock>,
}

/// Lost records of one segment, offsets from the first to behind the last.
struct Lost {
    segment: SegmentNo,
    at: u64,
    until: u64,
}

/// Why a journal could not be mended from this copy. Another copy may do.
#[derive(Debug)]
pub enum MendError {
    /// The holder does not listen to us; its highest epoch.
    Refused(u32),
    /// The copy does not have these records.
    NotThere(Position),
    /// What came is not what was asked for.
    Misfit,
    /// Our own disk refused.
    Io(io::Error),
}

impl Mender {
    /// Begins to mend the journal in `dir`, of which `lost` is lost; `epoch` is its owner's. Nobody else may have it open.
    pub fn open(
        world: &World,
        dir: &Path,
        journal: &str,
        epoch: u32,
        lost: &[Range<Position>],
    ) -> Result<Mender, OpenError> {
        let lock = world.disk.lock(&dir.join("lock")).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse(dir.into()),
            _ => OpenError::Io { what: "locking", path: dir.into(), source: error },
        })?;
        let stored = meta::read(world.disk.as_ref(), dir)?.ok_or_else(|| OpenError::Meta(dir.join("journal.meta")))?;
        let format = Format { epoch: epoch.max(stored.epoch), ..stored };
        let part = |range: &Range<Position>| {
            let segment = format.segment_of(range.start);
            let start = format.start(segment).0;
            Lost { segment, at: range.start.0 - start, until: range.end.0.saturating_sub(start) }
        };
        let hello = Hello {
            journal: journal.into(),
            segment_bytes: format.segment_bytes,
            salt: format.salt,
            epoch: format.epoch,
            first: SegmentNo(0),
            tail: Position(0),
        };
        let session = world.chance.u64();
        let hello = Outgoing::frame(&Frame { session, message: Message::Hello(hello) });
        Ok(Mender {
            world: world.clone(),
            dir: dir.into(),
            format,
            session,
            decoder: Decoder::default(),
            arrived: VecDeque::new(),
            output: VecDeque::from([hello]),
            lost: lost.iter().map(part).collect(),
            file: None,
            outcome: None,
            _lock: lock,
        })
    }

    /// Takes bytes from the holder. On an error the connection has to be closed.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.decoder.push(bytes);
        while let Some(frame) = self.decoder.next_frame()? {
            // One question is open at a time, so a holder that says more says nothing that is wanted.
            if frame.session == self.session && self.arrived.len() < ARRIVED_MAX {
                self.arrived.push_back(frame);
            }
        }
        Ok(())
    }

    /// The next frame to send, if there is one.
    pub fn output(&mut self) -> Option<Outgoing> {
        self.output.pop_front()
    }

    /// Does what is to be done about what has arrived: for a thread that may block. `false` when nothing had.
    pub fn pump(&mut self) -> bool {
        let Some(frame) = self.arrived.pop_front() else { return false };
        let done = match frame.message {
            Message::Welcome { session, more: false, .. } => {
                self.session = session;
                self.ask()
            }
            Message::Welcome { .. } | Message::Ack { .. } => Ok(()),
            Message::Refuse { epoch, .. } => Err(MendError::Refused(epoch)),
            Message::Piece { segment, offset, end, bytes } => self.piece(segment, offset, end, &bytes),
            _ => Err(MendError::Misfit),
        };
        if let Err(error) = done {
            self.outcome = Some(Err(error));
        }
        true
    }

    /// How it ended; `None` while it has not. After `Ok` the journal can be opened.
    pub fn outcome(&mut self) -> Option<Result<(), MendError>> {
        self.outcome.take()
    }

    fn ask(&mut self) -> Result<(), MendError> {
        let Some(lost) = self.lost.front() else {
            self.sync()?;
            self.outcome = Some(Ok(()));
            return Ok(());
        };
        let message = Message::Fetch { segment: lost.segment, offset: lost.at };
        self.output.push_back(Outgoing::frame(&Frame { session: self.session, message }));
        Ok(())
    }

    fn piece(&mut self, segment: SegmentNo, offset: u64, end: SegmentEnd, bytes: &[u8]) -> Result<(), MendError> {
        let Some(lost) = self.lost.front() else { return Ok(()) };
        if (segment, offset) != (lost.segment, lost.at) {
            return Err(MendError::Misfit);
        }
        let until = lost.until;
        let found = run(&self.format, segment, SegmentEnd { at: offset, ..SegmentEnd::default() }, bytes);
        if bytes.is_empty() || found.len != bytes.len() || found.end.at > end.at {
            let position = Position(self.format.start(segment).0 + offset);
            return Err(if bytes.is_empty() { MendError::NotThere(position) } else { MendError::Misfit });
        }
        let file = self.file(segment)?;
        // What comes behind the lost ones is the same as ours.
        file.write_all_at(offset, &[IoSlice::new(bytes)]).map_err(MendError::Io)?;
        match found.end.at >= until || (found.end.at == end.at && end.sealed) {
            true => drop(self.lost.pop_front()),
            false => self.lost.iter_mut().take(1).for_each(|lost| lost.at = found.end.at),
        }
        self.ask()
    }

    fn file(&mut self, segment: SegmentNo) -> Result<Arc<dyn File>, MendError> {
        if let Some((known, file)) = &self.file
            && *known == segment
        {
            return Ok(file.clone());
        }
        self.sync()?;
        let path = segment_path(&self.dir, &self.format, segment);
        let file: Arc<dyn File> = self.world.disk.open(&path, Open::Write).map_err(MendError::Io)?.into();
        self.file = Some((segment, file.clone()));
        Ok(file)
    }

    /// A failed sync is no reason to end the process here: nothing is promised, and the journal is not opened.
    fn sync(&mut self) -> Result<(), MendError> {
        match self.file.take() {
            Some((_, file)) => file.sync_data().map_err(MendError::Io),
            None => Ok(()),
        }
    }
}

const ARRIVED_MAX: usize = 64;
