//! What the commands print: the names are a contract.

use crate::support::{Place, rooms_due_now, text};
use serde_json::Value;

const SCHEDULE: &str = "
[[meetings]]
id = \"standup\"
title = \"Daily stand-up\"
start = 2026-11-23T09:30:00
timezone = \"Europe/Paris\"
repeat = \"FREQ=WEEKLY;BYDAY=MO,TU\"
duration = \"15m\"
create_ahead = \"10m\"
close_delay = \"5m\"
except = [2026-11-30]
[[meetings.overrides]]
occurrence = 2026-12-01T09:30:00
start = 2026-12-01T11:00:00
title = \"Moved\"
[[meetings]]
id = \"once\"
start = 2026-11-24T08:30:00
duration = \"1h\"
";

fn keys(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn plan_as_json() {
    let place = Place::new(SCHEDULE);
    let lines = place.json(&[
        "plan",
        "--json",
        "--from",
        "2026-11-23T09:30+01:00".replace("30+", "30:00+").as_str(),
        "--until",
        "2026-12-07",
    ]);
    let starts: Vec<_> =
        lines.iter().map(|l| (l["occurrence"].as_str().unwrap(), l["starts_at"].as_str().unwrap())).collect();
    assert_eq!(
        starts,
        [
            ("standup@2026-11-23T09:30", "2026-11-23T08:30:00Z"),
            ("once", "2026-11-24T08:30:00Z"),
            ("standup@2026-11-24T09:30", "2026-11-24T08:30:00Z"),
            ("standup@2026-12-01T09:30", "2026-12-01T10:00:00Z"),
        ]
    );
    assert_eq!(
        lines[3],
        serde_json::json!({
            "occurrence": "standup@2026-12-01T09:30", "meeting": "standup", "title": "Moved", "provider": "house",
            "create_at": "2026-12-01T09:50:00Z", "starts_at": "2026-12-01T10:00:00Z",
            "ends_at": "2026-12-01T10:15:00Z", "closes_at": "2026-12-01T10:20:00Z",
        })
    );
    assert!(!place.state().exists(), "plan needs no store");
}

#[test]
fn plan_for_people() {
    let place = Place::new(SCHEDULE);
    let output = place.run(&["plan", "--from", "2026-11-24", "--until", "2026-11-25"]);
    let expected = "\
STARTS                ENDS   ZONE          ROOM FROM  ROOM UNTIL  OCCURRENCE                PROVIDER  TITLE
Tue 2026-11-24 08:30  09:30  UTC           08:15      09:35       once                      house     once
Tue 2026-11-24 09:30  09:45  Europe/Paris  09:20      09:50       standup@2026-11-24T09:30  house     Daily stand-up
";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn plan_refuses_what_makes_no_sense() {
    let place = Place::new(SCHEDULE);
    for arguments in [&["plan", "--from", "tomorrow"][..], &["plan", "--frm", "2026-01-01"]] {
        let output = place.run(arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{}", text(&output.stderr));
    }
    let backwards = place.run(&["plan", "--from", "2027-01-01", "--until", "2026-01-01"]);
    assert!(text(&backwards.stderr).contains("is later than"), "{}", text(&backwards.stderr));
}

#[test]
fn status_as_json() {
    let place = Place::new(&rooms_due_now(1));
    let mut daemon = place.start_ready();
    daemon.wait_for("room.created", "");
    let line = place.status("m0");
    assert_eq!(
        keys(&line),
        [
            "attempts",
            "closes_at",
            "create_at",
            "ends_at",
            "host_url",
            "join_url",
            "last_close_at",
            "last_error",
            "meeting",
            "next_action",
            "next_at",
            "occupancy",
            "occurrence",
            "provider",
            "reason",
            "room_id",
            "starts_at",
            "state",
            "title",
            "was_occupied",
        ]
    );
    assert_eq!(
        (&line["state"], &line["reason"], &line["next_action"]),
        (&"ready".into(), &"created".into(), &"start".into())
    );
    assert_eq!(line["next_at"], line["starts_at"]);
}

#[test]
fn check_tells_every_problem_with_its_place() {
    let place = Place::new("[[meetings]]\nid = \"m\"\nduration = 15\nstrat = 2026-01-01T09:00:00\n");
    let output = place.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    let told = text(&output.stderr);
    for part in ["config.toml:7:12", "config.toml:8:1", "start", "^"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let lines = text(&place.run(&["check", "--json"]).stdout);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(keys(&first), ["column", "help", "line", "message", "path", "severity"]);

    let good = Place::new(SCHEDULE);
    let output = good.run(&["check"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("valid; 2 meetings"), "{}", text(&output.stdout));
}

#[test]
fn help_reads_well_and_a_missing_file_is_named() {
    let place = Place::new("");
    let help = place.run(&["--help"]);
    assert!(help.status.success());
    for command in ["run", "check", "plan", "status", "reload"] {
        assert!(text(&help.stdout).contains(&format!("\n  {command}")), "{}", text(&help.stdout));
    }
    std::fs::remove_file(place.config()).unwrap();
    let output = place.run(&["plan"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains(place.config().to_str().unwrap()), "{}", text(&output.stderr));
}

#[test]
fn status_without_a_store_says_so() {
    let place = Place::new("");
    let output = place.run(&["status"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("there is no store in"), "{}", text(&output.stderr));
    assert!(!place.state().exists());
}

#[test]
fn a_daemon_that_hangs_keeps_nobody_waiting() {
    let place = Place::new(&rooms_due_now(1));
    let mut daemon = place.start_ready();
    daemon.wait_for("room.created", "");
    daemon.signal("STOP");
    let output = place.run(&["status"]);
    assert!(text(&output.stderr).contains("gives no answer"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("ready"), "what the store holds is shown all the same");
    daemon.signal("CONT");
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let place = Place::new(SCHEDULE);
    let output = place.run(&["plan", "-m", "standpu"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("did you mean \"standup\"?"), "{}", text(&output.stderr));
}
