//! How a grant comes into being: the authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636).
//!
//! A person opens a URL in a browser, consents at the service, and is led back to a redirect URL with a code. That may be one
//! of this machine on which `convened login` listens; where the browser is elsewhere, the person brings the URL that it was
//! led to. Both are an [`Attempt::read_answer`].

use super::account::{Outside, lock_path};
use super::file_lock::FileLock;
use super::store::{NewPair, TokenStoreError, Tokens};
use super::wire::{self, Answer, Ask, Granted};
use super::{Grant, OAuthClient, ScopeNeed, missing};
use crate::seams::Entropy;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use url::Url;

/// How long a daemon that refreshes the same account is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(150);

/// A login that was begun: what the answer must fit.
#[derive(Debug)]
pub struct Attempt {
    state: SecretString,
    verifier: SecretString,
    redirect_url: String,
    authorize_url: String,
}

/// What the service gave for a person's consent; of use once, for some minutes.
#[derive(Debug)]
pub struct Code(SecretString);

/// Why what came is not the answer. None of these uses the attempt up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerError {
    /// It is no URL with an answer in it.
    NoAnswer,
    /// It belongs to another attempt, or to nobody: somebody may be trying to have us use an account of his.
    OtherState,
    /// The person said no, or the service did: its own words.
    Denied(String),
}

impl std::fmt::Display for AnswerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer => f.write_str(
                "this is not the URL that the browser was led to: it has `code=` and `state=` in it",
            ),
            Self::OtherState => f.write_str(
                "this answer belongs to another login (its `state` is another one): open the URL above once more",
            ),
            Self::Denied(words) => write!(f, "consent was denied: {words}"),
        }
    }
}

impl std::error::Error for AnswerError {}

/// Why a login failed. What was stored before stays.
#[derive(Debug)]
pub enum LoginError {
    /// The code was used before, is too old, or belongs to another attempt.
    CodeRefused(String),
    /// The service does not accept the application: an operator's error.
    Misconfigured(String),
    /// Not now, or no answer.
    Unavailable(String),
    /// The token store cannot be written.
    Store(TokenStoreError),
    /// The stored tokens are encrypted, and no key was given: the new ones would be plain.
    KeyMissing,
    /// Another process has been refreshing the account for long.
    Busy,
}

impl std::fmt::Display for LoginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CodeRefused(why) => write!(
                f,
                "the service does not accept the code ({why}): it is good once, and for some minutes; run the login again"
            ),
            Self::Misconfigured(why) => write!(f, "the service does not accept the application: {why}"),
            Self::Unavailable(why) => write!(f, "the service gave no tokens: {why}"),
            Self::Store(error) => write!(f, "{error}"),
            Self::KeyMissing => write!(f, "{}", super::KeyError::Missing),
            Self::Busy => f.write_str("another process has been refreshing this account for long: try again"),
        }
    }
}

impl std::error::Error for LoginError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TokenStoreError> for LoginError {
    fn from(error: TokenStoreError) -> Self {
        Self::Store(error)
    }
}

/// A login that succeeded.
#[derive(Debug)]
pub struct LoggedIn {
    /// The generation of the new tokens.
    pub generation: u64,
    /// When the access token expires.
    pub expires_at: DateTime<Utc>,
    /// What the tokens allow.
    pub scopes: BTreeSet<String>,
    /// What they should allow besides.
    pub missing: Vec<ScopeNeed>,
}

impl Attempt {
    /// Begins a login that leads back to `redirect_url`, as it is registered with the service.
    ///
    /// # Errors
    /// When `auth_url` of the client is no URL.
    pub fn begin(client: &OAuthClient, redirect_url: &str, entropy: &dyn Entropy) -> Result<Self, String> {
        let secret = || {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            URL_SAFE_NO_PAD.encode(bytes)
        };
        let (state, verifier) = (secret(), secret());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut url =
            Url::parse(&client.authorize_url()).map_err(|_| "`auth_url` is not a URL".to_owned())?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.client_id)
            .append_pair("redirect_uri", redirect_url)
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Self {
            state: state.into(),
            verifier: verifier.into(),
            redirect_url: redirect_url.to_owned(),
            authorize_url: url.into(),
        })
    }

    /// What a person is to open.
    pub fn authorize_url(&self) -> &str {
        &self.authorize_url
    }

    /// The code in the URL that the browser was led to; its query alone (`?code=…`) will do.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn read_answer(&self, url: &str) -> Result<Code, AnswerError> {
        let url = url.trim();
        let query = url.split_once('?').map_or(url, |(_, query)| query);
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let value = |key: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned()).filter(|v| !v.is_empty())
        };
        let (code, error) = (value("code"), value("error"));
        if code.is_none() && error.is_none() {
            return Err(AnswerError::NoAnswer);
        }
        let state = value("state").unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(self.state.expose_secret().as_bytes())) {
            return Err(AnswerError::OtherState);
        }
        match (error, code) {
            (None, Some(code)) => Ok(Code(code.into())),
            (error, _) => {
                let words = [error, value("error_description")].into_iter().flatten();
                let words = words.collect::<Vec<_>>().join(": ");
                Err(AnswerError::Denied(wire::shown(&words, &[&self.state])))
            }
        }
    }
}

/// Whether a login could be stored: before somebody is asked to consent, which ends the grant from before at some services.
///
/// # Errors
/// [`LoginError::KeyMissing`], [`LoginError::Store`].
pub fn prepare(client: &OAuthClient, outside: &Outside) -> Result<(), LoginError> {
    let row = outside.store.row(&client.provider)?;
    if row.is_some_and(|row| row.entry.is_sealed) && !outside.store.has_key() {
        return Err(LoginError::KeyMissing);
    }
    Ok(())
}

/// Turns the code into tokens, and stores them; from then on they are in force, for a running daemon as well.
///
/// # Errors
/// See [`LoginError`].
pub async fn redeem(
    client: &OAuthClient,
    attempt: &Attempt,
    code: &Code,
    outside: &Outside,
) -> Result<LoggedIn, LoginError> {
    let ask = Ask::Code { code: &code.0, redirect_url: &attempt.redirect_url, verifier: &attempt.verifier };
    obtain(client, &ask, &[&code.0, &attempt.verifier], outside).await
}

/// For an account that acts by its credentials alone: there is nothing to consent to, but it can be tried, and its scopes
/// checked.
///
/// # Errors
/// See [`LoginError`].
pub async fn try_credentials(client: &OAuthClient, outside: &Outside) -> Result<LoggedIn, LoginError> {
    let Grant::AccountCredentials { account_id } = &client.grant else {
        return Err(LoginError::Misconfigured("somebody has to log in to this account".to_owned()));
    };
    obtain(client, &Ask::AccountCredentials { account_id }, &[], outside).await
}

async fn obtain(
    client: &OAuthClient,
    ask: &Ask<'_>,
    secrets: &[&SecretString],
    outside: &Outside,
) -> Result<LoggedIn, LoginError> {
    prepare(client, outside)?;
    // A daemon that refreshes just now comes first: what it gets would come to nothing, or put an end to what we get.
    let path = lock_path(&outside.lock_dir, &client.provider);
    let lock = FileLock::take(&path, LOCK_PATIENCE, &*outside.clock)
        .await
        .map_err(|error| LoginError::Unavailable(format!("cannot lock the account: {error}")))?;
    let Some(_lock) = lock else { return Err(LoginError::Busy) };
    let request = wire::request(client, ask).ok_or_else(|| {
        LoginError::Misconfigured(
            "`auth_url`, `client_id` and `client_secret` do not make a request".to_owned(),
        )
    })?;
    let answer = outside.transport.send(request, client.timeout).await;
    let secrets: Vec<&SecretString> = secrets.iter().copied().chain([&client.client_secret]).collect();
    match wire::understand(answer, outside.clock.wall(), &secrets) {
        Answer::Granted(granted) => save(client, granted, outside).await,
        Answer::Refused(why) => Err(LoginError::CodeRefused(why)),
        Answer::Misconfigured(why) => Err(LoginError::Misconfigured(why)),
        Answer::NotNow { why, .. } | Answer::Lost(why) => Err(LoginError::Unavailable(why)),
    }
}

async fn save(client: &OAuthClient, granted: Granted, outside: &Outside) -> Result<LoggedIn, LoginError> {
    let needs_refresh = client.grant == Grant::RefreshToken;
    if needs_refresh && granted.refresh_token.is_none() {
        return Err(LoginError::Unavailable(
            "the answer holds no refresh token: is the application registered as one that acts for people?"
                .to_owned(),
        ));
    }
    let issued_at = outside.clock.wall();
    let expires_at = issued_at + granted.life;
    let scopes = granted.scopes.unwrap_or_default();
    let pair = NewPair {
        tokens: Tokens {
            access: granted.access_token,
            refresh: granted.refresh_token.filter(|_| needs_refresh),
            previous: None,
        },
        scopes: scopes.clone(),
        issued_at,
        expires_at,
    };
    let (name, client_id, grant) = (client.provider.clone(), client.client_id.clone(), client.grant.name());
    let logged_in_at = needs_refresh.then_some(issued_at);
    let generation =
        outside.store.run(move |store| store.put(&name, grant, &client_id, logged_in_at, &pair)).await?;
    let missing = missing(&client.scopes_needed, &scopes).into_iter().cloned().collect();
    Ok(LoggedIn { generation, expires_at, scopes, missing })
}
