//! `convened login`.

mod answer;
pub(super) mod status;

use super::{ConfigArg, exit, show_problems, times};
use crate::auth::login::{self, Attempt, LoggedIn, LoginError};
use crate::auth::{Grant, OAuthClient, Outside, TokenKey, TokenStore};
use crate::config::Config;
use crate::daemon::{oauth, state_dir};
use crate::log::escape;
use crate::seams::{SystemClock, SystemEntropy, SystemFiles, SystemHost};
use crate::store::SqliteStore;
use crate::transport::HttpClient;
use anyhow::Context as _;
use chrono::Local;
use clap::Args;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Log in to an account elsewhere, so that the daemon can act for it.
///
/// Prints a URL to open in a browser. The answer comes by itself where the browser is on this machine; else paste the URL that
/// the browser was led to (its page need not load).
#[derive(Debug, Args)]
pub(super) struct Login {
    /// The provider, as the schedule file names it; not needed where only one needs a login
    provider: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
    /// The daemon's state folder, where it is not where the schedule file or the environment says
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Where the service leads the browser, exactly as it is registered there. One on this machine (http, 127.0.0.1, ::1 or
    /// localhost) is listened on; port 0 takes a free one, for services that allow that
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8687/callback")]
    redirect_url: String,
    /// Do not listen: take the answer from a pasted URL only
    #[arg(long)]
    paste: bool,
    /// Show how the accounts are: what is stored, until when, and what is wrong
    #[arg(long, conflicts_with_all = ["redirect_url", "paste"])]
    status: bool,
    /// With --status: one JSON object for each account
    #[arg(long, requires = "status")]
    json: bool,
}

impl Login {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let loaded = self.config.load();
        if self.status {
            let folder = self.state_dir(loaded.state_dir.as_deref())?;
            return status::show(&folder, loaded.config.as_ref(), self.provider.as_deref(), self.json);
        }
        let Some(config) = &loaded.config else {
            show_problems(&loaded);
            return Ok(ExitCode::from(exit::CONFIG));
        };
        let client = self.client(config)?;
        let folder = self.state_dir(config.daemon.state_dir.as_deref())?;
        state_dir::restrict_new_files();
        state_dir::prepare(&folder)?;
        let key = TokenKey::find(config.daemon.token_key.as_ref(), &SystemFiles).map_err(exit::Config)?;
        let outside = Outside {
            store: Arc::new(TokenStore::open(&folder, key, Arc::new(SystemEntropy))?),
            lock_dir: folder.clone(),
            transport: Arc::new(HttpClient::new().context("cannot set up HTTPS")?),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            host: Arc::new(SystemHost),
        };
        login::prepare(&client, &outside).map_err(exit_kind)?;
        let done = super::block_on(async {
            match client.grant {
                Grant::AccountCredentials { .. } => {
                    say(
                        "nothing to consent to: the account is acted for by the credentials in the schedule; trying them",
                    );
                    login::try_credentials(&client, &outside).await.map_err(exit_kind)
                }
                Grant::RefreshToken => self.with_consent(&client, &outside).await,
            }
        })?;
        tell(&client, &done, &folder)
    }

    async fn with_consent(&self, client: &OAuthClient, outside: &Outside) -> anyhow::Result<LoggedIn> {
        let door = if self.paste { None } else { answer::Door::open(&self.redirect_url).await? };
        let redirect_url = door.as_ref().map_or(self.redirect_url.as_str(), |door| door.url.as_str());
        let attempt = Attempt::begin(client, redirect_url, &SystemEntropy).map_err(exit::Config)?;
        say(&format!(
            "Open this URL in a browser, as the user whom {} is to act for, and consent:\n",
            client.provider
        ));
        writeln!(std::io::stdout(), "{}", attempt.authorize_url())?;
        std::io::stdout().flush()?;
        say(&match &door {
            Some(_) => format!(
                "\nWaiting for the browser to come back to {redirect_url}.\nIs it on another machine? Then paste here the URL \
                 that it was led to (its page need not load):"
            ),
            None => format!(
                "\nThen paste here the URL that the browser was led to: it begins with {redirect_url} (its page need not load):"
            ),
        });
        let code = answer::wait(Arc::new(attempt), door).await?;
        login::redeem(client, &code.0, &code.1, outside).await.map_err(exit_kind)
    }

    /// The application to log in for.
    fn client(&self, config: &Config) -> anyhow::Result<OAuthClient> {
        let clients: Vec<_> = config
            .providers
            .values()
            .filter_map(|provider| Some((provider.name.as_str(), oauth::client_of(provider, &SystemFiles)?)))
            .collect();
        let names = || clients.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let wanted = match (&self.provider, clients.as_slice()) {
            (_, []) => {
                anyhow::bail!(exit::Usage("no provider of the schedule file needs a login".to_owned()))
            }
            (Some(name), _) => name.as_str(),
            (None, [(only, _)]) => only,
            (None, _) => anyhow::bail!(exit::Usage(format!("which provider? One of {}", names()))),
        };
        if !config.providers.contains_key(wanted) {
            let wanted = escape(wanted);
            anyhow::bail!(exit::Usage(format!(
                "there is no provider {wanted:?}: a login is for one of {}",
                names()
            )));
        }
        let found = clients.iter().position(|(name, _)| *name == wanted);
        let Some((_, client)) = found.and_then(|at| clients.into_iter().nth(at)) else {
            anyhow::bail!(exit::Usage(format!("provider {wanted:?} needs no login")));
        };
        client.map_err(|why| exit::Config(why).into())
    }

    fn state_dir(&self, configured: Option<&Path>) -> anyhow::Result<PathBuf> {
        match &self.state_dir {
            Some(given) => Ok(given.clone()),
            None => state_dir::locate_existing(configured, SqliteStore::FILE_NAME),
        }
    }
}

/// What came of it. Missing scopes are an error of the application's settings: the login is kept all the same, as the service
/// may have ended the one before.
fn tell(client: &OAuthClient, done: &LoggedIn, folder: &Path) -> anyhow::Result<ExitCode> {
    let expires_at = times::day_and_time(done.expires_at, &Local);
    writeln!(
        std::io::stdout(),
        "{} works: its token is good until {expires_at} and refreshed by itself; kept in {}",
        client.provider,
        folder.join(TokenStore::FILE_NAME).display()
    )?;
    if done.missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::from(
        "\nBut these scopes are missing. Add them to the application at the service, and log in again:\n",
    );
    for need in &done.missing {
        text.push_str(&format!("  {need}\n"));
    }
    say(text.trim_end());
    Ok(ExitCode::from(exit::CONFIG))
}

/// With the exit code that fits.
fn exit_kind(error: LoginError) -> anyhow::Error {
    match error {
        LoginError::Misconfigured(_) | LoginError::KeyMissing => exit::Config(error.to_string()).into(),
        LoginError::Busy => exit::Later(error.to_string()).into(),
        LoginError::Store(error) => error.into(),
        LoginError::CodeRefused(_) | LoginError::Unavailable(_) => error.into(),
    }
}

/// To people, not to programs.
fn say(text: &str) {
    // Nobody to tell is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{text}");
}
