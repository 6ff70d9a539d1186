//! OAuth: access tokens that are valid when they are needed, from grants that never get lost.
//!
//! A driver holds a [`TokenSource`] and knows nothing of what is behind it: an [`Account`], which keeps one provider's grant
//! in the [`TokenStore`] and has it refreshed by one caller at a time, whatever their number and in whatever process.
//! [`Accounts`] makes them; [`Keeper`] has them refreshed ahead of what is due, and tells of those that do not work;
//! [`login`] is how a grant comes into being.
//!
//! # The journal of a refresh
//!
//! A refresh token that rotates is gone once the service has answered, and the answer is the only place where the next one
//! is. Hence each refresh goes through these steps, under the account's lock (a file lock: the kernel drops it with the
//! process that holds it, and there is no time after which it would be taken away from one that is slow):
//!
//! ```text
//! intent committed ─► request ─► answer ─► pair committed ─► used
//! ```
//!
//! Each commit is one of `synchronous=FULL`, and counts only for the generation it was made for: one that somebody else has
//! written past it changes nothing. A task of its own does all this, so that a caller who gives up takes no answer with him.
//! Whoever finds an intent, and has the lock, knows that a process died, and that one of these worlds holds:
//!
//! | it died | the service holds | what the next refresh meets |
//! |---|---|---|
//! | before the request | the stored token | success |
//! | after the request, which got lost | the stored token | success |
//! | after the request, before the answer was committed | the next token, or both for a while (a grace) | success within a grace, else `invalid_grant` |
//! | after the pair was committed | the stored token | (there is no intent any more) |
//!
//! They cannot be told apart from here, and one order is right in all: **the stored token again**, soon, as graces are
//! short; if it is refused, **read the store again**, as another process may have been faster; then **the token before
//! it**, once, for a service that gave the same token two answers of which only the other counts, or a store that was
//! restored from a backup; only then the grant is dead, until somebody logs in. The same is done when an answer is lost
//! while the process lives. What a refused token could set off (some services revoke the whole grant) cannot make it worse:
//! at that point the grant gives nothing any more.
//!
//! # What a failure means
//!
//! | answer | the grant | what follows |
//! |---|---|---|
//! | `invalid_grant`, and what services say in its place | dead, by the order above | told at once and every hour; nothing is asked any more until somebody has logged in |
//! | `invalid_client` and other errors of whoever set it up | as it was | told at once and every hour; asked again after a pause |
//! | 429, 5xx, unreadable | as it was | asked again after a growing pause, or when the service said |
//! | none | as it was | the same token again: after 0.5, 1 and 1.5 s, then as above |
//!
//! As long as the access token from before is valid, callers get that, whatever became of the refresh.

mod account;
mod accounts;
mod client;
mod file_lock;
mod held;
mod keeper;
mod key;
mod life;
pub mod login;
mod refresh;
mod scopes;
mod store;
#[cfg(test)]
mod tests;
mod wire;

pub use account::{Account, Outside};
pub use accounts::Accounts;
pub use client::{Grant, OAuthClient};
pub use keeper::{Keeper, Outlook, REMINDER};
pub use key::{KEY_NAME, KeyError, TokenKey};
pub use life::IDLE;
pub use scopes::{ScopeNeed, missing};
pub use store::{Dead, Entry, Intent, TokenStore, TokenStoreError};

use crate::seams::BoxFuture;
use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::SecretString;

/// An access token as it is sent. `Debug` never shows it.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// What stands behind `Bearer `.
    pub secret: SecretString,
    /// Which pair of tokens it belongs to: grows with each refresh and each login.
    pub generation: u64,
}

/// Where a driver gets its tokens. Nobody keeps one: each request asks anew, which costs nothing while one is valid.
pub trait TokenSource: Send + Sync {
    /// A token that is valid now and for a while; refreshed first where that is due.
    ///
    /// # Errors
    /// See [`TokenError`].
    ///
    /// # Cancel safety
    /// A refresh that was begun goes on without the caller.
    fn access_token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>>;

    /// The service answered 401 to `refused`: a newer token, by at most one refresh. A newer one that another caller got is
    /// taken as it is.
    ///
    /// # Errors
    /// See [`TokenError`]. [`TokenError::Unavailable`] also when the refused token is a few seconds old: another one would be
    /// refused as well.
    ///
    /// # Cancel safety
    /// As for [`TokenSource::access_token`].
    fn replace<'a>(&'a self, refused: &'a AccessToken) -> BoxFuture<'a, Result<AccessToken, TokenError>>;
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// The grant is dead until an operator logs in again.
    Dead {
        /// Why.
        cause: String,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// Nothing is stored yet: `convened login NAME` was never run.
    NotLoggedIn,
    /// The client id or secret is refused, or the stored tokens cannot be read with the key that is given: an operator's
    /// error, which never kills the grant.
    Misconfigured(String),
    /// Not now: the service cannot be reached, wants to be left alone, or says nothing that can be read; or the token store
    /// cannot be written.
    Unavailable {
        /// What went wrong.
        why: String,
        /// Not asked again before, where known.
        retry_at: Option<DateTime<Utc>>,
    },
}

impl TokenError {
    /// Without an instant for the next try.
    fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable { why: why.into(), retry_at: None }
    }
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self {
            Self::Dead { cause, since } => {
                write!(f, "the grant is dead since {}: {cause}; log in again", shown(since))
            }
            Self::NotLoggedIn => f.write_str("nobody has logged in to this account yet"),
            Self::Misconfigured(why) => write!(f, "the account is not set up right: {why}"),
            Self::Unavailable { why, retry_at: Some(at) } => {
                write!(f, "no token now: {why}; next try at {}", shown(at))
            }
            Self::Unavailable { why, retry_at: None } => write!(f, "no token now: {why}"),
        }
    }
}

impl std::error::Error for TokenError {}
