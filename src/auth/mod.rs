//! Tokens for providers that want one.

use crate::seams::BoxFuture;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

/// An access token as it is sent. Debug never shows it.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token.
    pub secret: SecretString,
    /// Counts the account's tokens.
    pub generation: u64,
}

/// Where a driver has its tokens from.
pub trait TokenSource: Send + Sync {
    /// A token that is valid now and for a while; refreshed first where that is due.
    fn access_token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>>;

    /// The service answered 401 to `refused`: a newer token, by at most one refresh.
    fn replace<'a>(&'a self, refused: &'a AccessToken) -> BoxFuture<'a, Result<AccessToken, TokenError>>;
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// The account must be authorised anew.
    Dead {
        /// What the service said.
        cause: String,
        /// When.
        since: DateTime<Utc>,
    },
    /// Nobody has logged in.
    NotLoggedIn,
    /// The application's credentials or settings are wrong.
    Misconfigured(String),
    /// Not now.
    Unavailable {
        /// Why.
        why: String,
        /// When it can be tried again, where that is known.
        retry_at: Option<DateTime<Utc>>,
    },
}
