//! The page of a room, as a browser gets it.

use crate::support::{MINUTE, World};
use serde_json::{Value, json};
use std::time::Duration;

async fn room_path(world: &World, also: Value) -> String {
    let room = world.schedule("standup", also).await;
    room["joinUrl"].as_str().unwrap().strip_prefix("https://meet.example").unwrap().to_owned()
}

fn host_key(room: &Value) -> String {
    room["hostUrl"].as_str().unwrap().split_once("#host=").unwrap().1.to_owned()
}

#[tokio::test]
async fn the_page_informs_without_scripts_and_loads_nothing_from_elsewhere() {
    let world = World::new();
    let path = room_path(&world, json!({ "opensAt": world.now() + 10 * MINUTE })).await;
    let page = world.get(&path).await;
    assert_eq!(page.status, 200);
    let text = &page.text;
    for part in [
        "<h1 id=\"title\">Stand-up</h1>",
        "This room is not open yet.",
        "<time id=\"opensAt\" datetime=\"2026-11-23T09:10:00Z\">2026-11-23 09:10:00 UTC</time>",
        "<time id=\"closesAt\" datetime=\"2026-11-23T09:45:00Z\">",
        "aria-live=\"polite\"",
        "<label for=\"name\">",
        "<html lang=\"en\">",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("//"), "no absolute address, so nothing from elsewhere: {text}");
    let header = |name: &str| page.headers[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(
        !text.contains(" style=") && !text.contains(" onclick=") && !text.contains("<style"),
        "fits the policy"
    );
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    for (file, kind) in [("page.js", "text/javascript"), ("page.css", "text/css")] {
        assert!(text.contains(&format!("static/{file}?v=")));
        let asset = world.get(&format!("/m/static/{file}")).await;
        assert_eq!(asset.status, 200);
        assert!(asset.headers["content-type"].to_str().unwrap().starts_with(kind));
        assert!(!asset.text.contains("innerHTML") && !asset.text.contains("http"), "{file}");
    }
}

#[tokio::test]
async fn names_and_titles_stay_text() {
    let world = World::new();
    let path = room_path(&world, json!({ "roomName": "</h1><script>alert('t')</script>" })).await;
    world.enter("standup", "<img src=x onerror=\"alert('n')\">").await;
    let page = world.get(&path).await.text;
    assert!(page.contains("&lt;/h1&gt;&lt;script&gt;alert(&#39;t&#39;)&lt;/script&gt;"));
    assert!(page.contains("&lt;img src=x onerror=&quot;alert(&#39;n&#39;)&quot;&gt;"));
    assert!(!page.contains("<img") && !page.contains("<script>"));
}

#[tokio::test]
async fn a_person_enters_stays_while_the_page_looks_and_leaves_with_it() {
    let world = World::new();
    let path = room_path(&world, json!({})).await;
    let body = json!({ "userUuid": "tab", "userName": "Ann", "password": "", "hostKey": "" });
    let entered = world.post(&format!("{path}/enter"), &body).await.data();
    let token = entered["userToken"].as_str().unwrap().to_owned();
    assert_eq!(
        entered["room"]["you"],
        json!({ "userId": entered["userId"], "role": 2, "isIn": true, "wasRemoved": false })
    );
    assert_eq!(entered["room"]["people"][0]["userName"], "Ann");
    // A background tab looks once a minute.
    for _ in 0..5 {
        world.clock.pass(Duration::from_secs(60));
        let state =
            world.send("GET", &format!("{path}/state"), &[("token", &token)], String::new()).await.data();
        assert_eq!((&state["you"]["isIn"], &state["occupancy"]), (&json!(true), &json!(1)));
    }
    // What a beacon sends: a plain text body, no header.
    let goodbye = json!({ "token": token }).to_string();
    world
        .send("POST", &format!("{path}/leave"), &[("content-type", "text/plain")], goodbye.clone())
        .await
        .data();
    assert_eq!(world.occupancy("standup").await, 0);
    let state = world.send("GET", &format!("{path}/state"), &[("token", &token)], String::new()).await.data();
    assert_eq!(state["you"]["isIn"], false);
    world.send("POST", &format!("{path}/leave"), &[], goodbye).await.data();
    assert_eq!(
        world.post(&format!("{path}/leave"), &json!({ "token": "guess" })).await.refusal(),
        (401, 401)
    );
    assert_eq!(world.post(&format!("{path}/leave"), &json!({})).await.refusal(), (401, 401));
}

#[tokio::test]
async fn the_page_sees_an_extension_and_the_close_at_its_next_look() {
    let world = World::new();
    let path = room_path(&world, json!({})).await;
    let state = async || world.get(&format!("{path}/state")).await.data();
    assert_eq!(state().await["state"], "open");
    let ends_at = world.now() + 60 * MINUTE;
    world.admin("/standup", Some(&json!({ "endsAt": ends_at }))).await.data();
    assert_eq!(state().await["endsAt"], ends_at);
    world.clock.pass(Duration::from_secs(3600));
    assert_eq!(state().await["state"], "over");
    world.admin("/standup/close", Some(&json!({}))).await.data();
    assert_eq!(state().await["state"], "closed");
    assert!(world.get(&path).await.text.contains("This room is closed."));
}

#[tokio::test]
async fn the_host_link_makes_a_host_and_its_key_is_on_no_page() {
    let world = World::new();
    let room = world.schedule("standup", json!({ "password": "sesame" })).await;
    let (key, path) = (host_key(&room), format!("/m/{}", room["roomId"].as_str().unwrap()));
    let body = json!({ "userUuid": "tab", "userName": "Ann", "hostKey": key });
    let entered = world.post(&format!("{path}/enter"), &body).await.data();
    assert_eq!(entered["room"]["you"]["role"], 1);
    for text in [world.get(&path).await.text, world.get(&format!("{path}/state")).await.text] {
        assert!(!text.contains(&key) && !text.contains("sesame"));
        assert!(
            !text.contains("\"userName\":\"Ann\"") && !text.contains(">Ann<"),
            "names are behind the password"
        );
    }
    let wrong = json!({ "userUuid": "x", "userName": "Eve", "password": "guess" });
    assert_eq!(world.post(&format!("{path}/enter"), &wrong).await.status, 403);
}

#[tokio::test]
async fn an_unknown_room_has_a_page_that_says_so_and_is_not_made() {
    let world = World::new();
    for path in ["/m/unknown", "/m/unknown/x/y", "/m/static/other"] {
        let page = world.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.text.contains("There is no such room"));
        assert!(page.headers.contains_key("content-security-policy"));
    }
    let body = json!({ "userUuid": "tab", "userName": "Ann" });
    assert_eq!(world.post("/m/unknown/enter", &body).await.refusal().0, 404);
    assert_eq!(world.get("/m/unknown/state").await.refusal().0, 404);
}

#[tokio::test]
async fn a_notice_is_shown_to_people_inside_and_to_nobody_else() {
    let world = World::new();
    let path = room_path(&world, json!({})).await;
    let body = json!({ "userUuid": "tab", "userName": "Ann", "password": "", "hostKey": "" });
    let entered = world.post(&format!("{path}/enter"), &body).await.data();
    assert_eq!(entered["room"]["notice"], Value::Null);
    let token = entered["userToken"].as_str().unwrap().to_owned();
    let notice = json!({ "message": "This room closes\n in 5 min.\u{202e}" });
    world.admin("/standup/notice", Some(&notice)).await.data();
    let inside =
        world.send("GET", &format!("{path}/state"), &[("token", &token)], String::new()).await.data();
    assert_eq!(inside["notice"], json!({ "message": "This room closes in 5 min.", "at": world.now() }));
    assert_eq!(world.get(&format!("{path}/state")).await.data()["notice"], Value::Null);
    assert!(!world.get(&path).await.text.contains("closes in 5 min"));

    for wrong in
        [json!({}), json!({ "message": " " }), json!({ "message": "x".repeat(201) }), json!({ "message": 5 })]
    {
        assert_eq!(world.admin("/standup/notice", Some(&wrong)).await.refusal(), (400, 400), "{wrong}");
    }
    assert_eq!(world.admin("/unknown/notice", Some(&notice)).await.refusal().0, 404);
    world.admin("/standup/close", Some(&json!({}))).await.data();
    assert_eq!(world.admin("/standup/notice", Some(&notice)).await.refusal(), (410, 1_101_012));
}
