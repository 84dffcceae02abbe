//! Owns the directory of a cluster for trying things out, and the file in it that says what runs. Knows no process.
//! Always holds: a directory without that file is never written to, unless it is empty or was not there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use world::{Lock, World};

use super::DevError;
use super::plan::Plan;
use crate::pki::{Order, Pki};

/// The directory, by its absolute path.
pub struct Place {
    world: World,
    dir: PathBuf,
}

/// What stands in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    made_by: String,
    nodes: u16,
    base_port: u16,
    etcd: bool,
    ttl_s: u16,
    /// `posthouse dev stop` was said.
    #[serde(default)]
    pub stopping: bool,
    /// etcd shall run.
    #[serde(default)]
    pub etcd_wanted: bool,
    /// Process of etcd, if it runs.
    #[serde(default)]
    pub etcd_pid: Option<u32>,
    /// The nodes; the first one is number 1.
    #[serde(default)]
    pub node: Vec<NodeState>,
}

/// One node of the state file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// It shall run.
    pub wanted: bool,
    /// Its process, if it runs.
    pub pid: Option<u32>,
}

impl State {
    fn new(plan: Plan) -> State {
        let Plan { nodes, base_port, etcd, ttl_s } = plan;
        let node = vec![NodeState { wanted: true, pid: None }; usize::from(nodes)];
        State {
            made_by: MADE_BY.into(),
            nodes,
            base_port,
            etcd,
            ttl_s,
            stopping: false,
            etcd_wanted: false,
            etcd_pid: None,
            node,
        }
    }

    /// What the cluster consists of.
    pub fn plan(&self) -> Plan {
        Plan { nodes: self.nodes, base_port: self.base_port, etcd: self.etcd, ttl_s: self.ttl_s }
    }

    /// A node by its number.
    pub fn node_mut(&mut self, number: u16) -> Option<&mut NodeState> {
        self.node.get_mut(usize::from(number.checked_sub(1)?))
    }

    /// The processes that are on record, with what each one is.
    pub fn processes(&self) -> Vec<(u32, Option<u16>)> {
        let nodes = self.node.iter().zip(1..).filter_map(|(node, number)| Some((node.pid?, Some(number))));
        nodes.chain(self.etcd_pid.map(|pid| (pid, None))).collect()
    }
}

/// Held by the one process that keeps the cluster running.
pub struct Foreground {
    _lock: Box<dyn Lock>,
}

impl Place {
    /// At `dir`; nothing is looked at yet.
    pub fn at(dir: &Path) -> Result<Place, DevError> {
        let dir = std::path::absolute(dir).map_err(|error| DevError::io(dir, &error))?;
        Ok(Place { world: World::real(), dir })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Directory of a node. All of it is ours.
    pub fn node_dir(&self, number: u16) -> PathBuf {
        self.dir.join(format!("n{number}"))
    }

    /// Data directory of a node.
    pub fn data_dir(&self, number: u16) -> PathBuf {
        self.node_dir(number).join("data")
    }

    /// The organization document of the next hop that a person may start.
    pub fn later_document(&self) -> PathBuf {
        self.dir.join("later.toml")
    }

    /// Where a process prints to.
    pub fn log(&self, number: Option<u16>) -> PathBuf {
        match number {
            Some(number) => self.node_dir(number).join("node.log"),
            None => self.dir.join("etcd.log"),
        }
    }

    /// Makes the directory with everything that nodes need to start, or takes one that was made before by the same plan.
    pub fn make(&self, plan: Plan) -> Result<State, DevError> {
        if self.exists(&self.state_file())? {
            let state = self.state()?;
            // With or without etcd is what the machine has, not what was asked.
            return match state.plan() == plan {
                true => Ok(state),
                false => Err(DevError::new(
                    format!("{} holds another cluster: {}", self.dir.display(), words(&state.plan())),
                    "say the same numbers to go on with it, remove the directory, or choose another one with --dir",
                )),
            };
        }
        let there = self.exists(&self.dir)?;
        if there && !self.world.disk.list(&self.dir).map_err(|error| DevError::io(&self.dir, &error))?.is_empty() {
            return Err(DevError::new(
                format!("{} is there already, and not of our making", self.dir.display()),
                "choose another directory with --dir; it will be made",
            ));
        }
        self.fill(plan)
    }

    fn fill(&self, plan: Plan) -> Result<State, DevError> {
        self.make_dir(&self.dir)?;
        let state = State::new(plan);
        // First the mark that all of it is ours.
        self.write_state(&State { node: Vec::new(), ..state.clone() })?;
        self.write(&self.later_document(), &plan.later_document())?;
        let pki = Pki::at(self.dir.join("pki"));
        pki.init("Posthouse on one machine", None)?;
        for number in plan.numbers() {
            let order = Order { node: plan.name(number), addresses: vec!["127.0.0.1".into()], days: None };
            pki.issue(&order)?;
            let dir = self.node_dir(number);
            self.make_dir(&dir)?;
            self.write(&dir.join("posthouse.toml"), &plan.node_document(number))?;
            self.write(&dir.join("org.toml"), &plan.org_document())?;
        }
        self.write_state(&state)?;
        Ok(state)
    }

    /// What the state file says.
    pub fn state(&self) -> Result<State, DevError> {
        let file = self.state_file();
        if !self.exists(&file)? {
            return Err(DevError::new(
                format!("there is no cluster in {}", self.dir.display()),
                "start one with `posthouse dev cluster`, or name its directory with --dir",
            ));
        }
        let bytes = self.world.disk.read_all(&file).map_err(|error| DevError::io(&file, &error))?;
        let state: Option<State> = serde_json::from_slice(&bytes).ok();
        let state = state.filter(|state| state.made_by == MADE_BY && state.node.len() == usize::from(state.nodes));
        state.ok_or_else(|| {
            DevError::new(
                format!("{} was not finished, or was changed by hand", file.display()),
                "remove the directory if you do not need it, or choose another one with --dir",
            )
        })
    }

    /// Changes the state file, alone.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, DevError> {
        // Where no state file is, no lock is left either.
        self.state()?;
        let file = self.dir.join("state.lock");
        let lock = self.lock(&file, LOCK_TRIES)?;
        let mut state = self.state()?;
        let was = state.clone();
        let said = change(&mut state);
        if state != was {
            self.write_state(&state)?;
        }
        drop(lock);
        Ok(said)
    }

    /// Becomes the process that keeps this cluster running, once the directory is made. Refused while there is one.
    pub fn foreground(&self) -> Result<Foreground, DevError> {
        let lock = self.lock(&self.foreground_file(), 5).map_err(|_| {
            DevError::new(
                format!("the cluster in {} runs already", self.dir.display()),
                "look at it with `posthouse dev status`, or choose another directory with --dir and other ports with --base-port",
            )
        })?;
        Ok(Foreground { _lock: lock })
    }

    /// Whether a process keeps this cluster running.
    pub fn has_foreground(&self) -> bool {
        // Without the file nobody ever did; taking the lock would make it.
        self.exists(&self.foreground_file()).unwrap_or(false) && self.lock(&self.foreground_file(), 1).is_err()
    }

    /// Removes a node's data directory: what a lost disk is.
    pub fn lose_disk(&self, number: u16) -> Result<(), DevError> {
        self.state()?;
        let dir = self.data_dir(number);
        world::tools::remove_tree(&dir).map_err(|error| DevError::io(&dir, &error))
    }

    fn foreground_file(&self) -> PathBuf {
        self.dir.join("foreground.lock")
    }

    fn state_file(&self) -> PathBuf {
        self.dir.join("cluster.json")
    }

    fn lock(&self, file: &Path, tries: u32) -> Result<Box<dyn Lock>, DevError> {
        for _ in 1..tries {
            if let Ok(lock) = self.world.disk.lock(file) {
                return Ok(lock);
            }
            std::thread::park_timeout(LOCK_WAIT);
        }
        self.world.disk.lock(file).map_err(|error| DevError::io(file, &error))
    }

    fn write_state(&self, state: &State) -> Result<(), DevError> {
        let text = serde_json::to_string_pretty(state).unwrap_or_default();
        self.write(&self.state_file(), &text)
    }

    fn write(&self, file: &Path, text: &str) -> Result<(), DevError> {
        self.world.disk.replace_durable(file, text.as_bytes()).map_err(|error| DevError::io(file, &error))
    }

    fn exists(&self, path: &Path) -> Result<bool, DevError> {
        self.world.disk.exists(path).map_err(|error| DevError::io(path, &error))
    }

    fn make_dir(&self, dir: &Path) -> Result<(), DevError> {
        self.world.disk.create_dir_all_durable(dir).map_err(|error| DevError::io(dir, &error))
    }
}

fn words(plan: &Plan) -> String {
    let etcd = if plan.etcd { "with etcd" } else { "without etcd" };
    format!("{} nodes {etcd}, --base-port {}, --ttl {}", plan.nodes, plan.base_port, plan.ttl_s)
}

const MADE_BY: &str = "posthouse dev cluster";
const LOCK_WAIT: Duration = Duration::from_millis(20);
/// Five seconds.
const LOCK_TRIES: u32 = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_of_its_own_making_is_touched() {
        let plan = Plan { nodes: 2, base_port: 2600, etcd: false, ttl_s: 5 };
        let dir = std::env::temp_dir().join(format!("posthouse-dev-place-{}", std::process::id()));
        let world = World::real();
        world::tools::remove_tree(&dir).unwrap();
        world.disk.create_dir_all_durable(&dir).unwrap();
        world.disk.replace_durable(&dir.join("letter"), b"mine").unwrap();
        let place = Place::at(&dir).unwrap();
        assert!(place.make(plan).unwrap_err().to_string().contains("not of our making"));
        assert!(place.lose_disk(1).is_err() && place.state().is_err());
        world.disk.remove(&dir.join("letter")).unwrap();

        let made = place.make(plan).unwrap();
        assert_eq!((made.plan(), made.node.len()), (plan, 2));
        world.disk.create_dir_all_durable(&place.data_dir(1)).unwrap();
        place.lose_disk(1).unwrap();
        assert!(!place.data_dir(1).exists() && place.node_dir(1).join("posthouse.toml").exists());
        place.change(|state| state.node[1] = NodeState { wanted: true, pid: Some(7) }).unwrap();
        assert_eq!(place.make(plan).unwrap().processes(), [(7, Some(2))], "it goes on with what it has");
        let other = place.make(Plan { nodes: 3, ..plan }).unwrap_err().to_string();
        assert!(other.contains("another cluster: 2 nodes without etcd"), "{other}");

        assert!(!place.has_foreground());
        let foreground = place.foreground().unwrap(); // the directory is there
        assert!(place.has_foreground() && place.foreground().is_err());
        drop(foreground);
        assert!(!place.has_foreground());
        world::tools::remove_tree(&dir).unwrap();
    }
}
