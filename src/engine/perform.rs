//! Calls to providers: how they leave, and what their results mean.

use super::inbox::Inbox;
use super::quota::Charge;
use super::turn::Outgoing;
use super::{Engine, Reading};
use crate::lifecycle::{Answer, Call, Failure, FailureKind, backoff};
use crate::log::{LogEvent, Time};
use crate::providers::{Provider, ProviderError, Room, RoomRequest, Shaped, Sight};
use crate::seams::{BoxFuture, Clock};
use crate::seeded_bug::{Bug, is_on};
use crate::store::{MeetingSpec, Record};
use crate::transport::LONGEST_PAUSE;
use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;

/// A driver keeps its own time limit; one that does not is cut off this much later.
const CALL_MARGIN: Duration = Duration::from_secs(30);
/// A provider that is missing in the schedule is looked for again after this.
const UNCONFIGURED_PAUSE: TimeDelta = TimeDelta::seconds(60);

/// Whether a spent quota lets something through is seen after this: it may have been raised.
const QUOTA_LOOKED_AFTER: TimeDelta = TimeDelta::hours(1);

/// An occurrence with a call under way: here is the truth about it, the store has a copy.
pub(super) struct InFlight {
    pub(super) record: Arc<Record>,
    /// Tells this call's result from that of an earlier one that was given up.
    ticket: u64,
    /// What it drew of a daily quota.
    pub(super) charge: Option<Charge>,
}

/// What came back of a call.
#[derive(Debug, Clone)]
pub(super) struct CallResult {
    pub(super) seq: i64,
    ticket: u64,
    outcome: Outcome,
    /// The store did not take what it brought; `outcome` says so.
    is_refused: bool,
}

impl CallResult {
    /// What came of the call.
    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Turns it into a failure, as the store does not take what it brought. Returns whether that is new.
    pub(super) fn refuse(&mut self) -> bool {
        let why = "what the provider answered contradicts what is known, such as a room of another meeting";
        let error = ProviderError::Rejected(why.to_owned());
        let call = match &self.outcome {
            Outcome::Create(_) => Call::Create,
            Outcome::Find(_) => Call::Find,
            Outcome::Look(_) => Call::Look,
            Outcome::Update(_) => Call::Update,
            Outcome::Close(_) => Call::Close,
            Outcome::Announce(_) => Call::Announce,
        };
        self.outcome = Outcome::failed(call, error);
        !std::mem::replace(&mut self.is_refused, true)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Create(Result<Shaped, ProviderError>),
    Find(Result<Option<Room>, ProviderError>),
    Look(Result<Sight, ProviderError>),
    Update(Result<Shaped, ProviderError>),
    Close(Result<(), ProviderError>),
    Announce(Result<(), ProviderError>),
}

impl Outcome {
    fn failed(call: Call, error: ProviderError) -> Self {
        match call {
            Call::Create => Self::Create(Err(error)),
            Call::Find => Self::Find(Err(error)),
            Call::Look => Self::Look(Err(error)),
            Call::Update => Self::Update(Err(error)),
            Call::Close => Self::Close(Err(error)),
            Call::Announce => Self::Announce(Err(error)),
        }
    }
}

/// Sends the result of a call, whatever becomes of its task.
struct Promise {
    inbox: Arc<Inbox>,
    seq: i64,
    ticket: u64,
    call: Call,
    outcome: Option<Outcome>,
}

impl Drop for Promise {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            // The task panicked or was dropped.
            Outcome::failed(self.call, ProviderError::OutcomeUnknown("the call broke off".to_owned()))
        });
        // Where the engine is gone nobody takes it, and the next start looks this call up.
        self.inbox.push(CallResult { seq: self.seq, ticket: self.ticket, outcome, is_refused: false });
    }
}

/// A call on its way out.
struct Leaving {
    wish: Wish,
    provider: Arc<dyn Provider>,
    limit: BoxFuture<'static, ()>,
    promise: Promise,
}

impl Leaving {
    async fn make(self) {
        let Self { wish, provider, limit, mut promise } = self;
        let outcome = tokio::select! {
            biased;
            outcome = wish.make(&provider) => outcome,
            () = limit => {
                let error = ProviderError::OutcomeUnknown("no answer in time".to_owned());
                Outcome::failed(promise.call, error)
            }
        };
        // Whatever else ends this task sends a result, too.
        promise.outcome = Some(outcome);
    }
}

impl Engine {
    /// Makes calls whose intents are committed.
    pub(super) fn perform(&mut self, calls: Vec<Outgoing>) {
        let mut leaving: Vec<Leaving> =
            calls.into_iter().filter_map(|outgoing| self.prepare(outgoing)).collect();
        match leaving.len() {
            0 => {}
            1 => leaving.into_iter().for_each(|call| drop(self.calls.spawn(call.make()))),
            // One wakes the runtime for all, and each begins where the runtime has a thread to spare.
            _ => drop(self.calls.spawn(async move {
                leaving.drain(..).for_each(|call| drop(tokio::spawn(call.make())));
            })),
        }
    }

    /// What leaves for a call; `None` when it cannot be made, which its result says.
    fn prepare(&mut self, outgoing: Outgoing) -> Option<Leaving> {
        let Outgoing { record, call, charge } = outgoing;
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let mut promise = Promise { inbox: self.inbox.clone(), seq: record.seq, ticket, call, outcome: None };
        self.host.log(&LogEvent::CallSent {
            occurrence: &record.id,
            provider: &record.provider,
            call: call.as_str(),
            attempt: u64::from(record.occurrence.attempts) + 1,
        });
        let lane = self.lanes.get(&record.provider);
        let provider = lane.and_then(|lane| lane.provider.clone());
        let spec = self.specs.get(&record.meeting);
        let leaving = match (provider, spec) {
            (Some(provider), Some(spec)) => {
                let limit = lane.map_or(super::NO_LIMITS.timeout, |lane| lane.limits.timeout);
                let mut limit = limit.saturating_add(CALL_MARGIN);
                let wish = Wish::of(&record, call, spec, &*self.clock);
                if let Wish::Announce { left, .. } = &wish {
                    // While it is under way nothing else is called: it must not stand in the way of the close.
                    limit = limit.min((*left / 2).to_std().unwrap_or_default());
                }
                let limit = self.clock.sleep(limit);
                Some(Leaving { wish, provider, limit, promise })
            }
            _ => {
                let error = format!("provider {:?} is not in the configuration", record.provider);
                promise.outcome = Some(Outcome::failed(call, ProviderError::Unavailable(error)));
                None
            }
        };
        self.in_flight.insert(record.seq, InFlight { record, ticket, charge });
        leaving
    }

    /// Whether a result is that of the call now under way.
    pub(super) fn is_awaited(&self, result: &CallResult) -> bool {
        self.in_flight.get(&result.seq).is_some_and(|in_flight| in_flight.ticket == result.ticket)
    }

    /// What a result means to the occurrence; notes what it says about the provider.
    pub(super) fn understand(&mut self, result: &CallResult, record: &Record, reading: Reading) -> Answer {
        let wall = reading.now.wall;
        let attempts = record.occurrence.attempts.saturating_add(1);
        let pause = backoff(attempts, u64::from_ne_bytes(record.seq.to_ne_bytes()));
        let lane = self.lanes.get_mut(&record.provider);
        let is_configured = lane.as_ref().is_some_and(|lane| lane.provider.is_some());
        let find_lag = lane
            .as_ref()
            .and_then(|lane| lane.provider.as_ref())
            .map_or(TimeDelta::zero(), |provider| provider.capabilities().find_lag);
        let mut limited_until = None;
        let mut failure = |error: ProviderError| {
            let retry_at = wall + if is_configured { pause } else { UNCONFIGURED_PAUSE };
            let message = error.to_string();
            let (kind, retry_at) = match error {
                ProviderError::Rejected(_) => (FailureKind::Rejected, retry_at),
                ProviderError::NotFound => (FailureKind::NotFound, retry_at),
                ProviderError::Unauthenticated(_) | ProviderError::Unavailable(_) => {
                    (FailureKind::NotDone, retry_at)
                }
                ProviderError::RateLimited { retry_at: until } => {
                    let until = until.unwrap_or(retry_at).clamp(wall, wall + LONGEST_PAUSE);
                    limited_until = Some(until);
                    (FailureKind::NotDone, until)
                }
                ProviderError::QuotaSpent { frees_at } => {
                    (FailureKind::NotDone, frees_at.clamp(retry_at, wall + QUOTA_LOOKED_AFTER))
                }
                ProviderError::OutcomeUnknown(_) => (FailureKind::Unknown, retry_at),
            };
            Failure { kind, message, retry_at }
        };
        if let Outcome::Create(Ok(shaped)) | Outcome::Update(Ok(shaped)) = &result.outcome
            && !shaped.differs.is_empty()
        {
            self.host.log(&LogEvent::RoomDiffers {
                occurrence: &record.id,
                provider: &record.provider,
                room_id: &shaped.room.id,
                differs: &shaped.differs.join(", "),
            });
        }
        let answer = match result.outcome.clone() {
            Outcome::Create(made) => Answer::Create(made.map(|shaped| shaped.room).map_err(&mut failure)),
            Outcome::Find(Ok(None)) => {
                // "None" is believed only when a room made just before would be visible by now.
                let visible_at = record.occurrence.asked_at.map_or(wall, |asked_at| asked_at + find_lag);
                Answer::Find(if visible_at <= wall {
                    Ok(None)
                } else {
                    let message = "not found yet, and a new room may still be invisible".to_owned();
                    Err(Failure { kind: FailureKind::Unknown, message, retry_at: visible_at })
                })
            }
            Outcome::Find(found) => Answer::Find(found.map_err(&mut failure)),
            Outcome::Look(seen) => Answer::Look(seen.map_err(&mut failure)),
            Outcome::Update(made) => Answer::Update(made.map(|shaped| shaped.room).map_err(&mut failure)),
            Outcome::Close(done) => Answer::Close(done.map_err(&mut failure)),
            Outcome::Announce(done) => Answer::Announce(done.map_err(&mut failure)),
        };
        if let (Some(until), Some(lane)) = (limited_until.filter(|_| !is_on(Bug::LimitIgnored)), lane) {
            let pause = (until - wall).to_std().unwrap_or_default();
            if lane.block(reading.boot.saturating_add(pause)) {
                self.host.log(&LogEvent::ProviderLimited { provider: &record.provider, until: Time(until) });
            }
        }
        answer
    }
}

/// A call with all that it needs.
enum Wish {
    Create(RoomRequest),
    Find(RoomRequest),
    Look(String),
    Update(String, RoomRequest),
    Close(String),
    Announce {
        room_id: String,
        text: String,
        /// The time up to the last close.
        left: TimeDelta,
    },
}

impl Wish {
    fn of(record: &Record, call: Call, spec: &MeetingSpec, clock: &dyn Clock) -> Self {
        let room_id = || record.occurrence.room.as_ref().map(|room| room.id.clone()).unwrap_or_default();
        match call {
            Call::Create => Self::Create(request(record, spec)),
            Call::Find => Self::Find(request(record, spec)),
            Call::Look => Self::Look(room_id()),
            Call::Update => Self::Update(room_id(), request(record, spec)),
            Call::Close => Self::Close(room_id()),
            Call::Announce => {
                let left = record.occurrence.last_close(&spec.policy) - clock.wall();
                Self::Announce { room_id: room_id(), text: spec.policy.warn.text_for(left), left }
            }
        }
    }

    async fn make(self, provider: &Arc<dyn Provider>) -> Outcome {
        match self {
            Self::Create(request) => Outcome::Create(provider.create(&request).await),
            Self::Find(request) => Outcome::Find(provider.find(&request).await),
            Self::Look(room_id) => Outcome::Look(provider.look(&room_id).await),
            Self::Update(room_id, request) => Outcome::Update(provider.update(&room_id, &request).await),
            Self::Close(room_id) => Outcome::Close(provider.close(&room_id).await),
            Self::Announce { room_id, text, .. } => {
                Outcome::Announce(provider.announce(&room_id, &text).await)
            }
        }
    }
}

/// What the record's room should be.
pub(super) fn request(record: &Record, spec: &MeetingSpec) -> RoomRequest {
    let life = &record.occurrence;
    RoomRequest {
        marker: record.marker.clone().unwrap_or_default(),
        title: record.title.clone().unwrap_or_else(|| spec.title.clone()),
        starts_at: life.times.starts_at,
        ends_at: life.ends_at(),
        closes_at: life.closes_at(&spec.policy),
        closes_at_latest: life.closes_at_latest(&spec.policy),
        spec: spec.room.clone(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::engine) fn any_result() -> CallResult {
        CallResult { seq: 1, ticket: 1, outcome: Outcome::Close(Ok(())), is_refused: false }
    }
}
