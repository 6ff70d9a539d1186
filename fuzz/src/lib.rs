//! What the fuzz targets share: seams that do as a target says, and what no text that is shown may hold.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use convened::seams::{BoxFuture, Clock, Entropy};
use convened::transport::{Transport, TransportError};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Clocks that stand until they are told to go on.
pub struct StillClock(AtomicI64);

impl StillClock {
    pub fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    pub fn pass(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(0), Ordering::Relaxed);
    }
}

impl Default for StillClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The instant at which every input begins: 2026-11-23T08:00:00Z.
pub fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_420_800, 0).expect("an instant")
}

impl Clock for StillClock {
    fn wall(&self) -> DateTime<Utc> {
        beginning() + chrono::TimeDelta::milliseconds(self.0.load(Ordering::Relaxed))
    }

    fn boot(&self) -> Duration {
        Duration::from_secs(1000)
            + Duration::from_millis(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Different every time, and the same in every run.
#[derive(Default)]
pub struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // splitmix64
            let mut z = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z ^ (z >> 31)).to_be_bytes()[0];
        }
    }
}

/// Gives one answer to the first request.
pub struct Answers(pub Mutex<Option<Result<http::Response<Bytes>, TransportError>>>);

impl Transport for Answers {
    fn send(
        &self,
        _: http::Request<Bytes>,
        _: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        let answer = self.0.lock().expect("no panic before").take();
        Box::pin(
            async move { answer.unwrap_or_else(|| Err(TransportError::NotSent("asked twice".to_owned()))) },
        )
    }
}

/// A runtime without threads of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Something that a terminal would act upon, or that would hide or turn around what follows. Written down anew here, by
/// the Unicode standard: C0, DEL, C1, the bidirectional controls of UAX #9, line and paragraph separator, and the
/// characters without width that are no part of a word.
pub fn harmful(text: &str) -> Option<char> {
    text.chars().find(|c| {
        matches!(u32::from(*c),
            0x00..=0x1f | 0x7f..=0x9f
            | 0x061c | 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069
            | 0x2028 | 0x2029
            | 0x200b | 0x2060 | 0xfeff)
    })
}
