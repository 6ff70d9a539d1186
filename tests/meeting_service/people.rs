//! People and their programs: the vendor's API.

use crate::support::{MINUTE, V1, World};
use convened::meeting_service::{MAX_BODY_BYTES, ServiceSettings, codes};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn entering_an_unknown_room_makes_it_and_the_first_one_leads() {
    let world = World::new();
    let ann = world.enter("daily", "ann").await;
    let bob = world.enter("daily", "bob").await;
    assert_eq!(ann.room, bob.room);
    let info = world.info(&ann).await;
    assert_eq!(info["room"]["roomUuid"], "daily");
    assert_eq!(info["room"]["onlineUsers"], 2);
    assert_eq!(info["room"]["state"], 1);
    assert_eq!(info["room"]["startTime"], world.now());
    assert_eq!(info["room"]["hosts"][0]["userName"], "ann");
    assert_eq!((&info["user"]["role"], &info["user"]["userUuid"]), (&json!(1), &json!("ann")));
    assert_eq!(world.info(&bob).await["user"]["role"], 2);
    // Back again, ann leads again; her old token is void.
    let again = world.enter("daily", "ann").await;
    assert_eq!(again.id, ann.id);
    assert_eq!(world.info(&again).await["user"]["role"], 1);
    assert_eq!(world.by(&ann, "GET", "", &Value::Null).await.refusal(), (401, 401));
    assert_eq!(world.info(&bob).await["room"]["onlineUsers"], 2);
}

#[tokio::test]
async fn the_api_answers_under_every_path_that_the_vendors_texts_have() {
    let world = World::new();
    let body = json!({ "roomUuid": "daily", "userUuid": "ann", "userName": "Ann" });
    for prefix in ["/scenario/meeting/apps/convened/v1", "/conf/apps/convened/v1", "/conf/v1/apps/convened"] {
        world.post(&format!("{prefix}/room/entry"), &body).await.data();
    }
    assert_eq!(world.post("/conf/apps/other/v1/room/entry", &body).await.refusal(), (404, 404));
    assert_eq!(world.post(&format!("{V1}/room/1/board"), &body).await.refusal(), (404, 404));
    assert_eq!(world.get(&format!("{V1}/room/entry/x")).await.refusal(), (404, 404));
    let answer = world.send("DELETE", &format!("{V1}/room/entry"), &[], String::new()).await;
    assert_eq!(answer.refusal(), (405, 405));
}

#[tokio::test]
async fn a_room_made_ahead_lets_nobody_in_before_it_opens_and_says_when() {
    let world = World::new();
    let opens_at = world.now() + 10 * MINUTE;
    let room = world.schedule("standup", json!({ "opensAt": opens_at })).await;
    let key = room["hostUrl"].as_str().unwrap().split_once("#host=").unwrap().1.to_owned();
    for also in [json!({}), json!({ "hostKey": key })] {
        let answer = world.try_enter("standup", "ann", also).await;
        assert_eq!(answer.refusal(), (403, codes::NOT_OPEN_YET));
        assert_eq!(answer.json()["data"]["opensAt"], opens_at);
        assert_eq!(answer.json()["msg"], "the room opens at 2026-11-23T09:10:00Z");
    }
    assert_eq!(world.occupancy("standup").await, 0);
    world.clock.pass(Duration::from_secs(600) - Duration::from_millis(1));
    assert_eq!(world.try_enter("standup", "ann", json!({})).await.status, 403);
    world.clock.pass(Duration::from_millis(1));
    world.enter("standup", "ann").await;
}

#[tokio::test]
async fn only_the_key_makes_a_host_of_a_room_made_ahead() {
    let world = World::new();
    let room = world.schedule("standup", json!({})).await;
    let key = room["hostUrl"].as_str().unwrap().split_once("#host=").unwrap().1.to_owned();
    let bob = world.enter("standup", "bob").await;
    assert_eq!(world.info(&bob).await["user"]["role"], 2, "the first one in is not the host");
    let answer = world.try_enter("standup", "eve", json!({ "hostKey": "guess" })).await;
    assert_eq!(answer.refusal(), (403, 403));
    let ann = world.enter_with("standup", "ann", json!({ "hostKey": key })).await;
    assert_eq!(world.info(&ann).await["user"]["role"], 1);
    // Somebody who knows the host's name is not the host.
    let eve = world.enter("standup", "ann").await;
    assert_eq!(world.info(&eve).await["user"]["role"], 2);
}

#[tokio::test]
async fn presence_ends_ninety_seconds_after_the_last_sign_of_life() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    let ann = world.enter("standup", "ann").await;
    let bob = world.enter("standup", "bob").await;
    world.clock.pass(Duration::from_secs(60));
    world.info(&ann).await;
    world.clock.pass(Duration::from_millis(29_999));
    assert_eq!(world.occupancy("standup").await, 2);
    world.clock.pass(Duration::from_millis(1));
    assert_eq!(world.occupancy("standup").await, 1, "bob vanished, ann gave a sign by a call");
    let seen = world.info(&ann).await["room"]["onlineUsers"].clone();
    assert_eq!(seen, 1);
    // A laptop that wakes up again is back with its old token.
    world.by(&bob, "POST", "/token/refresh", &json!({})).await.data();
    assert_eq!(world.occupancy("standup").await, 2);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_makes_nobody_vanish() {
    let world = World::new();
    world.schedule("standup", json!({})).await;
    world.enter("standup", "ann").await;
    world.clock.step(chrono::TimeDelta::hours(1));
    assert_eq!(world.occupancy("standup").await, 1);
    world.clock.step(chrono::TimeDelta::hours(-3));
    world.clock.pass(Duration::from_secs(90));
    assert_eq!(world.occupancy("standup").await, 0);
}

#[tokio::test]
async fn people_leave_and_hosts_put_others_out() {
    let world = World::new();
    let ann = world.enter("daily", "ann").await;
    let bob = world.enter("daily", "bob").await;
    let eve = world.enter("daily", "eve").await;
    let exit = |id: &str| format!("/user/{id}/exit");
    assert_eq!(world.by(&bob, "POST", &exit(&eve.id), &Value::Null).await.refusal(), (403, codes::NOT_HOST));
    world.by(&ann, "POST", &exit(&eve.id), &Value::Null).await.data();
    let refused = world.by(&eve, "POST", "/token/refresh", &Value::Null).await;
    assert_eq!(refused.refusal(), (410, codes::ROOM_OR_USER_GONE));
    assert_eq!(refused.json()["msg"], "the host removed you from the room");
    assert_eq!(world.info(&eve).await["user"]["state"], 0);
    for _ in 0..2 {
        world.by(&bob, "POST", &exit(&bob.id), &Value::Null).await.data();
    }
    assert_eq!(world.info(&ann).await["room"]["onlineUsers"], 1);
    let gone = world.by(&ann, "POST", &exit(&bob.id), &Value::Null).await;
    assert_eq!(gone.refusal(), (404, codes::USER_NOT_IN_ROOM));
}

#[tokio::test]
async fn a_token_is_good_for_its_own_room_only() {
    let world = World::new();
    let ann = world.enter("daily", "ann").await;
    let mut bob = world.enter("weekly", "bob").await;
    bob.room.clone_from(&ann.room);
    assert_eq!(world.by(&bob, "GET", "", &Value::Null).await.refusal(), (401, 401));
    assert_eq!(world.by(&bob, "POST", "", &json!({ "state": 0 })).await.refusal(), (401, 401));
    bob.room = "unknown".to_owned();
    assert_eq!(world.by(&bob, "GET", "", &Value::Null).await.refusal(), (404, codes::NO_SUCH_ROOM));
    assert_eq!(world.get(&format!("{V1}/room/{}", ann.room)).await.refusal(), (401, 401));
}

#[tokio::test]
async fn hosts_mute_everybody_softly_or_firmly() {
    let world = World::new();
    let ann = world.enter("daily", "ann").await;
    let bob = world.enter("daily", "bob").await;
    let me = format!("/user/{}", bob.id);
    assert_eq!(
        world.by(&bob, "POST", "", &json!({ "muteAllAudio": 1 })).await.refusal(),
        (403, codes::NOT_HOST)
    );
    world.by(&ann, "POST", "", &json!({ "muteAllAudio": 1, "muteAllChat": "2" })).await.data();
    let info = world.info(&bob).await;
    assert_eq!((&info["room"]["muteAllAudio"], &info["room"]["muteAllChat"]), (&json!(1), &json!(2)));
    assert_eq!((&info["user"]["enableAudio"], &info["user"]["enableChat"]), (&json!(0), &json!(0)));
    assert_eq!(world.info(&ann).await["user"]["enableAudio"], 1, "the host is not muted");
    let late = world.enter("daily", "late").await;
    assert_eq!(world.info(&late).await["user"]["enableAudio"], 0, "whoever comes later is");
    world.by(&bob, "POST", &me, &json!({ "enableAudio": 1 })).await.data();
    assert_eq!(world.info(&bob).await["user"]["enableAudio"], 1, "1 lets people unmute themselves");
    assert_eq!(
        world.by(&bob, "POST", &me, &json!({ "enableChat": 1 })).await.refusal(),
        (403, codes::NOT_HOST)
    );
    world.by(&ann, "POST", &me, &json!({ "enableChat": true })).await.data();
    assert_eq!(world.info(&bob).await["user"]["enableChat"], 1, "2 lets only the host");
    let other = world.by(&bob, "POST", &format!("/user/{}", ann.id), &json!({ "enableVideo": 0 })).await;
    assert_eq!(other.refusal(), (403, codes::NOT_HOST));
    for body in [json!({ "muteAllAudio": 3 }), json!({ "state": "no" })] {
        assert_eq!(world.by(&ann, "POST", "", &body).await.refusal(), (400, 400));
    }
}

#[tokio::test]
async fn people_enter_muted_where_the_room_says_so() {
    let world = World::new();
    world.schedule("standup", json!({ "muteOnEntry": 1 })).await;
    let bob = world.enter_with("standup", "bob", json!({ "enableAudio": 1 })).await;
    assert_eq!(world.info(&bob).await["user"]["enableAudio"], 0);
    world.by(&bob, "POST", &format!("/user/{}", bob.id), &json!({ "enableAudio": 1 })).await.data();
}

#[tokio::test]
async fn a_host_ends_the_meeting_for_good() {
    let world = World::new();
    let ann = world.enter("daily", "ann").await;
    let bob = world.enter("daily", "bob").await;
    assert_eq!(world.by(&bob, "POST", "", &json!({ "state": 0 })).await.refusal(), (403, codes::NOT_HOST));
    assert_eq!(world.by(&ann, "POST", "", &json!({ "state": 0 })).await.data(), json!(true));
    assert_eq!(world.info(&bob).await["room"]["state"], 0);
    assert_eq!(world.try_enter("daily", "ann", json!({})).await.refusal(), (410, codes::ROOM_OR_USER_GONE));
}

#[tokio::test]
async fn the_host_hands_the_role_over() {
    let world = World::new();
    let ann = world.enter("daily", "ann").await;
    let bob = world.enter("daily", "bob").await;
    let to_bob = format!("/user/{}/host", bob.id);
    assert_eq!(world.by(&bob, "POST", &to_bob, &Value::Null).await.refusal(), (403, codes::NOT_HOST));
    world.by(&ann, "POST", &to_bob, &json!({})).await.data();
    assert_eq!(world.info(&ann).await["user"]["role"], 2);
    assert_eq!(world.info(&bob).await["user"]["role"], 1);
}

#[tokio::test]
async fn the_list_of_people_comes_in_pages_by_role() {
    let world = World::new();
    let ann = world.enter("daily", "ann").await;
    for n in 0..5 {
        world.enter("daily", &format!("guest {n}")).await;
    }
    let hosts = world.by(&ann, "GET", "/user/page?role=1&count=100&nextId=0", &Value::Null).await.data();
    assert_eq!((&hosts["total"], &hosts["list"][0]["userId"]), (&json!(1), &json!(ann.id)));
    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("/user/page?role=2&count=2&nextId={next}");
        let page = world.by(&ann, "GET", &path, &Value::Null).await.data();
        assert_eq!(page["total"], 5);
        names.extend(page["list"].as_array().unwrap().iter().map(|user| user["userName"].clone()));
        page["nextId"].as_str().unwrap().clone_into(&mut next);
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["guest 0", "guest 1", "guest 2", "guest 3", "guest 4"]);
    for query in ["role=9", "count=-1", "nextId=x"] {
        let answer = world.by(&ann, "GET", &format!("/user/page?{query}"), &Value::Null).await;
        assert_eq!(answer.refusal(), (400, 400), "{query}");
    }
}

#[tokio::test]
async fn a_password_keeps_people_out_and_is_shown_to_the_host_only() {
    let world = World::new();
    let ann = world.enter_with("daily", "ann", json!({ "password": "sesame" })).await;
    for password in [json!({}), json!({ "password": "" }), json!({ "password": "Sesame" })] {
        let answer = world.try_enter("daily", "bob", password).await;
        assert_eq!(answer.refusal(), (403, codes::WRONG_PASSWORD));
    }
    let bob = world.enter_with("daily", "bob", json!({ "password": "sesame" })).await;
    assert_eq!(world.info(&ann).await["room"]["password"], "sesame");
    assert_eq!(world.info(&bob).await["room"]["password"], "");
    let simple = world.get(&format!("{V1}/room/{}/simple", ann.room)).await;
    assert!(!simple.text.contains("sesame"));
    assert_eq!(simple.data()["roomName"], "daily");
}

#[tokio::test]
async fn a_full_room_takes_nobody_until_somebody_leaves_or_vanishes() {
    let settings = ServiceSettings { max_users_per_room: 2, ..ServiceSettings::new("https://meet.example") };
    let world = World::with(settings);
    world.schedule("standup", json!({})).await;
    for round in 0..10 {
        world.enter("standup", &format!("ann {round}")).await;
        let bob = world.enter("standup", &format!("bob {round}")).await;
        let answer = world.try_enter("standup", "eve", json!({})).await;
        assert_eq!(answer.refusal(), (403, codes::ROOM_FULL));
        world.enter("standup", &format!("bob {round}")).await;
        world.clock.pass(Duration::from_secs(90));
        assert_eq!(world.occupancy("standup").await, 0);
        drop(bob);
    }
    let database = rusqlite::Connection::open(world.file()).unwrap();
    let rows: u32 = database.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert!(rows <= 4, "rows of people long gone make place: {rows}");
}

#[tokio::test]
async fn rooms_made_by_entries_can_be_limited_or_ruled_out() {
    let settings = ServiceSettings { max_entered_rooms: 1, ..ServiceSettings::new("https://meet.example") };
    let world = World::with(settings);
    world.enter("daily", "ann").await;
    assert_eq!(world.try_enter("weekly", "ann", json!({})).await.refusal(), (429, 429));
    world.schedule("standup", json!({})).await;
    let settings =
        ServiceSettings { entry_creates_rooms: false, ..ServiceSettings::new("https://meet.example") };
    let world = World::with(settings);
    assert_eq!(world.try_enter("daily", "ann", json!({})).await.refusal(), (404, codes::NO_SUCH_ROOM));
}

#[tokio::test]
async fn a_room_made_by_an_entry_and_left_is_closed_after_a_day_and_not_while_people_are_in() {
    let world = World::new();
    world.enter("daily", "ann").await;
    let bob = world.enter("weekly", "bob").await;
    for _ in 0..25 * 60 {
        world.clock.pass(Duration::from_secs(60));
        world.info(&bob).await;
    }
    let swept = world.service.sweep().await.unwrap();
    assert_eq!((swept.closed, swept.vanished), (1, 1));
    assert_eq!(world.info(&bob).await["user"]["state"], 1);
    assert_eq!(world.try_enter("daily", "ann", json!({})).await.status, 410);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_envelope() {
    let world = World::new();
    let path = format!("{V1}/room/entry");
    for body in ["", "{", "[]", "null", "\u{0}", "{\"roomUuid\":\"a\"}"] {
        let answer = world.send("POST", &path, &[], body.to_owned()).await;
        assert_eq!(answer.refusal(), (400, 400), "{body:?}");
    }
    let huge = json!({ "roomUuid": "a", "userUuid": "b", "userName": "c".repeat(MAX_BODY_BYTES) });
    assert_eq!(world.post(&path, &huge).await.refusal(), (413, 413));
    for (key, value) in [
        ("userName", json!("  \u{202e}\u{7} ")),
        ("userName", json!("x".repeat(65))),
        ("userName", json!({})),
        ("userUuid", json!("a\u{0}")),
        ("userUuid", json!("")),
        ("enableVideo", json!(2)),
    ] {
        assert_eq!(
            world.try_enter("daily", "ann", json!({ key: value })).await.refusal(),
            (400, 400),
            "{key}"
        );
    }
    world.enter_with("daily", "ann", json!({ "enableVideo": "1", "enableAudio": 0, "avatar": "x" })).await;
}

#[tokio::test]
async fn the_id_in_a_link_leads_into_its_room_and_makes_no_other() {
    let world = World::new();
    let room = world.schedule("standup", json!({})).await;
    let in_link = room["joinUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    world.enter(&in_link, "ann").await;
    assert_eq!(world.occupancy("standup").await, 1);
}
