//! Names of entries (RFC 4514), as far as they are compared here.

/// A name in the form under which entries are known: lower case, no blanks around its commas and equals signs.
pub(super) fn plain(dn: &str) -> String {
    let mut out = String::with_capacity(dn.len());
    let mut chars = dn.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // What is escaped stays as it is, a blank too.
            '\\' => {
                out.push(c);
                out.extend(chars.next().into_iter().flat_map(char::to_lowercase));
            }
            ',' | '=' | '+' => {
                while out.ends_with(' ') && !out.ends_with("\\ ") {
                    out.pop();
                }
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
            }
            _ => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// The name in a value of `member` or `uniqueMember` (a name with an optional `#'0101'B` behind it, RFC 4517 3.3.21).
pub(super) fn of_member(value: &str) -> String {
    let name = match value.rsplit_once('#') {
        Some((name, id)) if id.starts_with('\'') && id.ends_with("'B") => name,
        _ => value,
    };
    plain(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_the_same_are_written_the_same() {
        for (written, expected) in [
            ("UID=Ann, OU=People ,DC=Example", "uid=ann,ou=people,dc=example"),
            ("cn = Smith\\, Ann , dc=x", "cn=smith\\, ann,dc=x"),
            ("cn=blank\\ ,dc=x", "cn=blank\\ ,dc=x"),
            ("cn=ÄDA,dc=x", "cn=äda,dc=x"),
        ] {
            assert_eq!(plain(written), expected);
        }
        assert_eq!(of_member("uid=a,dc=x#'0101'B"), "uid=a,dc=x");
        assert_eq!(of_member("cn=c#,dc=x"), "cn=c#,dc=x");
    }
}
