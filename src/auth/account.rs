//! One provider's grant: a token that is valid, by as few refreshes as there can be.

use super::file_lock::FileLock;
use super::held::{Held, Want};
use super::key::KeyError;
use super::life::{self, YOUNG};
use super::refresh::Probe;
use super::store::{Entry, Row, TokenStore, TokenStoreError, Tokens};
use super::{AccessToken, Grant, OAuthClient, TokenError, TokenSource};
use crate::log::LogEvent;
use crate::seams::{BoxFuture, Clock, Entropy, Host};
use crate::transport::Transport;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Whoever has a token that is still valid waits no longer than this for a better one.
const PATIENCE: Duration = Duration::from_secs(5);
/// A time for the next try that is further off than this was reckoned by another clock.
const FARTHEST_RETRY: TimeDelta = TimeDelta::hours(2);

/// What accounts need from outside.
#[derive(Clone)]
pub struct Outside {
    /// Where tokens are kept.
    pub store: Arc<TokenStore>,
    /// The folder for the accounts' lock files: the state folder.
    pub lock_dir: PathBuf,
    /// How requests leave.
    pub transport: Arc<dyn Transport>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// What stretches pauses.
    pub entropy: Arc<dyn Entropy>,
    /// The log.
    pub host: Arc<dyn Host>,
}

/// One provider's grant. A clone is the same account.
#[derive(Clone)]
pub struct Account {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) client: OAuthClient,
    pub(super) outside: Outside,
    /// Rung when the account has got into trouble.
    alarm: Arc<Notify>,
    /// Held by the task that refreshes, and for a moment by those that see whether they need to.
    gate: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
    /// Where tests look on.
    pub(super) probe: Probe,
}

/// What is known without asking anybody.
#[derive(Default)]
struct Memory {
    held: Option<Held>,
    /// Until then, on the boot clock, this is the answer.
    pause: Option<(Duration, TokenError)>,
    /// Refreshes that failed in a row in this process.
    failures: u32,
    /// What an operator has to see to.
    trouble: Option<TokenError>,
}

/// What the store says about what is wanted.
enum Look {
    Ready(AccessToken),
    /// A refresh is due, from this; `None`: there is nothing to begin from, and nothing is needed.
    Due(Option<Box<(Row, Tokens)>>),
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

impl TokenSource for Account {
    fn access_token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>> {
        Box::pin(self.token(Want::default()))
    }

    fn replace<'a>(&'a self, refused: &'a AccessToken) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(self.token(Want { refused: Some(refused.generation), ..Want::default() }))
    }
}

impl Account {
    pub(super) fn new(client: OAuthClient, outside: Outside, alarm: Arc<Notify>, probe: Probe) -> Self {
        let (gate, memory) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { client, outside, alarm, gate, memory, probe }) }
    }

    /// The application.
    pub fn client(&self) -> &OAuthClient {
        &self.inner.client
    }

    /// A token that is valid for `length` from now, where tokens live that long; refreshed first where that is due.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn token_for(&self, length: Duration) -> Result<AccessToken, TokenError> {
        self.token(Want { life: length, ..Want::default() }).await
    }

    /// Has a grant refreshed that was last refreshed before `since`: services forget those that are idle. An account that acts
    /// by its credentials alone has no grant to lose.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn refresh_if_idle(&self, since: DateTime<Utc>) -> Result<(), TokenError> {
        if self.inner.client.grant != Grant::RefreshToken {
            return Ok(());
        }
        self.renew(Want { issued_after: Some(since), is_any_life: true, ..Want::default() }).await.map(drop)
    }

    /// Brings to its end what an earlier process has begun, if any has.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(super) async fn settle(&self) -> Result<(), TokenError> {
        self.renew(Want { is_settled: true, is_any_life: true, ..Want::default() }).await.map(drop)
    }

    /// Waits until no refresh is under way, so that no answer is lost by the process's end.
    pub(super) async fn finish(&self) {
        drop(self.inner.gate.lock().await);
    }

    /// What an operator has to see to, as things are now, and what the store knows. Asks nobody but the store.
    pub(super) async fn examine(&self) -> (Option<TokenError>, Option<Entry>) {
        self.inner.examine().await
    }

    async fn token(&self, want: Want) -> Result<AccessToken, TokenError> {
        if let Some(token) = self.inner.held(want) {
            return Ok(token);
        }
        let renewal = self.renew(want);
        let patience = match self.inner.spare(want) {
            Some(_) => PATIENCE,
            None => self.inner.client.timeout.saturating_mul(2).max(PATIENCE),
        };
        let patience = self.inner.outside.clock.sleep(patience);
        let outcome = tokio::select! {
            biased;
            renewed = renewal => renewed,
            () = patience => Err(TokenError::unavailable("a refresh has been under way for long")),
        };
        // The store may have had one that will do.
        outcome.or_else(|error| self.inner.spare(want).ok_or(error))
    }

    /// In a task of its own: an answer that arrives is kept, whatever becomes of whoever waits for it.
    async fn renew(&self, want: Want) -> Result<AccessToken, TokenError> {
        let task = tokio::spawn(self.inner.clone().renew(want));
        task.await.unwrap_or_else(|_| Err(TokenError::unavailable("the refresh broke off")))
    }
}

impl Inner {
    /// The account's name: the provider's.
    pub(super) fn name(&self) -> &str {
        &self.client.provider
    }

    /// Does what it takes to have what is wanted.
    async fn renew(self: Arc<Self>, want: Want) -> Result<AccessToken, TokenError> {
        let _gate = self.gate.lock().await;
        if let Some(token) = self.held(want) {
            return Ok(token);
        }
        if let Some(error) = self.paused() {
            return Err(error);
        }
        let outcome = self.renew_in_turn(want).await;
        match &outcome {
            Ok(_) => self.note_trouble(None),
            Err(TokenError::Unavailable { .. }) => {}
            Err(error) => self.note_trouble(Some(error.clone())),
        }
        outcome
    }

    /// As [`Inner::renew`], for the one who has the gate.
    async fn renew_in_turn(&self, want: Want) -> Result<AccessToken, TokenError> {
        if let Look::Ready(token) = self.look(want).await? {
            return Ok(token);
        }
        // Held by another process, it is held for as long as that refreshes: at most about three requests.
        let patience = self.client.timeout.saturating_mul(3).saturating_add(Duration::from_secs(30));
        let path = self.lock_path();
        let lock = FileLock::take(&path, patience, &*self.outside.clock)
            .await
            .map_err(|error| TokenError::unavailable(format!("cannot lock {}: {error}", path.display())))?;
        let Some(_lock) = lock else {
            return Err(TokenError::unavailable("another process has been refreshing this account for long"));
        };
        // Whoever had the lock before may have done it.
        match self.look(want).await? {
            Look::Ready(token) => Ok(token),
            Look::Due(from) => {
                if let (Some(refused), Some(from)) = (want.refused, &from)
                    && refused == from.0.entry.generation
                {
                    self.note_refused(refused).await?;
                }
                self.refresh(from.map(|from| *from)).await
            }
        }
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        lock_path(&self.outside.lock_dir, self.name())
    }

    /// Reads the store, and decides.
    async fn look(&self, want: Want) -> Result<Look, TokenError> {
        let Some((row, tokens)) = self.read().await? else { return Ok(Look::Due(None)) };
        self.adopt(&row.entry, &tokens.access);
        if let Some(token) = self.held(want) {
            return Ok(Look::Ready(token));
        }
        let entry = &row.entry;
        if let Some(dead) = &entry.dead {
            return Err(TokenError::Dead { cause: dead.cause.clone(), since: dead.since });
        }
        let now = self.outside.clock.wall();
        let is_refused = entry.is_refused || want.refused == Some(entry.generation);
        if is_refused && (TimeDelta::zero()..YOUNG).contains(&(now - entry.issued_at)) {
            return Err(TokenError::Unavailable {
                why: "the service refuses a token that it has just issued".to_owned(),
                retry_at: Some(entry.issued_at + YOUNG),
            });
        }
        if let (Some(retry_at), Some(why)) = (entry.retry_at, &entry.last_error)
            && (now..now + FARTHEST_RETRY).contains(&retry_at)
            && retry_at > now
        {
            return Err(TokenError::Unavailable { why: why.clone(), retry_at: Some(retry_at) });
        }
        Ok(Look::Due(Some(Box::new((row, tokens)))))
    }

    /// What the store has of this account, if it is of use. `None`: nothing, and nothing is needed to begin.
    pub(super) async fn read(&self) -> Result<Option<(Row, Tokens)>, TokenError> {
        let name = self.name().to_owned();
        let row = self.outside.store.run(move |store| store.row(&name)).await.map_err(TokenError::from)?;
        let needs_login = self.client.grant == Grant::RefreshToken;
        let Some(row) = row else {
            return if needs_login { Err(TokenError::NotLoggedIn) } else { Ok(None) };
        };
        let entry = &row.entry;
        if entry.grant_type != self.client.grant.name() || entry.client_id != self.client.client_id {
            let other = &entry.client_id;
            return if needs_login {
                Err(TokenError::Misconfigured(format!(
                    "the stored grant was given to client id {other:?}, not to the one in the schedule: log in again, or \
                     put that one back"
                )))
            } else {
                Ok(None)
            };
        }
        match self.outside.store.tokens(&row) {
            Ok(tokens) => Ok(Some((row, tokens))),
            // Another token is all that is needed, and it will be sealed with the key that there is.
            Err(KeyError::Other | KeyError::Damaged) if !needs_login => Ok(None),
            Err(error) => Err(TokenError::Misconfigured(error.to_string())),
        }
    }

    async fn examine(&self) -> (Option<TokenError>, Option<Entry>) {
        let found = self.read().await;
        let trouble = match &found {
            Err(TokenError::Unavailable { .. }) => return (self.memory().trouble.clone(), None),
            Err(error) => Some(error.clone()),
            Ok(Some((Row { entry: Entry { dead: Some(dead), .. }, .. }, _))) => {
                Some(TokenError::Dead { cause: dead.cause.clone(), since: dead.since })
            }
            // What the store cannot know: the service refuses the application.
            Ok(found) => self.memory().trouble.clone().filter(|trouble| {
                matches!(trouble, TokenError::Misconfigured(_))
                    && found.as_ref().is_none_or(|(row, _)| row.entry.last_error.is_some())
            }),
        };
        self.note_trouble(trouble.clone());
        (trouble, found.ok().flatten().map(|(row, _)| row.entry))
    }

    /// Takes what the store has for what is in force.
    pub(super) fn adopt(&self, entry: &Entry, access: &SecretString) {
        let clock = &self.outside.clock;
        let remaining = life::remaining(entry.issued_at, entry.expires_at, clock.wall());
        let mut memory = self.memory();
        let boot = clock.boot();
        let mut expires_at_boot = boot.saturating_add(remaining);
        if let Some(held) = &memory.held
            && held.token.generation == entry.generation
        {
            // What was reckoned first stands, as the wall clock may have been set since.
            expires_at_boot = held.expires_at_boot;
        }
        memory.held = Some(Held {
            token: AccessToken { secret: access.clone(), generation: entry.generation },
            expires_at_boot,
            life: (entry.expires_at - entry.issued_at).to_std().unwrap_or_default(),
            issued_at: entry.issued_at,
            is_refused: entry.is_refused,
            is_unsettled: entry.intent.is_some(),
        });
    }

    /// The token that is held, if it is what is wanted.
    pub(super) fn held(&self, want: Want) -> Option<AccessToken> {
        let boot = self.outside.clock.boot();
        self.memory().held.as_ref().filter(|held| held.meets(want, boot)).map(|held| held.token.clone())
    }

    /// The token that is held, if it can be used at all.
    fn spare(&self, want: Want) -> Option<AccessToken> {
        let boot = self.outside.clock.boot();
        self.memory().held.as_ref().filter(|held| held.will_do(want, boot)).map(|held| held.token.clone())
    }

    /// Until when the token that is held can be used, by the wall clock.
    pub(super) fn valid_until(&self) -> Option<DateTime<Utc>> {
        let (boot, now) = (self.outside.clock.boot(), self.outside.clock.wall());
        let memory = self.memory();
        let held = memory.held.as_ref().filter(|held| held.will_do(Want::default(), boot))?;
        Some(now + TimeDelta::from_std(held.remaining(boot)).ok()?)
    }

    async fn note_refused(&self, generation: u64) -> Result<(), TokenError> {
        let name = self.name().to_owned();
        if let Some(held) = &mut self.memory().held
            && held.token.generation == generation
        {
            held.is_refused = true;
        }
        let noted = self.outside.store.run(move |store| store.refuse(&name, generation)).await;
        noted.map(drop).map_err(TokenError::from)
    }

    /// For so long, that is the answer to whoever asks.
    pub(super) fn pause(&self, length: TimeDelta, answer: TokenError) {
        let until = self.outside.clock.boot().saturating_add(length.to_std().unwrap_or_default());
        self.memory().pause = Some((until, answer));
    }

    /// Counts a failure, after so many that the store knows of.
    pub(super) fn count_failure(&self, stored: u32) -> u32 {
        let mut memory = self.memory();
        memory.failures = memory.failures.max(stored).saturating_add(1);
        memory.failures
    }

    pub(super) fn forget_failures(&self) {
        self.memory().failures = 0;
    }

    /// A refresh has been asked for, and nobody knows what became of it.
    pub(super) fn remember_unsettled(&self) {
        if let Some(held) = &mut self.memory().held {
            held.is_unsettled = true;
        }
    }

    fn paused(&self) -> Option<TokenError> {
        let boot = self.outside.clock.boot();
        let mut memory = self.memory();
        if memory.pause.as_ref().is_some_and(|(until, _)| *until <= boot) {
            memory.pause = None;
        }
        memory.pause.as_ref().map(|(_, error)| error.clone())
    }

    fn note_trouble(&self, trouble: Option<TokenError>) {
        let before = std::mem::replace(&mut self.memory().trouble, trouble.clone());
        match (before, trouble) {
            (Some(_), None) => {
                self.memory().pause = None;
                self.outside.host.log(&LogEvent::AccountMended { provider: self.name() });
            }
            (before, Some(trouble)) if before.as_ref() != Some(&trouble) => self.alarm.notify_one(),
            _ => {}
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whoever panicked has changed one field at most.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock file of an account.
pub(super) fn lock_path(folder: &std::path::Path, account: &str) -> PathBuf {
    folder.join(format!("token-{account}.lock"))
}

impl From<TokenStoreError> for TokenError {
    /// Not now: the token store may work again.
    fn from(error: TokenStoreError) -> Self {
        Self::unavailable(error.to_string())
    }
}
