//! From start to stop.

use crate::support::{Place, exists, from_now, http, rooms_due_now, text};

/// A meeting that begins in a moment.
fn soon(rules: &str) -> String {
    format!(
        "[[meetings]]\nid = \"m\"\ntitle = \"Soon\"\nstart = {}\nduration = \"2s\"\ncreate_ahead = \"1h\"\n\
         close_delay = \"1s\"\n{rules}",
        from_now(2)
    )
}

#[test]
fn a_meeting_is_created_live_ended_and_closed() {
    let place = Place::new(&soon(""));
    let mut daemon = place.start();
    let created = daemon.wait_for("room.created", "\"occurrence\":\"m\"");
    daemon.wait_for("meeting.live", "\"occurrence\":\"m\"");
    let (status, page) = http("GET", created["join_url"].as_str().unwrap(), "");
    assert_eq!(status, 200);
    assert!(page.contains("<h1 id=\"title\">Soon</h1>"), "{page}");
    daemon.wait_for("meeting.ended", "\"reason\":\"duration_over\"");
    daemon.wait_for("room.closed", "\"reason\":\"seen_closed\"");
    assert_eq!(place.status("m")["state"], "closed");
}

#[test]
fn somebody_in_the_room_extends_it() {
    let place = Place::new(&soon("extend = { step = \"3s\", max = \"6s\" }\n"));
    let mut daemon = place.start();
    let created = daemon.wait_for("room.created", "");
    daemon.wait_for("meeting.live", "");
    let join_url = created["join_url"].as_str().unwrap();
    let (base, _) = join_url.split_once("/m/").unwrap();
    // As the page does it.
    let url = format!("{base}/scenario/meeting/apps/convened/v1/room/entry");
    let room = created["room_id"].as_str().unwrap();
    let body = format!("{{\"roomUuid\":\"{room}\",\"userUuid\":\"ada\",\"userName\":\"Ada\"}}");
    let (status, answer) = http("POST", &url, &body);
    assert_eq!(status, 200, "{answer}");
    let extended = daemon.wait_for("meeting.extended", "");
    assert_eq!((&extended["reason"], &extended["occupancy"]), (&"occupied".into(), &1.into()));
    // Nobody leaves: the greatest extension ends it.
    daemon.wait_for("room.closing", "extension_used_up");
    daemon.wait_for("room.closed", "");
}

#[test]
fn a_signal_ends_it_cleanly_and_it_goes_on_where_it_was() {
    let place = Place::new(&rooms_due_now(3));
    let mut daemon = place.start_ready();
    for n in 0..3 {
        daemon.wait_for("room.created", "");
        assert!(n < 3);
    }
    let room = place.status("m0")["room_id"].clone();
    daemon.signal("TERM");
    let (status, log) = daemon.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("daemon.stopping") && log.contains("daemon.stopped"), "{log}");
    assert!(!exists(&place.state().join("control.sock")));

    let output = place.run(&["status"]);
    assert!(text(&output.stderr).contains("the daemon is not running"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("ready"), "{}", text(&output.stdout));

    let mut daemon = place.start_ready();
    assert_eq!(place.status("m0")["room_id"], room);
    daemon.signal("INT");
    let (_, log) = daemon.end();
    assert!(!log.contains("room.created"), "{log}");
}

#[test]
fn the_second_daemon_on_a_store_is_turned_away() {
    let place = Place::new("");
    let _first = place.start_ready();
    let output = place.run(&["run"]);
    assert_eq!(output.status.code(), Some(75));
    let told = text(&output.stderr);
    assert!(
        told.contains("another convened (process ") && told.contains("two rooms for one meeting"),
        "{told}"
    );
}

#[test]
fn a_schedule_that_is_not_valid_does_not_start_and_says_where() {
    let place = Place::new("[[meetings]]\nid = \"m\"\nstrat = 2026-01-01T09:00:00\nduration = \"1h\"\n");
    let output = place.run(&["run"]);
    assert_eq!(output.status.code(), Some(78));
    let told = text(&output.stderr);
    let place_of_error = format!("{}:7:1", place.config().display());
    assert!(told.contains(&place_of_error) && told.contains("`start`"), "{told}");
    assert!(!exists(&place.state()), "nothing is made for a schedule that is not valid");
}

#[test]
fn a_store_from_a_newer_version_is_refused() {
    let place = Place::new("");
    drop(place.start_ready());
    let store = rusqlite::Connection::open(place.state().join("convened.sqlite")).unwrap();
    store.execute_batch("PRAGMA user_version = 4711").unwrap();
    drop(store);
    let output = place.run(&["run"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("newer convened"), "{}", text(&output.stderr));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new("");
    let schedule = format!("[daemon]\nlisten = \"{address}\"\nstate_dir = \"state\"\n");
    std::fs::write(place.config(), schedule).unwrap();
    let output = place.run(&["run"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(
        text(&output.stderr).contains(&format!("cannot listen on {address}")),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn health_is_told_and_no_secret_is() {
    let place = Place::new(&rooms_due_now(2));
    let mut daemon = place.start();
    let url = daemon.wait_for("daemon.listening", "")["public_url"].as_str().unwrap().to_owned();
    daemon.wait_for("daemon.ready", "");
    for _ in 0..2 {
        daemon.wait_for("room.created", "");
    }
    assert_eq!(http("GET", &format!("{url}/healthz"), ""), (200, "ok\n".to_owned()));
    assert_eq!(http("GET", &format!("{url}/readyz"), ""), (200, "ready\n".to_owned()));

    let status = place.json(&["status", "--json"]);
    let shown = place.json(&["status", "--json", "--show-secrets"]);
    let host_url = shown[0]["host_url"].as_str().unwrap().to_owned();
    assert_eq!(status[0]["host_url"], "***");
    let key = host_url.rsplit(['#', '=']).next().unwrap().to_owned();
    assert!(key.len() >= 16, "{host_url}");
    let service = rusqlite::Connection::open(place.state().join("meeting-service.sqlite")).unwrap();
    let admin: String =
        service.query_row("SELECT value FROM meta WHERE key = 'admin_secret'", [], |row| row.get(0)).unwrap();
    daemon.signal("TERM");
    let (_, log) = daemon.end();
    let plain = text(&place.run(&["status"]).stdout);
    for secret in [key, admin] {
        assert!(!log.contains(&secret) && !plain.contains(&secret), "a secret is shown");
    }
}
