//! `[daemon]`.

use super::reader::{Item, Section};
use super::secret::{self, SecretRef};
use super::url;
use crate::log::LogFormat;
use chrono::TimeDelta;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// `[daemon]`.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Folder of the store; `None`: found from the environment. A relative path starts from the file's folder.
    pub state_dir: Option<PathBuf>,
    /// Where the listener binds. Default 127.0.0.1:8686; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// How people reach the listener; default `http://<listen>`. Without a `/` at its end.
    pub public_url: Option<String>,
    /// How far ahead occurrences are materialised. Default 30 d, 1 h to 400 d.
    pub horizon: TimeDelta,
    /// How long occurrences that are over are kept. Default 90 d, 1 d to 3650 d.
    pub history: TimeDelta,
    /// What a changed schedule may cancel without an explicit word.
    pub reload_guard: ReloadGuard,
    /// The log's format; `None`: found from where the log goes.
    pub log: Option<LogFormat>,
    /// The key under which tokens of accounts elsewhere are stored; `None`: the systemd credential `token-key` where there is
    /// one, else they are stored as they are.
    pub token_key: Option<SecretRef>,
    /// On the built-in meeting service, an entry into an unknown room makes that room, as the vendor's service does.
    /// Default true.
    pub entry_creates_rooms: bool,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            state_dir: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8686)),
            public_url: None,
            horizon: TimeDelta::days(30),
            history: TimeDelta::days(90),
            reload_guard: ReloadGuard::default(),
            log: None,
            token_key: None,
            entry_creates_rooms: true,
        }
    }
}

/// `reload_guard = { rooms = 5, percent = 50 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadGuard {
    /// Most occurrences with a room that a changed schedule may cancel. Default 5, 0 to 1 000 000.
    pub rooms: usize,
    /// Largest share of the meetings that it may remove, in percent. Default 50, 0 to 100.
    pub percent: u8,
}

impl Default for ReloadGuard {
    fn default() -> Self {
        Self { rooms: 5, percent: 50 }
    }
}

pub(super) const KEYS: [&str; 9] = [
    "state_dir",
    "listen",
    "public_url",
    "horizon",
    "history",
    "reload_guard",
    "log",
    "token_key",
    "entry_creates_rooms",
];

pub(super) const RELOAD_GUARD_KEYS: [&str; 2] = ["rooms", "percent"];

/// Reads `[daemon]`; what is missing or wrong has its default.
pub(super) fn read(section: &Section<'_>, folder: &Path) -> Daemon {
    let default = Daemon::default();
    let horizon = TimeDelta::hours(1)..=TimeDelta::days(400);
    let history = TimeDelta::days(1)..=TimeDelta::days(3650);
    Daemon {
        state_dir: section.item("state_dir").and_then(|item| state_dir(&item, folder)),
        listen: section.item("listen").and_then(|item| listen(&item)).unwrap_or(default.listen),
        public_url: section.item("public_url").and_then(|item| public_url(&item)),
        horizon: section
            .item("horizon")
            .and_then(|item| item.duration(horizon, "30d"))
            .unwrap_or(default.horizon),
        history: section
            .item("history")
            .and_then(|item| item.duration(history, "90d"))
            .unwrap_or(default.history),
        reload_guard: section.item("reload_guard").and_then(|item| reload_guard(&item)).unwrap_or_default(),
        entry_creates_rooms: section
            .item("entry_creates_rooms")
            .and_then(|item| item.boolean())
            .unwrap_or(default.entry_creates_rooms),
        token_key: section.item("token_key").and_then(|item| secret::read_reference(&item, folder)),
        log: section.item("log").and_then(|item| {
            item.choice(&[
                ("pretty", LogFormat::Pretty),
                ("json", LogFormat::Json),
                ("journald", LogFormat::Journald),
            ])
        }),
    }
}

fn state_dir(item: &Item<'_>, folder: &Path) -> Option<PathBuf> {
    let path = item.string("state_dir = \"/var/lib/convened\"")?;
    if path.is_empty() || path.contains('\0') {
        item.error("`state_dir` must be a path", None);
        return None;
    }
    Some(folder.join(path))
}

fn listen(item: &Item<'_>) -> Option<SocketAddr> {
    let example = "listen = \"127.0.0.1:8686\"";
    let text = item.string(example)?;
    let address = text.parse().ok();
    if address.is_none() {
        let help = format!("write an IP address and a port, for example {example}");
        item.error(format!("`listen` is not an address: {}", super::diagnostic::quote(text)), help);
    }
    address
}

fn public_url(item: &Item<'_>) -> Option<String> {
    url::read(item, "public_url = \"https://meet.example.com\"").map(|url| url.text)
}

fn reload_guard(item: &Item<'_>) -> Option<ReloadGuard> {
    let section = item.section(&RELOAD_GUARD_KEYS, "reload_guard = { rooms = 5, percent = 50 }")?;
    let default = ReloadGuard::default();
    let rooms = section.item("rooms").and_then(|item| item.integer(0..=1_000_000));
    let percent = section.item("percent").and_then(|item| item.integer(0..=100));
    Some(ReloadGuard {
        rooms: rooms.and_then(|rooms| rooms.try_into().ok()).unwrap_or(default.rooms),
        percent: percent.and_then(|percent| percent.try_into().ok()).unwrap_or(default.percent),
    })
}
