//! Rooms made ahead by whoever knows the admin secret.

use crate::support::{HOUR, MINUTE, V1, World};
use chrono::TimeDelta;
use convened::meeting_service::{ServiceSettings, Swept, codes};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_room_is_made_ahead_with_its_links_and_times() {
    let world = World::new();
    let room = world.schedule("standup", json!({ "opensAt": world.now() + 5 * MINUTE })).await;
    let link = format!("https://meet.example/m/{}", room["roomId"].as_str().unwrap());
    assert_eq!(room["joinUrl"], link);
    assert!(room["hostUrl"].as_str().unwrap().starts_with(&format!("{link}#host=")));
    assert_eq!(room["isOpen"], true);
    assert_eq!(room["isExisting"], false);
    assert_eq!(room["occupancy"], 0);
    assert_eq!(room["endsAt"], world.now() + 40 * MINUTE);
    assert_eq!(world.admin("/standup", None).await.data(), room);
}

#[tokio::test]
async fn a_duration_and_a_close_delay_do_as_well_as_instants() {
    let world = World::new();
    let start = world.now();
    let body = json!({ "roomUuid": "a", "startsAt": start, "durationS": 900, "closeDelayS": 300 });
    let room = world.admin("", Some(&body)).await.data();
    let times =
        ["startsAt", "endsAt", "closesAt", "closesAtLatest"].map(|key| room[key].as_i64().unwrap() - start);
    assert_eq!(times, [0, 15 * MINUTE, 20 * MINUTE, 20 * MINUTE]);
    assert_eq!(room["roomName"], "Meeting");
    // A later end takes the closing with it.
    let moved = world.admin("/a", Some(&json!({ "endsAt": start + 30 * MINUTE }))).await.data();
    assert_eq!(moved["closesAt"], start + 35 * MINUTE);
    assert_eq!(moved["closesAtLatest"], start + 35 * MINUTE);
}

#[tokio::test]
async fn creating_again_gives_the_same_room_and_never_opens_a_closed_one() {
    let world = World::new();
    let first = world.schedule("standup", json!({})).await;
    let again = world.schedule("standup", json!({ "roomName": "Other" })).await;
    assert_eq!(again["isExisting"], true);
    assert_eq!((&again["roomId"], &again["roomName"]), (&first["roomId"], &first["roomName"]));
    world.admin("/standup/close", Some(&json!({}))).await.data();
    let closed = world.schedule("standup", json!({})).await;
    assert_eq!((&closed["isExisting"], &closed["isOpen"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn nothing_is_done_without_the_admin_secret() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    let calls = [
        ("POST", "", json!({ "roomUuid": "x", "startsAt": world.now(), "durationS": 60 }).to_string()),
        ("GET", "/standup", String::new()),
        ("POST", "/standup", json!({ "roomName": "Hacked" }).to_string()),
        ("POST", "/standup/close", String::new()),
        ("POST", "/standup/notice", json!({ "message": "Hacked" }).to_string()),
    ];
    for (method, path, body) in calls {
        for headers in
            [&[][..], &[("x-admin-secret", "")], &[("x-admin-secret", "guess")], &[("token", "guess")]]
        {
            let answer = world.send(method, &format!("{V1}/ext/rooms{path}"), headers, body.clone()).await;
            assert_eq!(answer.refusal(), (401, 401), "{method} {path} {headers:?}");
        }
    }
    let room = world.admin("/standup", None).await.data();
    assert_eq!((&room["roomName"], &room["isOpen"]), (&json!("Stand-up"), &json!(true)));
}

#[tokio::test]
async fn a_room_can_be_moved_renamed_and_locked_until_it_is_closed() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    let wish = json!({
        "roomName": "Retro\u{7}spective",
        "endsAt": world.now() + 50 * MINUTE,
        "closesAt": world.now() + 55 * MINUTE,
        "password": "sesame",
    });
    let room = world.admin("/standup", Some(&wish)).await.data();
    assert_eq!(room["roomName"], "Retro spective", "control characters are no part of a name");
    assert_eq!(room["endsAt"], world.now() + 50 * MINUTE);
    assert_eq!(room["hasPassword"], true);
    let open = world.admin("/standup", Some(&json!({ "password": null }))).await.data();
    assert_eq!(open["hasPassword"], false);
    assert_eq!(open["endsAt"], room["endsAt"], "what is not named stays");
    world.admin("/standup/close", Some(&json!({}))).await.data();
    assert_eq!(world.admin("/standup", Some(&wish)).await.refusal(), (410, codes::ROOM_OR_USER_GONE));
}

#[tokio::test]
async fn closing_puts_everybody_out_at_once_and_may_be_repeated() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    let ann = world.enter("standup", "ann").await;
    assert_eq!(world.occupancy("standup").await, 1);
    for _ in 0..2 {
        let closed = world.admin("/standup/close", Some(&json!({}))).await.data();
        assert_eq!((&closed["isOpen"], &closed["occupancy"]), (&json!(false), &json!(0)));
        assert_eq!(
            closed["closedAt"],
            "2026-11-23T09:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis()
        );
    }
    let info = world.info(&ann).await;
    assert_eq!((&info["room"]["state"], &info["user"]["state"]), (&json!(0), &json!(0)));
    let call = world.by(&ann, "POST", "/token/refresh", &json!({})).await;
    assert_eq!(call.refusal(), (410, codes::ROOM_OR_USER_GONE));
    assert_eq!(world.try_enter("standup", "ann", json!({})).await.refusal(), (410, codes::ROOM_OR_USER_GONE));
    assert_eq!(world.admin("/unknown/close", Some(&json!({}))).await.refusal(), (404, codes::NO_SUCH_ROOM));
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_refused() {
    let world = World::new();
    let base = json!({ "roomUuid": "x", "startsAt": 1_000_000, "endsAt": 2_000_000 });
    for (key, value) in [
        ("roomUuid", json!("")),
        ("roomUuid", json!("a\nb")),
        ("roomUuid", json!(7)),
        ("roomUuid", json!("x".repeat(129))),
        ("roomName", json!("x".repeat(201))),
        ("roomName", json!(["x"])),
        ("startsAt", json!(2_000_000)),
        ("startsAt", Value::Null),
        ("endsAt", Value::Null),
        ("endsAt", json!("tomorrow")),
        ("endsAt", json!(1e300)),
        ("endsAt", json!(i64::MAX)),
        ("startsAt", json!(-1)),
        ("closesAt", json!(1_999_999)),
        ("closesAtLatest", json!(1_999_999)),
        ("opensAt", json!(2_000_000)),
        ("durationS", json!(0)),
        ("durationS", json!(i64::MAX)),
        ("closeDelayS", json!(-1)),
        ("muteOnEntry", json!(2)),
        ("password", json!("x".repeat(129))),
    ] {
        let mut body = base.clone();
        body[key] = value;
        assert_eq!(world.admin("", Some(&body)).await.refusal(), (400, 400), "{body}");
    }
    assert_eq!(world.admin("/x", None).await.refusal(), (404, codes::NO_SUCH_ROOM), "and nothing was made");
    assert_eq!(world.admin("", Some(&json!([1]))).await.refusal(), (400, 400));
    world.admin("", Some(&base)).await.data();
}

#[tokio::test]
async fn a_room_that_everybody_forgot_closes_after_its_last_time_and_a_grace_and_never_before() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    let is_open = async || world.admin("/standup", None).await.data()["isOpen"] == true;
    // Latest closing after 1 h 45 min, grace 1 h.
    world.clock.pass(Duration::from_secs(165 * 60 - 1));
    assert_eq!(world.service.sweep().await.unwrap(), Swept::default());
    assert!(is_open().await, "well past its planned closing, and still not its business");
    world.clock.pass(Duration::from_secs(1));
    assert!(!is_open().await, "whether swept or not");
    assert_eq!(world.try_enter("standup", "ann", json!({})).await.refusal(), (410, codes::ROOM_OR_USER_GONE));
    assert_eq!(world.service.sweep().await.unwrap(), Swept { closed: 1, ..Swept::default() });
    assert!(!is_open().await);
}

#[tokio::test]
async fn a_wall_clock_set_ahead_by_mistake_closes_and_forgets_nothing() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    let ann = world.enter("standup", "ann").await;
    world.clock.step(TimeDelta::days(400));
    assert_eq!(world.service.sweep().await.unwrap(), Swept::default());
    assert_eq!(world.info(&ann).await["user"]["state"], 1);
    assert_eq!(world.occupancy("standup").await, 1);
}

#[tokio::test]
async fn rooms_closed_long_ago_are_forgotten_with_their_people() {
    let world = World::new();
    for n in 0..3 {
        world.schedule(&format!("room {n}"), json!({})).await;
    }
    world.enter("room 0", "ann").await;
    world.admin("/room%200/close", Some(&json!({}))).await.data();
    world.clock.pass(Duration::from_secs(60));
    world.admin("/room%201/close", Some(&json!({}))).await.data();
    world.clock.pass(Duration::from_secs(7 * 86_400 - 59));
    let swept = world.service.sweep().await.unwrap();
    assert_eq!(swept, Swept { closed: 1, forgotten: 1, vanished: 0 }, "room 2 was never closed by anybody");
    assert_eq!(world.admin("/room%200", None).await.refusal(), (404, codes::NO_SUCH_ROOM));
    assert_eq!(world.admin("/room%201", None).await.data()["isOpen"], false);
    assert_eq!(world.service.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn more_open_rooms_than_may_be_are_refused_until_one_closes() {
    let world = World::with(ServiceSettings { max_rooms: 2, ..ServiceSettings::new("https://meet.example") });
    world.schedule("a", json!({})).await;
    world.schedule("b", json!({})).await;
    let body = json!({ "roomUuid": "c", "startsAt": world.now(), "endsAt": world.now() + HOUR });
    assert_eq!(world.admin("", Some(&body)).await.refusal(), (429, 429));
    world.schedule("a", json!({})).await;
    world.admin("/a/close", Some(&json!({}))).await.data();
    world.admin("/a/close", Some(&json!({}))).await.data();
    world.admin("", Some(&body)).await.data();
    let world = world.restart();
    let body = json!({ "roomUuid": "d", "startsAt": world.now(), "endsAt": world.now() + HOUR });
    assert_eq!(world.admin("", Some(&body)).await.refusal(), (429, 429), "the count outlives a restart");
}
