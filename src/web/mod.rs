//! The listener: health for whoever watches the daemon, webhooks of providers, and the built-in meeting service.

mod zoom;

pub use zoom::{Hint, Webhooks};

use crate::seams::Clock;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An engine that has not finished a turn for this long hangs: it takes one at least every
/// [`LONGEST_NAP`](crate::engine::LONGEST_NAP).
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// How the daemon is, as far as an outsider needs to know.
#[derive(Debug, Default)]
pub struct Health {
    is_ready: AtomicBool,
    /// The boot clock at the end of the engine's last turn, in seconds.
    last_turn_s: AtomicU64,
    /// What keeps the daemon from working.
    problem: Mutex<Option<String>>,
}

impl Health {
    /// Everything is up (or, with `false`, going down).
    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    /// Notes what keeps the daemon from working; `None`: nothing does any more.
    pub fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// What keeps the daemon from working.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The engine has finished a turn at `boot`.
    pub fn turned(&self, boot: Duration) {
        self.last_turn_s.store(boot.as_secs(), Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Watch {
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
}

/// `GET /healthz`: 200 while the engine takes its turns, else 503. `GET /readyz`: 200 while meetings are taken care of.
pub fn health_routes(health: Arc<Health>, clock: Arc<dyn Clock>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Watch { health, clock })
}

async fn healthz(State(watch): State<Watch>) -> (StatusCode, &'static str) {
    let last_turn = Duration::from_secs(watch.health.last_turn_s.load(Ordering::Relaxed));
    if watch.clock.boot().saturating_sub(last_turn) < HANGS_AFTER {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the engine has not finished a turn for a minute\n")
    }
}

async fn readyz(State(watch): State<Watch>) -> (StatusCode, String) {
    if !watch.health.is_ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n".to_owned());
    }
    match watch.health.problem() {
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}
