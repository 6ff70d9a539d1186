//! The one thread that uses the database: takes all calls that wait, does them in one transaction, and answers when that
//! is on disk.
//!
//! A commit costs one wait for the disk whether it holds one room or hundreds: so many callers at once are served at many
//! times the rate of one by one, and no answer is given for what could still be lost.

use super::core::Core;
use super::envelope::ApiError;
use tokio::sync::{mpsc, oneshot};

/// How many calls one transaction holds at most.
const MAX_BATCH: usize = 512;
/// How many calls may wait; more wait outside, unread.
const MAX_WAITING: usize = 4096;

/// A call on its way to the thread.
trait Job: Send {
    /// Does it, within the batch's transaction.
    fn run(&mut self, core: &mut Core);

    /// Answers it, now that the batch is on disk (`Ok`) or undone.
    fn answer(self: Box<Self>, outcome: Result<(), ApiError>);
}

struct Call<T, F> {
    run: Option<F>,
    result: Option<Result<T, ApiError>>,
    reply: oneshot::Sender<Result<T, ApiError>>,
}

impl<T: Send, F: FnOnce(&mut Core) -> Result<T, ApiError> + Send> Job for Call<T, F> {
    fn run(&mut self, core: &mut Core) {
        if let Some(run) = self.run.take() {
            self.result = Some(core.in_savepoint(run));
        }
    }

    fn answer(self: Box<Self>, outcome: Result<(), ApiError>) {
        let result = match outcome {
            Ok(()) => self.result.unwrap_or_else(|| Err(ApiError::stopped())),
            Err(error) => Err(error),
        };
        // Nobody waits any more: the caller hung up.
        let _ = self.reply.send(result);
    }
}

/// The way to the thread. Dropping it lets the thread finish what waits, and waits for it.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(core: Core) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING);
        let thread = std::thread::Builder::new()
            .name("meeting-service".to_owned())
            .spawn(move || serve(core, waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has `run` done and its effect on disk, or undone when it fails.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether `run` is done.
    pub(super) async fn call<T, F>(&self, run: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Core) -> Result<T, ApiError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { run: Some(run), result: None, reply });
        let jobs = self.jobs.as_ref().ok_or_else(ApiError::stopped)?;
        jobs.send(job).await.map_err(|_| ApiError::stopped())?;
        answer.await.map_err(|_| ApiError::stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been told on standard error by itself.
            let _ = thread.join();
        }
    }
}

fn serve(mut core: Core, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Ok(job) = waiting.try_recv()
        {
            batch.push(job);
        }
        let outcome = core.in_transaction(|core| batch.iter_mut().for_each(|job| job.run(core)));
        for job in batch {
            job.answer(outcome.as_ref().copied().map_err(ApiError::from));
        }
    }
}
