//! The documentation says what the program does.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use convened::lifecycle::Reason;
use convened::log::LogEvent;

/// The rows of all tables of a page, as cells.
fn rows(page: &str) -> Vec<Vec<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_list_of_events_is_that_of_the_code() {
    let documented: Vec<_> = rows(&page("events.md")).into_iter().filter(|row| row.len() > 2).collect();
    let mut in_code = LogEvent::SPECS.iter().collect::<Vec<_>>();
    for row in &documented {
        let name = row[0].trim_matches('`');
        let at = in_code.iter().position(|spec| spec.name == name);
        let spec =
            in_code.remove(at.unwrap_or_else(|| panic!("{name} is in the list, not in the code, or twice")));
        let fields: Vec<String> = spec.fields.iter().map(|field| format!("`{field}`")).collect();
        let level = spec.level.to_string().to_lowercase();
        assert_eq!([&row[1], &row[2], &row[3]], [&level, &fields.join(" "), spec.meaning.trim()], "{name}");
    }
    let missing: Vec<_> = in_code.iter().map(|spec| spec.name).collect();
    assert!(missing.is_empty(), "missing in docs/events.md: {missing:?}");
}

#[test]
fn the_list_of_reasons_is_that_of_the_code() {
    let documented: Vec<_> = rows(&page("events.md")).into_iter().filter(|row| row.len() == 2).collect();
    let in_code: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| vec![format!("`{reason}`"), reason.meaning().trim().to_owned()])
        .collect();
    assert_eq!(documented, in_code);
}
