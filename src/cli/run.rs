//! `convened run`.

use super::{ConfigArg, absolute, exit, show_problems};
use crate::config;
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
        log::init(format, self.verbose);
        let Some(config) = &loaded.config else {
            if format == LogFormat::Pretty {
                show_problems(&loaded);
            }
            tell_invalid(&loaded);
            return Ok(ExitCode::from(exit::CONFIG));
        };
        let settings = config.daemon.clone();
        crate::daemon::run(&path, loaded, settings)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn tell_invalid(loaded: &config::Loaded) {
    let errors: Vec<_> =
        loaded.diagnostics.iter().filter(|found| found.severity == config::Severity::Error).collect();
    let first = errors.first().map(|error| error.location()).unwrap_or_default();
    for error in &errors {
        let (location, problem, help) = (&error.location(), &error.message, error.help.as_deref());
        SystemHost.log(&LogEvent::ScheduleError { location, problem, help });
    }
    let problems = u64::try_from(errors.len()).unwrap_or(u64::MAX);
    SystemHost.log(&LogEvent::ScheduleInvalid { location: &first, problems });
}
