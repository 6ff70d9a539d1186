//! No secret is in anything that the program says, whatever goes wrong.
//!
//! What is meant to be shown and is not searched for: a room's `join_url` and `room_id` (whoever is to come needs them; they
//! are in the events that `docs/events.md` names, and in `status`), a host's link in `status --show-secrets`, a person's token
//! in the answer to that person's own entry. The store's files hold rooms' passwords and hosts' links, for their owner alone.

use crate::canaries::{Canaries, canary};
use crate::elsewhere;
use crate::support::{Place, from_now, http};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use convened::meeting_service::{ADMIN_SECRET_HEADER, MeetingService};
use secrecy::ExposeSecret as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A meeting service elsewhere, behind a door that asks for both secrets of the account, and is out of order at times.
#[derive(Clone)]
struct Elsewhere {
    service: MeetingService,
    basic: String,
    admin_secret: String,
    /// What it answers instead of doing its work; 200: nothing.
    mood: Arc<AtomicU16>,
}

async fn door(
    State(door): State<Elsewhere>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    let said = |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let knows = said("authorization") == door.basic.as_bytes()
        && said(ADMIN_SECRET_HEADER) == door.admin_secret.as_bytes();
    match StatusCode::from_u16(door.mood.load(Ordering::Relaxed)) {
        Ok(StatusCode::OK) if knows => {}
        Ok(StatusCode::OK) => return StatusCode::UNAUTHORIZED.into_response(),
        Ok(StatusCode::UNAUTHORIZED) => {
            let body = "{\"code\":401,\"msg\":\"who are you?\"}";
            return (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], body)
                .into_response();
        }
        Ok(status) => return status.into_response(),
        Err(_) => return StatusCode::IM_A_TEAPOT.into_response(),
    }
    let secret = HeaderValue::from_str(door.service.admin_secret().expose_secret()).unwrap();
    headers.insert(ADMIN_SECRET_HEADER, secret);
    elsewhere::pass_on(&door.service, method, uri, headers, body).await
}

/// Everything that the program has said, by where.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, place: impl Into<String>, what: impl Into<Vec<u8>>) {
        self.0.push((place.into(), what.into()));
    }

    /// What a command writes on either stream.
    fn command(&mut self, place: &Place, arguments: &[&str]) {
        let output = place.run(arguments);
        self.add(arguments.join(" "), [output.stdout, output.stderr].concat());
    }

    fn control_socket(&mut self, place: &Place, question: &str) {
        let mut socket = UnixStream::connect(place.state().join("control.sock")).unwrap();
        socket.write_all(question.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A question that is none is answered by hanging up, perhaps.
        let _ = socket.read_to_end(&mut answer);
        self.add(format!("the control socket, asked {question}"), answer);
    }

    fn process(&mut self, pid: u32) {
        for file in ["cmdline", "environ"] {
            self.add(format!("/proc/PID/{file}"), std::fs::read(format!("/proc/{pid}/{file}")).unwrap());
        }
    }
}

#[test]
fn no_secret_is_in_anything_that_the_program_says() {
    let [customer_secret, admin_secret, password, far_password] = std::array::from_fn(|_| canary());
    let mut canaries = Canaries::default();
    canaries.add("customer_secret", &customer_secret);
    canaries.add("admin_secret", &admin_secret);
    canaries.add("a room's password", &password);
    canaries.add("a room's password elsewhere", &far_password);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mood = Arc::new(AtomicU16::new(401));
    let address = runtime.block_on(async {
        let (service, listener, address) = elsewhere::open(folder.path()).await;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("an-id:{customer_secret}"));
        let (basic, admin_secret) = (format!("Basic {basic}"), admin_secret.clone());
        let elsewhere = Elsewhere { service, basic, admin_secret, mood: mood.clone() };
        let router = axum::Router::new().fallback(door).with_state(elsewhere);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    });

    let far_ahead = from_now(20 * 86_400);
    let schedule = |more: &str| {
        format!(
            "horizon = \"30d\"\n[providers.house]\nkind = \"meeting-service\"\n\
             [providers.elsewhere]\nkind = \"meeting-service\"\nbase_url = \"http://{address}\"\n\
             customer_id = \"an-id\"\ncustomer_secret = {{ file = \"customer\" }}\n\
             admin_secret = {{ credential = \"admin\" }}\n{more}\
             [[meetings]]\nid = \"near\"\nprovider = \"house\"\nstart = {far_ahead}\nduration = \"1h\"\n\
             create_ahead = \"30d\"\nsettings = {{ password = '{password}' }}\n\
             [[meetings]]\nid = \"far\"\nprovider = \"elsewhere\"\nstart = {far_ahead}\nduration = \"1h\"\n\
             create_ahead = \"30d\"\nsettings = {{ password = '{far_password}' }}\n\
             [[meetings]]\nid = \"soon\"\nprovider = \"house\"\nstart = {}\nduration = \"8s\"\nclose_delay = \"1s\"\n\
             extend = {{ step = \"2s\", max = \"2s\" }}\nsettings = {{ password = '{password}', join_before_host = true }}\n",
            from_now(1)
        )
    };
    let mut place = Place::new("");
    let secrets = place.folder.path().to_owned();
    std::fs::write(secrets.join("customer"), format!("{customer_secret}\n")).unwrap();
    std::fs::create_dir(secrets.join("credentials")).unwrap();
    std::fs::write(secrets.join("credentials/admin"), &admin_secret).unwrap();
    let notify_path = secrets.join("notify");
    let notified = UnixDatagram::bind(&notify_path).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    // Read all the time, as the service manager does: whoever tells it something waits until there is place.
    std::thread::spawn(move || {
        let mut message = [0; 4096];
        while let Ok(length) = notified.recv(&mut message) {
            let _ = tell.send(message[..length].to_vec());
        }
    });
    place.environment = vec![
        ("CREDENTIALS_DIRECTORY", secrets.join("credentials").into()),
        ("NOTIFY_SOCKET", notify_path.into()),
        ("RUST_LOG", "trace".into()),
        ("RUST_BACKTRACE", "full".into()),
    ];
    place.write(&schedule(""));
    let mut said = Said::default();

    // The account is not accepted, the service is out of order; each time the daemon crashes.
    for (status, signal) in [(401, "ABRT"), (500, "QUIT"), (302, "KILL")] {
        mood.store(status, Ordering::Relaxed);
        let mut daemon = place.start_ready();
        daemon.wait_for("call.failed", "\"far\"");
        said.command(&place, &["status", "--all"]);
        daemon.signal(signal);
        said.add(format!("the log until SIG{signal}"), daemon.end().1);
    }

    // It works. A person is in the meeting that is on, others try.
    mood.store(200, Ordering::Relaxed);
    let mut daemon = place.start_ready();
    // The port is another one after each start, and the links are still those of the first.
    let listening = daemon.wait_for("daemon.listening", "");
    let base = listening["public_url"].as_str().unwrap();
    daemon.wait_for("room.created", "\"far\"");
    let store = rusqlite::Connection::open(place.state().join(MeetingService::FILE_NAME)).unwrap();
    let own_secret: String =
        store.query_row("SELECT value FROM meta WHERE key = 'admin_secret'", [], |row| row.get(0)).unwrap();
    drop(store);
    canaries.add("the built-in service's admin secret", &own_secret);
    for line in place.json(&["status", "--all", "--json", "--show-secrets"]) {
        let name = line["occurrence"].as_str().unwrap();
        let link = line["host_url"].as_str().unwrap_or_else(|| panic!("{name} has a host's link: {line}"));
        let (_, key) = link.split_once("#host=").unwrap();
        canaries.add(&format!("the host's key of {name}"), key);
    }
    let soon = place.status("soon");
    let (_, room) = soon["join_url"].as_str().unwrap().split_once("/m/").unwrap();
    let join_url = format!("{base}/m/{room}");
    let entry = format!("{base}/scenario/meeting/apps/convened/v1/room/entry");
    let enter = |password: &str| {
        let body = serde_json::json!({
            "roomUuid": soon["room_id"], "userUuid": "ada", "userName": "Ada", "password": password,
        });
        http("POST", &entry, &body.to_string())
    };
    let (status, answer) = enter(&password);
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    canaries.add("a person's token", answer["data"]["userToken"].as_str().unwrap());
    said.add("a refused entry", enter("wrong").1);
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
        "/scenario/meeting/apps/convened/v1/ext/rooms/x",
        "/scenario/meeting/apps/convened/v1/room/x/simple",
    ] {
        said.add(path, http("GET", &format!("{base}{path}"), "").1);
    }
    said.add("the page", http("GET", &join_url, "").1);
    said.add("the page's state", http("GET", &format!("{join_url}/state"), "").1);

    said.process(daemon.pid());
    said.command(&place, &["run", "--log", "pretty", "-vvv"]);
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["status"],
        &["status", "--all", "--json"],
        &["reload"],
    ] {
        said.command(&place, arguments);
    }
    for question in
        ["{\"command\":\"ping\"}\n", "{\"command\":\"reload\",\"accept\":true}\n", "nonsense\n", "\n"]
    {
        said.control_socket(&place, question);
    }

    // Secrets where they do not belong: in the file itself, in a link, under a name that is none.
    let misplaced = canary();
    canaries.add("a secret written into the schedule", &misplaced);
    let by_word = misplaced.replace(['/', '+', '%', '"'], "");
    canaries.add("a secret written into the schedule, as a word", &by_word);
    for wrong in [
        format!(
            "[providers.wrong]\nkind = \"meeting-service\"\nbase_url = \"https://m.example\"\nadmin_secret = '{misplaced}'\n"
        ),
        format!(
            "[providers.wrong]\nkind = \"meeting-service\"\nbase_url = \"https://me:{by_word}@m.example\"\n\
                 admin_secret = {{ file = \"customer\" }}\n"
        ),
        format!(
            "[providers.wrong]\nkind = \"meeting-service\"\nbase_url = \"https://m.example\"\n\
                 admin_secret = {{ value = '{misplaced}' }}\n"
        ),
        format!(
            "[providers.wrong]\nkind = \"meeting-service\"\nbase_url = \"https://m.example\"\nadmin_secrt = '{misplaced}'\n"
        ),
        format!(
            "[[meetings]]\nid = \"x\"\nprovider = \"house\"\nstart = 2030-01-01T09:00:00\nduration = \"1h\"\n\
                 settings = {{ password = '{misplaced}', passwort = '{misplaced}' }}\n"
        ),
    ] {
        place.write(&schedule(&wrong));
        said.command(&place, &["check"]);
        said.command(&place, &["check", "--json"]);
        said.command(&place, &["reload"]);
        said.command(&place, &["status"]);
        said.control_socket(&place, "{\"command\":\"reload\",\"accept\":false}\n");
    }
    place.write(&schedule(""));
    said.command(&place, &["reload"]);
    said.add("/readyz", http("GET", &format!("{base}/readyz"), "").1);

    daemon.wait_for("meeting.ended", "\"soon\"");
    daemon.wait_for("room.closed", "\"soon\"");
    // The key is gone: what the file says now is not accepted.
    std::fs::write(secrets.join("customer"), b"\xff\xfe not a text").unwrap();
    said.command(&place, &["check"]);
    said.command(&place, &["reload"]);
    std::fs::write(secrets.join("customer"), &customer_secret).unwrap();
    daemon.signal("TERM");
    let (status, log) = daemon.end();
    assert!(status.success(), "{log}");
    said.add("the log as JSON", log);
    let all: Vec<u8> = said.0.iter().flat_map(|(_, what)| what.iter().copied()).collect();
    let all = String::from_utf8_lossy(&all);
    for event in
        ["room.created", "meeting.live", "room.closed", "schedule.invalid", "call.sent", "daemon.stopped"]
    {
        assert!(all.contains(event), "{event} is part of the story");
    }
    // Once more as text.
    let mut daemon = place.start_with(&["run", "--log", "pretty", "-vvv"]);
    daemon.wait_for_text("daemon.ready");
    said.process(daemon.pid());
    daemon.signal("TERM");
    said.add("the log as text", daemon.end().1);
    told.try_iter().for_each(|message| said.add("the service manager", message));
    assert!(said.0.iter().any(|(place, _)| place == "the service manager"));

    let leaks: Vec<String> = said
        .0
        .iter()
        .flat_map(|(place, what)| {
            canaries.found_in(what).into_iter().map(move |found| format!("{found}: {place}"))
        })
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    // They are where they should be: the search is one for what there is.
    let kept =
        ["convened.sqlite", "convened.sqlite-wal", MeetingService::FILE_NAME, "meeting-service.sqlite-wal"];
    let files = kept.map(|name| place.state().join(name));
    let held: Vec<u8> = files.iter().filter_map(|file| std::fs::read(file).ok()).flatten().collect();
    let found = canaries.found_in(&held).join(", ");
    for name in [
        "a room's password, as it is",
        "the host's key of near, as it is",
        "service's admin secret, as it is",
    ] {
        assert!(found.contains(name), "{name} is not in {found}");
    }
    for file in files.iter().filter(|file| file.exists()) {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is for its owner alone", file.display());
    }
    assert_eq!(place.status("near")["host_url"], "***", "that there is a host's link is shown");
}
