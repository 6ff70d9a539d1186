use super::*;
use crate::providers::Settings as RoomSettings;
use crate::providers::conformance::{
    Backstage, Misdeed, StoppedClock, keeps_the_contract, misbehaving_server, request,
};
use crate::transport::HttpClient;
use chrono::{DateTime, Utc};
use emulator::http::Response;
use emulator::{Fault, FixedTokens, Zoom, daily_cap_answer};
use std::sync::atomic::{AtomicU64, Ordering};

const MARKER: &str = "0123456789abcdef0123456789abcdef";

fn now() -> DateTime<Utc> {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

/// A token that a test can replace, and how often that happened.
struct Purse {
    tokens: Arc<FixedTokens>,
    generation: AtomicU64,
    replaced: AtomicU64,
}

impl Purse {
    fn token(&self) -> AccessToken {
        let generation = self.generation.load(Ordering::Relaxed);
        AccessToken { secret: format!("secret-token-{generation}").into(), generation }
    }
}

impl TokenSource for Purse {
    fn access_token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>> {
        Box::pin(std::future::ready(Ok(self.token())))
    }

    fn replace<'a>(&'a self, _: &'a AccessToken) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        self.replaced.fetch_add(1, Ordering::Relaxed);
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.tokens.add(&format!("secret-token-{generation}"), false);
        Box::pin(std::future::ready(Ok(self.token())))
    }
}

struct Stage {
    zoom: Zoom,
    tokens: Arc<FixedTokens>,
    purse: Arc<Purse>,
    presence: Arc<Presence>,
    settings: Settings,
}

impl Stage {
    async fn build() -> Self {
        let tokens = Arc::new(FixedTokens::with("secret-token-1", false));
        let zoom = Zoom::start(tokens.clone(), now()).await;
        let purse = Arc::new(Purse {
            tokens: tokens.clone(),
            generation: AtomicU64::new(1),
            replaced: AtomicU64::new(0),
        });
        let settings = settings(&zoom.base_url);
        Self { zoom, tokens, purse, presence: Arc::default(), settings }
    }

    fn driver(&self) -> Driver {
        self.driver_at(now())
    }

    fn driver_at(&self, now: DateTime<Utc>) -> Driver {
        let transport = Arc::new(HttpClient::new().unwrap());
        Driver::new(
            self.settings.clone(),
            self.presence.clone(),
            self.purse.clone(),
            transport,
            Arc::new(StoppedClock(now)),
        )
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.zoom.lock().requests)
    }
}

fn settings(base_url: &str) -> Settings {
    Settings {
        base_url: base_url.to_owned(),
        user: "me".to_owned(),
        quota: DailyQuota { limit: 100, kept_for_today: 20, close_costs: 0 },
        after_close: AfterClose::Delete,
        timeout: Duration::from_secs(60),
    }
}

impl Backstage for Stage {
    fn now(&self) -> DateTime<Utc> {
        now()
    }

    fn room_count(&self) -> BoxFuture<'_, usize> {
        let state = self.zoom.lock();
        Box::pin(std::future::ready(state.meetings.len() + state.deleted.len()))
    }

    fn enter<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, ()> {
        unreachable!("Zoom does not count people")
    }

    fn missing_room(&self) -> &'static str {
        "99999999999"
    }
}

/// The request of the conformance suite, changed.
fn wish(change: impl FnOnce(&mut RoomRequest, &mut RoomSpec)) -> RoomRequest {
    let mut wish = request(MARKER, now());
    let mut spec = (*wish.spec).clone();
    change(&mut wish, &mut spec);
    wish.spec = Arc::new(spec);
    wish
}

fn passing(json: Value) -> RoomRequest {
    let Value::Object(json) = json else { panic!("a table") };
    wish(|_, spec| spec.passthrough = json)
}

#[tokio::test]
async fn the_driver_keeps_the_contract_whatever_is_done_with_closed_meetings() {
    for after_close in [AfterClose::Delete, AfterClose::Keep] {
        for end_of_idle in [(204, 0), (400, 3000), (404, 3001)] {
            let mut stage = Stage::build().await;
            stage.settings.after_close = after_close;
            stage.zoom.lock().manners.end_of_idle = end_of_idle;
            keeps_the_contract(&stage.driver(), &stage).await;
            let state = stage.zoom.lock();
            assert_eq!(state.refused, Vec::<Value>::new(), "every request is as Zoom wants it");
            assert_eq!(state.deleted.len(), usize::from(after_close == AfterClose::Delete));
        }
    }
}

#[tokio::test]
async fn a_meeting_is_made_as_scheduled_with_its_local_time_and_its_mark() {
    let stage = Stage::build().await;
    let wish = wish(|wish, spec| {
        spec.timezone = Some("Asia/Tokyo".to_owned());
        wish.title = "定例".to_owned();
        spec.settings = RoomSettings {
            mute_on_entry: Some(true),
            join_before_host: Some(true),
            recording: Some(crate::providers::Recording::Cloud),
            password: Some("pass-1".to_owned()),
        };
        spec.passthrough = json!({
            "agenda": "Bring the minutes.", "user": "me", "topic": "not this",
            "settings": { "host_video": true, "breakout_room": { "enable": true } },
        })
        .as_object()
        .unwrap()
        .clone();
    });
    let made = stage.driver().create(&wish).await.unwrap();
    assert_eq!(made.differs, Vec::<String>::new());
    assert_eq!(made.room.host_url, None, "the host's link is nothing to keep");
    let state = stage.zoom.lock();
    let meeting = &state.meetings[&made.room.id.parse().unwrap()];
    assert_eq!((meeting.starts_at, meeting.host.as_str()), (wish.starts_at, "host@example.com"));
    let shown = |key: &str| meeting.fields[key].clone();
    assert_eq!(shown("start_time"), json!("2026-11-23T18:10:00"));
    assert_eq!(shown("timezone"), json!("Asia/Tokyo"));
    assert_eq!((shown("duration"), shown("type"), shown("topic")), (json!(30), json!(2), json!("定例")));
    assert_eq!(shown("agenda"), json!(format!("convened:{MARKER}\nBring the minutes.")));
    assert_eq!(shown("password"), json!("pass-1"));
    for (key, value) in [
        ("mute_upon_entry", json!(true)),
        ("join_before_host", json!(true)),
        ("jbh_time", json!(0)),
        ("waiting_room", json!(false)),
        ("auto_recording", json!("cloud")),
        ("use_pmi", json!(false)),
        ("host_video", json!(true)),
        ("breakout_room", json!({ "enable": true })),
    ] {
        assert_eq!(shown("settings")[key], value, "{key}");
    }
}

#[tokio::test]
async fn what_the_account_has_locked_is_told_and_the_room_is_there_all_the_same() {
    let stage = Stage::build().await;
    stage.zoom.lock().manners.locked.insert("waiting_room".to_owned(), json!(true));
    let wish = wish(|_, _| {});
    let made = stage.driver().create(&wish).await.unwrap();
    assert_eq!(made.differs, ["settings.join_before_host", "settings.waiting_room"]);
    let again = stage.driver().update(&made.room.id, &wish).await.unwrap();
    assert_eq!(again.differs, made.differs);
}

#[tokio::test]
async fn a_start_that_zoom_understood_otherwise_is_corrected_in_utc_once() {
    let stage = Stage::build().await;
    // This Zoom does not know the zone and takes its own.
    let strange = |text: &str| Response::json(201, &serde_json::from_str(text).unwrap());
    let wish = wish(|_, _| {});
    let made = stage.driver().create(&wish).await.unwrap();
    let id: i64 = made.room.id.parse().unwrap();
    {
        let mut state = stage.zoom.lock();
        state.meetings.get_mut(&id).unwrap().starts_at += TimeDelta::hours(8);
    }
    let answer = format!(
        r#"{{"id":{id},"join_url":"https://example.zoom.us/j/1","start_time":"2026-11-23T17:10:00Z","duration":30,
            "agenda":"convened:{MARKER}"}}"#
    );
    stage.zoom.next("create", Fault::Says(strange(&answer)));
    let made = stage.driver().create(&wish).await.unwrap();
    assert_eq!(made.differs, Vec::<String>::new());
    assert_eq!(stage.zoom.lock().meetings[&id].starts_at, wish.starts_at);
}

#[tokio::test]
async fn only_what_differs_is_sent_and_nothing_costs_nothing() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    let wish = passing(json!({ "settings": { "host_video": true } }));
    let room = driver.create(&wish).await.unwrap().room;
    let _ = stage.requests();
    let same = driver.update(&room.id, &wish).await.unwrap();
    assert!(!same.is_written && same.differs.is_empty(), "{same:?}");
    assert_eq!(stage.requests(), [format!("GET /v2/meetings/{}", room.id)]);
    assert_eq!(stage.zoom.lock().writes.values().sum::<u32>(), 1);

    let meeting = driver.get(&path(&room.id).unwrap()).await.unwrap();
    let mut longer = wish.clone();
    longer.ends_at += TimeDelta::minutes(10);
    assert_eq!(
        Value::Object(Wish::of(&longer).patch(&meeting, now())),
        json!({ "duration": 40 }),
        "neither the start nor what is as it was"
    );
    let moved = RoomRequest { starts_at: wish.starts_at + TimeDelta::hours(1), ..wish.clone() };
    let patch = Value::Object(Wish::of(&moved).patch(&meeting, now()));
    assert_eq!((&patch["start_time"], &patch["timezone"]), (&json!("2026-11-23T10:10:00Z"), &json!("UTC")));
    let other = passing(json!({ "settings": { "host_video": false }, "agenda": "Words" }));
    assert_eq!(
        Value::Object(Wish::of(&other).patch(&meeting, now())),
        json!({ "settings": { "host_video": false }, "agenda": format!("convened:{MARKER}\nWords") })
    );
}

#[tokio::test]
async fn somebodys_words_below_the_mark_stay_and_a_lost_mark_is_set_again() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    let wish = wish(|_, _| {});
    let room = driver.create(&wish).await.unwrap().room;
    let id: i64 = room.id.parse().unwrap();
    let set = |text: String| {
        stage.zoom.lock().meetings.get_mut(&id).unwrap().fields.insert("agenda".to_owned(), json!(text));
    };
    set(format!("convened:{MARKER}\nA note by the host"));
    assert!(!driver.update(&room.id, &wish).await.unwrap().is_written);
    set("A note by the host".to_owned());
    assert_eq!(driver.find(&wish).await, Ok(None));
    assert!(driver.update(&room.id, &wish).await.unwrap().is_written);
    assert_eq!(driver.find(&wish).await.unwrap().unwrap().id, room.id);
}

#[tokio::test]
async fn a_start_in_the_past_is_not_sent_and_is_told() {
    let stage = Stage::build().await;
    let wish = wish(|_, _| {});
    let room = stage.driver().create(&wish).await.unwrap().room;
    let mut moved = wish.clone();
    moved.starts_at -= TimeDelta::hours(2);
    moved.ends_at = moved.starts_at + TimeDelta::minutes(45);
    let done = stage.driver().update(&room.id, &moved).await.unwrap();
    assert_eq!(done.differs, ["start_time (is 2026-11-23T09:10:00Z)"]);
    assert_eq!(stage.zoom.lock().meetings.values().next().unwrap().fields["duration"], 45);
}

#[tokio::test]
async fn a_meeting_that_goes_on_may_be_as_it_is_or_be_changed() {
    for takes_changes in [false, true] {
        let stage = Stage::build().await;
        stage.zoom.lock().manners.takes_changes_while_live = takes_changes;
        let driver = stage.driver();
        let mut wish = wish(|_, _| {});
        let room = driver.create(&wish).await.unwrap().room;
        stage.zoom.enter(&room.id, 2);
        for extension in 0..3 {
            wish.ends_at += TimeDelta::minutes(10);
            let done = driver.update(&room.id, &wish).await.expect("a refusal is no error");
            assert_eq!((done.differs, done.is_written), (Vec::new(), takes_changes || extension == 0));
        }
        let patches = stage.requests().iter().filter(|line| line.starts_with("PATCH")).count();
        assert_eq!(patches, if takes_changes { 3 } else { 1 }, "what was refused is not asked again");
        wish.title = "Another".to_owned();
        let done = driver.update(&room.id, &wish).await.unwrap();
        assert_eq!(done.differs.is_empty(), takes_changes, "another title is worth a word");
        stage.zoom.lock().meetings.values_mut().for_each(|meeting| meeting.people = 0);
        assert!(driver.update(&room.id, &wish).await.unwrap().differs.is_empty());
        assert_eq!(stage.zoom.lock().meetings.values().next().unwrap().fields["duration"], 60);
    }
}

#[tokio::test]
async fn the_whole_list_is_read_and_any_doubt_about_it_is_an_error() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    for n in 0..7 {
        let _ = driver.create(&RoomRequest { marker: format!("{n:032}"), ..wish(|_, _| {}) }).await.unwrap();
    }
    stage.zoom.lock().manners.page_cap = 3;
    let last = RoomRequest { marker: format!("{:032}", 6), ..wish(|_, _| {}) };
    let _ = stage.requests();
    assert!(driver.find(&last).await.unwrap().is_some());
    assert_eq!(stage.requests().len(), 3, "three pages");
    assert_eq!(driver.find(&wish(|_, _| {})).await, Ok(None));
    let answers = [
        Response::json(500, &json!({})),
        Response::json(200, &json!({ "meetings": [], "total_records": 7, "next_page_token": "" })),
        Response::json(200, &json!({ "total_records": 0 })),
        Response { status: 200, headers: Vec::new(), body: "<html>sign in</html>".to_owned() },
        Response::json(404, &json!({ "code": 1001, "message": "User does not exist" })),
        Response::json(404, &json!({ "code": 3001, "message": "Meeting does not exist" })),
        Response::json(400, &json!({ "code": 300, "message": "The next page token is invalid" })),
    ];
    for answer in answers {
        stage.zoom.next("list", Fault::Says(answer.clone()));
        let found = driver.find(&wish(|_, _| {})).await;
        assert!(matches!(found, Err(ProviderError::Unavailable(_))), "{answer:?}: {found:?}");
    }
    let circle = json!({ "meetings": [], "total_records": 0, "next_page_token": "page/0" });
    for _ in 0..2 {
        stage.zoom.next("list", Fault::Says(Response::json(200, &circle)));
    }
    assert!(matches!(driver.find(&wish(|_, _| {})).await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn of_two_meetings_with_one_mark_the_oldest_stays_unless_people_are_in_the_other() {
    for is_occupied in [false, true] {
        let stage = Stage::build().await;
        let driver = stage.driver();
        let oldest = driver.create(&wish(|_, _| {})).await.unwrap().room;
        stage.zoom.lock().now += TimeDelta::seconds(30);
        let stray = driver.create(&wish(|_, _| {})).await.unwrap().room;
        if is_occupied {
            stage.zoom.enter(&stray.id, 1);
        }
        assert_eq!(driver.find(&wish(|_, _| {})).await.unwrap().unwrap().id, oldest.id);
        assert_eq!(stage.zoom.lock().meetings.len(), if is_occupied { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once_and_the_request_made_again_once() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    stage.tokens.0.lock().unwrap().clear();
    let room = driver.create(&wish(|_, _| {})).await.unwrap().room;
    assert_eq!(stage.purse.replaced.load(Ordering::Relaxed), 1);
    assert_eq!(stage.zoom.lock().meetings.len(), 1, "401 did nothing");
    let no = || Fault::Says(Response::json(401, &json!({ "code": 124, "message": "Invalid access token." })));
    stage.zoom.next("get", no());
    stage.zoom.next("get", no());
    let refused = driver.look(&room.id).await;
    assert!(matches!(refused, Err(ProviderError::Unauthenticated(_))), "{refused:?}");
    assert_eq!(stage.purse.replaced.load(Ordering::Relaxed), 2, "and not for ever");
}

#[tokio::test]
async fn a_missing_scope_is_told_by_name_and_not_taken_for_an_old_token() {
    let stage = Stage::build().await;
    for grant in stage.tokens.0.lock().unwrap().values_mut() {
        grant.scopes.remove("meeting:write:meeting");
    }
    let Err(ProviderError::Unauthenticated(why)) = stage.driver().create(&wish(|_, _| {})).await else {
        panic!("unauthenticated")
    };
    assert!(why.contains("meeting:write:meeting"), "{why}");
    assert_eq!(stage.purse.replaced.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn with_a_token_of_the_account_each_meeting_has_its_host() {
    let mut stage = Stage::build().await;
    stage.tokens.add("secret-token-1", true);
    stage.settings.user = "host@example.com".to_owned();
    let driver = stage.driver();
    let other = passing(json!({ "user": "other@example.com" }));
    let room = driver.create(&other).await.unwrap().room;
    assert_eq!(stage.zoom.lock().meetings.values().next().unwrap().host, "other@example.com");
    assert_eq!(driver.find(&other).await.unwrap().unwrap().id, room.id);
    assert_eq!(driver.find(&wish(|_, _| {})).await, Ok(None), "another host has another list");
    assert_eq!(driver.quota_of(&other).as_deref(), Some("other@example.com"));
    assert_eq!(driver.quota_of(&wish(|_, _| {})).as_deref(), Some("host@example.com"));
    let nobody = driver.create(&passing(json!({ "user": "nobody@example.com" }))).await;
    assert!(matches!(nobody, Err(ProviderError::Unavailable(_))), "mended at Zoom, it goes on: {nobody:?}");
}

#[tokio::test]
async fn the_daily_cap_is_told_from_all_other_limits() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    let create = async |answer: Response| {
        stage.zoom.next("create", Fault::Says(answer));
        driver.create(&wish(|_, _| {})).await.unwrap_err()
    };
    let midnight = "2026-11-24T00:01:00Z".parse().unwrap();
    assert_eq!(create(daily_cap_answer()).await, ProviderError::QuotaSpent { frees_at: midnight });
    let old = Response { status: 300, ..daily_cap_answer() };
    assert_eq!(create(old).await, ProviderError::QuotaSpent { frees_at: midnight });
    let limited =
        |seconds: i64| ProviderError::RateLimited { retry_at: Some(now() + TimeDelta::seconds(seconds)) };
    let say = |message: &str| Response::json(429, &json!({ "code": 429, "message": message }));
    let second = "You have reached the maximum per-second rate limit for this API. Try again later.";
    let daily = "You have reached the maximum daily rate limit for this API. Refer to the response header for details \
                 on when you can make another request.";
    assert_eq!(create(say(second)).await, ProviderError::RateLimited { retry_at: None });
    assert_eq!(create(say(second).with("retry-after", "7")).await, limited(7));
    let reset = (now() + TimeDelta::seconds(2)).timestamp().to_string();
    assert_eq!(create(say(second).with("x-ratelimit-reset", &reset)).await, limited(2));
    assert_eq!(create(say(daily).with("retry-after", "2026-11-23T10:00:00Z")).await, limited(3600));
    assert_eq!(create(say(daily).with("retry-after", "2020-05-31T00:00:00Z")).await, limited(0));
    assert_eq!(create(say(daily)).await, ProviderError::RateLimited { retry_at: Some(midnight) });
    stage.zoom.next("end", Fault::Says(daily_cap_answer()));
    assert!(matches!(driver.close("1").await, Err(ProviderError::Unavailable(_))), "an end has no such cap");
}

#[tokio::test]
async fn closing_ends_what_goes_on_and_is_not_believed_before_it_is_seen() {
    for after_close in [AfterClose::Delete, AfterClose::Keep] {
        let mut stage = Stage::build().await;
        stage.settings.after_close = after_close;
        let driver = stage.driver();
        let room = driver.create(&wish(|_, _| {})).await.unwrap().room;
        stage.zoom.enter(&room.id, 3);
        assert_eq!(driver.look(&room.id).await, Ok(Sight { is_open: true, occupancy: None }));
        stage.zoom.lock().manners.end_does_nothing = true;
        let not_yet = driver.close(&room.id).await;
        assert!(matches!(not_yet, Err(ProviderError::Unavailable(_))), "{not_yet:?}");
        assert_eq!(stage.zoom.lock().meetings.values().next().unwrap().people, 3);
        stage.zoom.lock().manners.end_does_nothing = false;
        driver.close(&room.id).await.unwrap();
        match after_close {
            AfterClose::Delete => assert_eq!(driver.look(&room.id).await, Err(ProviderError::NotFound)),
            AfterClose::Keep => {
                assert_eq!(driver.look(&room.id).await, Ok(Sight { is_open: false, occupancy: Some(0) }));
                let settings = stage.zoom.lock().meetings.values().next().unwrap().fields["settings"].clone();
                assert_eq!(
                    (&settings["join_before_host"], &settings["waiting_room"]),
                    (&json!(false), &json!(true))
                );
                assert!(driver.find(&wish(|_, _| {})).await.unwrap().is_some(), "open or closed");
                // Its host starts it once more while the daemon looks.
                stage.zoom.enter(&room.id, 1);
                assert_eq!(driver.look(&room.id).await, Ok(Sight { is_open: true, occupancy: None }));
                driver.close(&room.id).await.unwrap();
                assert_eq!(stage.zoom.lock().meetings.values().next().unwrap().people, 0);
            }
        }
    }
}

#[tokio::test]
async fn a_meeting_that_is_gone_is_gone_in_any_language() {
    let stage = Stage::build().await;
    stage.zoom.lock().manners.is_russian = true;
    let driver = stage.driver();
    assert_eq!(driver.look("91234567999").await, Err(ProviderError::NotFound));
    assert_eq!(driver.close("91234567999").await, Err(ProviderError::NotFound));
}

#[tokio::test]
async fn who_is_in_a_meeting_that_waits_is_known_only_where_guests_need_the_host() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    for (join_before_host, occupancy) in [(Some(true), None), (Some(false), Some(0)), (None, Some(0))] {
        let room = driver
            .create(&wish(|_, spec| spec.settings.join_before_host = join_before_host))
            .await
            .unwrap()
            .room;
        assert_eq!(driver.look(&room.id).await, Ok(Sight { is_open: true, occupancy }));
        stage.zoom.enter(&room.id, 1);
        assert_eq!(driver.look(&room.id).await, Ok(Sight { is_open: true, occupancy: None }));
    }
    let id = driver.create(&wish(|_, _| {})).await.unwrap().room.id;
    for status in ["ended", "finished", ""] {
        let body = json!({
            "id": id.parse::<i64>().unwrap(), "status": status, "settings": { "join_before_host": false },
        });
        stage.zoom.next("get", Fault::Says(Response::json(200, &body)));
        let seen = driver.look(&id).await.unwrap();
        assert_eq!(seen, Sight { is_open: true, occupancy: None }, "what it does not say is unknown");
    }
}

fn kind<T>(result: Result<T, ProviderError>) -> &'static str {
    match result.err() {
        None => "ok",
        Some(ProviderError::Rejected(_)) => "rejected",
        Some(ProviderError::NotFound) => "not found",
        Some(ProviderError::Unauthenticated(_)) => "unauthenticated",
        Some(ProviderError::RateLimited { .. }) => "limited",
        Some(ProviderError::QuotaSpent { .. }) => "spent",
        Some(ProviderError::Unavailable(_)) => "unavailable",
        Some(ProviderError::OutcomeUnknown(_)) => "unknown",
    }
}

/// What each verb makes of a misdeed: create, find, look, update, close.
async fn verdicts(misdeed: Misdeed) -> [&'static str; 5] {
    let is_hanging = matches!(misdeed, Misdeed::Hangs);
    let timeout = Duration::from_millis(if is_hanging { 20 } else { 60_000 });
    let url = misbehaving_server(misdeed).await;
    let purse = Purse { tokens: Arc::default(), generation: AtomicU64::new(1), replaced: AtomicU64::new(0) };
    let driver = Driver::new(
        Settings { timeout, ..settings(&url) },
        Arc::default(),
        Arc::new(purse),
        Arc::new(HttpClient::new().unwrap()),
        Arc::new(StoppedClock(now())),
    );
    let wish = wish(|_, _| {});
    [
        kind(driver.create(&wish).await),
        kind(driver.find(&wish).await),
        kind(driver.look("91234567890").await),
        kind(driver.update("91234567890", &wish).await),
        kind(driver.close("91234567890").await),
    ]
}

#[tokio::test]
async fn every_failure_is_told_by_what_the_caller_must_do() {
    let doubt = ["unknown", "unavailable", "unavailable", "unavailable", "unknown"];
    let says = |status: &str, body: &str| {
        Misdeed::Says(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    };
    let code = |code: i64| format!(r#"{{"code":{code},"message":"no"}}"#);
    let all = |kind: &'static str| [kind; 5];
    let table = [
        ("old token", says("401 Unauthorized", &code(124)), all("unauthenticated")),
        ("old token, by its other code", says("401 Unauthorized", &code(201)), all("unauthenticated")),
        ("scope", says("400 Bad Request", &code(4711)), all("unauthenticated")),
        ("scope with 401", says("401 Unauthorized", &code(4711)), all("unauthenticated")),
        ("no OAuth", says("400 Bad Request", &code(124)), all("unauthenticated")),
        ("forbidden", says("403 Forbidden", "<html>"), all("unauthenticated")),
        (
            "gone",
            says("404 Not Found", &code(3001)),
            ["unavailable", "unavailable", "not found", "not found", "not found"],
        ),
        ("no such user", says("404 Not Found", &code(1001)), all("unavailable")),
        ("no such path", says("404 Not Found", &code(2300)), all("unavailable")),
        ("bare 404 of a proxy", says("404 Not Found", "<h1>Not Found</h1>"), doubt),
        ("limited", says("429 Too Many Requests", ""), all("limited")),
        ("failed", says("500 Internal Server Error", &code(3001)), doubt),
        ("bad gateway", says("502 Bad Gateway", "<html>"), doubt),
        ("not now", says("503 Service Unavailable", ""), doubt),
        ("time-out of a proxy", says("408 Request Timeout", &code(300)), doubt),
        ("a page to sign in", says("200 OK", "<html>"), doubt),
        ("a page to sign in, as JSON", says("200 OK", "{}"), doubt),
        ("garbage", says("201 Created", "hello"), doubt),
        ("redirect", says("302 Found", ""), doubt),
        ("not even HTTP", Misdeed::Says("\u{1}\u{2}what?\r\n\r\n".to_owned()), doubt),
        ("no answer at all", Misdeed::Says(String::new()), doubt),
        ("too late", Misdeed::Hangs, doubt),
    ];
    for (name, misdeed, expected) in table {
        assert_eq!(verdicts(misdeed).await, expected, "{name}");
    }
    assert_eq!(verdicts(says("400 Bad Request", &code(300))).await[0], "rejected");
    assert_eq!(verdicts(says("400 Bad Request", &code(3161))).await[0], "unavailable");
}

#[tokio::test]
async fn a_create_without_a_meeting_in_its_answer_may_have_made_one() {
    let stage = Stage::build().await;
    for body in [
        json!({}),
        json!({ "id": 91234567890_i64 }),
        json!({ "join_url": "https://zoom.us/j/1" }),
        json!({ "id": 91234567890_i64, "join_url": "javascript:alert(1)" }),
        json!({ "id": "ab", "join_url": "https://zoom.us/j/1" }),
    ] {
        stage.zoom.next("create", Fault::Says(Response::json(201, &body)));
        assert_eq!(kind(stage.driver().create(&wish(|_, _| {})).await), "unknown", "{body}");
    }
}

#[tokio::test]
async fn an_agenda_that_is_too_long_is_cut_behind_the_mark() {
    let stage = Stage::build().await;
    let room = stage.driver().create(&passing(json!({ "agenda": "é".repeat(3000) }))).await.unwrap().room;
    let state = stage.zoom.lock();
    let agenda = state.meetings[&room.id.parse().unwrap()].agenda();
    assert_eq!(agenda.chars().count(), 2000);
    assert!(agenda.starts_with(&format!("convened:{MARKER}\né")));
}

#[tokio::test]
async fn neither_token_nor_password_nor_the_hosts_link_show_anywhere() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    let wish = wish(|_, spec| spec.settings.password = Some("pass-word-is-too-long".to_owned()));
    let refused = driver.create(&wish).await.unwrap_err();
    assert_eq!(
        refused,
        ProviderError::Rejected("code 300: Validation Failed. password: Invalid field.".to_owned())
    );
    let token = stage.purse.token();
    assert!(!format!("{driver:?} {token:?}").contains("secret-token"));
}
