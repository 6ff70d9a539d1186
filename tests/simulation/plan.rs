//! What goes wrong, where: faults, the points at which they strike, and plans that can be written on one line.

use convened::lifecycle::Call;
use std::collections::{BTreeMap, BTreeSet};

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault { $($(#[doc = $doc])+ $variant,)+ }

        impl Fault {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

faults! {
    /// No connection.
    Refused = "refused",
    /// The request never arrives; nobody answers.
    RequestLost = "request-lost",
    /// It is done, and the answer is lost.
    AnswerLost = "answer-lost",
    /// Nobody answers in time, and it is done after that.
    AppliedLate = "applied-late",
    /// "Done", and nothing was.
    FalseSuccess = "false-success",
    /// "Internal error", and it is done.
    FalseFailure = "false-failure",
    /// 503, nothing is done.
    Unavailable = "unavailable",
    /// 429 without `Retry-After`.
    Limited = "limited",
    /// 429 with `Retry-After`.
    LimitedUntil = "limited-until",
    /// 200 and a page of HTML from a proxy, nothing is done.
    Html = "html",
    /// The answer comes just before the time limit.
    Slow = "slow",
    /// "No such room", once, though it is there.
    FalseGone = "false-gone",
    /// "Nobody is in", once, though people are.
    FalseEmpty = "false-empty",
    /// The answer does not say how many are in.
    NoOccupancy = "no-occupancy",
    /// A search brings a part of the list, and says so.
    Partial = "partial",
    /// After this call the vendor deletes the room.
    RoomDeleted = "room-deleted",
    /// After this call a host ends the meeting.
    EndedByHand = "ended-by-hand",
    /// The daemon dies before the request leaves.
    CrashBeforeCall = "crash-before-call",
    /// The daemon dies while the provider does what it was asked.
    CrashAfterCall = "crash-after-call",
    /// The daemon dies before the commit.
    CrashBeforeCommit = "crash-before-commit",
    /// The daemon dies after the commit, before it acts upon it.
    CrashAfterCommit = "crash-after-commit",
    /// The disk is full for some seconds from this commit on.
    StoreFails = "store-fails",
}

/// Where a fault can strike. Points are numbered in the order in which a run comes to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A call leaves the daemon.
    Call(Call),
    /// A transaction.
    Commit,
}

impl Point {
    /// The faults that make a difference here.
    pub(crate) fn faults(self) -> &'static [Fault] {
        use Fault as F;
        match self {
            Self::Commit => &[F::CrashBeforeCommit, F::CrashAfterCommit, F::StoreFails],
            Self::Call(Call::Create) => &[
                F::Refused,
                F::RequestLost,
                F::AnswerLost,
                F::AppliedLate,
                F::FalseSuccess,
                F::FalseFailure,
                F::Unavailable,
                F::Limited,
                F::LimitedUntil,
                F::Html,
                F::RoomDeleted,
                F::CrashBeforeCall,
                F::CrashAfterCall,
            ],
            Self::Call(Call::Update | Call::Close | Call::Announce) => &[
                F::RequestLost,
                F::AnswerLost,
                F::AppliedLate,
                F::FalseSuccess,
                F::FalseFailure,
                F::Unavailable,
                F::LimitedUntil,
                F::Html,
                F::CrashAfterCall,
            ],
            Self::Call(Call::Find) => {
                &[F::RequestLost, F::Unavailable, F::LimitedUntil, F::Html, F::Partial, F::CrashAfterCall]
            }
            Self::Call(Call::Look) => &[
                F::RequestLost,
                F::Unavailable,
                F::LimitedUntil,
                F::Slow,
                F::FalseGone,
                F::FalseEmpty,
                F::NoOccupancy,
                F::RoomDeleted,
                F::EndedByHand,
                F::CrashAfterCall,
            ],
        }
    }
}

/// Faults that the drivers cannot tell apart: the second of each says to them what the first says, at the same time.
pub(crate) const ALIKE: [(Fault, Fault); 2] =
    [(Fault::Unavailable, Fault::Html), (Fault::AnswerLost, Fault::FalseFailure)];

/// Which faults strike where, and what of the script is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) faults: BTreeMap<u32, Fault>,
    /// Entries of the script that do not happen, by number.
    pub(crate) without: BTreeSet<u32>,
}

impl Plan {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let wrong = || format!("{entry:?} is no entry of a plan: \"17:answer-lost\" or \"-e3\"");
            if let Some(number) = entry.strip_prefix("-e") {
                plan.without.insert(number.parse().map_err(|_| wrong())?);
                continue;
            }
            let (point, name) = entry.split_once(':').ok_or_else(wrong)?;
            let fault = Fault::ALL.iter().find(|fault| fault.name() == name).ok_or_else(wrong)?;
            plan.faults.insert(point.parse().map_err(|_| wrong())?, *fault);
        }
        Ok(plan)
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let faults = self.faults.iter().map(|(point, fault)| format!("{point}:{}", fault.name()));
        let without = self.without.iter().map(|number| format!("-e{number}"));
        f.write_str(&faults.chain(without).collect::<Vec<_>>().join(","))
    }
}
