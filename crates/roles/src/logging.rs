//! Owns the program's log: tracing to standard error, for people or as JSON. Knows no files: the service manager keeps the log.

use directory::{Log, LogFormat, LogLevel};
use tracing::Level;
use tracing_subscriber::filter::EnvFilter;

/// Starts the log. `POSTHOUSE_LOG` (as tracing's filters, `info,transport=debug`) overrides the level of the document.
/// A second call in one process changes nothing.
pub fn start(settings: &Log) {
    let filter = std::env::var("POSTHOUSE_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    // The resolver and TLS speak of every stranger's mistake; that is the trace's business.
    let level = level(settings.level);
    let default = format!("{level},hickory_proto=error,hickory_resolver=error,hickory_net=error,rustls=error");
    let filter = filter.unwrap_or_else(|| EnvFilter::new(default));
    // A log that cannot be written (its disk is full, its pipe is gone) is lost. Said on the same standard error, that would be a
    // panic, and a panic ends the node: custody is worth more than a line.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false);
    let _ = match settings.format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// A panic is a bug, and nobody knows what it left half done. Custody is in the journal, so the safe answer is to end at once and
/// start again from what is synced (docs/decisions/panic-aborts.md). The message that caused it is counted by the spool and set
/// aside when it does so again.
pub fn abort_on_panic() {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        eprintln!("posthouse: ended by a panic; accepted mail is in the journal, a start goes on with it");
        std::process::abort();
    }));
}
