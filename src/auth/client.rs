//! What an account needs to ask for tokens.

use super::ScopeNeed;
use secrecy::SecretString;
use std::time::Duration;

/// How tokens are granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A person has consented once (`convened login`), and a refresh token stands for that; it may change with each use.
    RefreshToken,
    /// The application acts for the whole account (server to server): client id and secret are all it takes.
    AccountCredentials {
        /// The account.
        account_id: String,
    },
}

impl Grant {
    /// As it is written in the schedule and in the store.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RefreshToken => "refresh_token",
            Self::AccountCredentials { .. } => "account_credentials",
        }
    }
}

/// An application as it is registered with a service, for one provider. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// The provider's name; the tokens are kept under it.
    pub provider: String,
    /// How tokens are granted.
    pub grant: Grant,
    /// The application's public name.
    pub client_id: String,
    /// Its password.
    pub client_secret: SecretString,
    /// Scheme and host, with `/oauth` or without: `/oauth/authorize` and `/oauth/token` are there. Default `https://zoom.us`.
    pub auth_url: String,
    /// What the tokens must allow for the whole life of a room.
    pub scopes_needed: Vec<ScopeNeed>,
    /// Time limit of one request.
    pub timeout: Duration,
}

impl OAuthClient {
    /// Whether tokens that were asked for by `other` can be asked for by this one: it may know a newer secret, or need other
    /// scopes.
    pub fn is_same_application(&self, other: &Self) -> bool {
        self.provider == other.provider && self.grant == other.grant && self.client_id == other.client_id
    }

    /// Where tokens come from.
    pub(super) fn token_url(&self) -> String {
        self.url("token")
    }

    /// Where people consent.
    pub(super) fn authorize_url(&self) -> String {
        self.url("authorize")
    }

    fn url(&self, name: &str) -> String {
        let base = self.auth_url.trim_end_matches('/');
        format!("{}/oauth/{name}", base.strip_suffix("/oauth").unwrap_or(base))
    }
}
