//! Reads how the members of a `[[service]]` are probed.

use super::section::Section;
use crate::service::{ProbeSettings, ServiceProtocol};
use std::sync::Arc;

/// The `probe` keys of a service.
pub fn read(section: &Section<'_, '_>, protocol: ServiceProtocol) -> ProbeSettings {
    let tcp_only = section.choice("probe", &[("protocol", false), ("tcp", true)]);
    let is_http = matches!(protocol, ServiceProtocol::Http | ServiceProtocol::Https);
    for key in ["probe_path", "probe_status"].into_iter().filter(|key| section.has(key)) {
        if !is_http {
            section.problem(key, format!("{key} is for protocol = \"http\" and \"https\"; remove it"));
        } else if tcp_only {
            section.problem(key, format!("probe = \"tcp\" asks for nothing; remove it, or remove {key}"));
        }
    }
    let days = section.counts("probe_certificate_days").map(|days| days.value).unwrap_or_default();
    ProbeSettings {
        tcp_only,
        interval_ms: section.duration_ms("probe_interval"),
        timeout_ms: section.duration_ms("probe_timeout"),
        rise: section.count("probe_rise"),
        fall: section.count("probe_fall"),
        starttls: section.flag("probe_starttls"),
        expired_is_down: section.choice("probe_expired", &[("warn", false), ("down", true)]),
        certificate_days: days.into_iter().filter_map(|days| u32::try_from(days).ok()).collect(),
        path: path(section),
        status: status(section),
    }
}

fn path(section: &Section<'_, '_>) -> Arc<str> {
    let Some(text) = section.text("probe_path") else { return Arc::default() };
    // It goes into a request line as it is (RFC 9112 3.2.1).
    let is_good = text.value.starts_with('/') && text.value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !is_good || text.value.len() > PATH_MAX {
        let problem = format!(
            "\"{}\" is no path; write it like /health or /check?quick=1, without spaces, other characters as %XX, {PATH_MAX} at most",
            text.value
        );
        section.document().problem(text.at, problem);
    }
    text.value.into()
}

/// One status, or from one to another.
fn status(section: &Section<'_, '_>) -> (u16, u16) {
    let Some(text) = section.text("probe_status") else { return (0, 0) };
    let (lowest, highest) = text.value.split_once('-').unwrap_or((&text.value, &text.value));
    let number = |part: &str| part.trim().parse().ok().filter(|status| (200..=599).contains(status));
    match (number(lowest), number(highest)) {
        (Some(lowest), Some(highest)) if lowest <= highest => (lowest, highest),
        _ => {
            let problem = format!("\"{}\" is no status of HTTP; write 204, or 200-299", text.value);
            section.document().problem(text.at, problem);
            (0, 0)
        }
    }
}

/// Characters of a path.
const PATH_MAX: usize = 1_000;
