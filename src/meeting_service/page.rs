//! The page of a room: what it is and when, who is in, a way in and out. No build step, nothing from elsewhere.
//!
//! The server writes all that is known into the page, so that it informs without scripts too; `page/page.js` brings it to
//! the viewer's time zone and keeps it fresh. The page's own calls (`/m/{room}/state`, `enter`, `leave`) take and give
//! the same envelope as the API.

use super::api::{Answer, Body, object, token};
use super::core::{Core, Room};
use super::envelope::{ApiError, Envelope};
use super::fields;
use super::people::{self, Door};
use super::{MeetingService, PREFIX};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Scripts and styles from this server only, no inline ones, no frames around the page, no forms that leave it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'none'";

const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// Everything below `/m`.
pub(super) fn router(service: MeetingService) -> Router {
    let pages = Router::new()
        .route("/static/page.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/static/page.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/{room}", get(show))
        .route("/{room}/state", get(state))
        .route("/{room}/enter", post(enter))
        .route("/{room}/leave", post(leave))
        .fallback(async || no_such_page())
        .with_state(service);
    Router::new().nest("/m", pages)
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    // The page asks for it with the program's version, so that an upgrade is seen at once.
    let headers =
        [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=86400"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, content).into_response()
}

fn html(status: StatusCode, content: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The link is the way in: it goes to no other site.
        (REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, content).into_response()
}

async fn show(State(service): State<MeetingService>, Path(id): Path<String>) -> Response {
    let app = service.settings().app_id.clone();
    match service.call(move |core| known(core, &id).and_then(|room| snapshot(core, &room, None))).await {
        Ok(snapshot) => html(StatusCode::OK, document(&app, &snapshot)),
        Err(error) if error.status == StatusCode::NOT_FOUND => no_such_page(),
        Err(error) => html(error.status, notice("Something went wrong", &error.message)),
    }
}

fn no_such_page() -> Response {
    let text = "Check the link. Rooms disappear some days after their meeting.";
    html(StatusCode::NOT_FOUND, notice("There is no such room", text))
}

async fn state(State(service): State<MeetingService>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let token = token(&headers);
    service
        .call(move |core| {
            let room = known(core, &id)?;
            snapshot(core, &room, token.as_deref())
        })
        .await
        .map(Envelope)
}

async fn enter(State(service): State<MeetingService>, Path(id): Path<String>, body: Body) -> Answer {
    let body = object(body)?;
    service
        .call(move |core| {
            let entered = people::enter(core, &Door::Id(&id), &body)?;
            let room = known(core, &id)?;
            let snapshot = snapshot(core, &room, Some(&entered.token))?;
            Ok(Envelope(json!({ "userId": entered.user_id, "userToken": entered.token, "room": snapshot })))
        })
        .await
}

/// Sent by the page as it goes away, when it can set no header: the token stands in the body.
async fn leave(State(service): State<MeetingService>, Path(id): Path<String>, body: Body) -> Answer {
    let body = object(body)?;
    service
        .call(move |core| {
            let (room, user) = core.identify(&id, fields::text(&body, "token")?)?;
            people::leave(core, &room, &user).map(|()| Envelope(Value::Bool(true)))
        })
        .await
}

fn known(core: &Core, id: &str) -> Result<Room, ApiError> {
    core.room_by_id(id)?.ok_or_else(ApiError::no_such_room)
}

/// The room as the page shows it. With the token of somebody who is in, this is a sign of life.
fn snapshot(core: &mut Core, room: &Room, token: Option<&str>) -> Result<Value, ApiError> {
    let is_closed = core.is_closed(room);
    let me = token.and_then(|token| core.identify(&room.id, Some(token)).ok()).map(|(_, user)| user);
    let is_in = me.as_ref().is_some_and(|me| me.left_at_ms.is_none()) && !is_closed;
    if let Some(me) = me.as_ref().filter(|_| is_in) {
        core.note_alive(me);
    }
    let now = core.now_ms();
    let state = match () {
        () if is_closed => "closed",
        () if room.opens_at_ms.is_some_and(|ms| now < ms) => "early",
        () if room.ends_at_ms.is_some_and(|ms| ms <= now) => "over",
        () => "open",
    };
    // A password keeps names from those who only have the link.
    let may_see = room.password.is_none() || is_in;
    let people =
        if may_see { core.present_users(room)?.iter().map(people::member).collect() } else { vec![] };
    Ok(json!({
        "roomId": room.id,
        "title": room.name,
        "state": state,
        "now": now,
        "opensAt": room.opens_at_ms,
        "startsAt": room.starts_at_ms,
        "endsAt": room.ends_at_ms,
        "closesAt": room.closes_at_ms,
        "hasPassword": room.password.is_some(),
        "occupancy": core.occupancy(room),
        // For those inside: whoever comes later reads the times.
        "notice": if is_in { super::rooms::notice(room) } else { Value::Null },
        "people": if may_see { json!(people) } else { Value::Null },
        "you": me.map(|me| json!({
            "userId": me.id,
            "role": me.role,
            "isIn": is_in,
            "wasRemoved": me.was_kicked,
        })),
    }))
}

/// Text that cannot leave the place in the HTML where it stands, attribute values in double quotes included.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// An instant in UTC, for the script to turn into the viewer's time.
fn time(label: &str, id: &str, ms: Option<i64>) -> String {
    let is_hidden = if ms.is_none() { " hidden" } else { "" };
    let instant = fields::rfc3339(ms.unwrap_or_default());
    let text = instant.replace('T', " ").replace('Z', " UTC");
    format!(
        "<div{is_hidden}><dt>{label}</dt><dd><time id=\"{id}\" datetime=\"{instant}\">{text}</time></dd></div>\n"
    )
}

/// The sentence that stands for a state. The script has the same ones.
fn sentence(state: &str) -> &'static str {
    match state {
        "early" => "This room is not open yet.",
        "open" => "This room is open.",
        "over" => "The planned time is over; the room is still open.",
        _ => "This room is closed.",
    }
}

fn document(app: &str, snapshot: &Value) -> String {
    let text = |key: &str| snapshot[key].as_str().unwrap_or_default();
    let (title, id, state) = (escape(text("title")), escape(text("roomId")), text("state"));
    let mut people = String::new();
    for name in
        snapshot["people"].as_array().into_iter().flatten().filter_map(|person| person["userName"].as_str())
    {
        // Writing to a text cannot fail.
        let _ = writeln!(people, "<li><span class=\"name\">{}</span></li>", escape(name));
    }
    let times = [("Opens", "opensAt"), ("Starts", "startsAt"), ("Ends", "endsAt"), ("Closes", "closesAt")]
        .map(|(label, key)| time(label, key, snapshot[key].as_i64()))
        .concat();
    let body = format!(
        r#"<main data-room="{id}" data-api="..{PREFIX}/apps/{app}/v1" data-state="{state}">
<h1 id="title">{title}</h1>
<p id="state" class="state">{sentence}</p>
<p id="news" role="status" aria-live="polite"></p>
<dl>
{times}</dl>
<noscript><p>To enter this room, let this page run scripts.</p></noscript>
<form id="door" hidden autocomplete="on">
<label for="name">Your name</label>
<input id="name" name="name" required maxlength="{max_name}" autocomplete="name">
<div id="lock" hidden>
<label for="password">The room's password</label>
<input id="password" name="password" type="password" maxlength="{max_password}" autocomplete="off">
</div>
<p id="problem" role="alert"></p>
<button type="submit">Enter</button>
</form>
<div id="inside" hidden>
<button id="leave" type="button">Leave</button>
<button id="end" type="button" class="danger" hidden>End the meeting for everyone</button>
</div>
<section aria-labelledby="who">
<h2 id="who">In the room: <span id="occupancy">{occupancy}</span></h2>
<ul id="people">
{people}</ul>
</section>
</main>
<script src="static/page.js?v={version}"></script>"#,
        app = escape(app),
        sentence = sentence(state),
        occupancy = snapshot["occupancy"],
        max_name = fields::MAX_USER_NAME,
        max_password = fields::MAX_PASSWORD,
        version = env!("CARGO_PKG_VERSION"),
    );
    shell(&title, &body)
}

fn notice(title: &str, text: &str) -> String {
    let title = escape(title);
    shell(&title, &format!("<main>\n<h1>{title}</h1>\n<p>{}</p>\n</main>", escape(text)))
}

/// A whole document around `body`. Both parameters are HTML.
fn shell(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"static/page.css?v={}\">\n</head>\n<body>\n{body}\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_the_html() {
        assert_eq!(escape(r#"<b a="1" c='2'>&"#), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
    }

    #[test]
    fn the_script_says_the_same_about_each_state() {
        for state in ["early", "open", "over", "closed"] {
            assert!(SCRIPT.contains(&format!("{state}: \"{}\"", sentence(state))), "{state}");
        }
    }
}
