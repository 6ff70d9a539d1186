//! What outlives the process.

use crate::support::{HandClock, World};
use convened::meeting_service::{MeetingService, ServiceError, ServiceSettings};
use convened::seams::SystemEntropy;
use rusqlite::Connection;
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn reopen(path: &Path, clock: &Arc<HandClock>) -> Result<MeetingService, ServiceError> {
    MeetingService::open(
        path,
        clock.clone(),
        Arc::new(SystemEntropy),
        ServiceSettings::new("https://meet.example"),
    )
}

#[tokio::test]
async fn rooms_people_and_the_admin_secret_outlive_a_restart() {
    let world = World::new();
    let room = world.schedule("standup", json!({ "password": "sesame" })).await;
    world.schedule("closed", json!({})).await;
    world.admin("/closed/close", Some(&json!({}))).await.data();
    let ann = world.enter_with("standup", "ann", json!({ "password": "sesame" })).await;
    let secret = world.service.admin_secret().expose_secret().to_owned();
    world.clock.pass(Duration::from_secs(80));
    let world = world.restart();
    assert_eq!(world.service.admin_secret().expose_secret(), secret);
    assert_eq!(world.admin("/standup", None).await.data()["joinUrl"], room["joinUrl"]);
    assert_eq!(world.admin("/closed", None).await.data()["isOpen"], false);
    // Nobody counts as gone because the service was: everybody has the full time to give a sign again.
    world.clock.pass(Duration::from_secs(89));
    assert_eq!(world.occupancy("standup").await, 1);
    assert_eq!(world.info(&ann).await["user"]["state"], 1);
    world.clock.pass(Duration::from_secs(90));
    assert_eq!(world.occupancy("standup").await, 0);
}

#[tokio::test]
async fn an_answer_is_given_when_the_room_is_on_disk_even_among_many_at_once() {
    let world = Arc::new(World::new());
    let calls = (0..300).map(|n| {
        let world = world.clone();
        tokio::spawn(async move {
            let uuid = format!("room-{n}");
            let room = world.schedule(&uuid, json!({})).await;
            // Another connection sees only what is committed.
            let seen: String = Connection::open(world.file())
                .unwrap()
                .query_row("SELECT id FROM rooms WHERE uuid = ?1", [&uuid], |row| row.get(0))
                .unwrap();
            assert_eq!(room["roomId"], seen);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let mode: String = Connection::open(world.file())
        .unwrap()
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn one_room_comes_of_many_creations_at_once() {
    let world = Arc::new(World::new());
    let calls = (0..50).map(|_| {
        let world = world.clone();
        tokio::spawn(async move { world.schedule("standup", json!({})).await })
    });
    let mut made = 0;
    let mut ids = std::collections::BTreeSet::new();
    for call in calls.collect::<Vec<_>>() {
        let room = call.await.unwrap();
        made += u32::from(room["isExisting"] == false);
        ids.insert(room["roomId"].as_str().unwrap().to_owned());
    }
    assert_eq!((made, ids.len()), (1, 1));
}

#[tokio::test]
async fn a_call_that_fails_takes_nothing_of_its_neighbours_with_it_and_leaves_nothing_behind() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    // The database refuses one kind of change from now on.
    let saboteur = Connection::open(world.file()).unwrap();
    saboteur
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE UPDATE OF active_at_ms ON rooms WHEN new.uuid = 'standup'
             BEGIN SELECT RAISE(ABORT, 'refused by the test'); END",
        )
        .unwrap();
    let (failed, fine) =
        tokio::join!(world.try_enter("standup", "ann", json!({})), world.schedule("other", json!({})));
    assert_eq!(failed.refusal(), (500, 500));
    assert_eq!(fine["isOpen"], true);
    assert_eq!(world.occupancy("standup").await, 0, "the half that was done is undone");
    saboteur.execute_batch("DROP TRIGGER refuse").unwrap();
    world.enter("standup", "ann").await;
    assert_eq!(world.occupancy("standup").await, 1);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_everybody_in_it_and_leaves_nothing_behind() {
    let settings = ServiceSettings { max_rooms: 2, ..ServiceSettings::new("https://meet.example") };
    let world = World::with(settings);
    let saboteur = Connection::open(world.file()).unwrap();
    // A debt that is looked at when the transaction is committed, and not before.
    saboteur
        .execute_batch(
            "CREATE TABLE debts (room REFERENCES rooms (seq) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER debt AFTER INSERT ON rooms WHEN new.uuid = 'poison'
             BEGIN INSERT INTO debts VALUES (-1); END",
        )
        .unwrap();
    let body = json!({ "roomUuid": "poison", "startsAt": world.now(), "durationS": 60 });
    for _ in 0..3 {
        assert_eq!(world.admin("", Some(&body)).await.refusal(), (500, 500));
    }
    assert_eq!(world.admin("/poison", None).await.status, 404);
    world.schedule("a", json!({})).await;
    world.schedule("b", json!({})).await;
    assert_eq!(
        world.admin("", Some(&body)).await.refusal(),
        (429, 429),
        "rooms that never were do not count"
    );
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    let world = World::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.file()), 0o600);
    let wal = world.folder.path().join(format!("{}-wal", MeetingService::FILE_NAME));
    assert_eq!(mode(&wal), 0o600);
    std::fs::set_permissions(world.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let world = world.restart();
    assert_eq!(mode(&world.file()), 0o600, "a file that was copied back is closed again");
}

#[tokio::test]
async fn files_of_a_newer_version_or_another_program_are_left_as_they_are() {
    let world = World::new();
    let path = world.file();
    let (clock, folder) = (world.clock.clone(), world.folder.clone());
    drop(world);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = reopen(&path, &clock).unwrap_err();
    assert!(matches!(error, ServiceError::TooNew { found: 99, known: 1, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let other = folder.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(reopen(&other, &clock), Err(ServiceError::NotOurs { .. })));
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database at all, but long enough to look like something".repeat(20)).unwrap();
    assert!(matches!(reopen(&text, &clock), Err(ServiceError::Damaged { .. })));
    assert!(matches!(
        reopen(&folder.path().join("no/such/folder.sqlite"), &clock),
        Err(ServiceError::Io { .. })
    ));
}
