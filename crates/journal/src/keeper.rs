//! Owns the work in the background: segments with nothing live are freed, empty ones are made ahead.
//! Knows no records. Always holds: what a segment pinned is let go only after its going is durable; a failure to make
//! or free a segment loses nothing, so it is tried again later; a failed sync of the directory ends the process.

use crate::files::{segment_path, spare_path};
use crate::position::SegmentNo;
use crate::shared::Shared;
use crate::spares;

/// The body of the keeper's thread.
pub(crate) fn run(shared: &Shared) {
    loop {
        while !shared.is_dead() && !shared.errand.ended() && step(shared) {}
        let retry = shared.shelf.blocked_until_ms();
        let wait_ms = retry.map(|until| until.saturating_sub(shared.world.clock.mono_ms()).max(1));
        if !shared.errand.wait(wait_ms) {
            return;
        }
    }
}

/// One piece of work; `false` when there was none or it could not be done. A segment that cannot be freed hinders
/// nobody from making one: it is tried again when somebody calls.
pub(crate) fn step(shared: &Shared) -> bool {
    let leaving = shared.ledger().leave();
    if leaving.is_some_and(|segment| free(shared, segment)) {
        return true;
    }
    !shared.is_dead()
        && shared.shelf.wants_one(shared.world.clock.mono_ms())
        && spares::make(&shared.world, &shared.dir, shared.format().segment_bytes, &shared.settings, &shared.shelf)
}

fn free(shared: &Shared, segment: SegmentNo) -> bool {
    let disk = shared.world.disk.as_ref();
    let path = segment_path(&shared.dir, &shared.format(), segment);
    let spare = shared.shelf.keeps_one().then(|| shared.shelf.next());
    let moved = match spare {
        Some(spare) => disk.rename(&path, &spare_path(&shared.dir, spare)),
        None => disk.remove(&path),
    };
    if moved.is_err() {
        shared.ledger().stays(segment);
        return false;
    }
    if let Err(error) = disk.sync_dir(&shared.dir) {
        shared.die(&format!("syncing {} failed: {error}", shared.dir.display()));
        return false;
    }
    shared.handles.forget(segment);
    shared.ledger().gone(segment);
    shared.hub.released(segment);
    match spare {
        Some(spare) => shared.shelf.put(spare),
        None => shared.shelf.removed(),
    }
    true
}
