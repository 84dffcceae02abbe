//! `-Filter` as far as it is cheap: `{Status -eq "Retry" -and NextHopDomain -like "*.example.org"}`, put to the fields of what was found.

/// All must hold.
pub struct Filter(Vec<Condition>);

struct Condition {
    property: String,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy)]
enum Operator {
    Equal,
    Unequal,
    Like,
    Unlike,
    Less,
    Greater,
    AtMost,
    AtLeast,
}

impl Filter {
    /// Reads one; the error says what is not understood.
    pub fn parse(text: &str) -> Result<Filter, String> {
        let bare = text.trim().trim_start_matches(['{', '(']).trim_end_matches(['}', ')']);
        let words = words(bare);
        let lower = |word: &String| word.to_ascii_lowercase();
        let mut conditions = Vec::new();
        for part in words.split(|word| lower(word) == "-and") {
            let [property, operator, value] = part else {
                return Err(format!("'{}' is no condition; write Property -eq \"value\"", part.join(" ")));
            };
            let operator = match lower(operator).as_str() {
                "-eq" => Operator::Equal,
                "-ne" => Operator::Unequal,
                "-like" => Operator::Like,
                "-notlike" => Operator::Unlike,
                "-lt" => Operator::Less,
                "-gt" => Operator::Greater,
                "-le" => Operator::AtMost,
                "-ge" => Operator::AtLeast,
                other => return Err(format!("{other} is not known; use -eq, -ne, -like, -lt, -gt, -le, -ge and -and")),
            };
            conditions.push(Condition { property: property.clone(), operator, value: value.clone() });
        }
        Ok(Filter(conditions))
    }

    /// Whether fields match. The error names a property that there is not.
    pub fn fits(&self, fields: &[(String, String)]) -> Result<bool, String> {
        for condition in &self.0 {
            let of = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(&condition.property));
            let Some((_, found)) = of else {
                let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
                return Err(format!("there is no property {}; there are {}", condition.property, names.join(", ")));
            };
            if !condition.fits(found) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Condition {
    fn fits(&self, found: &str) -> bool {
        let (found, wanted) = (found.to_lowercase(), self.value.to_lowercase());
        // Numbers and sizes by what they are, everything else (times among it) by its letters.
        let bytes = |text: &str| text.parse::<u64>().ok().or_else(|| directory::parse_bytes(text));
        let order = match (bytes(&found), bytes(&wanted)) {
            (Some(found), Some(wanted)) => found.cmp(&wanted),
            _ => found.cmp(&wanted),
        };
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::Unequal => order.is_ne(),
            Operator::Like => like(&found, &wanted),
            Operator::Unlike => !like(&found, &wanted),
            Operator::Less => order.is_lt(),
            Operator::Greater => order.is_gt(),
            Operator::AtMost => order.is_le(),
            Operator::AtLeast => order.is_ge(),
        }
    }
}

/// `*` stands for anything.
fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(tail) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(tail)
}

/// Words; what is in quotes is one.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_held_against_fields() {
        let fields = [("Status", "retry"), ("MessageCount", "12"), ("NextHopDomain", "a.example.org"), ("Size", "3MB")];
        let fields = fields.map(|(name, value)| (name.to_string(), value.to_string()));
        for (filter, fits) in [
            ("Status -eq 'Retry'", true),
            ("{Status -ne \"Retry\"}", false),
            ("NextHopDomain -like '*.example.org' -and MessageCount -gt 9", true),
            ("NextHopDomain -like 'b*org'", false),
            ("NextHopDomain -like '*.EXAMPLE.*'", true),
            ("MessageCount -le 9", false),
            ("Size -ge 1MB", true),
            ("Status -like ready", false),
        ] {
            assert_eq!(Filter::parse(filter).and_then(|filter| filter.fits(&fields)), Ok(fits), "{filter}");
        }
        let wrong = |filter: &str| Filter::parse(filter).and_then(|filter| filter.fits(&fields)).unwrap_err();
        assert!(wrong("Status").contains("Property -eq"));
        assert!(wrong("Status -is x").contains("-is is not known"));
        assert!(wrong("Color -eq x").contains("there is no property Color; there are Status, "));
    }
}
