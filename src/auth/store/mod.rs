//! The token store: a SQLite file of its own, which the daemon and `convened login` use at the same time.

mod entry;
mod error;

pub use entry::{Dead, Entry, Intent};
pub use error::TokenStoreError;

use super::file_lock::open_private;
use super::key::{KeyError, Label, TokenKey};
use super::scopes;
use crate::seams::Entropy;
use crate::sqlite_file::{OpenError, Schema};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row as SqlRow, TransactionBehavior, params};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The letters `cnvt`.
const SCHEMA: Schema =
    Schema { application_id: 0x636e_7674, migrations: &[include_str!("../schema/0001_initial.sql")] };
const NAMES: &str = "name, grant_type, client_id, generation, key_id, access_token, refresh_token, previous_token, \
    scopes, issued_at_ms, expires_at_ms, logged_in_at_ms, is_refused, intent_at_ms, uncertain_since_ms, failures, \
    retry_at_ms, last_error, dead_since_ms, dead_cause";
const ACCESS: &str = "access";
const REFRESH: &str = "refresh";
const PREVIOUS: &str = "previous";

/// An account with its tokens, as they are stored.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) entry: Entry,
    key_id: Option<[u8; 8]>,
    access: Vec<u8>,
    refresh: Option<Vec<u8>>,
    previous: Option<Vec<u8>>,
}

/// The tokens of an account.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) access: SecretString,
    pub(super) refresh: Option<SecretString>,
    /// The refresh token of the generation before.
    pub(super) previous: Option<SecretString>,
}

/// A pair to store.
#[derive(Debug)]
pub(super) struct NewPair {
    pub(super) tokens: Tokens,
    pub(super) scopes: BTreeSet<String>,
    pub(super) issued_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

type Result<T, E = TokenStoreError> = std::result::Result<T, E>;

/// Tokens by account, for their owner alone (mode 0600), sealed where there is a key.
pub struct TokenStore {
    connection: Mutex<Connection>,
    path: PathBuf,
    key: Option<TokenKey>,
    entropy: Arc<dyn Entropy>,
    /// Work is done where it is asked for, not on a thread where waiting for the disk keeps nobody waiting.
    is_inline: bool,
}

impl std::fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenStore").field("path", &self.path).field("key", &self.key).finish_non_exhaustive()
    }
}

impl TokenStore {
    /// The store's file name in the state folder.
    pub const FILE_NAME: &str = "tokens.sqlite";

    /// Opens the store of `state_dir`, and makes it if it is not there. With a `key`, what is written from then on is sealed.
    ///
    /// # Errors
    /// See [`TokenStoreError`]; the file is left as it is.
    pub fn open(state_dir: &Path, key: Option<TokenKey>, entropy: Arc<dyn Entropy>) -> Result<Self> {
        let path = state_dir.join(Self::FILE_NAME);
        let io = |source| TokenStoreError::Io { path: path.clone(), source };
        // Made by us, not by SQLite, so that nobody else can read it for even a moment; SQLite gives its side files the same
        // permissions and, for root, the same owner.
        let file = open_private(&path).map_err(io)?;
        if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600)).map_err(io)?;
        }
        drop(file);
        let connection = Connection::open(&path).map_err(database(&path))?;
        Self::with(connection, path, key, entropy)
    }

    /// Opens the store of `state_dir` to read everything but the tokens; `None` where there is none yet.
    ///
    /// # Errors
    /// See [`TokenStoreError`].
    pub fn open_read_only(state_dir: &Path, entropy: Arc<dyn Entropy>) -> Result<Option<Self>> {
        let path = state_dir.join(Self::FILE_NAME);
        let io = |source| TokenStoreError::Io { path: path.clone(), source };
        if !path.try_exists().map_err(io)? {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(database(&path))?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(database(&path))?;
        // An empty file has no tables yet: somebody is making it.
        if SCHEMA.version(&connection).map_err(unusable(&path))? == 0 {
            return Ok(None);
        }
        Ok(Some(Self { connection: connection.into(), path, key: None, entropy, is_inline: true }))
    }

    /// A store in memory, for tests and simulation: it does its work where it is asked for.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory(key: Option<TokenKey>, entropy: Arc<dyn Entropy>) -> Result<Self> {
        let path = PathBuf::from(":memory:");
        let connection = Connection::open_in_memory().map_err(database(&path))?;
        Ok(Self { is_inline: true, ..Self::with(connection, path, key, entropy)? })
    }

    /// The same store; its work is done where it is asked for. For tests and simulation, whose clock would stand still while
    /// another thread works.
    #[must_use]
    pub fn inline(self) -> Self {
        Self { is_inline: true, ..self }
    }

    fn with(
        mut connection: Connection,
        path: PathBuf,
        key: Option<TokenKey>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        SCHEMA.prepare(&mut connection, 16).map_err(unusable(&path))?;
        // What was deleted is overwritten, so that no old token stays in the file.
        connection.execute_batch("PRAGMA secure_delete = ON").map_err(database(&path))?;
        Ok(Self { connection: connection.into(), path, key, entropy, is_inline: false })
    }

    /// Does `work` on a thread where waiting for the disk keeps nobody waiting.
    ///
    /// # Cancel safety
    /// Work that was begun is finished.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.is_inline {
            return work(self);
        }
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|_| {
            let source = std::io::Error::new(std::io::ErrorKind::Interrupted, "the program stops");
            Err(TokenStoreError::Io { path: self.path.clone(), source })
        })
    }

    /// Whether new tokens are sealed.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// See [`TokenStoreError`].
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let connection = self.lock();
        let read = || {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {NAMES} FROM accounts ORDER BY name"))?;
            let rows = statement.query_map([], read_row)?;
            rows.map(|row| row.map(|row| row.entry)).collect::<rusqlite::Result<_>>()
        };
        read().map_err(database(&self.path))
    }

    /// The account of that name, with its tokens.
    pub(super) fn row(&self, name: &str) -> Result<Option<Row>> {
        let connection = self.lock();
        let read = || {
            let sql = format!("SELECT {NAMES} FROM accounts WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], read_row).optional()
        };
        read().map_err(database(&self.path))
    }

    /// The tokens of a row.
    pub(super) fn tokens(&self, row: &Row) -> Result<Tokens, KeyError> {
        let open = |stored: &[u8], field| match (row.key_id, &self.key) {
            (None, _) => {
                String::from_utf8(stored.to_vec()).map(SecretString::from).map_err(|_| KeyError::Damaged)
            }
            (Some(_), None) => Err(KeyError::Missing),
            (Some(id), Some(key)) if id == key.id() => {
                key.open(stored, Label { account: &row.entry.name, generation: row.entry.generation, field })
            }
            (Some(_), Some(_)) => Err(KeyError::Other),
        };
        Ok(Tokens {
            access: open(&row.access, ACCESS)?,
            refresh: row.refresh.as_deref().map(|stored| open(stored, REFRESH)).transpose()?,
            previous: row.previous.as_deref().map(|stored| open(stored, PREVIOUS)).transpose()?,
        })
    }

    /// Commits that a refresh of that generation is about to be asked for. An intent that is there already is one whose
    /// process died: what became of it is uncertain from then on. `false`: there is another generation.
    pub(super) fn begin(&self, name: &str, generation: u64, now: DateTime<Utc>) -> Result<bool> {
        self.change(
            "UPDATE accounts SET uncertain_since_ms = coalesce(uncertain_since_ms, intent_at_ms), intent_at_ms = ?3
             WHERE name = ?1 AND generation = ?2 AND dead_since_ms IS NULL",
            params![name, number(generation), ms(now)],
        )
    }

    /// The answer to a request of that generation was lost.
    pub(super) fn note_lost(&self, name: &str, generation: u64, now: DateTime<Utc>) -> Result<bool> {
        self.change(
            "UPDATE accounts SET uncertain_since_ms = coalesce(uncertain_since_ms, ?3)
             WHERE name = ?1 AND generation = ?2",
            params![name, number(generation), ms(now)],
        )
    }

    /// A refresh of that generation failed, and is not tried again before `retry_at`.
    pub(super) fn postpone(
        &self,
        name: &str,
        generation: u64,
        failures: u32,
        retry_at: Option<DateTime<Utc>>,
        error: &str,
    ) -> Result<bool> {
        self.change(
            "UPDATE accounts SET intent_at_ms = NULL, failures = ?3, retry_at_ms = ?4, last_error = ?5
             WHERE name = ?1 AND generation = ?2",
            params![name, number(generation), failures.max(1), retry_at.map(ms), error],
        )
    }

    /// A service answered 401 to the access token of that generation.
    pub(super) fn refuse(&self, name: &str, generation: u64) -> Result<bool> {
        self.change(
            "UPDATE accounts SET is_refused = 1 WHERE name = ?1 AND generation = ?2",
            params![name, number(generation)],
        )
    }

    /// The grant of that generation is dead. Its tokens are kept.
    pub(super) fn kill(&self, name: &str, generation: u64, dead: &Dead) -> Result<bool> {
        self.change(
            "UPDATE accounts SET intent_at_ms = NULL, dead_since_ms = ?3, dead_cause = ?4
             WHERE name = ?1 AND generation = ?2 AND dead_since_ms IS NULL",
            params![name, number(generation), ms(dead.since), dead.cause],
        )
    }

    /// Commits the pair that a refresh of that generation brought, as the next one. `false`: somebody else has written
    /// another since, which stays.
    pub(super) fn succeed(&self, name: &str, generation: u64, pair: &NewPair) -> Result<bool> {
        let was_plain = self.key.is_some() && self.row(name)?.is_some_and(|row| row.key_id.is_none());
        let next = generation.saturating_add(1);
        let stored = self.stored(name, next, &pair.tokens);
        let is_written = self.change(
            "UPDATE accounts SET generation = ?3, key_id = ?4, access_token = ?5, refresh_token = ?6,
                previous_token = ?7, scopes = ?8, issued_at_ms = ?9, expires_at_ms = ?10, is_refused = 0,
                intent_at_ms = NULL, uncertain_since_ms = NULL, failures = 0, retry_at_ms = NULL, last_error = NULL
             WHERE name = ?1 AND generation = ?2 AND dead_since_ms IS NULL",
            params![
                name,
                number(generation),
                number(next),
                stored.key_id,
                stored.access,
                stored.refresh,
                stored.previous,
                words(&pair.scopes),
                ms(pair.issued_at),
                ms(pair.expires_at),
            ],
        )?;
        if was_plain && is_written {
            self.forget_plain_text();
        }
        Ok(is_written)
    }

    /// Writes a pair that did not come of the one before: of a login, or the first. Whatever the account was, it is alive
    /// then. Gives the generation.
    pub(super) fn put(
        &self,
        name: &str,
        grant_type: &str,
        client_id: &str,
        logged_in_at: Option<DateTime<Utc>>,
        pair: &NewPair,
    ) -> Result<u64> {
        let mut connection = self.lock();
        let mut write = || -> rusqlite::Result<(u64, bool)> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let before: Option<(i64, bool)> = transaction
                .query_row("SELECT generation, key_id IS NULL FROM accounts WHERE name = ?1", [name], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let (before, was_plain) = before.unwrap_or((0, false));
            let next = u64::try_from(before).unwrap_or_default().saturating_add(1);
            let stored = self.stored(name, next, &pair.tokens);
            transaction.execute("DELETE FROM accounts WHERE name = ?1", [name])?;
            transaction.execute(
                "INSERT INTO accounts (name, grant_type, client_id, generation, key_id, access_token, refresh_token,
                    scopes, issued_at_ms, expires_at_ms, logged_in_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                params![
                    name,
                    grant_type,
                    client_id,
                    number(next),
                    stored.key_id,
                    stored.access,
                    stored.refresh,
                    words(&pair.scopes),
                    ms(pair.issued_at),
                    ms(pair.expires_at),
                    logged_in_at.map(ms),
                ],
            )?;
            transaction.commit()?;
            Ok((next, was_plain))
        };
        let (generation, was_plain) = write().map_err(database(&self.path))?;
        drop(connection);
        if self.key.is_some() && was_plain {
            self.forget_plain_text();
        }
        Ok(generation)
    }

    /// Tokens that were not sealed stand in the log that SQLite writes ahead, until that begins anew.
    fn forget_plain_text(&self) {
        // Not done when somebody else reads just then: the log begins anew by itself after some more writes.
        let _ = self.lock().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    fn stored(&self, name: &str, generation: u64, tokens: &Tokens) -> Stored {
        let store = |token: &SecretString, field| match &self.key {
            Some(key) => key.seal(token, Label { account: name, generation, field }, &*self.entropy),
            None => token.expose_secret().as_bytes().to_vec(),
        };
        Stored {
            key_id: self.key.as_ref().map(TokenKey::id),
            access: store(&tokens.access, ACCESS),
            refresh: tokens.refresh.as_ref().map(|token| store(token, REFRESH)),
            previous: tokens.previous.as_ref().map(|token| store(token, PREVIOUS)),
        }
    }

    /// Makes one statement durable. Whether it found its row.
    fn change(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<bool> {
        let connection = self.lock();
        let write = || connection.prepare_cached(sql)?.execute(parameters);
        write().map(|rows| rows > 0).map_err(database(&self.path))
    }

    #[cfg(test)]
    pub(super) fn pragma(&self, name: &str) -> String {
        let value: rusqlite::types::Value =
            self.lock().query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
        format!("{value:?}")
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // Each use is one statement or one transaction: whoever panicked left nothing half done.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Stored {
    key_id: Option<[u8; 8]>,
    access: Vec<u8>,
    refresh: Option<Vec<u8>>,
    previous: Option<Vec<u8>>,
}

fn database(path: &Path) -> impl Fn(rusqlite::Error) -> TokenStoreError + use<> {
    let path = path.to_owned();
    move |source| TokenStoreError::Database { path: path.clone(), source }
}

fn unusable(path: &Path) -> impl Fn(OpenError) -> TokenStoreError + use<> {
    let path = path.to_owned();
    move |error| match error {
        OpenError::Database(source) => TokenStoreError::Database { path: path.clone(), source },
        OpenError::TooNew { found, known } => TokenStoreError::TooNew { path: path.clone(), found, known },
        OpenError::NotOurs { .. } => TokenStoreError::NotOurs { path: path.clone() },
        OpenError::Damaged { what } => TokenStoreError::Damaged { path: path.clone(), what },
    }
}

fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let instant = |column: &str| -> rusqlite::Result<Option<DateTime<Utc>>> {
        Ok(row.get::<_, Option<i64>>(column)?.and_then(DateTime::from_timestamp_millis))
    };
    let needed = |column: &str| instant(column).map(|at| at.unwrap_or(DateTime::UNIX_EPOCH));
    let (uncertain_since, intent_at) = (instant("uncertain_since_ms")?, instant("intent_at_ms")?);
    let dead = match (instant("dead_since_ms")?, row.get("dead_cause")?) {
        (Some(since), Some(cause)) => Some(Dead { since, cause }),
        _ => None,
    };
    let key_id: Option<[u8; 8]> = row.get("key_id")?;
    let entry = Entry {
        name: row.get("name")?,
        grant_type: row.get("grant_type")?,
        client_id: row.get("client_id")?,
        generation: u64::try_from(row.get::<_, i64>("generation")?).unwrap_or_default(),
        is_sealed: key_id.is_some(),
        scopes: scopes::parse(&row.get::<_, String>("scopes")?),
        issued_at: needed("issued_at_ms")?,
        expires_at: needed("expires_at_ms")?,
        logged_in_at: instant("logged_in_at_ms")?,
        is_refused: row.get("is_refused")?,
        intent: uncertain_since.or(intent_at).map(|since| Intent { since, is_open: intent_at.is_some() }),
        failures: row.get("failures")?,
        retry_at: instant("retry_at_ms")?,
        last_error: row.get("last_error")?,
        dead,
    };
    Ok(Row {
        entry,
        key_id,
        access: row.get("access_token")?,
        refresh: row.get("refresh_token")?,
        previous: row.get("previous_token")?,
    })
}

fn words(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn ms(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

fn number(generation: u64) -> i64 {
    i64::try_from(generation).unwrap_or(i64::MAX)
}
