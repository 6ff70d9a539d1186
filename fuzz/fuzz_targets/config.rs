//! Files of a configuration, includes among them: any bytes give a valid `Config` or located problems, and nothing else.

#![no_main]

use convened::config::{Severity, load};
use convened::seams::Files;
use convened_fuzz::{beginning, harmful};
use libfuzzer_sys::{Corpus, fuzz_target};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Files in memory. The input is cut at `\n%%% NAME\n`; what comes before the first cut is the first file.
struct Given(BTreeMap<PathBuf, Vec<u8>>);

const FIRST: &str = "/etc/convened/config.toml";
const CUT: &[u8] = b"\n%%% ";

impl Given {
    fn read(input: &[u8]) -> Self {
        let mut files = BTreeMap::new();
        let mut name = PathBuf::from(FIRST);
        let mut rest = input;
        loop {
            let at = rest.windows(CUT.len()).position(|window| window == CUT);
            files.insert(name, rest[..at.unwrap_or(rest.len())].to_vec());
            let Some(at) = at else { return Self(files) };
            rest = &rest[at + CUT.len()..];
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            name = Path::new("/etc/convened").join(&*String::from_utf8_lossy(&rest[..end]));
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
}

impl Files for Given {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
        let pattern = glob::Pattern::new(pattern)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        Ok(self.0.keys().filter(|path| pattern.matches_path_with(path, options)).cloned().collect())
    }
}

fuzz_target!(|input: &[u8]| -> Corpus {
    if input.len() > 16 * 1024 {
        return Corpus::Reject;
    }
    let files = Given::read(input);
    let loaded = load(Path::new(FIRST), &files, beginning());
    let has_error = loaded.diagnostics.iter().any(|told| told.severity == Severity::Error);
    assert_eq!(
        loaded.config.is_none(),
        has_error,
        "a configuration, or an error that says why there is none"
    );
    assert!(loaded.diagnostics.len() <= 101);
    for told in &loaded.diagnostics {
        for line in told.to_string().lines() {
            assert_eq!(harmful(line), None, "{line:?}");
            assert!(line.chars().count() < 4_000, "{line:?}");
        }
        assert_eq!(harmful(&told.message), None, "{:?}", told.message);
    }
    let again = load(Path::new(FIRST), &files, beginning());
    assert_eq!(again.digest, loaded.digest);
    let Some(config) = loaded.config else { return Corpus::Keep };
    let same = again.config.expect("the same files give the same");
    for (id, meeting) in &config.meetings {
        assert_eq!(harmful(id), None);
        assert_eq!(harmful(&meeting.title), None, "{:?}", meeting.title);
        assert_eq!(meeting.fingerprint(), same.meetings[id].fingerprint());
        assert!(config.providers.contains_key(&meeting.provider));
        // What `check` lets through can be held.
        let until = beginning() + config.daemon.horizon.min(chrono::TimeDelta::days(3));
        let instances = meeting.series.expand(beginning()..until, 200_000).expect("not too many");
        for instance in instances {
            assert!(instance.starts_at < instance.ends_at, "{instance:?}");
        }
    }
    Corpus::Keep
});
