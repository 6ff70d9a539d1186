//! Extensions and what comes next on the same seat.

use super::*;

/// From 09:00 to 09:30, closed at 09:35, then extended by 10 minutes up to an hour; the next one starts at `next`.
fn story(next: &str) -> Story {
    let mut story = Story::extending(10, 60);
    story.occupancy = Some(2);
    story.next = Next::StartsAt(at(next));
    story
}

#[test]
fn an_extension_is_cut_so_that_the_room_is_closed_when_the_next_one_starts() {
    let mut story = story("09:52:00");
    story.until("12:00:00");
    assert_eq!(
        story.trace[3..],
        [
            "09:30:00 live -> ended duration_over",
            "09:35:00 ended -> live occupied",
            "09:40:00 live -> ended duration_over",
            // By seven minutes: to 09:47, and the close delay.
            "09:45:00 ended -> live occupied",
            "09:47:00 live -> ended duration_over",
            "09:52:00 ended -> closing yielded",
            "09:52:00 closing -> closed seen_closed",
        ]
    );
}

#[test]
fn an_extension_for_which_nothing_is_left_is_not_granted() {
    // It starts with the close; within the close delay, which stays; and before the end.
    for next in ["09:35:00", "09:32:00", "09:20:00"] {
        let mut story = story(next);
        story.until("12:00:00");
        assert_eq!(
            story.trace[4..],
            ["09:35:00 ended -> closing yielded", "09:35:00 closing -> closed seen_closed"],
            "{next}: never before the scheduled close"
        );
    }
}

#[test]
fn what_cannot_be_known_yields_like_what_is_known() {
    let mut story = story("09:52:00");
    story.occupancy = None;
    story.until("12:00:00");
    assert!(story.trace.contains(&"09:35:00 ended -> live occupancy_unknown".to_owned()));
    assert!(story.trace.contains(&"09:52:00 ended -> closing yielded".to_owned()), "{:?}", story.trace);
}

#[test]
fn an_empty_room_is_closed_for_being_empty() {
    let mut story = story("09:52:00");
    story.occupancy = Some(0);
    story.until("12:00:00");
    assert_eq!(story.trace[4], "09:35:00 ended -> closing empty");
}

#[test]
fn a_next_one_beyond_the_greatest_extension_changes_nothing() {
    let mut story = story("10:36:00");
    story.until("12:00:00");
    assert_eq!(story.trace[story.trace.len() - 2], "10:35:00 ended -> closing extension_used_up");
}

#[test]
fn with_yields_off_nobody_asks() {
    let mut story = story("09:52:00");
    story.policy.extend = story.policy.extend.map(|extend| Extend { yields: false, ..extend });
    story.until("12:00:00");
    assert_eq!(story.asked, 0);
    assert_eq!(story.trace[story.trace.len() - 2], "10:35:00 ended -> closing extension_used_up");
}

#[test]
fn it_is_asked_only_where_something_is_decided() {
    let mut story = story("11:00:00");
    story.until("09:34:59");
    assert_eq!(story.asked, 0, "a room that is not at its close");
    story.until("09:36:00");
    assert!((1..=3).contains(&story.asked), "{} times for one extension", story.asked);

    let mut story = Story::new();
    story.until("12:00:00");
    assert_eq!(story.asked, 0, "a room that is never extended");
}

#[test]
fn what_was_asked_is_asked_again_at_the_next_extension() {
    let mut story = story("09:52:00");
    story.until("09:40:00");
    assert_eq!(story.occurrence.yields_at, Some(at("09:52:00")));
    // The next one is cancelled.
    story.next = Next::Nothing;
    story.until("09:46:00");
    assert_eq!(story.occurrence.yields_at, None);
    assert_eq!(story.occurrence.ends_at(), at("09:50:00"));
}

#[test]
fn warnings_count_from_the_start_of_the_next_one() {
    let mut story = story("09:52:00");
    story.policy.warn.before = vec![minutes(5), minutes(1)];
    story.until("12:00:00");
    let told: Vec<_> = story.trace.iter().filter(|line| line.contains("told")).collect();
    assert_eq!(
        told,
        ["09:47:00 told: This room closes in 5 min.", "09:51:00 told: This room closes in 1 min."]
    );
}

#[test]
fn whoever_gets_no_extension_is_warned_in_time() {
    // Nothing was extended yet, so nobody would have asked before the close.
    let mut story = story("09:35:00");
    story.policy.warn.before = vec![minutes(5), minutes(1)];
    story.until("12:00:00");
    let told: Vec<_> = story.trace.iter().filter(|line| line.contains("told")).collect();
    assert_eq!(
        told,
        ["09:30:00 told: This room closes in 5 min.", "09:34:00 told: This room closes in 1 min."]
    );
}
