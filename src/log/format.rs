//! Events as text or JSON, one line each, safe to show on a terminal.

use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt::Write as _;
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How a line looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// Local time, level, name, `field=value …`.
    Text { is_coloured: bool },
    /// One JSON object.
    Json,
}

/// Hands every event to `write` as one line with its end, so that lines of several threads do not mix.
pub(super) struct LineLayer<W> {
    style: Style,
    write: W,
}

impl<W: Fn(&str)> LineLayer<W> {
    pub(super) fn new(style: Style, write: W) -> Self {
        Self { style, write }
    }
}

/// To standard error, in one write. A reader that went away must not stop the meetings.
pub(super) fn to_stderr(line: &str) {
    let _ = std::io::stderr().write_all(line.as_bytes());
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for LineLayer<W> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        #[expect(clippy::disallowed_methods, reason = "the log's own time stamp decides nothing")]
        let now = Utc::now();
        let mut line = format_event(self.style, event, now);
        line.push('\n');
        (self.write)(&line);
    }
}

fn format_event(style: Style, event: &Event<'_>, now: DateTime<Utc>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let level = *event.metadata().level();
    // Events of libraries have a message and no name of ours.
    let name = fields.name.take().unwrap_or_else(|| event.metadata().target().to_owned());
    match style {
        Style::Json => {
            let mut object = serde_json::Map::new();
            let time = now.to_rfc3339_opts(SecondsFormat::Millis, true);
            object.insert("time".to_owned(), time.into());
            object.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
            object.insert("event".to_owned(), name.into());
            object.extend(fields.list.into_iter().map(|(field, value)| (field.to_owned(), value)));
            escape_in_json(serde_json::Value::Object(object).to_string())
        }
        Style::Text { is_coloured } => {
            let paint = |code: &str, text: &str| {
                if is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
            };
            let (colour, label) = match level {
                Level::ERROR => ("1;31", "ERROR"),
                Level::WARN => ("33", " WARN"),
                Level::INFO => ("32", " INFO"),
                Level::DEBUG => ("34", "DEBUG"),
                Level::TRACE => ("35", "TRACE"),
            };
            let time = now.with_timezone(&chrono::Local).format("%Y-%m-%dT%H:%M:%S%:z").to_string();
            let mut line =
                format!("{} {} {}", paint("2", &time), paint(colour, label), paint("1", &escape(&name)));
            let remark = super::LogEvent::spec(&name).and_then(super::EventSpec::remark);
            for (field, value) in fields.list {
                let value = match value {
                    serde_json::Value::String(text) => quote(&text),
                    other => other.to_string(),
                };
                let _ = write!(line, " {}{value}", paint("2", &format!("{field}=")));
            }
            if let Some(remark) = remark {
                let _ = write!(line, "  {}", paint("2", &format!("# {remark}")));
            }
            line
        }
    }
}

/// Collects an event's fields in order.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    list: Vec<(&'static str, serde_json::Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: serde_json::Value) {
        match (field.name(), value) {
            ("event", serde_json::Value::String(name)) => self.name = Some(name),
            (name, value) => self.list.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Our events carry themselves as a line for the journal; here the fields tell the same.
        if field.name() == "message" && self.list.is_empty() && is_own(field) {
            return;
        }
        self.add(field, format!("{value:?}").into());
    }
}

fn is_own(field: &Field) -> bool {
    field.callsite().0.metadata().target() == super::events::TARGET
}

/// `text` as a value in a `field=value` line: in quotes where it would be ambiguous, with nothing in it that a terminal
/// would act upon.
pub(super) fn quote(text: &str) -> String {
    let is_plain =
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.:/@+%?&#~*,;[]()<>".contains(c));
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", escape(&text.replace('\\', "\\\\").replace('"', "\\\"")))
    }
}

/// A number as a field of an event.
pub fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A number with its noun: `1 meeting`, `2 meetings`. For nouns that take an `s`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `text` without control characters and without marks that reorder or hide what follows: such characters become
/// `\u{…}`, a line break `\n`.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c if is_unsafe(c) => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON without what [`escape`] takes out: it stands in strings only, where `\u` and four digits mean the same. Somebody
/// reads the log on a terminal in the end.
fn escape_in_json(json: String) -> String {
    if !json.chars().any(is_unsafe) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// C0, C1, DEL, line and paragraph separators, bidirectional controls, zero-width characters, the byte order mark.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{061c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_upon_gets_through() {
        let hostile = "a\x1b[31mb\u{9b}c\r\nd\u{202e}e\u{2028}f\0g\u{feff}h";
        let shown = escape(hostile);
        assert!(shown.chars().all(|c| !is_unsafe(c)), "{shown:?}");
        assert_eq!(shown, "a\\u{1b}[31mb\\u{9b}c\\r\\nd\\u{202e}e\\u{2028}f\\u{0}g\\u{feff}h");
    }

    #[test]
    fn values_are_quoted_where_they_would_be_ambiguous() {
        assert_eq!(quote("standup@2026-11-23T09:30"), "standup@2026-11-23T09:30");
        assert_eq!(quote("Daily \"stand-up\""), "\"Daily \\\"stand-up\\\"\"");
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote("a=b"), "\"a=b\"");
    }
}
