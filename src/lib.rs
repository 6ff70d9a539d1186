//! `convened` keeps scheduled video meetings' rooms in step with a schedule.

pub mod lifecycle;
pub mod providers;
pub mod schedule;
pub mod seams;
pub mod transport;
