//! Rules, remote domains and limits as they are written.

use super::{plain, text, texts};
use crate::limits::MessageLimits;
use crate::remote::RemoteDomain;
use crate::rule::{Action, Rule};
use crate::unit::bytes_text;

pub(super) fn rule_value(rule: &Rule, key: &str) -> Option<String> {
    match (key, &rule.action) {
        ("name", _) => text(&rule.name),
        ("from", _) => texts(rule.from.as_ref()?),
        ("to", _) => texts(rule.to.as_ref()?),
        ("header", _) => text(&rule.header.as_ref()?.name),
        ("header_contains", _) => texts(rule.header.as_ref()?.contains.as_ref()?),
        ("header_matches", _) => texts(rule.header.as_ref()?.matches.as_ref()?),
        ("size_over", _) => text(bytes_text(rule.over_bytes?)),
        ("refuse", Action::Refuse(said)) => text(said),
        ("redirect", Action::Redirect(to)) | ("copy", Action::Copy(to)) => text(to),
        ("tag_header", Action::TagHeader { name, value }) => text(format!("{name}: {value}")),
        ("tag_subject", Action::TagSubject(prefix)) => text(prefix),
        ("then", _) => text(if rule.stops { "stop" } else { "go_on" }),
        _ => None,
    }
}

pub(super) fn remote_value(remote: &RemoteDomain, key: &str) -> Option<String> {
    match key {
        "domains" => texts(&remote.domains),
        "auto_forward" => plain(remote.auto_forward),
        "notifications" => plain(remote.notifications),
        "automatic_replies" => plain(remote.automatic_replies),
        _ => None,
    }
}

pub(super) fn limits_value(limits: &MessageLimits, key: &str) -> Option<String> {
    match key {
        "message_size_max" => text(bytes_text(limits.message_bytes_max?)),
        "recipients_max" => plain(limits.recipients_max?),
        _ => None,
    }
}
