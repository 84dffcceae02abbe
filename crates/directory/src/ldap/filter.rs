//! Search filters (RFC 4515) as a tree. Values are bytes beside the tree's words: nothing that is put into one can change its meaning.

/// What an entry must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these.
    And(Vec<Filter>),
    /// One of these.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute has this value.
    Equal(Box<str>, Box<[u8]>),
    /// The attribute has a value like this one.
    Approx(Box<str>, Box<[u8]>),
    /// The attribute has a value at or above this one.
    AtLeast(Box<str>, Box<[u8]>),
    /// The attribute has a value at or below this one.
    AtMost(Box<str>, Box<[u8]>),
    /// The attribute has a value.
    Present(Box<str>),
    /// The attribute has a value with these parts in this order. The first and the last one may be empty.
    Parts(Box<str>, Vec<Box<[u8]>>),
    /// A rule of the server's (`userAccountControl:1.2.840.113556.1.4.803:=2`).
    Rule {
        /// Empty: any.
        attribute: Box<str>,
        /// Empty: the attribute's own.
        rule: Box<str>,
        /// What it is compared with.
        value: Box<[u8]>,
        /// Parts of the entry's name count as attributes.
        dn: bool,
    },
}

impl Filter {
    /// Reads a filter; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Filter, String> {
        let mut reader = Reader { text, at: 0 };
        let filter = reader.filter(0)?;
        match reader.rest().trim() {
            "" => Ok(filter),
            rest => Err(format!("\"{rest}\" stands behind its end")),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn takes(&mut self, word: &str) -> bool {
        let blank = self.rest().len() - self.rest().trim_start().len();
        let there = self.rest().trim_start().starts_with(word);
        self.at += if there { blank + word.len() } else { 0 };
        there
    }

    fn needs(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) { Ok(()) } else { Err(format!("\"{word}\" is missing before \"{}\"", short(self.rest()))) }
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it is nested deeper than {DEPTH_MAX}"));
        }
        self.needs("(")?;
        let filter = if self.takes("&") {
            Filter::And(self.list(depth)?)
        } else if self.takes("|") {
            Filter::Or(self.list(depth)?)
        } else if self.takes("!") {
            Filter::Not(Box::new(self.filter(depth + 1)?))
        } else {
            self.item()?
        };
        self.needs(")")?;
        Ok(filter)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Filter>, String> {
        let mut all = Vec::new();
        while self.rest().trim_start().starts_with('(') {
            all.push(self.filter(depth + 1)?);
        }
        if all.is_empty() { Err("a list of filters is empty".into()) } else { Ok(all) }
    }

    fn item(&mut self) -> Result<Filter, String> {
        let item = self.rest().split(')').next().unwrap_or_default();
        let equals = item.find('=').ok_or_else(|| format!("\"{}\" has no =", short(item)))?;
        let (head, value) = (&item[..equals], &item[equals + 1..]);
        self.at += item.len();
        if let Some(head) = head.strip_suffix(':') {
            return rule(head, single(value)?);
        }
        let (attribute, sign) = match head.as_bytes().last() {
            Some(b'~' | b'<' | b'>') => head.split_at(head.len() - 1),
            _ => (head, ""),
        };
        let attribute = attribute_name(attribute)?;
        match sign {
            "~" => Ok(Filter::Approx(attribute, single(value)?)),
            ">" => Ok(Filter::AtLeast(attribute, single(value)?)),
            "<" => Ok(Filter::AtMost(attribute, single(value)?)),
            _ if value == "*" => Ok(Filter::Present(attribute)),
            _ if value.contains('*') => {
                let parts: Vec<Box<[u8]>> = value.split('*').map(unescaped).collect::<Result<_, _>>()?;
                let inner = &parts[1..parts.len() - 1];
                match inner.iter().any(|part| part.is_empty()) {
                    true => Err(format!("\"{}\" has two * side by side", short(value))),
                    false => Ok(Filter::Parts(attribute, parts)),
                }
            }
            _ => Ok(Filter::Equal(attribute, unescaped(value)?)),
        }
    }
}

/// `attribute:dn:rule` of an extensible match.
fn rule(head: &str, value: Box<[u8]>) -> Result<Filter, String> {
    let mut parts = head.split(':');
    let attribute = parts.next().unwrap_or_default();
    let attribute = if attribute.is_empty() { "".into() } else { attribute_name(attribute)? };
    let (mut dn, mut rule) = (false, Box::from(""));
    for part in parts {
        match part.eq_ignore_ascii_case("dn") {
            true => dn = true,
            false => rule = attribute_name(part)?,
        }
    }
    match attribute.is_empty() && rule.is_empty() {
        true => Err("a match without attribute needs a rule".into()),
        false => Ok(Filter::Rule { attribute, rule, value, dn }),
    }
}

fn attribute_name(text: &str) -> Result<Box<str>, String> {
    let text = text.trim();
    let letter = |c: char| c.is_ascii_alphanumeric() || "-.;_".contains(c);
    match !text.is_empty() && text.chars().all(letter) {
        true => Ok(text.into()),
        false => Err(format!("\"{}\" is no name of an attribute", short(text))),
    }
}

fn single(value: &str) -> Result<Box<[u8]>, String> {
    if value.contains('*') { Err(format!("* has no meaning in \"{}\"", short(value))) } else { unescaped(value) }
}

/// A value: `\` and two hex digits are a byte (RFC 4515 3).
fn unescaped(value: &str) -> Result<Box<[u8]>, String> {
    let mut parts = value.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("\\ stands before no two hex digits in \"{}\"", short(value)))?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    match value.contains('(') {
        true => Err(format!("a ( in a value is written \\28, in \"{}\"", short(value))),
        false => Ok(bytes.into()),
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Filters within filters.
const DEPTH_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_rfc_4515_are_read() {
        let equal = |name: &str, value: &[u8]| Filter::Equal(name.into(), value.into());
        for (text, expected) in [
            ("(cn=Babs Jensen)", equal("cn", b"Babs Jensen")),
            ("(!(cn=Tim Howes))", Filter::Not(Box::new(equal("cn", b"Tim Howes")))),
            (
                "(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))",
                Filter::And(vec![
                    equal("objectClass", b"Person"),
                    Filter::Or(vec![
                        equal("sn", b"Jensen"),
                        Filter::Parts("cn".into(), vec![b"Babs J"[..].into(), b""[..].into()]),
                    ]),
                ]),
            ),
            (
                "(o=univ*of*mich*)",
                Filter::Parts("o".into(), [&b"univ"[..], b"of", b"mich", b""].map(Into::into).into()),
            ),
            ("(seeAlso=)", equal("seeAlso", b"")),
            ("(cn=*)", Filter::Present("cn".into())),
            ("(bin=\\00\\00\\00\\04)", equal("bin", b"\0\0\0\x04")),
            ("(sn=Lu\\c4\\8di\\c4\\87)", equal("sn", "Lučić".as_bytes())),
            ("(o=Parens R Us \\28for all your needs\\29)", equal("o", b"Parens R Us (for all your needs)")),
            ("(age>=7)", Filter::AtLeast("age".into(), b"7"[..].into())),
            (
                "(userAccountControl:1.2.840.113556.1.4.803:=2)",
                Filter::Rule {
                    attribute: "userAccountControl".into(),
                    rule: "1.2.840.113556.1.4.803".into(),
                    value: b"2"[..].into(),
                    dn: false,
                },
            ),
            (
                "(:DN:2.4.6.8.10:=Dino)",
                Filter::Rule { attribute: "".into(), rule: "2.4.6.8.10".into(), value: b"Dino"[..].into(), dn: true },
            ),
        ] {
            assert_eq!(Filter::parse(text), Ok(expected), "{text}");
        }
        let deep = format!("{}(a=b){}", "(!".repeat(30), ")".repeat(30));
        for wrong in [
            "",
            "mail=*",
            "(mail=*",
            "(&)",
            "(mail)",
            "(a=b)(c=d)",
            "(a=\\zz)",
            "(a=\\ä)",
            "(a=x**y)",
            "(ä=b)",
            "(a>=*)",
            &deep,
        ] {
            assert!(Filter::parse(wrong).is_err(), "{wrong}");
        }
    }
}
