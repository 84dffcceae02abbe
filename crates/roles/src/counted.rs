//! Owns what is counted where it happens, through the `metrics` crate's macros. Knows no figure by name.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// The recorder behind the `metrics` crate's macros.
pub struct Counted(PrometheusHandle);

impl Counted {
    /// Installs it for the process. Once is enough: in a process that has one already, that one goes on and this page lacks its figures.
    pub fn install() -> Counted {
        let seconds = Matcher::Suffix("_seconds".into());
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(seconds, &SECONDS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::debug!("metrics are recorded elsewhere in this process");
        }
        Counted(handle)
    }

    /// What was counted so far, in Prometheus' text format.
    pub fn page(&self) -> String {
        self.0.render()
    }

    /// Folds what was recorded since the last call; every few seconds, so that memory stays small.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Bounds of the histograms in seconds: a memory hit to RFC 5321's longest wait.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0];
