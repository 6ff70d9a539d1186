//! What happens in the world: answers, people, operators, the sky.

use crate::Ms;
use crate::plan::Fault;
use crate::rng::Rng;
use crate::service::{self, Changed};
use crate::setup::{MINUTE, SECOND, Script, draw_entry};
use crate::timetable::{Key, Timetable, When, Which};
use crate::world::{Happening, State, World};
use chrono::{DateTime, Datelike as _};
use convened::config::Config;
use convened::engine::{Applied, ApplyError, Command};
use convened::transport::TransportError;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

impl State {
    pub(crate) fn happen(&mut self, world: &Arc<World>, what: Happening) {
        match what {
            Happening::Arrives(id) => self.arrives(world, id),
            Happening::Answer(id) => self.answer(id),
            Happening::Start => self.start(world),
            Happening::Reload => self.reload(world),
            Happening::Housekeep => {
                self.put(self.now() + self.setup.housekeep_every, Happening::Housekeep);
                self.command(Command::Housekeep);
            }
            Happening::Script(number) => self.script(world, number),
            Happening::ClockSet => self.set_clock(world, 0),
            Happening::Mend => self.save(self.draft.clone()),
            Happening::Due(key, version) => self.due(key, version),
            Happening::CheckKey(key) => self.check_key(key),
            Happening::CheckRoom(index) => self.check_room(index),
            Happening::Arrive(key) => self.arrive(key),
            Happening::Leave(key) => self.leave(key),
            Happening::EndByHand(index) => self.end_by_hand(index),
            Happening::DeleteRoom(index) => self.delete_room(index),
            Happening::Heal => self.heal(world),
            Happening::Inspect => self.inspect(world),
            Happening::End => self.end(),
        }
    }

    /// A request reaches its provider.
    fn arrives(&mut self, world: &Arc<World>, id: u64) {
        let Some(pending) = self.calls.get(&id) else { return };
        let (ask, fault, key, pause) = (pending.ask.clone(), pending.fault, pending.key, pending.pause);
        let room = self.rooms.find(ask.which, &ask.target).filter(|index| self.rooms.all[*index].is_open);
        let is_look = ask.is(convened::lifecycle::Call::Look);
        let lie = room.filter(|index| is_look && !self.rooms.all[*index].was_lied_about);
        let outcome = match (fault, lie) {
            (Some(Fault::Refused), _) => Err(TransportError::NotSent("connection refused".to_owned())),
            (Some(Fault::Unavailable), _) => Ok(service::failed(ask.which, 503)),
            (Some(Fault::Limited), _) => Ok(service::limited(None)),
            (Some(Fault::LimitedUntil), _) => Ok(service::limited(Some(pause / SECOND))),
            (Some(Fault::Html), _) => Ok(service::html()),
            (Some(Fault::FalseSuccess), _) => Ok(service::pretend(&self.rooms, &ask)),
            (Some(Fault::Partial), _) if ask.which == Which::Plain => Ok(service::partial()),
            (Some(Fault::FalseGone), Some(room)) => {
                self.rooms.all[room].was_lied_about = true;
                Ok(service::no_such_room(ask.which))
            }
            (Some(Fault::FalseEmpty), Some(room)) => {
                self.rooms.all[room].was_lied_about = true;
                Ok(service::show_with(&self.rooms.all[room], Some(0)))
            }
            (Some(Fault::NoOccupancy), Some(room)) => Ok(service::show_with(&self.rooms.all[room], None)),
            _ => {
                let (now, lag) = (self.now(), self.setup.lag);
                let (mut answer, changed) = service::act(&mut self.rooms, &ask, now, lag);
                if let Some(room) = room.filter(|_| is_look && self.uncounted_until[ask.which as usize] > now)
                {
                    answer = service::show_with(&self.rooms.all[room], None);
                }
                match changed {
                    Changed::Nothing => {}
                    Changed::Opened(index) => self.opened(index),
                    Changed::Closed(index) => self.closed(index),
                }
                match fault {
                    Some(Fault::FalseFailure) => Ok(service::failed(ask.which, 500)),
                    Some(Fault::AnswerLost) => Err(TransportError::AnswerLost("connection reset".to_owned())),
                    _ => Ok(answer),
                }
            }
        };
        self.note("arrives", id);
        match fault {
            Some(Fault::AppliedLate) => {
                self.say(|| format!("late: {} {}", ask.which.name(), ask.target));
                self.trouble_for(key, self.now());
                self.calls.remove(&id);
                return;
            }
            Some(Fault::CrashAfterCall) => {
                let is_own = self
                    .node
                    .as_ref()
                    .is_some_and(|node| Some(node.number) == self.calls.get(&id).map(|call| call.node));
                if is_own {
                    self.crash(world, u32::try_from(id).unwrap_or(0));
                }
            }
            Some(Fault::RoomDeleted | Fault::EndedByHand) => {
                let index = self.rooms.find(ask.which, &ask.target);
                let index = index.or_else(|| self.rooms.of_marker(&ask.target).last().copied());
                if let Some(index) = index {
                    let at = self.now() + pause / 10;
                    self.put(
                        at,
                        match fault {
                            Some(Fault::RoomDeleted) => Happening::DeleteRoom(index),
                            _ => Happening::EndByHand(index),
                        },
                    );
                }
            }
            _ => {}
        }
        let is_counted = self.uncounted_until[ask.which as usize] <= self.now();
        let arrived = room.filter(|_| is_counted).map(|room| (self.now(), self.rooms.all[room].people));
        if let Some(pending) = self.calls.get_mut(&id) {
            pending.arrived = arrived;
            pending.outcome = Some(outcome);
        }
    }

    /// The caller learns what came of it.
    fn answer(&mut self, id: u64) {
        let now = self.now();
        let Some(pending) = self.calls.get_mut(&id) else { return };
        let (reply, outcome) = (pending.reply.take(), pending.outcome.take());
        let (which, fault, node, pause) = (pending.ask.which, pending.fault, pending.node, pending.pause);
        let (key, target) = (pending.key, pending.ask.target.clone());
        let arrived = pending.arrived;
        let is_look = pending.ask.is(convened::lifecycle::Call::Look);
        if fault != Some(Fault::AppliedLate) {
            self.calls.remove(&id);
        }
        let Some(reply) = reply else { return };
        let is_true = matches!(outcome, Some(Ok(_)))
            && matches!(
                fault,
                None | Some(Fault::Slow | Fault::NoOccupancy | Fault::RoomDeleted | Fault::EndedByHand)
            );
        if let Some(room) = self.rooms.find(which, &target).filter(|_| is_look && is_true) {
            let room = &mut self.rooms.all[room];
            room.is_truth_told = true;
            room.told = arrived.filter(|_| fault != Some(Fault::NoOccupancy));
        }
        let lost = match fault {
            Some(_) => TransportError::AnswerLost("timed out".to_owned()),
            None => TransportError::NotSent("no route to host".to_owned()),
        };
        let mut outcome = outcome.unwrap_or(Err(lost));
        if self.setup.has_dates
            && let Ok(answer) = &mut outcome
        {
            let date = DateTime::from_timestamp_millis(now).unwrap().to_rfc2822().replace("+0000", "GMT");
            answer.headers_mut().insert(http::header::DATE, date.parse().unwrap());
        }
        match fault {
            Some(Fault::LimitedUntil) if outcome.is_ok() => {
                self.blocked[which as usize] = (now + pause, node, now);
                self.naps_until = self.naps_until.max(now + pause + 10 * SECOND);
                self.touch(now + pause);
            }
            Some(Fault::Limited) => {
                // The engine's own longest pause.
                self.naps_until = self.naps_until.max(now + 3 * MINUTE);
                self.touch(now + 2 * MINUTE);
            }
            Some(_) => self.trouble_for(key, now),
            None => {}
        }
        self.note("answer", id);
        self.say(|| match &outcome {
            Ok(answer) => format!("  answer {} {}", answer.status(), String::from_utf8_lossy(answer.body())),
            Err(error) => format!("  answer: {error}"),
        });
        let _ = reply.send(outcome);
    }

    fn command(&mut self, command: Command) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.try_send(command).is_ok())
    }

    fn script(&mut self, world: &Arc<World>, number: u32) {
        let setup = self.setup.clone();
        if setup.plan.as_ref().is_some_and(|plan| plan.without.contains(&number)) {
            return;
        }
        let now = self.now();
        if now >= setup.heal_at {
            return;
        }
        let (_, event) = &setup.script[usize::try_from(number).unwrap()];
        self.say(|| format!("-e{number}: {event:?}"));
        self.note("script", number.into());
        self.figures.faults += 1;
        let mut rng = Rng::new(setup.seed ^ u64::from(number), 7);
        match event {
            Script::Step(by, hold) => {
                if self.wall_offset == 0 {
                    self.set_clock(world, *by);
                    self.clock_set_at = now + hold;
                    self.put(now + hold, Happening::ClockSet);
                }
            }
            Script::Suspend(length) => self.suspend(world, *length),
            Script::Crash => self.crash(world, number ^ 0x4000_0000),
            Script::Restart => {
                self.touch(now);
                self.command(Command::Stop { signal: "SIGTERM" });
            }
            Script::Outage(which, length) => {
                let until = &mut self.out_until[*which as usize];
                *until = (*until).max((now + length).min(setup.heal_at));
                let until = *until;
                self.touch(until);
            }
            Script::Uncounted(which, length) => {
                let until = &mut self.uncounted_until[*which as usize];
                *until = (*until).max((now + length).min(setup.heal_at));
            }
            Script::FullDisk(length) => {
                self.disk_full_until = self.disk_full_until.max((now + length).min(setup.heal_at));
                self.touch(self.disk_full_until);
            }
            Script::Edit(n) => self.edit(*n),
            Script::Save(timetable) => self.save((**timetable).clone()),
            Script::BrokenFile(n) => {
                self.break_file(*n);
                self.put(now + rng.between(1, 40) * MINUTE, Happening::Mend);
            }
            Script::Massacre => {
                let mut left = self.draft.clone();
                left.entries = left.entries.into_iter().take(1).collect();
                self.write(left.to_toml().into_bytes(), Some(left));
                self.put(now + rng.between(1, 40) * MINUTE, Happening::Mend);
            }
            Script::EndByHand(n) => self.pick_room(*n).into_iter().for_each(|index| self.end_by_hand(index)),
            Script::DeleteRoom(n) => self.pick_room(*n).into_iter().for_each(|index| self.delete_room(index)),
        }
    }

    fn pick_room(&self, n: u64) -> Option<usize> {
        let open = self.rooms.open.len() as u64;
        self.rooms.open.iter().nth(usize::try_from(n % open.max(1)).unwrap()).copied()
    }

    fn set_clock(&mut self, world: &Arc<World>, offset: Ms) {
        self.wall_offset = offset;
        self.naps_until = self.naps_until.max(self.now() + 2 * MINUTE);
        self.touch(self.now());
        self.note("clock", offset.unsigned_abs());
        self.say(|| format!("the wall clock is off by {offset} ms"));
        world.sky.notify_waiters();
    }

    pub(crate) fn end_by_hand(&mut self, index: usize) {
        if !self.rooms.all[index].is_open {
            return;
        }
        if let Some(key) = self.key_of(index) {
            self.ended_early.insert(key, ());
            self.trouble_for(Some(key), self.now());
        }
        self.say(|| format!("a host ends {}", self.rooms.all[index].id));
        self.rooms.close(index);
        self.closed(index);
    }

    pub(crate) fn delete_room(&mut self, index: usize) {
        self.trouble_for(self.key_of(index), self.now());
        self.say(|| format!("the vendor deletes {}", self.rooms.all[index].id));
        if self.rooms.delete(index) {
            self.closed(index);
        }
    }

    fn write(&mut self, file: Vec<u8>, means: Option<Timetable>) {
        self.file = file;
        self.file_means = means;
        self.put(self.now() + SECOND, Happening::Reload);
    }

    fn save(&mut self, timetable: Timetable) {
        self.draft = timetable.clone();
        self.write(timetable.to_toml().into_bytes(), Some(timetable));
    }

    fn break_file(&mut self, n: u64) {
        let whole = self.draft.to_toml();
        match n % 3 {
            0 => {
                let nothing = Timetable { entries: BTreeMap::new(), ..self.draft.clone() };
                self.write(Vec::new(), Some(nothing));
            }
            1 => {
                // Cut off within a text, as a full disk leaves it.
                let quotes: Vec<usize> = whole.match_indices('"').map(|(at, _)| at).step_by(2).collect();
                let at = quotes[usize::try_from(n / 3 % quotes.len() as u64).unwrap()];
                self.write(whole.as_bytes()[..at + 2].to_vec(), None);
            }
            _ => self.write(vec![0; whole.len()], None),
        }
    }

    /// The operator changes something.
    fn edit(&mut self, n: u64) {
        let mut rng = Rng::new(n, 8);
        let mut next = self.draft.clone();
        let ids: Vec<u32> = next.entries.keys().copied().collect();
        let Some(id) = (!ids.is_empty()).then(|| rng.pick(&ids)) else { return };
        let count = next.entries.len();
        let Some(entry) = next.entries.get_mut(&id) else { return };
        match rng.below(10) {
            0..=2 => entry.minute = (entry.minute + rng.between(-60, 60)).clamp(30, 1_380),
            3 => entry.title += 1,
            4 if count >= 2 => {
                if let Some(entry) = next.entries.remove(&id) {
                    self.shelf.insert(id, entry);
                }
            }
            5 => {
                if let Some((id, entry)) = self.shelf.pop_first() {
                    next.entries.insert(id, entry);
                }
            }
            6 => {
                let today = DateTime::from_timestamp_millis(self.now()).unwrap().date_naive();
                let zone = entry.zone;
                let mut new = draw_entry(&mut rng, today, zone);
                if rng.chance(700_000) {
                    new.when = When::Once(today + chrono::Days::new(rng.below(3)));
                }
                let id = next.entries.keys().chain(self.shelf.keys()).max().map_or(0, |id| id + 1);
                next.entries.insert(id, new);
            }
            7 => entry.duration_min = rng.pick(&[5, 15, 30, 60, 90]),
            8 => entry.extend = rng.chance(700_000).then(|| (10, rng.pick(&[10, 20, 60]))),
            _ => entry.minute = (entry.minute + rng.between(-5, 5)).clamp(30, 1_380),
        }
        self.save(next);
    }

    /// The daemon reads the file that stands still by now.
    fn reload(&mut self, world: &Arc<World>) {
        if self.node.is_none() {
            return;
        }
        if self.is_applying {
            self.put(self.now() + SECOND, Happening::Reload);
            return;
        }
        match (self.load(), self.file_means.is_some()) {
            (Some(config), true) => self.apply(world, &config, false),
            (None, false) => {}
            (Some(_), false) => self.violate("I15 half a file was taken for a schedule"),
            (None, true) => self.violate("I15 a good file was refused"),
        }
    }

    pub(crate) fn apply(&mut self, world: &Arc<World>, config: &Config, is_accepted: bool) {
        let Some(schedule) = self.schedule(config) else { return };
        let (reply, outcome) = oneshot::channel();
        self.is_applying = true;
        self.has_rescheduled = false;
        self.pending = self.file_means.clone();
        self.command(Command::Apply { schedule: Box::new(schedule), is_accepted, reply });
        let world = world.clone();
        let node = self.nodes;
        tokio::spawn(async move {
            let Ok(outcome) = outcome.await else { return };
            let mut state = world.lock();
            if state.node.as_ref().is_some_and(|alive| alive.number == node) {
                state.applied(outcome);
            }
            world.nudge(state);
        });
    }

    fn applied(&mut self, outcome: Result<Applied, ApplyError>) {
        let now = self.now();
        self.is_applying = false;
        self.note("applied", 0);
        self.say(|| format!("applied: {outcome:?}"));
        let Some(pending) = self.pending.clone() else { return };
        let before = self.expected.entries.len();
        let removed = self.expected.entries.keys().filter(|id| !pending.entries.contains_key(id)).count();
        match outcome {
            Ok(applied) => {
                if removed * 100 > 50 * before {
                    self.violate(&format!("I16 {removed} of {before} meetings were removed without a word"));
                }
                if self.is_inspecting && !applied.is_nothing() {
                    self.violate(&format!("I21 the schedule in force changes something: {applied:?}"));
                }
                self.pending = None;
                if !std::mem::replace(&mut self.has_schedule, true) {
                    self.touch(now);
                }
                if self.expected != pending {
                    self.expected = pending;
                    self.touch(now);
                    self.expect();
                }
            }
            Err(ApplyError::Held(_)) => {
                self.pending = None;
                if self.has_rescheduled {
                    self.violate("I16 a held schedule changed something");
                }
            }
            Err(ApplyError::Store(_)) => self.put(now + 30 * SECOND, Happening::Reload),
        }
    }

    /// Puts on the agenda what is expected from now on.
    fn expect(&mut self) {
        self.version += 1;
        let today = DateTime::from_timestamp_millis(self.now()).unwrap().date_naive();
        let yesterday = today.num_days_from_ce() - 2;
        let ids: Vec<u32> = self.expected.entries.keys().copied().collect();
        for meeting in ids {
            let first =
                self.expected.entries[&meeting].next_day(match self.expected.entries[&meeting].when {
                    When::Once(_) => 0,
                    When::Weekly(..) => yesterday,
                });
            if let Some(day) = first {
                self.put_due(Key { meeting, day });
            }
        }
    }

    fn put_due(&mut self, key: Key) {
        if let Some((entry, start, _)) = self.expected.find(key) {
            let at = start - entry.ahead_min * MINUTE;
            self.put(at.max(self.now()), Happening::Due(key, self.version));
        }
    }

    /// The time has come at which the room of an occurrence should be made.
    fn due(&mut self, key: Key, version: u32) {
        if version != self.version {
            return;
        }
        let Some((entry, start, end)) = self.expected.find(key) else { return };
        let next = entry.next_day(key.day + 1).filter(|_| key.day != 0);
        let duration = end - start;
        if end > self.now() {
            self.figures.meetings += 1;
            let mut rng = Rng::new(
                self.setup.seed ^ (u64::from(key.meeting) << 32) ^ u64::from(key.day.unsigned_abs()),
                9,
            );
            if rng.chance(self.setup.people) && !self.presence.contains_key(&key) {
                let from = start + rng.between(-5, 10) * MINUTE;
                let until = from.max(start + duration / 2) + rng.between(0, duration / MINUTE + 60) * MINUTE;
                let people = u32::try_from(1 + rng.below(9)).unwrap();
                self.presence.insert(key, (from, until, people));
                self.put(from.max(self.now()), Happening::Arrive(key));
                self.put(until.max(self.now()), Happening::Leave(key));
            }
            self.check_key(key);
        }
        if let Some(day) = next {
            self.put_due(Key { day, ..key });
        }
    }

    /// People come, if the door is open; else they try again.
    fn arrive(&mut self, key: Key) {
        let now = self.now();
        let Some((_, until, people)) = self.presence.get(&key).copied().filter(|(_, until, _)| *until > now)
        else {
            return;
        };
        if let Some(index) = self.open_of_key.get(&key).and_then(|rooms| rooms.last().copied()) {
            let room = &mut self.rooms.all[index];
            room.people = people;
            room.occupied_since.get_or_insert(now);
            self.note("people", people.into());
            self.say(|| format!("{people} people are in {}", self.rooms.all[index].id));
        } else if now + 3 * MINUTE < until {
            self.put(now + 3 * MINUTE, Happening::Arrive(key));
        }
    }

    fn leave(&mut self, key: Key) {
        for index in self.open_of_key.get(&key).cloned().unwrap_or_default() {
            self.rooms.all[index].people = 0;
            self.rooms.all[index].occupied_since = None;
            self.say(|| format!("everybody leaves {}", self.rooms.all[index].id));
        }
    }

    fn heal(&mut self, world: &Arc<World>) {
        self.say(|| "from here on nothing goes wrong any more".to_owned());
        self.out_until = [0; 2];
        self.uncounted_until = [0; 2];
        self.disk_full_until = 0;
        self.set_clock(world, 0);
        self.save(self.draft.clone());
    }

    fn inspect(&mut self, world: &Arc<World>) {
        self.is_inspecting = true;
        if self.is_applying || self.pending.is_some() || self.node.is_none() {
            self.violate("I21 the world does not come to rest");
        }
        self.reload(world);
    }

    fn end(&mut self) {
        if !self.is_inspecting || self.is_applying {
            self.violate("I21 the engine does not answer");
        }
        self.check_end();
        self.figures.simulated_ms = self.now() - self.setup.from;
        self.is_over = true;
    }
}
