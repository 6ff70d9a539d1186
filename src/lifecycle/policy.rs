//! The rules by which an occurrence lives: from the schedule, resolved with its defaults.

use chrono::TimeDelta;

/// The rules for one meeting's occurrences.
///
/// What is at its default is left out where this is written as JSON, for rules that came later: fingerprints of meetings
/// that do not have them stay what they were.
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
    /// Closes the room early when nobody has come so long after the start; `None`: never. 1 min to 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_seconds")]
    pub no_show: Option<TimeDelta>,
    /// What people in the room, and the log, are told before the room closes.
    #[serde(default, skip_serializing_if = "Warn::is_default")]
    pub warn: Warn,
}

/// `warn = [..]` and `warn_text`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Warn {
    /// How long before the last close that is possible, each 1 min to 24 h; the longest first, none twice. Empty: never.
    #[serde(with = "list_of_seconds")]
    pub before: Vec<TimeDelta>,
    /// What the room is told; [`Warn::MINUTES`] in it stands for the minutes that are left.
    pub text: String,
}

impl Warn {
    /// The placeholder of the minutes that are left.
    pub const MINUTES: &str = "{minutes}";
    /// The text that is told where the schedule gives none.
    pub const DEFAULT_TEXT: &str = "This room closes in {minutes} min.";

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What the room is told when it closes in `left`: minutes, rounded, but one at least.
    pub fn text_for(&self, left: TimeDelta) -> String {
        let minutes = ((left.num_seconds() + 30) / 60).max(1);
        self.text.replace(Self::MINUTES, &minutes.to_string())
    }
}

impl Default for Warn {
    fn default() -> Self {
        Self { before: Vec::new(), text: Self::DEFAULT_TEXT.to_owned() }
    }
}

/// `extend = { while_occupied = true, step, max, yields }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Extend {
    /// By how much the end moves each time. Default 10 min, 1 s to 24 h.
    #[serde(with = "seconds")]
    pub step: TimeDelta,
    /// How far in all the end may move past the scheduled one. Default 1 h, 1 s to 24 h, not below `step`.
    #[serde(with = "seconds")]
    pub max: TimeDelta,
    /// The room closes by the start of the next occurrence of the same series, or of one that has a host in common on
    /// the same provider, whatever is left of `max`. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub yields: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_yes(value: &bool) -> bool {
    *value
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

mod optional_seconds {
    use chrono::TimeDelta;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<TimeDelta>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|value| value.num_seconds()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<TimeDelta>, D::Error> {
        let seconds = Option::<i64>::deserialize(deserializer)?;
        let value = seconds.map(|seconds| {
            TimeDelta::try_seconds(seconds).ok_or_else(|| D::Error::custom("duration out of range"))
        });
        value.transpose()
    }
}

mod list_of_seconds {
    use chrono::TimeDelta;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(values: &[TimeDelta], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(TimeDelta::num_seconds))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<TimeDelta>, D::Error> {
        let seconds = Vec::<i64>::deserialize(deserializer)?;
        let values = seconds.into_iter().map(|seconds| {
            TimeDelta::try_seconds(seconds).ok_or_else(|| D::Error::custom("duration out of range"))
        });
        values.collect()
    }
}
