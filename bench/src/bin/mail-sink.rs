//! `mail-sink`: takes mail on loopback, checks it, writes down what came, and says in JSON how much.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bench::args::{Args, Known, refuse};
use bench::sink::{Options, run};
use tokio::signal::unix::{SignalKind, signal};

const PROGRAM: &str = "mail-sink";
const KNOWN: &[Known] = &[
    ("listen", "where, e.g. 127.0.0.1:10026; loopback, or 198.18.0.0/15 in a test's own network"),
    ("count-exit", "end after so many accepted messages; 0: never [0]"),
    ("ledger", "file that gets a line per message before its answer: ID DIGEST ok|BAD|none OUTCOME RECIPIENTS"),
    (
        "mode",
        "accept, refuse421, hang-after-data, tempfail, tempfail-after-data, reject, slow MS, drop-after-dot P, mute [accept]",
    ),
    ("control", "file whose word is the mode, looked at every 100 ms"),
    ("seconds", "hard bound of the run [300]"),
    ("chunking", "offer CHUNKING [off]"),
    ("lmtp", "speak LMTP: one answer per recipient after the dot [off]"),
];

fn main() -> std::process::ExitCode {
    let args = Args::of_process(PROGRAM, KNOWN);
    let mut options = options(&args).unwrap_or_else(|what| refuse(PROGRAM, &what));
    options.orders = match signals_as_bytes() {
        Ok(orders) => Some(orders),
        Err(failed) => refuse(PROGRAM, &failed.to_string()),
    };
    match run(options) {
        Ok(report) => {
            println!("{}", report.json());
            std::process::ExitCode::SUCCESS
        }
        Err(failed) => {
            eprintln!("{PROGRAM}: {failed}");
            std::process::ExitCode::from(2)
        }
    }
}

fn options(args: &Args) -> Result<Options, String> {
    let listen = args.text("listen").ok_or("--listen is missing")?;
    Ok(Options {
        listen: bench::net::loopback(listen)?,
        count_exit: args.value("count-exit", 0)?,
        ledger: args.text("ledger").map(Into::into),
        mode: args.text("mode").unwrap_or("accept").parse()?,
        control: args.text("control").map(Into::into),
        bound: Duration::from_secs_f64(args.value("seconds", 300.0_f64)?.clamp(0.0, 86_400.0)),
        chunking: args.on("chunking"),
        lmtp: args.on("lmtp"),
        orders: None,
    })
}

/// A second thread that sleeps on the signals and turns them into bytes for the one that works.
fn signals_as_bytes() -> std::io::Result<UnixStream> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut term, mut int, mut next) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::user_defined1())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let order = tokio::select! { _ = term.recv() => b'q', _ = int.recv() => b'q', _ = next.recv() => b'm' };
                if ours.write_all(&[order]).is_err() {
                    return;
                }
            }
        });
    });
    Ok(theirs)
}
