//! Files in memory, and loading from them.

#![allow(
    clippy::expect_used,
    dead_code,
    unreachable_pub,
    reason = "shared by tests, each of which uses a part"
)]

use chrono::{DateTime, Utc};
use convened::config::{Config, Loaded, Severity, load};
use convened::seams::Files;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Files by path. A path that is mapped to an error cannot be read.
#[derive(Debug, Default)]
pub struct MemoryFiles(pub BTreeMap<PathBuf, Result<Vec<u8>, io::ErrorKind>>);

impl MemoryFiles {
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from(path), Ok(text.as_bytes().to_vec()))).collect())
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.0.get(path) {
            Some(Ok(content)) => Ok(content.clone()),
            Some(Err(kind)) => Err((*kind).into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
        let pattern = glob::Pattern::new(pattern)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        Ok(self.0.keys().filter(|path| pattern.matches_path_with(path, options)).cloned().collect())
    }
}

/// The instant at which everything is loaded, unless a test says otherwise.
pub fn now() -> DateTime<Utc> {
    at("2026-11-23T08:00:00Z")
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Loads the first of `files`.
pub fn load_files(files: &[(&str, &str)]) -> Loaded {
    load(Path::new(files[0].0), &MemoryFiles::of(files), now())
}

pub fn load_text(text: &str) -> Loaded {
    load_files(&[("c.toml", text)])
}

/// What is told of `text`, problem by problem.
pub fn told(loaded: &Loaded) -> String {
    loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The configuration of a text without errors.
pub fn config(text: &str) -> Config {
    let loaded = load_text(text);
    let told = told(&loaded);
    loaded.config.unwrap_or_else(|| panic!("{told}"))
}

pub fn has_error(loaded: &Loaded) -> bool {
    loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
