//! Events with any text in their fields: one line each, harmless on a terminal, and JSON that says the same.

#![no_main]

use arbitrary::Arbitrary;
use convened::log::{LogEvent, LogFormat, Time, escape, to_lines};
use convened_fuzz::{beginning, harmful};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, Mutex};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    first: &'a str,
    second: &'a str,
    third: Option<&'a str>,
    number: u64,
    which: u8,
    from_library: bool,
}

fn written(format: LogFormat, log: impl FnOnce()) -> String {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = text.clone();
    let subscriber = to_lines(format, 2, move |line| sink.lock().expect("one thread").push_str(line));
    tracing::subscriber::with_default(subscriber, log);
    let text = text.lock().expect("one thread");
    text.clone()
}

fuzz_target!(|input: Input<'_>| {
    let Input { first, second, third, number, which, from_library } = input;
    let time = Time(beginning());
    let event = match which % 5 {
        0 => LogEvent::ScheduleWarning { location: first, problem: second, help: third },
        1 => LogEvent::RoomCreated {
            occurrence: first,
            provider: second,
            reason: "created",
            title: third.unwrap_or_default(),
            starts_at: time,
            room_id: second,
            join_url: first,
        },
        2 => LogEvent::CallFailed {
            occurrence: first,
            provider: "house",
            call: "look",
            attempts: number,
            error: second,
            retry_at: time,
        },
        3 => {
            LogEvent::MeetingFailed { occurrence: first, provider: second, reason: "rejected", error: third }
        }
        _ => LogEvent::DaemonStarted { version: first, config: second, state_dir: third.unwrap_or_default() },
    };
    assert_eq!(harmful(&event.to_string()), None, "{event}");
    assert_eq!(harmful(&escape(first)), None);
    for format in [LogFormat::Pretty, LogFormat::Json] {
        let text = written(format, || {
            if from_library {
                tracing::warn!(target: "a_library", detail = first, "{second}");
            } else {
                event.emit();
            }
        });
        let line = text.strip_suffix('\n').expect("a line");
        assert_eq!(harmful(line), None, "{line:?}");
        if matches!(format, LogFormat::Json) {
            let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
            if from_library {
                assert_eq!(object["detail"], first);
                assert_eq!(object["message"], second);
            } else {
                assert_eq!(object["event"], event.name());
                let field = if which % 5 == 0 {
                    "location"
                } else if which % 5 == 4 {
                    "version"
                } else {
                    "occurrence"
                };
                assert_eq!(object[field], first, "{line}");
            }
        }
    }
});
