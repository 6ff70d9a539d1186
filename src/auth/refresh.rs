//! One refresh, by its journal: see [`super`] for the worlds that it may find itself in.

use super::account::Inner;
use super::store::{Dead, NewPair, Row, Tokens};
use super::wire::{self, Answer, Ask, Granted};
use super::{AccessToken, Grant, TokenError, life};
use crate::log::{LogEvent, Time};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

/// After an answer that was lost, the same token is tried again after these pauses: the shortest graces that services give to
/// a token that was rotated out are five seconds.
const SOON: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_millis(1500)];
/// Between two tries to write what must not be lost.
const SAVE_PAUSE: Duration = Duration::from_secs(2);
/// That it cannot be written is told again after so many tries: five minutes.
const SAVE_REMINDER: u32 = 150;

/// Where a refresh has come to: what a crash can fall between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// Decided upon, the lock held; nothing is written.
    Decided,
    /// The intent is committed; nothing was sent.
    IntentCommitted,
    /// An answer has come, and is in memory only.
    Answered,
    /// The new pair is committed; nobody has it yet.
    PairCommitted,
}

/// Looks on at a refresh, and may hold it up. Only tests do.
#[derive(Clone, Default)]
pub(super) struct Probe(
    #[cfg(test)] pub(super) Option<Arc<dyn Fn(Point) -> crate::seams::BoxFuture<'static, ()> + Send + Sync>>,
);

impl Inner {
    #[cfg_attr(not(test), expect(clippy::unused_async, reason = "in tests somebody may hold it up here"))]
    async fn at(&self, point: Point) {
        #[cfg(test)]
        if let Some(probe) = &self.probe.0 {
            probe(point).await;
        }
        #[cfg(not(test))]
        let _ = (point, &self.probe);
    }

    /// Refreshes from what the store has; the caller holds the account's lock.
    pub(super) async fn refresh(&self, from: Option<(Row, Tokens)>) -> Result<AccessToken, TokenError> {
        self.at(Point::Decided).await;
        match (&self.client.grant, from) {
            (Grant::AccountCredentials { account_id }, from) => self.ask_anew(account_id, from).await,
            (Grant::RefreshToken, Some((row, tokens))) => self.rotate(row, tokens).await,
            (Grant::RefreshToken, None) => Err(TokenError::NotLoggedIn),
        }
    }

    /// The next pair for a refresh token.
    async fn rotate(&self, row: Row, tokens: Tokens) -> Result<AccessToken, TokenError> {
        let Tokens { refresh: Some(current), mut previous, .. } = tokens else {
            return Err(TokenError::NotLoggedIn);
        };
        let generation = row.entry.generation;
        self.begin(&row).await?;
        self.at(Point::IntentCommitted).await;
        let mut uncertain_since = row.entry.intent.map(|intent| intent.since);
        // At the first failure in a row; later ones have pauses of their own.
        let mut soon = SOON.iter().take(if row.entry.failures == 0 { SOON.len() } else { 0 });
        let mut token = current.clone();
        let mut first_refusal = None;
        loop {
            match self.ask(&Ask::Refresh(&token), &[&token, &current]).await {
                Answer::Granted(granted) => {
                    let refresh = granted.refresh_token.clone().unwrap_or_else(|| token.clone());
                    let scopes = row.entry.scopes.clone();
                    let pair = self.pair(granted, Some(refresh), Some(token), scopes);
                    return self.keep(Some(generation), pair).await;
                }
                Answer::Lost(why) => {
                    let now = self.outside.clock.wall();
                    uncertain_since.get_or_insert(now);
                    self.note_lost(generation, now).await;
                    let Some(pause) = soon.next() else {
                        return Err(self.postpone(&row, why, None).await);
                    };
                    self.outside.clock.sleep(*pause).await;
                }
                Answer::Refused(why) => {
                    if let Some(newer) = self.newer_than(generation).await? {
                        return Ok(newer);
                    }
                    let why = first_refusal.get_or_insert(why).clone();
                    match previous.take() {
                        Some(before) => token = before,
                        None => return self.bury(generation, &why, uncertain_since).await,
                    }
                }
                Answer::NotNow { why, retry_at } => return Err(self.postpone(&row, why, retry_at).await),
                Answer::Misconfigured(why) => return Err(self.misconfigured(Some(&row), why).await),
            }
        }
    }

    /// Another token for the account itself: nothing can be lost by asking.
    async fn ask_anew(
        &self,
        account_id: &str,
        from: Option<(Row, Tokens)>,
    ) -> Result<AccessToken, TokenError> {
        let row = from.map(|(row, _)| row);
        match self.ask(&Ask::AccountCredentials { account_id }, &[]).await {
            Answer::Granted(granted) => {
                let scopes = row.as_ref().map(|row| row.entry.scopes.clone()).unwrap_or_default();
                let pair = self.pair(granted, None, None, scopes);
                self.keep(row.map(|row| row.entry.generation), pair).await
            }
            Answer::NotNow { why, retry_at } => Err(self.postpone_any(row.as_ref(), why, retry_at).await),
            Answer::Lost(why) => Err(self.postpone_any(row.as_ref(), why, None).await),
            // There is no grant that could be dead, only an application that is not accepted.
            Answer::Refused(why) | Answer::Misconfigured(why) => {
                Err(self.misconfigured(row.as_ref(), why).await)
            }
        }
    }

    async fn ask(&self, ask: &Ask<'_>, secrets: &[&SecretString]) -> Answer {
        let Some(request) = wire::request(&self.client, ask) else {
            return Answer::Misconfigured(
                "`auth_url`, `client_id` and `client_secret` do not make a request".to_owned(),
            );
        };
        let answer = self.outside.transport.send(request, self.client.timeout).await;
        let secrets: Vec<&SecretString> =
            secrets.iter().copied().chain([&self.client.client_secret]).collect();
        let answer = wire::understand(answer, self.outside.clock.wall(), &secrets);
        self.at(Point::Answered).await;
        answer
    }

    fn pair(
        &self,
        granted: Granted,
        refresh: Option<SecretString>,
        previous: Option<SecretString>,
        scopes: std::collections::BTreeSet<String>,
    ) -> Arc<NewPair> {
        let issued_at = self.outside.clock.wall();
        Arc::new(NewPair {
            tokens: Tokens { access: granted.access_token, refresh, previous },
            scopes: granted.scopes.unwrap_or(scopes),
            issued_at,
            expires_at: issued_at + granted.life,
        })
    }

    async fn begin(&self, row: &Row) -> Result<(), TokenError> {
        let (name, generation, now) =
            (self.name().to_owned(), row.entry.generation, self.outside.clock.wall());
        if let Some(intent) = row.entry.intent.filter(|intent| intent.is_open) {
            let since = Time(intent.since);
            self.outside.host.log(&LogEvent::AccountRecovered { provider: self.name(), since });
        }
        let begun = self.outside.store.run(move |store| store.begin(&name, generation, now)).await;
        if !begun.map_err(TokenError::from)? {
            // Found at the next look.
            return Err(TokenError::unavailable("somebody else has just written to this account"));
        }
        Ok(())
    }

    /// Commits what the service gave, and only then gives it on. As long as that cannot be done, it is tried again: what is
    /// in memory here is the only copy.
    async fn keep(&self, generation: Option<u64>, pair: Arc<NewPair>) -> Result<AccessToken, TokenError> {
        let mut tries: u32 = 0;
        loop {
            let (client, pair) = (self.client.clone(), pair.clone());
            let written = self.outside.store.run(move |store| match generation {
                Some(generation) => store.succeed(&client.provider, generation, &pair),
                None => {
                    let put =
                        store.put(&client.provider, client.grant.name(), &client.client_id, None, &pair);
                    put.map(|_| true)
                }
            });
            match written.await {
                // Or not, as somebody has logged in meanwhile: theirs is what counts.
                Ok(_) => break,
                Err(error) => {
                    if tries.is_multiple_of(SAVE_REMINDER) {
                        let error = error.to_string();
                        self.outside
                            .host
                            .log(&LogEvent::AccountNotSaved { provider: self.name(), error: &error });
                    }
                    tries = tries.saturating_add(1);
                    self.outside.clock.sleep(SAVE_PAUSE).await;
                }
            }
        }
        self.at(Point::PairCommitted).await;
        // What is used is what the store has.
        let Some((row, tokens)) = self.read().await? else {
            return Err(TokenError::unavailable("somebody else has just written to this account"));
        };
        self.adopt(&row.entry, &tokens.access);
        self.forget_failures();
        let (generation, expires_at) = (row.entry.generation, Time(row.entry.expires_at));
        self.outside.host.log(&LogEvent::AccountRefreshed { provider: self.name(), generation, expires_at });
        Ok(AccessToken { secret: tokens.access, generation })
    }

    async fn note_lost(&self, generation: u64, now: DateTime<Utc>) {
        self.remember_unsettled();
        let name = self.name().to_owned();
        // What cannot be noted is still in the intent.
        let _ = self.outside.store.run(move |store| store.note_lost(&name, generation, now)).await;
    }

    /// What another process has written since, if it has.
    async fn newer_than(&self, generation: u64) -> Result<Option<AccessToken>, TokenError> {
        let Some((row, tokens)) = self.read().await? else { return Ok(None) };
        if row.entry.generation <= generation {
            return Ok(None);
        }
        self.adopt(&row.entry, &tokens.access);
        Ok(Some(AccessToken { secret: tokens.access, generation: row.entry.generation }))
    }

    /// The grant is dead: says why, and keeps its row.
    async fn bury(
        &self,
        generation: u64,
        why: &str,
        uncertain_since: Option<DateTime<Utc>>,
    ) -> Result<AccessToken, TokenError> {
        let now = self.outside.clock.wall();
        let cause = match uncertain_since {
            None => format!("the service refuses the refresh token: {why}"),
            Some(since) => format!(
                "the service refuses the refresh token: {why}; it had probably issued another one, in an answer of {} or \
                 later that never arrived",
                since.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        };
        let (name, dead) = (self.name().to_owned(), Dead { since: now, cause: cause.clone() });
        let killed = self.outside.store.run(move |store| store.kill(&name, generation, &dead)).await;
        match killed {
            Ok(true) => Err(TokenError::Dead { cause, since: now }),
            // Somebody has logged in just now.
            Ok(false) => Err(TokenError::unavailable("somebody else has just written to this account")),
            // It is dead all the same; that nobody may ask again is kept in memory, for a while.
            Err(_) => {
                let error = TokenError::Dead { cause, since: now };
                self.pause(TimeDelta::minutes(5), error.clone());
                Err(error)
            }
        }
    }

    async fn postpone(&self, row: &Row, why: String, retry_at: Option<DateTime<Utc>>) -> TokenError {
        self.postpone_any(Some(row), why, retry_at).await
    }

    /// Not now. The pause is kept in memory, and in the store for other processes.
    async fn postpone_any(
        &self,
        row: Option<&Row>,
        why: String,
        retry_at: Option<DateTime<Utc>>,
    ) -> TokenError {
        let failures = self.count_failure(row.map_or(0, |row| row.entry.failures));
        let now = self.outside.clock.wall();
        let pause = self.pause_after(failures).max(retry_at.map_or(TimeDelta::zero(), |at| at - now));
        let retry_at = now + pause;
        self.note_failure(row, failures, Some(retry_at), &why).await;
        self.outside.host.log(&LogEvent::AccountRefreshFailed {
            provider: self.name(),
            attempts: u64::from(failures),
            error: &why,
            retry_at: Time(retry_at),
            valid_until: self.valid_until().map(Time),
        });
        let error = TokenError::Unavailable { why, retry_at: Some(retry_at) };
        self.pause(pause, error.clone());
        error
    }

    /// Somebody has to set it right; until then the service is asked from time to time, by this process alone, so that
    /// another one that has been set right need not wait.
    async fn misconfigured(&self, row: Option<&Row>, why: String) -> TokenError {
        let failures = self.count_failure(row.map_or(0, |row| row.entry.failures));
        self.note_failure(row, failures, None, &why).await;
        let error = TokenError::Misconfigured(why);
        self.pause(self.pause_after(failures), error.clone());
        error
    }

    async fn note_failure(
        &self,
        row: Option<&Row>,
        failures: u32,
        retry_at: Option<DateTime<Utc>>,
        why: &str,
    ) {
        let Some(row) = row else { return };
        let (name, generation, why) = (self.name().to_owned(), row.entry.generation, why.to_owned());
        let noted =
            self.outside.store.run(move |store| store.postpone(&name, generation, failures, retry_at, &why));
        // What cannot be noted is remembered, and the intent stays open, which is the safe side.
        let _ = noted.await;
    }

    fn pause_after(&self, failures: u32) -> TimeDelta {
        let mut seed = [0; 8];
        self.outside.entropy.fill(&mut seed);
        life::pause(failures, u64::from_ne_bytes(seed))
    }
}
