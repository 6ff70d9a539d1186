//! A disk that keeps what was synced, and of the rest what it pleases.
//!
//! Each file has its durable bytes and the writes since; names of files are a list of their own, that an fsync of the folder
//! makes durable. A crash keeps any of the writes, torn at sectors, and the names up to some point in time.

use super::trace::Event;
use crate::random::Random;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A disk writes this much at a time, whole or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    since: Vec<Change>,
}

/// A name that appeared or went.
#[derive(Debug, Clone)]
struct Naming {
    path: PathBuf,
    /// The file, by number; `None`: the name is gone. A folder is a file without content.
    file: Option<usize>,
}

/// What a crash leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Luck {
    Nothing,
    Everything,
    /// Each write by chance.
    Some,
    /// Each sector of each write by chance.
    Torn,
}

impl Luck {
    pub(super) const ALL: [Self; 6] =
        [Self::Nothing, Self::Everything, Self::Some, Self::Some, Self::Torn, Self::Torn];
}

/// The disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    namings: Vec<Naming>,
    /// An fsync of a file whose name ends so is not done: a disk, or a setting, that lies.
    deaf_to: Option<&'static str>,
}

impl Disk {
    /// A disk that does not sync files whose name ends with `suffix`.
    pub(super) fn deaf_to(suffix: &'static str) -> Self {
        Self { deaf_to: Some(suffix), ..Self::default() }
    }

    /// Takes in what a process did. Returns whether a crash now could leave something else than a moment before.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::MakeFolder(path) | Event::MayMakeFile(path) => {
                if self.names.contains_key(path) {
                    return false;
                }
                self.files.push(File::default());
                self.name(path, Some(self.files.len() - 1));
            }
            Event::Remove(path) => self.name(path, None),
            Event::Write { path, at, bytes } => {
                let at = usize::try_from(*at).unwrap();
                return self.change(path, Change::Write { at, bytes: bytes.clone() });
            }
            Event::Truncate { path, length } => {
                return self.change(path, Change::Truncate(usize::try_from(*length).unwrap()));
            }
            Event::Synced(path) => return self.sync(path),
            Event::Sent(_) => return false,
        }
        true
    }

    fn name(&mut self, path: &Path, file: Option<usize>) {
        match file {
            Some(file) => drop(self.names.insert(path.to_owned(), file)),
            None => drop(self.names.remove(path)),
        }
        self.namings.push(Naming { path: path.to_owned(), file });
    }

    fn change(&mut self, path: &Path, change: Change) -> bool {
        // A log, or a socket by its path: none of ours.
        let Some(file) = self.names.get(path) else { return false };
        self.files[*file].since.push(change);
        true
    }

    fn sync(&mut self, path: &Path) -> bool {
        let is_deaf = self.deaf_to.is_some_and(|suffix| path.to_string_lossy().ends_with(suffix));
        if let (Some(file), false) = (self.names.get(path), is_deaf) {
            let file = &mut self.files[*file];
            for change in std::mem::take(&mut file.since) {
                apply(&mut file.durable, &change);
            }
        }
        // A folder: its names.
        let (synced, rest): (Vec<_>, Vec<_>) =
            self.namings.drain(..).partition(|naming| naming.path.parent() == Some(path));
        self.namings = rest;
        for naming in synced {
            rename(&mut self.durable_names, &naming);
        }
        true
    }

    /// What is in `folder` after a crash.
    pub(super) fn crash(&self, folder: &Path, luck: Luck, random: &mut Random) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.durable_names.clone();
        let kept = match luck {
            Luck::Nothing => 0,
            Luck::Everything => self.namings.len(),
            // File systems keep a journal of names: what came first is there first.
            Luck::Some | Luck::Torn => usize::try_from(random.below(self.namings.len() as u64 + 1)).unwrap(),
        };
        for naming in &self.namings[..kept] {
            rename(&mut names, naming);
        }
        if !names.contains_key(folder) {
            return BTreeMap::new();
        }
        let inside = names.iter().filter(|(path, _)| path.parent() == Some(folder));
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        inside.map(|(path, file)| (name(path), self.files[*file].after_crash(luck, random))).collect()
    }
}

impl File {
    fn after_crash(&self, luck: Luck, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.since {
            match (luck, change) {
                (Luck::Nothing, _) => {}
                (Luck::Torn, Change::Write { at, bytes: written }) => {
                    for (n, sector) in written.chunks(SECTOR).enumerate() {
                        if random.percent(50) {
                            let change = Change::Write { at: at + n * SECTOR, bytes: sector.to_vec() };
                            apply(&mut bytes, &change);
                        }
                    }
                }
                (Luck::Some | Luck::Torn, change) => {
                    if random.percent(50) {
                        apply(&mut bytes, change);
                    }
                }
                (Luck::Everything, change) => apply(&mut bytes, change),
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes: written } => {
            if bytes.len() < at + written.len() {
                bytes.resize(at + written.len(), 0);
            }
            bytes[*at..at + written.len()].copy_from_slice(written);
        }
        Change::Truncate(length) => bytes.resize(*length, 0),
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, naming: &Naming) {
    match naming.file {
        Some(file) => drop(names.insert(naming.path.clone(), file)),
        None => drop(names.remove(&naming.path)),
    }
}
