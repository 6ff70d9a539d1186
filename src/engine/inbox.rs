//! Where the results of calls arrive.

use super::perform::CallResult;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Results that the engine has not taken yet. Whoever brings one wakes the engine only when there are as many as it waits
/// for: each wake-up costs two system calls, more than a step.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    held: Mutex<Held>,
    is_enough: Notify,
}

#[derive(Debug, Default)]
struct Held {
    results: Vec<CallResult>,
    /// So many are waited for; 0: nobody waits.
    wanted: usize,
}

impl Inbox {
    pub(super) fn push(&self, result: CallResult) {
        let mut held = self.lock();
        held.results.push(result);
        if held.wanted > 0 && held.results.len() >= held.wanted {
            held.wanted = 0;
            drop(held);
            self.is_enough.notify_one();
        }
    }

    /// Moves everything that is there, but not more than `limit`, to the end of `results`. Returns whether there was anything.
    pub(super) fn take(&self, results: &mut Vec<CallResult>, limit: usize) -> bool {
        let mut held = self.lock();
        let count = held.results.len().min(limit);
        results.extend(held.results.drain(..count));
        count > 0
    }

    /// Waits until there are `wanted` results, at least one.
    ///
    /// # Cancel safety
    /// Nothing is taken: dropping the future loses nothing.
    pub(super) async fn wait(&self, wanted: usize) {
        let wanted = wanted.max(1);
        loop {
            {
                let mut held = self.lock();
                if held.results.len() >= wanted {
                    held.wanted = 0;
                    return;
                }
                held.wanted = wanted;
            }
            // An earlier wait that was given up may have left a word behind: then it is looked again.
            self.is_enough.notified().await;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().results.is_empty()
    }

    /// A push or a take cannot leave anything half done.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::perform::tests::any_result;

    #[tokio::test]
    async fn whoever_waits_is_woken_once_there_is_enough() {
        let inbox = Inbox::default();
        let mut waits = std::pin::pin!(inbox.wait(3));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..3 {
            assert!(waits.as_mut().poll(&mut context).is_pending());
            inbox.push(any_result());
        }
        assert!(waits.as_mut().poll(&mut context).is_ready());
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_neither_loses_nor_invents_anything() {
        let inbox = Inbox::default();
        tokio::select! {
            biased;
            () = inbox.wait(2) => unreachable!("nothing is there"),
            () = std::future::ready(()) => {}
        }
        inbox.push(any_result());
        inbox.push(any_result());
        let mut results = Vec::new();
        assert!(inbox.take(&mut results, 1));
        assert!(inbox.take(&mut results, usize::MAX));
        assert!(!inbox.take(&mut results, usize::MAX));
        assert_eq!(results.len(), 2);
        // The word that the first wait left behind is no result.
        tokio::select! {
            biased;
            () = inbox.wait(1) => unreachable!("nothing is there"),
            () = tokio::task::yield_now() => {}
        }
        inbox.push(any_result());
        inbox.wait(1).await;
    }
}
