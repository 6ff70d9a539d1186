//! `[providers.<name>]`.

mod zoom;

pub(super) use zoom::KEYS as ZOOM_KEYS;
pub use zoom::{ZoomConfig, ZoomGrant, ZoomLicence};

use super::diagnostic::quote;
use super::problems::Place;
use super::reader::{Item, Section};
use super::secret::{self, SecretRef};
use super::suggest::nearest;
use super::url;
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// One `[providers.*]` table.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its name: 1 to 64 of `a-z`, `0-9`, `-`.
    pub name: String,
    /// `rate_limit = "10/s"`; `None`: none known. Default for Zoom: 4 calls a second.
    pub rate_limit: Option<RateLimit>,
    /// Most requests at the same time. Default 32, 1 to 1024.
    pub max_in_flight: usize,
    /// Time limit of one request. Default 30 s, 1 s to 5 min.
    pub timeout: Duration,
    /// What is special to the kind.
    pub kind: ProviderKind,
}

/// Requests per time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// So many requests, 1 to 100 000,
    pub requests: u32,
    /// in this time: a second, a minute, an hour.
    pub per: Duration,
}

/// What is special to a kind.
#[derive(Debug, Clone)]
pub enum ProviderKind {
    /// `kind = "meeting-service"`.
    MeetingService(MeetingServiceConfig),
    /// `kind = "zoom"`.
    Zoom(Box<ZoomConfig>),
}

impl ProviderKind {
    /// As it is written in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MeetingService(_) => MEETING_SERVICE,
            Self::Zoom(_) => ZOOM,
        }
    }
}

/// Which meeting service.
#[derive(Debug, Clone)]
pub enum MeetingServiceConfig {
    /// The daemon's own.
    BuiltIn,
    /// One elsewhere.
    Remote {
        /// `http(s)://host[:port]`.
        base_url: String,
        /// Path under which the API lives, without a `/` at its end. Default `/scenario/meeting`.
        prefix: String,
        /// The App ID in the paths of the API. Default `convened`.
        app_id: String,
        /// Customer id and secret for Basic authentication, where the service asks for it.
        customer: Option<(String, SecretRef)>,
        /// The admin secret for the extensions.
        admin_secret: SecretRef,
    },
}

/// The name of the provider that there is when none is configured.
pub const DEFAULT_PROVIDER: &str = "house";
/// Most providers.
const MAX_PROVIDERS: usize = 1_000;
const MEETING_SERVICE: &str = "meeting-service";
const ZOOM: &str = "zoom";
/// What this version supports.
const SUPPORTED: &str = "this version supports \"meeting-service\" and \"zoom\"";
/// All kinds. This version supports the first two.
pub(super) const KINDS: [&str; 6] =
    [MEETING_SERVICE, ZOOM, "azure-rooms", "agora-conference", "vonage-meetings", "vonage-video"];

pub(super) const KEYS: [&str; 11] = [
    "kind",
    "rate_limit",
    "max_in_flight",
    "timeout",
    "base_url",
    "prefix",
    "api",
    "app_id",
    "customer_id",
    "customer_secret",
    "admin_secret",
];

/// Keys that only a remote meeting service has.
const REMOTE_KEYS: [&str; 5] = ["prefix", "app_id", "customer_id", "customer_secret", "admin_secret"];

/// A provider as it was read.
pub(super) struct Entry {
    pub(super) place: Place,
    /// `None` when something is wrong with it.
    pub(super) config: Option<ProviderConfig>,
    /// Its secrets: key and reference, and where the key stands.
    pub(super) secrets: Vec<(String, SecretRef, Place)>,
}

/// Adds the providers of one file.
pub(super) fn read_all(item: &Item<'_>, folder: &Path, providers: &mut BTreeMap<String, Entry>) {
    let Some(table) = item.value().as_table() else {
        item.wrong_type("a table of tables", "[providers.house]");
        return;
    };
    let problems = item.context.problems;
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let place = Place { file: item.context.file, span: Some(key.span()) };
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name {
            let message = format!("a provider cannot be named {}", quote(name));
            problems.error(&place, message, "it can have 1 to 64 of a-z, 0-9 and -".to_owned());
        }
        if let Some(other) = providers.get(name) {
            let other = problems.location(&other.place);
            problems.error(&place, format!("provider {} is already defined at {other}", quote(name)), None);
            continue;
        }
        if providers.len() >= MAX_PROVIDERS {
            problems.error(&place, format!("more than {MAX_PROVIDERS} providers"), None);
            return;
        }
        let mut entry = Entry { place, config: None, secrets: Vec::new() };
        entry.config = read(&Item::new(item.context, name, value), folder, &mut entry.secrets);
        providers.insert(name.to_owned(), entry);
    }
}

type Secrets = Vec<(String, SecretRef, Place)>;

fn read(item: &Item<'_>, folder: &Path, secrets: &mut Secrets) -> Option<ProviderConfig> {
    const EXAMPLE: &str = "kind = \"meeting-service\"";
    let section = item.any_section("[providers.house]")?;
    let kind = section.require("kind", EXAMPLE)?;
    let name = kind.string(EXAMPLE)?;
    if name != MEETING_SERVICE && name != ZOOM {
        if KINDS.contains(&name) {
            let message = format!("kind {} is not supported by this version", quote(name));
            kind.error(message, SUPPORTED.to_owned());
        } else {
            let help = match nearest(name, KINDS) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => SUPPORTED.to_owned(),
            };
            kind.error(format!("unknown kind {}", quote(name)), help);
        }
        return None;
    }
    let kind = if name == ZOOM {
        zoom::read(&section, item.name, folder, secrets).map(Box::new).map(ProviderKind::Zoom)
    } else {
        section.check_keys(&KEYS);
        meeting_service(&section, item.name, folder, secrets).map(ProviderKind::MeetingService)
    };
    let in_flight = section.item("max_in_flight").and_then(|item| item.integer(1..=1024));
    let timeout = section
        .item("timeout")
        .and_then(|item| item.duration(TimeDelta::seconds(1)..=TimeDelta::minutes(5), "30s"))
        .and_then(|timeout| timeout.to_std().ok());
    Some(ProviderConfig {
        name: item.name.to_owned(),
        rate_limit: section
            .item("rate_limit")
            .and_then(|item| rate_limit(&item))
            .or((name == ZOOM).then_some(zoom::RATE_LIMIT)),
        max_in_flight: in_flight.and_then(|count| count.try_into().ok()).unwrap_or(32),
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        kind: kind?,
    })
}

fn rate_limit(item: &Item<'_>) -> Option<RateLimit> {
    const EXAMPLE: &str = "rate_limit = \"10/s\"";
    let text = item.string(EXAMPLE)?;
    let limit = text.split_once('/').and_then(|(requests, per)| {
        let is_number = !requests.is_empty() && requests.bytes().all(|b| b.is_ascii_digit());
        let requests =
            requests.parse().ok().filter(|requests| is_number && (1..=100_000).contains(requests))?;
        let seconds = match per {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(RateLimit { requests, per: Duration::from_secs(seconds) })
    });
    if limit.is_none() {
        let help = format!("write 1 to 100000 requests per s, m or h, for example {EXAMPLE}");
        item.error(format!("`rate_limit` is not a rate: {}", quote(text)), help);
    }
    limit
}

fn meeting_service(
    section: &Section<'_>,
    provider: &str,
    folder: &Path,
    secrets: &mut Secrets,
) -> Option<MeetingServiceConfig> {
    if let Some(item) = section.item("api")
        && item.choice(&[("v1", false), ("v2", true)]) == Some(true)
    {
        item.error("`api` \"v2\" is not supported by this version", "write api = \"v1\"".to_owned());
    }
    let Some(base) = section.item("base_url") else {
        for item in REMOTE_KEYS.into_iter().filter_map(|key| section.item(key)) {
            let help = "add `base_url` if the service runs elsewhere, else leave this out".to_owned();
            item.error(format!("`{}` has no meaning for the built-in meeting service", item.name), help);
        }
        return Some(MeetingServiceConfig::BuiltIn);
    };
    let mut secret = |item: Item<'_>| {
        let reference = secret::read_reference(&item, folder)?;
        secrets.push((format!("providers.{provider}.{}", item.name), reference.clone(), item.place()));
        Some(reference)
    };
    let base_url = base_url(&base);
    let prefix = section.item("prefix").and_then(|item| prefix(&item));
    let app_id = section.item("app_id").and_then(|item| app_id(&item));
    let customer_id = section.item("customer_id").map(|item| customer_id(&item));
    let customer_secret = section.item("customer_secret").map(&mut secret);
    let customer = match (customer_id, customer_secret) {
        (Some(id), Some(secret)) => id.zip(secret),
        (None, None) => None,
        (Some(_), None) => {
            section.missing("customer_secret", "customer_secret = { credential = \"name\" }");
            None
        }
        (None, Some(_)) => {
            section.missing("customer_id", "customer_id = \"…\"");
            None
        }
    };
    let admin_secret =
        section.require("admin_secret", "admin_secret = { credential = \"name\" }").and_then(secret);
    Some(MeetingServiceConfig::Remote {
        base_url: base_url?,
        prefix: prefix.unwrap_or_else(|| "/scenario/meeting".to_owned()),
        app_id: app_id.unwrap_or_else(|| "convened".to_owned()),
        customer,
        admin_secret: admin_secret?,
    })
}

fn base_url(item: &Item<'_>) -> Option<String> {
    let url = url::read(item, "base_url = \"https://meetings.example.com\"")?;
    if !url.path.is_empty() {
        item.error("`base_url` must not have a path", format!("write prefix = {}", quote(&url.path)));
        return None;
    }
    if url.is_open_http {
        let help = "use https, or make sure that nobody else is on that network".to_owned();
        item.warning("`base_url` is not encrypted: secrets and links can be read on the way", help);
    }
    Some(url.text)
}

fn prefix(item: &Item<'_>) -> Option<String> {
    const EXAMPLE: &str = "prefix = \"/scenario/meeting\"";
    let text = item.string(EXAMPLE)?;
    let is_path = text.len() <= 200
        && (text.is_empty() || text.starts_with('/'))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b))
        && !text.split('/').any(|part| matches!(part, "." | ".."));
    if !is_path {
        let help = format!("it begins with / and has letters, digits and - . _ ~ /, for example {EXAMPLE}");
        item.error(format!("`prefix` is not a path: {}", quote(text)), help);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn app_id(item: &Item<'_>) -> Option<String> {
    let text = item.string("app_id = \"convened\"")?;
    let is_id = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !text.bytes().all(|b| b == b'.');
    if !is_id {
        let help = "it can have 1 to 64 letters, digits, `.`, `_` and `-`".to_owned();
        item.error(format!("`app_id` cannot be {}", quote(text)), help);
    }
    is_id.then(|| text.to_owned())
}

/// The user name of HTTP's Basic authentication, which has no `:`.
fn customer_id(item: &Item<'_>) -> Option<String> {
    let text = item.string("customer_id = \"…\"")?;
    let is_id = (1..=200).contains(&text.len()) && !text.contains(|c: char| c == ':' || c.is_control());
    if !is_id {
        item.error("`customer_id` must have 1 to 200 characters, without `:`", None);
    }
    is_id.then(|| text.to_owned())
}
