//! Servers elsewhere as witnesses of the time: the `Date` of their answers.

use super::{Transport, TransportError};
use crate::seams::{BoxFuture, Clock};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A server's `Date` and the wall clock agree when they are at most this far apart.
const AGREES_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// The last `Date` (RFC 9110 section 6.6.1) that a server on another machine gave.
#[derive(Debug, Default)]
pub struct DateWitness {
    last: Mutex<Option<(DateTime<Utc>, Duration)>>,
}

impl DateWitness {
    /// A server said `date` when the boot clock showed `boot`.
    pub fn saw(&self, date: DateTime<Utc>, boot: Duration) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, boot));
    }

    /// A server has spoken after `since` on the boot clock, and what it said agrees with `wall` at `boot`.
    pub fn confirms(&self, wall: DateTime<Utc>, boot: Duration, since: Duration) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|(date, at)| {
            let elapsed = TimeDelta::from_std(boot.saturating_sub(at)).unwrap_or(TimeDelta::MAX);
            at > since && (wall - elapsed - date).abs() <= AGREES_WITHIN
        })
    }
}

/// A transport that notes what servers on other machines say about the time.
pub struct Witnessed {
    inner: Arc<dyn Transport>,
    witness: Arc<DateWitness>,
    clock: Arc<dyn Clock>,
}

impl Witnessed {
    /// Watches the answers that come through `inner`.
    pub fn new(inner: Arc<dyn Transport>, witness: Arc<DateWitness>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, witness, clock }
    }
}

impl Transport for Witnessed {
    fn send(
        &self,
        request: http::Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        let is_elsewhere = request.uri().host().is_some_and(|host| !is_loopback(host));
        Box::pin(async move {
            let answer = self.inner.send(request, timeout).await?;
            if is_elsewhere && let Some(date) = date(&answer) {
                self.witness.saw(date, self.clock.boot());
            }
            Ok(answer)
        })
    }
}

fn date(answer: &http::Response<Bytes>) -> Option<DateTime<Utc>> {
    let text = answer.headers().get(http::header::DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// A server on this machine has this machine's clock: no second opinion.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
