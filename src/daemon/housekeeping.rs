//! What is done from time to time and hangs on no meeting's deadline: the horizon, the retention, the meeting service's
//! old rooms, grants that nobody uses, the check of the whole store. Cron-like, on tokio-cron-scheduler.

use crate::auth::Keeper;
use crate::engine::Command;
use crate::log::LogEvent;
use crate::meeting_service::MeetingService;
use crate::seams::Host;
use crate::store::SqliteStore;
use anyhow::Context as _;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler};

/// Seven minutes past every hour: meetings, and what they ask of the providers, gather at the full hour. With seconds.
const HOURLY: &str = "0 7 * * * *";

/// Once a day, at an hour (UTC) of few meetings in most of the world, and away from the hourly job.
const DAILY: &str = "0 37 3 * * *";

/// Starts the jobs; they run as long as what is returned lives.
///
/// # Errors
/// When the scheduler cannot be set up.
pub(super) async fn start(
    engine: mpsc::Sender<Command>,
    service: MeetingService,
    keeper: Arc<Keeper>,
    host: Arc<dyn Host>,
    state_dir: PathBuf,
) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await.context("the scheduler for housekeeping")?;
    let hourly_host = host.clone();
    let hourly = Job::new_async(HOURLY, move |_, _| {
        let (engine, service) = (engine.clone(), service.clone());
        let (host, keeper) = (hourly_host.clone(), keeper.clone());
        Box::pin(async move {
            // An engine that is gone is stopping.
            let _ = engine.send(Command::Housekeep).await;
            if let Err(error) = service.sweep().await {
                let error = error.to_string();
                host.log(&LogEvent::MeetingServiceFailed { error: &error });
            }
            keeper.sweep().await;
        })
    })
    .context("the hourly job")?;
    scheduler.add(hourly).await.context("the hourly job")?;
    let daily = Job::new_async(DAILY, move |_, _| {
        let (host, state_dir) = (host.clone(), state_dir.clone());
        Box::pin(async move {
            let outcome = tokio::task::spawn_blocking(move || SqliteStore::verify(&state_dir)).await;
            let error = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            host.log(&LogEvent::StoreDamaged { error: &error });
        })
    })
    .context("the daily job")?;
    scheduler.add(daily).await.context("the daily job")?;
    scheduler.start().await.context("the scheduler for housekeeping")?;
    Ok(scheduler)
}
