//! Owns the command line: its words, its help, its exit codes. Everything about a running node goes over the HTTP API.
//!
//! Exit codes: 0 done, 1 not done (the reason is on standard error), 2 not understood, 3 no node answers.

mod audit;
mod client;
mod cluster;
mod dev;
mod directories;
mod familiar;
mod journals;
mod json;
mod messages;
mod node;
mod objects;
mod offline;
mod org;
mod pki;
mod queues;
mod restart;
mod services;
mod start;
mod table;
mod vip;
mod words;
mod zones;

use std::process::ExitCode;

use clap::Parser;

use client::{Client, Trouble};
use cluster::ClusterWords;
use org::OrgWords;
use words::{Cli, Verb};
use zones::DnsWords;

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match words_as_ours() {
        Ok(familiar::Read::Ours(words)) => Cli::parse_from(words),
        Ok(familiar::Read::Say(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(trouble) => {
            eprintln!("posthouse: {trouble}");
            return ExitCode::from(trouble.exit_code());
        }
    };
    let json = cli.json;
    end_quietly_without_a_reader();
    let done = match cli.verb {
        Verb::Start(asked) => return start::run(asked),
        Verb::GuardAddresses => return roles::virtual_address::guard::run(),
        Verb::Version => {
            println!("posthouse {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Verb::Init(asked) => offline::init(asked, json),
        Verb::Check(asked) => offline::check(asked, json),
        Verb::Pki(asked) => pki::run(asked, json),
        Verb::Dev(asked) => dev::run(asked, json),
        Verb::Schema { node } => offline::schema(node),
        Verb::HashPassword { scram } => offline::hash_password(scram),
        Verb::Explain(asked) if asked.documents.any() => offline::explain(asked, json),
        Verb::Dns(DnsWords::Export(asked)) if asked.org.is_some() => zones::export_offline(asked, json),
        Verb::Org(OrgWords::Validate { file, config }) => org::validate(file, config, json),
        verb => over_the_api(cli.url, verb, json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("posthouse: {trouble}");
            ExitCode::from(trouble.exit_code())
        }
    }
}

/// The command line, familiar verbs in the words of ours.
fn words_as_ours() -> Result<familiar::Read, Trouble> {
    let words: Result<Vec<String>, _> = std::env::args_os().map(std::ffi::OsString::into_string).collect();
    let not_text = |word: std::ffi::OsString| Trouble::Usage(format!("{} is not UTF-8", word.display()));
    familiar::read(words.map_err(not_text)?)
}

/// `posthouse queue list | head`: the reader has seen enough. `println!` knows no other way than a panic to say so.
fn end_quietly_without_a_reader() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(NO_READER);
        }
        report(panic);
    }));
}

/// As if SIGPIPE had ended it.
const NO_READER: i32 = 128 + 13;

fn over_the_api(url: Option<String>, verb: Verb, json: bool) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::Failed(format!("no runtime: {error}")))?;
    let client = Client::new(url)?;
    runtime.block_on(async {
        match verb {
            Verb::Status => node::status(&client, json).await,
            Verb::Health { patience_ms } => node::health(&client, patience_ms, json).await,
            Verb::Audit(words) => audit::run(&client, words, json).await,
            Verb::Fields(words) => familiar::fields::run(&client, words, json).await,
            Verb::Trace(query) => node::trace(&client, query.into(), json).await,
            Verb::Explain(asked) => node::explain(&client, asked, json).await,
            Verb::Config => node::config(&client, json).await,
            Verb::Reload => node::reload(&client, json).await,
            Verb::Restart => restart::run(&client, json).await,
            Verb::Cluster(ClusterWords::Status) => cluster::status(&client, json).await,
            Verb::Node(verb) => cluster::node(&client, verb, json).await,
            Verb::Directory(verb) => directories::run(&client, verb, json).await,
            Verb::Service(verb) => services::run(&client, verb, json).await,
            Verb::Dns(verb) => zones::run(&client, verb, json).await,
            Verb::Queue(verb) => queues::run(&client, verb, json).await,
            Verb::Message(verb) => messages::run(&client, verb, json).await,
            Verb::Org(verb) => org::run(&client, verb, json).await,
            Verb::Journal(verb) => journals::run(&client, verb, json).await,
            Verb::Vip(verb) => vip::run(&client, verb, json).await,
            Verb::Start(_)
            | Verb::Init(_)
            | Verb::Check(_)
            | Verb::Pki(_)
            | Verb::Dev(_)
            | Verb::Schema { .. }
            | Verb::HashPassword { .. }
            | Verb::GuardAddresses
            | Verb::Version => Ok(()),
        }
    })
}
