//! URLs of services.

use super::diagnostic::quote;
use super::reader::Item;

/// A URL that was checked: http or https, a host, perhaps a port and a path, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// Without a `/` at its end.
    pub(super) text: String,
    /// The path, without a `/` at its end; empty for none.
    pub(super) path: String,
    /// Whether what is sent there can be read on the way.
    pub(super) is_open_http: bool,
}

/// Reads a URL. The message never tells it, as it may hold a password.
pub(super) fn read(item: &Item<'_>, example: &str) -> Option<Url> {
    let text = item.string(example)?;
    match parse(text) {
        Ok(url) => Some(url),
        Err(why) => {
            item.context.problems.mask(&if text.contains('@') { item.place() } else { nothing(item) });
            item.error(format!("`{}` {why}", item.name), format!("write for example {example}"));
            None
        }
    }
}

fn nothing(item: &Item<'_>) -> super::problems::Place {
    super::problems::Place { file: item.context.file, span: None }
}

fn parse(text: &str) -> Result<Url, String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        None => return Err("must begin with https:// or http://".to_owned()),
        Some("http" | "https") => {}
        Some(other) => return Err(format!("must begin with https:// or http://, not with {}", quote(other))),
    }
    if text.len() > 2000 || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("is not a URL".to_owned());
    }
    if text.contains('@') {
        return Err("must not hold a user name or password".to_owned());
    }
    if text.contains('?') {
        return Err("must not have a query".to_owned());
    }
    if text.contains('#') {
        return Err("must not have a fragment".to_owned());
    }
    let uri: http::Uri = text.parse().map_err(|_| "is not a URL".to_owned())?;
    let (Some(host), Some(authority)) = (uri.host().filter(|host| !host.is_empty()), uri.authority()) else {
        return Err("has no host".to_owned());
    };
    // What is after the host: a port that does not fit is no part of `port`.
    let after_host = authority.as_str().get(host.len()..).unwrap_or_default();
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if !after_host.is_empty() && !after_host.strip_prefix(':').is_some_and(is_port) {
        return Err("has no valid port".to_owned());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = bare.eq_ignore_ascii_case("localhost")
        || bare.to_ascii_lowercase().ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    Ok(Url {
        text: text.trim_end_matches('/').to_owned(),
        path: uri.path().trim_end_matches('/').to_owned(),
        is_open_http: scheme == Some("http") && !is_loopback,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_without_the_last_slash() {
        let url = parse("https://example.com:8443/a/").expect("a URL");
        assert_eq!((url.text.as_str(), url.path.as_str()), ("https://example.com:8443/a", "/a"));
        assert_eq!(parse("http://[::1]/").map(|url| url.text), Ok("http://[::1]".to_owned()));
    }

    #[test]
    fn only_http_beyond_this_machine_can_be_read_on_the_way() {
        for (text, is_open) in [
            ("http://example.com", true),
            ("https://example.com", false),
            ("http://localhost:1", false),
            ("http://LOCALHOST:1", false),
            ("http://127.8.0.1", false),
            ("http://[::1]:1", false),
            ("http://localhost.example.com", true),
            ("http://10.0.0.1", true),
        ] {
            assert_eq!(parse(text).map(|url| url.is_open_http), Ok(is_open), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_plain_url_is_refused() {
        for text in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///a",
            "https://a:b@example.com",
            "https://a b",
            "https://example.com?x",
            "https://example.com#x",
            "https://example.com:99999",
            "https://example.com:0",
            "https://example.com:",
            "HTTP://example.com",
            "https://exa\u{1b}mple.com",
            "https://[::1",
            "http://é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
