//! Owns journals of this node that another node has taken: what that node has is dropped, the rest is delivered from here.
//! Always holds: what was taken is noted in the journal's directory before the directory moves; a journal with such a note is never
//! written as its owner again.

use std::io;
use std::path::{Path, PathBuf};

use cluster::record::{JournalName, Taken};
use tracing::{error, warn};
use world::World;

use crate::copies::taken::{OpenAs, WhenEmpty, found};
use crate::copies::{Places, TakeNote, TakenJournals};

/// Notes in `dir` what another node has of the journal `name`, and moves it to the former ones.
pub fn lay_down(
    world: &World,
    places: &Places,
    name: &JournalName,
    dir: &Path,
    epoch: u32,
    taken: Taken,
) -> io::Result<PathBuf> {
    let salt = journal::identity(world, dir).map_err(io::Error::other)?.map_or(0, |identity| identity.salt);
    TakeNote { salt, epoch, copy_epoch: taken.epoch, taken_at: taken.at }.write(world, dir)?;
    finish(world, places, name, dir)
}

/// Moves a journal of which its note says that it was taken.
pub fn finish(world: &World, places: &Places, name: &JournalName, dir: &Path) -> io::Result<PathBuf> {
    let home = places.former.join(&name.node);
    world.disk.create_dir_all_durable(&home)?;
    let to = home.join(&name.journal);
    world.disk.rename(dir, &to)?;
    world.disk.sync_dir(&home)?;
    world.disk.sync_dir(dir.parent().unwrap_or(dir))?;
    Ok(to)
}

/// Delivers what is left in all former journals. Blocks for reading them; call it inside a tokio runtime.
pub fn go_on(taken: &TakenJournals, world: &World, places: &Places) -> io::Result<()> {
    for (node, journal) in found(world, &places.former)? {
        let dir = places.former.join(&node).join(&journal);
        if let Err(what) = open(taken, world, &dir, &format!("{node}/{journal}")) {
            error!("what is left of {node}/{journal} is not delivered: {what}");
        }
    }
    Ok(())
}

/// Delivers what is left in one. Blocks. The error is for people.
pub fn open(taken: &TakenJournals, world: &World, dir: &Path, name: &str) -> Result<(), String> {
    let note = TakeNote::read(world, dir).map_err(|error| error.to_string())?;
    let note = note.ok_or("there is no note of what was taken; it is left alone")?;
    let identity = journal::identity(world, dir).map_err(|error| error.to_string())?;
    let epoch = identity.map_or(0, |identity| identity.epoch);
    let as_ = OpenAs {
        journal: name.into(),
        epoch,
        taken: Some(note.taken()),
        doubtful: false,
        when_empty: WhenEmpty::Remove,
    };
    let left = taken.open(dir, as_)?.totals().messages;
    if left > 0 {
        warn!(left, "{left} messages of {name} are delivered from here: no copy can have had them");
    }
    Ok(())
}
