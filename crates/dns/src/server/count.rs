//! What the server counts. A thread counts for itself and hands its sums over once a second: no answer waits for a counter.

use metrics::{counter, describe_counter, describe_gauge};

use crate::answer::Answered;
use crate::record::Kind;
use crate::wire::Rcode;

/// Says what the counters mean; once.
pub fn describe() {
    describe_counter!(
        "posthouse_dns_answers_total",
        "Answers of the DNS server, by transport, type and how they were answered."
    );
    describe_counter!(
        "posthouse_dns_limited_total",
        "Answers over UDP above the rate limit: dropped, or sent as 'ask over TCP' (slip)."
    );
    describe_counter!("posthouse_dns_tcp_refused_total", "DNS connections over the bounds, closed at once.");
    describe_counter!(
        "posthouse_dns_transfers_total",
        "Copies of zones, by what was sent: whole, changes, current; refused, broken."
    );
    describe_counter!("posthouse_dns_notifies_total", "Secondaries that were told of a change, by result.");
    describe_gauge!("posthouse_dns_zone_serial", "Serial of the zone that is answered from.");
    describe_gauge!(
        "posthouse_dns_zone_all_down",
        "1: nothing that a name of the zone hangs on is up, and all of it is answered."
    );
}

/// Sums of one thread or connection.
pub(super) struct Tally {
    transport: &'static str,
    sums: [[u32; Rcode::ALL.len()]; KINDS.len() + 1],
    count: u32,
    flushed_us: u64,
}

impl Tally {
    pub fn new(transport: &'static str) -> Tally {
        Tally { transport, sums: [[0; Rcode::ALL.len()]; KINDS.len() + 1], count: 0, flushed_us: 0 }
    }

    pub fn answered(&mut self, answered: Answered, now_us: u64) {
        let kind = answered.kind.and_then(|kind| KINDS.iter().position(|known| *known == kind)).unwrap_or(KINDS.len());
        let rcode = Rcode::ALL.iter().position(|rcode| *rcode == answered.rcode).unwrap_or_default();
        self.sums[kind][rcode] += 1;
        self.count += 1;
        if now_us.saturating_sub(self.flushed_us) > FLUSH_US {
            self.flush(now_us);
        }
    }

    pub fn limited(&self, action: &'static str) {
        counter!("posthouse_dns_limited_total", "action" => action).increment(1);
    }

    /// Hands the sums over.
    pub fn flush(&mut self, now_us: u64) {
        self.flushed_us = now_us;
        if std::mem::take(&mut self.count) == 0 {
            return;
        }
        for (n, sums) in self.sums.iter_mut().enumerate() {
            let kind = KINDS.get(n).and_then(|kind| kind.word()).unwrap_or("other");
            for (rcode, sum) in Rcode::ALL.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
                let counter = counter!("posthouse_dns_answers_total", "transport" => self.transport, "type" => kind, "rcode" => rcode.word());
                counter.increment(u64::from(std::mem::take(sum)));
            }
        }
    }
}

pub(super) fn tcp_refused() {
    counter!("posthouse_dns_tcp_refused_total").increment(1);
}

pub(super) fn transfer(what: &'static str) {
    counter!("posthouse_dns_transfers_total", "what" => what).increment(1);
}

pub(super) fn notified(result: &'static str) {
    counter!("posthouse_dns_notifies_total", "result" => result).increment(1);
}

/// Types with a label of their own.
const KINDS: [Kind; 15] = [
    Kind::A,
    Kind::AAAA,
    Kind::MX,
    Kind::TXT,
    Kind::NS,
    Kind::SOA,
    Kind::PTR,
    Kind::SRV,
    Kind::CNAME,
    Kind::TLSA,
    Kind::CAA,
    Kind::HTTPS,
    Kind::ANY,
    Kind::AXFR,
    Kind::IXFR,
];
const FLUSH_US: u64 = 1_000_000;
