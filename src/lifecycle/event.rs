//! What can happen to an occurrence, and what it can ask for.

use super::{Room, Times};
use chrono::{DateTime, Utc};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A deadline has come, and a call may be made now.
    Due,
    /// A deadline has come; no call can be made now, as the provider is busy with others.
    Tick,
    /// A call came back.
    Answered(Answer),
    /// Something was heard of the room: it is worth a look.
    Hinted,
    /// The daemon was restarted: calls in flight are lost.
    Restarted,
    /// The schedule gives these times now; with `is_changed`, title or settings differ as well.
    Rescheduled {
        /// The times.
        times: Times,
        /// Title, people or settings differ from what the room shows.
        is_changed: bool,
    },
    /// The schedule does not hold it any more.
    Removed,
}

/// A call to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Make the room.
    Create,
    /// Find the room by its marker.
    Find,
    /// Look at the room: is it open, who is in it.
    Look,
    /// Bring title, times and settings in line.
    Update,
    /// Close the room.
    Close,
    /// Tell the people in the room that it closes soon. At most once for each warning.
    Announce,
}

impl Call {
    /// All calls.
    pub const ALL: [Self; 6] =
        [Self::Create, Self::Find, Self::Look, Self::Update, Self::Close, Self::Announce];

    /// The name in the log and in `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Find => "find",
            Self::Look => "look",
            Self::Update => "update",
            Self::Close => "close",
            Self::Announce => "announce",
        }
    }
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Call::Create`].
    Create(Result<Room, Failure>),
    /// To [`Call::Find`]; `None`: definitely no such room.
    Find(Result<Option<Room>, Failure>),
    /// To [`Call::Look`].
    Look(Result<Sight, Failure>),
    /// To [`Call::Update`].
    Update(Result<Room, Failure>),
    /// To [`Call::Close`].
    Close(Result<(), Failure>),
    /// To [`Call::Announce`].
    Announce(Result<(), Failure>),
}

/// What was seen of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// People can be in it.
    pub is_open: bool,
    /// How many are; `None` is *unknown*, which is never "empty".
    pub occupancy: Option<u32>,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What to make of it.
    pub kind: FailureKind,
    /// The words for `status` and log.
    pub message: String,
    /// Not again before this instant: the back-off, or what the service said.
    pub retry_at: DateTime<Utc>,
}

/// What a failure means for the occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Refused for good.
    Rejected,
    /// Definitely no such room.
    NotFound,
    /// Nothing was done; may work later.
    NotDone,
    /// It may have been done.
    Unknown,
}
