//! Secrets that can be recognised: random, with the characters that encodings change, and searched for in every disguise.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use convened::seams::{Entropy as _, SystemEntropy};
use std::collections::HashMap;
use std::fmt::Write as _;

/// A part of a secret of this many bytes gives it away.
const SLICE: usize = 12;

/// A secret that nobody can guess or happen upon; with characters that URLs, JSON and shells treat specially.
pub(crate) fn canary() -> String {
    let token = SystemEntropy.token();
    let (head, tail) = token.split_at(token.len() / 2);
    format!("{head}/+%\"{tail}")
}

/// What must not be found, by what it is.
#[derive(Default)]
pub(crate) struct Canaries {
    slices: HashMap<Vec<u8>, String>,
}

impl Canaries {
    /// Watches for `secret`, called `name`, in every encoding, whole or in part.
    pub(crate) fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 2 * SLICE, "{name} is too short to be recognised");
        for (encoding, text) in encodings(secret.as_bytes()) {
            for slice in text.windows(SLICE) {
                self.slices.entry(slice.to_vec()).or_insert_with(|| format!("{name}, {encoding}"));
            }
        }
    }

    /// Which secrets are in `haystack`, and in which disguise.
    pub(crate) fn found_in(&self, haystack: &[u8]) -> Vec<&str> {
        let mut found: Vec<&str> =
            haystack.windows(SLICE).filter_map(|slice| self.slices.get(slice)).map(String::as_str).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn encodings(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![("as it is", secret.to_vec())];
    all.push(("reversed", secret.iter().rev().copied().collect()));
    let json = serde_json::to_string(&String::from_utf8_lossy(secret)).unwrap();
    all.push(("as JSON", json.trim_matches('"').as_bytes().to_vec()));
    for (name, uppercase) in [("in hexadecimal", false), ("in capital hexadecimal", true)] {
        let mut hex = String::new();
        let mut percent = String::new();
        for byte in secret {
            let digits = if uppercase { format!("{byte:02X}") } else { format!("{byte:02x}") };
            hex.push_str(&digits);
            if byte.is_ascii_alphanumeric() {
                percent.push(char::from(*byte));
            } else {
                let _ = write!(percent, "%{digits}");
            }
        }
        all.push((name, hex.into_bytes()));
        all.push(("percent-encoded", percent.into_bytes()));
    }
    // Wherever in what is encoded it begins: three ways to fall into groups of three bytes, of which the ends are cut off
    // as they depend on what stands beside.
    for before in 0..3 {
        let mut padded = vec![b':'; before];
        padded.extend_from_slice(secret);
        for (name, engine) in [("in base64", STANDARD), ("in base64url", URL_SAFE)] {
            let text = engine.encode(&padded).trim_end_matches('=').as_bytes().to_vec();
            all.push((name, text[4..text.len() - 4].to_vec()));
        }
    }
    all
}

#[test]
fn a_secret_is_recognised_in_every_disguise_and_in_part() {
    let secret = canary();
    let mut canaries = Canaries::default();
    canaries.add("the secret", &secret);
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let reversed: String = secret.chars().rev().collect();
    let basic = STANDARD.encode(format!("an-id:{secret}"));
    for text in [
        secret.clone(),
        secret[5..20].to_owned(),
        reversed,
        hex.clone(),
        hex.to_uppercase(),
        serde_json::to_string(&secret).unwrap(),
        basic.clone(),
        URL_SAFE.encode(&secret),
        secret.replace('/', "%2F").replace('+', "%2B").replace('"', "%22"),
    ] {
        let haystack = format!("before {text} after");
        assert!(!canaries.found_in(haystack.as_bytes()).is_empty(), "{text}");
    }
    assert_eq!(canaries.found_in(basic.as_bytes()), ["the secret, in base64"]);
    assert!(canaries.found_in(canary().as_bytes()).is_empty());
}
