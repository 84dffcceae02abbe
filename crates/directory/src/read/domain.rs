//! Reads `[[accepted_domain]]`, and names of domains wherever they stand.

use super::receive::servers;
use super::section::{At, Section};
use crate::domain::{AcceptedDomain, Deliver, DomainType, LocalPreference};
use crate::target::LmtpTarget;
use mail::Mailbox;
use std::collections::HashSet;
use world::Disk;

/// Reads one accepted domain.
pub fn accepted_domain(section: &Section<'_, '_>, disk: &dyn Disk) -> Option<At<AcceptedDomain>> {
    let name = section.text("name");
    let deliver = deliver(section);
    let domain_type = section.choice("type", DomainType::WORDS);
    let mut domain = AcceptedDomain {
        name: "".into(),
        domain_type,
        deliver: deliver.unwrap_or(Deliver::Relay),
        servers: servers(section),
        local_preference: section.choice("local_preference", LocalPreference::WORDS),
        recipients: None,
        refuses_unknown: false,
        plus_addressing: section.flag("plus_addressing"),
    };
    domain.recipients = recipients(section, &domain, disk);
    domain.refuses_unknown = match section.has("unknown_recipients") {
        true => section.choice("unknown_recipients", &[("refuse", true), ("accept", false)]),
        false => domain.recipients.is_some() && domain_type == DomainType::Authoritative,
    };
    contradictions(section, &domain);
    let name = name?;
    if name.value == "*" {
        let text = "\"*\" would make every domain ours; to relay for all, give a connector the permission \"relay\"";
        section.problem("name", text);
        return None;
    }
    domain.name = address_space(section, &name)?.into();
    Some(At { value: domain, at: section.at("name") })
}

/// What cannot be meant together.
fn contradictions(section: &Section<'_, '_>, domain: &AcceptedDomain) {
    let relays = domain.deliver == Deliver::Relay;
    match domain.domain_type {
        DomainType::ExternalRelay if !relays => {
            section.problem("deliver", "of an external_relay domain nobody is here; write deliver = \"relay\"");
        }
        DomainType::ExternalRelay if domain.recipients.is_some() => {
            section.problem(
                "type",
                "of an external_relay domain nobody is here; remove its recipients, or write \"internal_relay\"",
            );
        }
        DomainType::InternalRelay | DomainType::ExternalRelay if domain.refuses_unknown => {
            section.problem(
                "unknown_recipients",
                "whom we do not know may be elsewhere; only an authoritative domain can refuse them",
            );
        }
        _ => {}
    }
    if relays && domain.servers.is_some() {
        section.warning("servers", "servers has no effect with deliver = \"relay\"; give the send connector servers");
    }
    if domain.servers.is_none() && section.has("local_preference") {
        section.warning("local_preference", "local_preference has no effect without servers");
    }
}

fn deliver(section: &Section<'_, '_>) -> Option<Deliver> {
    let written = section.text("deliver")?;
    match written.value.as_str() {
        "maildir" => return Some(Deliver::Maildir),
        "relay" => return Some(Deliver::Relay),
        _ => {}
    }
    let Some(target) = written.value.strip_prefix("lmtp:") else {
        let text = format!(
            "deliver knows no \"{}\"; write \"maildir\", \"relay\", \"lmtp:unix:/path\" or \"lmtp:host:port\"",
            written.value
        );
        section.problem("deliver", text);
        return None;
    };
    LmtpTarget::parse(target).map(Deliver::Lmtp).map_err(|text| section.problem("deliver", text)).ok()
}

/// The local parts of both keys, in the form that recipients are compared in.
fn recipients(section: &Section<'_, '_>, domain: &AcceptedDomain, disk: &dyn Disk) -> Option<HashSet<Box<str>>> {
    let listed = section.texts("recipients");
    let from_file = section.text("recipients_file").map(|file| (lines(section, &file, disk), file));
    if listed.is_none() && from_file.is_none() {
        return None;
    }
    let mut all = HashSet::new();
    for local in listed.into_iter().flatten() {
        match valid_local(&local.value) {
            Ok(()) => _ = all.insert(domain.mailbox_name(&local.value).into()),
            Err(text) => section.document().problem(local.at, text),
        }
    }
    if let Some((lines, file)) = from_file {
        for (number, line) in lines {
            match valid_local(&line) {
                Ok(()) => _ = all.insert(domain.mailbox_name(&line).into()),
                Err(text) => section.document().problem(file.at, format!("{} line {number}: {text}", file.value)),
            }
        }
    }
    Some(all)
}

/// Lines of a file that say something, with their numbers.
fn lines(section: &Section<'_, '_>, file: &At<String>, disk: &dyn Disk) -> Vec<(usize, String)> {
    let bytes = section.document().read_file(disk, &file.value, file.at).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let said = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_string());
    said.enumerate().filter(|(_, line)| !line.is_empty()).map(|(i, line)| (i + 1, line)).collect()
}

fn valid_local(local: &str) -> Result<(), String> {
    if local.contains('@') && !local.starts_with('"') {
        return Err(format!("\"{local}\" is a whole address; write only what stands before the @"));
    }
    match Mailbox::parse(&format!("{local}@x"), true) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("\"{local}\" cannot stand before an @")),
    }
}

/// `example.org`, `*.example.org` or `*`, in lower case.
pub fn address_space(section: &Section<'_, '_>, text: &At<String>) -> Option<String> {
    let lower = text.value.to_lowercase();
    let bare = lower.strip_prefix("*.").unwrap_or(&lower);
    if lower == "*" || (mail::address::is_domain(bare) && !bare.starts_with('.')) {
        return Some(lower);
    }
    let hint = if lower.contains('@') {
        "write only what stands behind the @".into()
    } else if let Some(rest) = lower.strip_prefix('*').or(lower.strip_prefix('.')) {
        format!("write \"*.{}\"", rest.trim_start_matches(['*', '.']))
    } else {
        "write it like example.org or *.example.org".into()
    };
    section.document().problem(text.at, format!("\"{}\" is no domain; {hint}", text.value));
    None
}
