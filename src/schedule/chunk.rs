//! What one period of a rule gives: some days, each with the same times.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

/// The starts of one period, in order, by their number. They are not listed: a chunk knows how many it has and which
/// is the nth, so that skipping and counting cost nothing, even for "every second of the year".
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    /// The days, in order.
    pub(super) days: &'a [NaiveDate],
    /// Hours or minutes of each day, as numbers within it, in order; for longer periods the one slot 0.
    pub(super) slots: &'a [u32],
    /// Seconds in a slot.
    pub(super) slot_seconds: u32,
    /// Seconds from the beginning of a slot to each start in it, in order.
    pub(super) inner: &'a [u32],
    /// The numbers that BYSETPOS leaves, in order; `None`: all.
    pub(super) picks: Option<Vec<u64>>,
}

impl Chunk<'_> {
    /// How many starts it has.
    pub(super) fn len(&self) -> u64 {
        self.picks.as_ref().map_or_else(|| self.unpicked(), |picks| picks.len() as u64)
    }

    /// How many starts it has before BYSETPOS.
    pub(super) fn unpicked(&self) -> u64 {
        self.days.len() as u64 * self.slots.len() as u64 * self.inner.len() as u64
    }

    /// The start of that number, from 0; `None` past the end.
    pub(super) fn at(&self, index: u64) -> Option<NaiveDateTime> {
        let index = usize::try_from(index).ok()?;
        let index = match &self.picks {
            Some(picks) => usize::try_from(*picks.get(index)?).ok()?,
            None => index,
        };
        let inner = self.inner.get(index.checked_rem(self.inner.len())?)?;
        let index = index / self.inner.len();
        let slot = self.slots.get(index.checked_rem(self.slots.len())?)?;
        let day = self.days.get(index / self.slots.len())?;
        let time = NaiveTime::from_num_seconds_from_midnight_opt(slot * self.slot_seconds + inner, 0)?;
        Some(day.and_time(time))
    }

    /// How many starts are before `local`.
    pub(super) fn before(&self, local: NaiveDateTime) -> u64 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle).is_some_and(|start| start < local) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// What BYSETPOS picks from a set of `count` (RFC 5545 section 3.3.10): numbers from 0, in order, each once.
pub(super) fn picks(positions: &[i32], count: u64) -> Vec<u64> {
    let pick = |position: &i32| {
        let nth = u64::from(position.unsigned_abs());
        if *position < 0 { count.checked_sub(nth) } else { nth.checked_sub(1).filter(|index| *index < count) }
    };
    let mut picks: Vec<u64> = positions.iter().filter_map(pick).collect();
    picks.sort_unstable();
    picks.dedup();
    picks
}
