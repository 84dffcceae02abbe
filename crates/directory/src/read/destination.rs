//! Reads `[[destination]]`, of the document and of those that are built in.

use super::document::Document;
use super::domain::address_space;
use super::receive::{Spaces, connector_name};
use super::section::{At, Section};
use crate::destination::{Destination, Destinations};
use crate::settings;
use std::path::Path;
use std::sync::Arc;

/// All destinations: those of the document, and the built-in ones that it does not replace.
pub fn destinations(document: &Document<'_>) -> Destinations {
    let built_in = built_in();
    let written: Vec<At<Destination>> =
        document.repeated("destination").iter().filter_map(|section| destination(section, &built_in)).collect();
    for (at, one) in written.iter().enumerate() {
        if let Some(first) = written[..at].iter().find(|first| first.value.name == one.value.name) {
            let line = document.line_of(first.at);
            let text = format!(
                "there is a [[destination]] \"{}\" already (line {line}); give each its own name",
                one.value.name
            );
            document.problem(one.at, text);
        }
    }
    Destinations::of(written.into_iter().map(|one| Arc::new(one.value)).collect(), built_in)
}

/// Those of large providers. The text is ours: a test reads it, and nothing of it is lost.
fn built_in() -> Vec<Arc<Destination>> {
    let Ok(document) = Document::parse(Path::new("built-in destinations.toml"), BUILT_IN, settings::ORG) else {
        return Vec::new();
    };
    let sections = document.repeated("destination");
    sections.iter().filter_map(|section| destination(section, &[])).map(|one| Arc::new(one.value)).collect()
}

fn destination(section: &Section<'_, '_>, built_in: &[Arc<Destination>]) -> Option<At<Destination>> {
    let name = connector_name(section, Spaces::No);
    let or_none = |key| Some(section.count(key)).filter(|bound| *bound > 0);
    let (mut domains, mut mx) = (spaces(section, "domains"), spaces(section, "mx"));
    if !section.has("domains") && !section.has("mx") {
        let known = name.as_ref().and_then(|name| built_in.iter().find(|known| *known.name == *name.value));
        match known {
            Some(known) => (domains, mx) = (known.domains.clone(), known.mx.clone()),
            None => section.problem("name", "it matches nothing; write domains = [...] or mx = [...]"),
        }
    }
    let value = Destination {
        name: name.as_ref().map_or("".into(), |name| name.value.as_str().into()),
        domains,
        mx,
        connections_max: section.count("connections_max"),
        messages_per_connection: or_none("messages_per_connection"),
        message_rate_per_minute: or_none("message_rate_per_minute"),
        recipients_per_message: or_none("recipients_per_message"),
        cooldown_ms: section.duration_ms("cooldown"),
    };
    Some(At { value, at: name?.at })
}

fn spaces(section: &Section<'_, '_>, key: &str) -> Vec<Box<str>> {
    let written = section.texts(key).unwrap_or_default();
    written.iter().filter_map(|text| address_space(section, text)).map(Box::from).collect()
}

const BUILT_IN: &str = include_str!("../destinations.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_ones_are_sound_and_all_there() {
        let document = Document::parse(Path::new("d"), BUILT_IN, settings::ORG).unwrap();
        let read: Vec<_> = document.repeated("destination").iter().filter_map(|one| destination(one, &[])).collect();
        assert!(!document.is_bad(), "{}", document.problems());
        assert_eq!(read.len(), BUILT_IN.matches("\n[[destination]]").count());
        let names: std::collections::HashSet<_> = read.iter().map(|one| one.value.name.clone()).collect();
        assert_eq!((names.len(), built_in().len()), (read.len(), read.len()));
    }

    #[test]
    fn a_domain_goes_before_its_hosts_and_the_document_before_what_is_built_in() {
        let text = "[[destination]]\nname = \"google\"\nconnections_max = 3\n\
                    [[destination]]\nname = \"mine\"\ndomains = [\"special.example\"]\nmx = [\"*.example.net\"]\nmessage_rate_per_minute = 9\n";
        let document = Document::parse(Path::new("d"), text, settings::ORG).unwrap();
        let all = destinations(&document);
        assert!(!document.is_bad(), "{}", document.problems());
        let of =
            |domain: &str, hosts: &[&str]| all.matching(domain, hosts.iter().copied()).map(|one| one.name.to_string());
        assert_eq!(of("GMail.com", &[]).as_deref(), Some("google"));
        assert_eq!(of("hosted.example", &["aspmx.l.google.com."]).as_deref(), Some("google"));
        assert_eq!(of("special.example", &["aspmx.l.google.com"]).as_deref(), Some("mine"));
        assert_eq!(
            of("other.example", &["mx.unknown.example", "a.example.net", "b.google.com"]).as_deref(),
            Some("mine")
        );
        assert_eq!(of("other.example", &["mx.unknown.example"]), None);
        let google = all.all().iter().find(|one| &*one.name == "google").unwrap();
        assert_eq!((google.connections_max, google.messages_per_connection), (3, None), "taken over whole");
    }

    #[test]
    fn what_matches_nothing_or_is_there_twice_is_a_problem() {
        let text = "[[destination]]\nname = \"a\"\n[[destination]]\nname = \"b\"\nmx = [\"x.example\"]\n[[destination]]\nname = \"b\"\nmx = [\"y.example\"]\n";
        let document = Document::parse(Path::new("d"), text, settings::ORG).unwrap();
        destinations(&document);
        let told = document.problems().to_string();
        assert!(told.contains("d:2:8: it matches nothing"), "{told}");
        assert!(told.contains("d:7:8: there is a [[destination]] \"b\" already (line 4)"), "{told}");
    }
}
