//! No-shows, warnings, seats and strays, through engine and store.

use super::world::{Mood, TrueRoom, World, at, daily, extending, meeting};
use crate::config::Meeting;
use crate::lifecycle::State;
use crate::providers::ProviderError;
use chrono::TimeDelta;

fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}

fn no_show(id: &str) -> Meeting {
    let mut meeting = extending(meeting(id));
    meeting.policy.no_show = Some(minutes(20));
    meeting
}

fn warned(mut meeting: Meeting) -> Meeting {
    meeting.policy.warn.before = vec![minutes(5), minutes(1)];
    meeting
}

/// Led by `host`, at `time` for half an hour.
fn led(mut meeting: Meeting, host: &str, time: &str) -> Meeting {
    meeting.hosts = vec![host.to_owned()];
    meeting.series.start = Some(at(time).naive_utc());
    meeting
}

/// The events of one name, whole.
fn told(world: &World, name: &str) -> Vec<String> {
    let prefix = format!("{name} ");
    world.shared.lock().events.iter().filter(|line| line.starts_with(&prefix)).cloned().collect()
}

#[tokio::test]
async fn a_room_to_which_nobody_came_is_closed_early_and_the_log_says_why() {
    let mut world = World::with([no_show("m")]);
    world.run_until(at("09:19:59")).await;
    assert_eq!(world.state("m"), State::Live);
    world.run_until(at("09:21:00")).await;
    assert_eq!(world.state("m"), State::Closed);
    assert_eq!(world.shared.lock().only_room().closed_at, Some(at("09:20:00")));
    assert_eq!(
        told(&world, "room.closing"),
        ["room.closing occurrence=m provider=house reason=no_show occupancy=0"]
    );
}

#[tokio::test]
async fn that_somebody_came_before_the_start_outlives_a_crash() {
    let mut world = World::with([no_show("m")]);
    world.run_until(at("08:45:20")).await;
    world.shared.lock().only_room().people = 1;
    world.run_until(at("08:46:00")).await;
    world.shared.lock().only_room().people = 0;
    world.crash();
    world.apply([no_show("m")]).unwrap();
    assert!(world.record("m").occurrence.was_occupied);
    world.run_until(at("09:34:59")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 1, "whoever looked in has come");
}

#[tokio::test]
async fn after_down_time_a_no_show_is_concluded_from_a_whole_watch_only() {
    let mut world = World::with([no_show("m")]);
    world.run_until(at("09:02:00")).await;
    world.pass(minutes(17), minutes(17));
    world.crash();
    world.apply([no_show("m")]).unwrap();
    world.run_until(at("09:34:00")).await;
    assert_eq!(world.shared.lock().open_rooms().len(), 1, "fifteen minutes were watched");
}

#[tokio::test]
async fn warnings_reach_the_room_once_each_and_the_log() {
    let mut world = World::with([warned(meeting("m"))]);
    world.run_until(at("09:40:00")).await;
    let announced = world.shared.lock().announced.clone();
    let expected = [
        (at("09:30:00"), "This room closes in 5 min.".to_owned()),
        (at("09:34:00"), "This room closes in 1 min.".to_owned()),
    ];
    assert_eq!(announced, expected);
    assert_eq!(
        told(&world, "meeting.warned"),
        [
            "meeting.warned occurrence=m provider=house minutes=5 closes_at=2026-11-23T09:35:00Z shown=room",
            "meeting.warned occurrence=m provider=house minutes=1 closes_at=2026-11-23T09:35:00Z shown=room",
        ]
    );
    assert_eq!(world.state("m"), State::Closed);
}

#[tokio::test]
async fn where_rooms_show_no_messages_the_log_alone_is_told() {
    let mut world = World::new();
    world.can_announce = false;
    world.apply([warned(meeting("m"))]).unwrap();
    world.run_until(at("09:40:00")).await;
    assert_eq!(world.shared.lock().calls_of("announce"), 0);
    let told = told(&world, "meeting.warned");
    assert!(told.len() == 2 && told.iter().all(|line| line.ends_with("shown=log")), "{told:?}");
}

#[tokio::test]
async fn a_warning_that_fails_is_not_repeated_and_does_not_delay_the_close() {
    let refused = || Mood::Says(ProviderError::Rejected("no messages here".to_owned()));
    for mood in [Mood::LosesAnswer, refused(), Mood::Panics] {
        let mut world = World::with([warned(meeting("m"))]);
        world.next("announce", mood.clone());
        world.run_until(at("09:40:00")).await;
        assert_eq!(world.shared.lock().calls_of("announce"), 2, "{mood:?}");
        assert_eq!(told(&world, "meeting.not_warned").len(), 1, "{mood:?}");
        assert_eq!(world.shared.lock().only_room().closed_at, Some(at("09:35:00")), "{mood:?}");
        assert!(told(&world, "call.failed").is_empty(), "it is not tried again, whatever the words");
    }
}

#[tokio::test]
async fn a_warning_that_hangs_is_given_up_half_way_to_the_close() {
    let mut world = World::with([warned(meeting("m"))]);
    world.run_until(at("09:33:30")).await;
    world.next("announce", Mood::Hangs);
    world.run_until(at("09:34:01")).await;
    assert_eq!(world.record("m").call, Some(crate::lifecycle::Call::Announce));
    assert_eq!(world.shared.lock().slept, Some(std::time::Duration::from_secs(30)), "of a minute");
}

#[tokio::test]
async fn a_crash_while_a_warning_is_under_way_repeats_it_not() {
    for mood in [Mood::Hangs, Mood::HangsAfter] {
        let mut world = World::with([warned(meeting("m"))]);
        world.next("announce", mood);
        world.run_until(at("09:30:10")).await;
        world.crash();
        world.apply([warned(meeting("m"))]).unwrap();
        world.run_until(at("09:40:00")).await;
        assert_eq!(world.shared.lock().calls_of("announce"), 2);
        assert_eq!(world.shared.lock().only_room().closed_at, Some(at("09:35:00")));
    }
}

#[tokio::test]
async fn an_extension_ends_when_the_next_meeting_of_the_same_host_starts() {
    let first = extending(led(meeting("first"), "alice", "09:00:00"));
    let other = led(meeting("other"), "bob", "09:36:00");
    let next = led(meeting("next"), "alice", "09:40:00");
    let mut world = World::with([first, other, next]);
    world.run_until(at("09:10:00")).await;
    world.shared.lock().rooms.values_mut().for_each(|room| room.people = 2);
    world.run_until(at("09:39:59")).await;
    assert_eq!(world.state("first"), State::Ended);
    world.run_until(at("09:40:00")).await;
    assert_eq!(world.state("first"), State::Closed);
    assert_eq!(
        told(&world, "meeting.yields"),
        ["meeting.yields occurrence=first provider=house next=next next_starts_at=2026-11-23T09:40:00Z \
          closes_at=2026-11-23T09:40:00Z  # An extension was cut short, or not granted: the next occurrence of the \
          same series or host begins."]
    );
    let closing = told(&world, "room.closing");
    assert!(closing[0].contains("reason=yielded occupancy=2"), "{closing:?}");
}

#[tokio::test]
async fn an_extension_for_which_nothing_is_left_is_refused_and_told() {
    let first = extending(led(meeting("first"), "alice", "09:00:00"));
    let next = led(meeting("next"), "alice", "09:30:00");
    let mut world = World::with([first, next]);
    world.run_until(at("09:10:00")).await;
    world.shared.lock().rooms.values_mut().for_each(|room| room.people = 2);
    world.run_until(at("09:34:59")).await;
    assert_eq!(world.state("first"), State::Ended, "never before the scheduled close");
    world.run_until(at("09:36:00")).await;
    assert_eq!(world.state("first"), State::Closed);
    assert_eq!(told(&world, "meeting.yields").len(), 1);
}

#[tokio::test]
async fn a_series_yields_to_itself() {
    let mut series = extending(daily("d"));
    series.series.repeat =
        crate::schedule::Repeat::Rule(crate::schedule::Rule::parse("FREQ=HOURLY;COUNT=2").unwrap());
    series.series.duration = minutes(45);
    let mut world = World::with([series]);
    world.run_until(at("09:20:00")).await;
    world.shared.lock().rooms.values_mut().for_each(|room| room.people = 1);
    world.run_until(at("09:59:59")).await;
    assert_eq!(world.state("d@2026-11-23T09:00"), State::Ended);
    world.run_until(at("10:00:00")).await;
    assert_eq!(world.state("d@2026-11-23T09:00"), State::Closed);
    assert!(told(&world, "meeting.yields")[0].contains("next=d@2026-11-23T10:00"));
}

#[tokio::test]
async fn what_does_not_take_the_seat_is_not_yielded_to() {
    let base = || extending(led(meeting("first"), "alice", "09:00:00"));
    let next = || led(meeting("next"), "alice", "09:40:00");
    let elsewhere = Meeting { provider: "gone".to_owned(), ..next() };
    let other_host = led(meeting("next"), "bob", "09:40:00");
    let same_start = led(meeting("next"), "alice", "09:00:00");
    let mut stubborn = base();
    stubborn.policy.extend =
        stubborn.policy.extend.map(|extend| crate::lifecycle::Extend { yields: false, ..extend });
    for (first, next) in [(base(), elsewhere), (base(), other_host), (base(), same_start), (stubborn, next())]
    {
        let mut world = World::with([first, next]);
        world.run_until(at("09:10:00")).await;
        world.shared.lock().rooms.values_mut().for_each(|room| room.people = 2);
        world.run_until(at("10:04:59")).await;
        assert_eq!(world.state("first"), State::Ended, "extended as far as it goes");
        assert!(told(&world, "meeting.yields").is_empty());
    }
}

#[tokio::test]
async fn a_next_meeting_that_is_taken_out_frees_the_seat() {
    let first = || extending(led(meeting("first"), "alice", "09:00:00"));
    let mut world = World::with([first(), led(meeting("next"), "alice", "09:55:00")]);
    world.guard.percent = 100;
    world.run_until(at("09:10:00")).await;
    world.shared.lock().rooms.values_mut().for_each(|room| room.people = 2);
    world.run_until(at("09:36:00")).await;
    assert_eq!(world.record("first").occurrence.yields_at, Some(at("09:55:00")));
    world.apply([first()]).unwrap();
    world.run_until(at("10:04:59")).await;
    assert_eq!(world.state("first"), State::Ended, "{:?}", told(&world, "meeting.yields"));
}

#[tokio::test]
async fn a_herd_with_one_host_reads_its_seats_once() {
    let mut meetings: Vec<_> =
        (0..60).map(|n| extending(led(meeting(&format!("m{n}")), "alice", "09:00:00"))).collect();
    meetings.push(led(meeting("next"), "alice", "09:40:00"));
    let mut world = World::with(meetings);
    world.run_until(at("09:10:00")).await;
    world.shared.lock().rooms.values_mut().for_each(|room| room.people = 1);
    world.run_until(at("09:36:00")).await;
    assert_eq!(told(&world, "meeting.yields").len(), 60);
    world.run_until(at("09:41:00")).await;
    let open = world.shared.lock().open_rooms().len();
    assert_eq!(open, 1, "all yielded to the next one");
}

/// A meeting whose room vanished at 09:02 and was replaced; gives the old room's id and truth.
async fn replaced() -> (World, String, TrueRoom) {
    let mut world = World::with([meeting("m")]);
    world.run_until(at("09:02:00")).await;
    let (id, room) = world.shared.lock().rooms.pop_first().unwrap();
    world.run_until(at("09:10:00")).await;
    assert_eq!((world.state("m"), world.record("m").occurrence.generation), (State::Live, 1));
    (world, id, room)
}

#[tokio::test]
async fn a_room_that_turns_up_again_is_closed_and_the_new_one_is_not() {
    let (mut world, id, room) = replaced().await;
    let new = world.record("m").occurrence.room.unwrap().id;
    assert_ne!(new, id, "another marker, another room");
    world.shared.lock().rooms.insert(id.clone(), room);
    world.run_until(at("09:16:00")).await;
    {
        let truth = world.shared.lock();
        assert!(!truth.rooms[&id].is_open && truth.rooms[&new].is_open);
    }
    assert_eq!(told(&world, "room.returned").len(), 1);
    world.run_until(at("09:40:00")).await;
    assert_eq!(world.state("m"), State::Closed);
    assert!(world.shared.lock().open_rooms().is_empty());
    assert_eq!((world.engine.tally.pending, world.engine.tally.with_room), (0, 0));
}

#[tokio::test]
async fn people_in_a_room_that_turns_up_again_stay_to_the_end_and_nobody_forgets_it() {
    let (mut world, id, mut room) = replaced().await;
    room.people = 3;
    world.shared.lock().rooms.insert(id.clone(), room);
    world.run_until(at("09:20:00")).await;
    // A restart and an edit of the schedule change nothing about it.
    world.crash();
    let mut edited = meeting("m");
    edited.title = "Another".to_owned();
    world.apply([edited]).unwrap();
    world.run_until(at("09:34:59")).await;
    assert!(world.shared.lock().rooms[&id].is_open);
    world.run_until(at("09:41:00")).await;
    assert!(world.shared.lock().open_rooms().is_empty());
    assert_eq!(world.engine.store.counts().unwrap().pending, 0);
}

#[tokio::test]
async fn a_meeting_that_is_taken_out_leaves_its_stray_to_its_own_end() {
    let (mut world, id, mut room) = replaced().await;
    world.guard.percent = 100;
    room.people = 1;
    world.apply([]).unwrap();
    world.shared.lock().rooms.insert(id.clone(), room);
    world.run_until(at("09:30:00")).await;
    assert!(world.shared.lock().rooms[&id].is_open, "somebody is in it");
    world.shared.lock().rooms.get_mut(&id).unwrap().people = 0;
    world.run_until(at("09:36:00")).await;
    assert!(world.shared.lock().open_rooms().is_empty());
}
