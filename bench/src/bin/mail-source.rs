//! `mail-source`: sends numbered messages to a server on loopback and says in JSON how it went.

use std::time::Duration;

use bench::args::{Args, Known, refuse};
use bench::source::{Options, Pipelining, run};

const PROGRAM: &str = "mail-source";
const KNOWN: &[Known] = &[
    ("to", "the server, e.g. 127.0.0.1:2525; loopback, or 198.18.0.0/15 in a test's own network"),
    ("sessions", "parallel sessions [1]"),
    ("messages", "messages in all; 0: as many as fit in --seconds [1]"),
    ("size", "bytes of each body [10240]"),
    ("per-connection", "messages per connection: all, or a number [all]"),
    ("pipelining", "when offered: off, on (MAIL, RCPT, DATA in one write), full (the next ones with the dot) [on]"),
    ("lmtp", "speak LMTP [off]"),
    ("from", "envelope sender; may be empty [bench@src.example]"),
    ("rcpt", "envelope recipient; {n} the message's number, {r} the recipient's [user@dst.example]"),
    ("recipients", "recipients per message [1]"),
    ("id-prefix", "what the ids begin with [m]"),
    ("ledger", "file that gets a line per promise: ID DIGEST CODE TEXT"),
    ("doubts", "file that gets a line per connection lost between dot and answer: ID DIGEST"),
    ("seconds", "hard bound of the run [60]"),
    ("reconnect", "retry the same message after a lost connection or a 4xx [off]"),
    ("rate", "messages per second in all; 0: no limit [0]"),
    ("auth-plain", "log on on each connection: base64 of NUL NAME NUL PASSWORD"),
];

fn main() -> std::process::ExitCode {
    let args = Args::of_process(PROGRAM, KNOWN);
    let options = options(&args).unwrap_or_else(|what| refuse(PROGRAM, &what));
    let wanted = options.messages;
    match run(options) {
        Ok(report) => {
            println!("{}", report.json());
            std::process::ExitCode::from(u8::from(report.acked < wanted))
        }
        Err(failed) => {
            eprintln!("{PROGRAM}: {failed}");
            std::process::ExitCode::from(2)
        }
    }
}

fn options(args: &Args) -> Result<Options, String> {
    let to = args.text("to").ok_or("--to is missing")?;
    let per_connection = match args.text("per-connection") {
        Some("all") => 0,
        _ => args.value("per-connection", 0)?,
    };
    Ok(Options {
        to: bench::net::loopback(to)?,
        sessions: args.value("sessions", 1)?,
        messages: args.value("messages", 1)?,
        size: args.value("size", 10_240)?,
        per_connection,
        pipelining: args.value("pipelining", Pipelining::On)?,
        lmtp: args.on("lmtp"),
        from: args.text("from").unwrap_or("bench@src.example").to_owned(),
        rcpt: args.text("rcpt").unwrap_or("user@dst.example").to_owned(),
        recipients: args.value("recipients", 1)?,
        id_prefix: args.text("id-prefix").unwrap_or("m").to_owned(),
        ledger: args.text("ledger").map(Into::into),
        doubts: args.text("doubts").map(Into::into),
        bound: Duration::from_secs_f64(args.value("seconds", 60.0_f64)?.clamp(0.0, 86_400.0)),
        reconnect: args.on("reconnect"),
        rate: args.value("rate", 0.0)?,
        auth_plain: args.text("auth-plain").map(str::to_owned),
    })
}
