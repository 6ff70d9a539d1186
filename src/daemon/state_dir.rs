//! The state folder: where it is, and that nobody else can read it.

use anyhow::Context as _;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where the unit in `systemd/` keeps the state.
const SYSTEM_STATE_DIR: &str = "/var/lib/convened";

/// The state folder: the one that the configuration names, else `$STATE_DIRECTORY` (systemd), else `convened` in the XDG
/// state folder (`$XDG_STATE_HOME` or `~/.local/state`).
///
/// # Errors
/// When nothing says where it could be.
pub fn locate(configured: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = configured {
        return std::path::absolute(path).with_context(|| format!("state_dir {}", path.display()));
    }
    // systemd gives a list when the unit names several folders; the first is ours.
    let given = variable("STATE_DIRECTORY").and_then(|list| list.split(':').next().map(PathBuf::from));
    let home = || {
        let base = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        base.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/state")))
    };
    given.or_else(|| home().map(|base| base.join("convened"))).context(
        "no place for the state: set `state_dir` in the [daemon] table, or the environment variable STATE_DIRECTORY, \
         XDG_STATE_HOME or HOME",
    )
}

/// As [`locate`], for a command that looks at what a daemon keeps: where the folder of the caller holds no store and that
/// of the system service does, the latter is meant.
///
/// # Errors
/// See [`locate`].
pub fn locate_existing(configured: Option<&Path>, file_name: &str) -> anyhow::Result<PathBuf> {
    let own = locate(configured);
    let is_open = configured.is_none() && variable("STATE_DIRECTORY").is_none();
    let has_store = |path: &Path| path.join(file_name).try_exists().unwrap_or(false);
    match own {
        Ok(own) if !is_open || has_store(&own) => Ok(own),
        _ if is_open && has_store(Path::new(SYSTEM_STATE_DIR)) => Ok(PathBuf::from(SYSTEM_STATE_DIR)),
        own => own,
    }
}

/// Makes the folder where it is missing, for its owner alone (mode 0700).
///
/// # Errors
/// When it cannot be made, is no folder, or others may write there.
pub fn prepare(path: &Path) -> anyhow::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the state folder {}", path.display()))?;
    for parent in missing.iter().rev().filter_map(|folder| folder.parent()) {
        // A folder outlives a power cut once the one above it is on disk. A file system that cannot do that does it itself.
        let _ = std::fs::File::open(parent).and_then(|parent| parent.sync_all());
    }
    let mode = std::fs::metadata(path)
        .with_context(|| format!("cannot look at the state folder {}", path.display()))?
        .permissions()
        .mode();
    anyhow::ensure!(
        mode & 0o022 == 0,
        "others may write to the state folder {} (mode {:o}): chmod 700 {0}",
        path.display(),
        mode & 0o7777
    );
    Ok(())
}

/// Makes the folder of the control socket where it is missing, for its owner alone.
///
/// # Errors
/// When it cannot be made.
pub(super) fn prepare_runtime(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the folder {} for the control socket", path.display()))
}

/// Files that this process makes from now on are for its owner alone.
pub fn restrict_new_files() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Drops a file that may be missing.
///
/// # Errors
/// When it is there and cannot be removed.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
