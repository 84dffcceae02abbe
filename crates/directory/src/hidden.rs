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
    hidden(text, |_| HIDDEN)
}

/// Both texts without password hashes, to be compared: where a user's password is another one in the second, that is all that shows.
pub fn hide_both<'t>(first: &'t str, second: &'t str) -> (Cow<'t, str>, Cow<'t, str>) {
    let known = by_user(first);
    let another = |found: &Found<'_>| known.get(&found.user).is_some_and(|known| known.password != found.password);
    (hide_passwords(first), hidden(second, |found| if another(found) { ANOTHER } else { HIDDEN }))
}

/// Puts a word in the place of each password that the reader would see, and [`HIDDEN`] in the place of all that looks like a hash besides.
fn hidden<'t>(text: &'t str, word: impl Fn(&Found<'_>) -> &'static str) -> Cow<'t, str> {
    let shown = replaced(text, passwords(text).iter().map(|found| (found.place.clone(), quoted(word(found)))));
    let hashes = std::iter::successors(next_hash(&shown, 0), |before| next_hash(&shown, before.end));
    match replaced(&shown, hashes.map(|place| (place, HIDDEN.to_string()))) {
        Cow::Borrowed(_) => shown,
        Cow::Owned(text) => Cow::Owned(text),
    }
}

/// The text with others in the place of some of its parts, which are in order.
fn replaced(text: &str, parts: impl Iterator<Item = (Range<usize>, String)>) -> Cow<'_, str> {
    let (mut out, mut from) = (String::new(), 0);
    for (place, by) in parts {
        out.push_str(&text[from..place.start]);
        out.push_str(&by);
        from = place.end;
    }
    match from {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(out + &text[from..]),
    }
}

/// Where the next hash is: from how a hash begins to the end of its word.
fn next_hash(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + HASHES.iter().filter_map(|head| text[from..].find(head)).min()?;
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    Some(start..text[start..].find(ends).map_or(text.len(), |length| start + length))
}

/// The text with the passwords of `known`, user by user, in the place of [`HIDDEN`]. One whose user `known` lacks stays as it is:
/// the reader then says where.
pub fn fill_passwords<'t>(text: &'t str, known: &str) -> Cow<'t, str> {
    let known = by_user(known);
    let hidden = passwords(text).into_iter().filter(|found| found.password == HIDDEN);
    let filled = hidden.filter_map(|found| Some((found.place, known.get(&found.user)?.written.to_string())));
    replaced(text, filled)
}

struct Found<'t> {
    /// In lower case: names are compared so.
    user: String,
    password: String,
    /// The password as it is written, with its quotes.
    written: &'t str,
    place: Range<usize>,
}

/// The passwords of a document, in order of their places.
fn passwords(text: &str) -> Vec<Found<'_>> {
    let (root, _) = DeTable::parse_recoverable(text);
    let Some(DeValue::Array(users)) = root.get_ref().get("user").map(|value| value.get_ref()) else {
        return Vec::new();
    };
    let of_user = |user: &DeValue<'_>| {
        let DeValue::Table(user) = user else { return None };
        let (DeValue::String(name), value) = (user.get("name")?.get_ref(), user.get("password")?) else { return None };
        let DeValue::String(password) = value.get_ref() else { return None };
        let written = text.get(value.span())?;
        Some(Found { user: name.to_lowercase(), password: password.to_string(), written, place: value.span() })
    };
    let mut found: Vec<Found<'_>> = users.iter().filter_map(|user| of_user(user.get_ref())).collect();
    found.sort_by_key(|found| found.place.start);
    found
}

fn by_user(text: &str) -> HashMap<String, Found<'_>> {
    passwords(text).into_iter().map(|found| (found.user.clone(), found)).collect()
}

const ANOTHER: &str = "(hidden, another one)";

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
        assert_eq!(hide_passwords("[[user]\npassword = \"$argon2id$x"), format!("[[user]\npassword = \"{HIDDEN}"));
        assert!(matches!(hide_passwords("no = \"secret\""), Cow::Borrowed(_)));
        let odd = "[[user]]\nname = \"a\"\npassword = \"\"\"\\u0024argon2id$\\\n  aGFzaA\"\"\"\n";
        assert_eq!(hide_passwords(odd), format!("[[user]]\nname = \"a\"\npassword = \"{HIDDEN}\"\n"));
    }

    #[test]
    fn what_was_shown_and_comes_back_has_its_passwords() {
        assert_eq!(
            fill_passwords(&hide_passwords(TEXT), TEXT),
            TEXT.replacen("SCRAM-SHA-256$4096:c2FsdA==$a=:b=", HIDDEN, 1)
        );
        let edited = hide_passwords(TEXT).replace("\"Ann\"", "\"ann\"").replace("bob's", "not carol's");
        let filled = fill_passwords(&edited, TEXT);
        let all = |text: &str| passwords(text).into_iter().map(|f| (f.user, f.password)).collect::<Vec<_>>();
        assert_eq!(all(&filled), all(TEXT));
        // A user of whom nothing is known stays hidden, and what is not hidden is not touched.
        let new = edited.replace("\"bob\"", "\"carol\"");
        let filled = fill_passwords(&new, TEXT);
        assert!(all(&filled).contains(&("carol".into(), HIDDEN.into())), "{filled}");
        assert!(matches!(fill_passwords(TEXT, TEXT), Cow::Borrowed(_)));
        assert_eq!(fill_passwords("[[user]\n(hidden)", TEXT), "[[user]\n(hidden)");
    }

    #[test]
    fn of_another_password_only_that_shows() {
        let (same, again) = hide_both(TEXT, TEXT);
        assert_eq!(same, again);
        let other = TEXT.replace("aGFzaA", "b3RoZXI");
        let (before, after) = hide_both(TEXT, &other);
        let differ: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
        assert_eq!(differ, [format!("password = \"{ANOTHER}\"")]);
        assert!(!after.contains('$'));
    }
}
