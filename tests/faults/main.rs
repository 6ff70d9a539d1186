//! The built program, killed, stopped, cut off from power and from disk, and with its clock set.
//!
//! What takes longer than a moment is ignored here and run by `.ci/run`, which prints its figures.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and tells its figures")]

mod clock;
mod emulator;
mod flips;
mod kills;
mod power_cut;
mod random;
mod stop;
mod store;
#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "shared with the tests in tests/daemon, which use the rest")]
mod support;
mod together;
