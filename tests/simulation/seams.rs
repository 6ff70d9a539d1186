//! The daemon's five seams, as the world gives them.

use crate::node::Node;
use crate::rng::Rng;
use crate::world::World;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use convened::engine::LONGEST_NAP;
use convened::log::LogEvent;
use convened::seams::{BoxFuture, Clock, Entropy, Files, Host, HostState};
use convened::transport::{Transport, TransportError};
use http::{Request, Response};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What must never be seen in the log.
pub(crate) const ADMIN_SECRET: &str = "wurzelpeter-0815-never-to-be-seen";

impl Clock for Node {
    fn wall(&self) -> DateTime<Utc> {
        self.world.lock().wall()
    }

    fn boot(&self) -> Duration {
        self.world.lock().boot()
    }

    fn boot_id(&self) -> Option<String> {
        Some("the only boot".to_owned())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn wait_until(&self, at: DateTime<Utc>, at_most: Duration) -> BoxFuture<'static, ()> {
        let next_due = self.next_due.swap(i64::MIN, Ordering::Relaxed);
        let state = self.world.lock();
        let may_skip = at_most == LONGEST_NAP
            && state.setup.skips_idle_naps
            && next_due != i64::MIN
            && state.wall_offset == 0
            && state.now() >= state.naps_until;
        let left = (at - state.wall()).to_std().unwrap_or_default().min(at_most);
        let end = match may_skip {
            true => state.mono(next_due.min(state.now() + 20 * crate::setup::DAY)),
            false => Instant::now() + left,
        };
        let has_alarms = state.setup.has_alarms;
        drop(state);
        Box::pin(wait(self.world.clone(), end, has_alarms))
    }
}

/// The engine's nap. Where nothing is due, and [`crate::setup::Setup::skips_idle_naps`], it is as long as that lasts: the turns
/// between would find nothing to do. Whoever touches the clocks ends it at once, or, where the machine has no alarms that do,
/// at the end of the nap that would be under way.
async fn wait(world: Arc<World>, end: Instant, has_alarms: bool) {
    let begin = Instant::now();
    tokio::select! {
        biased;
        () = world.sky.notified() => {
            if !has_alarms {
                let naps = begin.elapsed().as_millis() / LONGEST_NAP.as_millis() + 1;
                let nap = begin + LONGEST_NAP * u32::try_from(naps).unwrap();
                tokio::time::sleep_until(nap.min(end)).await;
            }
        }
        () = tokio::time::sleep_until(end) => {}
    }
}

/// Markers that are the same for the same seed, and never the same twice.
pub(crate) struct Dice(pub(crate) Mutex<Rng>);

impl Entropy for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.0.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            let random = rng.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

impl Host for Node {
    fn notify(&self, _: HostState) {}

    fn log(&self, event: &LogEvent<'_>) {
        if self.is_alive() {
            self.world.lock().told(event);
        }
    }
}

/// The one file that there is.
pub(crate) struct OneFile(pub(crate) Vec<u8>);

impl OneFile {
    pub(crate) const PATH: &str = "/etc/convened/config.toml";
}

impl Files for OneFile {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path == Path::new(Self::PATH) {
            true => Ok(self.0.clone()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, _: &str) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// HTTP, as far as a daemon can tell.
pub(crate) struct Wire(pub(crate) Arc<Node>);

impl Transport for Wire {
    fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        Box::pin(async move {
            let Some(reply) = self.0.begin_call(&request, timeout) else {
                // The daemon is dead, and what is left of it does nothing any more.
                return Err(TransportError::NotSent("dead".to_owned()));
            };
            reply.await.unwrap_or_else(|_| Err(TransportError::AnswerLost("dead".to_owned())))
        })
    }
}
