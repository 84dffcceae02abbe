//! Owns the child processes of `posthouse dev cluster`: starts what is wanted, notices what has ended, ends all.
//! Always holds: no child is left behind when [`Keeper::end_all`] has returned.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use roles::dev::{Living, Place, Plan, State, etcd_answers, etcd_command, node_command, spawn};
use tokio::time::{Instant, sleep};

use crate::cli::client::Trouble;
use crate::cli::start::{AGAIN, HANDED_OVER};

/// The parent of all processes.
pub struct Keeper {
    place: Place,
    plan: Plan,
    program: PathBuf,
    /// By number; 0 is etcd.
    children: BTreeMap<u16, Child>,
}

/// What came of a look at the children.
pub enum Turn {
    /// What is to be told.
    Events(Vec<String>),
    /// Somebody has said `posthouse dev stop`.
    Stopped,
}

impl Keeper {
    /// No children yet.
    pub fn new(place: Place, plan: Plan) -> Result<Keeper, Trouble> {
        let program = std::env::current_exe();
        let program =
            program.map_err(|error| Trouble::Failed(format!("this program's own file is not known: {error}")))?;
        Ok(Keeper { place, plan, program, children: BTreeMap::new() })
    }

    /// Where it works.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What it keeps running.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// Starts etcd, if there is one in the plan, and waits until it answers.
    pub async fn start_etcd(&mut self) -> Result<(), Trouble> {
        if !self.plan.etcd {
            return Ok(());
        }
        self.spawn_etcd()?;
        etcd_answers(&self.plan, ETCD_START_MAX).await.map_err(|what| {
            Trouble::Failed(format!("etcd does not start: {what}; {} may say why", self.place.log(None).display()))
        })
    }

    fn spawn_etcd(&mut self) -> Result<(), Trouble> {
        let child = spawn(etcd_command(&self.place, &self.plan), &self.place.log(None))?;
        let pid = child.id();
        self.children.insert(ETCD, child);
        Ok(self.place.change(|state| (state.etcd_wanted, state.etcd_pid) = (true, Some(pid)))?)
    }

    /// Notices which children have ended, and starts those that shall run and do not.
    pub fn turn(&mut self) -> Result<Turn, Trouble> {
        let mut events = Vec::new();
        for number in self.children.keys().copied().collect::<Vec<_>>() {
            let Some(status) = self.children.get_mut(&number).and_then(|child| child.try_wait().ok().flatten()) else {
                continue;
            };
            self.children.remove(&number);
            events.extend(self.place.change(|state| self.ended(state, number, status))?);
        }
        let state = self.place.state()?;
        if state.stopping {
            return Ok(Turn::Stopped);
        }
        if self.plan.etcd && state.etcd_wanted && !self.children.contains_key(&ETCD) {
            self.spawn_etcd()?;
            events.push("etcd is started again".into());
        }
        for (node, number) in state.node.iter().zip(1..) {
            if node.wanted && !self.children.contains_key(&number) {
                self.spawn_node(number)?;
            }
        }
        Ok(Turn::Events(events))
    }

    fn spawn_node(&mut self, number: u16) -> Result<(), Trouble> {
        let child = spawn(node_command(&self.place, number, &self.program), &self.place.log(Some(number)))?;
        let pid = Some(child.id());
        self.children.insert(number, child);
        let record = |state: &mut State| state.node_mut(number).map(|node| node.pid = pid);
        self.place.change(record)?;
        Ok(())
    }

    /// Records that a child has ended; what is to be told beside what the nodes say.
    fn ended(&self, state: &mut State, number: u16, status: ExitStatus) -> Option<String> {
        let log = self.place.log((number != ETCD).then_some(number));
        let how = |what: &str| format!("{what} has ended by itself ({status}); {} may say why", log.display());
        if number == ETCD {
            state.etcd_pid = None;
            let by_itself = std::mem::take(&mut state.etcd_wanted);
            return Some(if by_itself {
                how("etcd")
            } else {
                "etcd is down: nothing is taken over until it is back".into()
            });
        }
        let node = state.node_mut(number)?;
        node.pid = None;
        match (node.wanted, status.code().and_then(|code| u8::try_from(code).ok())) {
            (false, _) => None,
            (true, Some(AGAIN)) => {
                Some(format!("node {number} has found its journal taken over, and is started again"))
            }
            (true, Some(HANDED_OVER)) => {
                node.wanted = false;
                Some(format!(
                    "node {number} has handed its journals over and is off; `posthouse dev start {number}` starts it"
                ))
            }
            (true, _) => {
                node.wanted = false;
                Some(format!("{}; `posthouse dev start {number}` starts it", how(&format!("node {number}"))))
            }
        }
    }

    /// Ends the nodes in order, then etcd; what does not end in time is killed.
    pub async fn end_all(&mut self) -> Result<(), Trouble> {
        let etcd = self.children.remove(&ETCD);
        let nodes = std::mem::take(&mut self.children);
        end(&self.place, nodes.into_values().collect()).await;
        end(&self.place, etcd.into_iter().collect()).await;
        Ok(self.place.change(|state| {
            state.etcd_pid = None;
            state.node.iter_mut().for_each(|node| node.pid = None);
        })?)
    }
}

async fn end(place: &Place, mut children: Vec<Child>) {
    for child in &children {
        // One that cannot be asked is killed below.
        let _ = Living::find(place, child.id()).map(|living| living.end());
    }
    let until = Instant::now() + END_MAX;
    loop {
        children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        if children.is_empty() {
            return;
        }
        if Instant::now() > until {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    for mut child in children {
        // It is our own child and not waited for yet: its number is still its own.
        let _ = child.kill();
        let _ = child.wait();
    }
}

const ETCD: u16 = 0;
const ETCD_START_MAX: Duration = Duration::from_secs(20);
/// A node delivers what it has in hand before it ends.
const END_MAX: Duration = Duration::from_secs(15);
