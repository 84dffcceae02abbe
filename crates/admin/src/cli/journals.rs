//! Journals: their copies, and the take-over by a person.

use roles::view::{Cluster, Status};

use super::client::{Client, Trouble, segment};
use super::cluster::print_journals;
use super::json::print_json;
use super::table::{Table, number, size, text};
use super::words::{JournalWords, TAKE_OVER};
use crate::api::{Done, TakeOver};

/// `posthouse journal ...`
pub async fn run(client: &Client, verb: JournalWords, json: bool) -> Result<(), Trouble> {
    match verb {
        JournalWords::List => {
            let status: Status = client.get("/status", &()).await?;
            let journals = match &status.cluster {
                Some(_) => client.get::<Cluster>("/cluster", &()).await?.journals,
                None => Vec::new(),
            };
            if json {
                return print_json(&serde_json::json!({
                    "journals": journals, "copies": status.copies, "held": status.held, "taken": status.taken,
                }));
            }
            if status.cluster.is_some() {
                print_journals(&journals);
                println!("here:");
            }
            print(&status);
            Ok(())
        }
        JournalWords::TakeOver { node, yes: false, .. } => {
            let error = format!("nothing was done; say --yes if {node} is dead.\n\n{TAKE_OVER}");
            Err(Trouble::Failed(error))
        }
        JournalWords::TakeOver { node, force, .. } => {
            let path = format!("/journals/{}/take-over", segment(&node));
            let done: Done = client.post(&path, &TakeOver { force }).await?;
            if json {
                return print_json(&done);
            }
            println!("{}", done.done);
            Ok(())
        }
    }
}

/// How the copies are, ours and theirs.
pub fn print(status: &Status) {
    let columns = [text("copy on"), text("state"), text("counts"), number("lacks"), number("for"), text("last error")];
    let mut table = Table::new(columns);
    for copy in &status.copies {
        table.row(vec![
            copy.holder.clone(),
            copy.stage.clone(),
            if copy.counts { "yes".into() } else { "NO".into() },
            size(copy.lag_bytes),
            format!("{} ms", copy.lag_ms),
            copy.last_error.clone().unwrap_or_default(),
        ]);
    }
    table.print("no other node keeps a copy of this node's journal");
    let columns = [text("keeps a copy of"), number("epoch"), text("level"), number("segments"), text("last error")];
    let mut table = Table::new(columns);
    for held in &status.held {
        table.row(vec![
            held.journal.clone(),
            held.epoch.to_string(),
            if held.level { "yes".into() } else { "no".into() },
            held.segments.to_string(),
            held.last_error.clone().unwrap_or_default(),
        ]);
    }
    table.print("keeps no copies of other nodes' journals");
    if status.taken.is_empty() {
        return;
    }
    let columns =
        [text("taken over"), number("epoch"), number("messages left"), number("size"), number("could come twice")];
    let mut table = Table::new(columns);
    for taken in &status.taken {
        table.row(vec![
            taken.journal.clone(),
            taken.epoch.to_string(),
            taken.messages.to_string(),
            size(taken.bytes),
            taken.possible_duplicates.to_string(),
        ]);
    }
    table.print("");
}
