//! The token endpoint: requests, and what its answers mean (RFC 6749 sections 4.1.3, 5 and 6).

use super::{OAuthClient, life, scopes};
use crate::log::escape;
use crate::transport::{TransportError, retry_after};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::collections::BTreeSet;
use url::form_urlencoded::Serializer;

/// The longest pause that a token endpoint is granted.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// The most of a service's own words that is shown.
const LONGEST_WORDS: usize = 200;
/// Errors of whoever set the application up.
const SETUP_ERRORS: [&str; 5] =
    ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request"];
/// Numbers that Zoom gives instead of names: the grant is refused,
const REFUSED_CODES: [i64; 8] = [4711, 4733, 4734, 4735, 4737, 4738, 4740, 4741];
/// or the application is not set up right.
const SETUP_CODES: [i64; 7] = [4702, 4704, 4705, 4706, 4709, 4717, 4724];

/// What is asked for.
pub(super) enum Ask<'a> {
    /// The next pair, for a refresh token.
    Refresh(&'a SecretString),
    /// A token for the account itself.
    AccountCredentials { account_id: &'a str },
    /// The first pair, for the code that a person's consent gave.
    Code { code: &'a SecretString, redirect_url: &'a str, verifier: &'a SecretString },
}

/// A pair of tokens as the service gave it.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) access_token: SecretString,
    /// `None`: the service sent none, the one before stays.
    pub(super) refresh_token: Option<SecretString>,
    pub(super) life: TimeDelta,
    /// `None`: not told, as before.
    pub(super) scopes: Option<BTreeSet<String>>,
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Answer {
    /// Here they are.
    Granted(Granted),
    /// The refresh token (or code) is not accepted.
    Refused(String),
    /// The application is not accepted, or not set up right.
    Misconfigured(String),
    /// The request was not acted upon.
    NotNow { why: String, retry_at: Option<DateTime<Utc>> },
    /// Nobody knows whether it was: a rotation may have taken place.
    Lost(String),
}

/// The request for `ask`. `None`: it cannot be written, as the configuration holds what no request can.
pub(super) fn request(client: &OAuthClient, ask: &Ask<'_>) -> Option<Request<Bytes>> {
    let mut form = Serializer::new(String::new());
    match ask {
        Ask::Refresh(token) => {
            form.append_pair("grant_type", "refresh_token");
            form.append_pair("refresh_token", token.expose_secret());
        }
        Ask::AccountCredentials { account_id } => {
            form.append_pair("grant_type", "account_credentials");
            form.append_pair("account_id", account_id);
        }
        Ask::Code { code, redirect_url, verifier } => {
            form.append_pair("grant_type", "authorization_code");
            form.append_pair("code", code.expose_secret());
            form.append_pair("redirect_uri", redirect_url);
            form.append_pair("code_verifier", verifier.expose_secret());
        }
    }
    let credentials =
        STANDARD.encode(format!("{}:{}", client.client_id, client.client_secret.expose_secret()));
    let mut authorization = HeaderValue::from_str(&format!("Basic {credentials}")).ok()?;
    authorization.set_sensitive(true);
    // In the body: what is in a URL ends up in logs on the way.
    Request::post(client.token_url())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(AUTHORIZATION, authorization)
        .body(Bytes::from(form.finish()))
        .ok()
}

/// What came back. None of `secrets` is in any word of it, even where the service repeats them.
pub(super) fn understand(
    answer: Result<Response<Bytes>, TransportError>,
    now: DateTime<Utc>,
    secrets: &[&SecretString],
) -> Answer {
    let answer = match answer {
        Ok(answer) => answer,
        Err(TransportError::NotSent(why)) => return Answer::NotNow { why, retry_at: None },
        Err(TransportError::AnswerLost(why)) => return Answer::Lost(format!("no usable answer: {why}")),
    };
    let status = answer.status();
    let body = serde_json::from_slice::<Value>(answer.body()).ok().filter(Value::is_object);
    if status.is_success() {
        return body.as_ref().and_then(granted).map_or_else(
            || Answer::Lost(format!("an answer that holds no tokens (status {})", status.as_u16())),
            Answer::Granted,
        );
    }
    let words = body.as_ref().and_then(words).map(|words| shown(&words, secrets));
    let said = match &words {
        Some(words) => format!("{words} (status {})", status.as_u16()),
        None => format!("status {}", status.as_u16()),
    };
    let retry_at = pause_asked(answer.headers(), now);
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            Answer::NotNow { why: format!("too many requests: {said}"), retry_at }
        }
        StatusCode::SERVICE_UNAVAILABLE => Answer::NotNow { why: said, retry_at },
        // Something behind a gateway may have done its work all the same.
        _ if status.is_server_error() => Answer::Lost(said),
        _ => match body.as_ref().map(kind_of_refusal) {
            Some(Some(Refusal::Grant)) => Answer::Refused(said),
            Some(Some(Refusal::Setup)) => Answer::Misconfigured(said),
            Some(None) | None => {
                Answer::NotNow { why: format!("an answer that says nothing: {said}"), retry_at }
            }
        },
    }
}

fn granted(body: &Value) -> Option<Granted> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    // A few services write the number as a text.
    let seconds = |value: &Value| {
        value
            .as_i64()
            .or_else(|| value.as_f64().and_then(whole))
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    };
    Some(Granted {
        access_token: SecretString::from(text("access_token")?),
        refresh_token: text("refresh_token").map(SecretString::from),
        life: life::life(body.get("expires_in").and_then(seconds)),
        scopes: text("scope").map(scopes::parse),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is out of range is as good as the end of the range"
)]
fn whole(seconds: f64) -> Option<i64> {
    seconds.is_finite().then_some(seconds as i64)
}

enum Refusal {
    Grant,
    Setup,
}

/// What a body that is no success is about; by the error's name or number, as texts are translated and change. One text is
/// taken at its word, because it is all that older answers have to say that the token is none.
fn kind_of_refusal(body: &Value) -> Option<Refusal> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let number = ["code", "errorCode", "error"]
        .iter()
        .filter_map(|key| body.get(key))
        .find_map(|value| value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok())));
    let error = text("error");
    if error == "invalid_grant"
        || text("reason").eq_ignore_ascii_case("Invalid Token!")
        || number.is_some_and(|number| REFUSED_CODES.contains(&number))
    {
        return Some(Refusal::Grant);
    }
    let is_setup =
        SETUP_ERRORS.contains(&error) || number.is_some_and(|number| SETUP_CODES.contains(&number));
    is_setup.then_some(Refusal::Setup)
}

/// The service's own words: `invalid_grant: Invalid Token!`.
fn words(body: &Value) -> Option<String> {
    let text = |key: &str| {
        body.get(key).and_then(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let error = text("error").or_else(|| text("code")).or_else(|| text("errorCode"));
    let reason = text("reason").or_else(|| text("error_description")).or_else(|| text("message"));
    match (error, reason) {
        (Some(error), Some(reason)) => Some(format!("{error}: {reason}")),
        (one, other) => one.or(other),
    }
}

/// Somebody else's words, fit to be shown: short, on one line, and without our secrets.
pub(super) fn shown(words: &str, secrets: &[&SecretString]) -> String {
    let mut words = words.to_owned();
    for secret in secrets {
        let secret = secret.expose_secret();
        if !secret.is_empty() {
            words = words.replace(secret, "***");
        }
    }
    let is_long = words.chars().count() > LONGEST_WORDS;
    let mut text: String = words.chars().take(LONGEST_WORDS).collect();
    if is_long {
        text.push('…');
    }
    escape(&text)
}

/// When the service wants to be asked again; Zoom writes an instant where others write seconds or a date.
fn pause_asked(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let instant = || {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
        DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.to_utc())
    };
    retry_after(headers, now).or_else(instant).map(|at| at.clamp(now, now + LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::DATE;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn answer(status: u16, body: &str) -> Answer {
        let response = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        understand(Ok(response), now(), &[])
    }

    #[test]
    fn refusals_are_told_apart_by_what_they_are_about() {
        for (status, body) in [
            (400, r#"{"reason":"Invalid Token!","error":"invalid_grant"}"#),
            (400, r#"{"error":"invalid_grant"}"#),
            (401, r#"{"error":"invalid_grant"}"#),
            (400, r#"{"reason":"Invalid Token!","error":"invalid_request"}"#),
            (400, r#"{"code":4735,"message":"whatever"}"#),
            (400, r#"{"errorCode":"4741"}"#),
        ] {
            assert!(matches!(answer(status, body), Answer::Refused(_)), "{body}: {:?}", answer(status, body));
        }
        for (status, body) in [
            (400, r#"{"reason":"Invalid client_id or client_secret","error":"invalid_client"}"#),
            (401, r#"{"error":"invalid_client"}"#),
            (400, r#"{"reason":"Account does not exist","error":"invalid_request"}"#),
            (400, r#"{"reason":"Account does not enabled the OAuth app type","error":"invalid_request"}"#),
            (400, r#"{"error":"unsupported_grant_type"}"#),
            (400, r#"{"code":4702}"#),
        ] {
            assert!(matches!(answer(status, body), Answer::Misconfigured(_)), "{body}");
        }
    }

    #[test]
    fn what_says_nothing_kills_nothing() {
        for (status, body) in [
            (429, r#"{"error":"invalid_grant"}"#),
            (503, r#"{"error":"invalid_grant"}"#),
            (400, "<html>Bad Request</html>"),
            (400, ""),
            (400, r#"{"error":"something_new"}"#),
            (400, r#"["invalid_grant"]"#),
            (403, "{}"),
            (302, ""),
        ] {
            assert!(matches!(answer(status, body), Answer::NotNow { .. }), "{status} {body}");
        }
        for (status, body) in [
            (500, r#"{"error":"invalid_grant"}"#),
            (502, "<html>"),
            (200, "<html>Sign in to the hotel's network</html>"),
            (200, "{}"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":"a","refresh_to"#),
        ] {
            assert!(matches!(answer(status, body), Answer::Lost(_)), "{status} {body}");
        }
        let refused = |error| understand(Err(error), now(), &[]);
        assert!(matches!(refused(TransportError::NotSent(String::new())), Answer::NotNow { .. }));
        assert!(matches!(refused(TransportError::AnswerLost(String::new())), Answer::Lost(_)));
    }

    #[test]
    fn a_pair_is_read_however_the_service_writes_it() {
        let body = r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":"3599","scope":"x y","new":1}"#;
        let Answer::Granted(granted) = answer(200, body) else { panic!("{:?}", answer(200, body)) };
        assert_eq!(granted.refresh_token.unwrap().expose_secret(), "r");
        assert_eq!(granted.life.num_seconds(), 3599);
        assert_eq!(granted.scopes.unwrap().len(), 2);
        let Answer::Granted(bare) = answer(200, r#"{"access_token":"a","expires_in":1e12}"#) else {
            panic!()
        };
        assert!(bare.refresh_token.is_none() && bare.scopes.is_none());
        assert_eq!(bare.life.num_seconds(), 86_400);
    }

    #[test]
    fn the_service_says_when_in_any_of_three_ways_and_not_for_ever() {
        let wait = |text: &str| {
            let response = Response::builder().status(429).header(RETRY_AFTER, text);
            let response = response.header(DATE, "Fri, 15 Jan 2027 08:00:00 GMT").body(Bytes::new()).unwrap();
            let Answer::NotNow { retry_at, .. } = understand(Ok(response), now(), &[]) else { panic!() };
            retry_at.map(|at| (at - now()).num_seconds())
        };
        assert_eq!(now().to_rfc3339(), "2027-01-15T08:00:00+00:00");
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Fri, 15 Jan 2027 08:00:09 GMT"), Some(9));
        assert_eq!(wait("2027-01-15T08:00:11Z"), Some(11));
        assert_eq!(wait("2031-01-15T08:00:11Z"), Some(3600));
        assert_eq!(wait("2020-01-15T08:00:11Z"), Some(0));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn words_of_the_service_show_no_secret_and_act_upon_no_terminal() {
        let secret = SecretString::from("hunter2hunter2");
        let body = "{\"error\":\"invalid_grant\",\"reason\":\"hunter2hunter2 is \\u001b[31mwrong\"}";
        let response = Response::builder().status(400).body(Bytes::from(body)).unwrap();
        let Answer::Refused(said) = understand(Ok(response), now(), &[&secret]) else { panic!() };
        assert_eq!(said, "invalid_grant: *** is \\u{1b}[31mwrong (status 400)");
        assert_eq!(shown(&"x".repeat(5000), &[]).chars().count(), LONGEST_WORDS + 1);
    }
}
