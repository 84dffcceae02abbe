//! Reads `[[user]]`: names, password hashes, senders.

use super::domain::address_space;
use super::section::{At, Section};
use crate::base64;
use crate::hidden::HIDDEN;
use crate::user::{Password, SenderPattern, User};
use mail::Mailbox;

/// Reads one user.
pub fn user(section: &Section<'_, '_>) -> Option<At<User>> {
    let name = section.text("name");
    let password = section
        .text("password")
        .and_then(|text| parse_password(&text.value).map_err(|problem| section.problem("password", problem)).ok());
    let patterns = section.texts("may_send_as").unwrap_or_default();
    let may_send_as = patterns.iter().filter_map(|pattern| sender(section, pattern)).collect();
    let name = name?;
    if name.value.contains(char::is_whitespace) {
        section.problem("name", format!("\"{}\" holds white space; user names have none", name.value));
        return None;
    }
    let user = User { name: name.value.into(), password: password?, may_send_as };
    Some(At { value: user, at: name.at })
}

fn sender(section: &Section<'_, '_>, text: &At<String>) -> Option<SenderPattern> {
    if text.value == "*" {
        return Some(SenderPattern::Any);
    }
    if let Some(domain) = text.value.strip_prefix("*@") {
        let domain = At { value: domain.to_string(), at: text.at };
        return address_space(section, &domain).map(|domain| SenderPattern::Domain(domain.into()));
    }
    let parsed = Mailbox::parse(&text.value, true).map(SenderPattern::Mailbox);
    let hint = "write an address, \"*@example.org\" or \"*\"";
    parsed.map_err(|error| section.document().problem(text.at, format!("\"{}\": {error}; {hint}", text.value))).ok()
}

/// Reads a hash; the error says what is wrong and never repeats it.
pub fn parse_password(text: &str) -> Result<Password, String> {
    const HINT: &str = "make one with `posthouse hash-password`";
    if text == HIDDEN {
        return Err(format!(
            "password is {HIDDEN}, which stands for the password that a user of this name has in the running document, \
             and there is none; {HINT}"
        ));
    }
    if let Some(rest) = text.strip_prefix("$argon2id$") {
        let parts: Vec<&str> = rest.split('$').collect();
        let whole = matches!(parts[..], ["v=19", costs, salt, hash]
            if costs.split(',').count() >= 3 && base64::decode(salt).is_some() && base64::decode(hash).is_some_and(|h| h.len() >= 16));
        return match whole {
            true => Ok(Password::Argon2id(text.into())),
            false => Err(format!("password is a damaged argon2id hash; {HINT}")),
        };
    }
    if let Some(rest) = text.strip_prefix("SCRAM-SHA-256$") {
        return scram(rest).ok_or_else(|| format!("password holds damaged SCRAM-SHA-256 keys; {HINT}"));
    }
    Err(format!("password is no argon2id hash and no SCRAM-SHA-256 keys; {HINT}"))
}

/// `<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5803).
fn scram(text: &str) -> Option<Password> {
    let (salted, keys) = text.split_once('$')?;
    let (iterations, salt) = salted.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let iterations = iterations.parse().ok().filter(|rounds| (4096..=10_000_000).contains(rounds))?;
    Some(Password::ScramSha256 {
        iterations,
        salt: base64::decode(salt).filter(|salt| !salt.is_empty())?.into(),
        stored_key: base64::decode(stored)?.try_into().ok()?,
        server_key: base64::decode(server)?.try_into().ok()?,
    })
}
