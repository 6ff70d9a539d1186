//! The instances of a series in a window of time.

use super::resolved::Resolved;
use super::{Instance, Series, TooMany};
use chrono::{DateTime, NaiveDateTime, Utc};
use std::ops::{ControlFlow, Range};

impl Series {
    /// Instances whose start, any override applied, is in `window`; ordered by start, then by original local start.
    ///
    /// The cost follows the window (and the distance from the start with COUNT, by periods and not by starts), never
    /// the number of starts before it.
    ///
    /// Where the clocks go forward two starts can fall on one instant (an hourly meeting's 02:00 and 03:00): then the
    /// one that is at its own local time takes place, and the moved one does not.
    ///
    /// # Errors
    /// When there are more than `limit`.
    pub fn expand(&self, window: Range<DateTime<Utc>>, limit: usize) -> Result<Vec<Instance>, TooMany> {
        if window.is_empty() {
            return Ok(Vec::new());
        }
        let resolved = Resolved::new(self, &window);
        let mut found = Vec::new();
        let mut take = |original: NaiveDateTime| {
            found.extend(resolved.instance(original).filter(|instance| window.contains(&instance.starts_at)));
            if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        resolved.each(&mut take);
        if found.len() > limit {
            return Err(TooMany { limit });
        }
        found.sort_by_key(|instance| (instance.starts_at, instance.original));
        Ok(found)
    }
}
