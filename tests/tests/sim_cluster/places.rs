//! Where the directories of a node's journals are. In the product the place of a directory says what the node is to its journal, and a
//! move is a rename, synced; here it is one small file, replaced durably, because the simulated disk renames no directories.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use cluster::record::{JournalName, Taken};
use world::World;

/// What a node is to a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Own,
    Copy,
    Taken,
    Former,
}

const PLACES: [Place; 4] = [Place::Own, Place::Copy, Place::Taken, Place::Former];
const FILE: &str = "/node/places";

#[derive(Clone, Default)]
pub struct Places {
    dirs: BTreeMap<(Place, JournalName), u64>,
    next: u64,
}

impl Places {
    /// What is written down on a disk.
    pub fn read(world: &World) -> io::Result<Places> {
        let text = match world.disk.read_all(Path::new(FILE)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut places = Places::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["next", n] => places.next = n.parse().unwrap(),
                [place, name, dir] => {
                    let place = PLACES[place.parse::<usize>().unwrap()];
                    places.dirs.insert((place, JournalName::parse(name).unwrap()), dir.parse().unwrap());
                }
                _ => unreachable!("{line}"),
            }
        }
        Ok(places)
    }

    /// Changes the file; if that fails, nothing has changed.
    fn change(&mut self, world: &World, change: impl FnOnce(&mut Places)) -> io::Result<()> {
        let mut after = self.clone();
        change(&mut after);
        after.write(world)?;
        *self = after;
        Ok(())
    }

    fn write(&self, world: &World) -> io::Result<()> {
        let mut text = format!("next {}\n", self.next);
        for ((place, name), dir) in &self.dirs {
            text.push_str(&format!("{} {name} {dir}\n", *place as usize));
        }
        world.disk.create_dir_all_durable(Path::new("/node"))?;
        world.disk.replace_durable(Path::new(FILE), text.as_bytes())
    }

    pub fn dir(&self, place: Place, name: &JournalName) -> Option<PathBuf> {
        self.dirs.get(&(place, name.clone())).map(|n| PathBuf::from(format!("/d/{n}")))
    }

    pub fn all(&self, place: Place) -> Vec<JournalName> {
        self.dirs.keys().filter(|(p, _)| *p == place).map(|(_, name)| name.clone()).collect()
    }

    /// A new directory.
    pub fn add(&mut self, world: &World, place: Place, name: &JournalName) -> io::Result<PathBuf> {
        self.change(world, |places| {
            places.next += 1;
            places.dirs.insert((place, name.clone()), places.next);
        })?;
        Ok(PathBuf::from(format!("/d/{}", self.next)))
    }

    /// Moves a directory. `false`: there is another one already.
    pub fn shift(&mut self, world: &World, name: &JournalName, from: Place, to: Place) -> io::Result<bool> {
        self.rename(world, (from, name.clone()), (to, name.clone()))
    }

    /// The own journal has a name now.
    pub fn rename(&mut self, world: &World, from: (Place, JournalName), to: (Place, JournalName)) -> io::Result<bool> {
        if self.dirs.contains_key(&to) {
            return Ok(false);
        }
        let dir = *self.dirs.get(&from).ok_or(io::ErrorKind::NotFound)?;
        self.change(world, |places| {
            places.dirs.remove(&from);
            places.dirs.insert(to, dir);
        })?;
        Ok(true)
    }

    /// Removes a directory: first its name, then what is in it.
    pub fn remove(&mut self, world: &World, place: Place, name: &JournalName) -> io::Result<()> {
        let Some(dir) = self.dir(place, name) else { return Ok(()) };
        self.change(world, |places| {
            places.dirs.remove(&(place, name.clone()));
        })?;
        for entry in world.disk.list(&dir)? {
            world.disk.remove(&dir.join(&entry.name))?;
        }
        Ok(())
    }
}

/// The note in a journal's directory that says what another node has of it.
pub fn note(world: &World, dir: &Path) -> io::Result<Option<Taken>> {
    match world.disk.read_all(&dir.join("taken")) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let (at, epoch) = text.split_once(' ').unwrap();
            Ok(Some(Taken { at: at.parse().unwrap(), epoch: epoch.parse().unwrap() }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub fn write_note(world: &World, dir: &Path, taken: Taken) -> io::Result<()> {
    world.disk.replace_durable(&dir.join("taken"), format!("{} {}", taken.at, taken.epoch).as_bytes())
}
