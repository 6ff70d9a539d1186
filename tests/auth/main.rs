//! Accounts across real processes: refreshes at the same time, `kill -9` in the middle of one, logins with the built program,
//! and that nothing it says holds a token.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../daemon/canaries.rs"]
mod canaries;
#[path = "../emulators/oauth.rs"]
mod emulator;
mod logins;
mod processes;
mod secrets;
#[path = "../daemon/support.rs"]
#[expect(dead_code, reason = "tests of the daemon use the rest")]
mod support;
