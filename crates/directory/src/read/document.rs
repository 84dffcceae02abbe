//! One document while it is read: its text, its tables, and what was found wrong with it so far.

use super::section::Section;
use crate::problem::{Problem, Problems};
use crate::settings;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use world::Disk;

/// A document that is being read. Places in it are byte offsets until a problem is printed.
pub struct Document<'t> {
    file: String,
    directory: PathBuf,
    text: &'t str,
    root: DeTable<'t>,
    sections: &'static [settings::Section],
    problems: RefCell<Vec<(usize, String)>>,
    warnings: RefCell<Vec<(usize, String)>>,
}

impl<'t> Document<'t> {
    /// Parses `text`. `file` is the name in problems; relative paths in the document start at its directory.
    pub fn parse(file: &Path, text: &'t str, sections: &'static [settings::Section]) -> Result<Document<'t>, Problems> {
        let directory = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Document::parse_in(file.display().to_string(), directory, text, sections)
    }

    /// The same for a text that is in no file of this machine: `file` is its name in problems.
    pub fn parse_in(
        file: String,
        directory: PathBuf,
        text: &'t str,
        sections: &'static [settings::Section],
    ) -> Result<Document<'t>, Problems> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Document {
            file,
            directory,
            text,
            root: root.into_inner(),
            sections,
            problems: RefCell::default(),
            warnings: RefCell::default(),
        };
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            document.problem(at, format!("not valid TOML: {}", error.message().replace('\n', ", ")));
        }
        if document.is_bad() {
            return Err(document.problems());
        }
        document.check_section_names();
        Ok(document)
    }

    /// Remembers a problem at a byte offset.
    pub fn problem(&self, at: usize, text: impl Into<String>) {
        self.problems.borrow_mut().push((at, text.into()));
    }

    /// Remembers something that is allowed but hardly meant.
    pub fn warning(&self, at: usize, text: impl Into<String>) {
        self.warnings.borrow_mut().push((at, text.into()));
    }

    /// There is a problem already.
    pub fn is_bad(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The only section of that name; one with nothing but defaults if it is not written.
    pub fn section(&self, name: &'static str) -> Section<'_, 't> {
        let row = self.row(name);
        if name.is_empty() {
            return Section::new(self, row, Some(&self.root), 0);
        }
        match self.root.get(name).map(|value| (value.span().start, value.get_ref())) {
            Some((at, DeValue::Table(table))) => Section::new(self, row, Some(table), at),
            Some((at, DeValue::Array(_))) => {
                self.problem(at, format!("there is one {} only; write it with single brackets", row.heading()));
                Section::new(self, row, None, at)
            }
            Some((at, _)) => {
                self.problem(at, format!("{name} is a table; write it as {}", row.heading()));
                Section::new(self, row, None, at)
            }
            None => Section::new(self, row, None, 0),
        }
    }

    /// The section of that name, if it is written.
    pub fn section_if_written(&self, name: &'static str) -> Option<Section<'_, 't>> {
        self.root.contains_key(name).then(|| self.section(name))
    }

    /// All sections `[[name]]`, in the order in which they are written.
    pub fn repeated(&self, name: &'static str) -> Vec<Section<'_, 't>> {
        let row = self.row(name);
        let Some(value) = self.root.get(name) else { return Vec::new() };
        let DeValue::Array(tables) = value.get_ref() else {
            self.problem(value.span().start, format!("write {}: there may be several", row.heading()));
            return Vec::new();
        };
        let mut found = Vec::new();
        for table in tables.iter() {
            let at = table.span().start;
            match table.get_ref() {
                DeValue::Table(table) => found.push(Section::new(self, row, Some(table), at)),
                _ => self.problem(at, format!("{name} is a list of tables; write each one as {}", row.heading())),
            }
        }
        found
    }

    /// A path as written, from the document's directory on.
    pub fn path(&self, written: &str) -> PathBuf {
        self.directory.join(written)
    }

    /// The content of a file that the document names, or a problem at `at`.
    pub fn read_file(&self, disk: &dyn Disk, written: &str, at: usize) -> Option<Vec<u8>> {
        let path = self.path(written);
        disk.read_all(&path)
            .map_err(|error| {
                self.problem(
                    at,
                    format!("cannot read {}: {}; check the name and who may read it", path.display(), io_text(&error)),
                )
            })
            .ok()
    }

    /// Line of a byte offset, from 1.
    pub fn line_of(&self, at: usize) -> u32 {
        self.place(at).0
    }

    /// All problems, in order of place.
    pub fn problems(&self) -> Problems {
        self.listed(&self.problems)
    }

    /// All warnings, in order of place.
    pub fn warnings(&self) -> Problems {
        self.listed(&self.warnings)
    }

    fn listed(&self, found: &RefCell<Vec<(usize, String)>>) -> Problems {
        let mut found = found.borrow().clone();
        found.sort();
        found.dedup();
        let problem = |(at, text)| Problem { file: self.file.clone(), at: Some(self.place(at)), text };
        Problems(found.into_iter().map(problem).collect())
    }

    fn place(&self, at: usize) -> (u32, u32) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() as u32 + 1;
        (line, before[line_start..].chars().count() as u32 + 1)
    }

    fn row(&self, name: &str) -> &'static settings::Section {
        self.sections.iter().find(|section| section.name == name).unwrap_or(&self.sections[0])
    }

    /// Names of tables that nobody knows. Keys at the top are looked at here as well, since a section name may be meant.
    fn check_section_names(&self) {
        let top = self.row("");
        for (key, value) in &self.root {
            let name: &str = key.get_ref();
            let known = top.setting(name).is_some() || self.sections.iter().any(|section| section.name == name);
            if known {
                continue;
            }
            let is_table = match value.get_ref() {
                DeValue::Table(_) => true,
                DeValue::Array(items) => items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))),
                _ => false,
            };
            let what = if is_table { "table" } else { "key" };
            let place = if is_table { String::new() } else { " at the top of the file".into() };
            let keys = top.settings.iter().map(|s| s.key);
            let names = self.sections.iter().map(|s| s.name).filter(|n| !n.is_empty());
            let hint = did_you_mean(name, keys.chain(names)).unwrap_or_else(|| self.homes(name));
            self.problem(key.span().start, format!("unknown {what} \"{name}\"{place}{hint}"));
        }
    }

    /// Where else a word is at home: in another table of this document, or in the other document.
    pub fn homes(&self, word: &str) -> String {
        let keys = |of: &'static [settings::Section]| -> Vec<String> {
            let home = |section: &settings::Section| match section.name {
                "" => "the top".to_string(),
                _ => section.heading(),
            };
            of.iter().filter(|section| section.setting(word).is_some()).map(home).collect()
        };
        let is_org = std::ptr::eq(self.sections, settings::ORG);
        let (other, file) = if is_org { (settings::NODE, "posthouse.toml") } else { (settings::ORG, "org.toml") };
        let (here, there) = (keys(self.sections), keys(other));
        if other.iter().any(|section| section.name == word) {
            format!("; it belongs in {file}")
        } else if !here.is_empty() {
            format!("; it belongs in {}", here.join(" or "))
        } else if !there.is_empty() {
            format!("; it belongs in {} of {file}", there.join(" or "))
        } else {
            "; remove it".into()
        }
    }
}

/// A key with its place.
pub fn key_at<'a>(key: &'a Spanned<std::borrow::Cow<'_, str>>) -> (&'a str, usize) {
    (key.get_ref(), key.span().start)
}

/// `; did you mean "..."?` if one of `words` is near.
pub fn did_you_mean<'w>(wrong: &str, words: impl Iterator<Item = &'w str>) -> Option<String> {
    let near = words.map(|word| (distance(wrong, word), word)).min()?;
    (near.0 <= 1 + wrong.len() / 5).then(|| format!("; did you mean \"{}\"?", near.1))
}

/// An error of the operating system in plain words, without its number.
pub fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Changes of one letter (and exchanges of two neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
