//! `convened reload`.

use super::status::open_store;
use super::{ConfigArg, exit};
use crate::daemon::control::{self, Question, Reply};
use crate::store::Store as _;
use anyhow::Context as _;
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Reload {
    #[command(flatten)]
    config: ConfigArg,
    /// The daemon's state folder, where it is not where the schedule file or the environment says
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// The change is meant, however many meetings it cancels
    #[arg(long)]
    accept: bool,
}

impl Reload {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (_, mut store) = open_store(&self.config, self.state_dir.as_deref())?;
        let socket = store.meta(control::SOCKET_KEY)?.context("no daemon has run on this store yet")?;
        let reply =
            super::block_on(control::ask(socket.as_ref(), &Question::Reload { accept: self.accept }))?;
        let (code, text) = match reply {
            Reply::Applied { text } => (0, text),
            Reply::Unchanged => (0, "nothing to do: the schedule on disk is in force".to_owned()),
            Reply::Held { text } => {
                (exit::TEMPFAIL, format!("held: {text}\nif that is meant, the same again with --accept"))
            }
            Reply::Invalid { problems } => (
                exit::CONFIG,
                format!("{}\n\nnot applied: the schedule before stays in force", problems.join("\n\n")),
            ),
            Reply::Failed { text } => anyhow::bail!("the daemon could not: {text}"),
            Reply::Pong { .. } => anyhow::bail!("the daemon answered something else: is it another version?"),
        };
        // What was asked for is done, whether or not anybody reads it.
        let _ = match code {
            0 => writeln!(std::io::stdout(), "{text}"),
            _ => writeln!(std::io::stderr(), "{text}"),
        };
        Ok(ExitCode::from(code))
    }
}
