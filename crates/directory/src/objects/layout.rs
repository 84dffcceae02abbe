//! Where the tables of a document stand in its text. Places are byte offsets. Always holds: where something goes in or out is the start of
//! a line or the end of the text, so that lines stay whole.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::ObjectError;
use crate::settings::Section;

/// A parsed text.
pub struct Layout<'t> {
    text: &'t str,
    root: DeTable<'t>,
}

/// One table as it is written.
pub struct Table<'d, 't> {
    /// Its header, `[[kind]]`; nothing for what stands before the first table.
    pub header: Option<Range<usize>>,
    table: &'d DeTable<'t>,
}

impl<'t> Layout<'t> {
    /// Parses it.
    pub fn of(text: &'t str) -> Result<Layout<'t>, ObjectError> {
        let root = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count()) + 1;
            let error = format!("line {line} of the document is no TOML: {}", error.message().replace('\n', ", "));
            ObjectError::bad(error, "correct it by hand; posthouse check names the place")
        })?;
        Ok(Layout { text, root: root.into_inner() })
    }

    /// The tables of a section, in order of the document.
    pub fn tables(&self, section: &Section) -> Result<Vec<Table<'_, 't>>, ObjectError> {
        if section.name.is_empty() {
            return Ok(vec![Table { header: None, table: &self.root }]);
        }
        let Some(value) = self.root.get(section.name) else { return Ok(Vec::new()) };
        let table = |value: &'_ toml::Spanned<DeValue<'t>>| self.text[value.span()].starts_with('[');
        let found: Option<Vec<_>> = match value.get_ref() {
            DeValue::Array(items) if section.repeated => {
                let of = |item: &toml::Spanned<DeValue<'t>>| table(item).then(|| item.span());
                let headers: Option<Vec<_>> = items.iter().map(of).collect();
                headers.map(|headers| headers.into_iter().zip(items.iter().map(|item| item.get_ref())).collect())
            }
            single @ DeValue::Table(_) if !section.repeated && table(value) => Some(vec![(value.span(), single)]),
            _ => None,
        };
        let tables = found.and_then(|found| found.into_iter().map(|(header, value)| written(header, value)).collect());
        tables.ok_or_else(|| {
            let line = self.line_of(value.span().start);
            let error =
                format!("{} is written in another way than as {} (line {line})", section.name, section.heading());
            ObjectError::bad(error, "write it so by hand once; objects are found by these lines")
        })
    }

    /// Line of a place, from 1.
    pub fn line_of(&self, at: usize) -> u32 {
        self.text[..at].matches('\n').count() as u32 + 1
    }

    /// The start of the line that a place is in.
    pub fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }

    /// The start of the next line.
    pub fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end + 1)
    }

    /// The start of the comment that stands directly above the line which starts at `at`.
    pub fn with_comment_above(&self, mut at: usize) -> usize {
        while at > 0 {
            let above = self.line_start(at - 1);
            if !self.text[above..at].trim_start().starts_with('#') {
                break;
            }
            at = above;
        }
        at
    }

    /// Behind the comment that stands directly below, unless it belongs to a header below it.
    pub fn with_comment_below(&self, at: usize) -> usize {
        let mut end = at;
        while end < self.text.len() {
            let next = self.line_end(end);
            match self.text[end..next].trim_start() {
                line if line.starts_with('#') => end = next,
                line if line.starts_with('[') => return at,
                _ => break,
            }
        }
        end
    }

    /// Where the first table begins: the end of the text if there is none.
    pub fn first_header(&self) -> usize {
        let heads = self.root.values().filter_map(|value| match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| item.span().start).min(),
            DeValue::Table(_) => Some(value.span().start),
            _ => None,
        });
        let headers = heads.filter(|at| self.text[*at..].starts_with('[') && self.line_start(*at) == *at);
        headers.min().unwrap_or(self.text.len())
    }
}

impl<'d, 't> Table<'d, 't> {
    /// A value with the places of its key and of itself.
    pub fn find(&self, key: &str) -> Option<(Range<usize>, &'d DeValue<'t>, Range<usize>)> {
        let (key, value) = self.table.get_key_value(key)?;
        Some((key.span(), value.get_ref(), value.span()))
    }

    /// Behind the last line of the table.
    pub fn end(&self, layout: &Layout<'_>) -> usize {
        let plain = |value: &&toml::Spanned<DeValue<'t>>| self.header.is_some() || !is_table(value.get_ref());
        let values = self.table.values().filter(plain).map(|value| value.span().end);
        let last = values.chain(self.header.iter().map(|header| header.end)).max();
        last.map_or(0, |last| layout.line_end(last))
    }

    /// White space that its last line begins with.
    pub fn indent(&self, text: &'t str, layout: &Layout<'_>) -> &'t str {
        let keys = self.table.keys().map(|key| key.span().start).max();
        let line = keys.map_or("", |at| &text[layout.line_start(at)..at]);
        if line.trim().is_empty() { line } else { "" }
    }
}

fn written<'d, 't>(header: Range<usize>, value: &'d DeValue<'t>) -> Option<Table<'d, 't>> {
    match value {
        DeValue::Table(table) => Some(Table { header: Some(header), table }),
        _ => None,
    }
}

fn is_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))),
        _ => false,
    }
}
