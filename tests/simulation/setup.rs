//! What a run begins with: the timetable, the script of what happens to the world, and how often which fault strikes. All of
//! it comes from a seed.

use crate::Ms;
use crate::plan::{Fault, Plan};
use crate::rng::Rng;
use crate::timetable::{Entry, Limits, Timetable, When, Which};
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;

pub(crate) const SECOND: Ms = 1_000;
pub(crate) const MINUTE: Ms = 60 * SECOND;
pub(crate) const HOUR: Ms = 60 * MINUTE;
pub(crate) const DAY: Ms = 24 * HOUR;
/// How long after the time limit a call can still be acted upon.
pub(crate) const LATEST: Ms = 45 * SECOND;

/// Something that happens to the world by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Script {
    /// The wall clock is set by so much, and set right after a while.
    Step(Ms, Ms),
    /// The machine sleeps.
    Suspend(Ms),
    /// The daemon dies.
    Crash,
    /// The daemon is stopped and started again.
    Restart,
    /// A provider cannot be reached for a while.
    Outage(Which, Ms),
    /// A provider does not say how many people are in, for a while.
    Uncounted(Which, Ms),
    /// The disk is full for a while.
    FullDisk(Ms),
    /// The operator changes something and saves the file; the number decides what.
    Edit(u64),
    /// The operator saves this timetable.
    Save(Box<Timetable>),
    /// The file is broken for a while: empty, cut off, or not TOML.
    BrokenFile(u64),
    /// All but one of the meetings are gone from the file for a while.
    Massacre,
    /// A host ends a meeting; the number decides which.
    EndByHand(u64),
    /// The vendor deletes a room; the number decides which.
    DeleteRoom(u64),
}

/// What a run begins with.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    /// The scenario, where it is none that a seed made.
    pub(crate) scenario: Option<&'static str>,
    pub(crate) from: Ms,
    /// From then on nothing goes wrong any more.
    pub(crate) heal_at: Ms,
    pub(crate) until: Ms,
    pub(crate) timetable: Timetable,
    pub(crate) script: Vec<(Ms, Script)>,
    /// Faults per million calls, and per million commits.
    pub(crate) call_faults: u32,
    pub(crate) commit_faults: u32,
    /// The faults that exist in this world.
    pub(crate) kinds: Vec<Fault>,
    /// Of a million occurrences, so many have people in them.
    pub(crate) people: u32,
    /// Milliseconds that a call takes, from and to.
    pub(crate) latency: (Ms, Ms),
    /// How long a new room does not show in a search.
    pub(crate) lag: Ms,
    pub(crate) housekeep_every: Ms,
    /// Answers carry the true time in `Date`.
    pub(crate) has_dates: bool,
    /// The engine's naps while nothing is due are not spun through one by one.
    pub(crate) skips_idle_naps: bool,
    /// The engine is woken when the wall clock is set, and when the machine wakes up.
    pub(crate) has_alarms: bool,
    /// The store is in a file, on a RAM disk, and opened anew with every start of the daemon.
    pub(crate) is_on_disk: bool,
    /// Every line of the log is searched for secrets.
    pub(crate) reads_log: bool,
    /// These faults and no others strike.
    pub(crate) plan: Option<Plan>,
    pub(crate) is_loud: bool,
}

const ZONES: [Tz; 10] = [
    Tz::UTC,
    Tz::Europe__Paris,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Africa__Casablanca,
    Tz::Africa__Cairo,
    Tz::Asia__Tokyo,
    Tz::America__St_Johns,
    Tz::Pacific__Chatham,
    Tz::America__Santiago,
];

pub(crate) fn instant(text: &str) -> Ms {
    let at: DateTime<Utc> = text.parse().unwrap();
    at.timestamp_millis()
}

/// A meeting as a seed draws it.
pub(crate) fn draw_entry(rng: &mut Rng, today: NaiveDate, zone: Tz) -> Entry {
    let days = match rng.below(4) {
        0 => 0x7f,
        1 => 0x1f,
        2 => 0x60,
        _ => u8::try_from(1 + rng.below(0x7e)).unwrap(),
    };
    let from = today - chrono::Days::new(rng.below(20));
    let first = (0..7).map(|n| from + chrono::Days::new(n));
    let from = first.into_iter().find(|day| days & (1 << day.weekday().num_days_from_monday()) != 0);
    // Mostly at full and half hours, as people do; and at night, where summer time begins.
    let minute = match rng.below(6) {
        0 => rng.between(60, 240),
        _ => rng.between(2, 46) * 30,
    };
    let step = rng.pick(&[5, 10, 15]);
    Entry {
        provider: if rng.chance(600_000) { Which::House } else { Which::Plain },
        zone,
        when: When::Weekly(from.unwrap(), days),
        minute,
        duration_min: rng.pick(&[5, 10, 15, 30, 30, 45, 60, 90]),
        ahead_min: rng.pick(&[1, 5, 10, 15, 15, 30]),
        close_delay_min: rng.pick(&[0, 1, 5, 5, 10]),
        extend: rng.chance(500_000).then(|| (step, step * rng.pick(&[1, 2, 3, 6]))),
        is_closed_on_removal: rng.chance(200_000),
        look_every_s: rng.pick(&[60, 300, 300, 300, 600]),
        no_show_min: rng.chance(250_000).then(|| rng.pick(&[5, 10, 20])),
        warns: rng.chance(250_000),
        title: 0,
    }
}

impl Setup {
    /// The world of `seed`.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let days = rng.pick(&[7, 14, 30, 30, 60]);
        let from =
            instant("2024-01-01T00:00:00Z") + rng.between(0, 900) * DAY + rng.between(0, 86_399) * SECOND;
        let today = DateTime::from_timestamp_millis(from).unwrap().date_naive();
        let heal_at = from + days * DAY;
        let mut entries = BTreeMap::new();
        let zone = rng.pick(&ZONES);
        for id in 0..rng.pick(&[1, 2, 3, 5, 8, 12]) {
            let zone = if rng.chance(700_000) { zone } else { rng.pick(&ZONES) };
            entries.insert(id, draw_entry(&mut rng, today, zone));
        }
        if rng.chance(60_000) {
            // A herd: everything at the same time, as on a Monday at nine.
            let one = draw_entry(&mut rng, today, zone);
            entries = (0..24).map(|id| (id, one.clone())).collect();
        }
        let limits = Limits {
            timeout_s: rng.pick(&[5, 10, 30]),
            in_flight: rng.pick(&[1, 2, 32, 32, 32]),
            a_minute: rng.pick(&[None, None, None, Some(60), Some(30)]),
        };
        let timetable = Timetable { entries, limits, horizon_h: rng.pick(&[24, 30, 48, 72]) };
        // Swarm: which faults there are at all differs from world to world, and how many.
        let share = rng.pick(&[200_000, 500_000, 1_000_000]);
        let kinds = Fault::ALL.iter().copied().filter(|_| rng.chance(share)).collect();
        let rates = [0, 1_000, 10_000, 50_000, 100_000, 200_000];
        let mut setup = Self {
            seed,
            scenario: None,
            from,
            heal_at,
            until: heal_at + 30 * HOUR,
            timetable,
            script: Vec::new(),
            call_faults: rng.pick(&rates),
            commit_faults: rng.pick(&rates) / 2,
            kinds,
            people: rng.pick(&[0, 300_000, 800_000]),
            latency: rng.pick(&[(20, 200), (1, 10), (100, 3_000)]),
            lag: rng.pick(&[0, 2, 5, 45]) * SECOND,
            housekeep_every: rng.pick(&[1, 3, 6, 6]) * HOUR,
            has_dates: rng.chance(500_000),
            skips_idle_naps: !rng.chance(20_000),
            has_alarms: rng.chance(700_000),
            is_on_disk: rng.chance(60_000),
            reads_log: rng.chance(60_000),
            plan: None,
            is_loud: false,
        };
        setup.script = draw_script(&mut rng, &setup);
        setup
    }
}

fn draw_script(rng: &mut Rng, setup: &Setup) -> Vec<(Ms, Script)> {
    let mut script = Vec::new();
    let length = setup.heal_at - setup.from;
    // How many of each there are in a month; most worlds have a few kinds only.
    let mut gaps = |most: u64| if rng.chance(350_000) { 1 + rng.below(most) } else { 0 };
    let counts: [u64; 12] = [
        gaps(12),
        gaps(20),
        gaps(200),
        gaps(20),
        gaps(10),
        gaps(10),
        gaps(40),
        gaps(12),
        gaps(6),
        gaps(20),
        gaps(20),
        gaps(20),
    ];
    for (kind, count) in counts.into_iter().enumerate() {
        for _ in 0..count * u64::try_from(length / DAY).unwrap() / 30 {
            let at = setup.from + rng.between(HOUR, length - 4 * HOUR);
            let event = match kind {
                0 => draw_step(rng),
                1 => Script::Suspend(rng.pick(&[20 * SECOND, 10 * MINUTE, HOUR, 9 * HOUR, 3 * DAY])),
                2 => Script::Crash,
                3 => Script::Restart,
                4 => {
                    let which = rng.pick(&Which::ALL);
                    Script::Outage(which, rng.pick(&[MINUTE, 20 * MINUTE, 3 * HOUR, 8 * HOUR]))
                }
                5 => Script::FullDisk(rng.pick(&[5 * SECOND, 2 * MINUTE, 40 * MINUTE])),
                6 => Script::Edit(rng.next()),
                7 => Script::BrokenFile(rng.next()),
                8 => Script::Massacre,
                9 => Script::EndByHand(rng.next()),
                10 => Script::DeleteRoom(rng.next()),
                _ => Script::Uncounted(rng.pick(&Which::ALL), rng.pick(&[20 * MINUTE, 3 * HOUR, DAY])),
            };
            script.push((at, event));
        }
    }
    script.sort_by_key(|(at, _)| *at);
    script
}

/// A step is set right before it has stood as long as it is wide: from then on nobody could tell that it is wrong.
fn draw_step(rng: &mut Rng) -> Script {
    let by = rng.pick(&[SECOND, 30 * SECOND, 10 * MINUTE, 2 * HOUR, 2 * DAY]);
    let hold = (by / 2).clamp(SECOND, 4 * HOUR);
    let by = if rng.chance(500_000) { by } else { -by };
    Script::Step(by, rng.between(hold / 2, hold))
}
