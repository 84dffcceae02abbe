//! `posthouse start`: runs a node and tells what to type next.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use roles::control::Control;
use roles::view::Status;
use roles::{Ended, Launcher, Start};

use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::words::StartWords;
use crate::http;

/// Runs until the node has ended.
pub fn run(asked: StartWords) -> ExitCode {
    let launcher = Launcher::of_this_process();
    let embedded = asked.org.is_none() && asked.relay_to.is_empty();
    let start = Start {
        config: asked.config,
        org: asked.org,
        relay_to: asked.relay_to,
        data: asked.data,
        http: asked.http,
        smtp: asked.smtp,
        submission: asked.submission,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_IDLE)
        .thread_name("posthouse")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("posthouse: no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        let mut node = roles::start(start, asked.succeed, launcher.clone()).await?;
        let control = Control::of(&node);
        if !asked.succeed {
            print!("{}", banner(&control.pulse(), embedded));
        }
        let ends = Arc::new(Notify::new());
        let told = ends.clone();
        let serving = node
            .take_http()
            .map(|listener| tokio::spawn(http::serve(listener, control, async move { told.notified().await })));
        let ended = node.run().await;
        if let (Ended::Yielded(_), Some(serving)) = (&ended, serving) {
            // Whoever asked for the restart shall hear that it has begun. Who comes now asks the next process.
            ends.notify_one();
            let _ = timeout(ANSWERS_MAX, serving).await;
        }
        Ok::<Ended, roles::StartError>(ended)
    });
    end(ended, runtime, &launcher)
}

/// Ends as the node has ended.
fn end(ended: Result<Ended, roles::StartError>, runtime: Runtime, launcher: &Launcher) -> ExitCode {
    match ended {
        Ok(Ended::Orderly) => {
            runtime.shutdown_timeout(SHUTDOWN_MAX);
            ExitCode::SUCCESS
        }
        Ok(Ended::Deposed) => {
            eprintln!(
                "posthouse: another node has taken this node's journal over; this node starts again: it takes mail, and delivers \
                 what that node cannot have"
            );
            runtime.shutdown_timeout(SHUTDOWN_MAX);
            again(launcher)
        }
        Ok(Ended::HandedOver) => {
            eprintln!("posthouse: handed over; it stays down until somebody starts it");
            runtime.shutdown_timeout(SHUTDOWN_MAX);
            ExitCode::from(HANDED_OVER)
        }
        Ok(Ended::NotHandedOver) => {
            eprintln!("posthouse: not handed over; this node starts again and goes on");
            runtime.shutdown_timeout(SHUTDOWN_MAX);
            again(launcher)
        }
        Ok(Ended::Yielded(leaving)) => {
            // Nothing of the node goes on but the threads that relay.
            runtime.shutdown_timeout(SHUTDOWN_MAX);
            match leaving.conclude() {
                Ok(()) => ExitCode::SUCCESS,
                Err(what) => {
                    eprintln!("posthouse: {what}");
                    ExitCode::from(AGAIN)
                }
            }
        }
        // Somebody asked twice: nothing is waited for. What was promised is in the journal.
        Ok(Ended::AtOnce) => std::process::exit(1),
        Err(error) => {
            let why = error.to_string();
            for line in why.lines() {
                eprintln!("posthouse: {line}");
            }
            launcher.tell_predecessor(&why);
            runtime.shutdown_background();
            ExitCode::FAILURE
        }
    }
}

/// The same program with the same arguments takes the place of this process: nothing of the old life is kept but its number. Where that
/// fails (the program was replaced), the exit code says that it is to be started again.
fn again(launcher: &Launcher) -> ExitCode {
    eprintln!("posthouse: cannot start again by itself: {}", launcher.exec(false, &[]));
    ExitCode::from(AGAIN)
}

/// What a person wants to know who has just started a node.
fn banner(status: &Status, embedded: bool) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "posthouse".into());
    let mut text = format!("Posthouse {}: {} takes mail (process {})\n\n", status.version, status.name, status.pid);
    for listener in &status.listeners {
        let unbound = if listener.unbound.is_some() { "  NOT YET: this machine has no such address" } else { "" };
        text += &format!("  {:<12}{}{unbound}\n", listener.protocol, listener.address);
    }
    text += &format!("  {:<12}http://{}/\n", "page, API", status.http);
    text += &format!("  {:<12}{}\n", "data", status.data);
    for domain in &status.domains {
        text += &format!("  {:<12}*@{domain}\n", "keeps");
    }
    if embedded {
        text += "  everything else is refused as relay denied\n";
    }
    let smtp = status
        .listeners
        .iter()
        .find(|listener| listener.protocol == "smtp" && listener.unbound.is_none())
        .map(|listener| &listener.address);
    if let Some(smtp) = smtp {
        let domain = status.domains.first().and_then(|domain| domain.split(' ').next()).unwrap_or("example.org");
        let to = format!("bob@{domain}");
        text += &format!(
            "\nSend a message:\n  swaks --server {smtp} --to {to}\n  printf 'Subject: hello\\r\\n\\r\\nHello.\\r\\n' | \
             curl -sS smtp://{smtp} --mail-from me@example.org --mail-rcpt {to} -T -\n\
             See what became of it:\n  {program} trace --to {to}{}\n",
            url_option(status)
        );
    }
    text += &format!("Look at it:\n  {program} status{}\nStop it: Ctrl-C or SIGTERM.\n\n", url_option(status));
    text
}

/// Nothing where the command line looks anyway.
fn url_option(status: &Status) -> String {
    if status.http == "127.0.0.1:8025" { String::new() } else { format!(" --url http://{}", status.http) }
}

/// Reads that block; more of them wait for a thread.
const BLOCKING_THREADS_MAX: usize = 16;
/// A thread keeps memory of its own: what was needed for a burst goes soon.
const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(2);
/// Longest wait for answers of the API that are under way when another process takes this one's place: some have no end.
const ANSWERS_MAX: Duration = Duration::from_secs(1);
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// EX_TEMPFAIL of sysexits: to be started again.
pub const AGAIN: u8 = 75;
/// Not to be started again by itself; `dist/posthouse.service` knows it.
pub const HANDED_OVER: u8 = 77;
