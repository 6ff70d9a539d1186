//! The built program, as people run it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod canaries;
mod commands;
mod crash;
mod elsewhere;
mod life;
mod reload;
mod secrets;
mod support;
