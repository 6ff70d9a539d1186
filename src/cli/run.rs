//! `convened run`.

use super::{ConfigArg, absolute, exit, show_problems};
use crate::config::{self, Diagnostic, Loaded, Severity};
use crate::log::{self, LogEvent, LogFormat};
use crate::seams::{Clock as _, Host as _, SystemClock, SystemFiles, SystemHost};
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigArg,
    /// How the log is written; default: native fields to the journal under systemd, else text
    #[arg(long, value_name = "FORMAT")]
    log: Option<LogFormat>,
    /// Log every call to a provider as well; twice: everything
    #[arg(long, short, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Run {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let path = absolute(&self.config.config);
        let loaded = config::load(&path, &SystemFiles, SystemClock.wall());
        let configured = loaded.config.as_ref().and_then(|config| config.daemon.log);
        let format = self.log.or(configured).unwrap_or_else(LogFormat::detect);
        if !log::init(format, self.verbose) {
            SystemHost.log(&LogEvent::DaemonWithoutJournal {});
        }
        let Some(config) = &loaded.config else {
            if format == LogFormat::Pretty {
                show_problems(&loaded);
            } else {
                tell_problems(&loaded);
            }
            tell_invalid(&loaded);
            return Ok(ExitCode::from(exit::CONFIG));
        };
        let settings = config.daemon.clone();
        match crate::daemon::run(&path, loaded, settings) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                SystemHost.log(&LogEvent::DaemonFailed { error: &format!("{error:#}") });
                Ok(exit::code(&error))
            }
        }
    }
}

fn errors(loaded: &Loaded) -> Vec<&Diagnostic> {
    loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect()
}

fn tell_problems(loaded: &Loaded) {
    for error in errors(loaded) {
        let (location, problem, help) = (&error.location(), &error.message, error.help.as_deref());
        SystemHost.log(&LogEvent::ScheduleError { location, problem, help });
    }
}

fn tell_invalid(loaded: &Loaded) {
    let errors = errors(loaded);
    let location = &errors.first().map(|error| error.location()).unwrap_or_default();
    let problems = log::number(errors.len());
    SystemHost.log(&LogEvent::ScheduleInvalid { location, problems });
}
