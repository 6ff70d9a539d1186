//! Whatever is in a field: a line of the log is one line, and shows nothing that a terminal would act upon.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use convened::log::{LogEvent, LogFormat, to_lines};
use std::sync::{Arc, Mutex};

/// What is logged by `log`.
fn lines(format: LogFormat, log: impl FnOnce()) -> String {
    let written = Arc::new(Mutex::new(String::new()));
    let sink = written.clone();
    let subscriber = to_lines(format, 2, move |line| sink.lock().unwrap().push_str(line));
    tracing::subscriber::with_default(subscriber, log);
    let written = written.lock().unwrap();
    written.clone()
}

const HOSTILE: &str =
    "a\x1b[31m\r\nb\u{0}\u{7f}\u{85}\u{9b}31m\u{202e}c\u{2028}\u{feff}\u{200b}\\\"\u{1f984}é";

#[test]
fn a_hostile_title_is_one_harmless_line_in_every_form() {
    let event = LogEvent::ScheduleWarning { location: HOSTILE, problem: HOSTILE, help: Some(HOSTILE) };
    for format in [LogFormat::Pretty, LogFormat::Json, LogFormat::Journald] {
        let written = lines(format, || event.emit());
        let line = written.strip_suffix('\n').unwrap();
        let harmful = |c: &char| c.is_control() || "\u{202e}\u{2028}\u{feff}\u{200b}".contains(*c);
        assert_eq!(line.chars().find(harmful), None, "{line:?}");
    }
}

#[test]
fn what_json_escapes_is_still_the_same_text() {
    let written = lines(LogFormat::Json, || LogEvent::StoreFailed { error: HOSTILE }.emit());
    let line: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&line["error"], &line["event"]), (&HOSTILE.into(), &"store.failed".into()));
}

#[test]
fn libraries_are_not_heard_below_a_warning() {
    let written = lines(LogFormat::Json, || {
        tracing::info!(target: "hyper", "a header with a secret");
        tracing::warn!(target: "hyper", "something is wrong");
    });
    assert_eq!(written.lines().count(), 1, "{written}");
}
