//! Counters and log lines of what happened. Always holds: labels are names of the document or words of a fixed list.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use std::sync::Arc;
use tracing::{debug, info};

use super::note::Note;

/// Says what the metrics mean. Once, after the recorder was installed.
pub fn describe() {
    describe_counter!("posthouse_voice_calls_total", "Calls that a member was offered, by how they fared there.");
    describe_counter!("posthouse_voice_redirects_total", "Calls that were sent (302) to this member first.");
    describe_counter!(
        "posthouse_voice_answers_total",
        "Calls that the balancer answered itself, by code: nobody took them."
    );
    describe_counter!("posthouse_voice_dropped_total", "Packets and connections that got no answer, by reason.");
    describe_gauge!("posthouse_voice_calls_held", "Calls that are being set up, or were less than 32 seconds ago.");
}

/// Counts for one service.
#[derive(Debug)]
pub struct Tally {
    service: Arc<str>,
}

impl Tally {
    /// For the service of that name.
    pub fn new(service: Arc<str>) -> Tally {
        Tally { service }
    }

    /// Counts one thing that happened.
    pub fn note(&self, note: &Note) {
        let service = || self.service.to_string();
        match note {
            Note::Tried { host, outcome, goes_on } => {
                let (member, word) = (host.name.to_string(), outcome.name());
                counter!("posthouse_voice_calls_total", "service" => service(), "member" => member, "outcome" => word)
                    .increment(1);
                if *goes_on {
                    info!(
                        service = &*self.service,
                        member = &*host.name,
                        outcome = word,
                        "a call goes on to the next member"
                    );
                }
            }
            Note::Redirected(host) => {
                let member = host.name.to_string();
                counter!("posthouse_voice_redirects_total", "service" => service(), "member" => member).increment(1);
            }
            Note::Answered(code) => {
                counter!("posthouse_voice_answers_total", "service" => service(), "code" => code.to_string())
                    .increment(1);
                info!(service = &*self.service, code, "a call was answered by the balancer: no member took it");
            }
            Note::Dropped(why) => self.dropped(why),
        }
    }

    /// Counts a packet that was not answered.
    pub fn dropped(&self, why: &'static str) {
        counter!("posthouse_voice_dropped_total", "service" => self.service.to_string(), "reason" => why).increment(1);
        debug!(service = &*self.service, why, "a packet was dropped");
    }

    /// How many calls have a record now.
    pub fn held(&self, calls: usize) {
        gauge!("posthouse_voice_calls_held", "service" => self.service.to_string()).set(calls as f64);
    }
}
