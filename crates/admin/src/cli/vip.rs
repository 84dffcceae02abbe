//! The verbs on virtual addresses.

use clap::Subcommand;
use roles::view::VirtualAddress;

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::table::{Table, text, time};
use crate::api::{Done, MoveAddress, VirtualAddresses};

/// What is done with virtual addresses.
#[derive(Subcommand)]
pub enum VipWords {
    /// Which node has each, since when and why, and who would have it
    Status,
    /// Move one to another node; connections to it end
    Move {
        /// Its name
        name: String,
        /// To this node [default: the first one that would have it]
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
    },
}

/// For the help.
pub const EXAMPLES: &str = "Examples:
  posthouse vip status
  posthouse vip move front                         away from the node that has it
  posthouse vip move front --to mx2.example.org

What was moved by order stays there, failback or not, until its node loses it.";

/// `posthouse vip ...`
pub async fn run(client: &Client, verb: VipWords, json: bool) -> Result<(), Trouble> {
    match verb {
        VipWords::Status => status(client, json).await,
        VipWords::Move { name, to } => {
            let path = format!("/virtual-addresses/{}/move", segment(&name));
            let done: Done = client.post(&path, &MoveAddress { to }).await?;
            if json {
                return print_json(&done);
            }
            println!("{}", done.done);
            Ok(())
        }
    }
}

async fn status(client: &Client, json: bool) -> Result<(), Trouble> {
    let all: VirtualAddresses = client.get("/virtual-addresses", &()).await?;
    if json {
        return print_json(&all);
    }
    let columns = ["name", "address", "on", "is at", "since", "why", "would have it"];
    let mut table = Table::new(columns.into_iter().map(text).collect::<Vec<_>>());
    for one in &all.virtual_addresses {
        let here = if one.here { " (here)" } else { "" };
        table.row(vec![
            one.name.clone(),
            one.addresses.join(" "),
            one.interface.clone(),
            one.holder.as_ref().map_or("NOBODY".into(), |holder| format!("{holder}{here}")),
            one.since.as_deref().map(time).unwrap_or_default(),
            one.why.clone(),
            one.candidates.join(" "),
        ]);
    }
    table.print("there is no [[virtual_address]]");
    all.virtual_addresses.iter().for_each(troubles);
    Ok(())
}

fn troubles(one: &VirtualAddress) {
    if one.etcd_silent {
        println!("! {}: this node hears nothing from etcd; what is shown is what was known last", one.name);
    }
    if let Some(why) = &one.unfit {
        println!("! {}: this node would not have it: {why}", one.name);
    }
    if let Some(conflict) = &one.conflict {
        println!("! {}: at {} (UTC) {}", one.name, time(&conflict.at), conflict.what);
    }
    if let Some(last) = &one.last {
        println!("  {}: this node {} at {} (UTC)", one.name, last.what, time(&last.at));
    }
}
