//! The configuration's files: read only.

use std::io;
use std::path::{Path, PathBuf};

/// The largest configuration file that is read, in bytes (8 MiB, some 40,000 meetings).
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Reads the schedule's files and the secrets that they name.
pub trait Files: Send + Sync {
    /// The content of a regular file of at most [`MAX_FILE_BYTES`].
    ///
    /// # Errors
    /// When it cannot be read, is not a regular file (a device or FIFO could block for ever), or is larger
    /// ([`io::ErrorKind::FileTooLarge`]).
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files that match a glob pattern, sorted by name. A pattern that matches nothing gives none.
    ///
    /// # Errors
    /// When the pattern is malformed ([`io::ErrorKind::InvalidInput`]) or a folder cannot be listed.
    fn list(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        use io::Read as _;
        // Looked at before it is opened: opening a FIFO would wait for a writer.
        let kind = std::fs::metadata(path)?;
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut content = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {} MiB, the most that is read", MAX_FILE_BYTES >> 20),
            ));
        }
        Ok(content)
    }

    fn list(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let matches =
            glob::glob(pattern).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))?;
        matches.map(|entry| entry.map_err(Into::into)).collect()
    }
}
