//! The rules by which an occurrence lives: from the schedule, resolved with its defaults.

use chrono::TimeDelta;

/// The rules for one meeting's occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Policy {
    /// How long before the start the room is created. Default 15 min, 0 s to 30 days.
    #[serde(with = "seconds")]
    pub create_ahead: TimeDelta,
    /// How long after the end the room is closed. Default 5 min, 0 s to 24 h.
    #[serde(with = "seconds")]
    pub close_delay: TimeDelta,
    /// Moves the end later while people are in the room; `None` closes it at its time, whoever is in it.
    pub extend: Option<Extend>,
    /// What happens to a live room whose meeting was removed from the schedule.
    pub on_removed: OnRemoved,
    /// How often a room that should be open is looked at. Default 5 min, 10 s to 1 h.
    #[serde(with = "seconds")]
    pub look_every: TimeDelta,
}

/// `extend = { while_occupied = true, step, max }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Extend {
    /// By how much the end moves each time. Default 10 min, 1 s to 24 h.
    #[serde(with = "seconds")]
    pub step: TimeDelta,
    /// How far in all the end may move past the scheduled one. Default 1 h, 1 s to 24 h, not below `step`.
    #[serde(with = "seconds")]
    pub max: TimeDelta,
}

/// What happens to a live room whose meeting was removed from the schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRemoved {
    /// Closed once nobody is in it, else it ends by its rules.
    #[default]
    Finish,
    /// Closed at once, whoever is in it.
    Close,
}

mod seconds {
    use chrono::TimeDelta;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &TimeDelta, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(value.num_seconds())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeDelta, D::Error> {
        TimeDelta::try_seconds(i64::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("duration out of range"))
    }
}
