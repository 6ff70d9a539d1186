//! What one observation says, and for how long: nothing that cannot be undone follows from a single one, nor from two with
//! nobody looking between them.

use super::*;

/// Taken out of the schedule while its create is under way, whose answer is lost.
fn cancelled_while_creating() -> Story {
    let mut story = Story::new();
    story.now = Now::agreed(at("08:45:00"));
    let asked = step(&story.occurrence, Event::Due, &story.policy, story.now);
    assert_eq!(asked.call, Some(Call::Create));
    story.occurrence = asked.next;
    story.happens(Event::Removed);
    assert_eq!(story.occurrence.state, State::Closing);
    story
}

#[test]
fn a_room_that_comes_late_after_its_meeting_was_taken_out_is_found_and_closed() {
    let mut story = cancelled_while_creating();
    // The request is held up on its way for two minutes.
    story.find = vec![Some(false); 4];
    let lost = story.failure(FailureKind::Unknown);
    story.happens(Event::Answered(Answer::Create(Err(lost))));
    story.until("08:52:00");
    assert_eq!(story.calls, ["find", "find", "find", "find", "find", "close", "look"]);
    assert_eq!(story.occurrence.state, State::Cancelled);
}

#[test]
fn a_room_that_never_comes_is_looked_for_five_minutes_and_no_longer() {
    let mut story = cancelled_while_creating();
    story.find = vec![Some(false); 60];
    let lost = story.failure(FailureKind::Unknown);
    story.happens(Event::Answered(Answer::Create(Err(lost))));
    story.until("08:49:59");
    assert_eq!(story.occurrence.state, State::Closing);
    story.until("08:50:35");
    assert_eq!(story.occurrence.state, State::Cancelled);
    assert!((8..=12).contains(&story.calls.len()), "{:?}", story.calls);
}

#[test]
fn a_room_may_still_come_when_it_was_not_found_and_the_next_create_was_refused() {
    for kind in [FailureKind::NotDone, FailureKind::Rejected] {
        let mut story = Story::new();
        story.create = vec![Err(FailureKind::Unknown), Err(kind)];
        story.find = vec![Some(false), Some(false)];
        story.until("08:45:04");
        assert!(story.calls.starts_with(&["create", "find", "create"]), "{kind:?}: {:?}", story.calls);
        // What of the first create comes now is nobody's, unless it is looked for.
        story.happens(Event::Removed);
        story.until("08:52:00");
        assert!(story.calls.ends_with(&["find", "close", "look"]), "{kind:?}: {:?}", story.calls);
    }
}

#[test]
fn after_a_close_one_no_such_room_is_not_believed() {
    for (sees, closes, closed_at) in [
        // A lie, and the room is open: the close was not taken.
        (vec![Err(FailureKind::NotFound), Ok(true)], 2, "09:35:14"),
        (vec![Err(FailureKind::NotFound), Err(FailureKind::NotFound)], 1, "09:35:10"),
        // The provider knows the room, and that it is closed.
        (vec![Ok(false)], 1, "09:35:00"),
    ] {
        let mut story = Story::new();
        story.until("09:34:30");
        story.calls.clear();
        story.sees.clone_from(&sees);
        story.until("09:40:00");
        assert_eq!(story.occurrence.state, State::Closed, "{sees:?}");
        assert_eq!(story.calls.iter().filter(|call| **call == "close").count(), closes, "{sees:?}");
        let end = story.trace.last().unwrap();
        assert!(end.as_str() <= closed_at || end.starts_with(closed_at), "{sees:?}: {end}");
        assert!(end.as_str() >= "09:35:00", "{sees:?}: {end}");
    }
}

#[test]
fn a_room_seen_empty_before_the_daemon_was_down_is_not_closed_on_one_look_after_it() {
    let mut story = Story::extending(10, 60);
    story.until("09:05:00");
    assert_eq!(story.occurrence.occupancy, Some(0));
    // Down for half an hour; people came. The first look after it brings an old copy.
    story.now = Now::agreed(at("09:36:00"));
    story.happens(Event::Restarted);
    story.until("09:36:05");
    assert_eq!(story.calls.last(), Some(&"look"));
    story.occupancy = Some(4);
    story.until("09:37:00");
    assert!(!story.calls.contains(&"close"), "{:?}", story.trace);
    assert_eq!(story.occurrence.state, State::Live, "{:?}", story.trace);
}
