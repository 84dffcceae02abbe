//! ESMTP parameters (RFC 5321 4.1.2): `KEYWORD` or `KEYWORD=value`, each behind a space.

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'t> {
    /// As it was written; compare without regard to case.
    pub keyword: &'t str,
    /// Not empty, without spaces, controls and `=`.
    pub value: Option<&'t str>,
}

/// A parameter that breaks the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadParameter;

/// Reads what follows a path. More than one space between parameters is taken; none before the first is not.
pub fn parameters(rest: &str) -> impl Iterator<Item = Result<Parameter<'_>, BadParameter>> {
    let glued = !rest.is_empty() && !rest.starts_with(' ');
    let words = rest.split(' ').filter(|word| !word.is_empty()).map(parameter);
    glued.then_some(Err(BadParameter)).into_iter().chain(words)
}

fn parameter(word: &str) -> Result<Parameter<'_>, BadParameter> {
    let (keyword, value) = match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let is_value = |value: &str| !value.is_empty() && !value.chars().any(|c| c == '=' || c.is_control());
    if is_keyword(keyword) && value.is_none_or(is_value) { Ok(Parameter { keyword, value }) } else { Err(BadParameter) }
}

/// `esmtp-keyword` and `ehlo-keyword`: letters, digits and hyphens, not a hyphen first.
pub fn is_keyword(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn keywords_and_values() {
        let read = |text| parameters(text).collect::<Result<Vec<_>, _>>();
        let one = |keyword, value| Parameter { keyword, value };
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read(" SIZE=1  x-Y"), Ok([one("SIZE", Some("1")), one("x-Y", None)].to_vec()));
        for bad in ["SIZE=1", " SIZE=", " =1", " -a", " a=b=c", " a_b", " a=\u{1}", " \u{e9}=1"] {
            assert_eq!(read(bad), Err(BadParameter), "{bad}");
        }
    }
}
