//! The control socket: how `convened reload` speaks to the running daemon.
//!
//! A Unix socket for its owner alone (mode 0600). One line of JSON in, one line of JSON out.

use super::reload::{Outcome, Request};
use super::state_dir::remove_if_there;
use crate::engine::ApplyError;
use crate::web::Health;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// A line of more bytes is no question of ours.
const LONGEST_LINE: u64 = 4096;
/// The key in the store under which the daemon notes its socket's path.
pub const SOCKET_KEY: &str = "control_socket";
/// The key in the store under which the daemon notes which schedule it runs on.
pub const CONFIG_KEY: &str = "config";
/// After a connection that could not be taken, the next is awaited after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long a client waits for the answer to a question that only wants to know whether somebody is there.
const PING_PATIENCE: Duration = Duration::from_secs(3);
/// How long it waits for a schedule to be read and applied: a large one takes a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Question {
    /// Are you there?
    Ping,
    /// Read the schedule again.
    Reload {
        /// Apply it however much it cancels.
        accept: bool,
    },
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Reply {
    /// I am.
    Pong {
        /// What keeps me from working, if anything does.
        problem: Option<String>,
    },
    /// The files say what is in force already.
    Unchanged,
    /// They are in force now.
    Applied {
        /// What that did, in words.
        text: String,
    },
    /// They are not valid; what was in force stays so.
    Invalid {
        /// The problems, each with its place.
        problems: Vec<String>,
    },
    /// They would cancel much at once.
    Held {
        /// What they would do.
        text: String,
    },
    /// It did not work.
    Failed {
        /// Why.
        text: String,
    },
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Unchanged => Self::Unchanged,
            Outcome::Applied(applied) => Self::Applied { text: applied.to_string() },
            Outcome::Invalid(problems) => {
                Self::Invalid { problems: problems.iter().map(ToString::to_string).collect() }
            }
            Outcome::Held(applied) => Self::Held { text: ApplyError::Held(applied).to_string() },
            Outcome::Failed(text) => Self::Failed { text },
        }
    }
}

/// Where the daemon of `state_dir` listens: `$RUNTIME_DIRECTORY` (systemd), else `$XDG_RUNTIME_DIR`, else the state
/// folder itself.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(runtime) = variable("RUNTIME_DIRECTORY") {
        return runtime.join("control.sock");
    }
    match variable("XDG_RUNTIME_DIR") {
        // Several daemons of one user have a state folder each.
        Some(runtime) => {
            use sha2::Digest as _;
            let digest = sha2::Sha256::digest(state_dir.as_os_str().as_encoded_bytes());
            let name: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            runtime.join("convened").join(format!("{name}.sock"))
        }
        None => state_dir.join("control.sock"),
    }
}

/// Listens at `path`. What a daemon before left there is removed: the store's lock says that it is gone.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    let context = || format!("cannot listen on the control socket {}", path.display());
    if let Some(folder) = path.parent() {
        super::state_dir::prepare_runtime(folder)?;
    }
    remove_if_there(path).with_context(context)?;
    let listener = UnixListener::bind(path).with_context(context)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(context)?;
    Ok(listener)
}

/// Answers for ever.
pub async fn serve(listener: UnixListener, reloader: mpsc::Sender<Request>, health: Arc<Health>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // A client that went away, or no file descriptor to be had for the moment.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (reloader, health) = (reloader.clone(), health.clone());
        // Each on its own, so that a client that says nothing keeps nobody waiting.
        tokio::spawn(async move {
            // A client that went away needs no answer.
            let _ = answer(stream, &reloader, &health).await;
        });
    }
}

async fn answer(stream: UnixStream, reloader: &mpsc::Sender<Request>, health: &Health) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, BufReader::new(reader.take(LONGEST_LINE)).read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(Question::Ping) => Reply::Pong { problem: health.problem() },
        Ok(Question::Reload { accept: is_accepted }) => reload(reloader, is_accepted).await,
        Err(error) => Reply::Failed { text: format!("not understood: {error}") },
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    writer.write_all(text.as_bytes()).await?;
    Ok(())
}

async fn reload(reloader: &mpsc::Sender<Request>, is_accepted: bool) -> Reply {
    let (reply, outcome) = oneshot::channel();
    let stopping = || Reply::Failed { text: "the daemon is stopping".to_owned() };
    if reloader.send(Request::Asked { is_accepted, reply }).await.is_err() {
        return stopping();
    }
    outcome.await.map_or_else(|_| stopping(), Reply::from)
}

/// Asks the daemon that listens at `path`.
///
/// # Errors
/// When nobody listens there, or no answer comes.
pub async fn ask(path: &Path, question: &Question) -> anyhow::Result<Reply> {
    let stream = UnixStream::connect(path).await.with_context(|| {
        format!("no daemon answers at {}: is it running, and are you its user (or root)?", path.display())
    })?;
    let (reader, mut writer) = stream.into_split();
    let mut text = serde_json::to_string(question)?;
    text.push('\n');
    writer.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    let mut reader = BufReader::new(reader);
    let patience = match question {
        Question::Ping => PING_PATIENCE,
        Question::Reload { .. } => PATIENCE,
    };
    let read = tokio::time::timeout(patience, reader.read_line(&mut line)).await;
    read.with_context(|| {
        format!("the daemon runs and gives no answer within {} s: does it hang?", patience.as_secs())
    })?
    .context("the daemon's answer was cut off")?;
    serde_json::from_str(&line).context("the daemon's answer makes no sense: is it another version?")
}
