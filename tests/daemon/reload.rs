//! Editing the schedule while the daemon runs.

use crate::support::{Place, from_now, rooms_due_now, text};

#[test]
fn a_saved_file_is_taken_up_and_what_did_not_change_is_not_touched() {
    let place = Place::new(&rooms_due_now(2));
    let mut daemon = place.start_ready();
    daemon.wait_for("room.created", "\"m0\"");
    daemon.wait_for("room.created", "\"m1\"");
    place.write(&rooms_due_now(2).replace("Meeting 1", "Another title"));
    let applied = daemon.wait_for("schedule.applied", "\"changed\":1");
    assert_eq!(
        (&applied["changed"], &applied["added"], &applied["cancelled"]),
        (&1.into(), &0.into(), &0.into())
    );
    daemon.wait_for("room.updated", "\"m1\"");
    assert_eq!(place.status("m1")["title"], "Another title");
    daemon.signal("TERM");
    let (_, log) = daemon.end();
    let updates = log.lines().filter(|line| line.contains("\"call\":\"update\""));
    assert!(updates.clone().all(|line| line.contains("\"m1\"")), "{log}");
    assert_eq!(updates.count(), 1);
}

#[test]
fn a_bad_file_changes_nothing_and_shows_until_it_is_mended() {
    let good = rooms_due_now(1);
    let place = Place::new(&good);
    let mut daemon = place.start_ready();
    daemon.wait_for("room.created", "");
    place.write(&format!("{good}tittle = \"x\"\n"));
    let error = daemon.wait_for("schedule.error", "");
    assert!(error["location"].as_str().unwrap().ends_with("config.toml:13:1"), "{error}");
    assert!(error["problem"].as_str().unwrap().contains("tittle"), "{error}");
    daemon.wait_for("schedule.invalid", "");

    let output = place.run(&["reload"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("config.toml:13:1"), "{}", text(&output.stderr));
    let status = place.run(&["status"]);
    assert!(text(&status.stderr).contains("the schedule on disk is not valid"), "{}", text(&status.stderr));
    assert!(text(&status.stdout).contains("ready"), "the room is still there");

    place.write(&good);
    daemon.wait_for("schedule.mended", "");
    assert!(!text(&place.run(&["status"]).stderr).contains("not valid"));
}

#[test]
fn an_empty_file_is_held_until_it_is_accepted() {
    let place = Place::new(&rooms_due_now(2));
    let mut daemon = place.start_ready();
    daemon.wait_for("room.created", "\"m0\"");
    daemon.wait_for("room.created", "\"m1\"");
    std::fs::write(place.config(), "").unwrap();
    daemon.wait_for("schedule.held", "\"removed\":2");
    // With nothing in the file, the state is found by the folder.
    let state = place.state();
    let state = state.to_str().unwrap();
    assert_eq!(place.run(&["reload", "--state-dir", state]).status.code(), Some(75));
    let status = place.run(&["status", "--state-dir", state]);
    assert!(text(&status.stderr).contains("convened reload --accept"), "{}", text(&status.stderr));
    let output = place.run(&["reload", "--accept", "--state-dir", state]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    daemon.wait_for("room.closed", "");
    daemon.wait_for("room.closed", "");
}

#[test]
fn a_half_written_file_is_waited_out() {
    let place = Place::new(&rooms_due_now(1));
    let mut daemon = place.start_ready();
    let whole = std::fs::read_to_string(place.config()).unwrap()
        + "[[meetings]]\nid = \"late\"\nstart = 2031-01-01T09:00:00\n";
    // In pieces, in place: each piece alone is not valid.
    let mut file = std::fs::File::create(place.config()).unwrap();
    for piece in whole.as_bytes().chunks(50) {
        std::io::Write::write_all(&mut file, piece).unwrap();
        file.sync_all().unwrap();
    }
    drop(file);
    daemon.wait_for("schedule.applied", "\"meetings\":2");
    daemon.signal("TERM");
    let (_, log) = daemon.end();
    assert!(!log.contains("schedule.invalid") && !log.contains("schedule.held"), "{log}");
}

#[test]
fn a_signal_reads_the_file_and_says_what_came_of_it() {
    let place = Place::new(&rooms_due_now(1));
    let mut daemon = place.start_ready();
    daemon.signal("HUP");
    daemon.wait_for("schedule.unchanged", "");
    assert!(place.run(&["reload"]).status.success());
}

#[test]
fn a_removed_meeting_that_goes_on_ends_by_its_rules_also_after_a_restart() {
    let rest = "[[meetings]]\nid = \"a\"\nstart = 2031-01-01T09:00:00\nduration = \"1h\"\n\
                [[meetings]]\nid = \"b\"\nstart = 2031-01-01T09:00:00\nduration = \"1h\"\n";
    let gone = format!(
        "[[meetings]]\nid = \"gone\"\nstart = {}\nduration = \"6s\"\nclose_delay = \"2s\"\ncreate_ahead = \"1h\"\n",
        from_now(-1)
    );
    let place = Place::new(&format!("{rest}{gone}"));
    let mut daemon = place.start_ready();
    daemon.wait_for("meeting.live", "");
    place.write(rest);
    daemon.wait_for("meeting.finishing", "");
    daemon.kill();
    let mut daemon = place.start_ready();
    daemon.wait_for("room.closed", "\"gone\"");
}

#[test]
fn included_files_are_watched_too() {
    let place = Place::new("");
    std::fs::create_dir(place.folder.path().join("schedule.d")).unwrap();
    let config = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), format!("include = [\"schedule.d/*.toml\"]\n{config}")).unwrap();
    let mut daemon = place.start_ready();
    let team = place.folder.path().join("schedule.d/team.toml");
    std::fs::write(team, "[[meetings]]\nid = \"team\"\nstart = 2031-01-01T09:00:00\nduration = \"1h\"\n")
        .unwrap();
    daemon.wait_for("schedule.applied", "\"added\":1");
}

#[test]
fn a_secret_that_changed_is_read_again_when_somebody_asks() {
    let place = Place::new("");
    let secret = place.folder.path().join("secret");
    let schedule = "[providers.elsewhere]\nkind = \"meeting-service\"\nbase_url = \"http://127.0.0.1:9\"\n\
                    admin_secret = { file = \"secret\" }\n";
    place.write(schedule);
    let output = place.run(&["run"]);
    assert_eq!(output.status.code(), Some(78), "a missing secret is no secret");
    assert!(text(&output.stderr).contains("there is no file"), "{}", text(&output.stderr));

    std::fs::write(&secret, "one").unwrap();
    let mut daemon = place.start_ready();
    std::fs::remove_file(&secret).unwrap();
    assert_eq!(place.run(&["reload"]).status.code(), Some(78));
    daemon.wait_for("schedule.invalid", "");
    std::fs::write(&secret, "two").unwrap();
    assert!(place.run(&["reload"]).status.success());
    daemon.wait_for("schedule.mended", "");
}

#[test]
fn warnings_are_told_once_and_what_would_go_is_named() {
    let warned = rooms_due_now(2).replace(
        "[defaults]",
        "[providers.idle]\nkind = \"meeting-service\"\n[defaults]\nprovider = \"house\"",
    ) + "[providers.house]\nkind = \"meeting-service\"\n";
    let place = Place::new(&warned);
    let mut daemon = place.start_ready();
    place.write(&format!("{warned}# a comment\n"));
    daemon.wait_for("schedule.unchanged", "");
    place.write("");
    let held = daemon.wait_for("schedule.held", "");
    assert_eq!(held["examples"].as_str().unwrap().split(' ').collect::<Vec<_>>().len(), 4, "{held}");
    let config = place.config();
    assert!(held["accept_with"].as_str().unwrap().contains(config.to_str().unwrap()), "{held}");
    daemon.signal("TERM");
    let (_, log) = daemon.end();
    assert_eq!(log.matches("schedule.warning").count(), 2, "no meeting uses it; no meetings: {log}");
}

#[test]
fn another_daemons_store_is_not_taken_for_ones_own() {
    let (one, other) = (Place::new(""), Place::new(""));
    let _daemon = one.start_ready();
    let config = std::fs::read_to_string(one.config()).unwrap();
    let state = one.state();
    std::fs::write(
        other.config(),
        config.replace("\"state\"", &format!("{:?}", state.display().to_string())),
    )
    .unwrap();
    let output = other.run(&["reload", "--accept"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("belongs to the daemon that runs on"), "{}", text(&output.stderr));
}
