//! Exit codes, as `sysexits.h` has them.

use crate::auth::TokenStoreError;
use crate::daemon::{InvalidSchedule, StoreUnusable};
use crate::meeting_service::ServiceError;
use crate::store::{StoreError, StoreLockError};
use std::io::ErrorKind;
use std::process::ExitCode;

/// The command line makes no sense (`EX_USAGE`).
pub(super) const USAGE: u8 = 64;
/// Something that should be there is not: an address, a daemon (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;
/// The store cannot be read or written (`EX_IOERR`).
const IO: u8 = 74;
/// May work later: another daemon holds the store, a schedule is held (`EX_TEMPFAIL`).
pub(super) const TEMPFAIL: u8 = 75;
/// Somebody who could have allowed it did not (`EX_NOPERM`).
const NOPERM: u8 = 77;
/// The schedule is not valid, or the store is damaged or not one that this version can use: a restart will not help
/// (`EX_CONFIG`; the unit has `RestartPreventExitStatus=78`).
pub(super) const CONFIG: u8 = 78;

/// The arguments ask for something that is not there, or makes no sense.
#[derive(Debug)]
pub(super) struct Usage(pub(super) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Something is not set up right; a try without a change will not help.
#[derive(Debug)]
pub(super) struct Config(pub(super) String);

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Config {}

/// Not now; later, perhaps.
#[derive(Debug)]
pub(super) struct Later(pub(super) String);

impl std::fmt::Display for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Later {}

/// Somebody said no.
#[derive(Debug)]
pub(super) struct Denied(pub(super) String);

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Denied {}

/// Says on standard error what went wrong, and gives the exit code for it.
pub(super) fn explain(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    let is_closed_pipe =
        error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe);
    if is_closed_pipe {
        // Whoever reads has seen enough (`| head`).
        return ExitCode::SUCCESS;
    }
    // Nobody to tell is no reason to stop.
    let _ = writeln!(std::io::stderr(), "convened: {}", crate::log::escape(&format!("{error:#}")));
    code(error)
}

/// The exit code for an error.
pub(super) fn code(error: &anyhow::Error) -> ExitCode {
    let code = if let Some(error) = error.downcast_ref::<StoreError>() {
        match error {
            StoreError::TooNew { .. } | StoreError::NotAStore { .. } | StoreError::Damaged { .. } => CONFIG,
            StoreError::Database { .. } | StoreError::BadRow { .. } => IO,
        }
    } else if let Some(error) = error.downcast_ref::<StoreLockError>() {
        match error {
            StoreLockError::Held { .. } => TEMPFAIL,
            StoreLockError::Io { .. } => IO,
        }
    } else if let Some(error) = error.downcast_ref::<TokenStoreError>() {
        match error {
            TokenStoreError::TooNew { .. }
            | TokenStoreError::NotOurs { .. }
            | TokenStoreError::Damaged { .. } => CONFIG,
            TokenStoreError::Database { .. } | TokenStoreError::Io { .. } => IO,
        }
    } else if let Some(error) = error.downcast_ref::<ServiceError>() {
        match error {
            ServiceError::TooNew { .. } | ServiceError::NotOurs { .. } | ServiceError::Damaged { .. } => {
                CONFIG
            }
            ServiceError::Database { .. } | ServiceError::Io { .. } => IO,
        }
    } else if error.downcast_ref::<StoreUnusable>().is_some() {
        IO
    } else if error.downcast_ref::<InvalidSchedule>().is_some() {
        CONFIG
    } else if error.downcast_ref::<Usage>().is_some() {
        USAGE
    } else if error.downcast_ref::<Config>().is_some() {
        CONFIG
    } else if error.downcast_ref::<Later>().is_some() {
        TEMPFAIL
    } else if error.downcast_ref::<Denied>().is_some() {
        NOPERM
    } else {
        UNAVAILABLE
    };
    ExitCode::from(code)
}
