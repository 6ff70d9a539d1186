//! One daemon per store.

use rustix::process::{Pid, test_kill_process};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whoever has just taken the lock has its process id in the file within this: it is looked at again so often.
const LOOKS: u32 = 100;
/// The time between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

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
            Self::Io { path, source } => {
                write!(
                    f,
                    "cannot lock {}: {source}: the state folder must be on a disk that this user can write to",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for StoreLockError {}

impl StoreLock {
    /// The lock file's name in the state folder.
    pub const FILE_NAME: &str = "convened.lock";

    /// Takes the lock of `state_dir` and writes our process id into it. Does not wait for another daemon to end; only,
    /// for a second at most, until one that starts at the same moment has given its process id.
    ///
    /// # Errors
    /// [`StoreLockError::Held`] when another daemon runs there.
    pub fn take(state_dir: &Path) -> Result<Self, StoreLockError> {
        let path = state_dir.join(Self::FILE_NAME);
        let io = |source| StoreLockError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        for looks_left in (0..LOOKS).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
            // Between its lock and its process id there is nothing in the file yet, or the id of one that is gone.
            let pid = holder(&mut file).map_err(io)?;
            if pid.is_some() || looks_left == 0 {
                return Err(StoreLockError::Held { pid, path });
            }
            pause();
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// The process in the lock file, if it lives.
fn holder(file: &mut File) -> std::io::Result<Option<u32>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(16).read_to_end(&mut bytes)?;
    let pid = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let lives = |pid: &Pid| test_kill_process(*pid) != Err(rustix::io::Errno::SRCH);
    Ok(pid
        .and_then(Pid::from_raw)
        .filter(lives)
        .and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "looks again, up to a deadline; nothing runs yet that this could hold up"
)]
fn pause() {
    std::thread::sleep(LOOK_AGAIN);
}
