//! Owns how an organization document is shown without its password hashes, and how it is read again after that.
//! Always holds: what is shown holds no hash, not even in a comment or in a document that is not sound; a document that was shown,
//! edited and given back loses no password.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::quoted::quoted;
use toml::de::{DeTable, DeValue};

/// What stands in the place of a password hash. Given back, it means: the password that this user has.
pub const HIDDEN: &str = "(hidden)";

/// The text with [`HIDDEN`] in the place of each password hash.
pub fn hide_passwords(text: &str) -> Cow<'_, str> {
    let Some(first) = next_hash(text) else { return Cow::Borrowed(text) };
    let (mut out, mut rest, mut found) = (String::with_capacity(text.len()), text, Some(first));
    while let Some(hash) = found {
        out.push_str(&rest[..hash.start]);
        out.push_str(HIDDEN);
        rest = &rest[hash.end..];
        found = next_hash(rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where the next hash is: from how a hash begins to the end of its word.
fn next_hash(text: &str) -> Option<Range<usize>> {
    let start = HASHES.iter().filter_map(|head| text.find(head)).min()?;
    let end =
        text[start..].find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).map_or(text.len(), |n| start + n);
    Some(start..end)
}

/// The text with the passwords of `known`, user by user, in the place of [`HIDDEN`]. One whose user `known` lacks stays as it is:
/// the reader then says where.
pub fn fill_passwords<'t>(text: &'t str, known: &str) -> Cow<'t, str> {
    let mut hidden = passwords(text);
    hidden.retain(|found| found.password == HIDDEN);
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let known: HashMap<String, String> =
        passwords(known).into_iter().map(|found| (found.user, found.password)).collect();
    let mut out = text.to_string();
    // From the end on, so that places before stay true.
    for found in hidden.iter().rev() {
        if let Some(password) = known.get(&found.user) {
            out.replace_range(found.place.clone(), &quoted(password));
        }
    }
    Cow::Owned(out)
}

struct Found {
    /// In lower case: names are compared so.
    user: String,
    password: String,
    /// The value with its quotes.
    place: Range<usize>,
}

/// The passwords of a document, in order of their places.
fn passwords(text: &str) -> Vec<Found> {
    let (root, _) = DeTable::parse_recoverable(text);
    let Some(DeValue::Array(users)) = root.get_ref().get("user").map(|value| value.get_ref()) else {
        return Vec::new();
    };
    let of_user = |user: &DeValue<'_>| {
        let DeValue::Table(user) = user else { return None };
        let (DeValue::String(name), value) = (user.get("name")?.get_ref(), user.get("password")?) else { return None };
        let DeValue::String(password) = value.get_ref() else { return None };
        Some(Found { user: name.to_lowercase(), password: password.to_string(), place: value.span() })
    };
    let mut found: Vec<Found> = users.iter().filter_map(|user| of_user(user.get_ref())).collect();
    found.sort_by_key(|found| found.place.start);
    found
}

/// How the hashes that a document may hold begin.
const HASHES: [&str; 2] = ["$argon2", "SCRAM-SHA-256$"];

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# old: SCRAM-SHA-256$4096:c2FsdA==$a=:b=\n[[user]]\nname = \"Ann\"\npassword = \"$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA\"\n\
                        [[user]]\npassword = 'SCRAM-SHA-256$4096:c2FsdA==$a=:b=' # bob's\nname = \"bob\"\n";

    #[test]
    fn what_is_shown_holds_no_hash() {
        let shown = hide_passwords(TEXT);
        assert!(!shown.contains('$'), "{shown}");
        assert_eq!(shown.matches(HIDDEN).count(), 3);
        assert_eq!(shown.lines().count(), TEXT.lines().count());
        assert_eq!(hide_passwords("[[user]\npassword = \"$argon2id$x"), format!("[[user]\npassword = \"{HIDDEN}"));
        assert!(matches!(hide_passwords("no = \"secret\""), Cow::Borrowed(_)));
    }

    #[test]
    fn what_was_shown_and_comes_back_has_its_passwords() {
        let edited = hide_passwords(TEXT).replace("\"Ann\"", "\"ann\"").replace("bob's", "not carol's");
        let filled = fill_passwords(&edited, TEXT);
        let all = |text: &str| passwords(text).into_iter().map(|f| (f.user, f.password)).collect::<Vec<_>>();
        assert_eq!(all(&filled), all(TEXT));
        // A user of whom nothing is known stays hidden, and what is not hidden is not touched.
        let new = edited.replace("\"bob\"", "\"carol\"");
        let filled = fill_passwords(&new, TEXT);
        assert_eq!(filled.matches(&format!("'{HIDDEN}'")).count(), 1, "{filled}");
        assert!(matches!(fill_passwords(TEXT, TEXT), Cow::Borrowed(_)));
        assert_eq!(fill_passwords("[[user]\n(hidden)", TEXT), "[[user]\n(hidden)");
    }
}
