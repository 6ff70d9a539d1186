//! The built program against emulators of Zoom and of its OAuth: a meeting's whole life, and kills at any moment.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../emulators/oauth.rs"]
mod oauth;
#[path = "../daemon/support.rs"]
#[expect(dead_code, reason = "tests of the daemon use the rest")]
mod support;
#[path = "../emulators/zoom/mod.rs"]
mod zoom;

use hmac::{Hmac, Mac as _};
use oauth::{Application, OAuthServer};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use support::{Place, from_now, rooms_due_now};
use zoom::{Fault, Grant, SCOPES, Tokens, Zoom};

const HOST: &str = "host@example.com";

/// Tokens are good where the OAuth server says so.
struct Issued(Arc<OAuthServer>);

impl Tokens for Issued {
    fn grant(&self, bearer: &str) -> Option<Grant> {
        let scopes = self.0.scopes_of(bearer)?;
        Some(Grant { scopes, user: HOST.to_owned(), is_account: true })
    }
}

/// Emulators that outlive the daemon.
struct Stage {
    oauth: Arc<OAuthServer>,
    zoom: Zoom,
    provider: String,
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn build() -> Self {
        let oauth = OAuthServer::new(Application {
            client_id: "an-app".to_owned(),
            client_secret: "hush".to_owned(),
            redirect_urls: Vec::new(),
            account_id: Some("an-account".to_owned()),
            scopes: SCOPES.map(|scope| format!("{scope}:admin")).join(" "),
        });
        let auth_url = format!("{}/oauth", oauth.serve());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let zoom =
            runtime.block_on(Zoom::start(Arc::new(Issued(oauth.clone())), chrono::DateTime::UNIX_EPOCH));
        zoom.lock().is_in_real_time = true;
        let provider = format!(
            "[providers.acme]\nkind = \"zoom\"\ngrant = \"account_credentials\"\naccount_id = \"an-account\"\n\
             client_id = \"an-app\"\nclient_secret = {{ env = \"ZOOM_SECRET\" }}\nuser = \"{HOST}\"\n\
             webhook_secret = {{ env = \"ZOOM_HOOK\" }}\nbase_url = \"{}\"\nauth_url = \"{auth_url}\"\n\
             rate_limit = \"1000/s\"\nmax_in_flight = 2\nconcurrent_meetings = 100\n",
            zoom.base_url
        );
        Self { oauth, zoom, provider, _runtime: runtime }
    }

    fn place(&self, head: &str, meetings: &str) -> Place {
        let mut place = Place::new(&format!("{head}\n{}{meetings}", self.provider));
        place.environment.push(("ZOOM_SECRET", "hush".into()));
        place.environment.push(("ZOOM_HOOK", "a-secret-token".into()));
        place
    }

    /// The one meeting's number.
    fn only_id(&self) -> String {
        let state = self.zoom.lock();
        assert_eq!(state.meetings.len(), 1);
        state.meetings.keys().next().unwrap().to_string()
    }
}

/// Sends a signed webhook.
fn webhook(address: &str, at: i64, body: &str) -> u16 {
    use std::io::{Read as _, Write as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"a-secret-token").unwrap();
    mac.update(format!("v0:{at}:{body}").as_bytes());
    let signature = mac.finalize().into_bytes().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /webhooks/zoom/acme HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         x-zm-request-timestamp: {at}\r\nx-zm-signature: v0={signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_meeting_is_made_watched_ended_and_deleted() {
    let stage = Stage::build();
    let meeting = format!(
        "[[meetings]]\nid = \"m\"\ntitle = \"A meeting\"\nstart = {}\nduration = \"10s\"\nclose_delay = \"0s\"\n\
         settings = {{ join_before_host = false }}\n",
        from_now(12)
    );
    let place = stage.place("", &meeting);
    let mut daemon = place.start();
    let listening = daemon.wait_for("daemon.listening", "");
    let address = listening["address"].as_str().unwrap();
    let created = daemon.wait_for("room.created", "\"m\"");
    let id = stage.only_id();
    assert_eq!(created["room_id"], id.as_str());
    daemon.wait_for("meeting.live", "");
    stage.zoom.enter(&id, 2);
    // Zoom tells that it began, and the daemon looks, and knows how many are there.
    let at = created_at();
    for (n, person) in ["a", "b"].iter().enumerate() {
        let body = format!(
            r#"{{"event":"meeting.participant_joined","event_ts":{}{n},"payload":{{"object":{{"id":"{id}","participant":{{"user_id":"{person}"}}}}}}}}"#,
            at * 100
        );
        assert_eq!(webhook(address, at, &body), 204);
    }
    let body =
        format!(r#"{{"event":"meeting.started","event_ts":{at}000,"payload":{{"object":{{"id":{id}}}}}}}"#);
    assert_eq!(webhook(address, at, &body), 204);
    daemon.wait_for("room.occupancy", "\"occupancy\":2");
    assert_eq!(webhook(address, at - 1000, &body), 401);
    daemon.wait_for("webhook.refused", "");
    daemon.wait_for("room.closed", "");
    let state = stage.zoom.lock();
    assert_eq!((state.meetings.len(), state.deleted.len(), state.past.len()), (0, 1, 1));
    assert_eq!(state.deleted[0].fields["topic"], "A meeting");
    assert_eq!(state.refused, Vec::<serde_json::Value>::new());
    drop(state);
    daemon.signal("TERM");
    let (status, log) = daemon.end();
    assert!(status.success());
    for secret in stage.oauth.secrets().iter().chain([&"a-secret-token".to_owned()]) {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

/// Now, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a test of the real binary runs in real time")]
fn created_at() -> i64 {
    chrono::Utc::now().timestamp()
}

#[test]
fn killed_while_meetings_are_made_it_doubles_and_forgets_none() {
    const MEETINGS: usize = 40;
    let stage = Stage::build();
    let schedule = rooms_due_now(MEETINGS);
    let (head, meetings) = schedule.split_once("[defaults]").unwrap();
    let (defaults, meetings) = meetings.split_once("[[meetings]]").unwrap();
    let place = stage.place(head, &format!("[defaults]{defaults}[[meetings]]{meetings}"));
    for kill in 0..16 {
        // Some of the answers get lost as well, some creates are not carried out.
        stage.zoom.next("create", if kill % 2 == 0 { Fault::LosesReply } else { Fault::Breaks });
        let mut daemon = place.start();
        match kill % 4 {
            0 => daemon.wait_for("schedule.applied", ""),
            1 => daemon.wait_for("call.sent", ""),
            _ => daemon.wait_for("room.created", ""),
        };
        daemon.kill();
    }
    let mut daemon = place.start_ready();
    let waiting =
        || place.json(&["status", "--json", "--all"]).iter().filter(|line| line["state"] != "ready").count();
    while waiting() > 0 {
        daemon.wait_for("room.created", "");
    }
    drop(daemon);
    let state = stage.zoom.lock();
    let mut by_title: BTreeMap<String, usize> = BTreeMap::new();
    for meeting in state.meetings.values().chain(&state.deleted) {
        *by_title.entry(meeting.fields["topic"].to_string()).or_default() += 1;
    }
    let doubled: Vec<_> = by_title.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty() && by_title.len() == MEETINGS, "{} {doubled:?}", by_title.len());
    assert!(state.writes.values().sum::<u32>() <= 100, "{:?}", state.writes);
}

#[test]
fn plan_names_what_a_host_will_run_into() {
    let stage = Stage::build();
    let meetings = "[[meetings]]\nid = \"a\"\nstart = 2027-06-01T09:00:00\nduration = \"1h\"\n\
                    [[meetings]]\nid = \"b\"\nstart = 2027-06-01T09:30:00\nduration = \"1h\"\n";
    let place = stage.place("horizon = \"400d\"", meetings);
    let plan = ["plan", "--from", "2027-06-01T00:00:00Z", "--until", "2027-06-02T00:00:00Z"];
    let output = place.run(&plan);
    assert_eq!((output.status.code(), support::text(&output.stderr).as_str()), (Some(0), ""));
    let config = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), config.replace("concurrent_meetings = 100", "concurrent_meetings = 1"))
        .unwrap();
    let output = place.run(&plan);
    let told = support::text(&output.stderr);
    let clash = "host@example.com of provider \"acme\" can have 1 meeting at once: b starts";
    assert_eq!(told.matches(clash).count(), 1, "{told}");
    assert_eq!(support::text(&output.stdout).lines().count(), 3, "and the plan is a plan");
    assert!(support::text(&place.run(&["check"]).stderr).contains("at once"));
}
