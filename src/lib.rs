//! `convened` keeps scheduled video meetings' rooms in step with a schedule.

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
pub mod store;
pub mod transport;
pub mod web;
