//! Killed at any moment, the daemon neither doubles nor forgets a room.

use crate::elsewhere;
use crate::support::{Place, rooms_due_now};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use convened::meeting_service::MeetingService;
use secrecy::ExposeSecret as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const MEETINGS: usize = 60;
const KILLS: usize = 25;

/// A meeting service that outlives the daemon, with a doorkeeper who notes which rooms were asked for.
#[derive(Clone)]
struct Counted {
    service: MeetingService,
    rooms_by_title: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

async fn door(
    State(counted): State<Counted>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::POST
        && uri.path().ends_with("/ext/rooms")
        && let Ok(asked) = serde_json::from_slice::<serde_json::Value>(&body)
    {
        let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        counted.rooms_by_title.lock().unwrap().entry(text("roomName")).or_default().insert(text("roomUuid"));
    }
    elsewhere::pass_on(&counted.service, method, uri, headers, body).await
}

#[test]
fn killed_while_rooms_are_made_it_doubles_and_forgets_none() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (address, counted) = runtime.block_on(async {
        let (service, listener, address) = elsewhere::open(folder.path()).await;
        let counted = Counted { service, rooms_by_title: Arc::default() };
        let router = axum::Router::new().fallback(door).with_state(counted.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, counted)
    });
    std::fs::write(folder.path().join("admin"), counted.service.admin_secret().expose_secret()).unwrap();
    let provider = format!(
        "[providers.elsewhere]\nkind = \"meeting-service\"\nbase_url = \"http://{address}\"\nmax_in_flight = 2\n\
         admin_secret = {{ file = \"{}\" }}\n",
        folder.path().join("admin").display()
    );
    let schedule = rooms_due_now(MEETINGS);
    let (head, meetings) = schedule.split_once("[[meetings]]").unwrap();
    let place = Place::new(&format!("{head}{provider}[[meetings]]{meetings}"));

    // Each time a little further: before the first call is back, and after the n-th.
    for kill in 0..KILLS {
        let mut daemon = place.start();
        match kill % 5 {
            0 => daemon.wait_for("daemon.started", ""),
            1 => daemon.wait_for("schedule.applied", ""),
            2 => daemon.wait_for("call.sent", ""),
            _ => daemon.wait_for("room.created", ""),
        };
        daemon.kill();
    }
    let mut daemon = place.start_ready();
    daemon.signal("HUP");
    let waiting =
        || place.json(&["status", "--json", "--all"]).iter().filter(|line| line["state"] != "ready").count();
    while waiting() > 0 {
        daemon.wait_for("room.created", "");
    }
    let rooms = counted.rooms_by_title.lock().unwrap();
    assert_eq!(rooms.len(), MEETINGS);
    let doubled: Vec<_> = rooms.iter().filter(|(_, uuids)| uuids.len() != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}
