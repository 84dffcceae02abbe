//! Owns what the nodes of a cluster say of themselves at one moment, and what is new between two moments. Asks the API only.
//! Always holds: a node that does not answer is down, and nothing else is concluded from its silence.

use std::collections::BTreeMap;
use std::time::Duration;

use roles::dev::Plan;
use roles::view::Status;
use tokio::time::timeout;

use crate::cli::client::Client;

/// Each node's status by its number; nothing for one that does not answer.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By number.
    pub nodes: BTreeMap<u16, Option<Status>>,
}

impl Seen {
    /// Asks all of them.
    pub async fn look(plan: &Plan) -> Seen {
        let mut nodes = BTreeMap::new();
        for number in plan.numbers() {
            let status = match Client::new(Some(format!("http://{}", plan.http(number)))) {
                Ok(client) => timeout(ANSWER_MAX, client.get::<Status>("/status", &())).await,
                Err(_) => continue,
            };
            // A node of another cluster on these ports is none of ours.
            let ours = |status: &Status| status.name == plan.name(number);
            nodes.insert(number, status.ok().and_then(Result::ok).filter(ours));
        }
        Seen { nodes }
    }

    /// All answer and take mail.
    pub fn all_ready(&self) -> bool {
        self.nodes.values().all(|status| status.as_ref().is_some_and(|status| status.ready))
    }

    /// Why not.
    pub fn reasons(&self) -> String {
        let of = |(number, status): (&u16, &Option<Status>)| match status {
            None => Some(format!("node {number} does not answer")),
            Some(status) if !status.ready => Some(format!("node {number}: {}", status.reasons.join(", "))),
            Some(_) => None,
        };
        self.nodes.iter().filter_map(of).collect::<Vec<_>>().join("; ")
    }
}

/// What happened between two looks, a line each.
pub fn news(plan: &Plan, before: &Seen, now: &Seen) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, status) in &now.nodes {
        let was = before.nodes.get(number).and_then(Option::as_ref);
        match (was, status) {
            (Some(_), None) => lines.push(format!("node {number} is down")),
            (None, Some(_)) => lines.push(format!("node {number} is up")),
            _ => {}
        }
        let Some(status) = status else { continue };
        let none = Status::default();
        readiness(*number, was, status, &mut lines);
        takings(plan, *number, was.unwrap_or(&none), status, &mut lines);
    }
    lines
}

fn readiness(number: u16, was: Option<&Status>, now: &Status, lines: &mut Vec<String>) {
    match (was.map(|was| was.ready), now.ready) {
        (Some(true) | None, false) => lines.push(format!("node {number} takes no mail: {}", now.reasons.join(", "))),
        (Some(false), true) => lines.push(format!("node {number} takes mail again")),
        _ => {}
    }
}

/// Journals that were taken over, and that are done.
fn takings(plan: &Plan, number: u16, was: &Status, now: &Status, lines: &mut Vec<String>) {
    let of = |journal: &str| match journal.split_once('/').and_then(|(node, _)| plan.number(node)) {
        Some(number) => format!("node {number}"),
        None => journal.to_string(),
    };
    for taken in &now.taken {
        let before = was.taken.iter().find(|before| before.journal == taken.journal);
        match before {
            None => lines.push(format!(
                "node {number} has taken the journal of {} over: {}",
                of(&taken.journal),
                messages(taken.messages)
            )),
            Some(before) if before.messages != taken.messages => {
                lines.push(format!("node {number} has {} of {} left", messages(taken.messages), of(&taken.journal)));
            }
            Some(_) => {}
        }
    }
    for before in &was.taken {
        if !now.taken.iter().any(|taken| taken.journal == before.journal) {
            lines.push(format!("node {number} has delivered all that {} left", of(&before.journal)));
        }
    }
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".into() } else { format!("{count} messages") }
}

const ANSWER_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use roles::view::TakenJournal;

    const PLAN: Plan = Plan { nodes: 2, base_port: 2600, etcd: true, ttl_s: 5 };

    fn seen(two: Option<Status>, taken: Option<u64>) -> Seen {
        let taken = taken.map(|messages| TakenJournal {
            journal: "n2.test/spool-1".into(),
            messages,
            ..TakenJournal::default()
        });
        let one = Status { ready: true, taken: taken.into_iter().collect(), ..Status::default() };
        Seen { nodes: [(1, Some(one)), (2, two)].into() }
    }

    #[test]
    fn a_death_is_told_from_the_first_line_to_the_last() {
        let up = || Some(Status { ready: true, ..Status::default() });
        let steps = [seen(up(), None), seen(None, None), seen(None, Some(2)), seen(None, Some(1)), seen(up(), None)];
        let told: Vec<Vec<String>> = steps.windows(2).map(|pair| news(&PLAN, &pair[0], &pair[1])).collect();
        assert_eq!(
            told.concat(),
            [
                "node 2 is down",
                "node 1 has taken the journal of node 2 over: 2 messages",
                "node 1 has 1 message of node 2 left",
                "node 1 has delivered all that node 2 left",
                "node 2 is up"
            ]
        );
        assert!(news(&PLAN, &steps[0], &steps[0].clone()).is_empty());
    }

    #[test]
    fn who_takes_no_mail_says_why() {
        let short = || Some(Status { reasons: vec!["too few copies".into()], ..Status::default() });
        let up = || Some(Status { ready: true, ..Status::default() });
        assert_eq!(news(&PLAN, &seen(up(), None), &seen(short(), None)), ["node 2 takes no mail: too few copies"]);
        assert_eq!(news(&PLAN, &seen(short(), None), &seen(up(), None)), ["node 2 takes mail again"]);
        assert_eq!(seen(short(), None).reasons(), "node 2: too few copies");
        assert!(!seen(None, None).all_ready() && seen(up(), None).all_ready());
    }
}
