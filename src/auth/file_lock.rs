//! One refresh at a time for each account, across processes.

use crate::seams::Clock;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

/// Between two looks at a lock that somebody else holds.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Held while a refresh or a login is under way. The kernel drops it with the process, however that ends; nobody can take it
/// away from one that is merely slow.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock at `path`; waits for it, without a thread, at most `patience`. `None` when that is over.
    pub(super) async fn take(path: &Path, patience: Duration, clock: &dyn Clock) -> io::Result<Option<Self>> {
        let file = open_private(path)?;
        let until = clock.boot().saturating_add(patience);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) if clock.boot() >= until => return Ok(None),
                Err(TryLockError::WouldBlock) => clock.sleep(LOOK_EVERY).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// Opens a file of ours to write, and makes it where it is missing: for its owner alone, who is that of the folder. `convened
/// login` is run by root as well, and the daemon, which is somebody else, must be able to use what it leaves.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let open = |is_new: bool| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(is_new)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
    };
    match open(true) {
        Ok(file) => {
            give_to_owner_of_folder(path, &file)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(false),
        Err(error) => Err(error),
    }
}

fn give_to_owner_of_folder(path: &Path, file: &File) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let (theirs, ours) = (std::fs::metadata(folder)?, file.metadata()?);
    if (theirs.uid(), theirs.gid()) != (ours.uid(), ours.gid()) && rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(file, Some(theirs.uid()), Some(theirs.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::SystemClock;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test(start_paused = true)]
    async fn one_has_it_at_a_time_and_the_other_waits_no_longer_than_it_likes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let take = || FileLock::take(&path, Duration::ZERO, &SystemClock);
        let held = take().await.unwrap();
        assert!(held.is_some());
        assert!(take().await.unwrap().is_none());
        drop(held);
        assert!(take().await.unwrap().is_some());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_link_that_was_planted_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("a.lock"), folder.path().join("elsewhere"));
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(FileLock::take(&path, Duration::ZERO, &SystemClock).await.is_err());
        assert!(!elsewhere.exists());
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(1234), Some(2345)).unwrap();
        let file = open_private(&folder.path().join("a.lock")).unwrap();
        let owner = file.metadata().unwrap();
        assert_eq!((owner.uid(), owner.gid()), (1234, 2345));
    }
}
