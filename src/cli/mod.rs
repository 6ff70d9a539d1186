//! The command line: one file for each command. Data goes to standard output, everything else to standard error.

mod check;
mod exit;
mod login;
mod plan;
mod reload;
mod run;
mod status;
mod table;
mod times;

use crate::config::{self, Loaded};
use crate::seams::{Clock as _, SystemClock, SystemFiles};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Keeps scheduled video meetings' rooms in step with a schedule.
///
/// Meetings stand in a TOML file. The daemon creates each room ahead of its start, watches who is in it, and closes or
/// extends it by the rules in the file.
#[derive(Debug, Parser)]
#[command(
    name = "convened",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::Run),
    /// Check the schedule file: every problem, with its place
    Check(check::Check),
    /// Show what will happen when, by the schedule file alone
    Plan(plan::Plan),
    /// Show what is: rooms, their links, what happens next
    Status(status::Status),
    /// Log in to an account elsewhere, so that the daemon can act for it
    Login(login::Login),
    /// Have the running daemon read the schedule file now
    Reload(reload::Reload),
}

/// Where the schedule is.
#[derive(Debug, Args)]
struct ConfigArg {
    /// The schedule file
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "CONVENED_CONFIG",
        default_value = "/etc/convened/config.toml"
    )]
    config: PathBuf,
}

impl ConfigArg {
    fn load(&self) -> Loaded {
        config::load(&self.config, &SystemFiles, SystemClock.wall())
    }
}

/// Parses the arguments, runs the command, and maps what came of it to an exit code (see `sysexits.h`).
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_help = !error.use_stderr();
            // A closed pipe is nobody's problem.
            let _ = error.print();
            return if is_help { ExitCode::SUCCESS } else { ExitCode::from(exit::USAGE) };
        }
    };
    let outcome = match cli.command {
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Plan(plan) => plan.run(),
        Command::Status(status) => status.run(),
        Command::Login(login) => login.run(),
        Command::Reload(reload) => reload.run(),
    };
    outcome.unwrap_or_else(|error| exit::explain(&error))
}

/// Shows the problems of a schedule on standard error.
fn show_problems(loaded: &Loaded) {
    use std::io::Write as _;
    let mut out = std::io::stderr().lock();
    for diagnostic in &loaded.diagnostics {
        // Nobody to tell is no reason to stop.
        let _ = writeln!(out, "{diagnostic}\n");
    }
}

/// That there is a meeting of that name.
fn check_meeting<'a>(id: &str, known: impl Iterator<Item = &'a str> + Clone) -> Result<(), exit::Usage> {
    if known.clone().any(|known| known == id) {
        return Ok(());
    }
    let nearest =
        known.map(|known| (strsim::jaro_winkler(known, id), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match nearest {
        Some((likeness, name)) if likeness > 0.8 => format!(": did you mean {name:?}?"),
        _ => String::new(),
    };
    Err(exit::Usage(format!("there is no meeting {id:?}{hint}")))
}

/// Runs one small exchange with the daemon.
fn block_on<T>(exchange: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(exchange)
}

/// The path as the daemon keeps it: its own folder may not be that of whoever reads its log.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
