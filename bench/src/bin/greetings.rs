//! `greetings`: how long the first line of a server takes, and how many clients can wait on a server without saying anything.

// A measurement needs the machine's own clock.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bench::args::{Args, Known, refuse};
use bench::net::loopback;

const PROGRAM: &str = "greetings";
const KNOWN: &[Known] = &[
    ("to", "where, e.g. 127.0.0.1:25; loopback, or 198.18.0.0/15 in a test's own network"),
    ("count", "connections, one after the other; prints the median microseconds to the first line [1000]"),
    (
        "hold",
        "opens so many instead, keeps them until its input ends, and prints how many were greeted and are served then [0]",
    ),
];

fn main() -> std::process::ExitCode {
    let args = Args::of_process(PROGRAM, KNOWN);
    let done = run(&args).unwrap_or_else(|what| refuse(PROGRAM, &what));
    match done {
        Ok(line) => {
            println!("{line}");
            std::process::ExitCode::SUCCESS
        }
        Err(failed) => {
            eprintln!("{PROGRAM}: {failed}");
            std::process::ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<std::io::Result<String>, String> {
    let to = loopback(args.text("to").ok_or("--to is missing")?)?;
    let hold: usize = args.value("hold", 0)?;
    let count: usize = args.value("count", 1_000)?;
    Ok(if hold > 0 { held(to, hold) } else { median_us(to, count.max(1)).map(|us| us.to_string()) })
}

fn median_us(to: SocketAddr, count: usize) -> std::io::Result<u64> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let stream = greeted(to)?;
        took.push(start.elapsed().as_micros() as u64);
        let mut stream = stream;
        stream.get_mut().write_all(b"QUIT\r\n")?;
        // Its answer and its end: nobody is left half closed.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    took.sort_unstable();
    Ok(took[count / 2])
}

/// A connection whose first line is here and good.
fn greeted(to: SocketAddr) -> std::io::Result<BufReader<TcpStream>> {
    let mut stream = BufReader::with_capacity(512, TcpStream::connect(to)?);
    stream.get_ref().set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if line.starts_with("220") { Ok(stream) } else { Err(std::io::Error::other(line)) }
}

/// Says `held N` when all are there; at the end of the input asks each one whether it is still served.
fn held(to: SocketAddr, hold: usize) -> std::io::Result<String> {
    let mut streams = Vec::with_capacity(hold);
    for _ in 0..hold {
        streams.push(greeted(to)?);
    }
    println!("held {}", streams.len());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let mut served = 0;
    for stream in &mut streams {
        let mut line = String::new();
        stream.get_mut().write_all(b"NOOP\r\n")?;
        stream.read_line(&mut line)?;
        served += usize::from(line.starts_with("250"));
    }
    Ok(format!("served {served}"))
}
