//! `convened plan`.

use super::exit::Usage;
use super::table::{Align, Table};
use super::times::{self, Moment};
use super::{ConfigArg, exit, show_problems};
use crate::config::{Config, MAX_OCCURRENCES_PER_MEETING, Meeting};
use crate::log::escape;
use crate::schedule::Instance;
use crate::seams::{Clock as _, SystemClock};
use chrono::{DateTime, Utc};
use clap::Args;
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    config: ConfigArg,
    /// From this start on: a day, a local time (2026-12-01T09:00, in the `timezone` of the file) or RFC 3339; default: now
    #[arg(long, value_name = "T")]
    from: Option<Moment>,
    /// Up to this start, exclusive; default: the horizon
    #[arg(long, value_name = "T")]
    until: Option<Moment>,
    /// Only this meeting
    #[arg(long, short, value_name = "ID")]
    meeting: Option<String>,
    /// One JSON object for each occurrence
    #[arg(long)]
    json: bool,
}

/// One occurrence as JSON. The names are a contract.
#[derive(serde::Serialize)]
struct Line<'a> {
    occurrence: &'a str,
    meeting: &'a str,
    title: &'a str,
    provider: &'a str,
    create_at: String,
    starts_at: String,
    ends_at: String,
    closes_at: String,
}

struct Planned<'a> {
    id: String,
    meeting: &'a Meeting,
    instance: Instance,
}

impl Planned<'_> {
    fn line(&self) -> Line<'_> {
        let policy = &self.meeting.policy;
        Line {
            occurrence: &self.id,
            meeting: &self.meeting.id,
            title: self.title(),
            provider: &self.meeting.provider,
            create_at: times::rfc3339(self.instance.starts_at - policy.create_ahead),
            starts_at: times::rfc3339(self.instance.starts_at),
            ends_at: times::rfc3339(self.instance.ends_at),
            closes_at: times::rfc3339(self.instance.ends_at + policy.close_delay),
        }
    }

    fn title(&self) -> &str {
        self.instance.title.as_deref().unwrap_or(&self.meeting.title)
    }
}

impl Plan {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let loaded = self.config.load();
        let Some(config) = &loaded.config else {
            show_problems(&loaded);
            return Ok(ExitCode::from(exit::CONFIG));
        };
        // What is probably not meant, such as a host in two places: on standard error, beside the plan.
        show_problems(&loaded);
        let now = SystemClock.wall();
        let from = self.from.map_or(now, |moment| moment.at(config.timezone));
        let until = self.until.map_or(from + config.daemon.horizon, |moment| moment.at(config.timezone));
        if from > until {
            let (from, until) = (times::rfc3339(from), times::rfc3339(until));
            return Err(Usage(format!("--from ({from}) is later than --until ({until})")).into());
        }
        if let Some(id) = &self.meeting {
            super::check_meeting(id, config.meetings.keys().map(String::as_str))?;
        }
        let planned = self.planned(config, from, until)?;
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        if self.json {
            for planned in &planned {
                writeln!(out, "{}", serde_json::to_string(&planned.line())?)?;
            }
        } else {
            write!(out, "{}", table(&planned))?;
        }
        out.flush()?;
        // Of the time that is asked for, what the file's own problems, which look up to the horizon, have not told.
        let mut foreseen = crate::config::foresee(config, from, until);
        foreseen.retain(|it| {
            self.meeting.as_ref().is_none_or(|id| *id == it.meeting)
                && loaded.diagnostics.iter().all(|told| told.message != it.message)
        });
        let mut err = std::io::stderr().lock();
        for foreseen in &foreseen {
            writeln!(err, "warning: {}", escape(&foreseen.message))?;
            writeln!(err, "  = help: {}", foreseen.help)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn planned<'a>(
        &self,
        config: &'a Config,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> anyhow::Result<Vec<Planned<'a>>> {
        let mut planned = Vec::new();
        let is_wanted = |meeting: &Meeting| self.meeting.as_ref().is_none_or(|id| *id == meeting.id);
        for meeting in config.meetings.values().filter(|meeting| is_wanted(meeting)) {
            let instances = meeting.series.expand(from..until, MAX_OCCURRENCES_PER_MEETING).map_err(|_| {
                anyhow::anyhow!(
                    "{}: meeting {:?} has more than {MAX_OCCURRENCES_PER_MEETING} occurrences between {} and {}: ask for \
                     a shorter time",
                    meeting.location,
                    meeting.id,
                    times::rfc3339(from),
                    times::rfc3339(until)
                )
            })?;
            planned.extend(instances.into_iter().map(|instance| Planned {
                id: meeting.series.occurrence_id(&meeting.id, instance.original),
                meeting,
                instance,
            }));
        }
        planned.sort_by(|a, b| (a.instance.starts_at, &a.id).cmp(&(b.instance.starts_at, &b.id)));
        Ok(planned)
    }
}

fn table(planned: &[Planned<'_>]) -> String {
    let mut table = Table::new(&[
        ("STARTS", Align::Left),
        ("ENDS", Align::Left),
        ("ZONE", Align::Left),
        ("ROOM FROM", Align::Left),
        ("ROOM UNTIL", Align::Left),
        ("OCCURRENCE", Align::Left),
        ("PROVIDER", Align::Left),
        ("TITLE", Align::Left),
    ]);
    for planned in planned {
        let (policy, zone) = (&planned.meeting.policy, planned.meeting.series.zone);
        let (starts_at, ends_at) = (planned.instance.starts_at, planned.instance.ends_at);
        let day = starts_at.with_timezone(&zone).date_naive();
        table.row([
            times::day_and_time(starts_at, &zone),
            times::time_from(ends_at, day, &zone),
            zone.name().to_owned(),
            times::time_from(starts_at - policy.create_ahead, day, &zone),
            times::time_from(ends_at + policy.close_delay, day, &zone),
            planned.id.clone(),
            planned.meeting.provider.clone(),
            planned.title().to_owned(),
        ]);
    }
    if planned.is_empty() { "nothing is planned in that time\n".to_owned() } else { table.to_string() }
}
