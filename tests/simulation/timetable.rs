//! What the operator means: a timetable of its own, written out as the daemon's TOML, and an oracle that knows when which
//! occurrence takes place without any of the daemon's code.

use crate::Ms;
use chrono::{Datelike as _, Days, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An occurrence: a meeting, and the local day on which the schedule first put it (0 where the meeting is single).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) meeting: u32,
    pub(crate) day: i32,
}

impl Key {
    /// From the daemon's identity of an occurrence, or of a room of it that was gone.
    pub(crate) fn of(id: &str) -> Option<Self> {
        let id = id.split('#').next()?;
        let (meeting, day) = match id.split_once('@') {
            None => (id, 0),
            Some((meeting, start)) => {
                let day: NaiveDate = start.get(..10)?.parse().ok()?;
                (meeting, day.num_days_from_ce())
            }
        };
        Some(Self { meeting: meeting.strip_prefix('m')?.parse().ok()?, day })
    }
}

/// The two providers of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    /// Speaks the meeting service's protocol: the client chooses the room's id.
    House,
    /// A service without ids of the client's, in which a new room shows up in a search late.
    Plain,
}

impl Which {
    pub(crate) const ALL: [Self; 2] = [Self::House, Self::Plain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::House => "house",
            Self::Plain => "plain",
        }
    }
}

/// On which days a meeting takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Once(NaiveDate),
    /// On the days of the week with their bit set (1: Monday), from a day on that is one of them.
    Weekly(NaiveDate, u8),
}

/// A meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) provider: Which,
    pub(crate) zone: Tz,
    pub(crate) when: When,
    /// Local start, in minutes of the day.
    pub(crate) minute: i64,
    pub(crate) duration_min: i64,
    pub(crate) ahead_min: i64,
    pub(crate) close_delay_min: i64,
    /// Step and most, in minutes.
    pub(crate) extend: Option<(i64, i64)>,
    pub(crate) is_closed_on_removal: bool,
    pub(crate) look_every_s: i64,
    /// Minutes after which a room to which nobody came is closed.
    pub(crate) no_show_min: Option<i64>,
    /// People are warned before the close.
    pub(crate) warns: bool,
    /// Grows with every change of the title.
    pub(crate) title: u32,
}

/// Limits of a provider, as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) timeout_s: i64,
    pub(crate) in_flight: u32,
    /// Requests a minute.
    pub(crate) a_minute: Option<u32>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timetable {
    pub(crate) entries: BTreeMap<u32, Entry>,
    pub(crate) limits: Limits,
    pub(crate) horizon_h: i64,
}

const DAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

impl Entry {
    fn local(&self, day: NaiveDate) -> NaiveDateTime {
        day.and_hms_opt(0, 0, 0).unwrap() + TimeDelta::minutes(self.minute)
    }

    fn takes_place_on(&self, day: NaiveDate) -> bool {
        match self.when {
            When::Once(on) => on == day,
            When::Weekly(from, days) => {
                day >= from && days & (1 << day.weekday().num_days_from_monday()) != 0
            }
        }
    }

    /// Start and end of the occurrence of that local day.
    fn times(&self, day: i32) -> Option<(Ms, Ms)> {
        let day = match self.when {
            When::Once(on) => (day == 0).then_some(on)?,
            When::Weekly(..) => {
                NaiveDate::from_num_days_from_ce_opt(day).filter(|d| self.takes_place_on(*d))?
            }
        };
        let start = instant(self.zone, self.local(day));
        Some((start, start + self.duration_min * 60_000))
    }

    /// The first day with an occurrence that is not before `day`; 0 for a single meeting.
    pub(crate) fn next_day(&self, day: i32) -> Option<i32> {
        match self.when {
            When::Once(_) => (day <= 0).then_some(0),
            When::Weekly(from, _) => {
                let day = NaiveDate::from_num_days_from_ce_opt(day)?.max(from);
                let days = (0..8).filter_map(|n| day.checked_add_days(Days::new(n)));
                days.into_iter().find(|day| self.takes_place_on(*day)).map(|day| day.num_days_from_ce())
            }
        }
    }

    fn write(&self, id: u32, text: &mut String) {
        let (first, repeat) = match self.when {
            When::Once(on) => (on, String::new()),
            When::Weekly(from, 0x7f) => (from, "repeat = \"FREQ=DAILY\"\n".to_owned()),
            When::Weekly(from, days) => {
                let days: Vec<&str> =
                    DAYS.iter().zip(0..).filter(|(_, bit)| days & (1 << bit) != 0).map(|(d, _)| *d).collect();
                (from, format!("repeat = \"FREQ=WEEKLY;BYDAY={}\"\n", days.join(",")))
            }
        };
        let extend = match self.extend {
            None => String::new(),
            Some((step, most)) => format!("extend = {{ step = \"{step}m\", max = \"{most}m\" }}\n"),
        };
        let no_show = self.no_show_min.map_or(String::new(), |n| format!("no_show = \"{n}m\"\n"));
        let warn = if self.warns { "warn = [\"5m\", \"1m\"]\n" } else { "" };
        let removed = if self.is_closed_on_removal { "on_removed = \"close\"\n" } else { "" };
        write!(
            text,
            "\n[[meetings]]\nid = \"m{id}\"\nprovider = \"{}\"\ntimezone = \"{}\"\nstart = {}\n{repeat}duration = \"{}m\"\n\
             create_ahead = \"{}m\"\nclose_delay = \"{}m\"\n{extend}{removed}{no_show}{warn}look_every = \"{}s\"\ntitle = \"Title {}\"\n",
            self.provider.name(),
            self.zone.name(),
            self.local(first).format("%Y-%m-%dT%H:%M:%S"),
            self.duration_min,
            self.ahead_min,
            self.close_delay_min,
            self.look_every_s,
            self.title,
        )
        .unwrap();
    }
}

impl Timetable {
    /// The daemon's configuration.
    pub(crate) fn to_toml(&self) -> String {
        let mut text = format!(
            "timezone = \"UTC\"\n\n[daemon]\nhorizon = \"{}h\"\nhistory = \"1d\"\nreload_guard = {{ rooms = 5, percent = 50 }}\n",
            self.horizon_h
        );
        for which in Which::ALL {
            let Limits { timeout_s, in_flight, a_minute } = self.limits;
            let rate = a_minute.map(|n| format!("rate_limit = \"{n}/m\"\n")).unwrap_or_default();
            write!(
                text,
                "\n[providers.{}]\nkind = \"meeting-service\"\ntimeout = \"{timeout_s}s\"\nmax_in_flight = {in_flight}\n{rate}",
                which.name()
            )
            .unwrap();
        }
        for (id, entry) in &self.entries {
            entry.write(*id, &mut text);
        }
        text
    }

    /// Start and end of an occurrence; `None` where there is none.
    pub(crate) fn times(&self, key: Key) -> Option<(Ms, Ms)> {
        self.entries.get(&key.meeting)?.times(key.day)
    }

    /// The entry and the times of an occurrence.
    pub(crate) fn find(&self, key: Key) -> Option<(&Entry, Ms, Ms)> {
        let entry = self.entries.get(&key.meeting)?;
        let (start, end) = entry.times(key.day)?;
        Some((entry, start, end))
    }
}

/// The instant of a local time: in a gap the offset before it counts, in an overlap the first of the two.
fn instant(zone: Tz, local: NaiveDateTime) -> Ms {
    let at = match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) => at.with_timezone(&Utc),
        MappedLocalTime::Ambiguous(one, other) => one.min(other).with_timezone(&Utc),
        MappedLocalTime::None => {
            let before = local - TimeDelta::hours(4);
            let at = zone.from_local_datetime(&before).earliest().unwrap();
            at.with_timezone(&Utc) + TimeDelta::hours(4)
        }
    };
    at.timestamp_millis()
}
