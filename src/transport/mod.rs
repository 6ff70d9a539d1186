//! HTTP out: the [`Transport`] seam over reqwest.
//!
//! One request in, one response out, with a time limit and a size limit. No retry, no redirect, no cookie, no proxy
//! from the environment: what happens after a failure is decided above, once, for every provider.

mod date_witness;
mod http_client;
mod retry_after;

pub use date_witness::{DateWitness, Witnessed};
pub use http_client::HttpClient;
pub use retry_after::{LONGEST_PAUSE, retry_after};

use crate::seams::BoxFuture;
use bytes::Bytes;
use std::time::Duration;

/// The largest response body that is read, in bytes (1 MiB).
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Sends one HTTP request and brings its response.
pub trait Transport: Send + Sync {
    /// Sends `request`; its URI must be absolute. `timeout` covers everything from connecting to the body's last byte.
    ///
    /// # Errors
    /// See [`TransportError`]. Any HTTP status is a response, not an error.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the exchange: whether the server acted is then unknown.
    fn send(
        &self,
        request: http::Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>>;
}

/// Why no response came. Says what is known about the request's effect; never holds a URL, which may carry a secret.
#[derive(Debug)]
pub enum TransportError {
    /// The request never left: nothing can have happened at the other end.
    NotSent(String),
    /// The request may have been acted upon; the answer is lost (time-out, broken connection, oversized body).
    AnswerLost(String),
}

impl std::fmt::Display for TransportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(cause) => write!(f, "could not reach the server: {cause}"),
            Self::AnswerLost(cause) => write!(f, "no usable answer: {cause}"),
        }
    }
}

impl std::error::Error for TransportError {}
