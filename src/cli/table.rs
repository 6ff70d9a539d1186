//! Aligned columns, as wide as what they hold.

use crate::log::escape;
use unicode_width::UnicodeWidthStr as _;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under a line of headings.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; nothing in it can act upon a terminal.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| escape(&cell)).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headings: Vec<String> = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&headings]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for row in [&headings].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                let fill = " ".repeat(width - cell.width());
                match align {
                    Align::Left => line.extend([cell.as_str(), &fill]),
                    Align::Right => line.extend([fill.as_str(), cell]),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen_not_by_bytes() {
        let mut table = Table::new(&[("WHAT", Align::Left), ("N", Align::Right), ("END", Align::Left)]);
        table.row(["会議".to_owned(), "7".to_owned(), "x".to_owned()]);
        table.row(["a\x1b[31m".to_owned(), "12".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "WHAT          N  END\n会議          7  x\na\\u{1b}[31m  12\n");
    }
}
