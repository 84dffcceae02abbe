//! Recipients, groups and contacts as they are written.

use super::{plain, text, texts};
use crate::recipients::{Entry, Is, Senders};
use crate::unit::bytes_text;

pub(super) fn recipient_value(entry: &Entry, key: &str) -> Option<String> {
    match key {
        "forward_to" => text(&entry.forward.as_ref()?.to),
        "keep_copy" => plain(entry.forward.as_ref().is_some_and(|forward| forward.keep_copy)),
        "attributes" => pairs(&entry.attributes),
        _ => common_value(entry, key),
    }
}

pub(super) fn group_value(entry: &Entry, quiet: bool, key: &str) -> Option<String> {
    match (key, &entry.is) {
        ("members", Is::Group { members, .. }) => texts(members),
        ("having", Is::Group { having, .. }) => pairs(having),
        ("notifications", _) => text(if quiet { "nobody" } else { "sender" }),
        _ => common_value(entry, key),
    }
}

pub(super) fn contact_value(entry: &Entry, key: &str) -> Option<String> {
    match (key, &entry.is) {
        ("target", Is::Contact { target }) => text(target),
        _ => common_value(entry, key),
    }
}

fn common_value(entry: &Entry, key: &str) -> Option<String> {
    match key {
        "address" => text(&entry.address),
        "aliases" => texts(&entry.aliases),
        "senders" => text(match entry.senders {
            Senders::Anybody => "anybody",
            Senders::Trusted => "trusted",
        }),
        "message_size_max" => text(bytes_text(entry.message_bytes_max?)),
        _ => None,
    }
}

fn pairs(pairs: &[(Box<str>, Box<str>)]) -> Option<String> {
    texts(&pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
}
