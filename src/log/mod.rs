//! The log: events with stable names and fields, and how they reach a terminal, a file or the journal.
//!
//! What the daemon tells is a [`LogEvent`], nothing else; `docs/events.md` lists them all. They become `tracing` events
//! with target `convened`. [`init`] decides where those go.

mod events;
mod format;

pub use events::{EventSpec, LogEvent, Time};
pub use format::{counted, escape, number};

use format::{LineLayer, Style, to_stderr};
use std::io::IsTerminal as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One line of text for each event, on standard error; in colour on a terminal.
    Pretty,
    /// One JSON object for each event, on standard error.
    Json,
    /// To the systemd journal by its own protocol, with fields.
    Journald,
}

impl LogFormat {
    /// The journal where systemd connected standard error to it, else text.
    pub fn detect() -> Self {
        if is_stderr_the_journal() { Self::Journald } else { Self::Pretty }
    }
}

/// Sends the log of this process to its place. `verbosity` 0 shows what changed (info), 1 every call (debug), 2 and more
/// everything (trace). Libraries are never shown below a warning, as their debug output may hold secrets.
///
/// Returns `false` when there is no journal to send it to: then it is written as text.
#[must_use]
pub fn init(format: LogFormat, verbosity: u8) -> bool {
    let is_terminal = std::io::stderr().is_terminal();
    let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = Style::Text { is_coloured };
    let mut is_as_asked = true;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Pretty => LineLayer::new(text, to_stderr).boxed(),
        LogFormat::Json => LineLayer::new(Style::Json, to_stderr).boxed(),
        LogFormat::Journald => match tracing_journald::layer() {
            Ok(layer) => layer.with_field_prefix(Some("CONVENED".to_owned())).boxed(),
            Err(_) => {
                is_as_asked = false;
                LineLayer::new(text, to_stderr).boxed()
            }
        },
    };
    // A second call (tests in one process) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter(verbosity))).try_init();
    is_as_asked
}

/// What [`init`] sends to standard error, line by line to `write` instead, without colours; what is for the journal, as text.
pub fn to_lines(
    format: LogFormat,
    verbosity: u8,
    write: impl Fn(&str) + Send + Sync + 'static,
) -> impl tracing::Subscriber + Send + Sync {
    let style = match format {
        LogFormat::Json => Style::Json,
        LogFormat::Pretty | LogFormat::Journald => Style::Text { is_coloured: false },
    };
    tracing_subscriber::registry().with(LineLayer::new(style, write).with_filter(filter(verbosity)))
}

fn filter(verbosity: u8) -> Targets {
    let level = match verbosity {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Targets::new().with_default(LevelFilter::WARN).with_target(events::TARGET, level)
}

/// systemd sets `JOURNAL_STREAM` to device and inode of the journal's socket: ours, unless somebody redirected it.
fn is_stderr_the_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    rustix::fs::fstat(rustix::stdio::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}
