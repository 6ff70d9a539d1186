//! What the store keeps of an occurrence and of a meeting.

use crate::lifecycle::{Call, Occurrence, Policy, Verdict};
use crate::providers::RoomSpec;
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// One occurrence as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the store; 0 before it was inserted.
    pub seq: i64,
    /// Its identity: `<meeting>`, or `<meeting>@<original local start>` in a series; of a stray see [`Record::stray`].
    pub id: String,
    /// Its meeting's id.
    pub meeting: String,
    /// The provider on which its room is, or will be.
    pub provider: String,
    /// Its own title; `None`: the meeting's.
    pub title: Option<String>,
    /// The mark in its room, from the first create on.
    pub marker: Option<String>,
    /// Its life.
    pub occurrence: Occurrence,
    /// When it is due; `None`: never by itself.
    pub wake_at: Option<DateTime<Utc>>,
    /// The call that is on its way.
    pub call: Option<Call>,
    /// When it entered its state.
    pub changed_at: DateTime<Utc>,
}

impl Record {
    /// The same with another life, and when it is due.
    pub(crate) fn with(&self, occurrence: Occurrence, wake_at: Option<DateTime<Utc>>) -> Self {
        Self {
            seq: self.seq,
            id: self.id.clone(),
            meeting: self.meeting.clone(),
            provider: self.provider.clone(),
            title: self.title.clone(),
            marker: self.marker.clone(),
            occurrence,
            wake_at,
            call: self.call,
            changed_at: self.changed_at,
        }
    }

    /// It is a room that was gone, and for which another one was made.
    pub fn is_stray(&self) -> bool {
        self.occurrence.verdict == Some(Verdict::Stray)
    }

    /// The room that this occurrence has now and is about to lose, as a record of its own; its identity is that of the
    /// occurrence, `#`, and the end of the room's marker. `None` when there is no room.
    pub fn stray(&self, now: DateTime<Utc>) -> Option<Self> {
        let occurrence = self.occurrence.stray(now)?;
        // Its beginning is the time, which two strays of an occurrence may share.
        let marker = self.marker.as_deref().unwrap_or_default();
        let tail = marker.len().checked_sub(8).and_then(|from| marker.get(from..)).unwrap_or(marker);
        Some(Self {
            seq: 0,
            id: format!("{}#{}", self.id, tail),
            wake_at: occurrence.retry_at,
            occurrence,
            call: None,
            changed_at: now,
            ..self.clone()
        })
    }
}

/// One meeting as last applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMeeting {
    /// Its id.
    pub id: String,
    /// The fingerprint of what was applied.
    pub fingerprint: [u8; 32],
    /// It is not in the schedule any more.
    pub is_removed: bool,
    /// What its rooms need.
    pub spec: MeetingSpec,
}

/// What a meeting's rooms need to know: kept so that a meeting that was removed from the schedule can be finished by
/// its own rules, also after a restart.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MeetingSpec {
    /// The title.
    pub title: String,
    /// The rules.
    pub policy: Policy,
    /// People and settings, handed to the driver with each room.
    pub room: Arc<RoomSpec>,
}
