//! `journal-bench`: durable appends of many writers on one journal against the raw batch write of the same run.

use std::io;
use std::time::Duration;

use bench::appends::{Load, Rate, Writers, journal_appends, raw_batches, recover};
use bench::args::{Args, Known, refuse};

const PROGRAM: &str = "journal-bench";
const KNOWN: &[Known] = &[
    ("dir", "a directory on the file system to be measured [.]"),
    ("writers", "tasks that append, each with one record under way [64]"),
    ("threads", "threads that drive them [2]"),
    ("size", "bytes of each record [4096]"),
    ("batch", "records of each raw write [32]"),
    ("seconds", "length of each run [3]"),
    ("warm-up", "seconds before each run that do not count [1]"),
    ("runs", "runs of each, in turn; the medians are compared [3]"),
    ("records", "instead: fill a journal with so many records and time its opening"),
];

fn main() -> std::process::ExitCode {
    let args = Args::of_process(PROGRAM, KNOWN);
    let job = read(&args).unwrap_or_else(|what| refuse(PROGRAM, &what));
    let done = match job.recover {
        0 => compare(&job),
        records => recover(&job.load, records).map(|recovery| println!("{}", recovery.json())),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{PROGRAM}: {failed}");
            std::process::ExitCode::from(2)
        }
    }
}

struct Job {
    load: Load,
    writers: Writers,
    batch: usize,
    runs: usize,
    recover: u64,
}

fn read(args: &Args) -> Result<Job, String> {
    let seconds = |name: &str, default: f64| -> Result<Duration, String> {
        Ok(Duration::from_secs_f64(args.value(name, default)?.clamp(0.0, 600.0)))
    };
    Ok(Job {
        load: Load {
            dir: args.text("dir").unwrap_or(".").into(),
            record_bytes: args.value("size", 4096_usize)?.clamp(1, 512 << 10),
            warm_up: seconds("warm-up", 1.0)?,
            run: seconds("seconds", 3.0)?,
        },
        writers: Writers {
            count: args.value("writers", 64_usize)?.clamp(1, 100_000),
            threads: args.value("threads", 2_usize)?.clamp(1, 256),
        },
        batch: args.value("batch", 32_usize)?.clamp(1, 512),
        runs: args.value("runs", 3_usize)?.clamp(1, 100),
        recover: args.value("records", 0)?,
    })
}

/// Raw and journal in turn, so that a machine that slows down slows both.
fn compare(job: &Job) -> io::Result<()> {
    let (mut raw, mut journal) = (Vec::new(), Vec::new());
    for run in 1..=job.runs {
        raw.push(raw_batches(&job.load, job.batch)?);
        journal.push(journal_appends(&job.load, job.writers)?);
        for (name, rates) in [("raw", &raw), ("journal", &journal)] {
            eprintln!("run {run} {name}: {}", rates.last().map(Rate::json).unwrap_or_default());
        }
    }
    let (raw, journal) = (median(raw), median(journal));
    println!(
        r#"{{"raw_batch":{},"raw":{},"journal":{},"ratio":{:.3}}}"#,
        job.batch,
        raw.json(),
        journal.json(),
        journal.per_second() / raw.per_second().max(1e-9)
    );
    Ok(())
}

/// The run whose rate is the middle one.
fn median(mut rates: Vec<Rate>) -> Rate {
    rates.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
    rates.swap_remove(rates.len() / 2)
}
