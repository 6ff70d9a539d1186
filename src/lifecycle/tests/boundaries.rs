//! To the second and to the letter: what the stories pass by at a distance. Each table is a rule of the life, read off
//! `docs` and doc comments, not off the code.

use super::*;

fn room() -> Room {
    Room { id: "r0".into(), join_url: "https://x/j".into(), host_url: Some("https://x/h".into()) }
}

/// An occurrence in `state`, with what such a one has.
fn in_state(state: State) -> Occurrence {
    let mut occurrence = Story::new().occurrence;
    occurrence.state = state;
    if state.has_open_room() || state == State::Closing {
        occurrence.room = Some(room());
        occurrence.look_at = Some(at("09:33:00"));
    }
    occurrence.verdict = (state == State::Closing).then_some(Verdict::Closed);
    occurrence
}

fn due(occurrence: &Occurrence, now: Now) -> Transition {
    step(occurrence, Event::Due, &Story::new().policy, now)
}

fn failure(kind: FailureKind, retry_at: &str) -> Failure {
    Failure { kind, message: "why".into(), retry_at: at(retry_at) }
}

#[test]
fn every_change_by_time_comes_at_its_second_and_none_before() {
    for (state, before, then, after) in [
        (State::Planned, "08:44:59", "08:45:00", State::Creating),
        (State::Ready, "08:59:59", "09:00:00", State::Live),
        (State::Live, "09:29:59", "09:30:00", State::Ended),
        (State::Ended, "09:34:59", "09:35:00", State::Closing),
        (State::Creating, "09:29:59", "09:30:00", State::Failed),
    ] {
        let occurrence = in_state(state);
        let step = |time| step(&occurrence, Event::Tick, &Story::new().policy, Now::agreed(at(time)));
        assert_eq!(step(before).next.state, state, "{state} at {before}");
        assert!(step(before).changes.is_empty());
        assert_eq!(step(then).next.state, after, "{state} at {then}");
        assert_eq!(step(before).wake_at.map(|at| at.min(super::at(then))), step(before).wake_at, "{state}");
    }
}

#[test]
fn a_planned_occurrence_wakes_for_its_room_and_one_that_is_over_never() {
    let wake_at = |state| due(&in_state(state), Now::agreed(at("08:00:00"))).wake_at;
    assert_eq!(wake_at(State::Planned), Some(at("08:45:00")));
    for state in [State::Closed, State::Failed, State::Missed, State::Cancelled] {
        assert_eq!(wake_at(state), None, "{state}");
    }
}

#[test]
fn late_is_more_than_a_minute_after_the_time() {
    for (time, reason) in [("08:46:00", Reason::LeadReached), ("08:46:01", Reason::Late)] {
        assert_eq!(due(&in_state(State::Planned), Now::agreed(at(time))).changes[0].reason, reason, "{time}");
    }
}

#[test]
fn what_cannot_be_undone_waits_for_the_settled_clock_and_what_opens_does_not() {
    // The wall clock is two hours ahead of the boot clock.
    let ahead = |settled: &str| Now { wall: at(settled) + minutes(120), settled: at(settled) };
    for (state, settled, after) in [
        (State::Planned, "07:00:00", State::Creating),
        (State::Ready, "07:00:00", State::Live),
        (State::Live, "09:29:59", State::Live),
        (State::Live, "09:30:00", State::Ended),
        (State::Ended, "09:34:59", State::Ended),
        (State::Ended, "09:35:00", State::Closing),
        (State::Creating, "09:29:59", State::Creating),
        (State::Creating, "09:30:00", State::Failed),
    ] {
        let transition = step(&in_state(state), Event::Tick, &Story::new().policy, ahead(settled));
        assert_eq!(transition.next.state, after, "{state} when the boot clock says {settled}");
    }
    // It is woken by the wall clock's time of it.
    assert_eq!(
        step(&in_state(State::Live), Event::Tick, &Story::new().policy, ahead("09:20:00")).wake_at,
        Some(at("11:20:00").min(at("09:33:00")))
    );
    let mut live = in_state(State::Live);
    live.look_at = None;
    let transition = step(&live, Event::Tick, &Story::new().policy, ahead("09:20:00"));
    assert_eq!(transition.wake_at, Some(at("11:30:00")));
}

#[test]
fn the_next_thing_that_happens_is_told_for_every_state() {
    let policy = Story::new().policy;
    let deadline =
        |occurrence: &Occurrence| Deadline::of(occurrence, &policy).map(|next| (next.at, next.action));
    for (state, expected) in [
        (State::Planned, Some(("08:45:00", "create"))),
        (State::Creating, Some(("08:45:00", "create"))),
        (State::Ready, Some(("09:00:00", "start"))),
        (State::Live, Some(("09:30:00", "end"))),
        (State::Ended, Some(("09:35:00", "close"))),
        (State::Closing, Some(("09:35:00", "close"))),
        (State::Closed, None),
        (State::Failed, None),
        (State::Missed, None),
        (State::Cancelled, None),
    ] {
        assert_eq!(deadline(&in_state(state)), expected.map(|(time, action)| (at(time), action)), "{state}");
    }
    for state in [State::Creating, State::Closing] {
        let mut waiting = in_state(state);
        waiting.retry_at = Some(at("09:07:00"));
        assert_eq!(deadline(&waiting).map(|(at, _)| at), Some(at("09:07:00")), "{state}");
    }
    let mut extended = in_state(State::Live);
    extended.extended_by = minutes(10);
    assert_eq!(deadline(&extended).map(|(at, _)| at), Some(at("09:40:00")));
}

#[test]
fn the_times_of_an_occurrence_follow_from_its_rules() {
    let mut story = Story::extending(10, 25);
    story.occurrence.extended_by = minutes(10);
    let (occurrence, policy) = (&story.occurrence, &story.policy);
    assert_eq!(occurrence.create_at(policy), at("08:45:00"));
    assert_eq!(occurrence.ends_at(), at("09:40:00"));
    assert_eq!(occurrence.closes_at(policy), at("09:45:00"));
    assert_eq!(occurrence.closes_at_latest(policy), at("10:00:00"), "25 minutes in all, and the delay");
    // Rules that allow less than was given already, or nothing: what was given stays.
    let mut less = policy.clone();
    less.extend = Some(Extend { step: minutes(5), max: minutes(5), yields: true });
    assert_eq!(occurrence.closes_at_latest(&less), at("09:45:00"));
    less.extend = None;
    assert_eq!(occurrence.closes_at_latest(&less), at("09:45:00"));
}

#[test]
fn states_say_whether_they_are_over_and_whether_there_is_an_open_room() {
    for (state, is_final, has_open_room) in [
        (State::Planned, false, false),
        (State::Creating, false, false),
        (State::Ready, false, true),
        (State::Live, false, true),
        (State::Ended, false, true),
        (State::Closing, false, false),
        (State::Closed, true, false),
        (State::Failed, true, false),
        (State::Missed, true, false),
        (State::Cancelled, true, false),
    ] {
        assert_eq!((state.is_final(), state.has_open_room()), (is_final, has_open_room), "{state}");
    }
    assert_eq!(format!("{:>8}|{}", State::Live, Reason::Empty), "    live|empty");
    assert_eq!((State::from_name("lively"), Reason::from_name("")), (None, None));
    assert_eq!(Verdict::from_name("Closed"), None);
}

#[test]
fn a_room_shows_its_id_and_no_link_where_it_is_printed() {
    let shown = format!("{:?}", room());
    assert!(shown.contains("r0") && !shown.contains("https"), "{shown}");
}

#[test]
fn rules_are_kept_in_whole_seconds_and_come_back_the_same() {
    let policy = Story::extending(10, 60).policy;
    let json = serde_json::to_value(&policy).unwrap();
    assert_eq!((&json["create_ahead"], &json["extend"]["max"]), (&900.into(), &3600.into()));
    assert_eq!(serde_json::from_value::<Policy>(json.clone()).unwrap(), policy);
    let mut too_long = json;
    too_long["close_delay"] = i64::MAX.into();
    assert!(serde_json::from_value::<Policy>(too_long).is_err());
}

#[test]
fn every_pause_between_half_and_whole_is_possible_and_each_try_has_another() {
    for (attempts, whole_ms) in
        [(0, 2_000), (1, 2_000), (2, 4_000), (3, 8_000), (6, 64_000), (7, 120_000), (99, 120_000)]
    {
        let pauses: Vec<i64> = (0..400_000)
            .map(|seed: u64| backoff(attempts, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).num_milliseconds())
            .collect();
        let (least, most) = (pauses.iter().min().copied(), pauses.iter().max().copied());
        assert_eq!((least, most), (Some(whole_ms / 2), Some(whole_ms)), "after {attempts}");
        let mean = pauses.iter().sum::<i64>() / 400_000;
        assert!((mean - whole_ms * 3 / 4).abs() < whole_ms / 50, "after {attempts}: {mean} ms");
    }
    // With a constant seed, too.
    let late: std::collections::BTreeSet<_> = (7..30).map(|attempts| backoff(attempts, 5)).collect();
    assert!(late.len() > 20, "{late:?}");
}

#[test]
fn what_was_seen_in_the_future_is_not_believed_and_the_room_is_looked_at_at_once() {
    let now = at("09:10:00");
    for (looked_at, empty_since, gone_since, is_believed) in [
        ("09:10:00", Some("09:10:00"), None, true),
        ("09:10:01", Some("09:10:00"), None, false),
        ("09:10:00", Some("09:10:01"), None, false),
        ("09:10:00", None, Some("09:10:00"), true),
        ("09:10:00", None, Some("09:10:01"), false),
    ] {
        let mut seen = in_state(State::Live);
        seen.looked_at = Some(at(looked_at));
        seen.empty_since = empty_since.map(at);
        seen.gone_since = gone_since.map(at);
        seen.occupancy = empty_since.map(|_| 0);
        let next = step(&seen, Event::Tick, &Story::new().policy, Now::agreed(now)).next;
        let what = format!("{looked_at} {empty_since:?} {gone_since:?}");
        if is_believed {
            assert_eq!(next, seen, "{what}");
        } else {
            let forgotten = (next.looked_at, next.occupancy, next.empty_since, next.gone_since);
            assert_eq!(forgotten, (None, None, None, None), "{what}");
            assert_eq!(next.look_at, Some(now), "{what}");
        }
    }
    // While closing, nothing is looked at by the rhythm.
    let mut closing = in_state(State::Closing);
    closing.looked_at = Some(at("09:10:01"));
    assert_eq!(step(&closing, Event::Tick, &Story::new().policy, Now::agreed(now)).next.look_at, None);
}

#[test]
fn a_pause_of_more_than_an_hour_was_noted_by_a_clock_that_was_wrong() {
    let now = Now::agreed(at("09:10:00"));
    let tick = |occurrence: &Occurrence| step(occurrence, Event::Tick, &Story::new().policy, now).next;
    for (retry_at, is_kept) in [("10:10:00", true), ("10:10:01", false)] {
        let mut creating = in_state(State::Creating);
        creating.retry_at = Some(at(retry_at));
        assert_eq!(tick(&creating).retry_at.is_some(), is_kept, "{retry_at}");
        let mut live = in_state(State::Live);
        live.look_at = Some(at(retry_at));
        let look_at = tick(&live).look_at;
        assert_eq!(look_at, Some(if is_kept { at(retry_at) } else { now.wall }), "{retry_at}");
    }
    // A room made far ahead is looked at before its start, however long that is.
    let mut ready = in_state(State::Ready);
    ready.times = Times { starts_at: at("18:00:00"), ends_at: at("19:00:00") };
    ready.look_at = Some(at("17:59:00"));
    assert_eq!(tick(&ready).look_at, Some(at("17:59:00")));
    ready.look_at = Some(at("18:00:00"));
    assert_eq!(tick(&ready).look_at, Some(at("18:00:00")));
    ready.look_at = Some(at("18:00:01"));
    assert_eq!(tick(&ready).look_at, Some(now.wall));
    // When a create was sent cannot be later than now.
    let mut asked = in_state(State::Creating);
    asked.asked_at = Some(at("11:00:00"));
    assert_eq!(tick(&asked).asked_at, Some(now.wall));
    asked.asked_at = Some(at("09:00:00"));
    assert_eq!(tick(&asked).asked_at, Some(at("09:00:00")));
}

#[test]
fn only_what_is_due_is_called_and_nothing_while_a_pause_lasts() {
    let call = |occurrence: &Occurrence, time: &str| due(occurrence, Now::agreed(at(time))).call;
    let mut creating = in_state(State::Creating);
    creating.retry_at = Some(at("08:50:00"));
    assert_eq!((call(&creating, "08:49:59"), call(&creating, "08:50:00")), (None, Some(Call::Create)));
    creating.asked_at = Some(at("08:49:00"));
    assert_eq!((call(&creating, "08:49:59"), call(&creating, "08:50:00")), (None, Some(Call::Find)));

    let mut live = in_state(State::Live);
    live.look_at = Some(at("09:10:00"));
    assert_eq!((call(&live, "09:09:59"), call(&live, "09:10:00")), (None, Some(Call::Look)));
    live.is_outdated = true;
    assert_eq!((call(&live, "09:09:59"), call(&live, "09:10:00")), (Some(Call::Update), Some(Call::Look)));
    live.retry_at = Some(at("09:09:59"));
    assert_eq!((call(&live, "09:09:58"), call(&live, "09:09:59")), (None, Some(Call::Update)));

    let mut closing = in_state(State::Closing);
    assert_eq!(call(&closing, "09:35:00"), Some(Call::Close));
    closing.is_close_sent = true;
    assert_eq!(call(&closing, "09:35:00"), Some(Call::Look));
    closing.retry_at = Some(at("09:35:01"));
    assert_eq!((call(&closing, "09:35:00"), call(&closing, "09:35:01")), (None, Some(Call::Look)));
    closing.room = None;
    closing.asked_at = Some(at("08:45:00"));
    assert_eq!(call(&closing, "09:35:01"), Some(Call::Find));
}

#[test]
fn the_first_look_is_half_a_minute_after_the_room_was_made_and_one_is_a_minute_before_the_start() {
    let created = |time: &str| {
        let event = Event::Answered(Answer::Create(Ok(room())));
        step(&in_state(State::Creating), event, &Story::new().policy, Now::agreed(at(time))).next
    };
    assert_eq!(created("08:45:00").look_at, Some(at("08:45:30")));
    let looked = |occurrence: &Occurrence, time: &str, people: u32| {
        let event = Event::Answered(Answer::Look(Ok(Sight { is_open: true, occupancy: Some(people) })));
        step(occurrence, event, &Story::new().policy, Now::agreed(at(time))).next.look_at
    };
    let ready = in_state(State::Ready);
    assert_eq!(looked(&ready, "08:45:30", 0), Some(at("08:59:00")));
    assert_eq!(looked(&ready, "08:58:59", 0), Some(at("08:59:00")));
    assert_eq!(looked(&ready, "08:59:00", 0), Some(at("09:04:00")), "then by the rhythm");
    let mut live = in_state(State::Live);
    assert_eq!(looked(&live, "09:10:00", 0), Some(at("09:15:00")));
    // A meeting that was taken out is closed once nobody is there: looked at again soon, but not while people are in.
    live.is_removed = true;
    assert_eq!(looked(&live, "09:10:00", 0), Some(at("09:10:10")));
    assert_eq!(looked(&live, "09:10:00", 2), Some(at("09:15:00")));
}

#[test]
fn two_looks_are_ten_seconds_apart_before_gone_or_empty_is_believed() {
    for (second, is_believed) in [("09:10:09", false), ("09:10:10", true)] {
        let gone = |occurrence: &Occurrence, time: &str| {
            let event = Event::Answered(Answer::Look(Err(failure(FailureKind::NotFound, "09:20:00"))));
            step(occurrence, event, &Story::new().policy, Now::agreed(at(time))).next
        };
        let once = gone(&in_state(State::Live), "09:10:00");
        assert_eq!((once.state, once.look_at), (State::Live, Some(at("09:10:10"))));
        assert_eq!(gone(&once, second).state == State::Creating, is_believed, "{second}");

        let empty = |occurrence: &Occurrence, time: &str| {
            let event = Event::Answered(Answer::Look(Ok(Sight { is_open: true, occupancy: Some(0) })));
            step(occurrence, event, &Story::new().policy, Now::agreed(at(time))).next
        };
        let mut removed = in_state(State::Live);
        removed.is_removed = true;
        let once = empty(&removed, "09:10:00");
        assert_eq!(once.state, State::Live);
        assert_eq!(empty(&once, second).state == State::Closing, is_believed, "{second}");
    }
}

#[test]
fn what_became_of_a_room_depends_on_where_the_meeting_stood() {
    // Gone for the second time, by how it is gone.
    for (state, is_removed, is_closed_there, after) in [
        (State::Ready, false, false, State::Creating),
        (State::Ready, false, true, State::Creating),
        (State::Live, false, false, State::Creating),
        (State::Live, false, true, State::Closed),
        (State::Ended, false, false, State::Closed),
        (State::Ended, false, true, State::Closed),
        (State::Live, true, false, State::Cancelled),
        (State::Ended, true, true, State::Cancelled),
    ] {
        let mut occurrence = in_state(state);
        occurrence.is_removed = is_removed;
        occurrence.gone_since = Some(at("08:46:00"));
        let time = match state {
            State::Ready => "08:50:00",
            State::Live => "09:10:00",
            _ => "09:31:00",
        };
        let seen = match is_closed_there {
            true => Ok(Sight { is_open: false, occupancy: None }),
            false => Err(failure(FailureKind::NotFound, "09:50:00")),
        };
        let event = Event::Answered(Answer::Look(seen));
        let transition = step(&occurrence, event, &Story::new().policy, Now::agreed(at(time)));
        assert_eq!(transition.next.state, after, "{state} {is_removed} {is_closed_there}");
        assert_eq!(transition.next.generation, u32::from(after == State::Creating));
    }
}

#[test]
fn a_failed_call_is_counted_and_its_pause_kept_as_it_is() {
    let answered = |occurrence: &Occurrence, answer: Answer| {
        step(occurrence, Event::Answered(answer), &Story::new().policy, Now::agreed(at("09:10:00"))).next
    };
    for kind in [FailureKind::NotDone, FailureKind::Unknown] {
        let fails = || failure(kind, "09:10:07");
        let mut creating = in_state(State::Creating);
        creating.asked_at = Some(at("09:10:00"));
        let after = answered(&creating, Answer::Create(Err(fails())));
        assert_eq!((after.attempts, after.retry_at), (1, Some(at("09:10:07"))));
        assert_eq!(
            after.asked_at.is_some(),
            kind == FailureKind::Unknown,
            "what was not done is asked again"
        );

        let mut live = in_state(State::Live);
        (live.is_outdated, live.is_update_sent) = (true, true);
        let after = answered(&live, Answer::Update(Err(fails())));
        assert_eq!((after.attempts, after.retry_at, after.is_outdated), (1, Some(at("09:10:07")), true));
        let after = answered(&live, Answer::Look(Err(fails())));
        assert_eq!((after.attempts, after.look_at), (1, Some(at("09:10:07"))));
        assert_eq!((after.looked_at, after.occupancy), (Some(at("09:10:00")), None));

        let closing = in_state(State::Closing);
        let after = answered(&closing, Answer::Close(Err(fails())));
        assert_eq!((after.attempts, after.retry_at), (1, Some(at("09:10:07"))));
        assert_eq!(after.is_close_sent, kind == FailureKind::Unknown, "a look tells whether it was done");
    }
    let closing = in_state(State::Closing);
    let after = answered(&closing, Answer::Close(Err(failure(FailureKind::NotFound, "09:20:00"))));
    assert_eq!((after.attempts, after.is_close_sent, after.retry_at), (0, true, None));
    let after = answered(&closing, Answer::Close(Err(failure(FailureKind::Rejected, "09:20:00"))));
    assert_eq!((after.attempts, after.is_close_sent), (1, false));
    let mut live = in_state(State::Live);
    live.is_outdated = true;
    let after = answered(&live, Answer::Update(Err(failure(FailureKind::NotFound, "09:50:00"))));
    assert_eq!((after.look_at, after.retry_at), (Some(at("09:10:00")), Some(at("09:10:10"))));
    // A good look forgives failures, unless an update is what failed.
    let sight = || Answer::Look(Ok(Sight { is_open: true, occupancy: Some(1) }));
    live.attempts = 3;
    assert_eq!(answered(&live, sight()).attempts, 3);
    live.is_outdated = false;
    assert_eq!(answered(&live, sight()).attempts, 0);
}

#[test]
fn several_steps_of_an_extension_that_are_due_at_once_are_made_at_once() {
    // People are in; the daemon was away from 09:30 on. Steps of 10 minutes, 60 at most.
    for (now, extended_by, state) in [
        ("09:35:00", 10, State::Live),
        ("09:44:59", 10, State::Ended),
        ("09:45:00", 20, State::Live),
        ("10:14:59", 40, State::Ended),
        ("10:34:59", 60, State::Ended),
        ("11:00:00", 60, State::Closing),
    ] {
        let mut ended = in_state(State::Ended);
        ended.occupancy = Some(2);
        ended.looked_at = Some(at(now));
        let transition = step(&ended, Event::Tick, &Story::extending(10, 60).policy, Now::agreed(at(now)));
        let next = transition.next;
        assert_eq!(
            (next.extended_by, next.state),
            (minutes(extended_by), state),
            "{now}: {:?}",
            transition.changes
        );
    }
}

#[test]
fn a_close_that_may_be_put_off_waits_for_a_look_at_its_time() {
    let policy = Story::extending(10, 60).policy;
    let ended = |looked_at: Option<&str>, occupancy, empty_since: Option<&str>| {
        let mut ended = in_state(State::Ended);
        ended.looked_at = looked_at.map(at);
        ended.occupancy = occupancy;
        ended.empty_since = empty_since.map(at);
        ended.look_at = None;
        step(&ended, Event::Due, &policy, Now::agreed(at("09:35:00")))
    };
    // Not looked since the close was due: a look, and no decision.
    for looked_at in [None, Some("09:34:59")] {
        let transition = ended(looked_at, Some(0), looked_at.map(|_| "09:31:00"));
        assert_eq!(
            (transition.next.state, transition.call),
            (State::Ended, Some(Call::Look)),
            "{looked_at:?}"
        );
    }
    // Seen empty then, and long before: closed. Seen empty only just now: looked at once more.
    assert_eq!(ended(Some("09:35:00"), Some(0), Some("09:34:50")).next.state, State::Closing);
    let once = ended(Some("09:35:00"), Some(0), Some("09:34:51"));
    assert_eq!((once.next.state, once.call, once.wake_at), (State::Ended, None, Some(at("09:35:01"))));
    // Somebody, or nobody knows: the end moves.
    let some = ended(Some("09:35:00"), Some(1), None);
    assert_eq!(some.changes[0].reason, Reason::Occupied);
    assert!(some.next.is_outdated);
    assert_eq!(some.call, Some(Call::Update), "the provider is told at once");
    assert_eq!(ended(Some("09:35:00"), None, None).changes[0].reason, Reason::OccupancyUnknown);
}

#[test]
fn looks_before_a_close_that_may_be_put_off_are_ten_seconds_before_it_and_at_it() {
    let policy = Story::extending(10, 60).policy;
    let wake_at = |looked_at: &str, time: &str| {
        let mut ended = in_state(State::Ended);
        ended.looked_at = Some(at(looked_at));
        ended.look_at = None;
        ended.occupancy = Some(1);
        step(&ended, Event::Tick, &policy, Now::agreed(at(time))).wake_at
    };
    assert_eq!(wake_at("09:31:00", "09:31:00"), Some(at("09:34:50")));
    assert_eq!(wake_at("09:34:49", "09:34:49"), Some(at("09:34:50")));
    assert_eq!(wake_at("09:34:50", "09:34:50"), Some(at("09:35:00")));
}

#[test]
fn a_new_time_means_something_else_in_every_state() {
    let now = at("09:10:00");
    let later = Times { starts_at: at("10:00:00"), ends_at: at("10:30:00") };
    let on = Times { starts_at: at("09:05:00"), ends_at: at("09:45:00") };
    let over = Times { starts_at: at("08:00:00"), ends_at: at("08:30:00") };
    let now_or_never = Times { starts_at: at("08:40:00"), ends_at: at("09:10:00") };
    for (state, times, after) in [
        (State::Planned, later, State::Planned),
        (State::Planned, over, State::Missed),
        (State::Creating, later, State::Planned),
        (State::Creating, on, State::Creating),
        (State::Ready, later, State::Ready),
        (State::Ready, on, State::Live),
        (State::Live, later, State::Ready),
        (State::Live, on, State::Live),
        (State::Ended, on, State::Live),
        (State::Ended, later, State::Ready),
        (State::Closed, later, State::Planned),
        (State::Closed, over, State::Closed),
        (State::Closed, now_or_never, State::Closed),
        (State::Missed, later, State::Planned),
        (State::Missed, over, State::Missed),
        (State::Failed, later, State::Planned),
        (State::Failed, over, State::Failed),
        (State::Cancelled, later, State::Planned),
        (State::Cancelled, over, State::Cancelled),
    ] {
        let mut occurrence = in_state(state);
        occurrence.look_at = None;
        let event = Event::Rescheduled { times, is_changed: false };
        let mut policy = Story::new().policy;
        policy.create_ahead = minutes(15);
        let transition = step(&occurrence, event, &policy, Now::agreed(now));
        let found = transition.changes.iter().map(|change| change.to).find(|to| *to == after);
        let next = transition.next;
        assert_eq!(next.times, times, "{state}");
        assert!(
            found == Some(after) || next.state == after,
            "{state} -> {}: {:?}",
            next.state,
            transition.changes
        );
        if after == state && state.is_final() {
            assert!(transition.changes.is_empty(), "{state}: {:?}", transition.changes);
        }
    }
}

#[test]
fn the_same_time_again_changes_nothing_but_brings_back_what_was_taken_out() {
    let times = Story::new().occurrence.times;
    for state in State::ALL {
        let occurrence = in_state(state);
        let event = Event::Rescheduled { times, is_changed: false };
        let transition = step(&occurrence, event, &Story::new().policy, Now::agreed(at("08:40:00")));
        let is_begun_anew = matches!(state, State::Failed | State::Cancelled);
        let is_put_back = state == State::Creating;
        assert_eq!(
            transition.changes.is_empty(),
            !is_begun_anew && !is_put_back,
            "{state}: {:?}",
            transition.changes
        );
        assert!(!transition.next.is_outdated, "{state}");
    }
    let mut removed = in_state(State::Live);
    removed.is_removed = true;
    let event = Event::Rescheduled { times, is_changed: false };
    let transition = step(&removed, event, &Story::new().policy, Now::agreed(at("09:10:00")));
    assert_eq!(transition.changes.iter().map(|change| change.reason).collect::<Vec<_>>(), [Reason::Restored]);
    assert!(!transition.next.is_removed);
}

#[test]
fn an_extension_is_forgotten_with_another_start_only() {
    let mut live = in_state(State::Live);
    live.extended_by = minutes(20);
    for (starts_at, ends_at, extended_by) in [("09:00:00", "09:40:00", 20), ("09:01:00", "09:31:00", 0)] {
        let times = Times { starts_at: at(starts_at), ends_at: at(ends_at) };
        let event = Event::Rescheduled { times, is_changed: false };
        let next = step(&live, event, &Story::new().policy, Now::agreed(at("09:10:00"))).next;
        assert_eq!(next.extended_by, minutes(extended_by));
        assert!(next.is_outdated);
    }
}

#[test]
fn a_closing_room_is_wanted_again_only_where_the_schedule_gives_it_another_time_or_it_was_taken_out() {
    let later = Times { starts_at: at("10:00:00"), ends_at: at("10:30:00") };
    let same = Story::new().occurrence.times;
    for (verdict, times, time, after) in [
        (Verdict::Closed, later, "09:36:00", Verdict::PlannedAgain),
        (Verdict::Closed, same, "09:20:00", Verdict::Closed),
        (Verdict::Cancelled, same, "09:20:00", Verdict::PlannedAgain),
        (Verdict::Cancelled, same, "09:30:00", Verdict::Cancelled),
        (Verdict::Failed, later, "09:36:00", Verdict::PlannedAgain),
    ] {
        let mut closing = in_state(State::Closing);
        closing.verdict = Some(verdict);
        let event = Event::Rescheduled { times, is_changed: false };
        let next = step(&closing, event, &Story::new().policy, Now::agreed(at(time))).next;
        assert_eq!((next.state, next.verdict), (State::Closing, Some(after)), "{verdict:?} at {time}");
    }
    let mut again = in_state(State::Closing);
    again.verdict = Some(Verdict::PlannedAgain);
    let removed = step(&again, Event::Removed, &Story::new().policy, Now::agreed(at("09:36:00"))).next;
    assert_eq!(removed.verdict, Some(Verdict::Cancelled));
    let kept =
        step(&in_state(State::Closing), Event::Removed, &Story::new().policy, Now::agreed(at("09:36:00")))
            .next;
    assert_eq!(kept.verdict, Some(Verdict::Closed), "it took place");
}

#[test]
fn a_restart_forgets_what_was_on_its_way_and_no_pause_is_waited_out() {
    let mut closing = in_state(State::Closing);
    closing.is_close_sent = true;
    closing.retry_at = Some(at("09:50:00"));
    let next = step(&closing, Event::Restarted, &Story::new().policy, Now::agreed(at("09:36:00"))).next;
    assert_eq!((next.is_close_sent, next.retry_at), (false, None));
    let mut live = in_state(State::Live);
    (live.is_outdated, live.is_update_sent) = (true, true);
    let next = step(&live, Event::Restarted, &Story::new().policy, Now::agreed(at("09:10:00"))).next;
    assert_eq!((next.is_outdated, next.is_update_sent), (true, false));
}

#[test]
fn a_provider_that_says_closed_and_is_open_all_the_same_is_asked_again_later_each_time() {
    let mut closing = in_state(State::Closing);
    let open = || Event::Answered(Answer::Look(Ok(Sight { is_open: true, occupancy: None })));
    let mut pauses = Vec::new();
    for _ in 0..4 {
        closing.is_close_sent = true;
        closing = step(&closing, open(), &Story::new().policy, Now::agreed(at("09:36:00"))).next;
        assert!(!closing.is_close_sent);
        pauses.push(closing.retry_at.unwrap() - at("09:36:00"));
    }
    assert_eq!(closing.attempts, 4);
    assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    assert!(closing.last_error.unwrap().contains("still open"));
}

/// From which state to which a new time takes an occurrence, step by step.
fn changes_by_new_time(
    occurrence: &Occurrence,
    starts_at: &str,
    ends_at: &str,
    time: &str,
) -> Vec<(State, State)> {
    let times = Times { starts_at: at(starts_at), ends_at: at(ends_at) };
    let event = Event::Rescheduled { times, is_changed: false };
    let transition = step(occurrence, event, &Story::new().policy, Now::agreed(at(time)));
    transition.changes.iter().map(|change| (change.from, change.to)).collect()
}

#[test]
fn a_new_time_makes_no_detour_over_a_state_that_it_does_not_mean() {
    use State::{Creating, Ended, Live, Planned, Ready};
    let creating = in_state(Creating);
    // Its room is due at 08:45 by the old time, at 09:45 by the new one.
    assert_eq!(changes_by_new_time(&creating, "10:00:00", "10:30:00", "09:44:59"), [(Creating, Planned)]);
    assert_eq!(changes_by_new_time(&creating, "10:00:00", "10:30:00", "09:45:00"), []);
    let mut asked = in_state(Creating);
    asked.asked_at = Some(at("08:45:00"));
    assert_eq!(changes_by_new_time(&asked, "10:00:00", "10:30:00", "08:50:00"), [], "there may be a room");

    let [ready, live, ended] = [Ready, Live, Ended].map(in_state);
    assert_eq!(changes_by_new_time(&live, "09:10:00", "09:40:00", "09:10:00"), [(Live, Live)]);
    assert_eq!(changes_by_new_time(&live, "09:10:01", "09:40:00", "09:10:00"), [(Live, Ready)]);
    assert_eq!(
        changes_by_new_time(&ready, "09:05:00", "09:40:00", "09:10:00"),
        [(Ready, Ready), (Ready, Live)]
    );
    assert_eq!(changes_by_new_time(&ended, "09:00:00", "09:31:00", "09:31:00"), [(Ended, Ended)]);
    assert_eq!(changes_by_new_time(&ended, "09:00:00", "09:31:01", "09:31:00"), [(Ended, Live)]);
}

#[test]
fn a_room_that_may_have_been_made_for_the_old_time_is_to_be_brought_in_line() {
    for (asked_at, is_outdated) in [(Some(at("08:45:00")), true), (None, false)] {
        let mut creating = in_state(State::Creating);
        creating.asked_at = asked_at;
        let times = Times { starts_at: at("08:55:00"), ends_at: at("09:25:00") };
        let event = Event::Rescheduled { times, is_changed: false };
        let next = step(&creating, event, &Story::new().policy, Now::agreed(at("08:50:00"))).next;
        assert_eq!(next.is_outdated, is_outdated);
    }
}

#[test]
fn what_was_never_asked_for_is_cancelled_without_closing_anything() {
    let removed =
        step(&in_state(State::Creating), Event::Removed, &Story::new().policy, Now::agreed(at("08:50:00")));
    let changes: Vec<_> = removed.changes.iter().map(|change| (change.from, change.to)).collect();
    assert_eq!(changes, [(State::Creating, State::Cancelled)]);

    // It was asked for, and there is none after all: nothing is left to be closed.
    let mut closing = in_state(State::Closing);
    closing.room = None;
    closing.asked_at = Some(at("08:45:00"));
    closing.verdict = Some(Verdict::Cancelled);
    let found = Event::Answered(Answer::Find(Ok(None)));
    let transition = step(&closing, found, &Story::new().policy, Now::agreed(at("08:50:00")));
    assert_eq!((transition.next.state, transition.wake_at), (State::Cancelled, None));
}

#[test]
fn a_room_made_again_during_an_extension_is_made_for_the_extended_end() {
    let mut live = in_state(State::Live);
    live.extended_by = minutes(20);
    live.gone_since = Some(at("09:10:00"));
    let gone = Event::Answered(Answer::Look(Err(failure(FailureKind::NotFound, "09:50:00"))));
    let next = step(&live, gone, &Story::new().policy, Now::agreed(at("09:11:00"))).next;
    assert_eq!((next.state, next.ends_at()), (State::Creating, at("09:50:00")));
}
