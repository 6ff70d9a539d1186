//! Exit codes, as `sysexits.h` has them.

use crate::store::{StoreError, StoreLockError};
use std::process::ExitCode;

/// The command line makes no sense (`EX_USAGE`).
pub(super) const USAGE: u8 = 64;
/// Something that should be there is not: an address, a daemon (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;
/// The store cannot be read or written (`EX_IOERR`).
const IO: u8 = 74;
/// May work later: another daemon holds the store, a schedule is held (`EX_TEMPFAIL`).
pub(super) const TEMPFAIL: u8 = 75;
/// The schedule is not valid, or the store is not one that this version can use: a restart will not help
/// (`EX_CONFIG`; the unit has `RestartPreventExitStatus=78`).
pub(super) const CONFIG: u8 = 78;

/// Says on standard error what went wrong, and gives the exit code for it.
pub(super) fn explain(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    let code = if let Some(error) = error.downcast_ref::<StoreError>() {
        match error {
            StoreError::TooNew { .. } | StoreError::NotAStore { .. } => CONFIG,
            StoreError::Database { .. } | StoreError::BadRow { .. } => IO,
        }
    } else if error.downcast_ref::<StoreLockError>().is_some() {
        TEMPFAIL
    } else {
        UNAVAILABLE
    };
    // Nobody to tell is no reason to stop.
    let _ = writeln!(std::io::stderr(), "convened: {}", crate::log::escape(&format!("{error:#}")));
    ExitCode::from(code)
}
