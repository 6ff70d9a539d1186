//! Many daemons, started at once on one store.

use crate::emulator::{PATIENCE, wait_until};
use crate::support::{Daemon, Place};

const STARTS: usize = 50;

#[test]
fn of_fifty_started_at_once_one_runs_and_the_others_name_it() {
    let place = Place::new("");
    // A process id of before is in the lock file already: it must not be told.
    let mut before = place.start_ready();
    before.signal("TERM");
    before.end();

    let mut running: Vec<Daemon> = (0..STARTS).map(|_| place.start()).collect();
    let mut losers: Vec<Daemon> = Vec::new();
    wait_until("all but one have ended", PATIENCE, || {
        for n in (0..running.len()).rev() {
            if running[n].ended().is_some() {
                losers.push(running.swap_remove(n));
            }
        }
        running.len() <= 1
    });
    let mut winner = running.pop().unwrap();
    winner.wait_for("daemon.ready", "");
    assert_eq!(losers.len(), STARTS - 1);
    let names_it = format!("another convened (process {})", winner.pid());
    for mut loser in losers {
        let (status, log) = loser.end();
        assert_eq!(status.code(), Some(75), "{log}");
        assert!(log.contains(&names_it), "{names_it} in {log}");
    }
    winner.signal("TERM");
    assert!(winner.end().0.success());
}
