//! One daemon per store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Held as long as a daemon uses a state folder. The kernel drops it with the process, however that ends, so that it
/// can never be left over; the file itself stays.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why the lock was not had.
#[derive(Debug)]
pub enum StoreLockError {
    /// Another process holds it.
    Held {
        /// The lock file.
        path: PathBuf,
        /// Its process id, where it could be read.
        pid: Option<u32>,
    },
    /// The file cannot be opened or locked.
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl std::fmt::Display for StoreLockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held { path, pid } => {
                write!(f, "another convened")?;
                if let Some(pid) = pid {
                    write!(f, " (process {pid})")?;
                }
                write!(
                    f,
                    " runs on this store (it holds {}): two would make two rooms for one meeting; stop it first, or \
                     give this one another `state_dir`",
                    path.display()
                )
            }
            Self::Io { path, source } => write!(f, "cannot lock {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for StoreLockError {}

impl StoreLock {
    /// The lock file's name in the state folder.
    pub const FILE_NAME: &str = "convened.lock";

    /// Takes the lock of `state_dir`, without waiting, and writes our process id into it.
    ///
    /// # Errors
    /// [`StoreLockError::Held`] when another daemon runs there.
    pub fn take(state_dir: &Path) -> Result<Self, StoreLockError> {
        let path = state_dir.join(Self::FILE_NAME);
        let io = |source| StoreLockError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(StoreLockError::Held { pid: text.trim().parse().ok(), path });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(io)?;
        Ok(Self { _file: file })
    }
}
