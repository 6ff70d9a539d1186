//! Every event that the daemon logs: one declaration gives type, name, level and fields.

use chrono::{DateTime, SecondsFormat, Utc};
use tracing::Level;
use tracing::field::DisplayValue;

/// The `tracing` target of all events.
pub(super) const TARGET: &str = "convened";

/// An instant as it stands in the log: RFC 3339, UTC, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

/// Name, level and fields of an event, for `docs/events.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSpec {
    /// The stable name.
    pub name: &'static str,
    /// How serious it is.
    pub level: Level,
    /// The fields, in order; a field without a value is left out.
    pub fields: &'static [&'static str],
    /// What happened.
    pub meaning: &'static str,
}

impl EventSpec {
    /// For events that want somebody: what happened, to stand behind the fields where people read.
    pub(super) fn remark(&self) -> Option<&'static str> {
        (self.level <= Level::WARN).then(|| self.meaning.trim())
    }
}

/// How a field's type is handed to `tracing`.
trait FieldValue {
    type Value<'v>: tracing::Value
    where
        Self: 'v;
    fn field(&self) -> Self::Value<'_>;
}

impl FieldValue for &str {
    type Value<'v>
        = &'v str
    where
        Self: 'v;
    fn field(&self) -> &str {
        self
    }
}

impl FieldValue for u64 {
    type Value<'v> = Self;
    fn field(&self) -> Self {
        *self
    }
}

impl FieldValue for i64 {
    type Value<'v> = Self;
    fn field(&self) -> Self {
        *self
    }
}

impl FieldValue for Time {
    type Value<'v> = DisplayValue<&'v Self>;
    fn field(&self) -> DisplayValue<&Self> {
        tracing::field::display(self)
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    type Value<'v>
        = Option<T::Value<'v>>
    where
        Self: 'v;
    fn field(&self) -> Option<T::Value<'_>> {
        self.as_ref().map(FieldValue::field)
    }
}

/// How a field stands in the one-line message.
trait Shown {
    fn shown(&self) -> Option<String>;
}

impl Shown for &str {
    fn shown(&self) -> Option<String> {
        Some(super::format::quote(self))
    }
}

impl Shown for u64 {
    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Shown for i64 {
    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Shown for Time {
    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> Option<String> {
        self.as_ref().and_then(Shown::shown)
    }
}

macro_rules! log_events {
    ($($(#[doc = $doc:literal])+ $level:ident $variant:ident = $name:literal { $($field:ident: $kind:ty),* $(,)? })+) => {
        /// Something that the daemon tells. `docs/events.md` says what an operator does about each.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum LogEvent<'a> {
            $($(#[doc = $doc])+ #[allow(missing_docs, reason = "docs/events.md describes the fields, once for all")]
            $variant { $($field: $kind),* },)+
        }

        impl LogEvent<'_> {
            /// All events.
            pub const SPECS: &'static [EventSpec] = &[$(EventSpec {
                name: $name,
                level: Level::$level,
                fields: &[$(stringify!($field)),*],
                meaning: concat!($($doc),+),
            }),+];

            /// The stable name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name),+ }
            }

            /// What the event of that name is; `None` for events of libraries.
            pub(super) fn spec(name: &str) -> Option<&'static EventSpec> {
                Self::SPECS.iter().find(|spec| spec.name == name)
            }

            /// Hands the event to `tracing`.
            pub fn emit(&self) {
                match self {
                    $(Self::$variant { $($field),* } => tracing::event!(
                        name: $name,
                        target: TARGET,
                        Level::$level,
                        message = tracing::field::display(self),
                        event = $name,
                        $($field = FieldValue::field($field)),*
                    ),)+
                }
            }
        }

        /// The event on one line: `name field=value …`, and what it means where it wants somebody.
        impl std::fmt::Display for LogEvent<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())?;
                match self {
                    $(Self::$variant { $($field),* } => {
                        $(if let Some(value) = Shown::shown($field) {
                            write!(f, concat!(" ", stringify!($field), "={}"), value)?;
                        })*
                    })+
                }
                match Self::spec(self.name()).and_then(EventSpec::remark) {
                    Some(remark) => write!(f, "  # {remark}"),
                    None => Ok(()),
                }
            }
        }
    };
}

log_events! {
    /// The daemon starts.
    INFO DaemonStarted = "daemon.started" { version: &'a str, config: &'a str, state_dir: &'a str }
    /// The listener is bound.
    INFO DaemonListening = "daemon.listening" { address: &'a str, public_url: &'a str }
    /// This machine has no CA certificates: providers elsewhere cannot be reached over HTTPS.
    WARN DaemonWithoutCertificates = "daemon.no_certificates" {}
    /// The daemon could not start, or not go on.
    ERROR DaemonFailed = "daemon.failed" { error: &'a str }
    /// There is no journal to send the log to: it goes to standard error.
    WARN DaemonWithoutJournal = "daemon.no_journal" {}
    /// Calls were under way when the daemon last stopped; what became of them is being looked up.
    INFO DaemonRecovered = "daemon.recovered" { interrupted: u64 }
    /// The store is open, the schedule loaded and the listener bound.
    INFO DaemonReady = "daemon.ready" { meetings: u64, occurrences: u64, with_room: u64, next_at: Option<Time> }
    /// The daemon was asked to stop and takes no more work.
    INFO DaemonStopping = "daemon.stopping" { signal: &'a str, calls_in_flight: u64 }
    /// The daemon stopped; calls that were given up are recorded and looked up at the next start.
    INFO DaemonStopped = "daemon.stopped" { calls_given_up: u64 }

    /// A new schedule is in force.
    INFO ScheduleApplied = "schedule.applied" {
        meetings: u64, added: u64, changed: u64, removed: u64, occurrences_added: u64, moved: u64, cancelled: u64,
    }
    /// This program has other zone data than the one before: occurrences that begin at another instant by them were moved.
    INFO ScheduleZoneData = "schedule.zone_data" { before: &'a str, now: &'a str, moved: u64 }
    /// The schedule on disk is not valid and changes nothing: the one before stays in force until it is mended.
    ERROR ScheduleInvalid = "schedule.invalid" { location: &'a str, problems: u64 }
    /// One problem of the schedule on disk.
    ERROR ScheduleError = "schedule.error" { location: &'a str, problem: &'a str, help: Option<&'a str> }
    /// Something in the schedule that is probably not meant.
    WARN ScheduleWarning = "schedule.warning" { location: &'a str, problem: &'a str, help: Option<&'a str> }
    /// The schedule on disk would cancel much at once and is held until somebody says that it is meant.
    WARN ScheduleHeld = "schedule.held" {
        removed: u64, meetings: u64, cancelled: u64, with_room: u64, examples: &'a str, accept_with: &'a str,
    }
    /// The schedule on disk is in force again.
    INFO ScheduleMended = "schedule.mended" {}
    /// The schedule on disk was read again, and says what is in force already.
    INFO ScheduleUnchanged = "schedule.unchanged" {}
    /// A setting changed that is read only at the start.
    WARN ScheduleNeedsRestart = "schedule.needs_restart" { setting: &'a str }

    /// The time for the room has come; it is asked for.
    DEBUG RoomCreating = "room.creating" { occurrence: &'a str, provider: &'a str, reason: &'a str }
    /// The room exists.
    INFO RoomCreated = "room.created" {
        occurrence: &'a str, provider: &'a str, reason: &'a str, title: &'a str, starts_at: Time, room_id: &'a str,
        join_url: &'a str,
    }
    /// The room is asked for later than planned.
    WARN RoomLate = "room.late" { occurrence: &'a str, provider: &'a str, reason: &'a str, late_by_s: i64, starts_at: Time }
    /// Title, times or settings of the room were brought in line.
    INFO RoomUpdated = "room.updated" { occurrence: &'a str, provider: &'a str, ends_at: Time }
    /// The provider left something of the room otherwise than wished: locked by the account, or not to be changed any more.
    WARN RoomDiffers = "room.differs" { occurrence: &'a str, provider: &'a str, room_id: &'a str, differs: &'a str }
    /// The room was gone on two looks; another one is made.
    WARN RoomGone = "room.gone" { occurrence: &'a str, provider: &'a str, reason: &'a str, room_id: &'a str }
    /// A room that was gone, and for which another one was made, is there again; it is closed once nobody is in it.
    WARN RoomReturned = "room.returned" { occurrence: &'a str, provider: &'a str, occupancy: Option<u64> }
    /// The room is being closed.
    INFO RoomClosing = "room.closing" { occurrence: &'a str, provider: &'a str, reason: &'a str, occupancy: Option<u64> }
    /// The room was seen closed.
    INFO RoomClosed = "room.closed" { occurrence: &'a str, provider: &'a str, reason: &'a str }
    /// A room cannot be closed; the daemon keeps trying.
    ERROR RoomNotClosed = "room.not_closed" {
        occurrence: &'a str, provider: &'a str, attempts: u64, error: &'a str, join_url: &'a str,
    }
    /// How many people are in the room changed.
    DEBUG RoomOccupancy = "room.occupancy" { occurrence: &'a str, provider: &'a str, occupancy: Option<u64> }

    /// The scheduled start has come and the room is open.
    INFO MeetingLive = "meeting.live" { occurrence: &'a str, provider: &'a str, reason: &'a str, ends_at: Time }
    /// The planned end is over; people may stay until the room is closed.
    INFO MeetingEnded = "meeting.ended" { occurrence: &'a str, provider: &'a str, reason: &'a str, closes_at: Time }
    /// The end was moved later, as people are, or may be, in the room.
    INFO MeetingExtended = "meeting.extended" {
        occurrence: &'a str, provider: &'a str, reason: &'a str, occupancy: Option<u64>, ends_at: Time, closes_at: Time,
    }
    /// An extension was cut short, or not granted: the next occurrence of the same series or host begins.
    WARN MeetingYields = "meeting.yields" {
        occurrence: &'a str, provider: &'a str, next: &'a str, next_starts_at: Time, closes_at: Time,
    }
    /// The room closes soon, whoever is in it; `shown` says whether the room was told, or this log only.
    INFO MeetingWarned = "meeting.warned" {
        occurrence: &'a str, provider: &'a str, minutes: u64, closes_at: Time, shown: &'a str,
    }
    /// A warning before the close did not reach the room, or nobody knows; it is not repeated.
    WARN MeetingNotWarned = "meeting.not_warned" { occurrence: &'a str, provider: &'a str, closes_at: Time, error: &'a str }
    /// The schedule gives the occurrence other times.
    INFO MeetingRescheduled = "meeting.rescheduled" {
        occurrence: &'a str, provider: &'a str, reason: &'a str, starts_at: Time, ends_at: Time,
    }
    /// The meeting was removed from the schedule while people are, or may be, in its room: it ends by its rules.
    INFO MeetingFinishing = "meeting.finishing" { occurrence: &'a str, provider: &'a str, reason: &'a str, closes_at: Time }
    /// The meeting was taken out of the schedule and does not take place.
    INFO MeetingCancelled = "meeting.cancelled" { occurrence: &'a str, provider: &'a str, reason: &'a str }
    /// The meeting has or gets no room while it should have one, and calls fail.
    ERROR MeetingAtRisk = "meeting.at_risk" {
        occurrence: &'a str, provider: &'a str, starts_at: Time, attempts: u64, error: &'a str, retry_at: Time,
    }
    /// The meeting got no room: its window was over before anything could be done.
    ERROR MeetingMissed = "meeting.missed" { occurrence: &'a str, provider: &'a str, reason: &'a str, starts_at: Time, ends_at: Time }
    /// The meeting got no room: the provider refused for good, or it could not be made in time.
    ERROR MeetingFailed = "meeting.failed" { occurrence: &'a str, provider: &'a str, reason: &'a str, error: Option<&'a str> }

    /// A call was sent.
    DEBUG CallSent = "call.sent" { occurrence: &'a str, provider: &'a str, call: &'a str, attempt: u64 }
    /// A call failed and will be tried again.
    WARN CallFailed = "call.failed" {
        occurrence: &'a str, provider: &'a str, call: &'a str, attempts: u64, error: &'a str, retry_at: Time,
    }
    /// A call was refused for good.
    ERROR CallRejected = "call.rejected" { occurrence: &'a str, provider: &'a str, call: &'a str, error: &'a str }
    /// The provider takes no more requests until then.
    WARN ProviderLimited = "provider.limited" { provider: &'a str, until: Time }

    /// The provider says that the day's quota of a host is spent: nothing that draws on it is asked before it frees.
    WARN ProviderQuotaSpent = "provider.quota_spent" { provider: &'a str, quota: &'a str, limit: u64, frees_at: Time }

    /// A webhook that says it is this provider's was refused. Told once an hour at most.
    WARN WebhookRefused = "webhook.refused" { provider: &'a str, error: &'a str }

    /// The account's access token was refreshed.
    DEBUG AccountRefreshed = "account.refreshed" { provider: &'a str, generation: u64, expires_at: Time }
    /// A refresh failed and is tried again; the token from before is used as long as it is valid.
    WARN AccountRefreshFailed = "account.refresh_failed" {
        provider: &'a str, attempts: u64, error: &'a str, retry_at: Time, valid_until: Option<Time>,
    }
    /// A refresh was under way when the program last stopped: the same token is tried again.
    INFO AccountRecovered = "account.recovered" { provider: &'a str, since: Time }
    /// New tokens cannot be written. They are kept in memory, and not used until they are on disk.
    ERROR AccountNotSaved = "account.not_saved" { provider: &'a str, error: &'a str }
    /// The account's grant is dead: its rooms cannot be made, changed or closed until somebody logs in again.
    ERROR AccountDead = "account.dead" {
        provider: &'a str, cause: &'a str, since: Time, breaks: u64, meetings: &'a str, mend_with: &'a str,
    }
    /// Nobody has logged in to the account yet: its rooms cannot be made.
    ERROR AccountNotLoggedIn = "account.not_logged_in" {
        provider: &'a str, breaks: u64, meetings: &'a str, mend_with: &'a str,
    }
    /// The account is not set up right: its rooms cannot be made, changed or closed once the last token is over.
    ERROR AccountMisconfigured = "account.misconfigured" {
        provider: &'a str, error: &'a str, breaks: u64, meetings: &'a str,
    }
    /// The account works again.
    INFO AccountMended = "account.mended" { provider: &'a str }
    /// The account's tokens do not allow everything that is done in the life of a room.
    WARN AccountLacksScopes = "account.lacks_scopes" { provider: &'a str, missing: &'a str }

    /// The wall clock was set. Rooms are opened by it at once; ending and closing wait until the boot clock agrees.
    WARN ClockStepped = "clock.stepped" { by_s: i64, closing_waits_s: i64 }
    /// Wall clock and boot clock agree again.
    INFO ClockSettled = "clock.settled" {}

    /// The store cannot be written; no call is made until it can.
    ERROR StoreFailed = "store.failed" { error: &'a str }
    /// The store can be written again.
    INFO StoreRecovered = "store.recovered" {}
    /// The daily check of the whole store found damage, or could not be done.
    ERROR StoreDamaged = "store.damaged" { error: &'a str }
    /// Occurrences past their retention were forgotten.
    DEBUG StorePruned = "store.pruned" { occurrences: u64 }
    /// The built-in meeting service could not tidy up; it tries again in an hour.
    WARN MeetingServiceFailed = "meeting_service.failed" { error: &'a str }
}
