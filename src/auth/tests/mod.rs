//! Accounts against a service that has its own truth, with crashes wherever one can fall.

#[path = "../../../tests/emulators/oauth.rs"]
mod emulator;
mod journal;
mod keeping;
mod keys;
mod logins;
mod refreshing;
mod world;
