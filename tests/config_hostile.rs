//! Files that nobody means well with, or that a broken disk made: `load` says what is wrong, in bounded time, and never
//! panics.

mod config_support;

use config_support::{MemoryFiles, at, has_error, load_files, load_text, now, told};
use convened::config::{MAX_FILES, MAX_MEETINGS, load};
use convened::seams::{Files, MAX_FILE_BYTES, SystemFiles};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = include_str!("../config.toml.example");
const HEAD: &str = "timezone = \"UTC\"\n[defaults]\nduration = \"1h\"\n";

/// The first line of the first problem.
fn first(text: &str) -> String {
    let loaded = load_text(text);
    told(&loaded).lines().next().unwrap_or_default().to_owned()
}

fn load_bytes(content: Vec<u8>) -> convened::config::Loaded {
    let mut files = MemoryFiles::default();
    files.0.insert("c.toml".into(), Ok(content));
    load(Path::new("c.toml"), &files, now())
}

/// Each file of the corpus says in its first line, as a comment, what the first line told of it is; `ok` for nothing.
#[test]
fn the_corpus_is_told_as_each_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 15, "{paths:?}");
    for path in paths {
        let content = std::fs::read(&path).expect("a file");
        let end = content.iter().position(|b| *b == b'\n').expect("a first line");
        let line = String::from_utf8_lossy(&content[..end]);
        let expected = line.trim_start_matches('\u{feff}').trim_start_matches("# ").trim_end().to_owned();
        let loaded = load_bytes(content);
        let told = told(&loaded);
        let first = told.lines().next().unwrap_or("ok");
        assert_eq!(first, expected, "{}", path.display());
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{}", path.display());
        assert!(!told.contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn text_that_is_not_utf8_is_located() {
    let told = told(&load_bytes(b"a = 1\nb = \"caf\xe9\"\n".to_vec()));
    assert_eq!(
        told,
        "error: c.toml:2:9: the text is not UTF-8\n2 | b = \"caf\u{fffd}\"\n  |         ^\n  = help: save the file as UTF-8"
    );
}

#[test]
fn utf16_is_recognised() {
    let mut content = vec![0xff, 0xfe];
    content.extend("timezone = \"UTC\"".encode_utf16().flat_map(u16::to_le_bytes));
    assert!(told(&load_bytes(content)).contains("it seems to be UTF-16: save it as UTF-8"));
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_fine() {
    let text = format!("\u{feff}{}", EXAMPLE.replace('\n', "\r\n"));
    let loaded = load_text(&text);
    assert_eq!(told(&loaded), "");
    assert!(loaded.config.is_some());
}

#[test]
fn nesting_does_not_use_up_the_stack() {
    for text in [
        format!("x = {}", "[".repeat(200_000)),
        format!("x = {}{}", "[".repeat(200_000), "]".repeat(200_000)),
        format!("x = {}", "{a=".repeat(200_000)),
        format!("{}a = 1", "a.".repeat(200_000)),
        format!("[{}a]", "a.".repeat(200_000)),
        format!("[[{}a]]", "a.".repeat(200_000)),
        format!("x = {{ {}a = 1 }}", "a.".repeat(200_000)),
    ] {
        let loaded = load_text(&text);
        assert!(told(&loaded).contains("nested too deeply"), "{}", told(&loaded));
    }
}

#[test]
fn a_file_of_nothing_but_errors_is_told_in_a_hundred_of_them() {
    for line in [
        "=\n",
        "[\n",
        "a\n",
        "[[meetings]]\n",
        "x.y = {\n",
        "\"\"\"\n'''\n",
        "[meetings\n",
        "\r\r",
        "a = [1 1\n",
    ] {
        let loaded = load_text(&line.repeat(1 << 16));
        assert!(has_error(&loaded), "{line:?}");
        assert!(loaded.diagnostics.len() <= 101, "{line:?}");
    }
}

#[test]
fn one_long_line_is_cut() {
    let mut text = format!("{HEAD}\n").replacen("[defaults]\nduration = \"1h\"\n", "", 1);
    text.push_str("meetings = [");
    for i in 0..20_000 {
        let _ = write!(text, "{{ id = \"m{i}\", start = 2026-12-01T09:00:00, duration = \"{}\" }}, ", i % 2);
    }
    text.push_str("]\n");
    let loaded = load_text(&text);
    assert_eq!(loaded.diagnostics.len(), 101);
    assert!(loaded.diagnostics.iter().all(|diagnostic| diagnostic.to_string().len() < 1000));
    let last = loaded.diagnostics.last().expect("the count").to_string();
    assert_eq!(last, "error: c.toml: and 19900 more errors, 0 more warnings, which are not shown");
}

#[test]
fn a_file_that_is_too_large_says_how_large_it_may_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.toml");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(50 << 20).expect("a size");
    let told = told(&load(&path, &SystemFiles, now()));
    assert!(told.contains("larger than 8 MiB"), "{told}");
}

#[test]
fn what_is_not_a_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = told(&load(folder.path(), &SystemFiles, now()));
    assert!(told.contains("not a regular file"), "{told}");
}

#[test]
fn files_are_limited_in_all() {
    let comment = format!("#{}\n", "x".repeat(usize::try_from(MAX_FILE_BYTES).expect("a size") - 2));
    let mut files = vec![("c.toml".to_owned(), "include = [\"d/*.toml\"]\n".to_owned())];
    files.extend((0..5).map(|i| (format!("d/{i}.toml"), comment.clone())));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let told = told(&load_files(&files));
    assert!(told.starts_with("error: c.toml:1:12: the files are larger than 32 MiB in all"), "{told}");
}

#[test]
fn there_are_not_too_many_files() {
    let mut files = vec![("c.toml".to_owned(), "include = [\"d/*.toml\"]\n".to_owned())];
    files.extend((0..300).map(|i| (format!("d/{i}.toml"), String::new())));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let loaded = load_files(&files);
    assert!(told(&loaded).starts_with("error: c.toml:1:12: more than 256 files"), "{}", told(&loaded));
    assert_eq!(loaded.sources.len(), MAX_FILES);
}

fn many_meetings(count: usize) -> String {
    let mut text = HEAD.to_owned();
    for i in 0..count {
        let _ = write!(text, "[[meetings]]\nid = \"m{i}\"\nstart = 2026-12-01T09:00:00\n");
    }
    text
}

#[test]
fn fifty_thousand_meetings_are_loaded_and_one_more_is_not() {
    let loaded = load_text(&many_meetings(MAX_MEETINGS));
    assert_eq!(told(&loaded), "");
    assert_eq!(loaded.config.map(|config| config.meetings.len()), Some(MAX_MEETINGS));
    let loaded = load_text(&many_meetings(100_000));
    assert!(
        told(&loaded).starts_with("error: c.toml:150005:6: more than 50000 meetings"),
        "{}",
        told(&loaded)
    );
    assert!(loaded.config.is_none());
}

#[test]
fn a_rule_with_too_many_occurrences_is_refused() {
    let daemon = "[daemon]\nhorizon = \"100d\"\n";
    let meeting = "[[meetings]]\nid = \"a\"\nstart = 2026-01-01T00:00:00\nduration = \"1m\"\nrepeat = \"FREQ=MINUTELY\"\n";
    assert_eq!(
        told(&load_text(&format!("{HEAD}{daemon}{meeting}"))),
        "error: c.toml:10:10: more than 100000 occurrences within the horizon (100d)\n\
         10 | repeat = \"FREQ=MINUTELY\"\n   |          ^^^^^^^^^^^^^^^\n   \
         = help: let it repeat less often, or shorten `daemon.horizon`"
    );
    assert_eq!(told(&load_text(&format!("{HEAD}{meeting}"))), "");
}

#[test]
fn all_meetings_together_cannot_have_too_many_occurrences() {
    let mut text = HEAD.to_owned();
    for i in 0..50 {
        let _ = write!(
            text,
            "[[meetings]]\nid = \"m{i}\"\nstart = 2026-01-01T00:00:00\nduration = \"1m\"\nrepeat = \"FREQ=MINUTELY\"\n"
        );
    }
    let told = told(&load_text(&text));
    assert!(told.starts_with("error: c.toml:234:1: more than 2000000 occurrences of all meetings"), "{told}");
}

#[test]
fn a_key_of_a_megabyte_is_not_repeated_at_length() {
    let told = told(&load_text(&format!("\"{}\" = 1\n", "\u{202e}x".repeat(1 << 19))));
    assert!(told.len() < 3000, "{}", told.len());
    assert!(!told.contains('\u{202e}'));
}

#[test]
fn a_file_name_cannot_write_to_the_terminal() {
    let loaded = load_files(&[("a\u{1b}[2J\n.toml", "x = 1\n")]);
    assert!(!told(&loaded).contains('\u{1b}'));
    assert!(loaded.diagnostics.iter().all(|diagnostic| !diagnostic.summary().contains(['\n', '\u{1b}'])));
}

#[test]
fn the_first_problem_is_found_in_any_place() {
    assert_eq!(first("a = \n"), "error: c.toml:1:5: a value is missing, or it is text without quotes");
    assert_eq!(
        first("\r"),
        "error: c.toml:1:2: carriage return must be followed by newline, expected newline"
    );
}

/// A file system that lies: what is listed cannot be read, what is read is what the fuzzer wants.
#[derive(Debug)]
struct Lying(Vec<u8>);

impl Files for Lying {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        if path == Path::new("c.toml") { Ok(self.0.clone()) } else { Err(std::io::ErrorKind::Other.into()) }
    }

    fn list(&self, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
        if pattern.len().is_multiple_of(2) {
            Ok(vec![pattern.into()])
        } else {
            Err(std::io::ErrorKind::Other.into())
        }
    }
}

/// Loads it, and checks what holds for every file.
fn holds(content: Vec<u8>) -> Result<(), TestCaseError> {
    let loaded = load(Path::new("c.toml"), &Lying(content), at("2026-11-23T08:00:00Z"));
    prop_assert_eq!(loaded.config.is_none(), has_error(&loaded));
    prop_assert!(loaded.diagnostics.len() <= 101);
    for diagnostic in &loaded.diagnostics {
        let shown = diagnostic.to_string();
        prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{}", shown);
        prop_assert!(!diagnostic.summary().contains(|c: char| c.is_control()));
        prop_assert!(!shown.contains("hunter2"), "{}", shown);
    }
    let order: Vec<_> = loaded.diagnostics.iter().take(100).map(|d| (d.line, d.column)).collect();
    prop_assert!(loaded.sources.len() > 1 || order.is_sorted());
    Ok(())
}

/// A file with a secret on a line of its own, in all the ways in which people get it wrong.
const WITH_SECRET: &str = "timezone = \"UTC\"\n[providers.a]\nkind = \"meeting-service\"\nbase_url = \"https://a.example\"\n\
    admin_secret = \"hunter2\"\ncustomer_secret = { value = \"hunter2\" }\n[[meetings]]\nid = \"a\"\n\
    start = 2026-12-01T09:00:00\nduration = \"1h\"\nsettings = { password = \"hunter2\" }\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(content in prop::collection::vec(any::<u8>(), 0..600)) {
        holds(content)?;
    }

    #[test]
    fn arbitrary_toml_like_text_never_panics(
        words in prop::collection::vec(prop::sample::select(vec![
            "[", "]", "[[", "]]", "{", "}", "=", ",", ".", "\"", "'", "\"\"\"", "#", "\n", "\r\n", " ", "\t", "meetings",
            "providers", "daemon", "defaults", "include", "id", "start", "repeat", "cron", "except", "overrides", "zoom",
            "2026-12-01", "2026-12-01T09:00:00", "\"1h\"", "\"FREQ=DAILY\"", "5", "1e400", "inf", "true", "é", "会", "\u{1b}",
            "admin_secret", "\"*.toml\"", "\"a.toml\"", "\\u0000", "\0", "extend", "settings", "password", "occurrence",
        ]), 0..80)
    ) {
        holds(words.concat().into_bytes())?;
    }

    #[test]
    fn a_mutated_example_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut content = EXAMPLE.replace("\n#", "\n").into_bytes();
        if changes.len() % 2 == 0 {
            content = EXAMPLE.as_bytes().to_vec();
        }
        for (place, byte, change) in changes {
            let at = place.index(content.len());
            match change {
                0 => content[at] = byte,
                1 => content.insert(at, byte),
                2 => { content.remove(at); }
                _ => content.truncate(at.max(1)),
            }
        }
        holds(content)?;
    }

    #[test]
    fn no_mutation_shows_a_secret(
        line in 0..5_usize, cut in any::<prop::sample::Index>(), noise in "[\"'={}\\[\\], #x]{0,3}",
    ) {
        // What is changed is around the secret and not in it, so that it can be recognised.
        let mut text = WITH_SECRET.to_owned();
        let secrets: Vec<usize> = text.match_indices("hunter2").map(|(at, _)| at).collect();
        let from = if line < 3 { text[..secrets[line]].rfind('\n').map_or(0, |at| at + 1) } else { 0 };
        let to = secrets[line.min(2)];
        let key_end = from + text[from..to].rfind('=').unwrap_or(0);
        let at = key_end + cut.index((to - key_end).max(1));
        text.insert_str(at, &noise);
        holds(text.into_bytes())?;
    }
}
