//! Owns how a spool begins: the journal's records become the book again; what is dead is released, what was in hand is suspected.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use journal::{Extent, Journal, Mode, Position, Seen, SegmentNo};
use mail::{EventKind, MessageId, Recorder};
use world::World;

use crate::book::{Book, Effects, Finished, Found, Leftovers, Message, Rebuild};
use crate::clean;
use crate::hop::HopKey;
use crate::packed;
use crate::processing::{Processing, Suspects};
use crate::record::{self, Accept, State, Unknown};
use crate::settings::Settings;
use crate::settler::{Bundle, Burial, Settler};
use crate::shared::{Inner, Parts, Spool, Timeline};
use crate::words::{OpenError, Route, ToRoute, Wake};

type OpenJournal =
    fn(&World, &Path, journal::Settings, Mode, &mut dyn FnMut(Seen<'_>)) -> Result<Journal, journal::OpenError>;

impl Spool {
    /// Opens the spool in `dir` (made if missing) and finds every message that was accepted and not settled.
    /// Blocks; starts the journal's threads and one thread for cleaning. `wake` may be called before this returns.
    pub fn open(
        world: &World,
        dir: &Path,
        settings: Settings,
        recorder: Arc<dyn Recorder>,
        route: Arc<dyn Route>,
        wake: Arc<dyn Wake>,
    ) -> Result<Spool, OpenError> {
        let spool = open(world, dir, settings, recorder, route, wake, Journal::open)?;
        clean::start(&spool).map_err(|source| OpenError::Io { what: "starting a thread", source })?;
        Ok(spool)
    }

    /// The same without threads, for simulations and tests: nothing happens but in [`Spool::pump`].
    pub fn open_inline(
        world: &World,
        dir: &Path,
        settings: Settings,
        recorder: Arc<dyn Recorder>,
        route: Arc<dyn Route>,
        wake: Arc<dyn Wake>,
    ) -> Result<Spool, OpenError> {
        open(world, dir, settings, recorder, route, wake, Journal::open_inline)
    }

    /// One round of the journal and of cleaning on the caller's thread. Returns whether anything was done.
    pub fn pump(&self) -> bool {
        let moved = self.inner.journal.pump();
        self.inner.settle_landed();
        clean::step(&self.inner) || moved
    }
}

/// What the journal showed.
struct Scan {
    rebuild: Rebuild,
    /// Tombstone records, and which messages each cancels.
    graves: Vec<(Extent, Vec<MessageId>)>,
    notes: Vec<Extent>,
    problem: Option<(Position, &'static str)>,
}

fn open(
    world: &World,
    dir: &Path,
    settings: Settings,
    recorder: Arc<dyn Recorder>,
    route: Arc<dyn Route>,
    wake: Arc<dyn Wake>,
    open_journal: OpenJournal,
) -> Result<Spool, OpenError> {
    if settings.journal.segment_bytes < SEGMENT_BYTES_MIN {
        return Err(OpenError::Journal(journal::OpenError::Setting("segment_bytes: a spool needs 256 KiB at least")));
    }
    let timeline = Timeline::start(world);
    let now_ms = timeline.now_ms(world);
    let mut scan = Scan {
        rebuild: Rebuild::new(Book::new(settings.clone(), now_ms), settings.taken),
        graves: Vec::new(),
        notes: Vec::new(),
        problem: None,
    };
    let journal = open_journal(world, dir, settings.journal.clone(), Mode::Serve, &mut |seen| scan.see(seen))
        .map_err(OpenError::Journal)?;
    let (processing, suspects) = Processing::open(world, dir)
        .map_err(|source| OpenError::Io { what: "opening the file `processing`", source })?;
    let bad = |(position, what): (Position, &'static str)| OpenError::Record { position, what };
    if let Some(problem) = scan.problem {
        return Err(bad(problem));
    }
    let mut effects = Effects::default();
    let (mut book, mut leftovers) =
        scan.rebuild.finish(&mut |message| hops(route.as_ref(), message), now_ms, &mut effects).map_err(bad)?;
    for (id, position) in &leftovers.copies {
        book.add_copy(*id, journal.segment_of(*position));
    }
    let settler = Settler::default();
    let mut possible_duplicates = std::mem::take(&mut leftovers.under_way);
    if settings.doubtful {
        possible_duplicates = book.ids();
    }
    let parts = Parts {
        world: world.clone(),
        settings,
        recorder,
        route,
        wake,
        journal,
        processing,
        book,
        settler,
        timeline,
        possible_duplicates,
    };
    let spool = Spool { inner: Arc::new(Inner::new(parts)) };
    spool.inner.bury_again(leftovers, scan.graves, scan.notes);
    spool.inner.name_possible_duplicates();
    spool.inner.suspect(suspects);
    spool.inner.tell(effects, Some(0));
    Ok(spool)
}

/// One key per recipient of a message, or one for all.
fn hops(route: &dyn Route, message: &Message) -> Result<Vec<HopKey>, Unknown> {
    let envelope = packed::unpack(message.envelope()).map_err(|_| Unknown("envelope in an accept record"))?;
    let question =
        ToRoute { envelope: &envelope, size_bytes: message.size_bytes, journey: &message.journey(), waits: &|_| false };
    Ok(crate::shared::hops(route, &question))
}

impl Scan {
    fn see(&mut self, seen: Seen<'_>) {
        if self.problem.is_some() {
            return;
        }
        if let Err(Unknown(what)) = self.look(seen) {
            self.problem = Some((seen.extent.position, what));
        }
    }

    fn look(&mut self, seen: Seen<'_>) -> Result<(), Unknown> {
        let found = Found { extent: seen.extent, epoch: seen.epoch };
        match seen.kind {
            record::CHUNK => {
                let (id, ordinal) = record::read_chunk_head(seen.payload)?;
                self.rebuild.chunk(id, ordinal, seen.extent)
            }
            record::ACCEPT => self.rebuild.accept(&Accept::read(seen.payload)?, found),
            record::STATE => {
                let (id, state) = State::read(seen.payload)?;
                self.rebuild.state(id, state, found);
                Ok(())
            }
            record::DONE => {
                let ids: Vec<MessageId> = record::read_done(seen.payload)?.collect();
                ids.iter().for_each(|id| self.rebuild.done(*id));
                self.graves.push((seen.extent, ids));
                Ok(())
            }
            record::NOTE => {
                self.notes.push(seen.extent);
                Ok(())
            }
            _ => Err(Unknown("record of a kind that this version does not know")),
        }
    }
}

impl Inner {
    /// Pins each tombstone to a segment whose marks it cancels, makes those that are missing, and releases what is dead.
    /// Tombstones first: what they cancel must never be seen without them.
    fn bury_again(&self, leftovers: Leftovers, graves: Vec<(Extent, Vec<MessageId>)>, notes: Vec<Extent>) {
        let mut marks: HashMap<MessageId, Vec<SegmentNo>> = HashMap::with_capacity(leftovers.buried.len());
        for (id, position) in leftovers.buried {
            let segments = marks.entry(id).or_default();
            let segment = self.journal.segment_of(position);
            if !segments.contains(&segment) {
                segments.push(segment);
            }
        }
        for (tombstone, ids) in graves {
            let first = ids.iter().find_map(|id| marks.get(id)?.first().copied());
            let Some(segment) = first else {
                self.release(tombstone);
                continue;
            };
            for id in ids {
                if let Some(segments) = marks.get_mut(&id) {
                    segments.retain(|other| *other != segment);
                }
            }
            self.journal.pin_until_gone(tombstone, segment);
        }
        let dead = leftovers.dead.into_iter().chain(notes);
        let burial = |id, segment| Burial { id, segment, extents: Finished::default() };
        let mut burials: Vec<Burial> =
            marks.into_iter().flat_map(|(id, segments)| segments.into_iter().map(move |s| burial(id, s))).collect();
        match burials.first_mut() {
            None => dead.for_each(|extent| self.release(extent)),
            // Some marks have no tombstone of their own yet: nothing goes before those are durable.
            Some(first) => first.extents = Finished::of(dead.collect()),
        }
        self.write(Bundle { burials, ..Bundle::default() });
    }

    /// Deals with messages that were in hand when the process died.
    fn suspect(&self, suspects: Suspects) {
        let now_ms = self.now_ms();
        let mut effects = Effects::default();
        let (mut states, mut claims) = (Vec::new(), Vec::new());
        {
            let mut book = self.book();
            let alive: Vec<MessageId> = suspects.ids.into_iter().filter(|id| book.find(*id).is_some()).collect();
            for id in &alive {
                if suspects.alone == Some(*id) || alive.len() == 1 {
                    states.extend(book.crashed(*id, now_ms, &mut effects).map(|(state, aside)| (*id, state, aside)));
                }
                if let Some(at) = book.find(*id)
                    && !book.message(at).is_some_and(|message| message.is_held())
                {
                    claims.extend(book.claim(at));
                }
            }
        }
        for (id, state, aside) in states {
            self.write_state(id, state);
            if aside {
                self.event(EventKind::Poison, id, "", "set aside: the process went down with it in hand");
            }
        }
        self.processing.suspect(claims);
        let written = self.progress.written.load(std::sync::atomic::Ordering::Acquire);
        self.settler().fly_pending(&self.journal, written);
        self.tell(effects, None);
    }
}

/// A chunk and its mark, or a notification, stand in one segment.
const SEGMENT_BYTES_MIN: u64 = 256 << 10;
