//! `posthouse directory`.

use clap::Subcommand;
use roles::view::Directory;

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::table::{Table, number, size, text, time};
use crate::api::Directories;

/// What is done with LDAP directories.
#[derive(Subcommand)]
pub enum DirectoryWords {
    /// All directories: who answers, how many recipients count, what is wrong
    Status,
    /// Read a directory whole now
    Sync {
        /// Its name
        name: String,
    },
    /// Believe a result that is held because many recipients would vanish
    Accept {
        /// Its name
        name: String,
    },
}

/// Does it.
pub async fn run(client: &Client, verb: DirectoryWords, json: bool) -> Result<(), Trouble> {
    match verb {
        DirectoryWords::Status => {
            let all: Directories = client.get("/directories", &()).await?;
            if json {
                return print_json(&all);
            }
            list(&all.directories);
            Ok(())
        }
        DirectoryWords::Sync { name } => order(client, &name, "sync", json).await,
        DirectoryWords::Accept { name } => order(client, &name, "accept", json).await,
    }
}

fn list(all: &[Directory]) {
    let columns = [text("directory"), text("state"), text("server"), number("recipients")];
    let more = [number("memory"), text("read whole (UTC)"), text("answered (UTC)")];
    let mut table = Table::new(columns.into_iter().chain(more).collect::<Vec<_>>());
    for one in all {
        let at = |when: &Option<String>| when.as_deref().map_or_else(|| "never".into(), time);
        table.row(vec![
            one.name.clone(),
            one.state.clone(),
            one.server.clone(),
            one.recipients.to_string(),
            size(one.memory_bytes as u64),
            at(&one.read),
            at(&one.asked),
        ]);
    }
    table.print("no directory: the organization document has no [[directory]]");
    all.iter().flat_map(|one| &one.wrong).for_each(|what| println!("{what}"));
    all.iter().flat_map(|one| &one.clashes).for_each(|what| println!("{what}"));
}

async fn order(client: &Client, name: &str, verb: &str, json: bool) -> Result<(), Trouble> {
    let one: Directory = client.post(&format!("/directories/{}/{verb}", segment(name)), &()).await?;
    if json {
        return print_json(&one);
    }
    println!("{}: asked to {verb}; posthouse directory status shows what became of it", one.name);
    Ok(())
}
