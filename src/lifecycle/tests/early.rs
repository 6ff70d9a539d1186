//! People who are in before the start.

use super::*;

#[test]
fn early_joiners_neither_shorten_nor_end_anything() {
    let mut story = Story::extending(10, 60);
    story.until("08:45:10");
    story.occupancy = Some(3);
    story.until("09:02:00");
    story.occupancy = Some(0);
    story.until("12:00:00").trace_is(&[
        "08:45:00 planned -> creating lead_reached",
        "08:45:00 creating -> ready created",
        "09:00:00 ready -> live start_reached",
        "09:30:00 live -> ended duration_over",
        "09:35:00 ended -> closing empty",
        "09:35:00 closing -> closed seen_closed",
    ]);
}

#[test]
fn early_joiners_are_seen_and_looked_after_until_the_start() {
    let mut story = Story::new();
    story.policy.create_ahead = TimeDelta::hours(1);
    story.happens(Event::Due);
    story.occupancy = Some(2);
    story.until("08:01:00");
    assert_eq!((story.occurrence.state, story.occurrence.occupancy), (State::Ready, Some(2)));
    // They go; that is noticed by the regular rhythm and not a minute before the start only.
    story.occupancy = Some(0);
    story.until("08:07:00");
    assert_eq!(story.occurrence.occupancy, Some(0));
    assert!(story.occurrence.was_occupied, "and that they came is remembered");
    let looks = story.calls.len();
    story.until("08:58:59");
    assert_eq!(story.calls.len(), looks, "an empty room that waits is left alone");
    story.until("08:59:00");
    assert_eq!(story.calls.len(), looks + 1, "until a minute before the start");
}

#[test]
fn nothing_that_is_seen_before_the_start_closes_a_room() {
    for sees in [
        vec![Ok(false), Ok(false), Ok(false)],
        vec![Err(FailureKind::NotFound); 3],
        vec![Err(FailureKind::Unknown); 9],
        vec![],
    ] {
        let mut story = Story::extending(10, 60);
        story.policy.no_show = Some(minutes(1));
        story.occupancy = Some(0);
        story.until("08:45:00");
        story.sees = sees;
        story.until("09:00:59");
        assert_eq!(story.occurrence.state, State::Live, "{:?}", story.trace);
        assert!(!story.trace.iter().any(|line| line.contains("closing")), "{:?}", story.trace);
        assert!(!story.calls.contains(&"close"));
    }
}
