//! Rooms that were gone, and for which another one was made.

use super::*;

/// The story of the old room, from the moment at which it is given up: 09:09 or so.
fn stray() -> Story {
    let mut story = Story::new();
    story.until("09:04:00");
    story.sees = vec![Err(FailureKind::NotFound), Err(FailureKind::NotFound)];
    let mut last = story.occurrence.clone();
    while story.occurrence.generation == 0 {
        last = story.occurrence.clone();
        story.meet_deadline();
    }
    let mut old = Story::new();
    old.now = story.now;
    old.occurrence = last.stray(story.now.wall).unwrap();
    old.wake_at = old.occurrence.retry_at;
    old.sees = vec![Err(FailureKind::NotFound); 1000];
    old
}

#[test]
fn a_room_that_stays_gone_is_looked_for_until_its_meeting_is_over() {
    let mut story = stray();
    story.until("09:34:59");
    assert!((5..=7).contains(&story.calls.len()), "every five minutes: {:?}", story.calls);
    assert!(story.trace.is_empty());
    story.until("12:00:00");
    assert_eq!(story.trace.len(), 1);
    assert!(story.trace[0].ends_with("closing -> closed room_gone"), "{:?}", story.trace);
    assert!(!story.calls.contains(&"close"), "what is not there is not closed");
}

#[test]
fn a_room_that_turns_up_with_nobody_in_it_is_closed() {
    let mut story = stray();
    story.until("09:15:00");
    story.sees = vec![Ok(true), Ok(false)];
    story.until("09:20:00");
    assert!(story.calls.ends_with(&["look", "close", "look"]), "{:?}", story.calls);
    assert!(story.trace[0].ends_with("closing -> closed seen_closed"), "{:?}", story.trace);
}

#[test]
fn a_room_that_turns_up_with_people_in_it_stays_to_its_end() {
    for occupancy in [Some(3), None] {
        let mut story = stray();
        story.until("09:15:00");
        story.occupancy = occupancy;
        story.sees = vec![Ok(true); 4];
        story.until("09:34:59");
        assert!(!story.calls.contains(&"close"), "{occupancy:?}: {:?}", story.calls);
        assert_eq!(story.occurrence.gone_since, None);
        story.sees = vec![Ok(true), Ok(false)];
        story.until("09:45:00");
        assert!(story.calls.ends_with(&["look", "close", "look"]), "{:?}", story.calls);
        assert_eq!(story.occurrence.state, State::Closed);
    }
}

#[test]
fn a_room_that_does_not_close_is_tried_again_with_pauses() {
    let mut story = stray();
    story.until("09:15:00");
    story.sees = vec![Ok(true); 1000];
    story.until("09:25:00");
    let closes = story.calls.iter().filter(|call| **call == "close").count();
    assert!((5..=20).contains(&closes), "{closes} tries");
    assert_eq!(story.occurrence.state, State::Closing);
}

#[test]
fn a_restart_looks_before_it_closes() {
    let mut story = stray();
    story.happens(Event::Restarted);
    story.occupancy = Some(1);
    story.sees = vec![Ok(true)];
    story.until("09:10:00");
    assert!(!story.calls.contains(&"close"), "{:?}", story.calls);
}

#[test]
fn a_failed_look_says_nothing_about_a_room_that_was_gone() {
    let mut story = stray();
    story.sees = vec![Err(FailureKind::Unknown); 1000];
    story.until("12:00:00");
    assert_eq!(story.occurrence.state, State::Closing, "not given up before it was seen");
    assert!(!story.calls.contains(&"close"));
}
