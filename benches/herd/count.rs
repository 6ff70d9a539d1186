//! What a room costs without network and server: for a profiler that counts instructions, which are the same on a machine
//! that is busy with other things.
//!
//! ```sh
//! valgrind --tool=callgrind --separate-threads=yes target/release/deps/herd-… count 5000
//! ```
//!
//! counts the engine's thread and that of the calls each for itself.

use super::world::{LaneLimits, NO_LIMIT, Run};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use convened::seams::{BoxFuture, Clock, SystemClock};
use convened::transport::{Transport, TransportError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A meeting service that answers at once, with the room that was asked for.
struct Prompt;

impl Transport for Prompt {
    fn send(
        &self,
        request: http::Request<Bytes>,
        _: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        let body = request.body();
        let key = b"\"roomUuid\":\"";
        let from = body.windows(key.len()).position(|window| window == key).unwrap() + key.len();
        let id = std::str::from_utf8(&body[from..from + 32]).unwrap();
        let answer = format!(
            "{{\"code\":0,\"data\":{{\"isOpen\":true,\"joinUrl\":\"http://127.0.0.1/m/{id}\",\"occupancy\":0,\
             \"roomUuid\":\"{id}\"}},\"msg\":\"Success\"}}"
        );
        Box::pin(std::future::ready(Ok(http::Response::new(Bytes::from(answer)))))
    }
}

/// The machine's wall clock. The boot clock, which cannot be read under valgrind, begins with the program.
struct Stopwatch(Instant);

impl Clock for Stopwatch {
    fn wall(&self) -> DateTime<Utc> {
        SystemClock.wall()
    }
    fn boot(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration)
    }
}

/// Makes so many rooms that are due at one instant.
pub(super) fn make(rooms: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let limits = LaneLimits { max_in_flight: super::IN_FLIGHT, ..NO_LIMIT };
    let (calls, clock) = (runtime.handle().clone(), Arc::new(Stopwatch(Instant::now())));
    let mut run = Run::on(calls, clock, Arc::new(Prompt), "http://127.0.0.1:1".to_owned(), limits);
    let wait = run.expect("room.created", rooms);
    // A profiler slows everything down: what is late is made all the same.
    run.insert_herd(rooms, Duration::from_secs(10));
    run.until(&wait);
}
