//! Rooms to which nobody came.

use super::*;

/// `no_show = "20m"` on a meeting that is extended while people are in it.
fn begin() -> Story {
    let mut story = Story::extending(10, 60);
    story.policy.no_show = Some(minutes(20));
    story.occurrence.times.ends_at = at("10:00:00");
    story
}

/// When the room was closed, and why.
fn closed(story: &Story) -> &str {
    story.trace.iter().find(|line| line.contains("-> closing")).map_or("never", String::as_str)
}

#[test]
fn a_room_to_which_nobody_came_is_closed_when_the_rule_says_so() {
    let mut story = begin();
    story.until("12:00:00").trace_is(&[
        "08:45:00 planned -> creating lead_reached",
        "08:45:00 creating -> ready created",
        "09:00:00 ready -> live start_reached",
        "09:20:00 live -> closing no_show",
        "09:20:00 closing -> closed seen_closed",
    ]);
}

#[test]
fn without_the_rule_an_empty_room_stays_open_to_its_end() {
    let mut story = begin();
    story.policy.no_show = None;
    story.until("12:00:00");
    assert_eq!(closed(&story), "10:05:00 ended -> closing empty");
}

#[test]
fn somebody_who_came_has_come_whatever_they_did_then() {
    // From, until: when somebody was in the room.
    for (from, until) in [
        ("08:45:10", "08:45:40"),
        ("08:58:30", "08:59:30"),
        ("09:03:30", "09:04:30"),
        ("09:19:30", "09:20:30"),
        ("09:03:30", "10:30:00"),
    ] {
        let mut story = begin();
        story.until(from);
        story.occupancy = Some(1);
        story.until(until);
        story.occupancy = Some(0);
        assert!(story.occurrence.was_occupied, "{from}: a look fell into that time");
        story.until("10:04:59");
        assert_eq!(closed(&story), "never", "{from} to {until}");
    }
}

#[test]
fn nobody_is_thrown_out_for_what_cannot_be_known() {
    let mut story = begin();
    story.occupancy = None;
    story.until("10:04:59");
    assert_eq!(closed(&story), "never", "a provider that cannot tell");

    let mut story = begin();
    story.until("09:10:30");
    story.sees = vec![Err(FailureKind::NotDone)];
    story.until("09:29:00");
    assert_eq!(closed(&story), "never", "one look that failed begins the watch anew");
    story.until("10:00:00");
    assert_eq!(closed(&story), "09:34:01 live -> closing no_show");
}

#[test]
fn a_watch_with_a_gap_is_no_watch() {
    // The daemon was down, or the provider too busy to be looked at; what was seen before says nothing about meanwhile.
    let mut story = begin();
    story.until("09:05:00");
    story.now = Now::agreed(at("09:25:00"));
    story.happens(Event::Restarted);
    story.until("09:25:00");
    assert_eq!(closed(&story), "never", "two looks, twenty minutes apart");
    story.until("10:00:00");
    assert_eq!(closed(&story), "09:45:00 live -> closing no_show");
}

#[test]
fn that_somebody_came_outlives_a_restart_and_a_lost_room() {
    let mut story = begin();
    story.until("09:03:00");
    story.occupancy = Some(2);
    story.until("09:05:00");
    story.occupancy = Some(0);
    story.happens(Event::Restarted);
    story.sees = vec![Err(FailureKind::NotFound), Err(FailureKind::NotFound)];
    story.until("10:04:00");
    assert_eq!((story.occurrence.generation, story.occurrence.was_occupied), (1, true));
    assert_eq!(closed(&story), "never");
}

#[test]
fn a_room_that_came_late_has_its_time_too() {
    let mut story = begin();
    story.create = vec![Err(FailureKind::NotDone); 8];
    story.now = Now::agreed(at("08:59:59"));
    story.until("10:00:00");
    let opened = story.trace.iter().find(|line| line.contains("-> ready")).unwrap().clone();
    assert!(opened.as_str() > "09:03", "{opened}");
    let watched = at(&opened[..8]) + FIRST_LOOK + minutes(20);
    assert_eq!(closed(&story), format!("{} live -> closing no_show", watched.format("%H:%M:%S")));
}

const FIRST_LOOK: TimeDelta = TimeDelta::seconds(30);

#[test]
fn a_clock_set_ahead_makes_no_no_show() {
    let mut story = begin();
    story.until("09:04:00");
    story.until_ahead("09:12:00", minutes(9));
    assert_eq!(closed(&story), "never");
    story.until_ahead("09:19:59", minutes(9));
    assert_eq!(closed(&story), "never", "the boot clock has not come so far");
    story.until_ahead("09:21:00", minutes(9));
    assert!(closed(&story).ends_with("no_show"));
}

#[test]
fn a_meeting_moved_to_another_start_waits_for_people_anew() {
    let mut story = begin();
    story.until("09:03:00");
    story.occupancy = Some(1);
    story.until("09:05:00");
    story.occupancy = Some(0);
    story.until("09:10:00");
    let times = Times { starts_at: at("11:00:00"), ends_at: at("12:00:00") };
    story.happens(Event::Rescheduled { times, is_changed: false });
    story.until("13:00:00");
    assert_eq!(closed(&story), "11:20:00 live -> closing no_show");
}

#[test]
fn the_look_that_decides_is_made_at_its_time_and_costs_one_more_at_most() {
    let looks = |no_show| {
        let mut story = begin();
        story.policy.no_show = no_show;
        story.policy.look_every = minutes(6);
        story.until("09:20:00");
        story.calls.iter().filter(|call| **call == "look").count()
    };
    // And one that sees it closed.
    assert_eq!(looks(Some(minutes(20))), looks(None) + 2);
}
