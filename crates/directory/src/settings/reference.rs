//! The rows as a reference for people.

use super::{Default, Kind, NODE, ORG, Section, Setting};
use std::fmt::Write;

/// The reference part of `docs/configuration.md`.
pub fn reference() -> String {
    let mut out = String::new();
    for (file, sections) in [("posthouse.toml", NODE), ("org.toml", ORG)] {
        let _ = writeln!(out, "## {file}\n");
        for section in sections {
            table(&mut out, section);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn table(out: &mut String, section: &Section) {
    if !section.name.is_empty() {
        let _ = writeln!(out, "### {}\n", section.heading());
    }
    let _ = writeln!(out, "{}\n\n| key | value | default | meaning |\n|---|---|---|---|", section.what);
    for setting in section.settings {
        let _ =
            writeln!(out, "| `{}` | {} | {} | {} |", setting.key, kind(setting.kind), default(setting), setting.what);
    }
    out.push('\n');
}

fn kind(kind: Kind) -> String {
    let between = |min, max| format!("{} to {}", kind.written(min), kind.written(max));
    let words = |words: &[&str]| words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Text => "text".into(),
        Kind::Texts => "list of texts".into(),
        Kind::Flag => "`true` or `false`".into(),
        Kind::Count(min, max) => between(min, max),
        Kind::Counts(min, max) => format!("list of numbers, {}", between(min, max)),
        Kind::Bytes(min, max) => format!("size, {}", between(min, max)),
        Kind::Duration(min, max) => format!("duration, {}", between(min, max)),
        Kind::Choice(of) => words(of),
        Kind::Choices(of) => format!("list of {}", words(of)),
    }
}

fn default(setting: &Setting) -> String {
    match setting.default {
        Default::Needed => "needed".into(),
        Default::Absent(means) => means.into(),
        Default::Is(value) => format!("`{value}`"),
        Default::BySubmission(value, submission) => format!("`{value}`; submission: `{submission}`"),
    }
}
