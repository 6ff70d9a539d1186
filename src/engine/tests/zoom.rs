//! The engine and the driver for Zoom against the emulator, over crashes and lost answers at every request.

use super::world::{Shared, World, at, extending, meeting};
use crate::auth::{AccessToken, TokenError, TokenSource};
use crate::config::Meeting;
use crate::lifecycle::State;
use crate::providers::DailyQuota;
use crate::providers::zoom::emulator::http::{Request, Response};
use crate::providers::zoom::emulator::{Fault, FixedTokens, Zoom};
use crate::providers::zoom::webhook::{Event, EventKind};
use crate::providers::zoom::{AfterClose, Driver, Presence, Settings};
use crate::seams::BoxFuture;
use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;

/// Hands requests to the emulator, whose clock is the world's.
struct Wire {
    zoom: Zoom,
    shared: Shared,
}

impl Transport for Wire {
    fn send(
        &self,
        request: http::Request<Bytes>,
        _: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        Box::pin(async move {
            self.zoom.lock().now = self.shared.lock().now();
            let headers = request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            let target = request.uri().path_and_query().unwrap().as_str();
            let request = Request::of(request.method().as_str(), target, headers, request.body().to_vec());
            match self.zoom.serve(&request) {
                None => Err(TransportError::AnswerLost("connection reset".to_owned())),
                Some(None) => std::future::pending().await,
                Some(Some(Response { status, headers, body })) => {
                    let mut answer = http::Response::new(Bytes::from(body));
                    *answer.status_mut() = status.try_into().unwrap();
                    for (name, value) in headers {
                        let name: http::HeaderName = name.parse().unwrap();
                        answer.headers_mut().insert(name, value.parse().unwrap());
                    }
                    Ok(answer)
                }
            }
        })
    }
}

struct OneToken;

impl TokenSource for OneToken {
    fn access_token(&self) -> BoxFuture<'_, Result<AccessToken, TokenError>> {
        Box::pin(std::future::ready(Ok(AccessToken { secret: "token".to_owned().into(), generation: 1 })))
    }

    fn replace<'a>(&'a self, _: &'a AccessToken) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        self.access_token()
    }
}

/// A world whose provider is Zoom.
struct Stage {
    world: World,
    zoom: Zoom,
    presence: Arc<Presence>,
    after_close: AfterClose,
}

impl Stage {
    fn build(after_close: AfterClose, meetings: &[Meeting]) -> Self {
        let world = World::new();
        let zoom = Zoom::unplugged(Arc::new(FixedTokens::with("token", false)), world.shared.lock().now());
        let mut stage = Self { world, zoom, presence: Arc::default(), after_close };
        stage.begin(meetings);
        stage
    }

    /// A driver of a new process, and the schedule in force.
    fn begin(&mut self, meetings: &[Meeting]) {
        let settings = Settings {
            base_url: self.zoom.base_url.clone(),
            user: "me".to_owned(),
            quota: DailyQuota {
                limit: 100,
                kept_for_today: 20,
                close_costs: u32::from(self.after_close == AfterClose::Keep),
            },
            after_close: self.after_close,
            timeout: Duration::from_secs(30),
        };
        let wire = Arc::new(Wire { zoom: self.zoom.clone(), shared: self.world.shared.clone() });
        let clock = Arc::new(self.world.shared.clone());
        self.world.provider =
            Some(Arc::new(Driver::new(settings, self.presence.clone(), Arc::new(OneToken), wire, clock)));
        self.world.apply(meetings.to_vec()).unwrap();
    }

    /// All meetings that there ever were.
    fn made(&self) -> usize {
        let state = self.zoom.lock();
        state.meetings.len() + state.deleted.len()
    }

    /// Nobody can get in any more without a host who lets them.
    fn is_all_closed(&self) -> bool {
        self.zoom.lock().meetings.values().all(|meeting| meeting.agenda().starts_with("convened-closed:"))
    }
}

fn meetings() -> [Meeting; 1] {
    let mut meeting = meeting("m");
    meeting.settings.join_before_host = Some(false);
    [meeting]
}

#[tokio::test]
async fn a_meeting_from_planned_to_closed() {
    for after_close in [AfterClose::Delete, AfterClose::Keep] {
        let mut stage = Stage::build(after_close, &meetings());
        stage.world.run_until(at("08:46:00")).await;
        assert_eq!(stage.world.state("m"), State::Ready);
        let id = stage.world.record("m").occurrence.room.unwrap().id;
        stage.world.run_until(at("09:05:00")).await;
        stage.zoom.enter(&id, 2);
        stage.world.run_until(at("09:34:59")).await;
        assert_eq!(stage.zoom.lock().meetings[&id.parse().unwrap()].people, 2);
        stage.world.run_until(at("09:36:00")).await;
        assert_eq!(stage.world.state("m"), State::Closed);
        assert!(stage.is_all_closed() && stage.made() == 1);
        let state = stage.zoom.lock();
        assert_eq!(state.meetings.len(), usize::from(after_close == AfterClose::Keep));
        let writes: u32 = state.writes.values().sum();
        drop(state);
        let counted = stage.world.engine.store.quotas().unwrap()[0].used;
        assert_eq!(counted, writes, "what we count is what Zoom counts");
    }
}

/// Lets the day pass; the process dies while the request of number `n` is under way. Returns whether there was one.
async fn day_with_a_crash(stage: &mut Stage, n: usize, is_done: bool) -> bool {
    stage.zoom.lock().hangs_at = Some((n, is_done));
    let mut is_crashed = false;
    while stage.world.shared.lock().now() < at("09:45:00") {
        let until = stage.world.shared.lock().now() + TimeDelta::seconds(30);
        stage.world.run_until(until).await;
        if !is_crashed && stage.zoom.lock().requests.len() > n {
            is_crashed = true;
            stage.world.crash();
            stage.begin(&meetings());
        }
        let live = stage.world.shared.lock().now() > at("09:10:00")
            && stage.world.shared.lock().now() < at("09:30:00");
        let mut state = stage.zoom.lock();
        for meeting in state.meetings.values_mut().filter(|meeting| live && meeting.people == 0) {
            meeting.people = 1;
        }
    }
    is_crashed
}

#[tokio::test]
async fn a_crash_at_any_request_neither_doubles_nor_forgets_a_meeting() {
    let (mut crashes, mut requests) = (0, 0);
    for (after_close, list_lag) in [(AfterClose::Delete, 8), (AfterClose::Keep, 0)] {
        for is_done in [true, false] {
            for n in 0..60 {
                let mut stage = Stage::build(after_close, &meetings());
                stage.zoom.lock().manners.list_lag = TimeDelta::seconds(list_lag);
                if !day_with_a_crash(&mut stage, n, is_done).await {
                    break;
                }
                crashes += 1;
                requests = requests.max(stage.zoom.lock().requests.len());
                let what = format!("{after_close:?}, lag {list_lag}, request {n}, done: {is_done}");
                assert_eq!(stage.world.state("m"), State::Closed, "{what}");
                assert_eq!(stage.made(), 1, "{what}: {:?}", stage.zoom.lock().requests);
                assert!(stage.is_all_closed(), "{what}");
            }
        }
    }
    assert!(crashes > 30 && requests < 60, "{crashes} {requests}");
}

#[tokio::test]
async fn an_answer_lost_at_any_request_neither_doubles_nor_forgets_a_meeting() {
    let faults: [fn() -> Fault; 4] = [
        || Fault::LosesReply,
        || Fault::Breaks,
        || Fault::DoesAndSays(Response::json(502, &serde_json::json!({}))),
        || Fault::Says(Response::json(503, &serde_json::json!({}))),
    ];
    for after_close in [AfterClose::Delete, AfterClose::Keep] {
        for operation in ["create", "list", "get", "update", "end", "delete"] {
            for (which, fault) in faults.iter().enumerate() {
                let mut stage = Stage::build(after_close, &meetings());
                stage.zoom.next(operation, fault());
                // A create that fails, so that a list follows.
                if operation == "list" {
                    stage.zoom.next("create", Fault::LosesReply);
                }
                stage.world.run_until(at("09:45:00")).await;
                let what = format!("{after_close:?} {operation} {which}");
                assert_eq!(stage.world.state("m"), State::Closed, "{what}");
                assert_eq!(stage.made(), 1, "{what}");
                assert!(stage.is_all_closed(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_create_that_is_carried_out_long_after_it_was_given_up_leaves_no_stray() {
    let mut stage = Stage::build(AfterClose::Delete, &meetings());
    stage.zoom.next("create", Fault::IsLate);
    stage.world.run_until(at("08:45:14")).await;
    assert_eq!(stage.world.state("m"), State::Ready, "looked for, not found, made again");
    stage.zoom.carry_out_late();
    assert_eq!(stage.zoom.lock().meetings.len(), 2);
    stage.world.run_until(at("08:50:00")).await;
    assert_eq!(stage.zoom.lock().meetings.len(), 1, "the first look takes it away");
    let kept = stage.world.record("m").occurrence.room.unwrap().id;
    assert!(stage.zoom.lock().meetings.contains_key(&kept.parse().unwrap()));
}

#[tokio::test]
async fn people_who_may_be_in_before_the_host_are_not_thrown_out() {
    let mut meeting = extending(meeting("m"));
    meeting.settings.join_before_host = Some(true);
    let mut stage = Stage::build(AfterClose::Delete, &[meeting]);
    stage.world.run_until(at("09:40:00")).await;
    assert_eq!(stage.zoom.lock().meetings.len(), 1, "waiting is not empty");
    stage.world.run_until(at("10:10:00")).await;
    assert_eq!(stage.world.state("m"), State::Closed, "extended as far as the rule goes");
}

#[tokio::test]
async fn a_meeting_that_does_not_end_is_ended_again_until_it_is_over() {
    let mut stage = Stage::build(AfterClose::Delete, &meetings());
    stage.world.run_until(at("09:10:00")).await;
    let id = stage.world.record("m").occurrence.room.unwrap().id;
    stage.zoom.enter(&id, 2);
    stage.zoom.lock().manners.end_does_nothing = true;
    stage.world.run_until(at("09:50:00")).await;
    assert_eq!(stage.world.state("m"), State::Closing);
    assert!(stage.world.events().contains(&"room.not_closed".to_owned()));
    stage.zoom.lock().manners.end_does_nothing = false;
    stage.world.run_until(at("09:55:00")).await;
    assert_eq!((stage.world.state("m"), stage.is_all_closed()), (State::Closed, true));
}

#[tokio::test]
async fn a_meeting_that_was_deleted_at_zoom_is_made_again_after_two_looks_only() {
    let mut stage = Stage::build(AfterClose::Delete, &meetings());
    stage.world.run_until(at("08:50:00")).await;
    let state = |stage: &mut Stage| stage.world.state("m");
    // One wrong word is not believed.
    let gone =
        Response::json(404, &serde_json::json!({ "code": 3001, "message": "Meeting does not exist." }));
    stage.zoom.next("get", Fault::Says(gone));
    stage.world.run_until(at("09:02:00")).await;
    assert_eq!((state(&mut stage), stage.made()), (State::Live, 1));
    stage.zoom.lock().meetings.clear();
    stage.world.run_until(at("09:12:00")).await;
    assert_eq!((state(&mut stage), stage.zoom.lock().meetings.len()), (State::Live, 1));
    assert!(stage.world.events().contains(&"room.gone".to_owned()));
}

fn heard(stage: &Stage, kind: EventKind, at_ms: i64, person: Option<&str>) -> String {
    let record = stage.zoom.lock().meetings.keys().next().unwrap().to_string();
    let person = person.map(str::to_owned);
    stage.presence.note(&Event { kind, at_ms, meeting: record.clone(), person });
    record
}

#[tokio::test]
async fn what_is_heard_has_the_room_looked_at_and_is_believed_only_with_that() {
    let mut meeting = extending(meeting("m"));
    meeting.settings.join_before_host = Some(true);
    let mut stage = Stage::build(AfterClose::Delete, &[meeting]);
    stage.world.run_until(at("09:07:00")).await;
    let looks =
        |stage: &Stage| stage.zoom.lock().requests.iter().filter(|line| line.starts_with("GET")).count();
    let before = looks(&stage);
    // A hint of people that nobody else has seen.
    let id = heard(&stage, EventKind::Joined, 10, Some("a"));
    stage.world.engine.hint("house", &id);
    stage.world.run_until(at("09:07:01")).await;
    assert_eq!(looks(&stage), before + 1, "looked at, at once");
    assert_eq!(stage.world.record("m").occurrence.occupancy, None, "and not believed by itself");
    // Confirmed.
    stage.zoom.enter(&id, 2);
    heard(&stage, EventKind::Joined, 11, Some("b"));
    stage.world.engine.hint("house", &id);
    stage.world.run_until(at("09:07:20")).await;
    assert_eq!(stage.world.record("m").occurrence.occupancy, Some(2));
    // Over, by both: the room closes at its time, though guests could come before the host.
    stage.zoom.lock().meetings.values_mut().for_each(|meeting| meeting.people = 0);
    heard(&stage, EventKind::Ended, 20, None);
    stage.world.engine.hint("house", &id);
    stage.world.run_until(at("09:36:00")).await;
    assert_eq!(stage.world.state("m"), State::Closed);
}

#[tokio::test]
async fn a_hint_about_nothing_or_about_what_is_over_changes_nothing() {
    let mut stage = Stage::build(AfterClose::Delete, &meetings());
    stage.world.engine.hint("house", "1");
    stage.world.engine.hint("other", "91234567890");
    stage.world.run_until(at("09:40:00")).await;
    let id = stage.world.record("m").occurrence.room.unwrap().id;
    let before = stage.zoom.lock().requests.len();
    stage.world.engine.hint("house", &id);
    stage.world.run_until(at("09:50:00")).await;
    assert_eq!((stage.world.state("m"), stage.zoom.lock().requests.len()), (State::Closed, before));
}

#[tokio::test]
async fn hints_without_end_cost_a_look_in_ten_seconds() {
    let mut stage = Stage::build(AfterClose::Delete, &meetings());
    stage.world.run_until(at("09:05:30")).await;
    let id = stage.world.record("m").occurrence.room.unwrap().id;
    let before = stage.zoom.lock().requests.len();
    for second in 0..60 {
        stage.world.engine.hint("house", &id);
        stage.world.run_until(at("09:05:30") + TimeDelta::seconds(second)).await;
    }
    let looks = stage.zoom.lock().requests.len() - before;
    assert!((6..=8).contains(&looks), "{looks}");
}
