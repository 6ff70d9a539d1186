//! Known bugs, put into the program on purpose to see whether the simulation catches them (`tests/simulation`).
//!
//! Only the cargo feature `seeded-bugs` has them, which no release is built with: without it, `is_on` is a constant
//! `false` and every site vanishes. With it, one build serves all: the bug is chosen at run time, by its name.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug { $($(#[doc = $doc])+ $variant,)+ }

        impl Bug {
            /// All bugs.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name by which it is chosen.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

bugs! {
    /// A create leaves before the wish for the room is committed.
    CreateWithoutIntent = "create-without-intent",
    /// Every create has a marker of its own.
    MarkerAnew = "marker-anew",
    /// After a create whose answer was lost, another create instead of a search.
    FindSkipped = "find-skipped",
    /// A create whose outcome is unknown counts as not done.
    UnknownIsNotDone = "unknown-is-not-done",
    /// After a restart a create that was under way is sent again, without a search.
    RestartForgetsCreate = "restart-forgets-create",
    /// A look that failed counts as "nobody is in".
    FailedLookIsEmpty = "failed-look-is-empty",
    /// An answer that does not say how many people are in counts as "nobody is in".
    UnknownIsEmpty = "unknown-is-empty",
    /// A room that was seen empty once is closed.
    EmptyAtOnce = "empty-at-once",
    /// A room that was not found once is made again.
    GoneAtOnce = "gone-at-once",
    /// The time since boot stands still while the machine sleeps.
    MonotonicClock = "monotonic-clock",
    /// What cannot be undone goes by the wall clock alone.
    ClosingUnsettled = "closing-unsettled",
    /// The extension of a meeting does not outlive a restart.
    ExtensionLost = "extension-lost",
    /// Occurrences of a changed schedule are matched by their place in the list.
    ReloadByIndex = "reload-by-index",
    /// A close that the provider took counts as done.
    CloseNotVerified = "close-not-verified",
    /// A meeting that is cancelled while its room is being made is forgotten at once.
    CancelForgetsCreate = "cancel-forgets-create",
    /// Pauses after failures grow without end.
    BackoffUncapped = "backoff-uncapped",
    /// What could not be committed is acted upon.
    ActsUncommitted = "acts-uncommitted",
    /// Calls that a crash interrupted are not looked up.
    NotRecovered = "not-recovered",
    /// A provider that asked for a pause is called all the same.
    LimitIgnored = "limit-ignored",
    /// The configured rate is not kept.
    RateIgnored = "rate-ignored",
    /// A schedule may cancel everything at once.
    GuardOff = "guard-off",
    /// An occurrence with a call under way is handed out again.
    HandedOutTwice = "handed-out-twice",
    /// The horizon stays where the first schedule put it.
    HorizonStands = "horizon-stands",
    /// A time in the gap of a DST change moves earlier.
    GapMovesEarlier = "gap-moves-earlier",
}

#[cfg(feature = "seeded-bugs")]
thread_local!(static CHOSEN: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) });

/// Chooses a bug for this thread, on which the whole of a simulated world runs; `None`: the program is as it should be.
#[cfg(feature = "seeded-bugs")]
pub fn choose(bug: Option<Bug>) {
    CHOSEN.set(bug);
}

/// Whether the program has this bug.
#[cfg(feature = "seeded-bugs")]
pub(crate) fn is_on(bug: Bug) -> bool {
    CHOSEN.get() == Some(bug)
}

/// A clock that stands still while the machine sleeps, for [`Bug::MonotonicClock`].
#[cfg(feature = "seeded-bugs")]
pub(crate) fn monotonic() -> std::time::Duration {
    thread_local!(static BEGUN: tokio::time::Instant = tokio::time::Instant::now());
    BEGUN.with(|begun| tokio::time::Instant::now().saturating_duration_since(*begun))
}

/// There is no such clock without its bug.
#[cfg(not(feature = "seeded-bugs"))]
pub(crate) const fn monotonic() -> std::time::Duration {
    std::time::Duration::ZERO
}

/// Whether the program has this bug: never.
#[cfg(not(feature = "seeded-bugs"))]
pub(crate) const fn is_on(_: Bug) -> bool {
    false
}
