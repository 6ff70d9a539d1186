//! Warnings before the close.

use super::*;

/// From 09:00 to 09:30, closed at 09:35, with warnings five minutes and one minute before.
fn story() -> Story {
    warned(Story::new())
}

fn warned(mut story: Story) -> Story {
    story.policy.warn.before = vec![minutes(5), minutes(1)];
    story.occupancy = Some(2);
    story
}

fn told(story: &Story) -> Vec<&str> {
    let is_warning =
        |line: &&str| line.contains("told") || line.contains("InLog") || line.contains("TooLate");
    story.trace.iter().map(String::as_str).filter(is_warning).collect()
}

#[test]
fn people_are_warned_before_they_have_to_leave() {
    let mut story = story();
    story.until("12:00:00").trace_is(&[
        "08:45:00 planned -> creating lead_reached",
        "08:45:00 creating -> ready created",
        "09:00:00 ready -> live start_reached",
        "09:30:00 live -> ended duration_over",
        "09:30:00 told: This room closes in 5 min.",
        "09:34:00 told: This room closes in 1 min.",
        "09:35:00 ended -> closing close_delay_over",
        "09:35:00 closing -> closed seen_closed",
    ]);
}

#[test]
fn a_room_that_is_extended_is_warned_of_its_last_close_only() {
    let mut story = warned(Story::extending(10, 25));
    story.until("12:00:00");
    assert_eq!(
        told(&story),
        ["09:55:00 told: This room closes in 5 min.", "09:59:00 told: This room closes in 1 min."]
    );
    assert_eq!(story.trace[story.trace.len() - 2], "10:00:00 ended -> closing extension_used_up");
}

#[test]
fn a_room_that_is_empty_at_its_close_was_not_warned() {
    let mut story = warned(Story::extending(10, 60));
    story.occupancy = Some(0);
    story.until("12:00:00");
    assert!(told(&story).is_empty(), "{:?}", story.trace);
}

#[test]
fn a_later_end_arms_the_warnings_again_and_an_earlier_one_repeats_none() {
    let mut story = story();
    story.until("09:31:00");
    assert_eq!(told(&story).len(), 1);
    let later = Times { starts_at: at("09:00:00"), ends_at: at("09:45:00") };
    story.happens(Event::Rescheduled { times: later, is_changed: false });
    story.until("09:46:00");
    assert_eq!(told(&story)[1..], ["09:45:00 told: This room closes in 5 min."]);
    // At 09:46, to end at 09:43: closed at 09:48, which leaves time for the short warning.
    let earlier = Times { starts_at: at("09:00:00"), ends_at: at("09:43:00") };
    story.happens(Event::Rescheduled { times: earlier, is_changed: false });
    story.until("12:00:00");
    assert_eq!(told(&story)[2..], ["09:47:00 told: This room closes in 1 min."]);
}

#[test]
fn a_warning_whose_answer_is_lost_or_that_fails_is_not_repeated_and_endangers_nothing() {
    for kind in [FailureKind::Unknown, FailureKind::NotDone, FailureKind::Rejected, FailureKind::NotFound] {
        let mut story = story();
        story.announce = vec![kind; 10];
        story.until("12:00:00");
        assert_eq!(story.calls.iter().filter(|call| **call == "announce").count(), 2, "{kind:?}");
        assert_eq!(story.trace.last().unwrap(), "09:35:00 closing -> closed seen_closed", "{kind:?}");
        assert_eq!(story.occurrence.last_error, None, "{kind:?}");
    }
}

#[test]
fn a_restart_repeats_no_warning() {
    let mut story = story();
    story.until("09:29:59");
    story.now = Now::agreed(at("09:30:00"));
    let surroundings = Surroundings { next: Next::NotAsked, can_announce: Some(true) };
    let sent = step_among(&story.occurrence, Event::Due, &story.policy, story.now, surroundings);
    assert_eq!(sent.call, Some(Call::Announce));
    story.occurrence = sent.next;
    story.happens(Event::Restarted);
    story.until("09:33:00");
    assert!(!story.calls.contains(&"announce"));
}

#[test]
fn a_late_warning_is_given_while_it_is_nearly_true_and_else_not() {
    // When the daemon comes back, and what is told.
    for (back, expected) in [
        ("09:31:00", vec!["09:31:00 told: This room closes in 4 min."]),
        ("09:32:30", vec!["09:32:30 told: This room closes in 3 min."]),
        ("09:32:31", vec!["09:32:31 TooLate 5 min"]),
        ("09:34:20", vec!["09:34:20 told: This room closes in 1 min."]),
        ("09:34:31", vec!["09:34:31 TooLate 1 min"]),
    ] {
        let mut story = story();
        story.until("09:29:00");
        story.now = Now::agreed(at(back));
        story.happens(Event::Restarted);
        story.until(back);
        assert_eq!(told(&story), expected, "{back}");
    }
}

#[test]
fn a_warning_waits_for_its_provider_but_not_for_longer_than_it_is_true() {
    let mut story = story();
    story.until("09:29:59");
    for time in ["09:30:00", "09:31:00", "09:32:30"] {
        story.now = Now::agreed(at(time));
        // No call can be made: the provider is busy.
        story.happens(Event::Tick);
        assert!(told(&story).is_empty(), "{time}");
    }
    story.now = Now::agreed(at("09:32:31"));
    story.happens(Event::Tick);
    assert_eq!(told(&story), ["09:32:31 TooLate 5 min"]);
}

#[test]
fn where_a_room_cannot_be_told_the_log_is() {
    let mut story = story();
    story.can_announce = Some(false);
    story.until("12:00:00");
    assert_eq!(told(&story), ["09:30:00 InLog 5 min", "09:34:00 InLog 1 min"]);
    assert!(!story.calls.contains(&"announce"));
}

#[test]
fn before_the_provider_is_known_a_warning_waits() {
    let mut story = story();
    story.until("09:29:59");
    story.can_announce = None;
    story.now = Now::agreed(at("09:30:30"));
    story.happens(Event::Restarted);
    assert!(told(&story).is_empty());
    story.can_announce = Some(true);
    story.until("09:31:00");
    assert_eq!(told(&story), ["09:30:30 told: This room closes in 5 min."]);
}

#[test]
fn a_clock_set_ahead_warns_of_nothing_too_early() {
    let mut story = story();
    story.until("09:10:00");
    story.until_ahead("09:29:00", minutes(30));
    assert!(told(&story).is_empty(), "{:?}", story.trace);
    story.until_ahead("09:36:00", minutes(30));
    assert_eq!(told(&story).len(), 2, "{:?}", story.trace);
}

#[test]
fn the_text_says_the_minutes_that_are_left() {
    let warn = Warn { before: vec![], text: "Noch {minutes} Minuten ({minutes})".to_owned() };
    assert_eq!(warn.text_for(TimeDelta::seconds(299)), "Noch 5 Minuten (5)");
    assert_eq!(warn.text_for(TimeDelta::seconds(89)), "Noch 1 Minuten (1)");
    assert_eq!(warn.text_for(TimeDelta::seconds(-5)), "Noch 1 Minuten (1)");
}
