//! The store on a disk that is full or read only, damaged, held by another program, or with a part of it gone.

use crate::emulator::{Emulator, Manners, PATIENCE, wait_until};
use crate::support::{Daemon, Place, http, rooms_due_now, text};
use convened::store::SqliteStore;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A small disk of its own for the state of a place. Gone when dropped.
struct SmallDisk {
    state: PathBuf,
}

impl SmallDisk {
    /// `None` where this user may not mount.
    fn under(place: &Place) -> Option<Self> {
        let state = place.state();
        std::fs::create_dir(&state).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1536k,mode=0700", "tmpfs"]).arg(&state).stderr(Stdio::null());
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        is_mounted.then_some(Self { state })
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let ballast = std::fs::File::create(self.state.join("ballast")).unwrap();
        let mut size = 0;
        let zeros = [0; 4096];
        while std::os::unix::fs::FileExt::write_all_at(&ballast, &zeros, size).is_ok() {
            size += 4096;
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.state.join("ballast")).unwrap();
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.state).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.state).status();
    }
}

/// A schedule of rooms on the emulator that are due now.
fn due_now(emulator: &Emulator, place: &Place, count: usize) -> String {
    let schedule = rooms_due_now(count);
    let provider = emulator.provider("app", place.folder.path());
    let (head, meetings) = schedule.split_once("duration").unwrap();
    format!("{head}provider = \"elsewhere\"\nduration{meetings}\n{provider}timeout = \"60s\"\n")
}

fn ready_answer(daemon: &mut Daemon) -> (u16, String) {
    let listening = daemon.wait_for("daemon.listening", "");
    http("GET", &format!("http://{}/readyz", listening["address"].as_str().unwrap()), "")
}

/// One room, made by one create, and nothing that should not have been sent.
fn assert_made_once(emulator: &Emulator) {
    let truth = emulator.truth();
    assert!(truth.violations.is_empty(), "{:?}", truth.violations);
    assert_eq!((truth.rooms.len(), truth.count("create")), (1, 1));
}

#[test]
fn on_a_full_disk_nothing_is_called_and_space_heals_it() {
    let (emulator, place) = (Emulator::new(), Place::new(""));
    let Some(disk) = SmallDisk::under(&place) else {
        println!("SKIPPED full disk: this user may not mount");
        return;
    };
    place.write(&due_now(&emulator, &place, 0));
    let mut daemon = place.start_ready();
    disk.fill();
    place.write(&due_now(&emulator, &place, 1));
    let failed = daemon.wait_for("store.failed", "");
    let error = failed["error"].as_str().unwrap();
    for part in [place.state().join("convened.sqlite").to_str().unwrap(), "full", "free some space"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let (status, reason) = ready_answer(&mut daemon);
    assert!(status == 503 && reason.contains("free some space"), "{status} {reason}");
    assert!(emulator.truth().requests.is_empty(), "a call without its intent on disk");
    assert!(
        !daemon.told().iter().any(|line| line.contains("store.recovered")),
        "it recovered on a full disk"
    );
    disk.free();
    daemon.wait_for("store.recovered", "");
    daemon.wait_for("room.created", "");
    assert_made_once(&emulator);
}

#[test]
fn an_answer_that_meets_a_full_disk_is_kept_until_there_is_space() {
    let (emulator, place) = (Emulator::new(), Place::new(""));
    let Some(disk) = SmallDisk::under(&place) else {
        println!("SKIPPED answer on a full disk: this user may not mount");
        return;
    };
    emulator.behave(Manners { pause: Duration::from_secs(2), ..Manners::default() }, 1);
    place.write(&due_now(&emulator, &place, 1));
    let mut daemon = place.start();
    emulator.wait_for_request("app", PATIENCE);
    disk.fill();
    daemon.wait_for("store.failed", "");
    disk.free();
    daemon.wait_for("store.recovered", "");
    daemon.wait_for("room.created", "\"reason\":\"created\"");
    assert_made_once(&emulator);
}

#[test]
fn killed_and_started_on_a_full_disk_it_waits_and_then_asks_what_became_of_its_call() {
    let (emulator, place) = (Emulator::new(), Place::new(""));
    let Some(disk) = SmallDisk::under(&place) else {
        println!("SKIPPED start on a full disk: this user may not mount");
        return;
    };
    emulator.behave(Manners { pause: Duration::from_secs(1), ..Manners::default() }, 1);
    place.write(&due_now(&emulator, &place, 1));
    let daemon = place.start();
    emulator.wait_for_request("app", PATIENCE);
    disk.fill();
    daemon.kill();
    wait_until("the room is made all the same", PATIENCE, || emulator.truth().rooms.len() == 1);

    let mut daemon = place.start();
    let failed = daemon.wait_for("store.failed", "");
    assert!(failed["error"].as_str().unwrap().contains("full"), "{failed}");
    assert!(!daemon.told().iter().any(|line| line.contains("daemon.ready")), "READY on a full disk");
    disk.free();
    daemon.wait_for("store.recovered", "");
    daemon.wait_for("daemon.ready", "");
    daemon.wait_for("room.created", "found_by_marker");
    assert_made_once(&emulator);
}

#[test]
fn a_read_only_store_is_told_with_its_place_and_nothing_is_called() {
    let (emulator, place) = (Emulator::new(), Place::new(""));
    let Some(disk) = SmallDisk::under(&place) else {
        println!("SKIPPED read-only store: this user may not mount");
        return;
    };
    place.write(&due_now(&emulator, &place, 0));
    let mut daemon = place.start_ready();
    daemon.signal("TERM");
    daemon.end();
    place.write(&due_now(&emulator, &place, 1));
    disk.remount("ro");
    let output = place.run(&["run"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{told}");
    assert!(told.contains(place.state().to_str().unwrap()) && told.contains("write"), "{told}");
    assert!(emulator.truth().requests.is_empty());
    disk.remount("rw");
    place.start_ready().wait_for("room.created", "");
    assert_made_once(&emulator);
}

/// Another program that is in the middle of writing to the store.
fn hold(place: &Place) -> Connection {
    let holder = Connection::open(place.state().join(SqliteStore::FILE_NAME)).unwrap();
    holder.busy_timeout(PATIENCE).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    holder
}

#[test]
fn a_store_that_another_program_holds_is_waited_for() {
    let (emulator, place) = (Emulator::new(), Place::new(""));
    place.write(&due_now(&emulator, &place, 0));
    let mut daemon = place.start_ready();
    let holder = hold(&place);
    place.write(&due_now(&emulator, &place, 1));
    let failed = daemon.wait_for("store.failed", "");
    assert!(failed["error"].as_str().unwrap().contains("another program holds it"), "{failed}");
    assert!(emulator.truth().requests.is_empty(), "a call without its intent on disk");
    assert!(
        !daemon.told().iter().any(|line| line.contains("store.recovered")),
        "it recovered while it was held"
    );
    holder.execute_batch("ROLLBACK").unwrap();
    daemon.wait_for("store.recovered", "");
    daemon.wait_for("room.created", "");

    // And at a start.
    daemon.kill();
    let holder = hold(&place);
    let mut daemon = place.start();
    daemon.wait_for("store.failed", "another program holds it");
    holder.execute_batch("ROLLBACK").unwrap();
    daemon.wait_for("daemon.ready", "");
    assert_made_once(&emulator);
}

/// A store with rooms in it, of a daemon that stopped cleanly.
pub(crate) fn stopped_store(emulator: &Emulator) -> Place {
    let place = Place::new("");
    place.write(&due_now(emulator, &place, 40));
    let mut daemon = place.start_ready();
    wait_until("all rooms are made", PATIENCE, || emulator.truth().rooms.len() == 40);
    daemon.signal("TERM");
    assert!(daemon.end().0.success());
    place
}

/// Damages the file, and sees the daemon refuse it without touching it or calling anybody.
fn assert_refused(
    place: &Place,
    emulator: &Emulator,
    file: &Path,
    what: &str,
    damage: impl FnOnce(&mut Vec<u8>),
) {
    let good = std::fs::read(file).unwrap();
    let mut bad = good.clone();
    damage(&mut bad);
    std::fs::write(file, &bad).unwrap();
    let before = emulator.truth().requests.clone();
    let output = place.run(&["run"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{what}: {told}");
    for part in [file.to_str().unwrap(), "is damaged", "backup"] {
        assert!(told.contains(part), "{what}: {part} in {told}");
    }
    assert!(!told.contains("panicked"), "{what}: {told}");
    assert!(std::fs::read(file).unwrap() == bad, "{what}: the damaged file was touched");
    assert_eq!(emulator.truth().requests, before, "{what}: something was called");
    std::fs::write(file, &good).unwrap();
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let emulator = Emulator::new();
    let place = stopped_store(&emulator);
    for name in ["convened.sqlite", "meeting-service.sqlite"] {
        let file = place.state().join(name);
        assert_refused(&place, &emulator, &file, "another file", |bytes| bytes[..16].fill(b'x'));
        assert_refused(&place, &emulator, &file, "cut off", |bytes| {
            bytes.truncate(bytes.len() / 2 / 4096 * 4096)
        });
        assert_refused(&place, &emulator, &file, "pages of zeros", |bytes| bytes[4096..].fill(0));
    }
    // The index by which the daemon finds what is due lacks an entry: nothing crashes, and a meeting would be forgotten.
    let file = place.state().join("convened.sqlite");
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'occurrences_by_wake'";
    let root: i64 = Connection::open(&file).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    let root = usize::try_from(root).unwrap();
    assert_refused(&place, &emulator, &file, "an index that lacks an entry", |bytes| {
        let cells = (root - 1) * 4096 + 3;
        let count = u16::from_be_bytes([bytes[cells], bytes[cells + 1]]) - 1;
        bytes[cells..cells + 2].copy_from_slice(&count.to_be_bytes());
    });
    let mut daemon = place.start_ready();
    daemon.signal("TERM");
    assert!(daemon.end().0.success(), "with the good file it works again");
    assert_eq!(emulator.truth().rooms.len(), 40);
}

#[test]
fn a_log_that_belongs_to_another_store_does_no_harm() {
    let emulator = Emulator::new();
    let (place, other) = (stopped_store(&emulator), Place::new(""));
    // The log of a store with other rooms in it, left there by a daemon that was killed: it holds what its last life
    // changed, as a log does that is left beside a backup.
    other.write(&rooms_due_now(30));
    let mut daemon = other.start_ready();
    for _ in 0..30 {
        daemon.wait_for("room.created", "");
    }
    daemon.signal("TERM");
    daemon.end();
    other.start_ready().kill();
    let (file, log) = (place.state().join("convened.sqlite"), place.state().join("convened.sqlite-wal"));
    let good = std::fs::read(&file).unwrap();
    std::fs::copy(other.state().join("convened.sqlite-wal"), &log).unwrap();
    let before = emulator.truth().requests.clone();
    let output = place.run(&["run"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("is damaged") && told.contains("-wal") && !told.contains("panicked"), "{told}");
    assert!(std::fs::read(&file).unwrap() == good, "the other store's log was brought into this one");
    assert_eq!(emulator.truth().requests, before);
    // As the message says.
    std::fs::remove_file(&log).unwrap();
    let _ = std::fs::remove_file(place.state().join("convened.sqlite-shm"));
    place.start_ready();
    assert_eq!(emulator.truth().rooms.len(), 40);
}

#[test]
fn without_its_log_it_goes_on_from_the_last_clean_stop() {
    let emulator = Emulator::new();
    let place = stopped_store(&emulator);
    place.start_ready().kill();
    std::fs::remove_file(place.state().join("convened.sqlite-wal")).unwrap();
    let mut daemon = place.start_ready();
    daemon.signal("TERM");
    assert!(daemon.end().0.success());
    let truth = emulator.truth();
    assert_eq!((truth.rooms.len(), truth.count("create")), (40, 40));
}
