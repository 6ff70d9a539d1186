//! `convened check`.

use super::{ConfigArg, exit, show_problems};
use crate::config::{Diagnostic, Loaded, Severity};
use crate::daemon::state_dir;
use crate::log::counted;
use crate::seams::{Clock as _, SystemClock, SystemFiles};
use crate::store::SqliteStore;
use clap::Args;
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArg,
    /// One JSON object for each problem, on standard output
    #[arg(long)]
    json: bool,
}

/// A problem as JSON. The names are a contract.
#[derive(serde::Serialize)]
struct Problem<'a> {
    severity: &'static str,
    path: String,
    line: usize,
    column: usize,
    message: &'a str,
    help: Option<&'a str>,
}

impl<'a> Problem<'a> {
    fn of(found: &'a Diagnostic) -> Self {
        Self {
            severity: match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            path: found.path.display().to_string(),
            line: found.line,
            column: found.column,
            message: &found.message,
            help: found.help.as_deref(),
        }
    }
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut loaded = self.config.load();
        if let Some(config) = &loaded.config {
            loaded.diagnostics.extend(config.missing_secrets(&SystemFiles));
            let configured = config.daemon.state_dir.as_deref();
            let folder = state_dir::locate_existing(configured, SqliteStore::FILE_NAME).ok();
            let problems = super::login::status::problems(folder.as_deref(), config).into_iter();
            loaded.diagnostics.extend(problems.map(|(message, help)| {
                Diagnostic::of_file(Severity::Warning, &self.config.config, message, Some(help))
            }));
        }
        if self.json {
            let mut out = std::io::stdout().lock();
            for found in &loaded.diagnostics {
                writeln!(out, "{}", serde_json::to_string(&Problem::of(found))?)?;
            }
        } else {
            show_problems(&loaded);
            writeln!(std::io::stdout(), "{}", summary(&self.config.config.display().to_string(), &loaded))?;
        }
        let is_wrong = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
        Ok(if is_wrong { ExitCode::from(exit::CONFIG) } else { ExitCode::SUCCESS })
    }
}

fn summary(path: &str, loaded: &Loaded) -> String {
    let count = |severity| loaded.diagnostics.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let files = match loaded.sources.len() {
        0 | 1 => String::new(),
        n => format!(" and {}", counted(n - 1, "included file")),
    };
    match &loaded.config {
        None => format!("{path}{files}: {}, {}", counted(errors, "error"), counted(warnings, "warning")),
        Some(config) => {
            let now = SystemClock.wall();
            let ahead: usize = config
                .meetings
                .values()
                .map(|meeting| {
                    let window = now..now + config.daemon.horizon;
                    meeting
                        .series
                        .expand(window, crate::config::MAX_OCCURRENCES_PER_MEETING)
                        .map_or(0, |list| list.len())
                })
                .sum();
            format!(
                "{path}{files}: {}; {} on {}, {} in the next {}; {}",
                if errors == 0 { "valid".to_owned() } else { counted(errors, "error") },
                counted(config.meetings.len(), "meeting"),
                counted(config.providers.len(), "provider"),
                counted(ahead, "occurrence"),
                super::times::length(config.daemon.horizon),
                counted(warnings, "warning"),
            )
        }
    }
}
