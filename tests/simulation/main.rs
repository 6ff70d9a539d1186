//! The simulated world: the daemon's engine, store and drivers, run for simulated years against providers, people, operators
//! and a sky that misbehave, with every invariant checked at every step. `docs/reliability.md` says what is in it.
//!
//! Without arguments, as `cargo test` runs it: a slice of a few seconds. Else, best built with `--profile simulation`:
//!
//! - `--ci SECONDS`: everything that is run on every push, random worlds for so long, and the seeded bugs where they are built in;
//! - `--meetings N`: random worlds until N meetings took place; `--first-seed S`;
//! - `--seed S [--plan P] [--loud]`, `--scenario NAME [--plan P] [--loud]`: one world, told line by line;
//! - `--singles`, `--pairs` `[--only SCENARIO]`: every fault at every point, and every pair;
//! - `--seeded-bugs [--only BUG]`: puts known bugs into the daemon, one by one, and fails if one of them is not caught.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "a test says what it expects"
)]

#[cfg(feature = "seeded-bugs")]
mod bugs;
mod check;
mod explore;
mod figures;
mod happen;
mod node;
mod plain;
mod plan;
mod regressions;
mod rng;
mod run;
mod scenarios;
mod seams;
mod service;
mod setup;
mod timetable;
mod world;

use plan::Plan;
use setup::Setup;
use std::process::ExitCode;

/// Milliseconds, or an instant as milliseconds since 1970.
pub(crate) type Ms = i64;

fn main() -> ExitCode {
    run::count_panics();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str| value(name).map(|text| text.parse::<u64>().expect("a number"));
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let plan = value("--plan").map(|text| Plan::parse(&text).expect("a plan"));
    if let Some(seed) = number("--seed") {
        let setup = Setup { plan, is_loud: has("--loud"), ..Setup::draw(seed) };
        return explore::one(&setup);
    }
    if let Some(name) = value("--scenario") {
        let setup = scenarios::scenario(&name, plan.unwrap_or_default()).expect("a scenario");
        return explore::one(&Setup { is_loud: has("--loud"), ..setup });
    }
    let first_seed = number("--first-seed").unwrap_or(1);
    if has("--singles") {
        return explore::exhaustive(1, value("--only").as_deref());
    }
    if has("--pairs") {
        return explore::exhaustive(2, value("--only").as_deref());
    }
    if let Some(seconds) = number("--seconds") {
        return explore::random(first_seed, Some(seconds), None);
    }
    if let Some(meetings) = number("--meetings") {
        return explore::random(first_seed, None, Some(meetings));
    }
    if has("--seeded-bugs") {
        #[cfg(feature = "seeded-bugs")]
        return bugs::all(value("--only").as_deref());
        #[cfg(not(feature = "seeded-bugs"))]
        panic!("build it with --features seeded-bugs");
    }
    if let Some(seconds) = number("--ci") {
        let parts = [
            explore::regressions(),
            explore::exhaustive(2, None),
            explore::random(first_seed, Some(seconds), None),
            #[cfg(feature = "seeded-bugs")]
            bugs::all(None),
        ];
        return if parts.iter().all(|part| *part == ExitCode::SUCCESS) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    // What the harness of `cargo test` is asked for: a list of tests, or one by its name.
    if has("--list") || arguments.iter().any(|argument| !argument.starts_with('-')) {
        return ExitCode::SUCCESS;
    }
    explore::slice()
}
