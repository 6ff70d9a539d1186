//! OAuth accounts of a configuration, and what the keeper of accounts asks the store.

use crate::auth::{Grant, OAuthClient, Outlook};
use crate::config::{ProviderConfig, ProviderKind, SecretRef, ZoomGrant};
use crate::providers;
use crate::seams::{BoxFuture, Files};
use crate::store::{Ahead, SqliteStore, StoreError};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// An application whose secret was not read yet.
#[derive(Debug)]
pub struct Application<'a> {
    /// All but the secret, which is empty.
    pub client: OAuthClient,
    /// Where the secret is.
    pub secret: &'a SecretRef,
}

/// The application of a provider that needs OAuth; `None` for one that does not. The one place where a kind of provider says
/// so: the daemon and `convened login` both ask here.
pub fn application_of(provider: &ProviderConfig) -> Option<Application<'_>> {
    match &provider.kind {
        ProviderKind::MeetingService(_) => None,
        ProviderKind::Zoom(zoom) => {
            let client = OAuthClient {
                provider: provider.name.clone(),
                grant: match &zoom.grant {
                    ZoomGrant::RefreshToken => Grant::RefreshToken,
                    ZoomGrant::AccountCredentials { account_id } => {
                        Grant::AccountCredentials { account_id: account_id.clone() }
                    }
                },
                client_id: zoom.client_id.clone(),
                client_secret: SecretString::default(),
                auth_url: zoom.auth_url.clone(),
                scopes_needed: providers::zoom::scopes_needed(),
                timeout: provider.timeout,
            };
            Some(Application { client, secret: &zoom.client_secret })
        }
    }
}

/// As [`application_of`], with its secret.
///
/// # Errors
/// When that cannot be read.
pub fn client_of(provider: &ProviderConfig, files: &dyn Files) -> Option<Result<OAuthClient, String>> {
    let Application { client, secret } = application_of(provider)?;
    Some(secret.resolve(files).map(|client_secret| OAuthClient { client_secret, ..client }))
}

/// What is ahead, by the daemon's own store: on a connection of its own, to read, so that the engine waits for nobody.
pub struct StoreOutlook {
    state_dir: PathBuf,
    store: Arc<Mutex<Option<SqliteStore>>>,
}

impl StoreOutlook {
    /// By the store in that folder, which is opened when it is first asked.
    pub fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, store: Arc::default() }
    }

    /// Asks on a thread that may wait for the disk. `None`: the store cannot say; the engine tells of that.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&SqliteStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        let (store, state_dir) = (self.store.clone(), self.state_dir.clone());
        let answer = tokio::task::spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            if store.is_none() {
                *store = SqliteStore::open_read_only(&state_dir).ok();
            }
            store.as_ref().and_then(|store| question(store).ok())
        });
        answer.await.ok().flatten()
    }
}

impl Outlook for StoreOutlook {
    fn ahead<'a>(
        &'a self,
        provider: &'a str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        named: usize,
    ) -> BoxFuture<'a, Ahead> {
        Box::pin(async move {
            let provider = provider.to_owned();
            self.ask(move |store| store.ahead_of(&provider, now, until, named)).await.unwrap_or_default()
        })
    }

    fn next_due(&self, until: DateTime<Utc>) -> BoxFuture<'_, BTreeMap<String, DateTime<Utc>>> {
        Box::pin(
            async move { self.ask(move |store| store.next_due_by_provider(until)).await.unwrap_or_default() },
        )
    }
}
