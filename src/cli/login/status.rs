//! `convened login --status`.

use crate::auth::{Entry, OAuthClient, TokenStore, missing};
use crate::cli::table::{Align, Table};
use crate::cli::{exit, times};
use crate::config::Config;
use crate::daemon::oauth;
use crate::log::escape;
use crate::seams::{Clock as _, SystemClock, SystemEntropy};
use chrono::{DateTime, Local, Utc};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// One account as JSON. The names are a contract.
#[derive(serde::Serialize)]
struct Line<'a> {
    account: &'a str,
    state: &'static str,
    grant: &'a str,
    client_id: Option<&'a str>,
    generation: Option<u64>,
    encrypted: Option<bool>,
    expires_at: Option<String>,
    refreshed_at: Option<String>,
    logged_in_at: Option<String>,
    scopes: Vec<&'a str>,
    missing_scopes: Vec<String>,
    dead_since: Option<String>,
    dead_cause: Option<&'a str>,
    refresh_begun_at: Option<String>,
    failures: u32,
    retry_at: Option<String>,
    last_error: Option<&'a str>,
}

/// What the schedule file and the store have of one account.
struct Shown {
    name: String,
    client: Option<OAuthClient>,
    entry: Option<Entry>,
}

impl Shown {
    fn grant(&self) -> &str {
        match (&self.client, &self.entry) {
            (Some(client), _) => client.grant.name(),
            (None, Some(entry)) => &entry.grant_type,
            (None, None) => "",
        }
    }

    fn state(&self) -> &'static str {
        match (&self.client, &self.entry) {
            (_, Some(entry)) if entry.dead.is_some() => "dead",
            (None, _) => "unused",
            (Some(client), Some(entry))
                if entry.client_id != client.client_id || entry.grant_type != client.grant.name() =>
            {
                "other-application"
            }
            (Some(_), Some(_)) => "alive",
            (Some(client), None) if client.grant.name() == "refresh_token" => "not-logged-in",
            (Some(_), None) => "not-used-yet",
        }
    }

    fn missing(&self) -> Vec<String> {
        match (&self.client, &self.entry) {
            (Some(client), Some(entry)) => {
                missing(&client.scopes_needed, &entry.scopes).into_iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }

    fn line(&self) -> Line<'_> {
        let entry = self.entry.as_ref();
        let dead = entry.and_then(|entry| entry.dead.as_ref());
        Line {
            account: &self.name,
            state: self.state(),
            grant: self.grant(),
            client_id: entry.map(|entry| entry.client_id.as_str()),
            generation: entry.map(|entry| entry.generation),
            encrypted: entry.map(|entry| entry.is_sealed),
            expires_at: entry.map(|entry| times::rfc3339(entry.expires_at)),
            refreshed_at: entry.map(|entry| times::rfc3339(entry.issued_at)),
            logged_in_at: entry.and_then(|entry| entry.logged_in_at).map(times::rfc3339),
            scopes: entry.map(|entry| entry.scopes.iter().map(String::as_str).collect()).unwrap_or_default(),
            missing_scopes: self.missing(),
            dead_since: dead.map(|dead| times::rfc3339(dead.since)),
            dead_cause: dead.map(|dead| dead.cause.as_str()),
            refresh_begun_at: entry.and_then(|entry| entry.intent).map(|intent| times::rfc3339(intent.since)),
            failures: entry.map_or(0, |entry| entry.failures),
            retry_at: entry.and_then(|entry| entry.retry_at).map(times::rfc3339),
            last_error: entry.and_then(|entry| entry.last_error.as_deref()),
        }
    }

    fn cells(&self, now: DateTime<Utc>) -> [String; 6] {
        let at = |at: Option<DateTime<Utc>>| at.map(|at| times::day_and_time(at, &Local)).unwrap_or_default();
        let entry = self.entry.as_ref();
        let expires = match entry.map(|entry| entry.expires_at) {
            Some(expires_at) if expires_at <= now => "over".to_owned(),
            expires_at => at(expires_at),
        };
        let scopes = match (entry, self.missing().len()) {
            (None, _) => String::new(),
            (Some(entry), _) if entry.scopes.is_empty() => "not told".to_owned(),
            (Some(_), 0) => "all".to_owned(),
            (Some(_), n) => format!("{n} missing"),
        };
        let sealed = entry.map(|entry| if entry.is_sealed { "yes" } else { "no" }).unwrap_or_default();
        [
            self.name.clone(),
            self.state().to_owned(),
            expires,
            at(entry.map(|entry| entry.issued_at)),
            scopes,
            sealed.to_owned(),
        ]
    }

    /// What else there is to say, in sentences.
    fn remarks(&self, text: &mut String) {
        let name = &self.name;
        let at = |at: DateTime<Utc>| times::day_and_time(at, &Local);
        let needs_login = matches!(self.state(), "dead" | "not-logged-in" | "other-application");
        if let Some(entry) = &self.entry {
            if let Some(dead) = &entry.dead {
                let _ = writeln!(text, "{name}: dead since {}: {}", at(dead.since), escape(&dead.cause));
            }
            if let Some(intent) = entry.intent.filter(|_| entry.dead.is_none()) {
                let _ = writeln!(text, "{name}: a refresh was begun on {} and is not over", at(intent.since));
            }
            if let Some(error) = entry.last_error.as_ref().filter(|_| entry.dead.is_none()) {
                let retry =
                    entry.retry_at.map(|retry| format!(", next try {}", at(retry))).unwrap_or_default();
                let _ = writeln!(text, "{name}: {} ({} failures{retry})", escape(error), entry.failures);
            }
        }
        for need in self.missing() {
            let _ = writeln!(text, "{name}: missing scope: {}", escape(&need));
        }
        if needs_login {
            let _ = writeln!(text, "{name}: convened login {name}");
        }
    }
}

/// What `check` says of the accounts of the schedule, each with what to do. What is stored is said where this machine has a
/// token store that this user can read: elsewhere nobody knows.
pub(in crate::cli) fn problems(folder: Option<&Path>, config: &Config) -> Vec<(String, String)> {
    let applications = config.providers.values().filter_map(oauth::application_of);
    let clients: Vec<OAuthClient> = applications.map(|found| found.client).collect();
    let mut problems = rivals(&clients);
    let store = folder.and_then(|folder| TokenStore::open_read_only(folder, Arc::new(SystemEntropy)).ok()?);
    let Some(entries) = store.and_then(|store| store.entries().ok()) else { return problems };
    for client in clients {
        let name = client.provider.clone();
        let entry = entries.iter().find(|entry| entry.name == name).cloned();
        let shown = Shown { name: name.clone(), client: Some(client), entry };
        let login = format!("run `convened login {name}`");
        match shown.state() {
            "not-logged-in" => {
                problems.push((format!("nobody has logged in to provider \"{name}\" yet"), login.clone()));
            }
            "dead" => {
                let cause = shown.entry.as_ref().and_then(|entry| entry.dead.as_ref());
                let cause = cause.map(|dead| dead.cause.as_str()).unwrap_or_default();
                let message = format!("the grant of provider \"{name}\" is dead: {}", escape(cause));
                problems.push((message, login.clone()));
            }
            "other-application" => {
                let message =
                    format!("the tokens of provider \"{name}\" were given to another `client_id` or `grant`");
                problems.push((message, login.clone()));
            }
            _ => {}
        }
        for need in shown.missing() {
            let help = format!("add it to the application at the service, then {login}");
            problems
                .push((format!("the tokens of provider \"{name}\" lack the scope {}", escape(&need)), help));
        }
    }
    problems
}

/// Providers on one application: a service keeps one grant for each user and application.
fn rivals(clients: &[OAuthClient]) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        let before = clients.iter().take(n).find(|before| {
            before.client_id == client.client_id
                && before.grant == client.grant
                && before.auth_url == client.auth_url
        });
        if let Some(before) = before {
            let (one, other) = (&before.provider, &client.provider);
            problems.push((
                format!("providers \"{one}\" and \"{other}\" have the same `client_id`: the tokens of one put an end to the other's"),
                "register an application for each, unless they are of different users".to_owned(),
            ));
        }
    }
    problems
}

/// Shows every account of the schedule and of the store.
pub(super) fn show(
    folder: &Path,
    config: Option<&Config>,
    only: Option<&str>,
    is_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut shown = BTreeMap::new();
    if let Some(store) = TokenStore::open_read_only(folder, Arc::new(SystemEntropy))? {
        for entry in store.entries()? {
            let name = entry.name.clone();
            shown.insert(name.clone(), Shown { name, client: None, entry: Some(entry) });
        }
    }
    for provider in config.iter().flat_map(|config| config.providers.values()) {
        // Without its secret: what is shown here needs none, and only the unit may have it.
        if let Some(oauth::Application { client, .. }) = oauth::application_of(provider) {
            let entry = shown.remove(&provider.name).and_then(|shown: Shown| shown.entry);
            let name = provider.name.clone();
            shown.insert(name.clone(), Shown { name, client: Some(client), entry });
        }
    }
    if let Some(only) = only {
        shown.retain(|name, _| name == only);
        if shown.is_empty() {
            anyhow::bail!(exit::Usage(format!("there is no account {only:?}")));
        }
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if is_json {
        for shown in shown.values() {
            writeln!(out, "{}", serde_json::to_string(&shown.line())?)?;
        }
    } else {
        write!(out, "{}", text(&shown.into_values().collect::<Vec<_>>()))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn text(shown: &[Shown]) -> String {
    if shown.is_empty() {
        return "no provider needs a login\n".to_owned();
    }
    let mut table = Table::new(&[
        ("ACCOUNT", Align::Left),
        ("STATE", Align::Left),
        ("TOKEN UNTIL", Align::Left),
        ("REFRESHED", Align::Left),
        ("SCOPES", Align::Left),
        ("ENCRYPTED", Align::Left),
    ]);
    let now = SystemClock.wall();
    for shown in shown {
        table.row(shown.cells(now));
    }
    let mut text = table.to_string();
    for shown in shown {
        shown.remarks(&mut text);
    }
    text
}
