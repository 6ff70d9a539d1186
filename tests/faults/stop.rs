//! SIGTERM while a room is being made.

use crate::emulator::{Emulator, Manners, PATIENCE, let_pass};
use crate::support::{Place, rooms_due_now};
use std::time::Duration;

/// The room is made half-way through this, and the answer comes at its end.
const CREATE: Duration = Duration::from_secs(2);
const OFFSETS: u32 = 16;
/// Longer than a daemon that stops waits for its calls.
const ENDLESS: Duration = Duration::from_secs(40);

/// A daemon whose only room is asked for is told to stop `offset` after the request arrived; then it starts again.
fn stopped_at(pause: Duration, offset: Duration) {
    let emulator = Emulator::new();
    emulator.behave(Manners { pause, ..Manners::default() }, 1);
    let place = Place::new("");
    let schedule = rooms_due_now(1);
    let (head, meetings) = schedule.split_once("[[meetings]]").unwrap();
    let provider = emulator.provider("slow", place.folder.path());
    place.write(&format!(
        "{head}provider = \"elsewhere\"\n{provider}timeout = \"60s\"\n[[meetings]]{meetings}"
    ));
    let mut daemon = place.start();
    emulator.wait_for_request("slow", PATIENCE);
    // The instant is what is tested.
    let_pass(offset);
    daemon.signal("TERM");
    // `end` gives up after a minute; the unit after 45 s.
    let (status, log) = daemon.end();
    assert_eq!(status.code(), Some(0), "{log}");
    let is_given_up = log.contains("\"calls_given_up\":1");
    assert_eq!(is_given_up, pause == ENDLESS, "{log}");

    emulator.behave(Manners::default(), 1);
    let mut daemon = place.start_ready();
    if is_given_up {
        daemon.wait_for("daemon.recovered", "");
        daemon.wait_for("room.created", "");
    }
    assert_eq!(place.status("m0")["state"], "ready");
    let truth = emulator.truth();
    assert!(truth.violations.is_empty(), "{:?}", truth.violations);
    assert_eq!((truth.rooms.len(), truth.count("create")), (1, 1), "at {offset:?} of {pause:?}");
}

#[test]
fn told_to_stop_while_a_room_is_made_it_records_the_answer_or_asks_for_it_at_the_next_start() {
    std::thread::scope(|scope| {
        let slow = (0..OFFSETS).map(|n| (CREATE, CREATE * n / (OFFSETS - 2)));
        // With these the room is made long after the daemon has gone.
        let endless = (0..4).map(|n| (ENDLESS, CREATE * n));
        for (pause, offset) in slow.chain(endless) {
            scope.spawn(move || stopped_at(pause, offset));
        }
    });
}
