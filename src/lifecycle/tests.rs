//! Stories of occurrences, told as the changes that a person would list.

mod boundaries;
mod close;
mod doubt;
mod early;
mod no_show;
mod stray;
mod warnings;
mod yields;

use super::*;
use chrono::{DateTime, TimeDelta, Utc};

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-23T{text}Z").parse().unwrap()
}

fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}

/// One occurrence from 09:00 to 09:30, lead 15 min, close delay 5 min, and a provider that answers at once.
struct Story {
    occurrence: Occurrence,
    policy: Policy,
    now: Now,
    wake_at: Option<DateTime<Utc>>,
    /// What the next calls bring; when used up, everything succeeds.
    create: Vec<Result<(), FailureKind>>,
    find: Vec<Option<bool>>,
    occupancy: Option<u32>,
    sees: Vec<Result<bool, FailureKind>>,
    update: Vec<FailureKind>,
    announce: Vec<FailureKind>,
    /// What comes next on the same seat, for whoever asks.
    next: Next,
    /// How often that was asked.
    asked: usize,
    can_announce: Option<bool>,
    calls: Vec<&'static str>,
    /// Besides changes of state, the warnings that the log would tell of.
    trace: Vec<String>,
}

impl Story {
    fn new() -> Self {
        let occurrence = Occurrence::planned(Times { starts_at: at("09:00:00"), ends_at: at("09:30:00") });
        Self {
            occurrence,
            policy: Policy {
                create_ahead: minutes(15),
                close_delay: minutes(5),
                extend: None,
                on_removed: OnRemoved::Finish,
                look_every: minutes(5),
                no_show: None,
                warn: Warn::default(),
            },
            now: Now::agreed(at("08:00:00")),
            wake_at: Some(at("08:45:00")),
            create: vec![],
            find: vec![],
            occupancy: Some(0),
            sees: vec![],
            update: vec![],
            announce: vec![],
            next: Next::Nothing,
            asked: 0,
            can_announce: Some(true),
            calls: vec![],
            trace: vec![],
        }
    }

    fn extending(step: i64, max: i64) -> Self {
        let mut story = Self::new();
        story.policy.extend = Some(Extend { step: minutes(step), max: minutes(max), yields: true });
        story
    }

    fn happens(&mut self, event: Event) {
        let is_asked = asks_for_next(&self.occurrence, &event, &self.policy, self.now);
        self.asked += usize::from(is_asked);
        let next = if is_asked { self.next } else { Next::NotAsked };
        let surroundings = Surroundings { next, can_announce: self.can_announce };
        let transition = step_among(&self.occurrence, event, &self.policy, self.now, surroundings);
        for change in &transition.changes {
            let time = self.now.wall.format("%H:%M:%S");
            self.trace.push(if change.from == change.to {
                format!("{time} {} {}", change.to, change.reason)
            } else {
                format!("{time} {} -> {} {}", change.from, change.to, change.reason)
            });
        }
        self.occurrence = transition.next;
        self.wake_at = transition.wake_at;
        if let Some(warning) = transition.warning {
            let time = self.now.wall.format("%H:%M:%S");
            self.trace.push(format!("{time} {:?} {} min", warning.warned, warning.before.num_minutes()));
        }
        if let Some(call) = transition.call {
            let answer = self.call(call);
            self.happens(Event::Answered(answer));
        }
    }

    fn failure(&self, kind: FailureKind) -> Failure {
        let retry_at = self.now.wall + backoff(self.occurrence.attempts + 1, 0);
        Failure { kind, message: format!("{kind:?}"), retry_at }
    }

    fn call(&mut self, call: Call) -> Answer {
        self.calls.push(call.as_str());
        let room =
            Room { id: format!("r{}", self.occurrence.generation), join_url: String::new(), host_url: None };
        let next = |list: &mut Vec<_>| if list.is_empty() { None } else { Some(list.remove(0)) };
        match call {
            Call::Create => Answer::Create(match next(&mut self.create) {
                Some(Err(kind)) => Err(self.failure(kind)),
                Some(Ok(())) | None => Ok(room),
            }),
            Call::Find => {
                Answer::Find(match if self.find.is_empty() { Some(true) } else { self.find.remove(0) } {
                    Some(is_there) => Ok(is_there.then_some(room)),
                    None => Err(self.failure(FailureKind::NotDone)),
                })
            }
            Call::Look => {
                let is_open = self.occurrence.state != State::Closing;
                let seen = if self.sees.is_empty() { Ok(is_open) } else { self.sees.remove(0) };
                Answer::Look(match seen {
                    Ok(is_open) => Ok(Sight { is_open, occupancy: self.occupancy }),
                    Err(kind) => Err(self.failure(kind)),
                })
            }
            Call::Update => Answer::Update(match self.update.pop() {
                Some(kind) => Err(self.failure(kind)),
                None => Ok(room),
            }),
            Call::Close => Answer::Close(Ok(())),
            Call::Announce => {
                let left = self.occurrence.last_close(&self.policy) - self.now.wall;
                let time = self.now.wall.format("%H:%M:%S");
                self.trace.push(format!("{time} told: {}", self.policy.warn.text_for(left)));
                Answer::Announce(match self.announce.pop() {
                    Some(kind) => Err(self.failure(kind)),
                    None => Ok(()),
                })
            }
        }
    }

    /// Lets time pass up to the next deadline.
    fn meet_deadline(&mut self) {
        self.now = Now::agreed(self.now.wall.max(self.wake_at.expect("something is due")));
        self.happens(Event::Due);
    }

    /// Lets time pass, from deadline to deadline.
    fn until(&mut self, time: &str) -> &mut Self {
        let mut turns = 0;
        while let Some(wake_at) = self.wake_at.filter(|wake_at| *wake_at <= at(time)) {
            self.now = Now::agreed(self.now.wall.max(wake_at));
            self.happens(Event::Due);
            turns += 1;
            assert!(turns < 1000, "no progress at {}: {:?}", self.now.wall, self.occurrence);
        }
        self.now = Now::agreed(at(time));
        self
    }

    /// Lets time pass up to `settled`, with a wall clock that was set ahead by `ahead`.
    fn until_ahead(&mut self, settled: &str, ahead: TimeDelta) {
        let mut turns = 0;
        while let Some(wake_at) = self.wake_at.filter(|wake_at| *wake_at <= at(settled) + ahead) {
            let settled = self.now.settled.max(wake_at - ahead);
            self.now = Now { wall: settled + ahead, settled };
            self.happens(Event::Due);
            turns += 1;
            assert!(turns < 1000, "no progress at {}: {:?}", self.now.wall, self.occurrence);
        }
        self.now = Now { wall: at(settled) + ahead, settled: at(settled) };
    }

    #[track_caller]
    fn trace_is(&self, expected: &[&str]) {
        assert_eq!(self.trace, expected);
    }
}

#[test]
fn a_plain_meeting_is_opened_ahead_ended_and_closed_on_time() {
    let mut story = Story::new();
    story.occupancy = Some(12);
    story.until("12:00:00").trace_is(&[
        "08:45:00 planned -> creating lead_reached",
        "08:45:00 creating -> ready created",
        "09:00:00 ready -> live start_reached",
        "09:30:00 live -> ended duration_over",
        "09:35:00 ended -> closing close_delay_over",
        "09:35:00 closing -> closed seen_closed",
    ]);
    assert_eq!(story.wake_at, None);
    assert_eq!(story.calls.iter().filter(|call| **call == "create").count(), 1);
}

#[test]
fn an_empty_room_is_closed_on_time_after_two_looks() {
    let mut story = Story::extending(10, 60);
    story.until("12:00:00");
    assert_eq!(
        story.trace[3..],
        [
            "09:30:00 live -> ended duration_over",
            "09:35:00 ended -> closing empty",
            "09:35:00 closing -> closed seen_closed",
        ]
    );
}

#[test]
fn people_in_the_room_move_its_end_until_the_greatest_extension() {
    let mut story = Story::extending(10, 25);
    story.occupancy = Some(2);
    story.until("12:00:00");
    assert_eq!(
        story.trace[3..],
        [
            "09:30:00 live -> ended duration_over",
            "09:35:00 ended -> live occupied",
            "09:40:00 live -> ended duration_over",
            "09:45:00 ended -> live occupied",
            "09:50:00 live -> ended duration_over",
            "09:55:00 ended occupied",
            "10:00:00 ended -> closing extension_used_up",
            "10:00:00 closing -> closed seen_closed",
        ]
    );
    assert_eq!(
        story.calls.iter().filter(|call| **call == "update").count(),
        3,
        "the provider is told each new end"
    );
}

#[test]
fn a_failed_look_never_closes_a_room_that_may_be_extended() {
    let mut story = Story::extending(10, 60);
    story.until("09:34:00");
    story.sees = vec![Err(FailureKind::NotDone); 8];
    story.until("09:35:59");
    assert_eq!(story.trace.last().unwrap(), "09:35:00 ended -> live occupancy_unknown");
}

#[test]
fn one_empty_look_after_people_were_there_is_confirmed_before_the_room_is_closed() {
    let mut story = Story::extending(10, 60);
    story.occupancy = Some(1);
    story.until("09:34:55");
    story.occupancy = Some(0);
    story.until("12:00:00");
    assert_eq!(story.trace[4], "09:35:10 ended -> closing empty");
}

#[test]
fn a_lost_create_reply_does_not_make_a_second_room() {
    let mut story = Story::new();
    story.create = vec![Err(FailureKind::Unknown)];
    story.until("09:00:00");
    assert_eq!(story.calls[..2], ["create", "find"]);
    assert_eq!(story.trace[1], "08:45:01 creating -> ready found_by_marker");
    assert!(story.calls.contains(&"update"), "the room that was found is brought in line");
}

#[test]
fn a_create_whose_room_is_not_found_is_made_again() {
    let mut story = Story::new();
    story.create = vec![Err(FailureKind::Unknown)];
    story.find = vec![None, Some(false)];
    story.until("09:00:00");
    assert_eq!(story.calls[..4], ["create", "find", "find", "create"]);
    assert_eq!(story.occurrence.state, State::Live);
}

#[test]
fn a_refused_create_fails_and_an_edit_of_the_meeting_tries_again() {
    let mut story = Story::new();
    story.create = vec![Err(FailureKind::Rejected)];
    story
        .until("08:50:00")
        .trace_is(&["08:45:00 planned -> creating lead_reached", "08:45:00 creating -> failed rejected"]);
    let times = story.occurrence.times;
    story.happens(Event::Rescheduled { times, is_changed: true });
    story.until("08:55:00");
    assert_eq!(
        story.trace[2..],
        [
            "08:50:00 failed -> planned rescheduled",
            "08:50:00 planned -> creating late",
            "08:50:00 creating -> ready created",
        ]
    );
    assert_eq!(story.occurrence.generation, 1);
}

#[test]
fn an_outage_is_retried_until_the_meeting_is_over() {
    let mut story = Story::new();
    story.create = vec![Err(FailureKind::NotDone); 1000];
    story.until("12:00:00");
    assert_eq!(story.trace.last().unwrap(), "09:30:00 creating -> failed window_over");
    assert!((15..60).contains(&story.calls.len()), "{} tries in 45 minutes", story.calls.len());
    assert_eq!(story.occurrence.last_error.as_deref(), Some("NotDone"));
}

#[test]
fn a_create_of_unknown_outcome_is_cleaned_up_when_its_time_is_over() {
    let mut story = Story::new();
    story.create = vec![Err(FailureKind::Unknown)];
    story.find = vec![None; 40];
    story.until("09:31:00");
    assert_eq!(story.occurrence.state, State::Closing);
    story.find = vec![Some(true)];
    story.until("09:40:00");
    assert_eq!(story.trace[1..], ["09:30:00 creating -> closing window_over", story.trace[2].as_str(),]);
    assert_eq!(story.occurrence.state, State::Failed);
    assert!(story.calls.ends_with(&["find", "close", "look"]));
}

#[test]
fn a_meeting_slept_through_is_missed_and_one_still_open_is_opened_late() {
    let mut story = Story::new();
    story.now = Now::agreed(at("09:40:00"));
    story.happens(Event::Due);
    story.trace_is(&["09:40:00 planned -> missed window_over"]);

    let mut story = Story::new();
    story.now = Now::agreed(at("09:20:00"));
    story.happens(Event::Due);
    story.trace_is(&[
        "09:20:00 planned -> creating late",
        "09:20:00 creating -> ready created",
        "09:20:00 ready -> live start_reached",
    ]);
}

#[test]
fn a_wall_clock_that_jumps_ahead_opens_but_neither_ends_closes_nor_gives_up() {
    let mut story = Story::new();
    story.until("08:50:00");
    story.now = Now { wall: at("10:50:00"), settled: at("08:50:00") };
    story.happens(Event::Due);
    assert_eq!(story.occurrence.state, State::Live);
    // The end is due when the boot clock has reached it: the wall clock shows two hours more by then.
    assert!(story.wake_at.is_some_and(|wake_at| wake_at <= at("11:30:00")));
    story.now = Now { wall: at("11:35:00"), settled: at("09:35:00") };
    story.happens(Event::Due);
    assert_eq!(story.occurrence.state, State::Closing);

    let mut story = Story::new();
    story.now = Now { wall: at("10:50:00"), settled: at("08:50:00") };
    story.happens(Event::Due);
    assert_eq!(story.occurrence.state, State::Live, "a jump never makes a meeting missed");
}

#[test]
fn a_room_that_waits_for_its_close_by_the_settled_clock_is_not_looked_at_without_pause() {
    let mut story = Story::extending(10, 60);
    story.until("09:31:00");
    let calls = story.calls.len();
    story.until_ahead("09:34:30", minutes(20));
    assert!(story.calls.len() - calls <= 3, "{:?}", &story.calls[calls..]);
    // People come in before the room is closed: that is seen, although they were not there before.
    story.occupancy = Some(2);
    story.until_ahead("09:36:00", minutes(20));
    assert_eq!(story.trace.last().unwrap(), "09:55:00 ended -> live occupied");
}

#[test]
fn a_wall_clock_that_jumps_back_takes_nothing_back() {
    let mut story = Story::new();
    story.until("09:10:00");
    story.now = Now::agreed(at("07:10:00"));
    story.happens(Event::Due);
    assert_eq!(story.occurrence.state, State::Live);
    story.until("12:00:00");
    assert_eq!(story.occurrence.state, State::Closed);
    assert_eq!(story.calls.iter().filter(|call| **call == "create").count(), 1);
}

#[test]
fn a_room_that_is_gone_twice_is_made_again_and_once_is_not_believed() {
    let mut story = Story::new();
    story.until("09:04:00");
    story.sees = vec![Err(FailureKind::NotFound), Ok(true)];
    story.until("09:12:00");
    assert_eq!(story.occurrence.generation, 0);
    story.sees = vec![Err(FailureKind::NotFound), Err(FailureKind::Unknown), Err(FailureKind::NotFound)];
    story.until("09:20:00");
    assert_eq!(
        story.trace[3..],
        [story.trace[3].as_str(), story.trace[4].as_str(), story.trace[5].as_str(),]
    );
    assert!(story.trace[3].ends_with("live -> creating room_gone"));
    assert_eq!((story.occurrence.state, story.occurrence.generation), (State::Live, 1));
}

#[test]
fn a_meeting_ended_by_hand_stays_ended() {
    let mut story = Story::new();
    story.until("09:04:00");
    story.sees = vec![Ok(false), Ok(false)];
    story.until("12:00:00");
    assert!(story.trace.last().unwrap().ends_with("live -> closed closed_on_provider"));
}

#[test]
fn removal_cancels_what_has_not_begun_and_closes_its_room() {
    let mut story = Story::new();
    story.happens(Event::Removed);
    story.trace_is(&["08:00:00 planned -> cancelled removed"]);

    let mut story = Story::new();
    story.until("08:50:00");
    story.happens(Event::Removed);
    story.until("08:51:00");
    assert_eq!(
        story.trace[2..],
        ["08:50:00 ready -> closing removed", "08:50:00 closing -> cancelled removed",]
    );
}

#[test]
fn removal_of_a_live_meeting_lets_people_finish() {
    let mut story = Story::new();
    story.occupancy = Some(3);
    story.until("09:10:00");
    story.happens(Event::Removed);
    story.until("09:20:00");
    assert_eq!(story.occurrence.state, State::Live);
    story.occupancy = Some(0);
    story.until("12:00:00");
    assert!(story.trace[3].ends_with("live -> closing removed"), "{:?}", story.trace);
    assert_eq!(story.occurrence.state, State::Cancelled);

    let mut story = Story::new();
    story.policy.on_removed = OnRemoved::Close;
    story.occupancy = Some(3);
    story.until("09:10:00");
    story.happens(Event::Removed);
    story.until("09:10:01");
    assert_eq!(story.trace[3], "09:10:00 live -> closing removed");
}

#[test]
fn a_meeting_removed_while_its_create_is_out_leaves_no_room_behind() {
    let mut story = Story::new();
    story.now = Now::agreed(at("08:45:00"));
    let transition = step(&story.occurrence, Event::Due, &story.policy, story.now);
    assert_eq!(transition.call, Some(Call::Create));
    story.occurrence = transition.next;
    story.happens(Event::Removed);
    assert_eq!(story.occurrence.state, State::Closing);
    let room = Room { id: "r0".into(), join_url: String::new(), host_url: None };
    story.happens(Event::Answered(Answer::Create(Ok(room))));
    story.until("08:46:00");
    assert_eq!(story.calls, ["close", "look"]);
    assert_eq!(story.occurrence.state, State::Cancelled);
}

#[test]
fn a_removed_meeting_that_comes_back_gets_a_room_of_its_own_again() {
    let mut story = Story::new();
    story.until("08:50:00");
    story.happens(Event::Removed);
    story.until("08:51:00");
    let times = story.occurrence.times;
    story.happens(Event::Rescheduled { times, is_changed: false });
    story.until("08:55:00");
    assert_eq!((story.occurrence.state, story.occurrence.generation), (State::Ready, 1));
}

#[test]
fn a_moved_meeting_keeps_its_room_and_the_room_is_told() {
    let mut story = Story::new();
    story.until("09:10:00");
    let times = Times { starts_at: at("11:00:00"), ends_at: at("11:30:00") };
    story.happens(Event::Rescheduled { times, is_changed: false });
    story.until("12:00:00");
    assert_eq!(
        story.trace[3..6],
        [
            "09:10:00 live -> ready rescheduled",
            "11:00:00 ready -> live start_reached",
            "11:30:00 live -> ended duration_over",
        ]
    );
    assert_eq!(story.calls.iter().filter(|call| **call == "update").count(), 1);
    assert_eq!(story.calls.iter().filter(|call| **call == "create").count(), 1);
}

#[test]
fn a_single_meeting_that_is_over_and_gets_a_new_date_is_planned_again() {
    let mut story = Story::new();
    story.until("10:00:00");
    let times = Times { starts_at: at("12:00:00"), ends_at: at("12:30:00") };
    story.happens(Event::Rescheduled { times, is_changed: false });
    story.until("12:05:00");
    assert_eq!((story.occurrence.state, story.occurrence.generation), (State::Live, 1));
}

#[test]
fn a_change_that_comes_while_an_update_is_out_is_not_lost() {
    let mut story = Story::new();
    story.until("08:50:00");
    let times = story.occurrence.times;
    story.happens(Event::Rescheduled { times, is_changed: true });
    let transition = step(&story.occurrence, Event::Due, &story.policy, story.now);
    assert_eq!(transition.call, Some(Call::Update));
    story.occurrence = transition.next;
    story.happens(Event::Rescheduled { times, is_changed: true });
    let room = Room { id: "r0".into(), join_url: String::new(), host_url: None };
    story.happens(Event::Answered(Answer::Update(Ok(room))));
    assert!(story.occurrence.is_outdated);
    story.until("08:51:00");
    assert_eq!(story.calls.iter().filter(|call| **call == "update").count(), 1);
}

#[test]
fn a_refused_update_is_not_repeated_until_the_schedule_changes() {
    let mut story = Story::new();
    story.until("08:50:00");
    story.update = vec![FailureKind::Rejected];
    let times = story.occurrence.times;
    story.happens(Event::Rescheduled { times, is_changed: true });
    story.until("12:00:00");
    assert_eq!(story.calls.iter().filter(|call| **call == "update").count(), 1);
    assert_eq!(story.occurrence.state, State::Closed);
}

#[test]
fn a_close_is_repeated_until_the_room_is_seen_closed() {
    let mut story = Story::new();
    story.until("09:34:00");
    story.sees = vec![Ok(true), Err(FailureKind::Unknown), Ok(true)];
    story.until("12:00:00");
    assert_eq!(story.occurrence.state, State::Closed);
    assert_eq!(story.calls.iter().filter(|call| **call == "close").count(), 3);
}

#[test]
fn a_look_from_before_the_close_says_nothing_about_it() {
    let missing =
        || Failure { kind: FailureKind::NotFound, message: "no such room".into(), retry_at: at("08:50:02") };
    for seen in [
        Err(missing()),
        Ok(Sight { is_open: false, occupancy: None }),
        Ok(Sight { is_open: true, occupancy: Some(1) }),
    ] {
        let mut story = Story::new();
        story.until("08:50:00");
        // The look is under way when the meeting is taken out of the schedule.
        story.happens(Event::Removed);
        story.happens(Event::Answered(Answer::Look(seen)));
        assert_eq!((story.occurrence.state, story.occurrence.attempts), (State::Closing, 0));
        story.until("08:50:00");
        assert!(story.calls.ends_with(&["close", "look"]), "{:?}", story.calls);
        assert_eq!(story.occurrence.state, State::Cancelled);
    }
}

#[test]
fn a_restart_finds_a_room_before_it_makes_one() {
    let mut story = Story::new();
    story.now = Now::agreed(at("08:45:00"));
    let sent = step(&story.occurrence, Event::Due, &story.policy, story.now);
    story.occurrence = sent.next;
    story.happens(Event::Restarted);
    story.until("08:46:00");
    assert_eq!(story.calls[0], "find");
    assert!(!story.calls.contains(&"create"));
    assert_eq!(story.occurrence.state, State::Ready);
}

#[test]
fn every_name_leads_back_to_its_value() {
    for state in State::ALL {
        assert_eq!(State::from_name(state.as_str()), Some(state));
    }
    for reason in Reason::ALL {
        assert_eq!(Reason::from_name(reason.as_str()), Some(*reason));
        assert!(reason.meaning().trim().ends_with('.'));
    }
    for verdict in Verdict::ALL {
        assert_eq!(Verdict::from_name(verdict.as_str()), Some(verdict));
    }
}

#[test]
fn the_back_off_doubles_to_its_cap_and_is_spread() {
    let pauses: Vec<i64> = (1..12).map(|attempt| backoff(attempt, 7).num_milliseconds()).collect();
    for (pause, whole) in pauses.iter().zip([2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120]) {
        assert!((whole * 500..=whole * 1000).contains(pause), "{pause} ms of {whole} s");
    }
    assert_ne!(backoff(7, 1), backoff(7, 2));
}
