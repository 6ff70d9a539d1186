//! The five seams: everything that is not deterministic comes in through one of these traits.
//!
//! [`Clock`] (wall clock, boot clock, waiting), [`Entropy`] (random bytes), [`Files`] (configuration files), [`Host`]
//! (service manager and log), and [`Transport`](crate::transport::Transport) (one HTTP request). Each file here holds a
//! trait and its real implementation; a simulation supplies its own and runs everything above them unchanged.

mod clock;
mod entropy;
mod files;
mod host;

pub use clock::{Clock, SystemClock};
pub use entropy::{Entropy, SystemEntropy};
pub use files::{Files, MAX_FILE_BYTES, SystemFiles};
pub use host::{Host, HostState, SystemHost};

/// A boxed future that can move between threads: what the seams' and the providers' asynchronous methods return, so
/// that they can be used behind `Arc<dyn …>`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
