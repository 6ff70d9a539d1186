//! The accounts of a program: one [`Account`] for each application that the schedule names.

use super::refresh::Probe;
use super::{Account, OAuthClient, Outside};
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Makes accounts, and knows those that are in use.
pub struct Accounts {
    outside: Outside,
    in_use: Mutex<BTreeMap<String, Account>>,
    /// Rung when one of them has got into trouble.
    pub(super) alarm: Arc<Notify>,
}

impl Accounts {
    /// None yet.
    pub fn new(outside: Outside) -> Self {
        Self { outside, in_use: Mutex::default(), alarm: Arc::default() }
    }

    /// The account of that application. As long as nothing about it changes, it is the same one; else one that takes its
    /// place, with no memory of what went wrong before: a secret that was set right need not wait.
    pub fn account(&self, client: OAuthClient) -> Account {
        let mut in_use = self.lock();
        if let Some(account) = in_use.get(&client.provider)
            && is_same(account.client(), &client)
        {
            return account.clone();
        }
        let name = client.provider.clone();
        let account = Account::new(client, self.outside.clone(), self.alarm.clone(), Probe::default());
        in_use.insert(name, account.clone());
        account
    }

    /// Forgets accounts that the schedule does not name any more. Their tokens stay in the store.
    pub fn retain(&self, is_named: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| is_named(name));
    }

    /// Those that are in use, by name.
    pub fn in_use(&self) -> Vec<Account> {
        self.lock().values().cloned().collect()
    }

    /// Waits until no refresh is under way, `patience` at most: an answer that is still to come would be lost with the
    /// process.
    pub async fn finish(&self, patience: Duration) {
        let until = self.outside.clock.sleep(patience);
        let all = async {
            for account in self.in_use() {
                account.finish().await;
            }
        };
        tokio::select! {
            biased;
            () = all => {}
            () = until => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("in_use", &self.lock().keys()).finish_non_exhaustive()
    }
}

fn is_same(one: &OAuthClient, other: &OAuthClient) -> bool {
    one.is_same_application(other)
        && one.client_secret.expose_secret() == other.client_secret.expose_secret()
        && one.auth_url == other.auth_url
        && one.scopes_needed == other.scopes_needed
        && one.timeout == other.timeout
}
