//! Why an occurrence changed: a closed list, shared by store, log, `status` and tests.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why an occurrence changed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in the store, the log and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+)),+ }
            }
        }
    };
}

reasons! {
    /// The meeting stands in the schedule.
    Scheduled = "scheduled",
    /// The time before the start at which the room is created has come.
    LeadReached = "lead_reached",
    /// As `lead_reached`, but later than planned: the daemon was down, suspended, or the meeting was added late.
    Late = "late",
    /// The provider made the room.
    Created = "created",
    /// The answer to a create was lost; the room was found by its marker.
    FoundByMarker = "found_by_marker",
    /// The scheduled start has come.
    StartReached = "start_reached",
    /// The planned duration is over.
    DurationOver = "duration_over",
    /// The close delay after the end is over.
    CloseDelayOver = "close_delay_over",
    /// The close delay is over and nobody is in the room.
    Empty = "empty",
    /// The end was moved later: people are in the room.
    Occupied = "occupied",
    /// The end was moved later: nobody can say whether people are in the room.
    OccupancyUnknown = "occupancy_unknown",
    /// People are still in the room, but the greatest extension is used up.
    ExtensionUsedUp = "extension_used_up",
    /// People are, or may be, in the room, but the next occurrence of the same series or host begins.
    Yielded = "yielded",
    /// Nobody came: from the start on, and for as long as `no_show` says, every look found nobody.
    NoShow = "no_show",
    /// The schedule gives other times, or another title or other settings.
    Rescheduled = "rescheduled",
    /// The meeting was taken out of the schedule.
    Removed = "removed",
    /// The meeting is in the schedule again.
    Restored = "restored",
    /// The room was gone on two looks; another one is made.
    RoomGone = "room_gone",
    /// Somebody closed the room on the provider's side.
    ClosedOnProvider = "closed_on_provider",
    /// The room was seen closed.
    SeenClosed = "seen_closed",
    /// The provider refused for good.
    Rejected = "rejected",
    /// The time in which a room would have been of use is over.
    WindowOver = "window_over",
}

impl Reason {
    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
