//! The organization document of a cluster: compared, applied, its history. The check of a document needs no node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use roles::control::{OrgComparison, OrgProposal, OrgRollback};
use roles::offline;
use roles::view::{Org, OrgApplied, OrgDifference, OrgNode, OrgText, OrgVersion};

use super::client::{Client, Trouble};
use super::json::print_json;
use super::objects::{self, ObjectWords};
use super::table::{Table, number, text, time};
use crate::api::{OrgDocument, OrgHistory};

/// What is done with the organization document.
#[derive(Subcommand)]
pub enum OrgWords {
    /// Check a document without a node: would it be applied?
    Validate {
        /// The document
        file: PathBuf,
        /// Node document, for its name and for the files that the organization document names
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show the document that counts, and what runs where
    Show {
        /// An older version
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        /// Print the document and nothing else, to be edited and applied again
        #[arg(long)]
        text: bool,
    },
    /// Compare a document with the version that counts; or two versions [default: the last one with the one before it]
    Diff {
        /// The document
        #[arg(conflicts_with = "to")]
        file: Option<PathBuf>,
        /// From this version on
        #[arg(long, value_name = "N")]
        from: Option<u64>,
        /// Up to this version
        #[arg(long, value_name = "N")]
        to: Option<u64>,
    },
    /// Make a document the next version, for all nodes at once
    #[command(after_help = APPLY)]
    Apply {
        /// The document
        file: PathBuf,
        /// How it is put into the history
        #[command(flatten)]
        note: Note,
        /// The version that it was made from [default: the one that counts now]
        #[arg(long, value_name = "N")]
        base: Option<u64>,
    },
    /// The versions that are kept: when, who, why; and what the nodes run
    History,
    /// Single objects of the document: connectors, domains, users, ...
    #[command(flatten)]
    Object(ObjectWords),
    /// Make an older version count again, under a new number
    Rollback {
        /// The older version
        version: u64,
        /// How it is put into the history
        #[command(flatten)]
        note: Note,
    },
}

/// Who and why.
#[derive(Args)]
pub struct Note {
    /// Why, in a sentence: it stands in the history
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who [default: the login name]
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
}

/// What somebody does who has never done it.
pub const EXAMPLES: &str = "The first time:
  posthouse org validate org.toml
  posthouse org apply org.toml --why \"the first one\"
After that:
  posthouse org show --text > org.toml                 passwords are (hidden) and stay so
  $EDITOR org.toml
  posthouse org diff org.toml                          says which version it is compared with
  posthouse org apply org.toml --base 7 --why \"a second smart host\"
  posthouse org history
  posthouse org rollback 7 --why \"the smart host refuses us\"
One thing only:
  posthouse org set send_connector out cost=20 --why \"the second one first\"
Without [cluster] in posthouse.toml: edit org.toml, then posthouse reload; get, new, set and remove do both.";

const APPLY: &str =
    "The node that is asked checks the document. If it is sound, it gets the next number in etcd, and every node
takes it within a second or so; connections go on. A node that cannot (a port is in use) keeps what it
has and says so: here, in posthouse status and posthouse org history, and in its log.
With --base, nothing is applied if somebody has applied another version meanwhile.";

/// `posthouse org validate`
pub fn validate(file: PathBuf, config: Option<PathBuf>, json: bool) -> Result<(), Trouble> {
    super::offline::check(super::words::Documents { config, org: Some(file) }, json)
}

/// `posthouse org ...`
pub async fn run(client: &Client, verb: OrgWords, json: bool) -> Result<(), Trouble> {
    match verb {
        // Done without a node, see `validate`.
        OrgWords::Validate { .. } => Ok(()),
        OrgWords::Show { version: None, text } => show(client, text, json).await,
        OrgWords::Show { version: Some(version), text: bare } => {
            let of: OrgText = client.get(&format!("/org/history/{version}"), &()).await?;
            if json {
                return print_json(&of);
            }
            print_document(&of, bare);
            Ok(())
        }
        OrgWords::Diff { file, from, to } => diff(client, file.as_deref(), from, to, json).await,
        OrgWords::Apply { file, note, base } => apply(client, &file, note, base, json).await,
        OrgWords::History => history(client, json).await,
        OrgWords::Object(words) => objects::run(client, words, json).await,
        OrgWords::Rollback { version, note } => rollback(client, version, note, json).await,
    }
}

async fn show(client: &Client, bare: bool, json: bool) -> Result<(), Trouble> {
    let of: OrgDocument = client.get("/org", &()).await?;
    if json {
        return print_json(&of);
    }
    if let (Some(state), false) = (&of.state, bare) {
        print_state(state, "# ");
    }
    print_document(&of.document, bare);
    Ok(())
}

fn print_document(of: &OrgText, bare: bool) {
    if let (Some(OrgVersion { version, who, when, why }), false) = (&of.version, bare) {
        println!("# version {version}, applied {} (UTC) by {who}: {why}", time(when));
    }
    print!("{}", of.text);
}

/// What runs on the node that was asked, and what is wrong with that. Also a part of `posthouse status`.
pub fn print_state(org: &Org, head: &str) {
    let of = |version: &Option<OrgVersion>| match version {
        Some(OrgVersion { version, who, when, why }) => {
            format!("version {version} of {} (UTC), by {who}: {why}", time(when))
        }
        None => format!(
            "no version of etcd's; the document is {}",
            if org.source == "file" { "a file" } else { "built in" }
        ),
    };
    println!("{head}organization: runs {}", of(&org.runs));
    if let (Some(counts), true) = (&org.counts, org.runs != org.counts) {
        println!("{head}  version {} counts, by {}: {}", counts.version, counts.who, counts.why);
    }
    org.refused.iter().for_each(|why| println!("{head}  IT DOES NOT RUN HERE: {why}"));
    org.notes.iter().for_each(|note| println!("{head}  {note}"));
}

async fn diff(
    client: &Client,
    file: Option<&Path>,
    from: Option<u64>,
    to: Option<u64>,
    json: bool,
) -> Result<(), Trouble> {
    let (text, name) = match file {
        Some(file) => (Some(read(file)?), file.display().to_string()),
        None => (None, String::new()),
    };
    let of: OrgDifference = client.post("/org/diff", &OrgComparison { from, to, text, name }).await?;
    if json {
        return print_json(&of);
    }
    print_difference(&of);
    of.checked.warnings.iter().for_each(|line| println!("{line}"));
    if !of.checked.problems.is_empty() {
        return Err(Trouble::Failed(format!("it would not be applied:\n{}", of.checked.problems.join("\n"))));
    }
    if let (Some(file), false) = (file, of.difference.is_empty()) {
        println!(
            "posthouse org apply {} --base {} --why \"...\" makes it version {}",
            file.display(),
            of.base,
            of.base + 1
        );
    }
    Ok(())
}

fn print_difference(of: &OrgDifference) {
    if of.difference.is_empty() {
        println!("{} and {} say the same", of.from, of.to);
        return;
    }
    println!("--- {}\n+++ {}", of.from, of.to);
    print_lines(&of.difference);
}

/// Lines of a document. What somebody wrote into it must not move the cursor.
pub fn print_lines(lines: &[String]) {
    let plain = |line: &String| line.replace(|c: char| c.is_control() && c != '\t', " ");
    lines.iter().for_each(|line| println!("{}", plain(line)));
}

async fn apply(client: &Client, file: &Path, note: Note, base: Option<u64>, json: bool) -> Result<(), Trouble> {
    let (text, name) = (read(file)?, file.display().to_string());
    let comparison = OrgComparison { text: Some(text.clone()), name: name.clone(), ..OrgComparison::default() };
    let of: OrgDifference = client.post("/org/diff", &comparison).await?;
    if !json && of.checked.problems.is_empty() {
        print_difference(&of);
    }
    let base = base.unwrap_or(of.base);
    let who = note.who.unwrap_or_else(|| client.login().into());
    let applied = client.post("/org", &OrgProposal { text, name, base, who, why: note.why }).await?;
    tell(client, &applied, json).await
}

async fn rollback(client: &Client, version: u64, note: Note, json: bool) -> Result<(), Trouble> {
    let comparison = OrgComparison { to: Some(version), ..OrgComparison::default() };
    let last: OrgDifference = client.post("/org/diff", &comparison).await?;
    if !json && last.base > 0 {
        let comparison = OrgComparison { from: Some(last.base), ..comparison };
        print_difference(&client.post("/org/diff", &comparison).await?);
    }
    let who = note.who.unwrap_or_else(|| client.login().into());
    let asked = OrgRollback { to: version, base: last.base, who, why: note.why };
    let applied = client.post("/org/rollback", &asked).await?;
    tell(client, &applied, json).await
}

/// What was made, and what the nodes make of it.
async fn tell(client: &Client, applied: &OrgApplied, json: bool) -> Result<(), Trouble> {
    if json {
        return print_json(applied);
    }
    applied.warnings.iter().for_each(|line| println!("{line}"));
    let OrgVersion { version, who, why, .. } = &applied.version;
    if applied.unchanged {
        println!("nothing was applied: version {version} says the same");
        return Ok(());
    }
    println!("version {version} counts now, by {who}: {why}");
    told(client, *version).await
}

/// What the nodes make of a version.
pub async fn told(client: &Client, version: u64) -> Result<(), Trouble> {
    let nodes = settled(client, version).await?;
    print_nodes(&nodes, Some(version));
    Ok(())
}

/// What the nodes run, once all of them have taken the version or said why not, or after a while.
async fn settled(client: &Client, version: u64) -> Result<Vec<OrgNode>, Trouble> {
    let mut nodes = Vec::new();
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK).await;
        let of: OrgDocument = client.get("/org", &()).await?;
        nodes = of.state.map(|state| state.nodes).unwrap_or_default();
        if !nodes.is_empty() && nodes.iter().all(|node| node.runs >= version || node.refused.is_some()) {
            break;
        }
    }
    Ok(nodes)
}

/// What each node runs; of interest above all where it is not `counts`.
fn print_nodes(nodes: &[OrgNode], counts: Option<u64>) {
    let mut table = Table::new([text("node"), number("runs"), text("")]);
    for OrgNode { node, runs, refused } in nodes {
        let runs_it = counts.is_none_or(|counts| *runs == counts);
        let note = match refused {
            Some(why) => why.replace('\n', "; "),
            None if runs_it => String::new(),
            None => "not yet".into(),
        };
        table.row(vec![node.clone(), if *runs == 0 { "-".into() } else { runs.to_string() }, note]);
    }
    table.print("no node is to be seen in etcd");
}

async fn history(client: &Client, json: bool) -> Result<(), Trouble> {
    let OrgHistory { versions } = client.get("/org/history", &()).await?;
    if json {
        return print_json(&OrgHistory { versions });
    }
    let counts = versions.first().map(|newest| newest.version);
    let mut table = Table::new([number("version"), text("applied (UTC)"), text("who"), text("why")]);
    for OrgVersion { version, who, when, why } in versions {
        table.row(vec![version.to_string(), time(&when), who, why]);
    }
    table.print("etcd has no organization document yet; posthouse org apply FILE --why TEXT makes one");
    let of: OrgDocument = client.get("/org", &()).await?;
    if let Some(state) = of.state {
        println!();
        print_nodes(&state.nodes, counts);
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, Trouble> {
    offline::read_file(file).map_err(|error| Trouble::Usage(format!("{}: {error}", file.display())))
}

/// Some seconds in all: a node that is slower says so in the history.
const LOOKS: u32 = 25;
const LOOK: Duration = Duration::from_millis(200);
