//! How fast the engine makes, closes and times rooms, with everything durable, against a bare HTTP client that keeps no
//! state at all. `cargo bench --bench herd` prints the table; `-- herd 10000` a part of it; `docs/performance.md` has its results and what they mean.
//!
//! Each figure and its reference come from one run against the same server, which counts rooms: a run that lost or
//! doubled one prints no figure.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]
#![expect(clippy::disallowed_methods, reason = "what is measured here is real time")]

mod count;
mod daemon;
mod server;
mod world;

use chrono::TimeDelta;
use daemon::Daemon;
use std::time::Duration;
use world::{Child, Run, bare_loop};

/// Calls of ours under way at once. A place is taken from the commit of the intent to that of the answer, so that a part of
/// them is on the wire.
const IN_FLIGHT: usize = 256;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--server") {
        return server::run();
    }
    let is_wanted = |name: &str| {
        let named: Vec<&String> =
            arguments.iter().skip(1).filter(|a| a.starts_with(|c: char| c.is_ascii_alphabetic())).collect();
        named.is_empty() || named.iter().any(|n| *n == name)
    };
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    if arguments.iter().any(|argument| argument == "count") {
        return sizes.iter().for_each(|rooms| count::make(*rooms));
    }
    println!("{:<56} {:>12} {:>12} {:>6}", "figure", "ours", "bare client", "ratio");
    let child = Child::start();
    if is_wanted("herd") {
        herds(&child, &sizes);
    }
    if is_wanted("lateness") {
        lateness(&child);
    }
    if is_wanted("limit") {
        limit(&child);
    }
    if is_wanted("size") {
        size(&child);
    }
    if is_wanted("series") {
        series(&child);
    }
}

/// Rounds of which the median is told: the machine may be busy with something else during one of them.
const ROUNDS: usize = 5;

fn herds(child: &Child, sizes: &[usize]) {
    let mut per_room = Vec::new();
    for rooms in sizes {
        let rounds: Vec<Herd> =
            (0..if *rooms > 20_000 { 3 } else { ROUNDS }).map(|_| herd(child, *rooms)).collect();
        let median = |of: fn(&Herd) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let ratios = [|h: &Herd| h.made / h.bare, |h: &Herd| h.closed / h.bare].map(median);
        row(&format!("make {rooms} rooms due at once"), median(|h| h.made), median(|h| h.bare), ratios[0]);
        let what = format!("close {rooms} rooms at once, each HTTP call");
        row(&what, median(|h| h.closed), median(|h| h.bare), ratios[1]);
        per_room.push(median(|h| h.made).recip());
    }
    if let (Some(least), Some(most)) =
        (per_room.iter().copied().reduce(f64::min), per_room.iter().copied().reduce(f64::max))
        && per_room.len() > 1
    {
        println!("{:<56} {:>12.2}", "the dearest room over the cheapest, by size of the herd", most / least);
    }
}

/// Rates of one round, in calls a second.
struct Herd {
    bare: f64,
    made: f64,
    closed: f64,
}

/// So many rooms due at one instant, made; then all closed, each seen closed. The bare client has 64 requests under way, or as
/// many as we have, whichever is faster.
fn herd(child: &Child, rooms: usize) -> Herd {
    let bare = [64, IN_FLIGHT].map(|in_flight| {
        child.reset(None);
        bare_loop(child, rooms, in_flight)
    });
    let bare = bare.into_iter().min().unwrap_or_default();
    child.reset(None);
    let mut run = Run::new(child, world::LaneLimits { max_in_flight: IN_FLIGHT, ..world::NO_LIMIT });
    let wait = run.expect("room.created", rooms);
    run.insert_herd(rooms, Duration::from_secs(1));
    let made = run.until(&wait);
    check(&child.stats(), rooms, rooms);
    let closing = run.remove_all(rooms);
    check(&child.stats(), rooms, 0);
    // One call closes a room, another sees it closed; what is sent beyond that counts for nothing.
    Herd { bare: rate(rooms, bare), made: rate(rooms, made), closed: rate(2 * rooms, closing) }
}

/// 100,000 occurrences wait, 20 are due each second at random instants.
fn lateness(child: &Child) {
    child.reset(None);
    let run = Run::new(child, world::NO_LIMIT);
    run.insert_waiting(100_000);
    let due = 20 * 30;
    let wait = run.expect("room.created", due);
    run.insert_spread(due, Duration::from_secs(5), Duration::from_secs(30));
    run.until(&wait);
    let stats = child.stats();
    check(&stats, due, due);
    assert_eq!(stats["early"], 0, "a request left before its deadline");
    let ms = |key: &str| format!("{:.2} ms", stats[key].as_f64().unwrap() / 1000.0);
    println!("{:<56} {:>12}", "deadline to request, 100,000 waiting: p50", ms("p50_us"));
    println!("{:<56} {:>12}", "deadline to request, 100,000 waiting: p99", ms("p99_us"));
}

/// A million occurrences in the store.
fn size(child: &Child) {
    let empty = Daemon::with_occurrences(child, 0).resident_kib();
    let full = Daemon::with_occurrences(child, 1_000_000);
    println!("{:<56} {:>9} ms", "start to ready, 1,000,000 occurrences", full.ready.as_millis());
    let idle = full.idle_cpu(Duration::from_secs(60));
    let more = full.resident_kib().saturating_sub(empty) / 1024;
    println!("{:<56} {:>8} MiB", "memory over the empty daemon's", more);
    println!("{:<56} {:>9} ms", "CPU time in 60 s of idling", idle.as_millis());
}

/// Ten thousand series on working days, over the horizon of 30 days.
fn series(child: &Child) {
    let count = 10_000;
    let daemon = Daemon::with_series(child, count);
    println!("{:<56} {:>9} ms", "start to ready, 10,000 series new", daemon.ready.as_millis());
    let reload = daemon.reload_changing(child, count, 10);
    println!("{:<56} {:>9} ms", "reload that changes 10 of 10,000 series", reload.as_millis());
}

/// 600 rooms due at once, on a provider that allows 10 requests a second and refuses more, whose starts are a tenth of a
/// second apart: in time only if they are made in the order of their starts, at nearly the allowed rate.
fn limit(child: &Child) {
    child.reset(Some(10));
    let rooms = 600;
    let limits = world::LaneLimits { interval: Duration::from_millis(100), ..world::NO_LIMIT };
    let mut run = Run::new(child, limits);
    let wait = run.expect("room.created", rooms);
    run.insert_staggered(rooms, TimeDelta::milliseconds(100), TimeDelta::seconds(4));
    let took = run.until(&wait);
    let stats = child.stats();
    check(&stats, rooms, rooms);
    let refused = stats["refused"].as_u64().unwrap();
    println!("{:<56} {:>10.1} %", "of the allowed rate used for 600 rooms (10/s)", rate(rooms, took) * 10.0);
    println!("{:<56} {:>12}", "requests refused (429)", refused);
    let order: Vec<i64> = stats["order"]
        .as_array()
        .unwrap()
        .iter()
        .map(|title| title.as_str().unwrap().parse().unwrap())
        .collect();
    let inversions = order.windows(2).filter(|pair| pair[0] > pair[1]).count();
    println!("{:<56} {:>12}", "rooms made out of the order of starts", inversions);
    println!("{:<56} {:>12}", "rooms made after their start", stats["late"]);
}

/// No figure is told of a run that lost or doubled a room: it ends here.
fn check(stats: &serde_json::Value, rooms: usize, open: usize) {
    let found = [&stats["rooms"], &stats["open"], &stats["doubled"]].map(|n| n.as_u64().unwrap());
    let expected = [rooms, open, 0].map(|n| u64::try_from(n).unwrap());
    assert_eq!(found, expected, "NO FIGURE: rooms, open, doubled");
}

#[expect(clippy::cast_precision_loss, reason = "far below the limit")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn row(figure: &str, ours: f64, reference: f64, ratio: f64) {
    println!("{figure:<56} {ours:>10.0}/s {reference:>10.0}/s {ratio:>6.2}");
}
