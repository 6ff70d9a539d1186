//! Collects problems while files are read, and shows them in the order of the files at the end.

use super::diagnostic::{Diagnostic, Severity, Snippet};
use super::mask;
use crate::log::escape;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Problems that are shown; the rest is only counted.
const MOST_SHOWN: usize = 100;
/// Problems that are kept until the end, so that a file of nothing but errors does not fill the memory.
const MOST_KEPT: usize = 20_000;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Which file, in the order of reading.
    pub(super) file: usize,
    /// Bytes in it; `None`: the file as a whole.
    pub(super) span: Option<Range<usize>>,
}

/// What sort of problem it is. A syntax error makes others: where a line cannot be read, what it says is missing
/// elsewhere. Those are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// The file is not TOML there.
    Syntax,
    /// Something is there and wrong.
    Wrong,
    /// Something should be in this file and is not.
    Missing,
    /// Something should be somewhere and is not.
    Reference,
}

struct Found {
    place: Place,
    severity: Severity,
    nature: Nature,
    message: String,
    help: Option<String>,
}

struct Source {
    path: PathBuf,
    text: Arc<str>,
    line_starts: Vec<usize>,
    /// Offset and column of the last place asked for: a file that is one long line is not counted from its start
    /// each time.
    last: Cell<(usize, usize)>,
    /// From here on the text was not read as it was meant: only its syntax is reported.
    trusted_to: Cell<usize>,
}

/// All problems of all files. Shared by everything that reads, hence its cells.
#[derive(Default)]
pub(super) struct Problems {
    sources: RefCell<Vec<Source>>,
    found: RefCell<Vec<Found>>,
    not_kept: Cell<(usize, usize)>,
    masked: RefCell<Vec<(usize, Range<usize>)>>,
}

impl Problems {
    /// A file that is read from now on; gives its number.
    pub(super) fn add_file(&self, path: &Path) -> usize {
        let mut sources = self.sources.borrow_mut();
        sources.push(Source {
            path: path.to_owned(),
            text: "".into(),
            line_starts: vec![0],
            last: Cell::new((0, 1)),
            trusted_to: Cell::new(usize::MAX),
        });
        sources.len() - 1
    }

    /// The content of that file.
    pub(super) fn set_text(&self, file: usize, text: &Arc<str>) {
        if let Some(source) = self.sources.borrow_mut().get_mut(file) {
            source.text = text.clone();
            source.line_starts =
                std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        }
    }

    /// What is from `offset` on was not read as it was meant.
    pub(super) fn trust_up_to(&self, file: usize, offset: usize) {
        if let Some(source) = self.sources.borrow().get(file) {
            source.trusted_to.set(offset);
        }
    }

    fn is_trusted(&self, place: &Place) -> bool {
        let limit =
            self.sources.borrow().get(place.file).map_or(usize::MAX, |source| source.trusted_to.get());
        place.span.as_ref().is_none_or(|span| span.start < limit)
    }

    /// The path of a file.
    pub(super) fn path(&self, file: usize) -> PathBuf {
        self.sources.borrow().get(file).map(|source| source.path.clone()).unwrap_or_default()
    }

    /// The paths of all files.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.sources.borrow().iter().map(|source| source.path.clone()).collect()
    }

    /// `path:line:col` of a place.
    pub(super) fn location(&self, place: &Place) -> String {
        let sources = self.sources.borrow();
        let Some(source) = sources.get(place.file) else { return String::new() };
        let path = escape(&source.path.to_string_lossy());
        match &place.span {
            Some(span) => {
                let (line, column) = source.line_and_column(span.start);
                format!("{path}:{line}:{column}")
            }
            None => path,
        }
    }

    /// No message shows what is there.
    pub(super) fn mask(&self, place: &Place) {
        if let Some(span) = &place.span {
            self.masked.borrow_mut().push((place.file, span.clone()));
        }
    }

    /// One problem.
    pub(super) fn report(
        &self,
        place: &Place,
        severity: Severity,
        nature: Nature,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let mut found = self.found.borrow_mut();
        if found.len() < MOST_KEPT {
            found.push(Found { place: place.clone(), severity, nature, message: message.into(), help });
            return;
        }
        let (errors, warnings) = self.not_kept.get();
        self.not_kept.set(match severity {
            Severity::Error => (errors + 1, warnings),
            Severity::Warning => (errors, warnings + 1),
        });
    }

    /// Something is there and wrong.
    pub(super) fn error(&self, place: &Place, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.report(place, Severity::Error, Nature::Wrong, message, help.into());
    }

    /// Something is there and perhaps not as meant.
    pub(super) fn warning(&self, place: &Place, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.report(place, Severity::Warning, Nature::Wrong, message, help.into());
    }

    /// Whether there is an error so far.
    pub(super) fn has_errors(&self) -> bool {
        self.not_kept.get().0 > 0 || self.found.borrow().iter().any(|found| found.severity == Severity::Error)
    }

    /// The problems that are shown, in the order of files and lines. Errors come before warnings when not all can be
    /// shown.
    pub(super) fn finish(&self) -> Vec<Diagnostic> {
        let mut found = self.found.take();
        let broken_lines: HashSet<(usize, usize)> = found
            .iter()
            .filter(|found| found.nature == Nature::Syntax)
            .map(|found| (found.place.file, self.line(&found.place)))
            .collect();
        let broken_files: HashSet<usize> = broken_lines.iter().map(|(file, _)| *file).collect();
        found.retain(|found| match found.nature {
            Nature::Syntax => true,
            _ if !self.is_trusted(&found.place) => false,
            Nature::Wrong => !broken_lines.contains(&(found.place.file, self.line(&found.place))),
            Nature::Missing => !broken_files.contains(&found.place.file),
            Nature::Reference => broken_files.is_empty(),
        });
        // Those at one place keep the order in which they were found.
        let position = |found: &Found| (found.place.file, found.place.span.as_ref().map(|span| span.start));
        let (mut errors, mut warnings) = self.not_kept.get();
        found.sort_by_key(|found| found.severity);
        for found in found.iter().skip(MOST_SHOWN) {
            match found.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
            }
        }
        found.truncate(MOST_SHOWN);
        found.sort_by_key(position);
        let mut shown = self.show(&found);
        if errors + warnings > 0 {
            let severity = if errors > 0 { Severity::Error } else { Severity::Warning };
            let message = format!("and {errors} more errors, {warnings} more warnings, which are not shown");
            shown.push(Diagnostic::of_file(severity, &self.path(0), message, None));
        }
        shown
    }

    /// The line of a place, from 1; 0 for the file as a whole.
    fn line(&self, place: &Place) -> usize {
        let sources = self.sources.borrow();
        match (sources.get(place.file), &place.span) {
            (Some(source), Some(span)) => source.line(span.start),
            _ => 0,
        }
    }

    /// A diagnostic without a message, for problems that are found later.
    pub(super) fn point_at(&self, place: &Place) -> Diagnostic {
        let found = Found {
            place: place.clone(),
            severity: Severity::Error,
            nature: Nature::Wrong,
            message: String::new(),
            help: None,
        };
        let whole = || Diagnostic::of_file(Severity::Error, &self.path(place.file), String::new(), None);
        self.show(&[found]).pop().unwrap_or_else(whole)
    }

    fn show(&self, found: &[Found]) -> Vec<Diagnostic> {
        let sources = self.sources.borrow();
        let explicit = self.masked.borrow();
        let mut masks: Option<(usize, Vec<Range<usize>>)> = None;
        let mut shown = Vec::with_capacity(found.len());
        for found in found {
            let file = found.place.file;
            let Some(source) = sources.get(file) else { continue };
            let Some(span) = &found.place.span else {
                let (message, help) = (found.message.clone(), found.help.clone());
                shown.push(Diagnostic::of_file(found.severity, &source.path, message, help));
                continue;
            };
            // The masks of one file at a time: problems are sorted by file.
            if masks.as_ref().is_none_or(|(of, _)| *of != file) {
                let mut ranges = mask::secret_ranges(&source.text);
                ranges.extend(explicit.iter().filter(|(of, _)| *of == file).map(|(_, range)| range.clone()));
                masks = Some((file, mask::merge(ranges)));
            }
            let masked = masks.as_ref().map(|(_, ranges)| ranges.as_slice()).unwrap_or_default();
            let (line, column) = source.line_and_column(span.start);
            let line_start = source.line_starts.get(line - 1).copied().unwrap_or(0);
            shown.push(Diagnostic {
                severity: found.severity,
                path: source.path.clone(),
                line,
                column,
                message: found.message.clone(),
                help: found.help.clone(),
                snippet: Some(Snippet::new(&source.text, line_start, span.start, span.end, masked)),
            });
        }
        shown
    }
}

impl Source {
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let (last, last_column) = self.last.get();
        let (from, column) =
            if last >= line_start && last <= offset { (last, last_column) } else { (line_start, 1) };
        let column = column + self.text.get(from..offset).map_or(0, |between| between.chars().count());
        self.last.set((offset, column));
        (line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_do_not_depend_on_the_order_of_asking() {
        let problems = Problems::default();
        let file = problems.add_file(Path::new("a.toml"));
        problems.set_text(file, &"é = 1\nüü = 会議\n".into());
        let at = |offset: usize| problems.location(&Place { file, span: Some(offset..offset) });
        for (offset, location) in [
            (12, "a.toml:2:4"),
            (14, "a.toml:2:6"),
            (17, "a.toml:2:7"),
            (0, "a.toml:1:1"),
            (3, "a.toml:1:3"),
            (7, "a.toml:2:1"),
        ] {
            assert_eq!(at(offset), location);
        }
    }

    #[test]
    fn a_hundred_problems_are_shown_errors_first_and_the_rest_is_counted() {
        let problems = Problems::default();
        let file = problems.add_file(Path::new("a.toml"));
        problems.set_text(file, &"x\n".repeat(300).into());
        for line in 0..300 {
            let place = Place { file, span: Some(line * 2..line * 2 + 1) };
            if line % 3 == 2 {
                problems.error(&place, "e", None)
            } else {
                problems.warning(&place, "w", None)
            }
        }
        problems.error(&Place { file, span: None }, "whole", None);
        let shown = problems.finish();
        assert_eq!(shown.len(), 101);
        assert_eq!(shown[0].line, 3, "a hundred errors by line, and one too many");
        assert_eq!(
            shown[100].to_string(),
            "error: a.toml: and 1 more errors, 200 more warnings, which are not shown"
        );
    }
}
