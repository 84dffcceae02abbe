//! `posthouse dns`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use roles::offline::{self, Document};
use roles::view::{Zone, ZoneCheck, ZoneFile, ZonePush, ZoneStep, Zones};

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::table::{Table, number, text};
use crate::api::{ZoneCheckQuery, ZoneFileQuery, ZonePushQuery};

/// What is done with zones.
#[derive(Subcommand)]
pub enum DnsWords {
    /// All zones: which version is answered, what is withheld and why, how pushes go
    List,
    /// Print a zone file: of an organization document (--org), or of the running node
    Export(ExportWords),
    /// Write a zone to the name server of its `push` key: only the difference, only what is ours there
    Push {
        /// The zone [default: every zone that has push]
        zone: Option<String>,
        /// Show what would be written, and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Take over records of others under names and types of ours
        #[arg(long)]
        overwrite: bool,
    },
    /// Compare what the world sees of a zone with what we want: exit code 1 if there are problems
    Check {
        /// The zone [default: every zone]
        zone: Option<String>,
        /// Ask these name servers, and not those that the parent zone names
        #[arg(long = "server", value_name = "IP[:PORT]")]
        servers: Vec<String>,
        /// Find the parent zone and the names of addresses by these resolvers [default: those of the node]
        #[arg(long = "resolver", value_name = "IP[:PORT]")]
        resolvers: Vec<String>,
    },
}

/// What is exported.
#[derive(Args)]
pub struct ExportWords {
    /// The zone [default: every zone]
    pub zone: Option<String>,
    /// As it is answered by health now
    #[arg(long)]
    pub now: bool,
    /// An organization document instead of the running node
    #[arg(long, value_name = "FILE", conflicts_with = "now")]
    pub org: Option<PathBuf>,
    /// The node document beside it
    #[arg(long, value_name = "FILE", requires = "org")]
    pub config: Option<PathBuf>,
}

/// Examples for the help.
pub const EXAMPLES: &str = "Examples:\n  posthouse dns export --org org.toml example.org > example.org.zone\n  posthouse dns push example.org --dry-run\n  \
                            posthouse dns check example.org --server 192.0.2.53";

/// `posthouse dns export --org FILE`
pub fn export_offline(asked: ExportWords, json: bool) -> Result<(), Trouble> {
    let files = offline::zone_files(Document { config: asked.config, org: asked.org }, asked.zone.as_deref());
    print_files(&files.map_err(Trouble::Failed)?, json)
}

/// Does it.
pub async fn run(client: &Client, verb: DnsWords, json: bool) -> Result<(), Trouble> {
    match verb {
        DnsWords::List => {
            let all: Zones = client.get("/zones", &()).await?;
            if json {
                return print_json(&all);
            }
            list(&all.document);
            Ok(())
        }
        DnsWords::Export(asked) => {
            let mut files: Vec<ZoneFile> = Vec::new();
            for zone in zones(client, asked.zone, |_| true).await? {
                files.push(
                    client.get(&format!("/zones/{}/file", segment(&zone)), &ZoneFileQuery { now: asked.now }).await?,
                );
            }
            print_files(&files, json)
        }
        DnsWords::Push { zone, dry_run, overwrite } => {
            let zones = zones(client, zone, |zone| zone.push.is_some()).await?;
            if zones.is_empty() {
                println!("no zone has push: set push and push_key of a zone");
            }
            let mut wrong = Vec::new();
            for zone in zones {
                let path = format!("/zones/{}/push", segment(&zone));
                let query = ZonePushQuery { overwrite };
                let done: ZonePush = match dry_run {
                    true => client.get(&path, &query).await?,
                    false => client.post(&format!("{path}?overwrite={overwrite}"), &()).await?,
                };
                if json {
                    print_json(&done)?
                } else {
                    print_push(&done, dry_run)
                }
                wrong.extend(done.not_taken.iter().map(|set| format!("{set} was not taken")));
                let kept = done.steps.iter().filter(|step| matches!(&*step.what, "foreign" | "meddled"));
                wrong.extend(
                    kept.map(|step| format!("{} stays as somebody else has it; --overwrite takes it over", step.set)),
                );
            }
            if wrong.is_empty() { Ok(()) } else { Err(Trouble::Failed(wrong.join("\nposthouse: "))) }
        }
        DnsWords::Check { zone, servers, resolvers } => {
            let list = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(","));
            let query = ZoneCheckQuery { server: list(servers), resolver: list(resolvers) };
            let mut problems = 0;
            for zone in zones(client, zone, |_| true).await? {
                let checked: ZoneCheck = client.get(&format!("/zones/{}/check", segment(&zone)), &query).await?;
                if json {
                    print_json(&checked)?
                } else {
                    print_check(&checked)
                }
                problems += checked.findings.iter().filter(|finding| finding.grade == "problem").count();
            }
            if problems == 0 { Ok(()) } else { Err(Trouble::Failed(format!("{problems} problems"))) }
        }
    }
}

/// The zone that is named, or all that fit.
async fn zones(client: &Client, named: Option<String>, fits: impl Fn(&Zone) -> bool) -> Result<Vec<String>, Trouble> {
    if let Some(name) = named {
        return Ok(vec![name]);
    }
    let all: Zones = client.get("/zones", &()).await?;
    Ok(all.document.into_iter().filter(fits).map(|zone| zone.name).collect())
}

fn list(all: &[Zone]) {
    let mut table = Table::new(vec![
        text("zone"),
        text("answered here"),
        number("serial"),
        number("records"),
        number("withheld"),
        text("pushed to"),
    ]);
    for zone in all {
        table.row(vec![
            zone.name.clone(),
            if zone.served { "yes" } else { "no" }.into(),
            zone.serial.map_or_else(|| "-".into(), |serial| serial.to_string()),
            zone.records.to_string(),
            zone.withheld.len().to_string(),
            zone.push.as_ref().map_or_else(|| "-".into(), |push| push.server.clone()),
        ]);
    }
    table.print("no zone: the organization document has no [[zone]]");
    for zone in all {
        zone.withheld.iter().for_each(|line| println!("not answered: {line}"));
        zone.all_down
            .iter()
            .for_each(|set| println!("{set}: nothing that it hangs on is up, so all of it is answered"));
        if let Some(wrong) = zone.push.as_ref().and_then(|push| push.wrong.as_ref()) {
            println!("{}: not pushed as it should be: {wrong}", zone.name);
        }
    }
}

fn print_files(files: &[ZoneFile], json: bool) -> Result<(), Trouble> {
    if json {
        return print_json(&files);
    }
    files.iter().for_each(|file| print!("{}", file.text));
    Ok(())
}

fn print_push(done: &ZonePush, dry_run: bool) {
    let held = |data: &[String]| if data.is_empty() { "nothing".into() } else { data.join(", ") };
    for ZoneStep { what, set, before, after } in &done.steps {
        match &**what {
            "add" => println!("{}: add {set}: {}", done.zone, held(after)),
            "remove" => println!("{}: remove {set}: {}", done.zone, held(before)),
            "adopt" => println!("{}: {set} is there already and becomes ours", done.zone),
            "replace" => println!("{}: replace {set}: {} by {}", done.zone, held(before), held(after)),
            "foreign" => {
                println!("{}: keep {set}: {} is somebody else's (we want {})", done.zone, held(before), held(after))
            }
            _ => println!(
                "{}: keep {set}: somebody else has made it {} (we want {})",
                done.zone,
                held(before),
                held(after)
            ),
        }
    }
    match (done.sent, dry_run) {
        (true, _) => println!("{}: pushed to {}", done.zone, done.server),
        (false, true) if !done.steps.is_empty() => println!("{}: nothing was written", done.zone),
        _ => println!("{}: {} has nothing to change", done.zone, done.server),
    }
}

fn print_check(checked: &ZoneCheck) {
    checked.servers.iter().for_each(|server| println!("{}: asked {server}", checked.zone));
    for finding in &checked.findings {
        println!("{}: {}: {}\n    {}", checked.zone, finding.grade, finding.what, finding.advice);
    }
    if checked.findings.is_empty() {
        println!("{}: as it should be", checked.zone);
    }
}
