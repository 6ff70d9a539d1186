//! Sentence by sentence: what is promised about closing, and about looking again.

use super::*;

/// What the looks bring, one after the other.
type Looks = Vec<Result<bool, FailureKind>>;

fn closed_at(story: &Story) -> &str {
    story.trace.iter().find(|line| line.contains("-> closing")).map_or("never", |line| &line[..8])
}

// "Nobody is thrown out by mistake."

#[test]
fn before_the_scheduled_close_nothing_closes_a_room() {
    // What the looks say from the start on.
    let worlds: [(Option<u32>, Looks); 6] = [
        (Some(0), vec![]),
        (None, vec![]),
        (Some(5), vec![]),
        (Some(0), vec![Err(FailureKind::NotFound); 200]),
        (Some(0), vec![Err(FailureKind::Unknown); 200]),
        (Some(0), vec![Err(FailureKind::Rejected); 200]),
    ];
    for (occupancy, sees) in worlds {
        for mut story in [Story::new(), Story::extending(10, 60)] {
            story.until("08:59:59");
            story.occupancy = occupancy;
            story.sees.clone_from(&sees);
            story.until("09:34:59");
            assert_eq!(closed_at(&story), "never", "{occupancy:?} {:?}", story.trace);
            assert!(!story.calls.contains(&"close"), "{occupancy:?}");
        }
    }
}

#[test]
fn occupied_and_unknown_extend_within_the_greatest_extension() {
    for (occupancy, reason) in [(Some(1), "occupied"), (Some(900), "occupied"), (None, "occupancy_unknown")] {
        let mut story = Story::extending(10, 60);
        story.occupancy = occupancy;
        story.until("12:00:00");
        let extensions = story.trace.iter().filter(|line| line.ends_with(reason)).count();
        assert_eq!(extensions, 6, "{:?}", story.trace);
        assert_eq!(closed_at(&story), "10:35:00");
    }
}

#[test]
fn each_failed_look_is_unknown() {
    for kind in [FailureKind::NotDone, FailureKind::Unknown, FailureKind::Rejected] {
        let mut story = Story::extending(10, 60);
        story.until("09:34:00");
        story.sees = vec![Err(kind); 40];
        story.until("09:36:00");
        assert_eq!(story.trace.last().unwrap(), "09:35:00 ended -> live occupancy_unknown", "{kind:?}");
    }
}

#[test]
fn empty_closes_on_two_looks_apart_in_time_and_not_on_one() {
    let mut story = Story::extending(10, 60);
    story.occupancy = Some(4);
    story.until("09:34:55");
    story.occupancy = Some(0);
    story.until("09:35:09");
    assert_eq!(closed_at(&story), "never", "seen empty once");
    story.until("09:35:10");
    assert_eq!(closed_at(&story), "09:35:10");
}

#[test]
fn somebody_who_comes_back_between_two_looks_keeps_the_room() {
    let mut story = Story::extending(10, 60);
    story.occupancy = Some(4);
    story.until("09:34:55");
    story.occupancy = Some(0);
    story.until("09:35:05");
    story.occupancy = Some(1);
    story.until("09:36:00");
    assert_eq!(story.trace.last().unwrap(), "09:35:10 ended -> live occupied");
}

#[test]
fn a_failed_look_between_two_empty_ones_makes_them_begin_anew() {
    let mut story = Story::extending(10, 60);
    story.occupancy = Some(4);
    story.until("09:34:55");
    story.occupancy = Some(0);
    story.until("09:35:05");
    story.sees = vec![Err(FailureKind::NotDone)];
    story.until("09:35:10");
    assert_eq!(story.trace.last().unwrap(), "09:35:10 ended -> live occupancy_unknown");
}

#[test]
fn without_extension_a_room_is_closed_at_its_time_whoever_is_in_it() {
    for occupancy in [Some(0), Some(7), None] {
        let mut story = Story::new();
        story.occupancy = occupancy;
        story.until("12:00:00");
        assert_eq!(closed_at(&story), "09:35:00");
    }
}

#[test]
fn each_step_moves_the_end_by_the_step_and_the_last_one_by_what_is_left() {
    for (step, max, ends) in [
        (10, 25, vec!["09:40", "09:50", "09:55"]),
        (10, 10, vec!["09:40"]),
        (7, 20, vec!["09:37", "09:44", "09:50"]),
    ] {
        let mut story = Story::extending(step, max);
        story.occupancy = Some(1);
        let mut seen = vec![];
        while story.occurrence.state != State::Closed {
            story.meet_deadline();
            let end = story.occurrence.ends_at().format("%H:%M").to_string();
            if end != "09:30" && seen.last() != Some(&end) {
                seen.push(end);
            }
        }
        assert_eq!(seen, ends, "step {step}, max {max}");
        let closed = at("09:35:00") + minutes(max);
        assert_eq!(closed_at(&story), closed.format("%H:%M:%S").to_string());
    }
}

#[test]
fn after_down_time_all_steps_that_are_due_are_made_at_once() {
    let mut story = Story::extending(10, 60);
    story.occupancy = Some(1);
    story.until("09:10:00");
    story.now = Now::agreed(at("09:58:00"));
    story.happens(Event::Restarted);
    story.until("09:58:30");
    assert_eq!(story.occurrence.extended_by, minutes(30));
    assert_eq!(closed_at(&story), "never", "not even for an instant");
}

#[test]
fn a_room_is_taken_as_gone_on_two_definite_looks_apart_in_time_only() {
    use FailureKind::{NotDone, NotFound, Unknown};
    // What the looks say, and whether that makes another room.
    for (sees, is_gone) in [
        (vec![Err(NotFound)], false),
        (vec![Err(NotFound), Err(NotFound)], true),
        (vec![Err(NotFound), Ok(true), Err(NotFound)], false),
        (vec![Err(NotFound), Err(Unknown), Err(NotFound)], true),
        (vec![Err(Unknown), Err(NotDone), Err(Unknown)], false),
    ] {
        let mut story = Story::new();
        story.until("09:04:00");
        story.sees.clone_from(&sees);
        while !story.sees.is_empty() {
            story.meet_deadline();
        }
        story.sees = vec![Ok(true)];
        assert_eq!(story.occurrence.generation, u32::from(is_gone), "{sees:?}: {:?}", story.trace);
    }
}

// "A close is not done until it is seen."

#[test]
fn a_close_is_repeated_while_the_room_is_seen_open_or_not_seen_at_all() {
    for sees in [
        vec![Ok(true), Ok(true), Ok(false)],
        vec![Err(FailureKind::Unknown), Err(FailureKind::NotDone), Ok(false)],
        vec![Ok(true), Err(FailureKind::Rejected), Ok(false)],
    ] {
        let mut story = Story::new();
        story.until("09:34:59");
        story.sees.clone_from(&sees);
        story.until("09:35:00");
        assert_eq!(story.occurrence.state, State::Closing, "{sees:?}");
        story.until("09:45:00");
        assert_eq!(story.trace.last().unwrap()[8..], *" closing -> closed seen_closed", "{sees:?}");
    }
}

#[test]
fn a_room_that_cannot_be_closed_is_never_forgotten() {
    let mut story = Story::new();
    story.until("09:34:59");
    story.sees = vec![Ok(true); 10_000];
    story.until("14:00:00");
    assert_eq!(story.occurrence.state, State::Closing);
    assert!(story.occurrence.attempts > 100 && story.occurrence.last_error.is_some());
    story.sees.clear();
    story.until("14:05:00");
    assert_eq!(story.occurrence.state, State::Closed);
}

#[test]
fn a_room_that_is_missing_when_it_is_to_be_closed_counts_as_closed() {
    let mut story = Story::new();
    story.until("09:34:59");
    story.sees = vec![Err(FailureKind::NotFound)];
    story.until("09:36:00");
    assert_eq!(story.occurrence.state, State::Closed);
}

// "Look again."

#[test]
fn a_room_is_looked_at_soon_after_it_was_made_before_its_start_and_in_a_rhythm() {
    let mut story = Story::new();
    let mut looks = vec![];
    while story.occurrence.state != State::Closing && story.occurrence.state != State::Closed {
        let before = story.calls.iter().filter(|call| **call == "look").count();
        story.meet_deadline();
        if story.calls.iter().filter(|call| **call == "look").count() > before {
            looks.push(story.now.wall.format("%H:%M:%S").to_string());
        }
    }
    assert_eq!(
        looks,
        [
            "08:45:30", "08:59:00", "09:04:00", "09:09:00", "09:14:00", "09:19:00", "09:24:00", "09:29:00",
            "09:34:00"
        ]
    );
}

#[test]
fn a_room_that_the_provider_only_promised_is_made_again() {
    let mut story = Story::new();
    story.until("08:45:00");
    story.sees = vec![Err(FailureKind::NotFound), Err(FailureKind::NotFound)];
    story.until("08:46:00");
    assert_eq!((story.occurrence.state, story.occurrence.generation), (State::Ready, 1));
    assert_eq!(story.calls.iter().filter(|call| **call == "create").count(), 2);
}
