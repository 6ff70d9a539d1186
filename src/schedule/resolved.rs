//! A series with everything that differs from its rule: `except`, `also`, overrides, the zone.

use super::starts::{Excluded, Starts};
use super::zone::{FARTHEST_OFFSET, to_utc};
use super::{Instance, Override, Series, Shift, whole_seconds};
use chrono::{DateTime, Days, NaiveDateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

/// How far around a local time the nearest start is looked for, the nearer first.
const AROUND: [Days; 4] = [Days::new(1), Days::new(40), Days::new(400), Days::new(4000)];

/// A series made ready for one window: its starts, and everything that differs from the rule.
#[derive(Debug)]
pub(super) struct Resolved<'a> {
    series: &'a Series,
    starts: Starts<'a>,
    excluded: Excluded,
    also: BTreeSet<NaiveDateTime>,
    overrides: BTreeMap<NaiveDateTime, &'a Override>,
    /// The local times that may have their instant in the window.
    local: Range<NaiveDateTime>,
}

impl<'a> Resolved<'a> {
    pub(super) fn new(series: &'a Series, window: &Range<DateTime<Utc>>) -> Self {
        let first = window.start.naive_utc();
        let last = window.end.naive_utc();
        let local = first.checked_sub_signed(FARTHEST_OFFSET).unwrap_or(NaiveDateTime::MIN)
            ..last.checked_add_signed(FARTHEST_OFFSET).unwrap_or(NaiveDateTime::MAX);
        let overrides: BTreeMap<_, _> =
            series.overrides.iter().map(|(original, differs)| (whole_seconds(*original), differs)).collect();
        let also: BTreeSet<_> = series.also.iter().map(|start| whole_seconds(*start)).collect();
        // Whatever is asked about is before the horizon: the window, what is moved into it from later on, and the
        // starts a gap could push one of the others onto.
        let far =
            overrides.last_key_value().map(|(original, _)| *original).into_iter().chain(also.last().copied());
        let horizon = far.fold(local.end, NaiveDateTime::max);
        let horizon = horizon.checked_add_signed(TimeDelta::days(2)).unwrap_or(NaiveDateTime::MAX);
        let starts = Starts::new(series, horizon);
        Self { series, starts, excluded: Excluded::new(&series.except), also, overrides, local }
    }

    /// Calls `f` with every original start, exceptions taken out, that may have its instant in the window; each once,
    /// in no particular order.
    pub(super) fn each(&self, f: &mut dyn FnMut(NaiveDateTime) -> ControlFlow<()>) {
        let mut flow = ControlFlow::Continue(());
        self.starts.each(self.local.start, self.local.end, &mut |start| {
            if !self.excluded.holds(start) {
                flow = f(start);
            }
            flow
        });
        let moved = self
            .overrides
            .iter()
            .filter(|(_, differs)| differs.start.is_some())
            .map(|(original, _)| original);
        let moved_in =
            moved.filter(|original| !self.local.contains(original) && self.starts.contains(**original));
        let also = self.also.iter().filter(|start| {
            // Those of the rule had their turn above, or have it as moved ones.
            !self.starts.contains(**start)
        });
        for start in also.chain(moved_in) {
            if flow.is_break() {
                return;
            }
            if !self.excluded.holds(*start) {
                flow = f(*start);
            }
        }
    }

    /// Whether the series has that start: by its rule or by `also`, and not excepted.
    pub(super) fn has(&self, start: NaiveDateTime) -> bool {
        (self.also.contains(&start) || self.starts.contains(start)) && !self.excluded.holds(start)
    }

    /// The first start by the rule, exceptions not taken out.
    pub(super) fn first_by_rule(&self) -> Option<NaiveDateTime> {
        self.starts.next(NaiveDateTime::MIN)
    }

    /// Whether the series would have a start in that span if it had no exceptions.
    pub(super) fn has_unexcepted(&self, from: NaiveDateTime, length: TimeDelta) -> bool {
        let until = from.checked_add_signed(length).unwrap_or(NaiveDateTime::MAX);
        self.also.range(from..until).next().is_some()
            || self.starts.next(from).is_some_and(|next| next < until)
    }

    /// Whether an occurrence of which `wanted` is true begins at `from` or later.
    pub(super) fn any_from(&self, from: DateTime<Utc>, wanted: &dyn Fn(&Instance) -> bool) -> bool {
        let is_wanted = |original: NaiveDateTime| {
            !self.excluded.holds(original)
                && self
                    .instance(original)
                    .is_some_and(|instance| instance.starts_at >= from && wanted(&instance))
        };
        // Those listed by hand may begin at any time, whenever their original start is.
        let listed = self.also.iter().chain(self.overrides.keys().filter(|original| self.has(**original)));
        if listed.copied().any(is_wanted) {
            return true;
        }
        let local = from.naive_utc().checked_sub_signed(FARTHEST_OFFSET).unwrap_or(NaiveDateTime::MIN);
        let mut found = false;
        self.starts.each(local, NaiveDateTime::MAX, &mut |start| {
            found = is_wanted(start);
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found
    }

    /// The start that is nearest to `local`, exceptions taken out.
    pub(super) fn nearest(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        AROUND.iter().find_map(|days| {
            let after = self.pick(local..local.checked_add_days(*days)?, true);
            let before = self.pick(local.checked_sub_days(*days)?..local, false);
            after.into_iter().chain(before).min_by_key(|start| (*start - local).abs())
        })
    }

    /// The last start before `local`, where it is not too long ago.
    pub(super) fn last_before(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        AROUND.iter().find_map(|days| self.pick(local.checked_sub_days(*days)?..local, false))
    }

    /// The first or the last start in that span, exceptions taken out.
    fn pick(&self, span: Range<NaiveDateTime>, first: bool) -> Option<NaiveDateTime> {
        let mut found = None;
        self.starts.each(span.start, span.end, &mut |start| {
            if !self.excluded.holds(start) {
                found = Some(start);
            }
            if first && found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let also = self.also.range(span).filter(|start| !self.excluded.holds(**start)).copied();
        if first { also.chain(found).min() } else { also.chain(found).max() }
    }

    /// The instance of one of the series' starts; `None` when it does not take place.
    pub(super) fn instance(&self, original: NaiveDateTime) -> Option<Instance> {
        let differs = self.overrides.get(&original).copied();
        if differs.is_some_and(|differs| differs.cancel) {
            return None;
        }
        let moved_to = differs.and_then(|differs| differs.start).map(whole_seconds);
        let (starts_at, shift) = to_utc(self.series.zone, moved_to.unwrap_or(original));
        if let (Shift::Gap(gap), None) = (shift, moved_to)
            && original.checked_add_signed(gap).is_some_and(|onto| self.stays_at(onto, starts_at))
        {
            return None;
        }
        let duration = differs.and_then(|differs| differs.duration).unwrap_or(self.series.duration);
        let ends_at = starts_at.checked_add_signed(duration).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let title = differs.and_then(|differs| differs.title.clone());
        Some(Instance { original, starts_at, ends_at, title, shift })
    }

    /// Whether the series has a start of its own at that local time, which no override moves and no gap.
    fn stays_at(&self, local: NaiveDateTime, instant: DateTime<Utc>) -> bool {
        let moved = self.overrides.get(&local).is_some_and(|differs| differs.start.is_some());
        !moved && to_utc(self.series.zone, local) == (instant, Shift::None) && self.has(local)
    }
}
