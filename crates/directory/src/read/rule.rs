//! Reads `[[rule]]`, `[[remote_domain]]` and `[message_limits]`.

use super::domain::address_space;
use super::recipient::mailbox;
use super::section::{At, Section};
use crate::limits::MessageLimits;
use crate::pattern::AddressPattern;
use crate::remote::RemoteDomain;
use crate::rule::{Action, HeaderTest, Rule};
use mail::Mailbox;

/// The keys of which a rule has one.
const ACTIONS: &[&str] = &["refuse", "redirect", "copy", "tag_header", "tag_subject"];

/// Reads one rule.
pub fn rule(section: &Section<'_, '_>) -> Option<At<Rule>> {
    let name = section.text("name");
    let (from, to) = (patterns(section, "from"), patterns(section, "to"));
    let header = header(section);
    let size = section.bytes("size_over");
    let actions =
        [refuse(section), address(section, "redirect", Action::Redirect), address(section, "copy", Action::Copy)]
            .into_iter()
            .chain([tag_header(section), tag_subject(section)]);
    let actions: Vec<Action> = actions.flatten().collect();
    let stops = section.choice("then", &[("stop", true), ("go_on", false)]);
    let written: Vec<&str> = ACTIONS.iter().copied().filter(|key| section.has(key)).collect();
    match written[..] {
        [_] => {}
        [] => section.problem("name", format!("this rule does nothing; add one of {}", ACTIONS.join(", "))),
        [first, second, ..] => section.problem(
            second,
            format!(
                "a rule does one thing, and this one has {first} already; make a second rule, and let this one go on"
            ),
        ),
    }
    let (name, action) = (name?, actions.into_iter().next()?);
    let over_bytes = section.has("size_over").then_some(size);
    Some(At { value: Rule { name: name.value.into(), from, to, header, over_bytes, action, stops }, at: name.at })
}

fn patterns(section: &Section<'_, '_>, key: &str) -> Option<Vec<AddressPattern>> {
    let texts = section.texts(key)?;
    Some(texts.iter().filter_map(|text| pattern(section, text, key == "from")).collect())
}

fn pattern(section: &Section<'_, '_>, text: &At<String>, may_be_null: bool) -> Option<AddressPattern> {
    match text.value.as_str() {
        "*" => return Some(AddressPattern::Any),
        "<>" if may_be_null => return Some(AddressPattern::Null),
        _ => {}
    }
    if let Some(domain) = text.value.strip_prefix("*@") {
        let space = address_space(section, &At { value: domain.to_string(), at: text.at })?;
        return Some(match space.strip_prefix("*.") {
            Some(parent) => AddressPattern::Below(parent.into()),
            None => AddressPattern::Domain(space.into()),
        });
    }
    match Mailbox::parse(&text.value, true) {
        Ok(address) => Some(AddressPattern::Mailbox(address.as_str().to_lowercase().into())),
        Err(error) => {
            let hint = "write bob@example.org, *@example.org, *@*.example.org or *";
            section.document().problem(text.at, format!("\"{}\": {error}; {hint}", text.value));
            None
        }
    }
}

fn header(section: &Section<'_, '_>) -> Option<HeaderTest> {
    let lower = |key| -> Option<Vec<Box<str>>> {
        Some(section.texts(key)?.into_iter().map(|text| text.value.to_lowercase().into()).collect())
    };
    let name = section.text("header");
    let (contains, matches) = (lower("header_contains"), lower("header_matches"));
    let Some(name) = name else {
        for key in ["header_contains", "header_matches"].into_iter().filter(|key| section.has(key)) {
            section.problem(key, format!("{key} goes with header = \"...\", the field that it is about"));
        }
        return None;
    };
    if !is_field_name(&name.value) {
        let problem = format!("\"{}\" is no header field; write its name like Subject, without the colon", name.value);
        section.problem("header", problem);
    }
    Some(HeaderTest { name: name.value.into(), contains, matches })
}

fn refuse(section: &Section<'_, '_>) -> Option<Action> {
    let text = section.text("refuse")?;
    if !text.value.is_ascii() || text.value.len() > REPLY_BYTES_MAX {
        section
            .problem("refuse", format!("a reply is ASCII and at most {REPLY_BYTES_MAX} characters; write it shorter"));
    }
    Some(Action::Refuse(text.value.into()))
}

fn address(section: &Section<'_, '_>, key: &str, action: impl Fn(Mailbox) -> Action) -> Option<Action> {
    section.text(key).and_then(|text| mailbox(section, text)).map(|address| action(address.value))
}

fn tag_header(section: &Section<'_, '_>) -> Option<Action> {
    let text = section.text("tag_header")?;
    let (name, value) = text.value.split_once(':').unwrap_or((&text.value, ""));
    let value = value.trim();
    if !is_field_name(name) || value.is_empty() || !value.is_ascii() || text.value.len() > FIELD_BYTES_MAX {
        let problem = format!(
            "a tag is one header field like \"X-Origin: outside\", ASCII, at most {FIELD_BYTES_MAX} characters"
        );
        section.problem("tag_header", problem);
        return None;
    }
    if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        section.problem(
            "tag_header",
            format!("{name} says how mail travels or what it is; tag with a field of your own, like X-Origin"),
        );
        return None;
    }
    Some(Action::TagHeader { name: name.into(), value: value.into() })
}

fn tag_subject(section: &Section<'_, '_>) -> Option<Action> {
    let text = section.text("tag_subject")?;
    if !text.value.is_ascii() || text.value.len() > SUBJECT_BYTES_MAX {
        section.problem("tag_subject", format!("a subject's tag is ASCII and at most {SUBJECT_BYTES_MAX} characters"));
    }
    Some(Action::TagSubject(text.value.into()))
}

/// RFC 5322 2.2.
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| (33..=126).contains(&b) && b != b':')
}

/// Reads one remote domain.
pub fn remote_domain(section: &Section<'_, '_>) -> Option<At<RemoteDomain>> {
    let domains = section.texts("domains").unwrap_or_default();
    let value = RemoteDomain {
        domains: domains.iter().filter_map(|text| address_space(section, text)).map(Into::into).collect(),
        auto_forward: section.flag("auto_forward"),
        notifications: section.flag("notifications"),
        automatic_replies: section.flag("automatic_replies"),
    };
    Some(At { value, at: section.at("domains") })
}

/// Reads the limits of the organization.
pub fn message_limits(section: &Section<'_, '_>) -> MessageLimits {
    let (bytes, recipients) = (section.bytes("message_size_max"), section.count("recipients_max"));
    MessageLimits {
        message_bytes_max: section.has("message_size_max").then_some(bytes),
        recipients_max: section.has("recipients_max").then_some(recipients),
    }
}

/// What fits behind `550 5.7.1 ` on one line (RFC 5321 4.5.3.1.5), with room to spare.
const REPLY_BYTES_MAX: usize = 400;
/// A field on one line.
const FIELD_BYTES_MAX: usize = 500;
const SUBJECT_BYTES_MAX: usize = 100;
/// Fields that no rule writes.
const OURS: &[&str] = &[
    "received",
    "return-path",
    "delivered-to",
    "subject",
    "from",
    "to",
    "cc",
    "bcc",
    "date",
    "sender",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "dkim-signature",
];
