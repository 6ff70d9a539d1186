//! Pure. The life of an occurrence.

mod policy;

pub use policy::{Extend, OnRemoved, Policy};
