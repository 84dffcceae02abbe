//! What is told about probes: changes of standing and certificates that end soon, in the log; figures of each target. A probe that finds
//! what was known before says nothing.

use super::certificate::Certificate;
use super::standing::{Standing, Word};
use super::target::Target;
use super::verdict::Verdict;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tracing::{info, warn};

/// Says what the metrics mean. Once, after the recorder was installed.
pub fn describe() {
    describe_gauge!("posthouse_probe_up", "1 if a probed server would serve a client now.");
    describe_gauge!("posthouse_probe_seconds", "How long the last probe of a server took.");
    describe_gauge!("posthouse_probe_certificate_seconds", "How long a probed server's certificate is valid still.");
    describe_counter!(
        "posthouse_probes_total",
        "Probes of a server, by what they found: ready, failed, not_ready, not_asked (for want of our own descriptors or memory)."
    );
}

/// The figures of one target. Targets are the document's: their number is bounded. Their labels are all that a probe of one address can
/// differ in, its times apart.
pub struct Figures {
    up: Gauge,
    seconds: Gauge,
    certificate: Gauge,
    ready: Counter,
    failed: Counter,
    not_ready: Counter,
    not_asked: Counter,
}

impl Figures {
    pub fn new(target: &Target) -> Figures {
        let label = target.to_string();
        let name = target.server_name.as_deref().unwrap_or_default().to_string();
        let how = target.how();
        let labels = || [("target", label.clone()), ("name", name.clone()), ("how", how.clone())];
        let probes = |found: &'static str| {
            let [target, name, how] = labels();
            counter!("posthouse_probes_total", &[target, name, how, ("found", found.to_string())])
        };
        Figures {
            ready: probes("ready"),
            failed: probes("failed"),
            not_ready: probes("not_ready"),
            not_asked: probes("not_asked"),
            up: gauge!("posthouse_probe_up", &labels()),
            seconds: gauge!("posthouse_probe_seconds", &labels()),
            certificate: gauge!("posthouse_probe_certificate_seconds", &labels()),
        }
    }

    pub fn probed(&self, verdict: &Verdict, took_us: u64) {
        self.seconds.set(took_us as f64 / 1e6);
        match verdict {
            Verdict::Ready => self.ready.increment(1),
            Verdict::Failed(_) => self.failed.increment(1),
            Verdict::NotReady(_) | Verdict::Draining(_) => self.not_ready.increment(1),
        }
    }

    pub fn not_asked(&self) {
        self.not_asked.increment(1);
    }

    pub fn standing(&self, standing: &Standing) {
        self.up.set(if *standing == Standing::Up { 1.0 } else { 0.0 });
    }

    pub fn certificate(&self, certificate: &Certificate, wall_ms: u64) {
        self.certificate.set((certificate.not_after_ms as f64 - wall_ms as f64) / 1e3);
    }
}

/// A standing is another one than before.
pub fn changed(target: &Target, was: &Standing, now: &Standing) {
    let (name, was) = (target.server_name.as_deref().unwrap_or(""), was.word());
    match now {
        Standing::Up if was == Word::Unknown => info!(probe = %target, name, "is up"),
        Standing::Up => info!(probe = %target, name, was = was.text(), "is up again"),
        Standing::Draining(why) => info!(probe = %target, name, "takes nothing new: {why}"),
        Standing::Down(why) => warn!(probe = %target, name, "is down: {why}"),
        Standing::Unknown => {}
    }
}

/// A certificate ends in less than `mark` days.
pub fn certificate(target: &Target, certificate: &Certificate, wall_ms: u64, mark: u32) {
    let (names, left) = (certificate.names.join(" "), certificate.days_left(wall_ms));
    if left < 0 {
        warn!(probe = %target, "its certificate for {names} has ended; renew it there");
    } else {
        warn!(probe = %target, "its certificate for {names} ends in {left} days, less than {mark}; renew it there");
    }
}
