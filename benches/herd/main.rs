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

mod server;
mod world;

use std::time::Duration;
use world::{Child, Run, bare_loop};

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
    println!("{:<44} {:>14} {:>14} {:>7}", "figure", "ours", "bare client", "ratio");
    let child = Child::start();
    if is_wanted("herd") {
        for rooms in sizes {
            herd(&child, rooms);
        }
    }
    if is_wanted("lateness") {
        lateness(&child);
    }
    if is_wanted("size") {
        size(&child);
    }
    if is_wanted("limit") {
        limit(&child);
    }
}

/// So many rooms due at one instant, made; then all closed, each seen closed.
fn herd(child: &Child, rooms: usize) {
    child.reset(None);
    let bare = bare_loop(child, rooms);
    child.reset(None);
    let mut run = Run::new(child, world::LaneLimits { max_in_flight: 256, ..world::NO_LIMIT });
    let wait = run.expect("room.created", rooms);
    run.insert_herd(rooms, Duration::from_secs(1));
    let made = run.until(&wait);
    let stats = child.stats();
    if !is_sound(&stats, rooms, rooms) {
        return;
    }
    row(&format!("make {rooms} rooms due at once"), rate(rooms, made), rate(rooms, bare));

    let requests = stats["requests"].as_u64().unwrap();
    let closing = run.remove_all(rooms);
    let stats = child.stats();
    if !is_sound(&stats, rooms, 0) {
        return;
    }
    let calls = usize::try_from(stats["requests"].as_u64().unwrap() - requests).unwrap();
    row(&format!("close {rooms} rooms at once, each HTTP call"), rate(calls, closing), rate(rooms, bare));
}

/// 100,000 occurrences wait, 20 are due each second at random instants.
fn lateness(child: &Child) {
    child.reset(None);
    let run = Run::new(child, world::NO_LIMIT);
    run.insert_waiting(100_000);
    let due = 20 * 15;
    let wait = run.expect("room.created", due);
    run.insert_spread(due, Duration::from_secs(2), Duration::from_secs(15));
    run.until(&wait);
    let stats = child.stats();
    if is_sound(&stats, due, due) {
        let ms = |key: &str| format!("{:.2} ms", stats[key].as_f64().unwrap() / 1000.0);
        println!("{:<44} {:>14}", "deadline to request, 100,000 waiting: p50", ms("p50_us"));
        println!("{:<44} {:>14}", "deadline to request, 100,000 waiting: p99", ms("p99_us"));
    }
}

/// A million occurrences in the store.
fn size(child: &Child) {
    let empty = world::start_daemon(child, 0);
    let full = world::start_daemon(child, 1_000_000);
    println!("{:<44} {:>12} ms", "start to ready, 1,000,000 occurrences", full.ready.as_millis());
    let more = full.resident_kib.saturating_sub(empty.resident_kib) / 1024;
    println!("{:<44} {:>11} MiB", "memory over the empty daemon's", more);
    println!("{:<44} {:>12} ms", "CPU time in 20 s of idling", full.idle_cpu.as_millis());
}

/// 600 rooms due in one minute, on a provider that allows 10 requests a second and refuses more.
fn limit(child: &Child) {
    child.reset(Some(10));
    let rooms = 600;
    let limits = world::LaneLimits { interval: Duration::from_millis(100), ..world::NO_LIMIT };
    let mut run = Run::new(child, limits);
    let wait = run.expect("room.created", rooms);
    run.insert_staggered(rooms);
    let took = run.until(&wait);
    let stats = child.stats();
    if !is_sound(&stats, rooms, rooms) {
        return;
    }
    let refused = stats["refused"].as_u64().unwrap();
    // Rooms are looked at half a minute after they were made, which takes its share of what is allowed.
    let requests = usize::try_from(stats["requests"].as_u64().unwrap()).unwrap();
    println!("{:<44} {:>12.1} %", "of the allowed rate used (10/s), looks too", rate(requests, took) * 10.0);
    println!("{:<44} {:>12.1} s", "to make 600 rooms", took.as_secs_f64());
    println!("{:<44} {:>14}", "requests refused (429) of 600", refused);
    let order: Vec<&str> =
        stats["order"].as_array().unwrap().iter().filter_map(|title| title.as_str()).collect();
    let inversions = order.windows(2).filter(|pair| pair[0] > pair[1]).count();
    println!("{:<44} {:>14}", "rooms made out of the order of starts", inversions);
}

fn is_sound(stats: &serde_json::Value, rooms: usize, open: usize) -> bool {
    let found = [&stats["rooms"], &stats["open"], &stats["doubled"]].map(|n| n.as_u64().unwrap());
    let expected = [rooms, open, 0].map(|n| u64::try_from(n).unwrap());
    if found != expected {
        println!("NO FIGURE: rooms, open, doubled are {found:?}, not {expected:?}");
    }
    found == expected
}

#[expect(clippy::cast_precision_loss, reason = "far below the limit")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn row(figure: &str, ours: f64, reference: f64) {
    println!("{figure:<44} {ours:>12.0}/s {reference:>12.0}/s {:>7.2}", ours / reference);
}
