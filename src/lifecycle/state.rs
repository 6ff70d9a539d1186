//! The states of an occurrence.

/// Where an occurrence stands. The order is that of a life without trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// In the schedule; no room yet, and none asked for.
    Planned,
    /// The wish for a room is recorded; the room may or may not exist.
    Creating,
    /// The room exists and waits for its start.
    Ready,
    /// Between start and end.
    Live,
    /// The end is over, people may stay and come in until the room is closed.
    Ended,
    /// The room is being closed; done when it is seen closed.
    Closing,
    /// The room was closed and seen closed.
    Closed,
    /// No room: the provider refused for good, or its time ran out while we tried.
    Failed,
    /// No room: nothing could be done while the window was open (down-time, suspend).
    Missed,
    /// Taken out of the schedule.
    Cancelled,
}

impl State {
    /// All states, in order.
    pub const ALL: [Self; 10] = [
        Self::Planned,
        Self::Creating,
        Self::Ready,
        Self::Live,
        Self::Ended,
        Self::Closing,
        Self::Closed,
        Self::Failed,
        Self::Missed,
        Self::Cancelled,
    ];

    /// The name in the store, the log and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Nothing more happens by itself.
    pub fn is_final(self) -> bool {
        match self {
            Self::Planned | Self::Creating | Self::Ready | Self::Live | Self::Ended | Self::Closing => false,
            Self::Closed | Self::Failed | Self::Missed | Self::Cancelled => true,
        }
    }

    /// People should be able to be in the room, or will be soon.
    pub fn has_open_room(self) -> bool {
        match self {
            Self::Ready | Self::Live | Self::Ended => true,
            Self::Planned
            | Self::Creating
            | Self::Closing
            | Self::Closed
            | Self::Failed
            | Self::Missed
            | Self::Cancelled => false,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
