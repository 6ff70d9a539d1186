//! The files: read, include, parse.

use super::diagnostic::{Severity, quote};
use super::problems::{Nature, Place, Problems};
use super::reader::{Context, Section};
use super::syntax;
use crate::log::escape;
use crate::seams::Files;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use toml::de::DeTable;

/// Most files of one configuration.
pub const MAX_FILES: usize = 256;
/// Most bytes of all files of one configuration (32 MiB).
pub const MAX_TOTAL_BYTES: usize = 32 * 1024 * 1024;
/// How deep files may include files: the first one is at depth 0.
pub const MAX_INCLUDE_DEPTH: usize = 4;

/// Keys of the first file.
pub(super) const KEYS: [&str; 6] = ["timezone", "include", "daemon", "defaults", "providers", "meetings"];
/// Those of them that belong in the first file only.
const FIRST_FILE_KEYS: [&str; 3] = ["timezone", "daemon", "defaults"];

/// A file that was parsed.
pub(super) struct Document<'t> {
    pub(super) context: Context<'t>,
    /// Its top level.
    pub(super) root: Section<'t>,
    /// The folder that relative paths in it start from.
    pub(super) folder: &'t Path,
    pub(super) is_first: bool,
}

/// Reads a file and all that it includes.
pub(super) struct Reading<'a> {
    files: &'a dyn Files,
    problems: &'a Problems,
    digest: Sha256,
    patterns: BTreeSet<String>,
    total_bytes: usize,
    seen: BTreeSet<PathBuf>,
    is_full: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(files: &'a dyn Files, problems: &'a Problems) -> Self {
        Self {
            files,
            problems,
            digest: Sha256::new(),
            patterns: BTreeSet::new(),
            total_bytes: 0,
            seen: BTreeSet::new(),
            is_full: false,
        }
    }

    /// Reads `path`, then what it includes; `take` gets each file in that order.
    pub(super) fn read(&mut self, path: &Path, take: &mut dyn FnMut(&Document<'_>)) {
        self.visit(path, None, &[], take);
    }

    /// The digest of names and contents, and the patterns of the includes.
    pub(super) fn finish(self) -> ([u8; 32], Vec<String>) {
        (self.digest.finalize().into(), self.patterns.into_iter().collect())
    }

    /// `named_at` is where the file is included; `chain` are the files that led here.
    fn visit(
        &mut self,
        path: &Path,
        named_at: Option<&Place>,
        chain: &[PathBuf],
        take: &mut dyn FnMut(&Document<'_>),
    ) {
        self.seen.insert(normalised(path));
        let file = self.problems.add_file(path);
        let whole = Place { file, span: None };
        let content = self.files.read(path);
        self.add_to_digest(path, content.as_deref().ok());
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                let (message, help) = read_error(path, &error, named_at.is_none());
                self.problems.error(named_at.unwrap_or(&whole), message, help);
                return;
            }
        };
        self.total_bytes = self.total_bytes.saturating_add(content.len());
        if self.total_bytes > MAX_TOTAL_BYTES {
            self.is_full = true;
            let message = format!("the files are larger than {} MiB in all", MAX_TOTAL_BYTES >> 20);
            self.problems.error(named_at.unwrap_or(&whole), message, None);
            return;
        }
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
        let text: Arc<str> = String::from_utf8_lossy(content).into();
        self.problems.set_text(file, &text);
        if let Err(error) = std::str::from_utf8(content) {
            let at = error.valid_up_to();
            let place = Place { file, span: Some(at..at + '\u{fffd}'.len_utf8()) };
            let is_utf16 = content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff");
            let help =
                if is_utf16 { "it seems to be UTF-16: save it as UTF-8" } else { "save the file as UTF-8" };
            let help = Some(help.to_owned());
            self.problems.report(&place, Severity::Error, Nature::Syntax, "the text is not UTF-8", help);
            return;
        }
        let legible;
        let table = match DeTable::parse(&text) {
            Ok(table) => table.into_inner(),
            Err(first) => {
                let recovered = syntax::recover(&text, first.span());
                for error in recovered.errors {
                    let place = Place { file, span: error.span };
                    self.problems.report(&place, Severity::Error, Nature::Syntax, error.message, error.help);
                }
                self.problems.trust_up_to(file, recovered.trusted_to);
                legible = recovered.legible;
                DeTable::parse_recoverable(&legible).0.into_inner()
            }
        };
        let context = Context { problems: self.problems, file };
        let place = Place { file, span: Some(0..0) };
        let root = Section::new(context, &table, place, &KEYS);
        let folder = path.parent().unwrap_or(Path::new(""));
        let is_first = named_at.is_none();
        if !is_first {
            self.refuse_first_file_keys(&root);
        }
        take(&Document { context, root: root.clone(), folder, is_first });
        let mut chain = chain.to_vec();
        chain.push(path.to_owned());
        self.include(&root, folder, &chain, take);
    }

    fn add_to_digest(&mut self, path: &Path, content: Option<&[u8]>) {
        let name = path.as_os_str().as_encoded_bytes();
        self.digest.update((name.len() as u64).to_be_bytes());
        self.digest.update(name);
        self.digest.update([u8::from(content.is_some())]);
        let content = content.unwrap_or_default();
        self.digest.update((content.len() as u64).to_be_bytes());
        self.digest.update(content);
    }

    fn refuse_first_file_keys(&self, root: &Section<'_>) {
        for item in FIRST_FILE_KEYS.into_iter().filter_map(|key| root.item(key)) {
            let first = quote(&self.problems.path(0).to_string_lossy());
            let help =
                format!("an included file holds `meetings`, `providers` and `include`; move this to {first}");
            item.error(format!("`{}` belongs in the first file", item.name), help);
        }
    }

    fn include(
        &mut self,
        root: &Section<'_>,
        folder: &Path,
        chain: &[PathBuf],
        take: &mut dyn FnMut(&Document<'_>),
    ) {
        const EXAMPLE: &str = "include = [\"schedule.d/*.toml\"]";
        let Some(item) = root.item("include") else { return };
        if chain.len() > MAX_INCLUDE_DEPTH {
            let message = format!("files include files more than {MAX_INCLUDE_DEPTH} deep: {}", shown(chain));
            item.error(message, None);
            return;
        }
        for item in item.elements(MAX_FILES, EXAMPLE).unwrap_or_default() {
            let Some(pattern) = item.string(EXAMPLE) else { continue };
            for path in self.matches(pattern, folder, &item.place()) {
                if self.is_full {
                    return;
                }
                if let Some(at) = chain.iter().position(|above| normalised(above) == normalised(&path)) {
                    let mut circle = chain.get(at..).unwrap_or_default().to_vec();
                    circle.push(path);
                    item.error(format!("a file includes itself: {}", shown(&circle)), None);
                    continue;
                }
                // Named by two patterns: its meetings are there once.
                if self.seen.contains(&normalised(&path)) {
                    continue;
                }
                if self.seen.len() >= MAX_FILES {
                    self.is_full = true;
                    item.error(format!("more than {MAX_FILES} files"), None);
                    return;
                }
                self.visit(&path, Some(&item.place()), chain, take);
            }
        }
    }

    /// The files that a pattern names, relative to `folder`.
    fn matches(&mut self, pattern: &str, folder: &Path, place: &Place) -> Vec<PathBuf> {
        if pattern.is_empty() || pattern.contains('\0') {
            self.problems.error(place, "`include` needs a file name or a pattern", None);
            return Vec::new();
        }
        let folder_pattern = glob::Pattern::escape(&folder.to_string_lossy());
        let absolute =
            |path: PathBuf| std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned();
        if !pattern.contains(['*', '?', '[']) {
            let path = folder.join(pattern);
            self.patterns.insert(absolute(PathBuf::from(glob::Pattern::escape(&path.to_string_lossy()))));
            return vec![path];
        }
        let full = Path::new(&folder_pattern).join(pattern);
        self.patterns.insert(absolute(full.clone()));
        let mut found = match self.files.list(&full.to_string_lossy()) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("cannot list {}: {}", quote(pattern), escape(&error.to_string()));
                self.problems.error(place, message, None);
                return Vec::new();
            }
        };
        // Editors leave locks and copies with a dot in front beside a file that is open.
        let wants_hidden = full.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_hidden =
            |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        found.retain(|path| wants_hidden || !is_hidden(path));
        found.sort();
        found
    }
}

fn read_error(path: &Path, error: &io::Error, is_first: bool) -> (String, Option<String>) {
    let name = quote(&path.to_string_lossy());
    let another = "name another file with --config or CONVENED_CONFIG";
    match error.kind() {
        io::ErrorKind::NotFound if is_first => ("there is no such file".to_owned(), Some(another.to_owned())),
        io::ErrorKind::NotFound => (format!("there is no file {name}"), None),
        io::ErrorKind::PermissionDenied => {
            let message = format!("no permission to read {name}");
            (message, Some("the user that runs convened must be able to read it".to_owned()))
        }
        _ => (format!("cannot read {name}: {}", escape(&error.to_string())), None),
    }
}

/// Files that lead to each other.
fn shown(chain: &[PathBuf]) -> String {
    chain.iter().map(|path| escape(&path.to_string_lossy())).collect::<Vec<_>>().join(" → ")
}

/// Without `.` and `..`, by name alone.
fn normalised(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                plain.push(component);
            }
        }
    }
    plain
}
