//! The meeting service as its callers see it: by HTTP, with a clock that only the tests move.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod admin;
mod durability;
mod page;
mod people;
mod support;
