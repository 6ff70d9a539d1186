//! Who is in a meeting, by what webhooks tell: hints, which a look must confirm.

use super::webhook::{Event, EventKind};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Meetings that are kept in mind at most: the ones of which something was heard last.
const MOST_MEETINGS: usize = 10_000;
/// People of one meeting who are kept in mind at most.
const MOST_PEOPLE: usize = 10_000;

/// What was heard of the meetings of one account. Events count by when they happened, however and how often they come.
#[derive(Debug, Default)]
pub struct Presence {
    meetings: Mutex<HashMap<String, Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    started_at: i64,
    ended_at: i64,
    last_at: i64,
    /// When each was last heard of, and whether they were in then.
    people: HashMap<String, (i64, bool)>,
}

/// What is thought of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thought {
    /// So many came and did not leave.
    pub(super) people: u32,
    /// It ended, and nothing was heard of it since.
    pub(super) is_over: bool,
}

impl Presence {
    /// Takes note of an event. Returns whether it says anything new.
    pub fn note(&self, event: &Event) -> bool {
        let mut meetings = self.meetings.lock().unwrap_or_else(PoisonError::into_inner);
        if meetings.len() >= MOST_MEETINGS && !meetings.contains_key(&event.meeting) {
            let oldest = meetings.iter().min_by_key(|(_, heard)| heard.last_at).map(|(id, _)| id.clone());
            oldest.and_then(|id| meetings.remove(&id));
        }
        let heard = meetings.entry(event.meeting.clone()).or_default();
        heard.last_at = heard.last_at.max(event.at_ms);
        let later = |at: &mut i64| {
            let is_later = event.at_ms > *at;
            *at = event.at_ms.max(*at);
            is_later
        };
        match event.kind {
            EventKind::Started => later(&mut heard.started_at),
            EventKind::Ended => {
                let is_later = later(&mut heard.ended_at);
                let ended_at = heard.ended_at;
                heard.people.retain(|_, (at, _)| *at > ended_at);
                is_later
            }
            EventKind::Joined | EventKind::Left => {
                let Some(person) = &event.person else { return true };
                let is_in = event.kind == EventKind::Joined;
                let is_known = heard.people.contains_key(person);
                if event.at_ms <= heard.ended_at || (!is_known && heard.people.len() >= MOST_PEOPLE) {
                    return false;
                }
                // They leave at the earliest when they come.
                let known = heard.people.entry(person.clone()).or_insert((i64::MIN, !is_in));
                let is_news = event.at_ms > known.0 || (event.at_ms == known.0 && known.1 && !is_in);
                if is_news {
                    *known = (event.at_ms, is_in);
                }
                is_news
            }
            EventKind::Changed => true,
        }
    }

    /// What is thought of a meeting; `None`: nothing was heard of it.
    pub(super) fn of(&self, meeting: &str) -> Option<Thought> {
        let meetings = self.meetings.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = meetings.get(meeting)?;
        let people = heard.people.values().filter(|(_, is_in)| *is_in).count();
        Some(Thought {
            people: u32::try_from(people).unwrap_or(u32::MAX),
            is_over: heard.ended_at > 0 && heard.ended_at >= heard.last_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, at_ms: i64, person: Option<&str>) -> Event {
        Event { kind, at_ms, meeting: "1".to_owned(), person: person.map(str::to_owned) }
    }

    fn thought(people: u32, is_over: bool) -> Option<Thought> {
        Some(Thought { people, is_over })
    }

    /// A meeting with two people, of whom one leaves and comes again, until its end.
    fn day() -> Vec<Event> {
        vec![
            event(EventKind::Started, 10, None),
            event(EventKind::Joined, 11, Some("a")),
            event(EventKind::Joined, 12, Some("b")),
            event(EventKind::Left, 20, Some("a")),
            event(EventKind::Joined, 21, Some("c")),
            event(EventKind::Left, 30, Some("b")),
        ]
    }

    #[test]
    fn who_is_in_does_not_depend_on_the_order_or_number_of_webhooks() {
        let mut events = day();
        for turn in 0..events.len() {
            events.rotate_left(1);
            for is_backwards in [false, true] {
                let presence = Presence::default();
                let mut order: Vec<&Event> = events.iter().collect();
                if is_backwards {
                    order.reverse();
                }
                for event in &order {
                    presence.note(event);
                }
                assert_eq!(presence.of("1"), thought(1, false), "{turn} {is_backwards}");
                for event in order {
                    assert!(!presence.note(event), "a second time it says nothing new");
                }
                assert_eq!(presence.of("1"), thought(1, false));
            }
        }
    }

    #[test]
    fn with_the_end_everybody_is_out_and_a_new_beginning_counts_anew() {
        let presence = Presence::default();
        assert_eq!(presence.of("1"), None);
        for event in day() {
            presence.note(&event);
        }
        presence.note(&event(EventKind::Ended, 40, None));
        assert_eq!(presence.of("1"), thought(0, true));
        presence.note(&event(EventKind::Left, 39, Some("c")));
        presence.note(&event(EventKind::Joined, 35, Some("d")));
        assert_eq!(presence.of("1"), thought(0, true), "they came before the end");
        presence.note(&event(EventKind::Joined, 50, Some("e")));
        assert_eq!(presence.of("1"), thought(1, false));
        presence.note(&event(EventKind::Ended, 40, None));
        assert_eq!(presence.of("1"), thought(1, false), "the end of before comes twice");
    }

    #[test]
    fn a_flood_fills_no_memory() {
        let presence = Presence::default();
        for n in 0..20_000 {
            let (kind, person) = (EventKind::Joined, Some(n.to_string()));
            presence.note(&Event { kind, at_ms: n, meeting: n.to_string(), person: person.clone() });
            presence.note(&Event { kind, at_ms: n, meeting: "one".to_owned(), person });
        }
        let meetings = presence.meetings.lock().unwrap();
        assert!(meetings.len() <= MOST_MEETINGS && meetings["one"].people.len() <= MOST_PEOPLE);
    }
}
