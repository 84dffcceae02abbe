//! `posthouse pki`: the organization's own authority. Works on files, needs no node.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use roles::pki::{Entry, Order, Pki, PkiError, SOON_DAYS, Written};
use serde::Serialize;

use super::client::Trouble;
use super::json::print_json;
use super::table::{Table, number, text, time};

/// What is done with certificates.
#[derive(Args)]
pub struct PkiWords {
    /// The authority's directory; it holds the key that everything rests on: back it up, and keep it off the nodes
    #[arg(long, global = true, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    #[command(subcommand)]
    verb: PkiVerb,
}

#[derive(Subcommand)]
enum PkiVerb {
    /// Make the organization's authority: a key and a certificate that is valid for ten years
    Init {
        /// The organization's name, as certificates show it
        #[arg(long, value_name = "NAME")]
        organization: String,
        /// Days that it is valid [default: 3653]
        #[arg(long, value_name = "N")]
        days: Option<u32>,
    },
    /// Make key and certificate of a node; copy the folder DIR/nodes/NODE to that node
    Issue(NodeWords),
    /// Make a certificate that is valid longer; copy it over the old one, the node sees it by itself
    Renew {
        #[command(flatten)]
        node: NodeWords,
        /// With a new key as well: then copy key.pem too
        #[arg(long)]
        new_key: bool,
    },
    /// Show all certificates; exit code 1 if one is to be renewed, so that cron can tell
    List {
        /// Days before its end at which a certificate is to be renewed
        #[arg(long, value_name = "N", default_value_t = SOON_DAYS)]
        soon: u32,
    },
}

#[derive(Args)]
struct NodeWords {
    /// The node, by the name in its posthouse.toml
    node: String,
    /// Another name or address that the certificate is for; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Days that it is valid [default: 365]
    #[arg(long, value_name = "N")]
    days: Option<u32>,
}

/// What stands below the help of `posthouse pki`.
pub const EXAMPLES: &str = "A cluster of two, from the start:
  posthouse pki init --organization 'Example Ltd'      once, on an administrator's machine
  posthouse pki issue mx1.example.org --address 10.0.0.1
  posthouse pki issue mx2.example.org --address 10.0.0.2
  scp -r pki/nodes/mx1.example.org mx1:/etc/posthouse/peers
and in posthouse.toml of mx1:
  [peers]
  listen = \"10.0.0.1:2526\"
  certificate = \"peers/certificate.pem\"
  key = \"peers/key.pem\"
  ca = \"peers/ca.pem\"
Each month, from cron:
  posthouse pki list || posthouse pki renew mx1.example.org";

/// Runs one.
pub fn run(asked: PkiWords, json: bool) -> Result<(), Trouble> {
    let pki = Pki::at(asked.dir);
    match asked.verb {
        PkiVerb::Init { organization, days } => {
            let written = pki.init(&organization, days).map_err(failed)?;
            let next = "Back up the key. Next: posthouse pki issue NODE";
            show(&written, json, &format!("the authority of {}", written.name), next)
        }
        PkiVerb::Issue(node) => {
            let written = pki.issue(&node.into()).map_err(failed)?;
            let next = "Copy these files to the node; [peers] in its posthouse.toml names them.";
            show(&written, json, &format!("the certificate of {}", written.name), next)
        }
        PkiVerb::Renew { node, new_key } => {
            let written = pki.renew(&node.into(), new_key).map_err(failed)?;
            let next = "Copy it over the old one; the node takes it within 30 seconds, without a restart.";
            show(&written, json, &format!("the certificate of {}", written.name), next)
        }
        PkiVerb::List { soon } => list(&pki.list(soon).map_err(failed)?, json),
    }
}

impl From<NodeWords> for Order {
    fn from(NodeWords { node, address, days }: NodeWords) -> Order {
        Order { node, addresses: address, days }
    }
}

fn show(written: &Written, json: bool, what: &str, next: &str) -> Result<(), Trouble> {
    if json {
        return print_json(written);
    }
    println!("{what} is valid until {} (UTC)", time(&written.valid_until));
    written.files.iter().for_each(|file| println!("  {file}"));
    println!("{next}");
    Ok(())
}

#[derive(Serialize)]
struct Certificates<'a> {
    certificates: &'a [Entry],
}

fn list(entries: &[Entry], json: bool) -> Result<(), Trouble> {
    if json {
        print_json(&Certificates { certificates: entries })?;
    } else {
        let columns = [text("name"), text("kind"), text("state"), number("days left"), text("valid until (UTC)")];
        let mut table = Table::new(columns.into_iter().chain([text("serial"), text("also for")]).collect::<Vec<_>>());
        for entry in entries {
            table.row(vec![
                entry.name.clone(),
                entry.kind.clone(),
                entry.state.clone(),
                entry.days_left.to_string(),
                time(&entry.valid_until),
                entry.serial.clone(),
                entry.addresses.join(" "),
            ]);
        }
        table.print("no certificates");
    }
    let care: Vec<&Entry> = entries.iter().filter(|entry| entry.needs_care).collect();
    if care.is_empty() {
        return Ok(());
    }
    let line = |entry: &&Entry| match entry.kind.as_str() {
        "ca" => format!("the authority: {}; see docs/operating/certificates-of-nodes.md", entry.state),
        _ => format!("{}: {}; posthouse pki renew {}", entry.name, entry.state, entry.name),
    };
    Err(Trouble::Failed(care.iter().map(line).collect::<Vec<_>>().join("\nposthouse: ")))
}

fn failed(error: PkiError) -> Trouble {
    Trouble::Failed(error.to_string())
}
