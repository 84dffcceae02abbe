//! One target as all see it who watch it.

use super::certificate::{Certificate, Warned};
use super::standing::{Report, Standing, Word};
use super::tally::Tally;
use super::target::Target;
use super::told::{self, Figures};
use super::verdict::{Found, Verdict};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use world::Clock;

/// What is known of a target; it is probed until the last of those that watch it lets go of it.
pub struct Watch {
    target: Target,
    /// A [`Word`], for those who choose among many servers.
    word: AtomicU8,
    /// Failures that the data path has seen since the last one that went well: most often none, and then nobody needs the lock.
    has_failed: AtomicU8,
    inner: Mutex<Inner>,
    report: watch::Sender<Report>,
    figures: Figures,
    clock: Arc<dyn Clock>,
    /// Rung when the prober should look now, or end.
    pub(super) bell: Arc<Notify>,
}

struct Inner {
    tally: Tally,
    warned: Warned,
}

impl Watch {
    pub(super) fn new(target: Target, clock: Arc<dyn Clock>) -> Watch {
        let tally = Tally::new(target.settings.rise, target.settings.fall);
        Watch {
            figures: Figures::new(&target),
            clock,
            target,
            word: AtomicU8::new(Word::Unknown as u8),
            has_failed: AtomicU8::new(0),
            inner: Mutex::new(Inner { tally, warned: Warned::default() }),
            report: watch::Sender::default(),
            bell: Arc::default(),
        }
    }

    /// What is probed.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How it stands, in a word. One load: for the path of each connection.
    pub fn word(&self) -> Word {
        Word::of(self.word.load(Ordering::Relaxed))
    }

    /// How it stands, and why.
    pub fn standing(&self) -> Standing {
        self.report.borrow().standing.clone()
    }

    /// All that is known of it.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Wakes when something in the report has changed.
    pub fn changed(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// A client's connection failed there. Counts as a failed probe, and has the next one made soon.
    pub fn report_failure(&self) {
        self.has_failed.store(1, Ordering::Relaxed);
        let mut inner = self.inner();
        if inner.tally.failure() {
            self.publish(&inner.tally, None);
            drop(inner);
            self.bell.notify_one();
        }
    }

    /// A client's connection was greeted there.
    pub fn report_success(&self) {
        if self.has_failed.load(Ordering::Relaxed) != 0 {
            self.has_failed.store(0, Ordering::Relaxed);
            self.inner().tally.success();
        }
    }

    /// What the target's cluster says of it.
    pub(super) fn told(&self, told: Option<Standing>) {
        let mut inner = self.inner();
        inner.tally.told(told);
        self.publish(&inner.tally, None);
    }

    /// A probe has ended and took so long. True: the next one should come soon.
    pub(super) fn probed(&self, mut found: Found, took_us: u64) -> bool {
        let wall_ms = self.clock.wall_ms();
        if self.target.settings.expired_is_down
            && let Some(ended) = found.certificate.as_ref().filter(|certificate| certificate.has_ended(wall_ms))
            && found.verdict == Verdict::Ready
        {
            found.verdict = Verdict::failed(&format!("its certificate for {} has ended", ended.names.join(" ")));
        }
        self.figures.probed(&found.verdict, took_us);
        let mut inner = self.inner();
        inner.tally.probed(found.verdict);
        if let Some(certificate) = &found.certificate {
            self.figures.certificate(certificate, wall_ms);
            if let Some(mark) = inner.warned.due(certificate, wall_ms, &self.target.settings.certificate_days) {
                told::certificate(&self.target, certificate, wall_ms, mark);
            }
        }
        self.publish(&inner.tally, found.certificate);
        inner.tally.is_changing()
    }

    /// It could not be asked, which says nothing about it. True: it should be asked again soon.
    pub(super) fn not_asked(&self) -> bool {
        self.figures.not_asked();
        true
    }

    /// Makes what was found known. Called with the lock held, so that what is known last is what was found last.
    fn publish(&self, tally: &Tally, certificate: Option<Certificate>) {
        let standing = tally.standing();
        self.word.store(standing.word() as u8, Ordering::Relaxed);
        self.report.send_if_modified(|report| {
            let has_moved = standing.word() != report.standing.word();
            if has_moved {
                told::changed(&self.target, &report.standing, standing);
                self.figures.standing(standing);
                report.since_ms = self.clock.wall_ms();
            }
            let is_renewed = certificate.is_some() && certificate != report.certificate;
            if is_renewed {
                report.certificate = certificate;
            }
            let has_changed = report.standing != *standing;
            report.standing = standing.clone();
            has_changed || is_renewed
        });
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bell.notify_one();
    }
}
