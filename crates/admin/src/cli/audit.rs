//! `posthouse audit`: who had the node do what.

use clap::Args;
use roles::audit::Entry;
use serde_json::Value;

use super::client::{Client, Trouble};
use super::json::print_json;
use super::org::print_lines;
use super::table::{Table, number, text, time};
use crate::api::{AuditQuery, Audited};

/// Which deeds.
#[derive(Args)]
pub struct AuditWords {
    /// Not older than this: 30m, 2h, 1d, or an RFC 3339 time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// A part of what it was done to: a queue, a message, send_connector out, a node
    #[arg(long, value_name = "TEXT")]
    object: Option<String>,
    /// A part of what was done: queue retry, org set, node drain
    #[arg(long, value_name = "TEXT")]
    verb: Option<String>,
    /// A part of who it was, or from where
    #[arg(long, value_name = "TEXT")]
    who: Option<String>,
    /// At most so many [default: 100]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// With what was there before and after
    #[arg(long)]
    long: bool,
}

/// Does it.
pub async fn run(client: &Client, words: AuditWords, json: bool) -> Result<(), Trouble> {
    let AuditWords { since, object, verb, who, limit, long } = words;
    let found: Audited = client.get("/audit", &AuditQuery { since, object, verb, who, limit }).await?;
    match (json, long) {
        (true, _) => return print_json(&found),
        (false, true) => found.entries.iter().for_each(print_long),
        (false, false) => print(found.entries),
    }
    Ok(())
}

fn print(entries: Vec<Entry>) {
    let columns = [number("no"), text("time (UTC)"), text("who"), text("verb"), text("object"), text("result")];
    let mut table = Table::new(columns);
    for entry in entries {
        let result = entry.why.as_ref().map_or(entry.result.clone(), |why| format!("{}: {why}", entry.result));
        table.row(vec![entry.number.to_string(), time(&entry.when), asker(&entry), entry.verb, entry.object, result]);
    }
    table.print("nobody had this node do anything that matches");
}

/// The kernel's word first, then the asker's own.
fn asker(entry: &Entry) -> String {
    match &entry.unix_user {
        Some(user) if entry.who.split(' ').next() == Some(user) => entry.who.clone(),
        Some(user) => format!("{user} (says: {})", entry.who),
        None => format!("{} from {}", entry.who, entry.from),
    }
}

fn print_long(entry: &Entry) {
    println!("{}  {} (UTC)  {}  {}", entry.number, time(&entry.when), entry.verb, entry.object);
    let mut lines = vec![format!("  who     {}, {}", asker(entry), entry.from), format!("  result  {}", entry.result)];
    lines.extend(entry.why.iter().flat_map(|why| why.lines()).map(|line| format!("          {line}")));
    for (name, value) in [("asked", &entry.asked), ("before", &entry.before), ("after", &entry.after)] {
        let mut shown = value.clone();
        let difference = shown.as_object_mut().and_then(|fields| fields.remove("difference"));
        if !shown.is_null() {
            lines.push(format!("  {name:<8}{}", shown.as_str().map_or_else(|| shown.to_string(), String::from)));
        }
        let difference = difference.as_ref().and_then(Value::as_array).into_iter().flatten();
        lines.extend(difference.filter_map(Value::as_str).map(|line| format!("          {line}")));
    }
    print_lines(&lines);
    println!();
}
