//! Located problems: how they are shown, on a terminal and in the log.

use crate::log::escape;
use std::fmt;
use std::path::{Path, PathBuf};
use unicode_width::UnicodeWidthStr as _;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing of the configuration is used.
    Error,
    /// It works, and perhaps not as meant.
    Warning,
}

/// One problem of a file.
///
/// Its `Display` is for people: location, message, the line with a caret under what is meant, and the help. It ends
/// without a line break. [`Diagnostic::summary`] is the same on one line, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub path: PathBuf,
    /// Line, from 1; 0 when it concerns the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 when it concerns the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line that it points at; `None` when it concerns the file as a whole.
    pub snippet: Option<Snippet>,
}

/// A source line, made safe for a terminal: no tabs, no control characters, no secrets, cut where it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// What is shown of the line.
    pub text: String,
    /// Terminal columns before the caret.
    pub caret: usize,
    /// Terminal columns that are underlined, at least 1.
    pub width: usize,
}

impl Diagnostic {
    /// A problem that concerns the file as a whole.
    pub fn of_file(severity: Severity, path: &Path, message: String, help: Option<String>) -> Self {
        Self { severity, path: path.to_owned(), line: 0, column: 0, message, help, snippet: None }
    }

    /// `path:line:col`, or the path alone when it concerns the file as a whole. Safe for a terminal.
    pub fn location(&self) -> String {
        let path = escape(&self.path.to_string_lossy());
        if self.line == 0 { path } else { format!("{path}:{}:{}", self.line, self.column) }
    }

    /// On one line: location, message and help.
    pub fn summary(&self) -> String {
        let help = self.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}: {}{help}", self.location(), self.message)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: {}", self.location(), self.message)?;
        let number = self.line.to_string();
        let margin = if self.snippet.is_some() { number.len() } else { 0 };
        if let Some(snippet) = &self.snippet {
            write!(f, "\n{number} | {}", snippet.text)?;
            write!(
                f,
                "\n{:margin$} | {:caret$}{}",
                "",
                "",
                "^".repeat(snippet.width),
                caret = snippet.caret
            )?;
        }
        match &self.help {
            Some(help) => write!(f, "\n{:margin$} = help: {help}", ""),
            None => Ok(()),
        }
    }
}

/// Characters of a line that are shown before and from the caret on; a longer line is cut there.
const SHOWN_BEFORE: usize = 80;
const SHOWN_FROM: usize = 80;
const CUT: &str = "…";
/// What stands for a secret.
const MASK: &str = "***";

impl Snippet {
    /// The line of `text` that holds `start`, underlined up to `end` or the line's end. `line_start` is where that line
    /// begins; what lies in `masked` (sorted, without overlaps) is not shown.
    pub(super) fn new(
        text: &str,
        line_start: usize,
        start: usize,
        end: usize,
        masked: &[std::ops::Range<usize>],
    ) -> Self {
        let before = text.get(line_start..start).unwrap_or_default();
        let from = before.char_indices().rev().nth(SHOWN_BEFORE - 1).map_or(0, |(at, _)| at) + line_start;
        let rest = text.get(start..).unwrap_or_default();
        let line_length = rest.find('\n').unwrap_or(rest.len());
        let rest = rest.get(..line_length).unwrap_or_default();
        let rest = rest.strip_suffix('\r').unwrap_or(rest);
        let to = rest.char_indices().nth(SHOWN_FROM).map_or(rest.len(), |(at, _)| at) + start;
        let cut = (from > line_start, to < start + rest.len());

        let mut shown = String::from(if cut.0 { CUT } else { "" });
        let mut caret = None;
        let mut caret_end = None;
        let mut mask = None;
        for (offset, c) in text.get(from..to).unwrap_or_default().char_indices() {
            let at = from + offset;
            if at >= start && caret.is_none() {
                caret = Some(shown.width());
            }
            if at >= end && caret_end.is_none() {
                caret_end = Some(shown.width());
            }
            let index = masked.partition_point(|range| range.end <= at);
            match masked.get(index).filter(|range| range.contains(&at)) {
                Some(_) if mask == Some(index) => {}
                Some(_) => {
                    mask = Some(index);
                    shown.push_str(MASK);
                }
                None if c == '\t' => shown.push_str("    "),
                None => shown.push_str(&escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        let caret = caret.unwrap_or_else(|| shown.width());
        let width = caret_end.unwrap_or_else(|| shown.width()).saturating_sub(caret).max(1);
        if cut.1 {
            shown.push_str(CUT);
        }
        Self { text: shown, caret, width }
    }
}

/// `text` in quotes, for a message: escaped, and cut when it is long.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("\"{}{CUT}\"", escape(text.get(..at).unwrap_or_default())),
        None => format!("\"{}\"", escape(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: usize, end: usize) -> String {
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let snippet = Snippet::new(text, line_start, start, end, &[]);
        format!("{}\n{:caret$}{}", snippet.text, "", "^".repeat(snippet.width), caret = snippet.caret)
    }

    #[test]
    fn the_caret_stands_under_wide_and_combining_characters() {
        assert_eq!(shown("a = \"会議\" # x", 11, 12), "a = \"会議\" # x\n         ^");
        assert_eq!(shown("k = \"会議\"", 4, 12), "k = \"会議\"\n    ^^^^^^");
        assert_eq!(shown("e\u{301} = 1", 6, 7), "e\u{301} = 1\n    ^");
    }

    #[test]
    fn tabs_are_spaces_and_control_characters_are_escaped() {
        assert_eq!(shown("\ta = \u{1b}[31m1", 5, 6), "    a = \\u{1b}[31m1\n        ^^^^^^");
        assert_eq!(shown("a = 1\r\nb = 2\r\n", 11, 12), "b = 2\n    ^");
    }

    #[test]
    fn a_caret_over_several_lines_ends_with_the_first() {
        assert_eq!(shown("x = [1,\n2]", 4, 10), "x = [1,\n    ^^^");
    }

    #[test]
    fn a_caret_past_the_end_is_one_wide() {
        assert_eq!(shown("a =", 3, 3), "a =\n   ^");
        assert_eq!(shown("", 0, 0), "\n^");
    }

    #[test]
    fn a_long_line_is_cut_on_both_sides() {
        let text = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let snippet = Snippet::new(&text, 0, 500, 501, &[]);
        assert_eq!(snippet.text, format!("…{}X{}…", "a".repeat(80), "b".repeat(79)));
        assert_eq!((snippet.caret, snippet.width), (81, 1));
    }

    #[test]
    fn a_masked_range_shows_nothing_of_its_length() {
        let snippet = Snippet::new("k = \"hunter2\" # k", 0, 4, 13, std::slice::from_ref(&(5..12)));
        assert_eq!(snippet.text, "k = \"***\" # k");
        assert_eq!((snippet.caret, snippet.width), (4, 5));
    }
}
