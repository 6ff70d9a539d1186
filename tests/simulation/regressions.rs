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
    (
        "restored",
        "5:applied-late,11:limited-until,-e2,-e3",
        "a late create, not found at first, the next one refused, then taken out: its room was forgotten",
    ),
    (
        "restored",
        "45:applied-late,51:false-success",
        "the world took a room that was gone and came back for a second one",
    ),
];
