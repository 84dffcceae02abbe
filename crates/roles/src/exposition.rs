//! Owns the Prometheus text format for figures that are looked at, not counted. Knows no figure by name.
//! Always holds: every family has its help and its type, once; label values cannot break a line.

use std::fmt::{Display, Write as _};

/// A page of metrics that grows.
#[derive(Default)]
pub struct Exposition {
    text: String,
}

/// What a family is.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets.
    Histogram,
}

/// One family that samples are added to.
pub struct Family<'a> {
    page: &'a mut String,
    name: &'a str,
}

impl Exposition {
    /// Goes on behind `text`, a page in the same format.
    pub fn after(text: String) -> Exposition {
        Exposition { text }
    }

    /// Starts a family.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: &mut self.text, name }
    }

    /// One figure without labels.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One figure with labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// Buckets of powers of two: `counts[i]` are values from 2^i to below 2^(i+1), the last one all larger ones.
    /// `unit` is what 1 of them is in the metric's unit.
    pub fn powers_of_two(&mut self, counts: &[u64], unit: f64, sum: f64) {
        let mut total = 0;
        for (i, count) in counts.iter().enumerate() {
            total += count;
            let bound = match i + 1 == counts.len() {
                true => "+Inf".to_string(),
                false => (unit * (1u64 << (i + 1)) as f64).to_string(),
            };
            self.suffixed("_bucket", &[("le", &bound)], total);
        }
        self.suffixed("_sum", &[], sum);
        self.suffixed("_count", &[], total);
    }

    fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.page, "{}{suffix}", self.name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.page, "{}{label}=\"{text}\"", if n == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.page, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_prometheus_reads_it() {
        let mut page = Exposition::default();
        page.family("q", Kind::Gauge, "Mail.").sample(&[("hop", "a\"b\\\n"), ("state", "ready")], 3);
        page.family("s", Kind::Histogram, "Syncs.").powers_of_two(&[1, 0, 2], 0.5, 9.5);
        let expected = "# HELP q Mail.\n# TYPE q gauge\nq{hop=\"a\\\"b\\\\\\n\",state=\"ready\"} 3\n\
                        # HELP s Syncs.\n# TYPE s histogram\ns_bucket{le=\"1\"} 1\ns_bucket{le=\"2\"} 1\n\
                        s_bucket{le=\"+Inf\"} 3\ns_sum 9.5\ns_count 3\n";
        assert_eq!(page.into_text(), expected);
    }
}
