//! Providers: configured accounts on video services, behind one trait.
//!
//! A driver translates six verbs to one vendor's wire and the vendor's answers to [`ProviderError`], and knows nothing
//! else: it neither sleeps, retries, loops nor counts quotas (the engine does, once for all), and nobody outside its
//! folder sees vendor JSON. What a vendor cannot do is data in [`Capabilities`].

#[cfg(test)]
mod conformance;
pub mod meeting_service;
pub mod zoom;

pub use crate::lifecycle::{Room, Sight};

use crate::seams::BoxFuture;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One configured account on one service.
///
/// Contract, checked by the conformance suite for every driver:
/// - `create` with a marker that was used before gives the room made then, where [`Capabilities::create_is_idempotent`]
///   says so; elsewhere the caller calls `find` first.
/// - After `create` returned a room, `find` with its marker finds it and `look` sees it open.
/// - `close` of a closed or missing room succeeds or says [`ProviderError::NotFound`]; it never re-opens or makes one.
/// - An error that leaves open whether the service acted is [`ProviderError::OutcomeUnknown`], nothing milder.
pub trait Provider: Send + Sync {
    /// What this account can and cannot do.
    fn capabilities(&self) -> &Capabilities;

    /// Makes the room, marked with `request.marker`.
    ///
    /// # Errors
    /// [`ProviderError::OutcomeUnknown`] when the room may exist all the same.
    fn create<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Shaped, ProviderError>>;

    /// The room that carries `request.marker`, open or closed; `None` when the service says definitely that there is none.
    /// What else the request says (who hosts it, when it starts) tells where to look.
    ///
    /// # Errors
    /// Any doubt (partial list, time-out) is an error, never `None`.
    fn find<'a>(&'a self, request: &'a RoomRequest) -> BoxFuture<'a, Result<Option<Room>, ProviderError>>;

    /// The room's state and occupancy.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`] only when the service says definitely that there is no such room.
    fn look<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<Sight, ProviderError>>;

    /// Brings title, times and settings of the room in line with `request`. Safe to repeat.
    ///
    /// # Errors
    /// [`ProviderError::Rejected`] when the service cannot change what differs.
    fn update<'a>(
        &'a self,
        room_id: &'a str,
        request: &'a RoomRequest,
    ) -> BoxFuture<'a, Result<Shaped, ProviderError>>;

    /// Closes the room: everyone leaves, nobody can join. Safe to repeat.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`] when there is no such room (any more).
    fn close<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Shows `text`, one plain line of at most 200 characters, to the people who are in the room. Only called where
    /// [`Capabilities::can_announce`] says so, and never repeated.
    ///
    /// # Errors
    /// Of no consequence but for the log; [`ProviderError::NotFound`] has the room looked at.
    fn announce<'a>(&'a self, _room_id: &'a str, _text: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(std::future::ready(Err(ProviderError::Rejected("it shows no messages in rooms".to_owned()))))
    }

    /// Whose daily quota ([`Capabilities::daily_quota`]) creating and updating this room draws on: one word for each, such
    /// as the host. `None`: nobody's.
    fn quota_of(&self, request: &RoomRequest) -> Option<String> {
        let _ = request;
        None
    }
}

/// A room that was made or changed, and what came of the wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shaped {
    /// The room.
    pub room: Room,
    /// The service was asked to write something. `false`: it was as wished already, and no quota was drawn on.
    pub is_written: bool,
    /// What the service left otherwise than wished: one line for each thing, without secrets.
    pub differs: Vec<String>,
}

impl From<Room> for Shaped {
    /// As wished.
    fn from(room: Room) -> Self {
        Self { room, is_written: true, differs: Vec::new() }
    }
}

/// What the room should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRequest {
    /// Our mark in the remote object, by which the room can be found again: 32 hexadecimal digits that nobody can guess,
    /// one for each generation of an occurrence's room.
    pub marker: String,
    /// The occurrence's title, at most 200 characters, without control characters.
    pub title: String,
    /// The scheduled start.
    pub starts_at: DateTime<Utc>,
    /// The end, extensions included.
    pub ends_at: DateTime<Utc>,
    /// When the daemon means to close the room: the end and the close delay.
    pub closes_at: DateTime<Utc>,
    /// The latest instant to which extensions could move `closes_at`: a service that closes rooms by itself must not
    /// do so earlier.
    pub closes_at_latest: DateTime<Utc>,
    /// What all rooms of the meeting have in common.
    pub spec: Arc<RoomSpec>,
}

/// What all rooms of a meeting have in common: one value for all occurrences.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RoomSpec {
    /// The IANA zone in which the meeting is planned, for services that show times in a zone of the room's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Who leads the meeting: addresses or ids, in the vendor's terms.
    pub hosts: Vec<String>,
    /// Who is invited.
    pub participants: Vec<Participant>,
    /// Portable settings.
    pub settings: Settings,
    /// Settings passed through to this kind as they are (`zoom = { … }` of a meeting).
    pub passthrough: serde_json::Map<String, serde_json::Value>,
}

/// Somebody invited to a meeting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Participant {
    /// Address or id, in the vendor's terms.
    pub id: String,
    /// The role in the meeting; `None` is the vendor's default.
    pub role: Option<Role>,
}

/// A participant's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May share and speak.
    Presenter,
    /// May speak.
    Attendee,
    /// May watch and listen.
    Consumer,
}

/// Portable settings of a room; `None` leaves the vendor's (or the account's) default.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Microphones are off when people come in.
    pub mute_on_entry: Option<bool>,
    /// People may come in as soon as the room exists, not only from the start on.
    pub join_before_host: Option<bool>,
    /// Recording from the start.
    pub recording: Option<Recording>,
    /// The password that people need to enter.
    pub password: Option<String>,
}

impl Settings {
    /// Whether the setting of that name asks for something.
    pub fn has(&self, name: &str) -> bool {
        match name {
            "mute_on_entry" => self.mute_on_entry.is_some(),
            "join_before_host" => self.join_before_host.is_some(),
            "recording" => self.recording.is_some_and(|recording| recording != Recording::None),
            "password" => self.password.is_some(),
            _ => false,
        }
    }
}

/// Where a meeting is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recording {
    /// Not at all.
    None,
    /// By the vendor.
    Cloud,
    /// On the host's machine.
    Local,
}

/// What an account can and cannot do. `check` and `plan` report from it what a schedule asks in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// A repeated create with the same marker gives the same room (client-chosen id or idempotency key).
    pub create_is_idempotent: bool,
    /// How long a new room may stay invisible to `find`: "none" is trusted only this long after the last create.
    pub find_lag: TimeDelta,
    /// `look` tells how many people are in the room.
    pub reports_occupancy: bool,
    /// `announce` shows a message in the room.
    pub can_announce: bool,
    /// The longest time before the start at which a room can be created; `None`: any.
    pub longest_lead: Option<TimeDelta>,
    /// How many creates and updates the service takes a day; `None`: no such limit.
    pub daily_quota: Option<DailyQuota>,
    /// Portable settings that have no counterpart, with what happens instead (`recording` → "is ignored").
    pub unsupported_settings: BTreeMap<&'static str, &'static str>,
}

/// A limit of creates and updates per UTC day, for each of what [`Provider::quota_of`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyQuota {
    /// So many a day.
    pub limit: u32,
    /// So many of them are kept for meetings that start on the same day.
    pub kept_for_today: u32,
    /// So many a close costs; it is never held back for that.
    pub close_costs: u32,
}

impl DailyQuota {
    /// The provider's day may begin a little later than ours.
    const DAY_MARGIN: TimeDelta = TimeDelta::seconds(60);

    /// When a quota that is spent at `now` begins anew: at the next 00:00 UTC.
    pub fn frees_at(now: DateTime<Utc>) -> DateTime<Utc> {
        let midnight = now.date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        midnight.unwrap_or(now) + Self::DAY_MARGIN
    }
}

/// Why a call failed, by what the caller must do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderError {
    /// Refused for good: the same request will be refused again.
    Rejected(String),
    /// The service says definitely that there is no such room.
    NotFound,
    /// The account's credentials are not accepted. Nothing was done.
    Unauthenticated(String),
    /// Too many requests; nothing was done. Not again before `retry_at`, where the service said so.
    RateLimited {
        /// The earliest instant for the next request of this account.
        retry_at: Option<DateTime<Utc>>,
    },
    /// The daily quota on which this call draws ([`Provider::quota_of`]) is spent; nothing was done. Calls that draw on
    /// another, or on none, go on.
    QuotaSpent {
        /// When it begins anew.
        frees_at: DateTime<Utc>,
    },
    /// The service did not take the request (not reached, or a definite "not now"). Nothing was done.
    Unavailable(String),
    /// Sent, and no answer that says what was done: look before doing it again.
    OutcomeUnknown(String),
}

impl std::fmt::Display for ProviderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rejected(why) => write!(f, "refused: {why}"),
            Self::NotFound => f.write_str("no such room"),
            Self::Unauthenticated(why) => write!(f, "credentials not accepted: {why}"),
            Self::RateLimited { retry_at: Some(at) } => {
                write!(f, "rate limited until {}", at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
            }
            Self::RateLimited { retry_at: None } => f.write_str("rate limited"),
            Self::QuotaSpent { frees_at } => write!(
                f,
                "the daily quota is spent, it frees at {}",
                frees_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            ),
            Self::Unavailable(why) => write!(f, "unavailable: {why}"),
            Self::OutcomeUnknown(why) => write!(f, "outcome unknown: {why}"),
        }
    }
}

impl std::error::Error for ProviderError {}
