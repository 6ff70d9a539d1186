//! Worlds in which the daemon, or the world itself, was once found wrong: run for ever.

/// A scenario or a seed, its plan, and what was wrong.
pub(crate) const ALL: &[(&str, &str, &str)] = &[];
