//! Daily quotas: how many creates and updates were asked of each host (or whatever a provider counts by) on this UTC day.
//!
//! A call is counted in the commit that records its intent, so that no crash forgets it; what its answer shows to have cost
//! nothing is given back. Calls come in the order of urgency, so that the earliest starts draw first; a part is kept for
//! meetings of the same day. What the provider counts besides (another program, a clock that differs) it says itself.

use super::perform::{Outcome, request};
use super::turn::Turn;
use super::{Engine, Reading};
use crate::lifecycle::{self, Answer, Call, Event, Failure, FailureKind, Occurrence, State, Transition};
use crate::log::{LogEvent, Time};
use crate::providers::{DailyQuota, ProviderError};
use crate::seams::Host;
use crate::store::{MeetingSpec, QuotaUse, Record, Store, StoreError};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::collections::HashMap;

/// What waits for a quota looks again after this: the quota may have been raised.
const LOOKED_AFTER: TimeDelta = TimeDelta::hours(1);

/// A call that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charge {
    provider: String,
    quota: String,
    day: NaiveDate,
    cost: u32,
    limit: u32,
}

/// What was used, as the store has it and as the turn under way will have it.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    /// `None`: to be read from the store.
    used: Option<HashMap<(String, String), (NaiveDate, u32)>>,
}

impl Quotas {
    /// Reads what the store has, unless it is known.
    pub(super) fn load(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        if self.used.is_none() {
            let used = store.quotas()?.into_iter();
            self.used = Some(used.map(|of| ((of.provider, of.quota), (of.day, of.used))).collect());
        }
        Ok(())
    }

    /// What was counted in a turn that did not commit was not counted.
    pub(super) fn forget(&mut self) {
        self.used = None;
    }

    fn used(&self, provider: &str, quota: &str, day: NaiveDate) -> u32 {
        let key = (provider.to_owned(), quota.to_owned());
        let found = self.used.as_ref().and_then(|used| used.get(&key));
        found.filter(|(of, _)| *of == day).map_or(0, |(_, used)| *used)
    }

    fn set(&mut self, charge: &Charge, used: u32) -> QuotaUse {
        let Charge { provider, quota, day, .. } = charge.clone();
        self.used.get_or_insert_default().insert((provider.clone(), quota.clone()), (day, used));
        QuotaUse { provider, quota, day, used }
    }

    /// Counts a call that is about to leave. The failure, where it may not: what its answer would have been.
    pub(super) fn draw(
        &mut self,
        limits: DailyQuota,
        quota: &str,
        record: &Record,
        call: Call,
        wall: DateTime<Utc>,
    ) -> Result<(Charge, QuotaUse), Failure> {
        let day = wall.date_naive();
        let cost = if call == Call::Close { limits.close_costs } else { 1 };
        let charge = Charge {
            provider: record.provider.clone(),
            quota: quota.to_owned(),
            day,
            cost,
            limit: limits.limit,
        };
        let used = self.used(&charge.provider, quota, day);
        let limit = if is_urgent(record, call, day) {
            limits.limit
        } else {
            limits.limit.saturating_sub(limits.kept_for_today)
        };
        // What is to be closed, is.
        if call == Call::Close || used < limit {
            let written = self.set(&charge, used.saturating_add(cost));
            return Ok((charge, written));
        }
        let frees_at = DailyQuota::frees_at(wall);
        let kept = match used < limits.limit {
            true => format!(", the rest is kept for meetings that start on {day}"),
            false => String::new(),
        };
        Err(Failure {
            kind: FailureKind::NotDone,
            message: format!(
                "the daily quota of {quota} is spent: {used} of {} used{kept}; it frees at {}",
                limits.limit,
                Time(frees_at)
            ),
            retry_at: frees_at.min(wall + LOOKED_AFTER),
        })
    }

    /// Brings the count in line with what came of a call. Returns what the store must be told.
    pub(super) fn settle(
        &mut self,
        charge: &Charge,
        outcome: &Outcome,
        wall: DateTime<Utc>,
        host: &dyn Host,
    ) -> Option<QuotaUse> {
        let used = self.used(&charge.provider, &charge.quota, charge.day);
        let is_free = match outcome {
            Outcome::Create(Ok(shaped)) | Outcome::Update(Ok(shaped)) => !shaped.is_written,
            Outcome::Create(Err(error)) | Outcome::Update(Err(error)) => match error {
                ProviderError::QuotaSpent { frees_at } => {
                    if used < charge.limit {
                        host.log(&LogEvent::ProviderQuotaSpent {
                            provider: &charge.provider,
                            quota: &charge.quota,
                            limit: charge.limit.into(),
                            frees_at: Time(*frees_at),
                        });
                    }
                    return (charge.day == wall.date_naive())
                        .then(|| self.set(charge, used.max(charge.limit)));
                }
                error => was_not_done(error),
            },
            Outcome::Close(Err(error)) => was_not_done(error),
            Outcome::Close(Ok(())) | Outcome::Find(_) | Outcome::Look(_) | Outcome::Announce(_) => false,
        };
        (is_free && charge.cost > 0 && used > 0).then(|| self.set(charge, used.saturating_sub(charge.cost)))
    }
}

/// A step, once its call has been charged for.
pub(super) struct Charged {
    pub(super) transition: Transition,
    /// What the call draws on a quota.
    pub(super) charge: Option<Charge>,
    /// The quota is spent, and this is news: what is told instead of the event that was stepped.
    pub(super) refusal: Option<Event>,
}

impl Engine {
    /// Draws on the daily quota that a step's call costs, where it costs any. Where that is spent, the call is not made, and
    /// the step goes on as if the provider had said so itself.
    pub(super) fn charged(
        &mut self,
        turn: &mut Turn,
        spec: &MeetingSpec,
        from: &Record,
        transition: Transition,
        reading: Reading,
    ) -> Charged {
        let wall = reading.now.wall;
        let drawn =
            transition.call.map_or(Ok(None), |call| self.draw(spec, from, &transition.next, call, wall));
        let failure = match drawn {
            Ok(None) => return Charged { transition, charge: None, refusal: None },
            Ok(Some((charge, used))) => {
                turn.batch.quotas.push(used);
                return Charged { transition, charge: Some(charge), refusal: None };
            }
            Err(failure) => failure,
        };
        // It is told once, and again when the meeting begins without a room.
        let is_news = from.occurrence.last_error.as_ref() != Some(&failure.message)
            || wall >= from.occurrence.times.starts_at;
        let answered = Event::Answered(match transition.call {
            Some(Call::Create) => Answer::Create(Err(failure)),
            _ => Answer::Update(Err(failure)),
        });
        let then = lifecycle::step(&transition.next, answered.clone(), &spec.policy, reading.now);
        let changes = [transition.changes, then.changes].concat();
        let warning = transition.warning.or(then.warning);
        let transition = Transition { changes, warning, ..then };
        Charged { transition, charge: None, refusal: is_news.then_some(answered) }
    }

    fn draw(
        &mut self,
        spec: &MeetingSpec,
        record: &Record,
        next: &Occurrence,
        call: Call,
        wall: DateTime<Utc>,
    ) -> Result<Option<(Charge, QuotaUse)>, Failure> {
        let provider = self.lanes.get(&record.provider).and_then(|lane| lane.provider.as_ref());
        let Some((provider, limits)) = provider.and_then(|p| Some((p, p.capabilities().daily_quota?))) else {
            return Ok(None);
        };
        let is_free = match call {
            Call::Create | Call::Update => false,
            Call::Close => limits.close_costs == 0,
            Call::Find | Call::Look | Call::Announce => true,
        };
        if is_free {
            return Ok(None);
        }
        let record = record.with(next.clone(), record.wake_at);
        let Some(quota) = provider.quota_of(&request(&record, spec)) else { return Ok(None) };
        self.quotas.draw(limits, &quota, &record, call, wall).map(Some)
    }
}

fn was_not_done(error: &ProviderError) -> bool {
    match error {
        ProviderError::NotFound
        | ProviderError::Unauthenticated(_)
        | ProviderError::RateLimited { .. }
        | ProviderError::QuotaSpent { .. }
        | ProviderError::Unavailable(_) => true,
        // What is refused may be counted all the same.
        ProviderError::Rejected(_) | ProviderError::OutcomeUnknown(_) => false,
    }
}

/// It may draw on what is kept for the day's own meetings: the room of a meeting that starts today, or its times before
/// that. The end of one that has begun is not urgent: the daemon keeps it, whatever the provider shows.
fn is_urgent(record: &Record, call: Call, day: NaiveDate) -> bool {
    let life = &record.occurrence;
    life.times.starts_at.date_naive() <= day && (call == Call::Create || life.state == State::Ready)
}
