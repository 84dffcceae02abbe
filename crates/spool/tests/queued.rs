//! What a queued message costs: memory while it waits for a dead next hop, and time at the next start. `MESSAGES=1000000` (with
//! `--release`) gives the figure of the product; a debug run with few of them guards it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // reads /proc

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::*;
use spool::*;
use world::World;

/// Bytes of memory that this process has in use.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// CPU time of this thread in microseconds.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<u64>().unwrap() / 1000
}

#[test]
fn a_waiting_message_costs_at_most_300_bytes() {
    let count: u64 = std::env::var("MESSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let world = World::real();
    let mut settings = settings();
    settings.journal = journal::Settings::default();
    settings.body_memory_bytes = 1 << 20;
    let outside: Arc<Outside> = Arc::default();
    let open = || {
        let outside = outside.clone();
        Spool::open(&world, dir.path(), settings.clone(), outside.clone(), outside.clone(), outside).unwrap()
    };
    let spool = open();
    let accept = |n: u64, batch: u64| {
        let offers: Vec<Accepting> = (n..n + batch)
            .filter_map(|n| {
                let mut pending = spool.begin(&Source { size_bytes: Some(4096), ..Source::default() }).unwrap();
                let _ = pending.push(&[b'x'; 4096]);
                let envelope = envelope("sender@bench.test", &[&format!("user{n}@sink.test")]);
                let mut accepting = pending.accept(envelope, Facts::default());
                // The first look appends the mark; a quick disk may be done with it already.
                poll(&mut accepting).is_pending().then_some(accepting)
            })
            .collect();
        for offer in offers {
            block_on(offer).unwrap();
        }
    };
    accept(0, 1000);
    let before = resident_bytes();
    let (start, cpu) = (Instant::now(), cpu_us());
    (1000..1000 + count).step_by(100).for_each(|n| accept(n, 100));
    let took = start.elapsed();
    let bytes = (resident_bytes() - before) / count;
    println!("{bytes} bytes a message; {count} accepted in {took:?}, {} us of this thread", cpu_us() - cpu);
    spool.stop();
    drop(spool);

    let (start, cpu) = (Instant::now(), cpu_us());
    let mut records = 0u64;
    let journal =
        journal::Journal::open(&world, dir.path(), settings.journal.clone(), journal::Mode::Serve, &mut |_| {
            records += 1;
        });
    println!(
        "{records} records read by the journal alone in {:?}, {} us of this thread",
        start.elapsed(),
        cpu_us() - cpu
    );
    journal.unwrap().close();
    let (start, cpu) = (Instant::now(), cpu_us());
    let spool = open();
    println!("found again in {:?}, {} us of this thread", start.elapsed(), cpu_us() - cpu);
    assert_eq!(spool.totals().messages, count + 1000);
    // Sizes of tables double: just behind a step a message costs more than its share.
    assert!(bytes <= 300, "{bytes} bytes a message");

    let hop = spool.queue_named("mx:out:sink.test").unwrap();
    let (start, cpu, mut seen) = (Instant::now(), cpu_us(), 0);
    while seen < count + 1000 {
        let works = spool.take(hop, 100);
        seen += works.len() as u64;
        works.into_iter().for_each(|work| spool.settle(work, &Attempt::default(), &[(0, delivered())]));
        spool.tick();
    }
    println!("taken and settled in {:?}, {} us of this thread", start.elapsed(), cpu_us() - cpu);
    spool.stop();
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Thread(std::thread::Thread);
    impl std::task::Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Thread(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
