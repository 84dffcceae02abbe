//! Owns what a newcomer reads: the table of nodes, and what to try.

use roles::dev::{LATER, Place, Plan, State};

use super::seen::Seen;
use crate::cli::table::{Table, number, text};

/// After the start.
pub fn welcome(place: &Place, plan: &Plan, seen: &Seen) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "posthouse".into());
    let dir = match place.dir().ends_with("posthouse-dev")
        && std::env::current_dir().is_ok_and(|here| place.dir().parent() == Some(&here))
    {
        true => String::new(),
        false => format!(" --dir {}", place.dir().display()),
    };
    let later = format!(
        "{program} start --org {} --data {} --http {}",
        place.later_document().display(),
        place.dir().join("later").display(),
        plan.later_http()
    );
    let (smtp, one, page) = (plan.smtp(2), plan.one_for_all(), plan.http(1));
    let after = match plan.etcd {
        true => format!("node 2 is gone with its disk; within {} seconds another one has the message", plan.ttl_s + 2),
        false => {
            format!("node 2 is gone with its disk; then: {program} journal take-over n2.test --yes --url http://{page}")
        }
    };
    let node_table = nodes(place, plan, seen, None);
    let etcd = match plan.etcd {
        true => format!(
            "etcd listens on {}; a node that is silent for {} seconds is taken over.",
            plan.etcd_clients(),
            plan.ttl_s
        ),
        false => "There is no etcd: when a node dies, a person takes over.".into(),
    };
    format!(
        "{node_table}{etcd} All of it is in {}.\n\n\
         Mail for *@posthouse.test is kept in Maildirs; mail for *@{LATER} waits, since nobody listens on {} yet. Try:\n  \
         swaks --server {smtp} --to bob@{LATER}\n      the message waits on node 2; its 250 came when another node had a copy\n  \
         {program} dev kill 2 --disk{dir}\n      {after}\n  \
         swaks --server {one} --to ann@posthouse.test\n      \
         one address for all nodes, served by each of them: whoever sends there does not see that a node is down\n  \
         http://{page}/\n      see it on the page of node 1 (or 3: `{program} dev status{dir}` tells which)\n  \
         {later}\n      that next hop; the message goes out to it from where it is now (Ctrl-C ends it)\n\
         Bring node 2 back: {program} dev start 2{dir}. End all: Ctrl-C.\n\nWhat happens, in seconds from now:",
        place.dir().display(),
        plan.later(),
    )
}

/// One line for each node.
pub fn nodes(place: &Place, plan: &Plan, seen: &Seen, state: Option<&State>) -> String {
    let columns = [number("node"), text("name"), text("smtp"), text("page, API"), number("pid")];
    let more = [number("messages"), text("taken over"), text("data"), text("state")];
    let mut table = Table::new(columns.into_iter().chain(more).collect::<Vec<_>>());
    for (node, status) in &seen.nodes {
        let pid = state.and_then(|state| state.node.get(usize::from(*node) - 1)?.pid);
        let up = match status {
            Some(status) if status.ready => "takes mail".to_string(),
            Some(status) => status.reasons.join(", "),
            None if pid.is_some() => "does not answer".into(),
            None => "DOWN".into(),
        };
        let taken = |status: &roles::view::Status| {
            let of = |t: &roles::view::TakenJournal| {
                format!("{} ({})", t.journal.split('/').next().unwrap_or_default(), t.messages)
            };
            status.taken.iter().map(of).collect::<Vec<_>>().join(" ")
        };
        table.row(vec![
            node.to_string(),
            plan.name(*node),
            plan.smtp(*node).to_string(),
            format!("http://{}/", plan.http(*node)),
            status.as_ref().map(|status| status.pid).or(pid).map(|pid| pid.to_string()).unwrap_or_default(),
            status.as_ref().map(|status| status.spool.messages.to_string()).unwrap_or_default(),
            status.as_ref().map(taken).unwrap_or_default(),
            place.data_dir(*node).display().to_string(),
            up,
        ]);
    }
    table.text()
}
