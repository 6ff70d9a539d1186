//! What can be made of a file that is not TOML: its errors, in words for people, and a text that parses further.

use crate::log::escape;
use std::borrow::Cow;
use std::ops::Range;
use toml::de::{DeTable, Error};

/// How far a file is read past its first syntax error: what is not TOML makes more than an error for each byte, at
/// worst.
const READ_PAST_ERROR: usize = 256 * 1024;

/// What [`recover`] made of a text.
pub(super) struct Recovered<'t> {
    /// The text up to where it is read, without the lines at which the parser gives up; offsets are the same.
    pub(super) legible: Cow<'t, str>,
    /// By position; one for each line.
    pub(super) errors: Vec<SyntaxError>,
    /// From here on the text is not read as it was meant.
    pub(super) trusted_to: usize,
}

/// The text is not TOML there.
pub(super) struct SyntaxError {
    /// Bytes in the text; `None`: as a whole.
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// `first` is where the first error is.
pub(super) fn recover(text: &str, first: Option<Range<usize>>) -> Recovered<'_> {
    let from = first.map_or(0, |span| span.end).saturating_add(READ_PAST_ERROR).min(text.len());
    // A line break is a boundary of characters.
    let to = line_end(text, from);
    let text = text.get(..to).unwrap_or(text);
    let (_, mut errors) = DeTable::parse_recoverable(text);
    sort(&mut errors);

    let mut legible = Cow::Borrowed(text);
    for span in
        errors.iter().filter(|error| error.message().starts_with("key with no value")).filter_map(Error::span)
    {
        // The parser gives up at such a line, and what comes after it would not be checked.
        let end = line_end(text, span.start);
        let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        if legible.get(start..end).is_some_and(|line| !line.trim().is_empty()) {
            legible.to_mut().replace_range(start..end, &" ".repeat(end - start));
        }
    }
    if let Cow::Owned(legible) = &legible {
        errors.extend(DeTable::parse_recoverable(legible).1);
        sort(&mut errors);
    }

    let mut trusted_to = usize::MAX;
    let is_open = errors.iter().any(|error| error.message().starts_with("unclosed array,"));
    if let Some(at) = errors.iter().position(|error| swallows_the_rest(error.message(), is_open)) {
        trusted_to = errors.get(at).and_then(Error::span).map_or(0, |span| span.start);
        if is_open {
            errors.truncate(at + 1);
        }
    }
    Recovered { legible, errors: one_per_line(text, &errors), trusted_to }
}

fn sort(errors: &mut [Error]) {
    errors.sort_by_key(|error| error.span().map(|span| span.start));
}

/// Where the line ends that holds `offset`.
fn line_end(text: &str, offset: usize) -> usize {
    let rest = text.as_bytes().get(offset..).unwrap_or_default();
    rest.iter().position(|b| *b == b'\n').map_or(text.len(), |length| offset + length)
}

/// Whether what follows is read as a part of a list or header that is never closed.
fn swallows_the_rest(message: &str, is_list_open: bool) -> bool {
    let is_in_list = message.contains("array elements") || message.contains("in array");
    let is_header = message.starts_with("unclosed table") || message.starts_with("unclosed array table");
    (is_list_open && is_in_list) || is_header
}

/// One mistake makes several errors on its line: the first of them.
fn one_per_line(text: &str, errors: &[Error]) -> Vec<SyntaxError> {
    let mut kept: Vec<SyntaxError> = Vec::new();
    let mut told_to = None;
    for error in errors {
        let span = error.span().filter(|span| span.end <= text.len());
        if let Some(span) = &span {
            if told_to.is_some_and(|end| span.start <= end) {
                continue;
            }
            told_to = Some(line_end(text, span.start));
        }
        let (message, help) = reworded(error.message());
        kept.push(SyntaxError { span, message, help });
    }
    kept
}

/// What the parser says, in words for people who do not write parsers.
fn reworded(message: &str) -> (String, Option<String>) {
    let begins = |with: &str| message.starts_with(with);
    let (message, help) = if begins("string values must be quoted") {
        ("a value is missing, or it is text without quotes", Some("write text in quotes: key = \"text\""))
    } else if begins("key with no value") {
        ("there is no `=` after the key", Some("write key = value"))
    } else if message.contains("string, expected non-") || message.contains("string, expected printable") {
        ("a control character cannot stand in a string", Some("write it as an escape, such as \"\\u0000\""))
    } else if begins("invalid basic string, expected `\"`") || begins("invalid literal string, expected `'`")
    {
        ("the string is not closed", None)
    } else if begins("duplicate key") {
        ("this is set twice in the same table", None)
    } else if begins("recursion limit") || begins("cannot recurse") {
        ("keys or values are nested too deeply", None)
    } else if begins("missing comma between array") {
        ("there is no `,` between the entries of a list, or no `]` at its end", None)
    } else {
        (message, None)
    };
    (escape(message), help.map(str::to_owned))
}
