//! Pure. The life of an occurrence: states, events, rules, and the one function that changes a state.
//!
//! ```text
//! planned ─► creating ─► ready ─► live ─► ended ─► closing ─► closed
//!    │           │         │        │       │  ▲        │
//!    │           │         │        │       └──┘ extension (the end moves later, ended ─► live)
//!    │           └► failed (the provider refused for good, or its time is over)
//!    ├► missed  (nothing could be done while its window was open)
//!    └► cancelled (removed from the schedule; a room that exists is closed first, by rule)
//! ```
//!
//! [`step()`] takes an [`Occurrence`], an [`Event`], the [`Policy`] and [`Now`], and gives a [`Transition`]: the next
//! value, what changed with its [`Reason`], the [`Call`] to make (only for [`Event::Due`]) and the instant of the next
//! look. It reads no clock and performs nothing, so that the engine can commit the transition before it acts on it.
//!
//! Absent on purpose: I/O, randomness, provider names, retry loops. A call that failed is an event like any other.

mod event;
mod no_show;
mod occurrence;
mod policy;
mod reason;
mod retry;
mod state;
mod step;
mod stray;
mod time_rules;
mod warning;

pub use event::{Answer, Call, Event, Failure, FailureKind, Sight};
pub use occurrence::{Occurrence, Room, Times, Verdict};
pub use policy::{Extend, OnRemoved, Policy, Warn};
pub use reason::Reason;
pub use retry::{RETRY_FIRST, RETRY_LONGEST, backoff};
pub use state::State;
pub use step::{Change, Deadline, Next, Now, Surroundings, Transition, step, step_among};
pub use time_rules::{CONFIRM_AFTER, LATE_AFTER, asks_for_next, urgency};
pub use warning::{Warned, Warning};

#[cfg(test)]
mod tests;
