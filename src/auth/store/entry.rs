//! What the token store knows of an account, besides its tokens.

use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// Everything about an account but its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The provider's name.
    pub name: String,
    /// `refresh_token` or `account_credentials`.
    pub grant_type: String,
    /// The application that the grant was given to.
    pub client_id: String,
    /// Which pair of tokens this is: grows with each refresh and each login.
    pub generation: u64,
    /// The tokens are encrypted.
    pub is_sealed: bool,
    /// What they allow, as the service said; empty where it did not.
    pub scopes: BTreeSet<String>,
    /// When the pair was issued: the last refresh or login.
    pub issued_at: DateTime<Utc>,
    /// When the access token expires.
    pub expires_at: DateTime<Utc>,
    /// When somebody last logged in.
    pub logged_in_at: Option<DateTime<Utc>>,
    /// A service answered 401 to the access token.
    pub is_refused: bool,
    /// A refresh that is under way, or of which nobody knows what it did.
    pub intent: Option<Intent>,
    /// Refreshes that failed in a row.
    pub failures: u32,
    /// No refresh before.
    pub retry_at: Option<DateTime<Utc>>,
    /// How the last one failed.
    pub last_error: Option<String>,
    /// The grant is dead.
    pub dead: Option<Dead>,
}

/// A refresh that was begun and has not succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Since when.
    pub since: DateTime<Utc>,
    /// It is under way; or the process died, if nobody holds the account's lock.
    pub is_open: bool,
}

/// That a grant is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why.
    pub cause: String,
}
