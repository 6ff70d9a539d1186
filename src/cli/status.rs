//! `convened status`.

use super::ConfigArg;
use super::table::{Align, Table};
use super::times;
use crate::daemon::control::{self, Question, Reply};
use crate::daemon::state_dir;
use crate::lifecycle::{Deadline, Policy, State};
use crate::log::escape;
use crate::store::{Problem, Record, SqliteStore, Store as _};
use chrono::Local;
use clap::Args;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is shown instead of a secret.
const MASK: &str = "***";

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    config: ConfigArg,
    /// The daemon's state folder, where it is not where the schedule file or the environment says
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Only this meeting
    #[arg(long, short, value_name = "ID")]
    meeting: Option<String>,
    /// How many planned occurrences to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    upcoming: usize,
    /// How many occurrences to show that are over
    #[arg(long, value_name = "N", default_value_t = 5)]
    past: usize,
    /// Everything in the store
    #[arg(long, conflicts_with_all = ["upcoming", "past"])]
    all: bool,
    /// Show the hosts' links, which give their rights to whoever holds them
    #[arg(long)]
    show_secrets: bool,
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
    state: &'a str,
    reason: &'a str,
    room_id: Option<&'a str>,
    join_url: Option<&'a str>,
    host_url: Option<&'a str>,
    occupancy: Option<u32>,
    /// Somebody was seen in the room, before the start included.
    was_occupied: bool,
    /// When the room closes at the latest, whoever is in it.
    last_close_at: String,
    next_at: Option<String>,
    next_action: Option<&'a str>,
    attempts: u32,
    last_error: Option<&'a str>,
}

/// An occurrence with the rules that it lives by.
struct Shown {
    record: Record,
    title: String,
    policy: Policy,
}

impl Shown {
    fn line(&self, shows_secrets: bool) -> Line<'_> {
        let life = &self.record.occurrence;
        let room = life.room.as_ref();
        let next = self.next();
        Line {
            occurrence: &self.record.id,
            meeting: &self.record.meeting,
            title: &self.title,
            provider: &self.record.provider,
            create_at: times::rfc3339(life.create_at(&self.policy)),
            starts_at: times::rfc3339(life.times.starts_at),
            ends_at: times::rfc3339(life.ends_at()),
            closes_at: times::rfc3339(life.closes_at(&self.policy)),
            state: life.state.as_str(),
            reason: life.reason.as_str(),
            room_id: room.map(|room| room.id.as_str()),
            join_url: room.map(|room| room.join_url.as_str()),
            host_url: room
                .and_then(|room| room.host_url.as_deref())
                .map(|url| if shows_secrets { url } else { MASK }),
            occupancy: life.occupancy,
            was_occupied: life.was_occupied,
            last_close_at: times::rfc3339(life.last_close(&self.policy)),
            next_at: next.map(|next| times::rfc3339(next.at)),
            next_action: next.map(|next| next.action),
            attempts: life.attempts,
            last_error: life.last_error.as_deref(),
        }
    }

    fn next(&self) -> Option<Deadline> {
        Deadline::of(&self.record.occurrence, &self.policy)
    }
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (folder, mut store) = open_store(&self.config, self.state_dir.as_deref())?;
        let shown = self.shown(&mut store)?;
        let problem = store.meta(Problem::KEY)?.and_then(|text| serde_json::from_str::<Problem>(&text).ok());
        let daemon = DaemonState::ask(store.meta(control::SOCKET_KEY)?.as_deref());
        tell_daemon(&folder, &daemon, problem.as_ref());
        if let Some(id) = &self.meeting {
            let known = store.meetings()?;
            super::check_meeting(id, known.iter().map(|meeting| meeting.id.as_str()))?;
        }
        let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_coloured = std::io::stdout().is_terminal() && !has_no_color;
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        if self.json {
            for shown in &shown {
                writeln!(out, "{}", serde_json::to_string(&shown.line(self.show_secrets))?)?;
            }
        } else {
            write!(out, "{}", self.text(&shown, is_coloured))?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    fn shown(&self, store: &mut SqliteStore) -> anyhow::Result<Vec<Shown>> {
        let (upcoming, past) = if self.all { (usize::MAX, usize::MAX) } else { (self.upcoming, self.past) };
        let records = store.report(self.meeting.as_deref(), upcoming, past)?;
        let specs: HashMap<_, _> =
            store.meetings()?.into_iter().map(|meeting| (meeting.id, meeting.spec)).collect();
        let shown = records.into_iter().filter_map(|record| {
            let spec = specs.get(&record.meeting)?;
            let title = record.title.clone().unwrap_or_else(|| spec.title.clone());
            Some(Shown { record, title, policy: spec.policy.clone() })
        });
        Ok(shown.collect())
    }

    fn text(&self, shown: &[Shown], is_coloured: bool) -> String {
        if shown.is_empty() {
            return "nothing to show\n".to_owned();
        }
        let mut table = Table::new(&[
            ("STATE", Align::Left),
            ("STARTS", Align::Left),
            ("ENDS", Align::Left),
            ("OCCURRENCE", Align::Left),
            ("PROVIDER", Align::Left),
            ("IN", Align::Right),
            ("NEXT", Align::Left),
            ("LINK", Align::Left),
        ]);
        for shown in shown {
            table.row(self.cells(shown));
        }
        let mut text = table.to_string();
        if is_coloured {
            text = paint(&text);
        }
        for shown in shown {
            let life = &shown.record.occurrence;
            if let Some(error) = &life.last_error {
                let _ = writeln!(text, "{}: {} ({} tries)", shown.record.id, escape(error), life.attempts);
            }
            if self.show_secrets
                && let Some(host_url) = life.room.as_ref().and_then(|room| room.host_url.as_ref())
            {
                let _ = writeln!(text, "{}: host link {}", shown.record.id, escape(host_url));
            }
        }
        let zone = shown.last().map(|shown| shown.record.occurrence.times.starts_at.with_timezone(&Local));
        if let Some(last) = zone {
            let _ = writeln!(text, "times are local (UTC{})", last.format("%:z"));
        }
        text
    }

    fn cells(&self, shown: &Shown) -> [String; 8] {
        let life = &shown.record.occurrence;
        let day = life.times.starts_at.with_timezone(&Local).date_naive();
        let next =
            shown.next().map(|next| format!("{} {}", next.action, times::time_from(next.at, day, &Local)));
        let has_link = life.state.has_open_room() || life.state == State::Closing;
        let link = life.room.as_ref().filter(|_| has_link).map(|room| room.join_url.clone());
        let occupancy = if life.state.has_open_room() {
            life.occupancy.map_or_else(|| "?".to_owned(), |n| n.to_string())
        } else {
            String::new()
        };
        [
            life.state.to_string(),
            times::day_and_time(life.times.starts_at, &Local),
            times::time_from(life.ends_at(), day, &Local),
            shown.record.id.clone(),
            shown.record.provider.clone(),
            occupancy,
            next.unwrap_or_else(|| life.reason.to_string()),
            link.unwrap_or_default(),
        ]
    }
}

/// How the daemon is.
enum DaemonState {
    Running {
        problem: Option<String>,
    },
    NotRunning,
    /// It took the question and gives no answer.
    Silent(anyhow::Error),
}

impl DaemonState {
    fn ask(socket: Option<&str>) -> Self {
        let Some(socket) = socket else { return Self::NotRunning };
        match super::block_on(control::ask(Path::new(socket), &Question::Ping)) {
            Ok(Reply::Pong { problem }) => Self::Running { problem },
            // Somebody answers, in words of another version.
            Ok(_) => Self::Running { problem: None },
            Err(error) if error.downcast_ref::<std::io::Error>().is_some() => Self::NotRunning,
            Err(error) => Self::Silent(error),
        }
    }
}

/// Says on standard error whether the daemon runs and can work, and whether the schedule on disk is in force.
fn tell_daemon(folder: &Path, daemon: &DaemonState, problem: Option<&Problem>) {
    let mut text = String::new();
    let _ = match daemon {
        DaemonState::Running { problem: None } => Ok(()),
        DaemonState::Running { problem: Some(problem) } => {
            writeln!(text, "the daemon runs, and cannot work: {}", escape(problem))
        }
        DaemonState::NotRunning => writeln!(
            text,
            "the daemon is not running (state in {}): what follows is what it knew last",
            folder.display()
        ),
        DaemonState::Silent(error) => writeln!(text, "{}", escape(&format!("{error:#}"))),
    };
    if let Some(problem) = problem {
        let since = times::rfc3339(problem.since);
        let what = &problem.what;
        let _ = writeln!(text, "the schedule on disk is {what} (since {since}); the one before is in force:");
        for line in &problem.lines {
            let _ = writeln!(text, "  {}", escape(line));
        }
    }
    if !text.is_empty() {
        // Nobody to tell is no reason to stop.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}

/// The store of the daemon that runs on this schedule, to read, and its folder.
pub(super) fn open_store(config: &ConfigArg, given: Option<&Path>) -> anyhow::Result<(PathBuf, SqliteStore)> {
    let folder = match given {
        Some(given) => given.to_owned(),
        // A schedule that is not valid still says where its state is.
        None => state_dir::locate_existing(config.load().state_dir.as_deref(), SqliteStore::FILE_NAME)?,
    };
    let is_missing = !folder.join(SqliteStore::FILE_NAME).try_exists().unwrap_or(true);
    anyhow::ensure!(
        !is_missing,
        "there is no store in {}: no daemon has run yet, or it keeps its state elsewhere (--state-dir)",
        folder.display()
    );
    let mut store = SqliteStore::open_read_only(&folder)?;
    if given.is_none()
        && let Some(theirs) = store.meta(control::CONFIG_KEY)?
        && !is_same_file(Path::new(&theirs), &super::absolute(&config.config))
    {
        // The file may have been emptied, and its `state_dir` with it: another daemon's store is not what is meant.
        anyhow::bail!(
            "the store in {} belongs to the daemon that runs on {theirs}: name the state folder of the one that runs on \
             {} with --state-dir",
            folder.display(),
            config.config.display()
        );
    }
    Ok((folder, store))
}

/// Colours each line by the state that it begins with.
fn paint(table: &str) -> String {
    let painted = table.lines().map(|line| {
        let state = line.split(' ').next().unwrap_or_default();
        match State::from_name(state).map(colour) {
            Some(colour) => format!("\x1b[{colour}m{state}\x1b[0m{}\n", &line[state.len()..]),
            None => format!("{line}\n"),
        }
    });
    painted.collect()
}

/// The ANSI code for a state.
fn colour(state: State) -> &'static str {
    match state {
        State::Planned | State::Closed | State::Cancelled => "2",
        State::Creating | State::Ready | State::Ended | State::Closing => "33",
        State::Live => "1;32",
        State::Failed | State::Missed => "1;31",
    }
}
