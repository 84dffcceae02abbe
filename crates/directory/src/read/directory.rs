//! Reads `[[directory]]`.

use super::section::{At, Section};
use super::send::{pem_authorities, with_password};
use crate::ldap::{Directory, Filter, Kind, Logon, Names, Server, Transit};
use crate::send::Credentials;
use crate::target::HostPort;
use world::Disk;

/// Reads one directory.
pub fn directory(section: &Section<'_, '_>, disk: &dyn Disk) -> Option<At<Directory>> {
    let name = name(section);
    let kind = section.choice("kind", Kind::WORDS);
    let clear = section.choice("tls", &[("require", false), ("off", true)]);
    let servers = servers(section, clear);
    let (filter, base) = (filter(section, kind), section.text("base"));
    let defaults = kind.names();
    let names = Names {
        mail: section.text("mail_attribute").map_or(defaults.mail, |text| text.value.into()),
        aliases: list(section, "alias_attributes", defaults.aliases),
        members: list(section, "member_attributes", defaults.members),
        forward: list(section, "forward_attributes", defaults.forward),
        attributes: list(section, "attributes", Vec::new()),
    };
    let logon = Logon {
        names: list(section, "logon_attributes", kind.logon_names()),
        cache_ms: section.duration_ms("logon_cache"),
    };
    if section.has("logon_attributes") && logon.names.is_empty() {
        section.problem("logon_attributes", "logon_attributes is empty; name at least one attribute");
    }
    let (tls_ca, bind) = (
        section.text("tls_ca_file").and_then(|file| pem_authorities(section, &file, disk)),
        bind(section, &servers, disk),
    );
    let page_size = section.count("page_size");
    let (poll_ms, reload_ms) = (section.duration_ms("poll_interval"), section.duration_ms("reload_interval"));
    let shrink_percent_max = section.count("shrink_percent_max");
    let logon = section.flag("logon").then_some(logon);
    // All has been looked at: every problem is told.
    let (name, base, (filter_text, filter)) = (name?, base?, filter?);
    let directory = Directory {
        name: name.value.into(),
        servers,
        kind,
        tls_ca,
        bind,
        base: base.value.into(),
        filter,
        filter_text,
        names,
        page_size,
        poll_ms,
        reload_ms,
        shrink_percent_max,
        logon,
    };
    Some(At { value: directory, at: name.at })
}

/// It is part of the names of files.
fn name(section: &Section<'_, '_>) -> Option<At<String>> {
    let name = section.text("name")?;
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.value.chars().all(letter) && name.value.len() <= NAME_MAX {
        return Some(name);
    }
    section
        .problem("name", format!("\"{}\" is no name; use letters, digits and hyphens, {NAME_MAX} at most", name.value));
    None
}

fn filter(section: &Section<'_, '_>, kind: Kind) -> Option<(Box<str>, Filter)> {
    let text = section.text("filter").map_or_else(|| kind.filter().to_string(), |text| text.value);
    let wrong = |error| section.problem("filter", format!("\"{text}\" is no filter: {error}; write it like (mail=*)"));
    Filter::parse(&text).map_err(wrong).ok().map(|filter| (text.as_str().into(), filter))
}

fn list(section: &Section<'_, '_>, key: &str, default: Vec<Box<str>>) -> Vec<Box<str>> {
    let written = section.has(key).then(|| section.texts(key)).flatten();
    written.map_or(default, |texts| texts.into_iter().map(|text| text.value.into()).collect())
}

fn servers(section: &Section<'_, '_>, clear: bool) -> Vec<Server> {
    let written = section.texts("servers").unwrap_or_default();
    if written.is_empty() && section.has("servers") {
        section.problem("servers", "servers is empty; name at least one");
    }
    let server = |text: &At<String>| {
        let (scheme, rest) = text.value.split_once("://").unwrap_or(("", ""));
        let (transit, port) = match (scheme, clear) {
            ("ldaps", _) => (Transit::Tls, 636),
            ("ldap", true) => (Transit::Clear, 389),
            ("ldap", false) => (Transit::StartTls, 389),
            _ => return Err(format!("\"{}\" is no server; write ldaps://host or ldap://host:port", text.value)),
        };
        let HostPort { host, port } = HostPort::parse(rest.trim_end_matches('/'), Some(port))?;
        Ok(Server { url: text.value.as_str().into(), host: host.to_string().into(), port, transit })
    };
    let read = written
        .iter()
        .filter_map(|text| server(text).map_err(|problem| section.document().problem(text.at, problem)).ok());
    read.collect()
}

fn bind(section: &Section<'_, '_>, servers: &[Server], disk: &dyn Disk) -> Option<Credentials> {
    let (dn, file) = match (section.text("bind_dn"), section.text("password_file")) {
        (None, None) => return None,
        (Some(dn), Some(file)) => (dn, file),
        (Some(_), None) => {
            section.problem("bind_dn", "bind_dn needs password_file as well");
            return None;
        }
        (None, Some(_)) => {
            section.problem("password_file", "password_file needs bind_dn as well");
            return None;
        }
    };
    let here = |server: &Server| server.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if let Some(server) = servers.iter().find(|server| server.transit == Transit::Clear && !here(server)) {
        section.warning("tls", format!("passwords are sent to {server} in the clear; write tls = \"require\""));
    }
    with_password(section, dn, &file, disk)
}

/// Bytes of a directory's name.
const NAME_MAX: usize = 64;
