//! `convened` keeps scheduled video meetings' rooms in step with a schedule.

pub mod lifecycle;
pub mod log;
pub mod providers;
pub mod schedule;
pub mod seams;
pub mod store;
pub mod transport;
