//! The wall clock set while meetings run, by libfaketime; the boot clock goes on as ever.

use crate::emulator::{Emulator, PATIENCE, wait_until};
use crate::support::{Daemon, Place, RUN, from_now};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const HOUR_S: i64 = 3600;

/// The library, where it is installed.
fn library() -> Option<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
    ];
    let paths = folders.iter().map(|folder| Path::new(folder).join("faketime/libfaketime.so.1"));
    paths.into_iter().find(|path| path.exists())
}

/// Sets the daemon's wall clock off by so many seconds.
fn set(file: &Path, off_s: i64) {
    let draft = file.with_extension("draft");
    std::fs::write(&draft, format!("{off_s:+}")).unwrap();
    std::fs::rename(&draft, file).unwrap();
}

/// Sets the clock, and waits until the daemon has told that it moved by `by_s` and has looked at the running room since.
fn step(daemon: &mut Daemon, emulator: &Emulator, file: &Path, off_s: i64, by_s: i64) {
    set(file, off_s);
    let stepped = daemon.wait_for("clock.stepped", "");
    let told = stepped["by_s"].as_i64().unwrap();
    assert!((told - by_s).abs() <= 3, "{told} and not {by_s}: does the library leave the boot clock alone?");
    // Set ahead, closing waits for as long; set back, everything waits anyway.
    let waits = stepped["closing_waits_s"].as_i64().unwrap();
    assert!((waits - by_s.max(0)).abs() <= 3, "{stepped}");
    seen_again(emulator);
}

/// Waits until the running room was looked at twice, by the clock as it is now, or has been due and was left alone.
fn seen_again(emulator: &Emulator) {
    let looks = || emulator.truth().room("running").map_or(0, |room| room.looks);
    let before = looks();
    wait_until("the running room is looked at", PATIENCE, || looks() > before);
}

#[test]
#[ignore = "takes a minute, and needs libfaketime: .ci/run runs it"]
fn whatever_the_wall_clock_is_set_to_rooms_open_by_it_and_none_is_closed_early() {
    let Some(library) = library() else {
        println!("SKIPPED clock steps: libfaketime is not installed");
        return;
    };
    let (emulator, place) = (Emulator::new(), Place::new(""));
    emulator.people(|title, _| if title == "running" { 2 } else { 0 });
    let mut schedule = emulator.provider("clock", place.folder.path());
    schedule.push_str(
        "[defaults]\nprovider = \"elsewhere\"\nduration = \"20m\"\nclose_delay = \"1m\"\ncreate_ahead = \"10m\"\n\
         look_every = \"10s\"\n",
    );
    // Besides the running one, a meeting for each clock that is set ahead.
    for (id, in_s) in [("running", 2), ("later", 2 * HOUR_S + 300), ("much-later", 48 * HOUR_S + 300)] {
        let start = from_now(in_s);
        let _ = write!(schedule, "[[meetings]]\nid = \"{id}\"\ntitle = \"{id}\"\nstart = {start}\n");
    }
    place.write(&schedule);
    let file = place.folder.path().join("clock");
    set(&file, 0);
    let mut command = place.command(&RUN);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    let mut daemon = Place::start_as(command);
    daemon.wait_for("meeting.live", "\"occurrence\":\"running\"");

    // Two hours ahead, over the running meeting's end, and back.
    step(&mut daemon, &emulator, &file, 2 * HOUR_S, 2 * HOUR_S);
    daemon.wait_for("room.created", "\"occurrence\":\"later\"");
    set(&file, 0);
    daemon.wait_for("clock.settled", "");
    seen_again(&emulator);
    // Two days ahead, and back.
    step(&mut daemon, &emulator, &file, 48 * HOUR_S, 48 * HOUR_S);
    daemon.wait_for("room.created", "\"occurrence\":\"much-later\"");
    set(&file, 0);
    daemon.wait_for("clock.settled", "");
    seen_again(&emulator);
    // Two hours back, and forth again.
    step(&mut daemon, &emulator, &file, -2 * HOUR_S, -2 * HOUR_S);
    set(&file, 0);
    daemon.wait_for("clock.settled", "");
    seen_again(&emulator);

    let state = |id: &str| place.status(id)["state"].as_str().unwrap().to_owned();
    assert_eq!(state("running"), "live");
    daemon.signal("TERM");
    let (status, log) = daemon.end();
    assert!(status.success(), "{log}");
    assert!(!log.contains("meeting.ended") && !log.contains("room.closing"), "{log}");
    let truth = emulator.truth();
    let titles: BTreeSet<&str> = truth.rooms.values().map(|room| room.title.as_str()).collect();
    println!(
        "clock steps=+2h,+2d,-2h and back: rooms={} doubled={} closed_early={} violations={}",
        truth.rooms.len(),
        truth.rooms.len() - titles.len(),
        truth.count("close"),
        truth.violations.len()
    );
    assert!(truth.violations.is_empty(), "{:?}", truth.violations);
    assert_eq!((truth.rooms.len(), truth.count("close")), (3, 0));
}
