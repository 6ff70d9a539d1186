//! "Did you mean": the nearest of the names that exist.

/// Longer words are nobody's misspelling, and comparing them costs.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, if one is near: letter case, `_`, `-` and spaces do not count.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = plain(word);
    let tolerated = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= tolerated && *distance < plain(candidate).len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["create_ahead", "close_delay", "title", "cron"];
        for (word, near) in [
            ("createAhead", Some("create_ahead")),
            ("create-ahaed", Some("create_ahead")),
            ("CRON", Some("cron")),
            ("tilte", Some("title")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, names), near, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), names), None);
    }
}
