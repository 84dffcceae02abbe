//! `posthouse dev cluster`: makes what is missing, starts all of it, tells what to try, and stays until Ctrl-C.

use std::net::TcpListener;
use std::time::Duration;

use roles::dev::{Place, Plan, State, etcd_is_installed};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::keeper::{Keeper, Turn};
use super::seen::{Seen, news};
use super::{ClusterWords, orders, told};
use crate::cli::client::Trouble;

/// Runs until somebody ends it.
pub async fn run(place: Place, words: &ClusterWords) -> Result<(), Trouble> {
    let plan = plan(words)?;
    let state = place.make(plan)?;
    let _foreground = place.foreground()?;
    no_leftovers(&place, &state)?;
    ports_are_free(&plan)?;
    place.change(|state| {
        state.stopping = false;
        state.etcd_pid = None;
        state.node.iter_mut().for_each(|node| (node.wanted, node.pid) = (true, None));
    })?;
    let mut ends = Ends::new()?;
    let mut keeper = Keeper::new(place, plan)?;
    let done = tokio::select! {
        done = keep(&mut keeper) => done,
        () = ends.asked() => {
            println!("\nending all of it; what was kept stays in {}", keeper.place().dir().display());
            Ok(())
        }
    };
    // The nodes first: they say goodbye to etcd.
    let ended = keeper.end_all().await;
    done.and(ended)
}

async fn keep(keeper: &mut Keeper) -> Result<(), Trouble> {
    keeper.start_etcd().await?;
    keeper.turn()?;
    let mut seen = all_up(keeper).await?;
    println!("{}", told::welcome(keeper.place(), &keeper.plan(), &seen));
    let begun = Instant::now();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let turn = keeper.turn()?;
        let said = |text: &str| println!("{:>8.1} s  {text}", begun.elapsed().as_secs_f64());
        if let Turn::Stopped = turn {
            said("stopped by `posthouse dev stop`");
            return Ok(());
        }
        let Turn::Events(events) = turn else { continue };
        events.iter().for_each(|text| said(text));
        let now = Seen::look(&keeper.plan()).await;
        news(&keeper.plan(), &seen, &now).iter().for_each(|text| said(text));
        seen = now;
    }
}

/// Waits until each node answers and takes mail, or has ended.
async fn all_up(keeper: &mut Keeper) -> Result<Seen, Trouble> {
    let end = Instant::now() + START_MAX;
    loop {
        if let Turn::Events(events) = keeper.turn()?
            && let Some(ended) = events.first()
        {
            return Err(Trouble::Failed(ended.clone()));
        }
        let seen = Seen::look(&keeper.plan()).await;
        if seen.all_ready() {
            return Ok(seen);
        }
        if Instant::now() > end {
            return Err(Trouble::Failed(format!(
                "the cluster does not take mail within {START_MAX:?}: {}",
                seen.reasons()
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn plan(words: &ClusterWords) -> Result<Plan, Trouble> {
    let ClusterWords { nodes, base_port, ttl, no_etcd } = *words;
    let etcd = !no_etcd && etcd_is_installed();
    let plan = Plan { nodes, base_port, etcd, ttl_s: ttl };
    if let Some(problem) = plan.problem() {
        return Err(Trouble::Usage(problem));
    }
    match (etcd, no_etcd) {
        (true, _) => Ok(plan),
        (false, _) if nodes == 2 => {
            println!("Without etcd: the two nodes keep copies for each other, but a person takes over.");
            Ok(plan)
        }
        (false, true) => Err(Trouble::Usage("--no-etcd goes with --nodes 2: only two nodes can do without".into())),
        (false, false) => Err(Trouble::Failed(format!(
            "{nodes} nodes need etcd, and there is none; install it (apt install etcd-server, dnf install etcd, brew install etcd), \
             or say --nodes 2: two nodes keep copies for each other without it, and a person takes over"
        ))),
    }
}

fn no_leftovers(place: &Place, state: &State) -> Result<(), Trouble> {
    let living = orders::living(place, state);
    match living.is_empty() {
        true => Ok(()),
        false => Err(Trouble::Failed(format!(
            "processes of an earlier cluster still run in {}; end them with `posthouse dev stop --dir {0}`",
            place.dir().display()
        ))),
    }
}

fn ports_are_free(plan: &Plan) -> Result<(), Trouble> {
    let taken =
        |socket: &std::net::SocketAddr| TcpListener::bind(socket).err().map(|error| format!("{socket}: {error}"));
    match plan.sockets().iter().find_map(taken) {
        None => Ok(()),
        Some(error) => Err(Trouble::Failed(format!("{error}; --base-port PORT names others"))),
    }
}

/// Ctrl-C and SIGTERM.
struct Ends {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Ends {
    fn new() -> Result<Ends, Trouble> {
        let on = |kind| signal(kind).map_err(|error| Trouble::Failed(format!("no signals: {error}")));
        Ok(Ends { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From the first process until all nodes take mail.
const START_MAX: Duration = Duration::from_secs(40);
