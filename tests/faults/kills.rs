//! `kill -9` at random instants while 200 meetings are opened, extended and closed.

use crate::emulator::{Emulator, Manners, let_pass, now_ms, wait_until};
use crate::random::Random;
use crate::support::{Daemon, Place};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Side by side, each with a store of its own.
const DAEMONS: u64 = 4;
const MEETINGS: u64 = 200;
const CREATE_AHEAD_S: i64 = 3;
const CLOSE_DELAY_S: i64 = 1;
const EXTEND_STEP_S: i64 = 2;
const EXTEND_MAX_S: i64 = 8;
/// How long a daemon lives from start to kill, about: with it the meetings are spread over the kills.
const LIFE_MS: u64 = 600;

/// A meeting and the people in its room.
#[derive(Debug, Clone)]
struct Plan {
    title: String,
    starts_at: i64,
    ends_at: i64,
    extends: bool,
    /// People are in the room from the start until then.
    people_until: i64,
}

impl Plan {
    /// Before this nobody may close the room, whoever is in it.
    fn closes_at(&self) -> i64 {
        self.ends_at + CLOSE_DELAY_S * 1000
    }

    /// Before this nobody may close the room on people.
    fn closes_at_latest(&self) -> i64 {
        self.closes_at() + if self.extends { EXTEND_MAX_S * 1000 } else { 0 }
    }

    fn people(&self, now: i64) -> u64 {
        u64::from(now >= self.starts_at && now < self.people_until) * 3
    }
}

/// The meetings of one daemon: a schedule, and what the emulator has to know.
fn plans(daemon: u64, spread_s: u64, random: &mut Random) -> (String, Vec<Plan>) {
    let base = now_ms() / 1000 + CREATE_AHEAD_S + 1;
    let mut schedule = String::new();
    let mut plans = Vec::new();
    for n in 0..MEETINGS / DAEMONS {
        let starts = base + i64::try_from(random.below(spread_s)).unwrap();
        let duration = 3 + i64::try_from(random.below(5)).unwrap();
        let ends = starts + duration;
        let extends = n % 3 != 0;
        // Nobody; somebody who leaves during the extension; somebody who would stay for ever.
        let people_until = match random.below(3) {
            0 => starts,
            1 => ends + CLOSE_DELAY_S + i64::try_from(random.below(6)).unwrap(),
            _ => i64::MAX / 1000,
        };
        let title = format!("d{daemon} m{n}");
        let start = chrono::DateTime::from_timestamp(starts, 0).unwrap().format("%Y-%m-%dT%H:%M:%S");
        let extend = if extends {
            format!("extend = {{ step = \"{EXTEND_STEP_S}s\", max = \"{EXTEND_MAX_S}s\" }}\n")
        } else {
            String::new()
        };
        let _ = write!(
            schedule,
            "[[meetings]]\nid = \"m{n}\"\ntitle = \"{title}\"\nstart = {start}\nduration = \"{duration}s\"\n{extend}"
        );
        let ms = |s: i64| s * 1000;
        plans.push(Plan {
            title,
            starts_at: ms(starts),
            ends_at: ms(ends),
            extends,
            people_until: ms(people_until),
        });
    }
    (schedule, plans)
}

/// Starts and kills one daemon again and again, until it was killed `kills` times and all its meetings have begun; gives
/// how often. The instants are random: that they are waits is the point.
fn torment(place: &Place, emulator: &Emulator, app: &str, kills: u64, until: i64, mut random: Random) -> u64 {
    let mut killed = 0;
    while killed < kills || now_ms() < until {
        let mut daemon = place.start();
        match random.below(10) {
            // While it starts.
            0 | 1 => let_pass(Duration::from_millis(random.below(200))),
            // At any time.
            2..=5 => let_pass(Duration::from_millis(random.below(2_000))),
            // About when a call is sent, carried out, answered, recorded.
            _ => {
                emulator.wait_for_request(app, Duration::from_millis(1_500));
                let_pass(Duration::from_micros(random.below(12_000)));
            }
        }
        assert_healthy(&mut daemon);
        daemon.kill();
        killed += 1;
    }
    killed
}

/// It still runs, and said nothing that a daemon in good health does not say.
fn assert_healthy(daemon: &mut Daemon) {
    if let Some(status) = daemon.ended() {
        panic!("it ended by itself with {status}:\n{}", daemon.end().1);
    }
    const BAD: [&str; 3] = ["panicked", "store.failed", "daemon.failed"];
    let is_bad = |line: &&String| BAD.iter().any(|bad| line.contains(bad));
    if let Some(line) = daemon.told().iter().find(is_bad) {
        panic!("{line}");
    }
}

/// What `torment` needs to know of one daemon.
struct Tormented {
    place: Place,
    app: String,
    plans: Vec<Plan>,
}

#[test]
#[ignore = "takes two minutes: .ci/run runs it"]
fn killed_at_random_instants_it_doubles_none_forgets_none_and_closes_none_early() {
    let kills: u64 = std::env::var("CONVENED_KILLS").map_or(300, |text| text.parse().unwrap());
    let seed = Random::seed("CONVENED_SEED");
    println!("kills: {kills} wanted, CONVENED_SEED={seed}");
    let mut random = Random::new(seed);
    let spread_s = kills.div_ceil(DAEMONS) * LIFE_MS / 1000;
    let emulator = Arc::new(Emulator::new());
    let bad_manners = Manners {
        loses_request: 3,
        loses_answer: 8,
        refuses: 3,
        slowness: Duration::from_millis(60),
        pause: Duration::ZERO,
    };
    emulator.behave(bad_manners, random.next());
    let mut all: Vec<Tormented> = Vec::new();
    for n in 0..DAEMONS {
        let app = format!("d{n}");
        let place = Place::new("");
        let (meetings, plans) = plans(n, spread_s, &mut random);
        let provider = emulator.provider(&app, place.folder.path());
        place.write(&format!(
            "{provider}timeout = \"2s\"\n[defaults]\nprovider = \"elsewhere\"\ncreate_ahead = \"{CREATE_AHEAD_S}s\"\n\
             close_delay = \"{CLOSE_DELAY_S}s\"\nlook_every = \"10s\"\n{meetings}"
        ));
        all.push(Tormented { place, app, plans });
    }
    let by_title: BTreeMap<String, Plan> =
        all.iter().flat_map(|one| &one.plans).map(|plan| (plan.title.clone(), plan.clone())).collect();
    let people = by_title.clone();
    emulator.people(move |title, now| people.get(title).map_or(0, |plan| plan.people(now)));

    let last = by_title.values().map(Plan::closes_at_latest).max().unwrap();
    let killed: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = all
            .iter()
            .map(|one| {
                let (random, emulator) = (Random::new(random.next()), &emulator);
                scope.spawn(move || {
                    torment(&one.place, emulator, &one.app, kills.div_ceil(DAEMONS), last, random)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });

    // Left in peace, they finish what is left to do.
    let mut daemons: Vec<_> = all.iter().map(|one| one.place.start_ready()).collect();
    for one in &all {
        wait_until("every meeting of a store is over", Duration::from_secs(120), || {
            let lines = one.place.json(&["status", "--json", "--all"]);
            lines.len() == one.plans.len() && lines.iter().all(|line| line["state"] == "closed")
        });
    }
    for daemon in &mut daemons {
        daemon.signal("TERM");
        let (status, log) = daemon.end();
        assert!(status.success() && !log.contains("panicked"), "{status}\n{log}");
    }
    verdict(&emulator, &by_title, killed);
}

/// Counts by the emulator's truth, prints, and fails unless all is well.
fn verdict(emulator: &Emulator, plans: &BTreeMap<String, Plan>, killed: u64) {
    let truth = emulator.truth();
    let mut by_title: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for room in truth.rooms.values() {
        by_title.entry(&room.title).or_default().push(room);
    }
    let (mut doubled, mut forgotten, mut early) = (Vec::new(), Vec::new(), Vec::new());
    for (title, plan) in plans {
        let rooms = by_title.remove(title.as_str()).unwrap_or_default();
        if rooms.len() > 1 {
            doubled.push(format!("{plan:?}: {rooms:?}"));
        }
        if !rooms.iter().any(|room| room.created_at <= plan.ends_at)
            || rooms.iter().any(|room| room.closed_at.is_none())
        {
            forgotten.push(format!("{plan:?}: {rooms:?}"));
        }
        for room in rooms {
            let Some(at) = room.closed_at else { continue };
            if at < plan.closes_at() || (room.put_out > 0 && at < plan.closes_at_latest()) {
                early.push(format!("{plan:?}: {room:?}"));
            }
        }
    }
    let extended = truth
        .rooms
        .values()
        .filter(|room| plans.get(&room.title).is_some_and(|plan| room.ends_at > plan.ends_at));
    println!(
        "kills={killed} meetings={} rooms={} extended={} doubled={} forgotten={} closed_early={} | requests={} \
         lost_answers={} creates={} repeated_creates={} violations={}",
        plans.len(),
        truth.rooms.len(),
        extended.count(),
        doubled.len(),
        forgotten.len(),
        early.len(),
        truth.requests.values().sum::<u64>(),
        truth.lost_answers,
        truth.count("create"),
        truth.repeated,
        truth.violations.len(),
    );
    assert!(truth.violations.is_empty(), "{:#?}", truth.violations);
    assert!(by_title.is_empty(), "rooms of no meeting: {by_title:?}");
    assert!(
        doubled.is_empty() && forgotten.is_empty() && early.is_empty(),
        "{doubled:#?}{forgotten:#?}{early:#?}"
    );
}
