use super::*;
use crate::meeting_service::{MeetingService, ServiceSettings};
use crate::providers::conformance::{
    Backstage, Misdeed, StoppedClock, keeps_the_contract, misbehaving_server, request,
};
use crate::seams::SystemEntropy;
use crate::transport::HttpClient;
use serde_json::{Value, json};

fn now() -> DateTime<Utc> {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

fn driver(settings: Settings) -> Driver {
    Driver::new(settings, Arc::new(HttpClient::new().unwrap()), Arc::new(StoppedClock(now())))
}

fn settings(base_url: &str, secret: &str) -> Settings {
    Settings::new(base_url, secret.to_owned().into())
}

/// The real service, on a port that the system chose.
struct Stage {
    service: MeetingService,
    base_url: String,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn build() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let service = MeetingService::open(
            &folder.path().join(MeetingService::FILE_NAME),
            Arc::new(StoppedClock(now())),
            Arc::new(SystemEntropy),
            ServiceSettings::new(&base_url),
        )
        .unwrap();
        let router = service.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { service, base_url, folder }
    }

    fn settings(&self) -> Settings {
        Settings::new(&self.base_url, self.service.admin_secret().clone())
    }

    fn driver(&self) -> Driver {
        driver(self.settings())
    }

    /// Enters by the API, and gives the HTTP status and the envelope.
    async fn enter(&self, room_uuid: &str, user: &str, password: Option<&str>) -> (u16, Value) {
        let body = json!({ "roomUuid": room_uuid, "userUuid": user, "userName": user, "password": password });
        let request = Request::post(format!("{}{PREFIX}/apps/convened/v1/room/entry", self.base_url))
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let answer = HttpClient::new().unwrap().send(request, Duration::from_secs(10)).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }
}

impl Backstage for Stage {
    fn now(&self) -> DateTime<Utc> {
        now()
    }

    fn room_count(&self) -> BoxFuture<'_, usize> {
        let file = self.folder.path().join(MeetingService::FILE_NAME);
        let database = rusqlite::Connection::open(file).unwrap();
        let count: u32 = database.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0)).unwrap();
        Box::pin(std::future::ready(count as usize))
    }

    fn enter<'a>(&'a self, room_id: &'a str, people: u32) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for person in 0..people {
                assert_eq!(self.enter(room_id, &format!("person {person}"), None).await.0, 200);
            }
        })
    }

    /// As somebody sees it who is in the room.
    fn shown<'a>(&'a self, room_id: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let (_, entered) = self.enter(room_id, "witness", None).await;
            let text = |key: &str| entered["data"][key].as_str().unwrap().to_owned();
            let v1 = format!("{}{PREFIX}/apps/convened/v1/room/{}", self.base_url, text("roomId"));
            let get = Request::get(&v1).header("token", text("userToken")).body(Bytes::new()).unwrap();
            let http = HttpClient::new().unwrap();
            let answer = http.send(get, Duration::from_secs(10)).await.unwrap();
            let answer: Value = serde_json::from_slice(answer.body()).unwrap();
            let leave = Request::post(format!("{v1}/exit")).header("token", text("userToken"));
            http.send(leave.body(Bytes::new()).unwrap(), Duration::from_secs(10)).await.unwrap();
            answer["data"]["room"]["notice"]["message"].as_str().map(str::to_owned)
        })
    }
}

#[tokio::test]
async fn the_driver_keeps_the_contract_with_the_real_service() {
    let stage = Stage::build().await;
    keeps_the_contract(&stage.driver(), &stage).await;
}

#[tokio::test]
async fn the_contract_holds_under_the_vendors_other_prefix_and_behind_a_check_of_credentials() {
    let stage = Stage::build().await;
    let customer = Some(("id".to_owned(), SecretString::from("secret")));
    let settings = Settings { prefix: "conf/".to_owned(), customer, ..stage.settings() };
    keeps_the_contract(&driver(settings), &stage).await;
}

#[tokio::test]
async fn the_door_opens_at_the_start_unless_people_may_come_before_the_host() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    for (marker, join_before_host, status) in
        [("a", None, 403), ("b", Some(false), 403), ("c", Some(true), 200)]
    {
        let mut wish = request(marker, now());
        Arc::make_mut(&mut wish.spec).settings.join_before_host = join_before_host;
        driver.create(&wish).await.unwrap();
        let (found, envelope) = stage.enter(marker, "ann", None).await;
        assert_eq!(found, status, "{join_before_host:?}: {envelope}");
        if status == 403 {
            assert_eq!(envelope["data"]["opensAt"], wish.starts_at.timestamp_millis());
        }
    }
}

#[tokio::test]
async fn a_meetings_password_title_and_muting_reach_the_room() {
    let stage = Stage::build().await;
    let driver = stage.driver();
    let mut wish = request("m", now());
    let settings = &mut Arc::make_mut(&mut wish.spec).settings;
    settings.password = Some("open sesame".to_owned());
    settings.mute_on_entry = Some(true);
    let room = driver.create(&wish).await.unwrap().room;
    assert!(room.join_url.starts_with(&format!("{}/m/", stage.base_url)));
    assert!(room.host_url.as_ref().unwrap().starts_with(&format!("{}#host=", room.join_url)));
    assert_eq!(stage.enter("m", "ann", Some("sesame")).await.1["code"], 32_403_100);
    assert_eq!(stage.enter("m", "ann", Some("open sesame")).await.0, 200);
    Arc::make_mut(&mut wish.spec).settings.password = None;
    driver.update("m", &wish).await.unwrap();
    assert_eq!(stage.enter("m", "bob", None).await.0, 200, "the change took the password away");
}

#[tokio::test]
async fn a_wrong_admin_secret_or_application_blames_the_account_not_the_meeting() {
    let stage = Stage::build().await;
    let wish = request("m", now());
    let stranger = driver(settings(&stage.base_url, "guess"));
    assert!(matches!(stranger.create(&wish).await, Err(ProviderError::Unauthenticated(_))));
    assert!(matches!(stranger.find(&wish).await, Err(ProviderError::Unauthenticated(_))));
    let elsewhere = driver(Settings { app_id: "other".to_owned(), ..stage.settings() });
    assert!(matches!(elsewhere.create(&wish).await, Err(ProviderError::Unavailable(_))));
    assert!(
        matches!(elsewhere.find(&wish).await, Err(ProviderError::Unavailable(_))),
        "and nothing is 'not there'"
    );
    let unsendable = driver(settings(&stage.base_url, "line\nbreak"));
    assert!(matches!(unsendable.create(&wish).await, Err(ProviderError::Unauthenticated(_))));
}

#[tokio::test]
async fn a_title_that_the_service_refuses_is_rejected_with_its_words() {
    let stage = Stage::build().await;
    let wish = RoomRequest { title: "x".repeat(201), ..request("m", now()) };
    let Err(ProviderError::Rejected(why)) = stage.driver().create(&wish).await else { panic!("rejected") };
    assert_eq!(why, "code 400: `roomName` has more than 200 characters");
}

/// An error's kind, short enough for a table.
fn kind<T>(result: Result<T, ProviderError>) -> String {
    match result.err() {
        None => "ok".to_owned(),
        Some(ProviderError::Rejected(_)) => "rejected".to_owned(),
        Some(ProviderError::NotFound) => "not found".to_owned(),
        Some(ProviderError::Unauthenticated(_)) => "unauthenticated".to_owned(),
        Some(ProviderError::RateLimited { retry_at: None }) => "limited".to_owned(),
        Some(ProviderError::RateLimited { retry_at: Some(at) }) => {
            format!("limited {} s", (at - now()).num_seconds())
        }
        Some(ProviderError::QuotaSpent { .. }) => "quota spent".to_owned(),
        Some(ProviderError::Unavailable(_)) => "unavailable".to_owned(),
        Some(ProviderError::OutcomeUnknown(_)) => "unknown".to_owned(),
    }
}

/// What each verb makes of a misdeed: create, find, look, update, close.
async fn verdicts(misdeed: Misdeed) -> [String; 5] {
    // A time-out long enough for loopback under any load, except where running into it is the point.
    let is_hanging = matches!(misdeed, Misdeed::Hangs);
    let timeout = Duration::from_millis(if is_hanging { 20 } else { 60_000 });
    let driver = driver(Settings { timeout, ..settings(&misbehaving_server(misdeed).await, "hush") });
    let wish = request("m", now());
    [
        kind(driver.create(&wish).await),
        kind(driver.find(&wish).await),
        kind(driver.look("m").await),
        kind(driver.update("m", &wish).await),
        kind(driver.close("m").await),
    ]
}

fn says(status: &str, headers: &str, body: &str) -> Misdeed {
    let length = body.len();
    Misdeed::Says(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    ))
}

#[tokio::test]
async fn every_failure_is_told_by_what_the_caller_must_do() {
    let all = |kind: &str| [0; 5].map(|_| kind.to_owned());
    let doubt = ["unknown", "unavailable", "unavailable", "unknown", "unknown"].map(str::to_owned);
    let gone = ["unknown", "ok", "not found", "not found", "not found"].map(str::to_owned);
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\nconnection: close\r\n\r\n{\"code\":0,\"da";
    let no_room = r#"{"code":20404100,"msg":"there is no such room"}"#;
    let table = [
        (
            "unauthenticated",
            says("401 Unauthorized", "", r#"{"code":401,"msg":"no"}"#),
            all("unauthenticated"),
        ),
        ("forbidden by a proxy", says("403 Forbidden", "", "<html>"), all("unauthenticated")),
        ("token error inside 200", says("200 OK", "", r#"{"code":401,"msg":"no"}"#), all("unauthenticated")),
        ("no such room", says("404 Not Found", "", no_room), gone.clone()),
        ("no such room inside 200", says("200 OK", "", no_room), gone),
        ("bare 404 of a proxy", says("404 Not Found", "", "<h1>Not Found</h1>"), doubt.clone()),
        (
            "no such path",
            says("404 Not Found", "", r#"{"code":404,"msg":"no such path"}"#),
            all("unavailable"),
        ),
        ("limited, seconds", says("429 Too Many Requests", "retry-after: 7\r\n", ""), all("limited 7 s")),
        (
            "limited, for years",
            says("429 Too Many Requests", "retry-after: 99999999\r\n", ""),
            all("limited 86400 s"),
        ),
        (
            "limited, date",
            says("429 Too Many Requests", "retry-after: Mon, 23 Nov 2026 09:01:00 GMT\r\n", "{}"),
            all("limited 60 s"),
        ),
        ("limited, no word when", says("429 Too Many Requests", "", "slow down"), all("limited")),
        ("failed", says("500 Internal Server Error", "", r#"{"code":500,"msg":"disk"}"#), doubt.clone()),
        (
            "failed, with a code that does not fit",
            says("500 Internal Server Error", "", no_room),
            doubt.clone(),
        ),
        ("bad gateway", says("502 Bad Gateway", "", "<html>"), doubt.clone()),
        ("not now", says("503 Service Unavailable", "retry-after: 5\r\n", ""), doubt.clone()),
        ("gateway time-out", says("504 Gateway Timeout", "", ""), doubt.clone()),
        ("request time-out", says("408 Request Timeout", "", r#"{"code":408,"msg":"slow"}"#), doubt.clone()),
        ("refused", says("400 Bad Request", "", r#"{"code":400,"msg":"no"}"#), all("rejected")),
        ("refused inside 200", says("200 OK", "", r#"{"code":1234,"msg":"no"}"#), all("rejected")),
        ("refused by a proxy", says("400 Bad Request", "", "bad request"), doubt.clone()),
        ("garbage", says("200 OK", "", "hello"), doubt.clone()),
        ("not even HTTP", Misdeed::Says("\u{1}\u{2}what?\r\n\r\n".to_owned()), doubt.clone()),
        (
            "success without a room",
            says("200 OK", "", r#"{"code":0,"msg":"Success","data":true}"#),
            doubt.clone(),
        ),
        ("success with another status", says("202 Accepted", "", r#"{"code":0,"data":{}}"#), doubt.clone()),
        ("cut off", Misdeed::Says(cut.to_owned()), doubt.clone()),
        ("no answer at all", Misdeed::Says(String::new()), doubt.clone()),
        ("redirect", says("302 Found", "location: /elsewhere\r\n", ""), doubt.clone()),
        ("redirect with a code", says("307 Temporary Redirect", "location: /x\r\n", no_room), doubt.clone()),
        ("too late", Misdeed::Hangs, doubt),
    ];
    for (name, misdeed, expected) in table {
        assert_eq!(verdicts(misdeed).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_has_done_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for base_url in [url.as_str(), "no url at all", "http://[", ""] {
        let driver = driver(settings(base_url, "hush"));
        assert_eq!(kind(driver.create(&request("m", now())).await), "unavailable", "{base_url:?}");
        assert_eq!(kind(driver.look("m").await), "unavailable", "{base_url:?}");
    }
}

#[tokio::test]
async fn an_answer_for_another_room_or_with_a_strange_link_is_not_believed() {
    for data in [
        r#"{"roomUuid":"x","joinUrl":"https://h/m/1"}"#,
        r#"{"roomUuid":"m","joinUrl":"javascript:alert(1)"}"#,
        r#"{"roomUuid":"m","joinUrl":"https://h/m/1\nx"}"#,
        r#"{"roomUuid":"m"}"#,
    ] {
        let misdeed = says("200 OK", "", &format!(r#"{{"code":0,"data":{data}}}"#));
        assert_eq!(verdicts(misdeed).await[0], "unknown", "{data}");
    }
}

#[tokio::test]
async fn an_occupancy_that_is_missing_is_unknown_and_never_empty() {
    for (data, occupancy) in [
        (r#"{"isOpen":true}"#, None),
        (r#"{"isOpen":true,"occupancy":null}"#, None),
        (r#"{"isOpen":true,"occupancy":-1}"#, None),
        (r#"{"isOpen":true,"occupancy":3}"#, Some(3)),
        (r#"{"isOpen":false}"#, Some(0)),
    ] {
        let url = misbehaving_server(says("200 OK", "", &format!(r#"{{"code":0,"data":{data}}}"#))).await;
        assert_eq!(driver(settings(&url, "hush")).look("m").await.unwrap().occupancy, occupancy, "{data}");
    }
}

#[tokio::test]
async fn secrets_show_neither_in_debug_nor_in_errors_and_words_from_afar_are_cleaned() {
    let settings = Settings {
        customer: Some(("id".to_owned(), SecretString::from("cust-secret"))),
        ..settings(
            &misbehaving_server(says("400 Bad Request", "", r#"{"code":7,"msg":"a\u001b[31m\nb"}"#)).await,
            "hush",
        )
    };
    assert!(!format!("{settings:?}").contains("hush") && !format!("{settings:?}").contains("cust-secret"));
    let driver = driver(settings);
    let error = driver.create(&request("m", now())).await.unwrap_err();
    assert_eq!(error, ProviderError::Rejected("code 7: a [31m b".to_owned()));
    let sent = driver.request(Method::GET, "", Bytes::new()).unwrap();
    assert!(!format!("{driver:?} {sent:?}").contains("hush"));
}

#[test]
fn ids_stay_in_their_place_in_the_path() {
    assert_eq!(path("a/../b?c#d é").unwrap(), "/a%2F..%2Fb%3Fc%23d%20%C3%A9");
    for id in ["", ".", ".."] {
        assert!(matches!(path(id), Err(ProviderError::Rejected(_))), "{id:?}");
    }
}
