//! The invariants, I1 to I22, each checked where what it speaks of changes: at every call, every commit, every change of a
//! provider's truth, and by appointments for what must have happened by then.

use crate::Ms;
use crate::node::{Node, call_of};
use crate::service::Ask;
use crate::setup::{HOUR, MINUTE, SECOND};
use crate::timetable::{Entry, Key, Which};
use crate::world::{Happening, Pending, State, World};
use convened::lifecycle::{Call, Change, Reason, State as Stage};
use convened::log::LogEvent;
use convened::store::{Batch, Record, Update};
use std::sync::Arc;

/// What the daemon has committed about an occurrence, as far as it is judged.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) key: Option<Key>,
    stage: Stage,
    generation: u32,
    marker: Option<String>,
    room: Option<String>,
    which: Which,
    ends_at: Ms,
    extended: Ms,
    call: Option<Call>,
    wake_at: Option<Ms>,
    /// By true time.
    changed_at: Ms,
    close_delay: Ms,
    extend_most: Option<Ms>,
}

/// By so much a clock may be off without being called wrong.
const TOLERANCE: Ms = 5 * SECOND;
/// Who came in so short a time before the decision was not seen.
const JUST_CAME: Ms = 40 * SECOND;

impl State {
    /// Who the room belongs to, by the mark in it.
    pub(crate) fn key_of(&self, index: usize) -> Option<Key> {
        let seq = self.seq_of_marker.get(&self.rooms.all[index].marker)?;
        self.seen.get(seq)?.key
    }

    /// Something goes wrong for an occurrence, or because of narrow limits for all, until then.
    pub(crate) fn trouble_for(&mut self, key: Option<Key>, until: Ms) {
        let limits = self.setup.timetable.limits;
        match key {
            Some(key) if limits.in_flight > 2 && limits.a_minute.is_none() => {
                let trouble = self.trouble_of.entry(key).or_insert(until);
                *trouble = (*trouble).max(until);
            }
            _ => self.touch(until),
        }
    }

    /// Since when nothing has gone wrong; `None`: something is wrong now.
    fn calm_since(&self, key: Option<Key>) -> Option<Ms> {
        let is_wrong =
            self.node.is_none() || !self.has_schedule || self.pending.is_some() || self.wall_offset != 0;
        let of_key = key.and_then(|key| self.trouble_of.get(&key)).copied().unwrap_or(self.trouble);
        (!is_wrong).then_some(of_key.max(self.trouble))
    }

    /// How long the daemon may take to put right what went wrong.
    fn patience(&self, key: Option<Key>) -> Ms {
        let entry =
            key.and_then(|key| self.expected.entries.get(&key.meeting).or(self.shelf.get(&key.meeting)));
        let look_every = entry.map_or(600, |entry| entry.look_every_s) * SECOND;
        let limits = self.setup.timetable.limits;
        let is_narrow = limits.in_flight <= 2 || limits.a_minute.is_some();
        // A look, and again to be sure; the longest back-off; calls; and the search that lags.
        let lag = if entry.is_none_or(|entry| entry.provider == Which::Plain) { self.find_lag() } else { 0 };
        look_every
            + 130 * SECOND
            + 4 * limits.timeout_s * SECOND
            + MINUTE
            + lag
            + if is_narrow { 4 * MINUTE } else { 0 }
    }

    /// I8, I9, I13: a call leaves the daemon. Gives the occurrence, and the daemon's name for the call.
    pub(crate) fn check_call(&mut self, node: &Node, ask: &Ask) -> (Option<i64>, Call) {
        self.figures.checks += 1;
        let now = self.now();
        let by_room = self.seq_of_room.get(&(ask.which as usize, ask.target.clone()));
        let seq = self.seq_of_marker.get(&ask.target).or(by_room).copied();
        let Some((seq, seen)) = seq.and_then(|seq| Some((seq, self.seen.get(&seq)?.clone()))) else {
            self.violate(&format!("I9 a call for {} that nothing committed asks for", ask.target));
            return (None, call_of(ask, None));
        };
        let call = call_of(ask, seen.call);
        if seen.call != Some(call) {
            self.violate(&format!(
                "I9 {} of {:?} is sent, and {:?} is committed",
                call.as_str(),
                seen.key,
                seen.call
            ));
        }
        let is_in_place = match call {
            Call::Create => seen.stage == Stage::Creating && seen.marker.as_deref() == Some(&ask.target),
            Call::Find => matches!(seen.stage, Stage::Creating | Stage::Closing),
            Call::Close => seen.stage == Stage::Closing,
            Call::Look | Call::Update => !seen.stage.is_final(),
            Call::Announce => seen.stage.has_open_room(),
        };
        // A schedule that was applied while the call was being handed out may have changed the stage.
        if !is_in_place
            && self.pending.is_none()
            && self.calm_since(seen.key).is_some_and(|calm| calm + SECOND < now)
        {
            self.violate(&format!("I8 {} of {:?} in state {}", call.as_str(), seen.key, seen.stage));
        }
        // Whoever does not wait for an answer any more has given the call up.
        let is_waited_for = |call: &&Pending| call.reply.as_ref().is_some_and(|reply| !reply.is_closed());
        if self.calls.values().filter(is_waited_for).any(|call| call.seq == Some(seq)) {
            self.violate(&format!("I9 two calls at once for {:?}", seen.key));
        }
        let (until, blocked_node, since) = self.blocked[ask.which as usize];
        if blocked_node == node.number && now > since + 100 && now + 1_500 < until && self.trouble <= until {
            self.violate(&format!(
                "I13 {} is asked {} ms before it wants to be",
                ask.which.name(),
                until - now
            ));
        }
        if let Some(limit) = self.setup.timetable.limits.a_minute {
            let sent = &mut self.sent[ask.which as usize];
            sent.push_back(now);
            if sent.len() > usize::try_from(limit).unwrap() {
                let first = sent.pop_front().unwrap_or(0);
                if now - first < MINUTE - 100 {
                    self.violate(&format!("I13 more than {limit} calls a minute for {}", ask.which.name()));
                }
            }
        }
        (Some(seq), call)
    }

    /// A transaction was committed.
    pub(crate) fn committed(&mut self, world: &Arc<World>, batch: &Batch) {
        let _ = world;
        self.has_rescheduled |= !batch.meetings.is_empty();
        for record in batch.inserts.iter().filter(|record| record.is_stray()) {
            self.strays.extend(record.marker.clone());
        }
        for record in batch.inserts.iter().filter(|record| !record.is_stray()) {
            self.check_times(record);
        }
        for update in &batch.updates {
            let Update { before, after, history } = update;
            self.note_truth(before, after);
            let changes: Vec<Change> = history.iter().map(|entry| entry.change).collect();
            // By a schedule, or by the horizon that has come to where an edit had moved something.
            let is_rescheduling = !batch.meetings.is_empty()
                || before.occurrence.times != after.occurrence.times
                || before.occurrence.state.is_final();
            self.check_update(after, &changes, is_rescheduling);
            if self.is_over {
                return;
            }
        }
    }

    /// What a look has seen counts from its commit on: only then may the next one be lied to. Two lies with nothing between
    /// them that the daemon could know are the truth.
    fn note_truth(&mut self, before: &Record, after: &Record) {
        let is_answered = before.call == Some(Call::Look)
            && (after.call != Some(Call::Look) || before.occurrence.looked_at != after.occurrence.looked_at);
        let which = [Which::House, Which::Plain].into_iter().find(|which| which.name() == before.provider);
        let room = before.occurrence.room.as_ref().zip(which);
        let index = room.and_then(|(room, which)| self.rooms.find(which, &room.id));
        if let Some(index) = index.filter(|_| is_answered) {
            let room = &mut self.rooms.all[index];
            room.was_lied_about &= !std::mem::take(&mut room.is_truth_told);
            if let Some((at, people)) = room.told.take() {
                room.seen_at = Some(at);
                room.was_seen_occupied |= people > 0;
            }
        }
    }

    fn planned_entry(&self, key: Option<Key>) -> Option<&Entry> {
        let meeting = key?.meeting;
        let pending = self.pending.as_ref().and_then(|pending| pending.entries.get(&meeting));
        pending.or_else(|| self.expected.entries.get(&meeting))
    }

    /// I22: what the daemon makes of a rule is what the oracle makes of it.
    fn check_times(&mut self, record: &Record) {
        self.figures.checks += 1;
        if !self.is_given(record) {
            let starts_at = record.occurrence.times.starts_at;
            self.violate(&format!("I22 {} is planned at {starts_at}", record.id));
        }
    }

    /// Everything of an occurrence but the words of its last error goes into the trace.
    fn note_record(&mut self, record: &Record) {
        let life = &record.occurrence;
        let instants = [
            record.wake_at,
            Some(life.times.starts_at),
            Some(life.times.ends_at),
            life.asked_at,
            life.doubted_at,
            life.looked_at,
            life.look_at,
            life.retry_at,
            life.empty_since,
            life.gone_since,
        ];
        let flags = [life.is_outdated, life.is_removed, life.is_close_sent, life.room.is_some()];
        let flags =
            flags.into_iter().fold(u64::from(life.attempts) << 8, |all, flag| all << 1 | u64::from(flag));
        self.note(life.state.as_str(), record.seq.unsigned_abs());
        self.note(life.reason.as_str(), flags);
        self.note(
            record.call.map_or("none", Call::as_str),
            life.extended_by.num_milliseconds().unsigned_abs(),
        );
        self.note(
            "generation",
            u64::from(life.generation) << 32 | u64::from(life.occupancy.unwrap_or(u32::MAX)),
        );
        for at in instants {
            self.note("at", at.map_or(u64::MAX, |at| at.timestamp_millis().unsigned_abs()));
        }
    }

    /// The schedule has it at these times.
    fn is_given(&self, record: &Record) -> bool {
        let times = record.occurrence.times;
        let given = Some((times.starts_at.timestamp_millis(), times.ends_at.timestamp_millis()));
        Key::of(&record.id).is_some_and(|key| {
            let pending = self.pending.as_ref().and_then(|pending| pending.times(key));
            [pending, self.expected.times(key)].contains(&given)
        })
    }

    /// What is over, as far as it is remembered.
    pub(crate) fn over(&self) -> Vec<i64> {
        let over = self.seen.iter().filter(|(_, seen)| seen.stage.is_final());
        over.map(|(seq, _)| *seq).collect()
    }

    /// The store has forgotten these, and may give their numbers to something new.
    pub(crate) fn forget(&mut self, seqs: &[i64]) {
        for seq in seqs {
            let Some(seen) = self.seen.remove(seq) else { continue };
            if let Some(key) = seen.key
                && self.seq_of_key.get(&key) == Some(seq)
            {
                self.seq_of_key.remove(&key);
            }
        }
        self.seq_of_marker.retain(|_, seq| !seqs.contains(seq));
        self.seq_of_room.retain(|_, seq| !seqs.contains(seq));
    }

    fn check_update(&mut self, record: &Record, changes: &[Change], is_rescheduling: bool) {
        self.figures.checks += 1;
        let now = self.now();
        let life = &record.occurrence;
        let key = Key::of(&record.id);
        let before = self.seen.get(&record.seq).cloned();
        let entry = self.planned_entry(key);
        let close_delay = entry.map(|entry| entry.close_delay_min * MINUTE);
        let extend_most = entry.map(|entry| entry.extend.map(|(_, most)| most * MINUTE));
        let seen = Seen {
            key,
            stage: life.state,
            generation: life.generation,
            marker: record.marker.clone(),
            room: life.room.as_ref().map(|room| room.id.clone()),
            which: if record.provider == Which::House.name() { Which::House } else { Which::Plain },
            ends_at: life.times.ends_at.timestamp_millis(),
            extended: life.extended_by.num_milliseconds(),
            call: record.call,
            wake_at: record.wake_at.map(|at| at.timestamp_millis()),
            changed_at: match &before {
                Some(before) if before.stage == life.state => before.changed_at,
                _ => now,
            },
            close_delay: close_delay.or(before.as_ref().map(|before| before.close_delay)).unwrap_or(0),
            extend_most: extend_most.unwrap_or(before.as_ref().and_then(|before| before.extend_most)),
        };
        self.note_record(record);
        self.say(|| {
            let chain: Vec<String> =
                changes.iter().map(|c| format!("{} -> {} {}", c.from, c.to, c.reason)).collect();
            format!("  {} {}", record.id, chain.join(", "))
        });
        if let Some(marker) = &record.marker {
            self.seq_of_marker.insert(marker.clone(), record.seq);
        }
        if let Some(room) = &seen.room {
            let owner = self.seq_of_room.insert((seen.which as usize, room.clone()), record.seq);
            // A room that was gone is looked for by a record of its own.
            if let Some(other) = owner.filter(|owner| *owner != record.seq && !record.is_stray())
                && self.seen.get(&other).is_some_and(|other| !other.stage.is_final())
            {
                self.violate(&format!("I1 {} has the room of another occurrence", record.id));
            }
        }
        if let Some(before) = &before {
            if seen.generation < before.generation {
                self.violate(&format!("I7 the generation of {} falls", record.id));
            }
            if !is_rescheduling && seen.stage != Stage::Planned && seen.extended < before.extended {
                self.violate(&format!("I4 {} loses its extension", record.id));
            }
            if before.stage.is_final() && seen.stage != before.stage && !self.is_given(record) {
                self.violate(&format!("I7 {} was over and is {}", record.id, seen.stage));
            }
        }
        let is_early = matches!(life.state, Stage::Planned | Stage::Creating | Stage::Ready | Stage::Live);
        if is_rescheduling && is_early && !life.is_removed {
            self.check_times(record);
        }
        for change in changes {
            self.check_change(record, &seen, before.as_ref(), *change, is_rescheduling);
        }
        // A stray has the meeting in its identity, and stays one when it is over.
        if let Some(key) = key.filter(|_| !record.id.contains('#')) {
            self.seq_of_key.insert(key, record.seq);
        }
        let is_news = !changes.is_empty();
        let was_unmarked = before.as_ref().is_none_or(|before| before.marker != record.marker);
        self.seen.insert(record.seq, seen);
        if let (Some(key), true) = (key, is_news) {
            self.put(now + SECOND, Happening::CheckKey(key));
        }
        if is_news || was_unmarked {
            let rooms = key.and_then(|key| self.open_of_key.get(&key)).cloned().unwrap_or_default();
            rooms.into_iter().for_each(|index| self.put(now + SECOND, Happening::CheckRoom(index)));
        }
    }

    fn check_change(
        &mut self,
        record: &Record,
        seen: &Seen,
        before: Option<&Seen>,
        change: Change,
        is_rescheduling: bool,
    ) {
        let now = self.now();
        let id = &record.id;
        if !is_rescheduling && !is_step_onward(change) {
            self.violate(&format!("I7 {id}: {} -> {} ({})", change.from, change.to, change.reason));
        }
        let room_id = before.and_then(|before| before.room.as_ref()).or(seen.room.as_ref());
        let room = room_id
            .and_then(|room| self.rooms.find(seen.which, room))
            .map(|index| self.rooms.all[index].clone());
        let closes_at = seen.ends_at + seen.extended + seen.close_delay;
        // Who came after the look before, and is not seen by the last one, cannot be known of.
        let look_every = self.planned_entry(seen.key).map_or(600, |entry| entry.look_every_s) * SECOND;
        let is_occupied = room.as_ref().is_some_and(|room| {
            room.occupied_since.is_some_and(|since| {
                let was_seen = room.seen_at.is_some_and(|at| at >= since);
                now - since > JUST_CAME && (was_seen || now - since > 2 * look_every + MINUTE)
            })
        });
        match (change.to, change.reason) {
            (Stage::Closing, Reason::Empty | Reason::CloseDelayOver | Reason::ExtensionUsedUp) => {
                if now < closes_at - TOLERANCE {
                    self.violate(&format!("I4 {id} is closed {} s early", (closes_at - now) / SECOND));
                }
                if change.reason == Reason::Empty && is_occupied {
                    self.violate(&format!("I4 {id} is closed as empty with people in it"));
                }
                let has_more = seen.extend_most.is_some_and(|most| seen.extended < most);
                if has_more && is_occupied && self.pending.is_none() {
                    self.violate(&format!("I4 {id} is closed with people in it and an extension left"));
                }
            }
            (Stage::Closing, Reason::NoShow) => {
                let no_show = self.planned_entry(seen.key).map(|entry| entry.no_show_min.map(|n| n * MINUTE));
                let starts_at = record.occurrence.times.starts_at.timestamp_millis();
                let has_come = is_occupied || room.is_some_and(|room| room.was_seen_occupied);
                let is_early =
                    no_show.is_some_and(|rule| rule.is_none_or(|rule| now < starts_at + rule - TOLERANCE));
                seen.key.map(|key| self.ended_early.insert(key, ()));
                if has_come || (is_early && self.pending.is_none()) {
                    self.violate(&format!("I4 {id} is closed for nobody having come, early or wrongly"));
                }
            }
            (Stage::Closing, Reason::Removed) => {
                let entry = self.planned_entry(seen.key);
                // What a wrong clock opened days ahead, and an edit moves then, is beyond the horizon: it is made anew in time.
                let horizon = now + self.expected.horizon_h * HOUR;
                let is_wanted =
                    |times: Option<(Ms, Ms)>| times.is_some_and(|(start, end)| end > now && start < horizon);
                let is_given = seen.key.is_some_and(|key| {
                    is_wanted(self.expected.times(key))
                        && self.pending.as_ref().is_none_or(|pending| is_wanted(pending.times(key)))
                });
                let is_to_be_closed = entry
                    .or_else(|| self.shelf.get(&seen.key?.meeting))
                    .is_none_or(|e| e.is_closed_on_removal);
                if is_given && self.pending.is_none() {
                    self.violate(&format!("I4 {id} is closed as removed and stands in the schedule"));
                }
                if is_occupied && !is_to_be_closed && !is_rescheduling {
                    self.violate(&format!("I4 {id} was removed and is closed with people in it"));
                }
            }
            (Stage::Closing | Stage::Failed | Stage::Missed, Reason::WindowOver)
                if now < seen.ends_at - TOLERANCE =>
            {
                self.violate(&format!("I4 {id} is given up {} s early", (seen.ends_at - now) / SECOND));
            }
            (Stage::Creating, Reason::RoomGone) if room.as_ref().is_some_and(|room| room.is_open) => {
                self.violate(&format!("I2 {id} is made again, and its room is open"));
            }
            (to, _)
                if to.is_final()
                    && change.from != Stage::Planned
                    && room.as_ref().is_some_and(|room| room.is_open) =>
            {
                self.violate(&format!("I5 {id} is {to} and its room is open"));
            }
            _ => {}
        }
    }

    /// A room is there.
    pub(crate) fn opened(&mut self, index: usize) {
        self.figures.checks += 1;
        let now = self.now();
        self.note("opened", index as u64);
        self.say(|| format!("{} {} opens", self.rooms.all[index].which.name(), self.rooms.all[index].id));
        let Some(key) = self.key_of(index) else {
            self.violate("I6 a room that belongs to nothing");
            return;
        };
        let rooms = self.open_of_key.entry(key).or_default();
        rooms.push(index);
        // Of a room that was gone and is there again, the daemon knows: how long it may stay is for `check_room`.
        let wanted =
            rooms.iter().filter(|index| !self.strays.contains(&self.rooms.all[**index].marker)).count();
        if wanted > 1 {
            self.violate(&format!("I2 {key:?} has two open rooms"));
        }
        if self.presence.contains_key(&key) {
            let from = self.presence[&key].0;
            self.put(from.max(now + 20 * SECOND), Happening::Arrive(key));
        }
        self.check_room(index);
    }

    /// A room is closed.
    pub(crate) fn closed(&mut self, index: usize) {
        self.note("closed", index as u64);
        self.say(|| format!("{} closes", self.rooms.all[index].id));
        let Some(key) = self.key_of(index) else { return };
        if let Some(rooms) = self.open_of_key.get_mut(&key) {
            rooms.retain(|open| *open != index);
        }
        self.check_key(key);
    }

    /// I3: an occurrence that should have a room has one, or something went wrong not long ago.
    pub(crate) fn check_key(&mut self, key: Key) {
        self.figures.checks += 1;
        let now = self.now();
        let Some((entry, start, end)) = self.expected.find(key) else { return };
        if now >= end || self.ended_early.contains_key(&key) {
            return;
        }
        let create_at = start - entry.ahead_min * MINUTE;
        let patience = self.patience(Some(key));
        if now < create_at {
            self.put(create_at + SECOND, Happening::CheckKey(key));
            return;
        }
        let seen = self.seq_of_key.get(&key).and_then(|seq| self.seen.get(seq));
        let room =
            self.open_of_key.get(&key).and_then(|rooms| rooms.first()).map(|index| &self.rooms.all[*index]);
        let has_room = match (seen, room) {
            (Some(seen), Some(room)) => seen.stage.has_open_room() && seen.room.as_ref() == Some(&room.id),
            _ => false,
        };
        if has_room {
            return;
        }
        let Some(calm) = self.calm_since(Some(key)) else {
            self.put(now + MINUTE, Happening::CheckKey(key));
            return;
        };
        // What happens to a room that waits for its start is seen a minute before that.
        let by = (calm.max(create_at) + patience).max(start);
        if now < by {
            self.put(by, Happening::CheckKey(key));
        } else {
            let stage = seen.map(|seen| seen.stage);
            self.violate(&format!(
                "I3 {key:?} has no room; it is {stage:?}, and nothing was wrong for {} s",
                patience / SECOND
            ));
        }
    }

    /// I5, I6: an open room is one that should be, or something went wrong not long ago.
    pub(crate) fn check_room(&mut self, index: usize) {
        self.figures.checks += 1;
        let now = self.now();
        let room = &self.rooms.all[index];
        if !room.is_open {
            return;
        }
        let seen = self.seq_of_marker.get(&room.marker).and_then(|seq| self.seen.get(seq));
        let is_current = seen.is_some_and(|seen| seen.marker.as_ref() == Some(&room.marker));
        let is_used_stray = self.strays.contains(&room.marker) && room.people > 0;
        let until = match seen.filter(|_| is_current) {
            // Whoever is in a room that was gone stays up to the end.
            Some(seen) if is_used_stray => seen.ends_at + seen.extend_most.unwrap_or(0) + seen.close_delay,
            Some(seen) if seen.stage.has_open_room() => seen.ends_at + seen.extended + seen.close_delay,
            Some(seen) if seen.stage == Stage::Creating => seen.ends_at,
            Some(seen) => seen.changed_at,
            None => room.opened_at,
        };
        let key = seen.and_then(|seen| seen.key);
        let Some(calm) = self.calm_since(key) else {
            self.put(now + MINUTE, Happening::CheckRoom(index));
            return;
        };
        let by = until.max(calm).max(room.opened_at) + self.patience(key);
        if now < by {
            self.put(by, Happening::CheckRoom(index));
        } else {
            let what = seen.map_or_else(|| "nothing".to_owned(), |seen| seen.stage.to_string());
            let id = room.id.clone();
            self.violate(&format!(
                "I5 room {id} of {key:?} ({what}) is open {} s past its time",
                (now - until) / SECOND
            ));
        }
    }

    /// I18, I20: what the log says.
    pub(crate) fn told(&mut self, event: &LogEvent<'_>) {
        self.note(event.name(), 0);
        if self.setup.is_loud {
            self.say(|| format!("    {event}"));
        }
        if self.setup.reads_log && event.to_string().contains(crate::seams::ADMIN_SECRET) {
            self.violate(&format!("I20 a secret in {}", event.name()));
        }
        if let LogEvent::MeetingMissed { .. } | LogEvent::MeetingFailed { .. } = event {
            *self.told.entry(event.name()).or_default() += 1;
        }
    }

    /// I19, I21: nothing is left over when all is quiet.
    pub(crate) fn check_end(&mut self) {
        let now = self.now();
        let mut seqs: Vec<i64> = self.seen.keys().copied().collect();
        seqs.sort_unstable();
        for seq in seqs {
            let seen = &self.seen[&seq];
            let is_late = seen.wake_at.is_some_and(|at| at < now - 3 * MINUTE);
            if is_late && self.calm_since(seen.key).is_some_and(|calm| calm + self.patience(seen.key) < now) {
                let key = seen.key;
                self.violate(&format!("I19 {key:?} was due and nothing was done about it"));
            }
        }
        for index in self.rooms.open.clone() {
            self.check_room(index);
        }
    }
}

/// The changes that no schedule asks for: a life goes onward.
fn is_step_onward(change: Change) -> bool {
    use Stage as S;
    let Change { from, to, reason } = change;
    match (from, to) {
        (S::Planned, S::Creating | S::Missed) => true,
        (S::Creating, S::Ready | S::Closing | S::Failed) => true,
        (S::Ready, S::Live) => true,
        (S::Ready | S::Live | S::Ended, S::Creating) => reason == Reason::RoomGone,
        (S::Live, S::Ended | S::Closing | S::Closed | S::Cancelled) => true,
        (S::Ended, S::Live | S::Ended) => matches!(reason, Reason::Occupied | Reason::OccupancyUnknown),
        (S::Ended, S::Closing | S::Closed | S::Cancelled) => true,
        (S::Closing, S::Closed | S::Cancelled | S::Failed | S::Planned) => true,
        _ => false,
    }
}
