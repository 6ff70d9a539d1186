//! `convened` keeps scheduled video meetings' rooms in step with a schedule.
//!
//! The program is this library behind `src/main.rs`. The README says how to use it; this page says how it is built.
//!
//! # The map
//!
//! Imports point downwards only. [`schedule`] and [`lifecycle`] are pure: they import nothing that can wait, read or write.
//!
//! ```text
//! cli ──────────── one file for each command
//! daemon ───────── puts the parts together; signals, reload, control socket, housekeeping
//! engine ───────── claims what is due, steps it, commits, calls, feeds the answers back; applies schedules; clock
//! web ──────────── the listener: health, webhooks, mounts the meeting service
//! meeting_service  a server of its own: rooms, people, a page; knows nothing of the rest but the seams
//! providers ────── one trait, a driver for each kind, one conformance suite for all
//! auth ─────────── OAuth: tokens that are valid when they are needed, grants that never get lost; logins
//! transport ────── HTTP out: one request, one response
//! store ────────── what survives a crash; but for the meeting service and the tokens, nothing else knows SQL
//! config ───────── TOML → a valid Config, or located problems
//! log ──────────── events with stable names and fields
//! schedule ─ pure  recurrence, zones, expansion, identity
//! lifecycle ─ pure state, event, step, reason
//! seams ────────── Clock, Entropy, Files, Host (and transport::Transport): all that is not deterministic
//! seeded_bug ───── names of known bugs, for the simulation's own test; every release is without them
//! ```
//!
//! # The words
//!
//! A *meeting* is an entry of the schedule; an *occurrence* is one instance of it in time, with the identity `<meeting>` or
//! `<meeting>@<original local start>`, so that moving it, or new zone data, never doubles it. A *room* is the object on a
//! *provider*'s side (a configured account); a *driver* is the code for one kind of provider. A *marker* is our mark in the
//! room, by which it can be found again. *Occupancy* is who was seen in the room: a number, or unknown.
//!
//! # The life of an occurrence
//!
//! ```text
//! planned ─► creating ─► ready ─► live ─► ended ─► closing ─► closed
//!    │           │         │        │       │  ▲        │
//!    │           │         │        │       └──┘ the end moves later: back to live
//!    │           └► failed (refused for good, or its time is over)
//!    ├► missed  (nothing could be done while its window was open)
//!    └► cancelled (taken out of the schedule)
//! ```
//!
//! [`lifecycle::step()`] makes every change of state, each with a [`lifecycle::Reason`] from a closed list.
//!
//! # One turn of the engine
//!
//! ```text
//! answers that came back ─┐
//! occurrences that are due┴► step each ─► one commit ─► tell the log ─► make the calls
//! ```
//!
//! The engine has a thread of its own, on which it waits for the disk; calls run on the runtime of `daemon`. What is due comes
//! from the store by an index, in order and once, into one queue for each provider, the most urgent first; a provider's
//! limits are kept there; [`lifecycle::urgency()`] says what is more urgent. Between turns the engine sleeps to the earliest deadline,
//! at most [`engine::LONGEST_NAP`], by a timer on the wall clock that ends at once when that is set. While many calls are under
//! way, a turn waits a moment for some of their answers, so that these share a commit.
//!
//! # Invariants
//!
//! - **Intent before call.** What may have an effect elsewhere is committed, with its marker, before it is sent. After a crash
//!   the next start asks what became of it before it does anything else for that occurrence.
//! - **One call at a time for each occurrence**, so that no two answers can contradict each other.
//! - **A turn that did not commit has not happened**: no call, no line in the log; its answers wait for the next.
//! - **Ends are anchored to the schedule**, and moved by rule, never by who came when.
//! - **Unknown is never empty.** No failure closes a room.
//! - **What cannot be undone waits for two clocks**: ending and closing go by [`lifecycle::Now::settled`].
//! - **A reload is a difference by identity**; what does not differ is not touched.
//! - **A refresh token is never used up unseen.** Intent, request, new pair committed, used: see [`auth`].
//! - **No secret** is in a log event, an error, a `Debug` or a URL of ours.
//!
//! # Left out on purpose
//!
//! No plug-ins, no database but SQLite, no cluster: the traits [`store::Store`] and [`providers::Provider`] are where these
//! would begin. No meeting's deadline lives in a cron library.

pub mod auth;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod lifecycle;
pub mod log;
pub mod meeting_service;
pub mod providers;
pub mod schedule;
pub mod seams;
pub mod seeded_bug;
mod sqlite_file;
pub mod store;
pub mod transport;
pub mod web;
