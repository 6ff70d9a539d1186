//! Finds what may be a secret in a file, so that no message shows it.
//!
//! By the text, not by the parsed tree: the line of a syntax error is shown as well, and a mistyped secret is where such
//! errors happen. Rather too much is hidden than too little.

use super::suggest::nearest;
use std::ops::Range;

/// Parts of a key that make its value a secret, in lower case.
const SECRET_WORDS: [&str; 14] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "private_key",
    "private-key",
    "access_key",
    "access-key",
    "api_key",
    "api-key",
    "connection_string",
    "connection-string",
    "certificate",
];

/// How far before a word the start of its line is looked for.
const LONGEST_KEY: usize = 200;

/// Keys of a reference to a secret: their values are names, and are shown.
const REFERENCE_KEYS: [&str; 3] = ["credential", "env", "file"];

/// Whether what is under a key of that name is a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
}

/// Whether the key, or a part of it, is one letter or so away from a word for a secret.
pub(super) fn is_nearly_secret_name(name: &str) -> bool {
    is_secret_name(name)
        || std::iter::once(name)
            .chain(name.split(['_', '-']))
            .any(|part| nearest(part, SECRET_WORDS).is_some())
}

/// The ranges of `text` that may hold secrets; sorted, without overlaps.
pub(super) fn secret_ranges(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut ranges = Vec::new();
    for word in SECRET_WORDS {
        // What was looked at is not looked at again: the time stays linear whatever the file holds.
        let mut seen_to = 0;
        for (at, _) in lower.match_indices(word) {
            if at >= seen_to {
                seen_to = mask_value(text, at, at + word.len(), &mut ranges);
            }
        }
    }
    let mut seen_to = 0;
    for (at, _) in text.match_indices("://") {
        if at >= seen_to {
            seen_to = mask_userinfo(text, at + 3, &mut ranges);
        }
    }
    merge(ranges)
}

/// Sorted, overlaps joined.
pub(super) fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Masks the value of the key whose name holds `word_start..word_end`, if a key is what it is. Gives how far it looked.
fn mask_value(text: &str, word_start: usize, word_end: usize, ranges: &mut Vec<Range<usize>>) -> usize {
    let is_part_of_key = |b: &u8| b.is_ascii_alphanumeric() || b"_-\"'".contains(b);
    let key_end = skip(text, word_end, is_part_of_key);
    let line_end = line_end(text, key_end);
    let after = skip(text, key_end, is_space);
    let rest = text.get(after..line_end).unwrap_or_default();
    if rest.starts_with(['=', ':']) {
        let value = skip(text, after, |b| is_space(b) || b"=:>".contains(b));
        return mask_right_of_equals(text, value, line_end, ranges);
    }
    if rest.trim().is_empty() {
        return mask_next_line(text, line_end, ranges);
    }
    // In a string it is a word like any other, and a header ends with `]`.
    let before = text.as_bytes().get(word_start.saturating_sub(LONGEST_KEY)..word_start).unwrap_or_default();
    let quotes = before.iter().rev().take_while(|b| **b != b'\n').filter(|b| b"\"'".contains(b)).count();
    let header_rest = rest.trim_start_matches(']').trim_start();
    let is_header = rest.starts_with(']') && (header_rest.is_empty() || header_rest.starts_with('#'));
    if (quotes % 2 == 0 && !is_header) || rest.contains('=') {
        ranges.push(after..line_end);
    }
    line_end
}

/// Masks what is right of the `=`, unless it only names a secret.
fn mask_right_of_equals(text: &str, value: usize, line_end: usize, ranges: &mut Vec<Range<usize>>) -> usize {
    let rest = text.get(value..line_end).unwrap_or_default();
    if rest.trim().is_empty() {
        return mask_next_line(text, line_end, ranges);
    }
    if is_reference(rest) {
        return line_end;
    }
    for triple in ["\"\"\"", "'''"] {
        if rest.starts_with(triple) {
            let content = text.get(value + 3..).unwrap_or_default();
            let end = content.find(triple).map_or(text.len(), |length| value + 3 + length);
            ranges.push(value..self::line_end(text, end));
            return end;
        }
    }
    // In an inline table, what comes after the value can be shown, if there is no doubt where that is.
    let end = end_of_inline_string(rest).map_or(line_end, |length| value + length);
    ranges.push(value..end);
    end
}

/// A value that was pushed to the next line.
fn mask_next_line(text: &str, line_end: usize, ranges: &mut Vec<Range<usize>>) -> usize {
    let next = skip(text, line_end, u8::is_ascii_whitespace);
    let end = self::line_end(text, next);
    if text.get(next..end).is_some_and(|rest| rest.starts_with(['=', ':', '"', '\''])) {
        ranges.push(next..end);
    }
    line_end
}

/// Whether `text` is `{ credential = "…" }` and the like, then nothing or a comment, or the rest of an inline table.
fn is_reference(text: &str) -> bool {
    let Some((entries, after)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return false;
    };
    let is_entry = |entry: &str| {
        let Some((key, value)) = entry.split_once('=') else { return entry.trim().is_empty() };
        let value = value.trim();
        let inner = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
        REFERENCE_KEYS.contains(&key.trim())
            && inner('"').or(inner('\'')).is_some_and(|inner| !inner.contains(['"', '\'']))
    };
    // Nothing but the ends of tables, another key or a comment can follow.
    let after = after.trim_start_matches([' ', '\t', '}']);
    let is_followed_by_key = |rest: &str| rest.trim_start().starts_with(|c: char| c.is_ascii_alphabetic());
    let is_end =
        after.is_empty() || after.starts_with('#') || after.strip_prefix(',').is_some_and(is_followed_by_key);
    is_end && !entries.trim().is_empty() && entries.split(',').all(is_entry)
}

/// The length of `"…"` at the start of `rest`, where `}` or another key follows.
fn end_of_inline_string(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|quote| "\"'".contains(*quote))?;
    let length = rest.get(1..)?.find(quote)? + 2;
    let content = rest.get(1..length - 1)?;
    let after = rest.get(length..)?.trim_start();
    let is_followed_by_key = after
        .strip_prefix(',')
        .is_some_and(|after| after.trim_start().starts_with(|c: char| c.is_ascii_alphabetic()));
    let is_clear = !content.is_empty() && !content.contains('\\') && !content.contains('=');
    (is_clear && (after.trim_end() == "}" || is_followed_by_key)).then_some(length)
}

fn is_space(byte: &u8) -> bool {
    b" \t".contains(byte)
}

/// The first place from `from` on whose byte is not in the set.
fn skip(text: &str, from: usize, is_in_set: impl Fn(&u8) -> bool) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    rest.iter().position(|b| !is_in_set(b)).map_or(text.len(), |length| from + length)
}

fn line_end(text: &str, from: usize) -> usize {
    skip(text, from, |b| !b"\r\n".contains(b))
}

/// Masks `user:password` of a URL. Gives how far it looked.
fn mask_userinfo(text: &str, start: usize, ranges: &mut Vec<Range<usize>>) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len());
    if let Some(at) = rest.get(..end).and_then(|url| url.rfind('@')).filter(|at| *at > 0) {
        ranges.push(start..start + at);
    }
    start + end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut shown = String::new();
        let mut at = 0;
        for range in secret_ranges(text) {
            shown.push_str(&text[at..range.start]);
            shown.push_str("***");
            at = range.end;
        }
        shown + &text[at..]
    }

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        for (text, shown) in [
            ("admin_secret = \"hunter2\" # mine", "admin_secret = ***"),
            ("admin_secret = 'hunter2'\r\na = 1", "admin_secret = ***\r\na = 1"),
            ("\"Admin-Secret\"=\"hunter2\"", "\"Admin-Secret\"=***"),
            ("admin_secret = \"hunter2", "admin_secret = ***"),
            ("admin_secret = \"hun\\\"ter2\"", "admin_secret = ***"),
            ("admin_secret = hunter2 # mine", "admin_secret = ***"),
            ("admin_secret: hunter2", "admin_secret: ***"),
            ("admin_secret \"hunter2\"", "admin_secret ***"),
            ("admin_secret hunter2", "admin_secret ***"),
            ("admin_secret => \"hunter2\"", "admin_secret => ***"),
            ("admin_secret # = \"hunter2\"", "admin_secret ***"),
            ("admin_secret ] = \"hunter2\"", "admin_secret ***"),
            ("admin_secret \"= \"hunter2\"", "admin_secret ***"),
            ("admin_secret\n= \"hunter2\"", "admin_secret\n***"),
            ("admin_secret =\n  \"hunter2\"", "admin_secret =\n  ***"),
            ("x = { password = \"hunter2\", b = 1 }", "x = { password = ***, b = 1 }"),
            ("x = { password = \"hunter2\" }", "x = { password = *** }"),
            ("x = { password = \"\", \"hunter2\" }", "x = { password = ***"),
            ("x = { password x \"hunter2\" }", "x = { password ***"),
            ("admin_secret = { value = \"hunter2\" }", "admin_secret = ***"),
            ("admin_secret = { env = \"X\", value = \"hunter2\" }", "admin_secret = ***"),
            ("admin_secret = { env = \"\" \"hunter2\" }", "admin_secret = ***"),
            ("admin_secret = { env = \"X\" } \"hunter2\"", "admin_secret = ***"),
            ("x = { password ={}} \"hunter2\" }", "x = { password =***"),
            ("x = { secret = { env = \"X\" }, \"hunter2\" }", "x = { secret = ***"),
            ("admin_secret = [\"hunter2\"]", "admin_secret = ***"),
            ("secret = \"\"\"\nhunter2\n\"\"\"\na = 1", "secret = ***\na = 1"),
            ("secret = '''\nhunter2\nhunter3", "secret = ***"),
            ("url = \"https://me:hunter2@example.com/\"", "url = \"https://***@example.com/\""),
            ("url = \"https://me:hun/te@r2@example.com/\"", "url = \"https://***@example.com/\""),
            ("secret = \"\\é", "secret = ***"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn what_only_names_a_secret_is_shown() {
        for text in [
            "admin_secret = { credential = \"x\" }",
            "admin_secret = { file = \"x\", env = 'y' }",
            "[providers.x.admin_secret]\nfile = \"x\"",
            "[providers.x.admin_secret] # here",
            "title = \"Secret santa\"",
            "title = \"The secret\"",
            "url = \"https://example.com/\"\nhosts = [\"a@example.com\"]",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
