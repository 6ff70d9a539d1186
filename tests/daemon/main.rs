//! The built program, as people run it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod commands;
mod crash;
mod life;
mod reload;
mod support;
