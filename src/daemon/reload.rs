//! The schedule on disk: notices that it changed, reads it whole, has the engine apply it, and says what came of it.
//!
//! A change is noticed by SIGHUP, by the control socket, by the file system's notice, and, should that fail (network
//! file systems have none), by looking every `LOOK_EVERY`. Whatever noticed it, the files are read until they stand
//! still, so that a half-written one is waited out.

use super::assemble::Assembler;
use crate::config::{self, Config, Diagnostic, Loaded, Severity};
use crate::engine::{Applied, ApplyError, Command};
use crate::log::{LogEvent, number};
use crate::seams::{Clock, Host, HostState};
use crate::store::Problem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often the files are looked at when nothing told of a change.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Files that stood still for so long are complete.
const STANDS_STILL: Duration = Duration::from_millis(500);
/// Files that never stand still are read as they are after so many tries.
const TRIES: usize = 20;

/// Why the files are read.
#[derive(Debug)]
pub enum Request {
    /// A signal came.
    Signalled,
    /// Somebody asked through the control socket.
    Asked {
        /// However much it cancels.
        is_accepted: bool,
        /// Takes what came of it.
        reply: oneshot::Sender<Outcome>,
    },
}

/// What came of reading the files.
#[derive(Debug)]
pub enum Outcome {
    /// They say what is in force already.
    Unchanged,
    /// They are in force.
    Applied(Applied),
    /// They are not valid; the schedule before stays in force.
    Invalid(Vec<Diagnostic>),
    /// They would cancel much at once and wait for `convened reload --accept`.
    Held(Applied),
    /// The engine could not.
    Failed(String),
}

/// Keeps the schedule in force in step with the files.
pub struct Reloader {
    path: PathBuf,
    assembler: Assembler,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    engine: mpsc::Sender<Command>,
    watched: super::watch::Watched,
    /// How the operator says that a held schedule is meant: the command, with all that it needs.
    accept_with: String,
    /// Warnings that the log has been told.
    told: Vec<Diagnostic>,
    /// The files that were last acted upon.
    seen: [u8; 32],
    /// Something was put in force since the start.
    has_applied: bool,
    /// What was read at the start only.
    at_start: config::Daemon,
    /// The files are not in force, for this reason.
    problem: Option<Problem>,
}

impl Reloader {
    /// A reloader that has not read anything yet but what the daemon was started with.
    pub fn new(
        path: PathBuf,
        assembler: Assembler,
        host: Arc<dyn Host>,
        engine: mpsc::Sender<Command>,
        watched: super::watch::Watched,
        state_dir: &Path,
        at_start: config::Daemon,
    ) -> Self {
        let accept_with = format!(
            "convened reload --accept --config {} --state-dir {}",
            path.display(),
            state_dir.display()
        );
        let clock = assembler.clock.clone();
        Self {
            path,
            assembler,
            host,
            clock,
            engine,
            watched,
            accept_with,
            told: Vec::new(),
            seen: [0; 32],
            has_applied: false,
            at_start,
            problem: None,
        }
    }

    /// Applies what was loaded at the start.
    pub async fn start(&mut self, loaded: Loaded) -> Outcome {
        self.act_upon(loaded, false, true).await
    }

    /// Tries again what failed at the start.
    pub async fn again(&mut self) -> Outcome {
        let loaded = self.load().await;
        self.act_upon(loaded, false, false).await
    }

    /// Works until every sender of `requests` is gone.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    None => return,
                    Some(Request::Signalled) => {
                        self.reload(false, true).await;
                    }
                    Some(Request::Asked { is_accepted, reply }) => {
                        let outcome = self.reload(is_accepted, true).await;
                        // Whoever asked may be gone.
                        let _ = reply.send(outcome);
                    }
                },
                () = self.watched.changed() => {
                    // One write often gives several notices.
                    self.clock.sleep(STANDS_STILL).await;
                    self.reload(false, false).await;
                }
                () = self.clock.sleep(LOOK_EVERY) => {
                    self.reload(false, false).await;
                }
            }
        }
    }

    /// Reads the files and acts upon them, unless they are what was acted upon last and nobody asks for more.
    async fn reload(&mut self, is_accepted: bool, is_asked: bool) -> Outcome {
        let loaded = self.load_settled().await;
        let is_news = loaded.digest != self.seen;
        // Whoever asks may have changed a secret, which does not show in the files.
        if !is_news && !is_asked {
            return Outcome::Unchanged;
        }
        self.host.notify(HostState::Reloading);
        let outcome = self.act_upon(loaded, is_accepted, is_news).await;
        self.host.notify(HostState::Ready);
        if matches!(outcome, Outcome::Unchanged) {
            self.host.log(&LogEvent::ScheduleUnchanged {});
        }
        outcome
    }

    /// Reads the files until two readings agree.
    async fn load_settled(&self) -> Loaded {
        let mut loaded = self.load().await;
        if loaded.digest == self.seen {
            return loaded;
        }
        for _ in 0..TRIES {
            self.clock.sleep(STANDS_STILL).await;
            let again = self.load().await;
            if again.digest == loaded.digest {
                return again;
            }
            loaded = again;
        }
        loaded
    }

    async fn load(&self) -> Loaded {
        let (path, files, now) = (self.path.clone(), self.assembler.files.clone(), self.clock.wall());
        let load = move || config::load(&path, &*files, now);
        match tokio::task::spawn_blocking(load).await {
            Ok(loaded) => loaded,
            // A flaw of ours must not end the daemon's attention: it is told like any other problem.
            Err(error) => {
                let problem = format!("reading it failed: {error}");
                let diagnostic = Diagnostic::of_file(Severity::Error, &self.path, problem, None);
                Loaded::failed(diagnostic)
            }
        }
    }

    /// `is_news`: the log has not been told of these files yet.
    async fn act_upon(&mut self, loaded: Loaded, is_accepted: bool, is_news: bool) -> Outcome {
        self.seen = loaded.digest;
        self.watched.watch(&loaded.sources, &loaded.patterns);
        let (warnings, errors): (Vec<_>, Vec<_>) =
            loaded.diagnostics.into_iter().partition(|found| found.severity == Severity::Warning);
        let Some(config) = loaded.config.filter(|_| errors.is_empty()) else {
            return self.invalid(errors, is_news).await;
        };
        for warning in warnings.iter().filter(|warning| !self.told.contains(warning)) {
            let (location, problem, help) = (&warning.location(), &warning.message, warning.help.as_deref());
            self.host.log(&LogEvent::ScheduleWarning { location, problem, help });
        }
        self.told = warnings;
        match self.apply(&config, is_accepted).await {
            Ok(applied) => {
                let is_first = !std::mem::replace(&mut self.has_applied, true);
                if self.problem.is_some() {
                    self.set_problem(None).await;
                    self.host.log(&LogEvent::ScheduleMended {});
                }
                self.tell_needs_restart(&config.daemon);
                self.assembler.accounts.retain(|name| config.providers.contains_key(name));
                if applied.is_nothing() && !is_first {
                    return Outcome::Unchanged;
                }
                Outcome::Applied(applied)
            }
            Err(Refused::Invalid(errors)) => self.invalid(errors, is_news).await,
            Err(Refused::Held(applied)) => self.held(applied, is_news).await,
            Err(Refused::Failed(error)) => {
                // Not seen, so that the next look tries again.
                self.seen = [0; 32];
                Outcome::Failed(error)
            }
        }
    }

    async fn apply(&self, config: &Config, is_accepted: bool) -> Result<Applied, Refused> {
        let schedule = Box::new(self.assembler.schedule(config).map_err(Refused::Invalid)?);
        let (reply, outcome) = oneshot::channel();
        let stopping = || Refused::Failed("the daemon is stopping".to_owned());
        self.engine.send(Command::Apply { schedule, is_accepted, reply }).await.map_err(|_| stopping())?;
        match outcome.await.map_err(|_| stopping())? {
            Ok(applied) => Ok(applied),
            Err(ApplyError::Held(applied)) => Err(Refused::Held(applied)),
            Err(ApplyError::Store(error)) => Err(Refused::Failed(error.to_string())),
        }
    }

    async fn invalid(&mut self, errors: Vec<Diagnostic>, is_news: bool) -> Outcome {
        if !is_news && self.problem.is_some() {
            return Outcome::Invalid(errors);
        }
        let first = errors.first().map(Diagnostic::location).unwrap_or_default();
        for error in &errors {
            let (location, problem, help) = (&error.location(), &error.message, error.help.as_deref());
            self.host.log(&LogEvent::ScheduleError { location, problem, help });
        }
        let problems = number(errors.len());
        self.host.log(&LogEvent::ScheduleInvalid { location: &first, problems });
        let lines =
            errors.iter().take(10).map(|error| format!("{}: {}", error.location(), error.message)).collect();
        let since = self.clock.wall();
        self.set_problem(Some(Problem { what: "not valid".to_owned(), lines, since })).await;
        Outcome::Invalid(errors)
    }

    async fn held(&mut self, applied: Applied, is_news: bool) -> Outcome {
        if !is_news && self.problem.is_some() {
            return Outcome::Held(applied);
        }
        self.host.log(&LogEvent::ScheduleHeld {
            removed: number(applied.removed),
            meetings: number(applied.meetings),
            cancelled: number(applied.cancelled),
            with_room: number(applied.cancelled_with_room),
            examples: &applied.examples.join(" "),
            accept_with: &self.accept_with,
        });
        let line = format!("{}; if that is meant: {}", ApplyError::Held(applied.clone()), self.accept_with);
        let since = self.clock.wall();
        self.set_problem(Some(Problem { what: "held".to_owned(), lines: vec![line], since })).await;
        Outcome::Held(applied)
    }

    /// Notes for `status` why the files are not in force.
    async fn set_problem(&mut self, problem: Option<Problem>) {
        let value = problem.as_ref().and_then(|problem| serde_json::to_string(problem).ok());
        self.problem = problem;
        let (done, is_done) = oneshot::channel();
        // An engine that is gone is stopping.
        let _ = self.engine.send(Command::Remember { key: Problem::KEY, value, done }).await;
        let _ = is_done.await;
    }

    fn tell_needs_restart(&self, now: &config::Daemon) {
        let before = &self.at_start;
        let settings = [
            ("state_dir", now.state_dir != before.state_dir),
            ("listen", now.listen != before.listen),
            ("public_url", now.public_url != before.public_url),
            ("log", now.log != before.log),
            ("token_key", now.token_key != before.token_key),
            ("entry_creates_rooms", now.entry_creates_rooms != before.entry_creates_rooms),
        ];
        for (setting, _) in settings.into_iter().filter(|(_, is_changed)| *is_changed) {
            self.host.log(&LogEvent::ScheduleNeedsRestart { setting });
        }
    }
}

/// Why a schedule was not applied.
enum Refused {
    Invalid(Vec<Diagnostic>),
    Held(Applied),
    Failed(String),
}
