//! Owns what decides where no etcd does: all named holders keep a copy, each counts while it is level, and only a person has another
//! node's journal taken over; a note keeps that.
//! Always holds: a journal of which there is a note is never given back to its owner under an epoch that is not higher.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cluster::record::{Member, next_term};
use cluster::tenure::{Look, PATIENCE_MS, Standing};
use journal::copies::{CopyStage, HandOverError};
use tracing::error;
use world::World;

use super::held::{Admission, Doorkeeper};
use super::lateness::lateness;
use super::note::TakeNote;
use super::owned::HolderAt;
use super::say::say_standing;
use super::{HeldCopies, OwnCopies, Places, SPOOL, spool_of};
use crate::peers::Channel;

/// Has `holders` keep copies; each counts from when it is level until it is late.
pub fn keep_level(own: &OwnCopies, holders: &[String]) -> io::Result<()> {
    let at = |holder: &String| HolderAt {
        holder: holder.as_str().into(),
        node: holder.clone(),
        channel: own.journal().into(),
    };
    own.follow(&holders.iter().map(at).collect::<Vec<_>>());
    let own = own.clone();
    thread::Builder::new().name("copies-watch".into()).spawn(move || watch(&own))?;
    Ok(())
}

/// The body of the thread that sees who counts.
fn watch(own: &OwnCopies) {
    let mut standing = Standing::default();
    while !own.is_stopping() {
        // No disk has a number here: a name is all there is.
        let member = |holder: &String| Member { node: holder.clone(), disk: 0 };
        let seen: Vec<(Member, bool, Option<String>)> = own
            .states()
            .iter()
            .map(|state| (member(&state.holder), state.stage == CopyStage::Level, lateness(state)))
            .collect();
        let looks = seen.iter().map(|(holder, level, late)| Look { holder, level: *level, late: late.as_deref() });
        let changes = standing.step(own.now_ms(), PATIENCE_MS, looks);
        if !changes.is_empty() {
            let counting: Vec<&str> = standing.counting().map(|member| member.node.as_str()).collect();
            own.set_level(&counting, counting.len());
        }
        changes.iter().for_each(|change| say_standing(own.journal(), change));
        thread::park_timeout(WATCH_EVERY);
    }
}

/// Lets nodes in that send copies of their own journals, unless these were taken over.
pub struct Gatekeeper {
    world: World,
    copies: PathBuf,
}

impl Gatekeeper {
    /// With the notes under `copies`.
    pub fn new(world: &World, copies: &Path) -> Arc<Gatekeeper> {
        Arc::new(Gatekeeper { world: world.clone(), copies: copies.into() })
    }
}

impl Doorkeeper for Gatekeeper {
    fn admit(&self, channel: &Channel) -> Admission {
        let (owner, journal) = (channel.peer(), channel.name().to_string());
        if journal != spool_of(owner) {
            return Admission::No(String::from("a node may only send copies of its own journal"));
        }
        match TakeNote::read(&self.world, &self.copies.join(owner)) {
            Ok(None) => Admission::Yes(journal),
            Ok(Some(note)) => Admission::Above { journal, epoch: note.epoch },
            Err(error) => {
                error!(
                    "the note of the take-over of {owner}'s journal cannot be read: {error}; its owner is not heard"
                );
                Admission::No(String::from("the note of a take-over cannot be read on this node"))
            }
        }
    }
}

/// The journals of which there are copies, after take-overs were finished that a crash had cut off in the middle.
pub fn journals(world: &World, places: &Places) -> io::Result<Vec<String>> {
    for node in nodes(world, places)? {
        finish_take_out(world, &node, places)?;
    }
    Ok(nodes(world, places)?.iter().map(|node| spool_of(node)).collect())
}

fn nodes(world: &World, places: &Places) -> io::Result<Vec<String>> {
    let (disk, root) = (world.disk.as_ref(), &places.copies);
    disk.create_dir_all_durable(root)?;
    let mut nodes = Vec::new();
    for entry in disk.list(root)? {
        if disk.exists(&root.join(&entry.name).join(SPOOL))? {
            nodes.push(entry.name);
        }
    }
    Ok(nodes)
}

/// Ends the copy of `node`'s journal, so that it can be owned here: from now on the old owner is refused, also after a crash. Gives the
/// epoch under which to own it; it is moved to `taken/NODE/EPOCH`. Blocks. The error is for people.
pub fn take_out(world: &World, held: &HeldCopies, node: &str, places: &Places) -> Result<TakeNote, String> {
    let journal = spool_of(node);
    let copy = held.get(&journal).ok_or_else(|| format!("there is no copy of {node}'s journal here"))?;
    let dir = held.dir(&journal);
    let identity = journal::identity(world, &dir).map_err(|error| error.to_string())?;
    let identity = identity.ok_or_else(|| format!("the copy of {node}'s journal is empty"))?;
    let frozen = copy.freeze().and_then(|frozen| copy.hand_over().map(|_| frozen)).map_err(|why| match why {
        HandOverError::NotLevel => {
            format!("the copy of {node}'s journal has never been level: mail would be lost; bring {node} back instead")
        }
        HandOverError::Closed => format!("the copy of {node}'s journal is closed already"),
        HandOverError::Dead => String::from("the disk of the copy failed"),
    })?;
    held.forget(&journal);
    // An owner that is cut off counts on within its term, each time it starts: the next term is above all of that.
    let epoch = next_term(identity.epoch, 0);
    let note = TakeNote { salt: identity.salt, epoch, copy_epoch: frozen.epoch, taken_at: frozen.at.0 };
    let moved = note.write(world, &places.copies.join(node)).and_then(|()| finish_take_out(world, node, places));
    moved.map_err(|error| format!("{}: {error}; try again after a restart of this node", dir.display()))?;
    Ok(note)
}

/// Moves a copy of which the note says that it was taken to where taken journals are.
fn finish_take_out(world: &World, node: &str, places: &Places) -> io::Result<()> {
    let home = places.copies.join(node);
    let Some(note) = TakeNote::read(world, &home)? else { return Ok(()) };
    let dir = home.join(SPOOL);
    let there = journal::identity(world, &dir).map_err(io::Error::other)?;
    if there.is_none_or(|there| there.salt != note.salt || there.epoch >= note.epoch) {
        return Ok(());
    }
    let to = places.taken.join(node);
    world.disk.create_dir_all_durable(&to)?;
    world.disk.rename(&dir, &to.join(note.epoch.to_string()))?;
    world.disk.sync_dir(&to)?;
    world.disk.sync_dir(&home)
}

const WATCH_EVERY: Duration = Duration::from_millis(100);
