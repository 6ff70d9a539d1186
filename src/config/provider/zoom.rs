//! `kind = "zoom"`.

use super::super::diagnostic::quote;
use super::super::reader::{Item, Section};
use super::super::secret::{self, SecretRef};
use super::super::url;
use super::{RateLimit, Secrets};
use crate::providers::DailyQuota;
use crate::providers::zoom::{AfterClose, BASE_URL, DAILY_QUOTA};
use std::path::Path;
use std::time::Duration;

/// One account on Zoom.
#[derive(Debug, Clone)]
pub struct ZoomConfig {
    /// How tokens are come by.
    pub grant: ZoomGrant,
    /// The app's client id.
    pub client_id: String,
    /// The app's client secret.
    pub client_secret: SecretRef,
    /// Who hosts meetings that name nobody: `me`, or a user's id or address.
    pub user: String,
    /// The API up to its version. Default `https://api.zoom.us/v2`.
    pub base_url: String,
    /// Where OAuth is. Default `https://zoom.us/oauth`.
    pub auth_url: String,
    /// The app's secret token, with which Zoom signs webhooks; `None`: none are taken.
    pub webhook_secret: Option<SecretRef>,
    /// Creates and updates a day for each host. Default 100, 1 to 1,000,000.
    pub daily_quota: u32,
    /// How many of them are kept for meetings that start on the same day. Default a fifth.
    pub kept_for_today: u32,
    /// How many meetings one host can have going on. Default 1, 1 to 100.
    pub concurrent_meetings: usize,
    /// What becomes of a meeting once it is closed. Default: it is deleted.
    pub after_close: AfterClose,
    /// The hosts' licence, where it was told.
    pub licence: Option<ZoomLicence>,
}

impl ZoomConfig {
    /// What a host has a day, and what of it is spent on what.
    pub fn quota(&self) -> DailyQuota {
        DailyQuota {
            limit: self.daily_quota,
            kept_for_today: self.kept_for_today.min(self.daily_quota),
            close_costs: u32::from(self.after_close == AfterClose::Keep),
        }
    }
}

/// How tokens are come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoomGrant {
    /// `grant = "refresh_token"`: somebody logs in once.
    RefreshToken,
    /// `grant = "account_credentials"`: the app has the account's rights (server-to-server).
    AccountCredentials {
        /// The account.
        account_id: String,
    },
}

/// What a host pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoomLicence {
    /// Meetings of 40 minutes at most.
    Basic,
    /// Meetings of 30 hours at most.
    Licensed,
}

/// The keys of this kind.
pub(in super::super) const KEYS: [&str; 17] = [
    "kind",
    "rate_limit",
    "max_in_flight",
    "timeout",
    "grant",
    "account_id",
    "client_id",
    "client_secret",
    "user",
    "base_url",
    "auth_url",
    "webhook_secret",
    "daily_quota",
    "concurrent_meetings",
    "reuse",
    "after_close",
    "licence",
];

/// Where OAuth is for everybody but accounts on government clouds.
const AUTH_URL: &str = "https://zoom.us/oauth";
/// One call makes up to four requests, and a Pro account takes 20 of the dearer ones a second.
pub(super) const RATE_LIMIT: RateLimit = RateLimit { requests: 4, per: Duration::from_secs(1) };

pub(super) fn read(
    section: &Section<'_>,
    provider: &str,
    folder: &Path,
    secrets: &mut Secrets,
) -> Option<ZoomConfig> {
    const GRANT: &str = "grant = \"refresh_token\"";
    section.check_keys(&KEYS);
    let mut secret = |item: Item<'_>| {
        let reference = secret::read_reference(&item, folder)?;
        secrets.push((format!("providers.{provider}.{}", item.name), reference.clone(), item.place()));
        Some(reference)
    };
    let is_account = section
        .require("grant", GRANT)
        .and_then(|item| item.choice(&[("refresh_token", false), ("account_credentials", true)]));
    let client_id =
        section.require("client_id", "client_id = \"…\"").and_then(|item| word(&item, "client_id = \"…\""));
    let client_secret = section
        .require("client_secret", "client_secret = { credential = \"zoom-client-secret\" }")
        .and_then(&mut secret);
    let webhook_secret = section.item("webhook_secret").map(&mut secret);
    let user_item = section.item("user");
    let user = user_item.as_ref().map(|item| word(item, "user = \"alice@example.com\""));
    let grant = match is_account? {
        false => {
            if let Some(item) = section.item("account_id") {
                let help = "leave it out, or write grant = \"account_credentials\"".to_owned();
                item.error("`account_id` has no meaning with grant \"refresh_token\"", help);
            }
            Some(ZoomGrant::RefreshToken)
        }
        true => section
            .require("account_id", "account_id = \"…\"")
            .and_then(|item| word(&item, "account_id = \"…\""))
            .map(|account_id| ZoomGrant::AccountCredentials { account_id }),
    };
    let user = match (is_account?, user) {
        (false, None) => Some("me".to_owned()),
        (false, Some(user)) => {
            if let (Some(user), Some(item)) = (&user, &user_item)
                && user != "me"
            {
                let help = "leave it out: meetings are those of whoever logs in; or write \
                            grant = \"account_credentials\""
                    .to_owned();
                item.error("with grant \"refresh_token\" the only `user` is \"me\"", help);
            }
            user
        }
        (true, None) => {
            section.missing("user", "user = \"alice@example.com\"");
            None
        }
        (true, Some(user)) => {
            if let (Some("me"), Some(item)) = (user.as_deref(), &user_item) {
                let help = "name a user: user = \"alice@example.com\"".to_owned();
                item.error("with grant \"account_credentials\" nobody is \"me\"", help);
            }
            user
        }
    };
    let number = |key, bounds| {
        section.item(key).and_then(|item: Item<'_>| item.integer(bounds)).and_then(|n| u32::try_from(n).ok())
    };
    let daily_quota = number("daily_quota", 1..=1_000_000).unwrap_or(DAILY_QUOTA);
    if let Some(item) = section.item("reuse")
        && item.choice(&[("occurrence", false), ("series", true)]) == Some(true)
    {
        item.error(
            "`reuse` \"series\" is not supported by this version",
            "write reuse = \"occurrence\"".to_owned(),
        );
    }
    let after_close = section
        .item("after_close")
        .and_then(|item| item.choice(&[("delete", AfterClose::Delete), ("keep", AfterClose::Keep)]));
    let licence = section
        .item("licence")
        .and_then(|item| item.choice(&[("basic", ZoomLicence::Basic), ("licensed", ZoomLicence::Licensed)]));
    let url_of = |key, default: &str, example| match section.item(key) {
        Some(item) => service_url(&item, example),
        None => Some(default.to_owned()),
    };
    Some(ZoomConfig {
        base_url: url_of("base_url", BASE_URL, "base_url = \"https://api.zoom.us/v2\"")?,
        auth_url: url_of("auth_url", AUTH_URL, "auth_url = \"https://zoom.us/oauth\"")?,
        grant: grant?,
        client_id: client_id?,
        client_secret: client_secret?,
        user: user?,
        webhook_secret: match webhook_secret {
            Some(secret) => Some(secret?),
            None => None,
        },
        daily_quota,
        kept_for_today: daily_quota / 5,
        concurrent_meetings: number("concurrent_meetings", 1..=100).unwrap_or(1) as usize,
        after_close: after_close.unwrap_or_default(),
        licence,
    })
}

fn service_url(item: &Item<'_>, example: &str) -> Option<String> {
    let url = url::read(item, example)?;
    if url.is_open_http {
        let help = "use https: tokens and secrets are sent there".to_owned();
        item.error(format!("`{}` is not encrypted", item.name), help);
        return None;
    }
    Some(url.text)
}

/// An id: in a header, a path or a form.
fn word(item: &Item<'_>, example: &str) -> Option<String> {
    let text = item.string(example)?;
    let is_word = (1..=320).contains(&text.len())
        && !text.contains(|c: char| c == ':' || c == '/' || c.is_whitespace() || c.is_control());
    if !is_word {
        let help = "1 to 320 characters, without spaces, `:` and `/`".to_owned();
        item.error(format!("`{}` cannot be {}", item.name, quote(text)), help);
    }
    is_word.then(|| text.to_owned())
}
