//! Owns tables for people: columns as wide as they must be, numbers to the right, the last column as long as it likes.

use std::fmt::Write as _;

pub use crate::units::size;

/// A table that grows by rows.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// One column.
pub struct Column {
    name: &'static str,
    right: bool,
}

/// A column of text.
pub const fn text(name: &'static str) -> Column {
    Column { name, right: false }
}

/// A column of numbers.
pub const fn number(name: &'static str) -> Column {
    Column { name, right: true }
}

impl Table {
    /// No rows yet.
    pub fn new(columns: impl Into<Vec<Column>>) -> Table {
        Table { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row with one cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        // What a stranger sent must not move the cursor or colour the terminal.
        let plain = |cell: String| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.rows.push(cells.into_iter().map(plain).collect());
    }

    /// Prints it, or `nothing` if there is no row.
    pub fn print(&self, nothing: &str) {
        match self.rows.is_empty() {
            true => println!("{nothing}"),
            false => print!("{}", self.text()),
        }
    }

    /// Its lines, the head first.
    pub fn text(&self) -> String {
        let head: Vec<String> = self.columns.iter().map(|column| column.name.to_uppercase()).collect();
        let all = || std::iter::once(&head).chain(&self.rows);
        let width = |at: usize| all().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        for row in all() {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                // Writing to a string cannot fail.
                let _ = match column.right {
                    true => write!(line, "{cell:>width$}  "),
                    false => write!(line, "{cell:<width$}  "),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// `2026-11-21T05:17:00.123Z` as `2026-11-21 05:17:00`; always UTC.
pub fn time(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

/// `93784` as `1d 2h`.
pub fn duration(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, _) => format!("{m}m {s}s"),
        (0, _, _) => format!("{h}h {m}m"),
        _ => format!("{d}d {h}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_strangers_cannot_paint() {
        let mut table = Table::new([text("name"), number("count"), text("why")]);
        table.row(vec!["a".into(), "5".into(), "x\u{1b}[31my".into()]);
        table.row(vec!["longer".into(), "1234".into(), String::new()]);
        assert_eq!(table.text(), "NAME    COUNT  WHY\na           5  x [31my\nlonger   1234\n");
        assert_eq!((size(1000), size(1536), duration(93_784)), ("1000 B".into(), "1.5 KiB".into(), "1d 2h".into()));
    }
}
