//! Accounts across real processes: refreshes at the same time, `kill -9` in the middle of one, and logins with the built program.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../emulators/oauth.rs"]
mod emulator;
mod processes;
