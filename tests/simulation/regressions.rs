//! Worlds in which the daemon was once found wrong: run for ever.

/// A scenario or a seed, its plan, and what was wrong.
pub(crate) const ALL: &[(&str, &str, &str)] = &[
    (
        "extension",
        "15:crash-after-call,21:false-empty",
        "seen empty before its start, and once more after the daemon was down for long: closed with people in it",
    ),
    ("extension", "16:crash-before-commit,22:false-empty", "the same, with the last look not committed"),
    (
        "clock-step",
        "2:store-fails,13:crash-before-commit",
        "a full disk kept the note of what the clocks showed, and nobody wrote it later: closed early after a restart",
    ),
];
