//! Tags in a header that is there as a whole. Pure; changes nothing but what a rule says.

use directory::Action;
use mail::fields::fields;

/// The header with these tags. `header` ends behind its empty line, or where it ends to be one.
pub fn tagged(header: &[u8], tags: &[&Action]) -> Vec<u8> {
    let mut front = Vec::new();
    let mut prefixes = String::new();
    for tag in tags {
        match tag {
            Action::TagHeader { name, value } => line(&mut front, &format!("{name}: {value}")),
            Action::TagSubject(prefix) => prefixes.push_str(prefix),
            Action::Refuse(_) | Action::Redirect(_) | Action::Copy(_) => {}
        }
    }
    let subject = fields(header).find(|field| field.is("Subject"));
    match subject {
        _ if prefixes.is_empty() => [&front, header].concat(),
        Some(subject) if subject.text().starts_with(prefixes.trim()) => [&front, header].concat(),
        Some(subject) => {
            let (before, behind) = header.split_at(subject.at.start);
            // A line may have 998 characters (RFC 5322 2.1.1): a long one goes on the next.
            let first_line = subject.value.split(|b| *b == b'\n').next().unwrap_or_default();
            let fold: &[u8] = if first_line.len() + prefixes.len() > FIRST_LINE_MAX { b"\r\n " } else { b"" };
            let text = behind.strip_prefix(b" ").unwrap_or(behind);
            [&front, before, b" ", prefixes.as_bytes(), fold, text].concat()
        }
        None => {
            line(&mut front, &format!("Subject: {}", prefixes.trim_end()));
            [&front, header].concat()
        }
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Of a subject with its tag.
const FIRST_LINE_MAX: usize = 900;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(header: &str, tags: &[Action]) -> String {
        String::from_utf8_lossy(&tagged(header.as_bytes(), &tags.iter().collect::<Vec<_>>())).into_owned()
    }

    #[test]
    fn tags_go_where_they_belong() {
        let outside = Action::TagSubject("[outside] ".into());
        let field = Action::TagHeader { name: "X-Origin".into(), value: "outside".into() };
        assert_eq!(
            with("From: a\r\nSubject: hi\r\n\r\n", std::slice::from_ref(&outside)),
            "From: a\r\nSubject: [outside] hi\r\n\r\n"
        );
        assert_eq!(
            with("From: a\r\nsubject:=?utf-8?q?=C3=A4?=\r\n\r\n", &[field.clone(), outside.clone()]),
            "X-Origin: outside\r\nFrom: a\r\nsubject: [outside] =?utf-8?q?=C3=A4?=\r\n\r\n"
        );
        assert_eq!(
            with("Subject: [outside] hi\r\n\r\n", std::slice::from_ref(&outside)),
            "Subject: [outside] hi\r\n\r\n",
            "once is enough"
        );
        assert_eq!(with("\r\n", std::slice::from_ref(&outside)), "Subject: [outside]\r\n\r\n");
        assert_eq!(with("", &[field]), "X-Origin: outside\r\n");
        let long = format!("Subject: {}\r\n\r\n", "x".repeat(990));
        assert_eq!(with(&long, &[outside]), format!("Subject: [outside] \r\n {}\r\n\r\n", "x".repeat(990)));
    }
}
