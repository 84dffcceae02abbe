//! The orders to a cluster that runs: kill, start, status, stop. They work on the state file and on processes that it names.

use std::time::Duration;

use roles::dev::{Living, Place, State};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::seen::Seen;
use super::told;
use crate::cli::client::Trouble;
use crate::cli::json::print_json;

/// Whom an order is for.
enum Target {
    Node(u16),
    Etcd,
}

impl Target {
    fn parse(word: &str, state: &State) -> Result<Target, Trouble> {
        let plan = state.plan();
        let number = || {
            word.parse()
                .ok()
                .filter(|number| plan.numbers().any(|known| known == *number))
                .or_else(|| plan.number(word))
        };
        match word {
            "etcd" if plan.etcd => Ok(Target::Etcd),
            "etcd" => Err(Trouble::Usage("this cluster has no etcd".into())),
            _ => number().map(Target::Node).ok_or_else(|| {
                Trouble::Usage(format!("'{word}' is no node of this cluster; its nodes are 1 to {}", plan.nodes))
            }),
        }
    }

    fn name(&self) -> String {
        match self {
            Target::Node(number) => format!("node {number}"),
            Target::Etcd => "etcd".into(),
        }
    }

    fn pid(&self, state: &mut State) -> Option<u32> {
        match self {
            Target::Node(number) => state.node_mut(*number)?.pid,
            Target::Etcd => state.etcd_pid,
        }
    }

    fn want(&self, state: &mut State, wanted: bool) {
        match self {
            Target::Node(number) => {
                if let Some(node) = state.node_mut(*number) {
                    node.wanted = wanted;
                }
            }
            Target::Etcd => state.etcd_wanted = wanted,
        }
    }
}

/// `posthouse dev kill`
pub async fn kill(place: &Place, word: &str, disk: bool, json: bool) -> Result<(), Trouble> {
    let target = Target::parse(word, &place.state()?)?;
    let number = match target {
        Target::Node(number) => Some(number),
        Target::Etcd if disk => return Err(Trouble::Usage("--disk goes with a node".into())),
        Target::Etcd => None,
    };
    let pid = place.change(|state| {
        target.want(state, false);
        target.pid(state)
    })?;
    let name = target.name();
    let killed = match pid.and_then(|pid| Living::find(place, pid)) {
        Some(living) => {
            living.kill().map_err(|error| Trouble::Failed(format!("{name}: {error}")))?;
            gone(place, pid.unwrap_or_default()).await?;
            true
        }
        None => false,
    };
    if let (Some(number), true) = (number, disk) {
        place.lose_disk(number)?;
    }
    if json {
        return print_json(&json!({"killed": killed, "disk_removed": disk}));
    }
    match (killed, disk) {
        (true, true) => println!("{name} is killed, and its data directory is removed"),
        (true, false) => println!("{name} is killed; what it kept is still on its disk"),
        (false, true) => println!("{name} did not run; its data directory is removed"),
        (false, false) => println!("{name} did not run"),
    }
    println!("`posthouse dev start {word}` starts it again");
    Ok(())
}

/// `posthouse dev start`
pub async fn start(place: &Place, word: &str, json: bool) -> Result<(), Trouble> {
    let target = Target::parse(word, &place.state()?)?;
    if !place.has_foreground() {
        return Err(Trouble::Failed(
            "`posthouse dev cluster` does not run, and it is what starts nodes; start it, and all of them start".into(),
        ));
    }
    place.change(|state| target.want(state, true))?;
    let end = Instant::now() + START_MAX;
    loop {
        let mut state = place.state()?;
        if let Some(pid) = target.pid(&mut state).filter(|pid| Living::find(place, *pid).is_some()) {
            if json {
                return print_json(&json!({"pid": pid}));
            }
            println!("{} is started (process {pid}); `posthouse dev status` shows how it does", target.name());
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Trouble::Failed(format!(
                "{} does not start; look into {}",
                target.name(),
                place.dir().display()
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// `posthouse dev status`
pub async fn status(place: &Place, json: bool) -> Result<(), Trouble> {
    let state = place.state()?;
    let plan = state.plan();
    let seen = Seen::look(&plan).await;
    let runs = place.has_foreground();
    if json {
        let nodes: Vec<_> = seen
            .nodes
            .iter()
            .map(|(number, status)| {
                json!({
                    "node": number, "name": plan.name(*number), "smtp": plan.smtp(*number), "http": plan.http(*number),
                    "data": place.data_dir(*number), "pid": state.node.get(usize::from(*number) - 1).and_then(|node| node.pid),
                    "status": status,
                })
            })
            .collect();
        return print_json(&json!({"dir": place.dir(), "running": runs, "etcd_pid": state.etcd_pid, "nodes": nodes}));
    }
    print!("{}", told::nodes(place, &plan, &seen, Some(&state)));
    match (plan.etcd, state.etcd_pid.and_then(|pid| Living::find(place, pid))) {
        (true, Some(_)) => println!("etcd runs on {}", plan.etcd_clients()),
        (true, None) => println!("etcd is DOWN: nothing is taken over until it is back"),
        (false, _) => println!("no etcd: a person takes over"),
    }
    if !runs {
        println!("`posthouse dev cluster` does not run");
    }
    Ok(())
}

/// `posthouse dev stop`
pub async fn stop(place: &Place, json: bool) -> Result<(), Trouble> {
    place.change(|state| state.stopping = true)?;
    // The foreground ends them in order, if there is one.
    let end = Instant::now() + STOP_MAX;
    while place.has_foreground() && Instant::now() < end {
        sleep(LOOK_EVERY).await;
    }
    let left = living(place, &place.state()?);
    for (_, process) in &left {
        // It may have ended by itself meanwhile.
        let _ = process.end();
    }
    for (pid, _) in &left {
        gone(place, *pid).await?;
    }
    place.change(|state| {
        state.etcd_pid = None;
        state.node.iter_mut().for_each(|node| node.pid = None);
    })?;
    if json {
        return print_json(&json!({"stopped": true}));
    }
    println!("stopped; what was kept is in {}", place.dir().display());
    Ok(())
}

/// The processes on record that run.
pub fn living(place: &Place, state: &State) -> Vec<(u32, Living)> {
    let find = |(pid, _): (u32, Option<u16>)| Some((pid, Living::find(place, pid)?));
    state.processes().into_iter().filter_map(find).collect()
}

async fn gone(place: &Place, pid: u32) -> Result<(), Trouble> {
    let end = Instant::now() + STOP_MAX;
    while Living::find(place, pid).is_some() {
        if Instant::now() > end {
            return Err(Trouble::Failed(format!("process {pid} does not end within {STOP_MAX:?}")));
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
const START_MAX: Duration = Duration::from_secs(10);
const STOP_MAX: Duration = Duration::from_secs(30);
