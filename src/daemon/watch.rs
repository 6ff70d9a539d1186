//! The file system's notice that something changed.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// Watches the folders in which the schedule's files are. Folders, not files: an editor that writes a new file and renames
/// it over the old one leaves a watched file behind.
pub struct Watched {
    /// `None` where the system gives no watches: looking from time to time has to do.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Watched {
    /// Watches nothing yet. What happens to the daemon's own files in `state_dir` will not count.
    pub fn new(state_dir: PathBuf) -> Self {
        let changed = Arc::new(Notify::new());
        let signal = changed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error (a queue that overflowed) may hide a change.
            if event.is_ok_and(|event| is_our_doing(&event, &state_dir)) {
                return;
            }
            signal.notify_one();
        });
        Self { watcher: watcher.ok(), folders: BTreeSet::new(), changed }
    }

    /// Watches the folders of `files` and of `patterns` from now on, and no others.
    pub fn watch(&mut self, files: &[PathBuf], patterns: &[String]) {
        let Some(watcher) = &mut self.watcher else { return };
        let of_files = files.iter().filter_map(|file| file.parent().map(folder));
        let of_patterns = patterns.iter().map(|pattern| fixed_part(pattern));
        let wanted: BTreeSet<PathBuf> = of_files.chain(of_patterns).collect();
        for gone in self.folders.difference(&wanted) {
            // A folder that was removed is not watched any more as it is.
            let _ = watcher.unwatch(gone);
        }
        let mut watched: BTreeSet<PathBuf> = self.folders.intersection(&wanted).cloned().collect();
        for new in wanted.difference(&self.folders) {
            if watcher.watch(new, RecursiveMode::NonRecursive).is_ok() {
                watched.insert(new.clone());
            }
        }
        self.folders = watched;
    }

    /// Comes back when something changed since it last came back.
    ///
    /// # Cancel safety
    /// Safe: a change that nobody waited for is told to the next one who waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Reading, and writing the store, which may lie beside the schedule.
fn is_our_doing(event: &notify::Event, state_dir: &Path) -> bool {
    let is_own_file = |path: &PathBuf| {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        path.starts_with(state_dir)
            && (extension.starts_with("sqlite") || matches!(extension, "lock" | "sock"))
    };
    matches!(event.kind, EventKind::Access(_))
        || (!event.paths.is_empty() && event.paths.iter().all(is_own_file))
}

fn folder(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

/// The folder of a glob pattern, up to its first wildcard.
fn fixed_part(pattern: &str) -> PathBuf {
    let fixed = pattern.split(['*', '?', '[']).next().unwrap_or_default();
    let end =
        if fixed.len() == pattern.len() { fixed } else { &fixed[..fixed.rfind('/').map_or(0, |at| at + 1)] };
    let path = Path::new(end);
    let folder_of = if end.ends_with('/') { Some(path) } else { path.parent() };
    folder(folder_of.unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_pattern_ends_before_its_first_wildcard() {
        assert_eq!(fixed_part("/etc/convened/schedule.d/*.toml"), Path::new("/etc/convened/schedule.d/"));
        assert_eq!(fixed_part("/etc/convened/team-*/x.toml"), Path::new("/etc/convened/"));
        assert_eq!(fixed_part("/etc/convened/more.toml"), Path::new("/etc/convened"));
        assert_eq!(fixed_part("*.toml"), Path::new("."));
    }

    #[tokio::test]
    async fn an_editor_that_renames_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "").unwrap();
        let mut watched = Watched::new(folder.path().join("state"));
        watched.watch(std::slice::from_ref(&file), &[]);
        for content in ["one", "two"] {
            let draft = folder.path().join("draft");
            std::fs::write(&draft, content).unwrap();
            std::fs::rename(&draft, &file).unwrap();
            watched.changed().await;
        }
    }
}
