//! What a run of the generator comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::histogram::Histogram;

/// Counts and latencies of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Messages that got a 2xx after their content.
    pub acked: u64,
    /// Messages given up.
    pub failed: u64,
    /// Connections lost without a QUIT.
    pub lost: u64,
    /// Messages whose connection died after the dot and before its answer.
    pub doubtful: u64,
    /// Whether the bound in seconds cut the run short.
    pub timed_out: bool,
    /// First connection to last acknowledgement.
    pub taken: Duration,
    refused: BTreeMap<u16, u64>,
    body_bytes: u64,
    dot: Histogram,
    transaction: Histogram,
}

impl Report {
    /// Counts an answer that is not the one hoped for.
    pub fn refused(&mut self, code: u16) {
        *self.refused.entry(code).or_default() += 1;
    }

    /// Counts a promise: content sent to 250, and MAIL to 250.
    pub fn acked(&mut self, dot: Duration, transaction: Duration, bytes: usize) {
        self.acked += 1;
        self.body_bytes += bytes as u64;
        self.dot.add(dot);
        self.transaction.add(transaction);
    }

    /// Closes the books.
    pub fn finish(&mut self, taken: Duration) {
        self.taken = taken;
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        let seconds = self.taken.as_secs_f64().max(1e-9);
        let refused: Vec<String> = self.refused.iter().map(|(code, count)| format!(r#""{code}":{count}"#)).collect();
        let cpu = crate::net::cpu_seconds();
        format!(
            concat!(
                r#"{{"acked":{},"seconds":{:.3},"per_second":{:.1},"mb_per_second":{:.1},"dot_ms":{},"transaction_ms":{},"#,
                r#""refused":{{{}}},"failed":{},"reconnects":{},"doubtful":{},"timed_out":{},"cpu_seconds":{:.3},"cpu_us_per_message":{:.1}}}"#
            ),
            self.acked,
            seconds,
            self.acked as f64 / seconds,
            self.body_bytes as f64 / seconds / 1e6,
            self.dot.json(),
            self.transaction.json(),
            refused.join(","),
            self.failed,
            self.lost,
            self.doubtful,
            self.timed_out,
            cpu,
            cpu * 1e6 / self.acked.max(1) as f64,
        )
    }
}
