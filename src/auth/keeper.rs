//! Looks after the accounts: refreshes ahead of what is due, keeps idle grants alive, and tells of those that do not work,
//! with the meetings that it will cost.

use super::life::IDLE;
use super::store::Entry;
use super::{Account, Accounts, TokenError, missing};
use crate::log::{LogEvent, Time, number};
use crate::seams::{BoxFuture, Clock, Host};
use crate::store::Ahead;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An account that does not work is told of again after this.
pub const REMINDER: Duration = Duration::from_secs(3600);
/// The accounts are looked at this often, and at once when one gets into trouble.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// An account on which something is due within this has its token refreshed for it,
const AHEAD: TimeDelta = TimeDelta::minutes(10);
/// to be valid this long after that, at least: the usual margin.
const MARGIN: TimeDelta = TimeDelta::minutes(10);
/// Meetings that begin within this are counted as broken by an account that does not work.
const COUNTED: TimeDelta = TimeDelta::hours(24);
/// So many of them are named.
const NAMED: usize = 5;

/// What is ahead, by provider. What cannot be found out is left out: it is told of an account all the same.
pub trait Outlook: Send + Sync {
    /// The occurrences of `provider` that begin before `until` and are not over at `now`, with the first `named` of them.
    fn ahead<'a>(
        &'a self,
        provider: &'a str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        named: usize,
    ) -> BoxFuture<'a, Ahead>;

    /// When something is due for each provider, for those where that is at `until` or before.
    fn next_due(&self, until: DateTime<Utc>) -> BoxFuture<'_, BTreeMap<String, DateTime<Utc>>>;
}

/// What was told of an account, and when, on the boot clock.
#[derive(Default)]
struct Told {
    trouble: Option<(TokenError, Duration)>,
    missing_scopes: Vec<String>,
}

/// Looks after the accounts that are in use.
pub struct Keeper {
    accounts: Arc<Accounts>,
    outlook: Arc<dyn Outlook>,
    clock: Arc<dyn Clock>,
    host: Arc<dyn Host>,
    told: Mutex<BTreeMap<String, Told>>,
}

impl Keeper {
    /// For these accounts.
    pub fn new(
        accounts: Arc<Accounts>,
        outlook: Arc<dyn Outlook>,
        clock: Arc<dyn Clock>,
        host: Arc<dyn Host>,
    ) -> Self {
        Self { accounts, outlook, clock, host, told: Mutex::default() }
    }

    /// Works until the future is dropped.
    ///
    /// # Cancel safety
    /// Nothing is lost: a refresh that was begun goes on in a task of its own.
    pub async fn run(&self) {
        self.sweep().await;
        loop {
            self.look().await;
            tokio::select! {
                biased;
                () = self.accounts.alarm.notified() => {}
                () = self.clock.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Refreshes the grants that were not refreshed for [`IDLE`]. Run every hour, this keeps each within a week.
    pub async fn sweep(&self) {
        for account in self.accounts.in_use() {
            // How it went, the account has told.
            let _ = account.refresh_if_idle(self.clock.wall() - IDLE).await;
        }
    }

    /// One look at every account.
    pub async fn look(&self) {
        let accounts = self.accounts.in_use();
        if accounts.is_empty() {
            return;
        }
        let now = self.clock.wall();
        let next_due = self.outlook.next_due(now + AHEAD).await;
        for account in &accounts {
            let name = &account.client().provider;
            // These two tell for themselves what goes wrong.
            let (_, entry) = account.examine().await;
            if entry.is_some_and(|entry| entry.intent.is_some() && entry.dead.is_none()) {
                let _ = account.settle().await;
            }
            if let Some(due) = next_due.get(name) {
                let length = (*due + MARGIN - now).to_std().unwrap_or_default();
                let _ = account.token_for(length).await;
            }
            let (trouble, entry) = account.examine().await;
            match trouble {
                Some(trouble) => self.remind(account, trouble).await,
                None => self.told().entry(name.clone()).or_default().trouble = None,
            }
            if let Some(entry) = entry {
                self.tell_scopes(account, &entry);
            }
        }
        let names: BTreeSet<&str> =
            accounts.iter().map(|account| account.client().provider.as_str()).collect();
        self.told().retain(|name, _| names.contains(name.as_str()));
    }

    /// Tells of an account that does not work, unless that was told within the hour.
    async fn remind(&self, account: &Account, trouble: TokenError) {
        let (name, boot) = (&account.client().provider, self.clock.boot());
        let is_told =
            |(told, at): &(TokenError, Duration)| *told == trouble && boot.saturating_sub(*at) < REMINDER;
        if self.told().get(name).and_then(|told| told.trouble.as_ref()).is_some_and(is_told) {
            return;
        }
        if matches!(trouble, TokenError::Misconfigured(_)) && account.token_for(Duration::ZERO).await.is_ok()
        {
            // It may have been set right at the service; a token that is still valid proves nothing.
            let (now_trouble, _) = account.examine().await;
            if now_trouble.is_none() {
                return;
            }
        }
        self.tell(account, &trouble).await;
        self.told().entry(name.clone()).or_default().trouble = Some((trouble, boot));
    }

    async fn tell(&self, account: &Account, trouble: &TokenError) {
        let provider = account.client().provider.as_str();
        let now = self.clock.wall();
        let ahead = self.outlook.ahead(provider, now, now + COUNTED, NAMED).await;
        let breaks = number(ahead.count);
        let named: Vec<String> =
            ahead.first.iter().map(|(occurrence, at)| format!("{occurrence} ({})", Time(*at))).collect();
        let more = if ahead.count > named.len() { ", …" } else { "" };
        let meetings = &format!("{}{more}", named.join(", "));
        let mend_with = &format!("convened login {provider}");
        match trouble {
            TokenError::Dead { cause, since } => self.host.log(&LogEvent::AccountDead {
                provider,
                cause,
                since: Time(*since),
                breaks,
                meetings,
                mend_with,
            }),
            TokenError::NotLoggedIn => {
                self.host.log(&LogEvent::AccountNotLoggedIn { provider, breaks, meetings, mend_with });
            }
            TokenError::Misconfigured(error) => {
                self.host.log(&LogEvent::AccountMisconfigured { provider, error, breaks, meetings });
            }
            TokenError::Unavailable { .. } => {}
        }
    }

    fn tell_scopes(&self, account: &Account, entry: &Entry) {
        let client = account.client();
        let missing: Vec<String> =
            missing(&client.scopes_needed, &entry.scopes).into_iter().map(ToString::to_string).collect();
        let mut told = self.told();
        let told = told.entry(client.provider.clone()).or_default();
        if told.missing_scopes == missing {
            return;
        }
        if !missing.is_empty() {
            let missing = &missing.join("; ");
            self.host.log(&LogEvent::AccountLacksScopes { provider: &client.provider, missing });
        }
        told.missing_scopes = missing;
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("accounts", &self.accounts).finish_non_exhaustive()
    }
}
