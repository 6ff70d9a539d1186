//! The daemon: puts the parts together, in the order in which they need each other, and takes them apart again.
//!
//! State folder, lock, store; the meeting service and the listener; the engine, on a thread of its own; the schedule; then
//! READY. What comes from outside (signals, files, the control socket, the clock for housekeeping) becomes a
//! [`Command`] to the engine.

pub mod assemble;
pub mod control;
mod housekeeping;
pub mod oauth;
mod patience;
pub mod reload;
pub mod state_dir;
mod watch;

use crate::auth::{self, Accounts, Keeper, TokenKey, TokenStore, TokenStoreError};
use crate::config::{Daemon, Loaded};
use crate::engine::{Command, Engine, Outside};
use crate::log::LogEvent;
use crate::meeting_service::{MeetingService, ServiceError, ServiceSettings};
use crate::seams::{
    Clock, Entropy, Files, Host, HostState, SystemClock, SystemEntropy, SystemFiles, SystemHost,
};
use crate::store::{SqliteStore, StoreError, StoreLock};
use crate::transport::{DateWitness, HttpClient, Transport, Witnessed};
use crate::web::Health;
use anyhow::Context as _;
use assemble::{Assembler, BuiltInService};
use patience::Patience;
use reload::{Reloader, Request};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// The schedule cannot be put in force as things are (a secret is missing); the log has told why.
#[derive(Debug)]
pub struct InvalidSchedule;

impl std::fmt::Display for InvalidSchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the schedule cannot be put in force")
    }
}

impl std::error::Error for InvalidSchedule {}

/// The schedule could not be put in force, as the store cannot be written.
#[derive(Debug)]
pub struct StoreUnusable(String);

impl std::fmt::Display for StoreUnusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreUnusable {}

/// Commands that may wait for the engine.
const COMMANDS: usize = 64;
/// Threads for provider calls and the listener at most: the work is waiting, not computing.
const MOST_WORKERS: usize = 4;
/// Threads for reading files at most.
const MOST_BLOCKING: usize = 8;
/// How long refreshes that are under way may take when the daemon stops.
const TOKEN_GRACE: std::time::Duration = std::time::Duration::from_secs(15);
/// How long connections to the listener may take to finish when the daemon stops.
const LISTENER_GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs the daemon on the schedule at `path`, which was read as `loaded`, until a signal stops it.
///
/// # Errors
/// Whatever keeps it from starting. Once it is ready, it only ends by a signal.
pub fn run(path: &Path, loaded: Loaded, settings: Daemon) -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, MOST_WORKERS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(MOST_BLOCKING)
        .thread_name("convened-io")
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let outcome = runtime.block_on(serve(path, loaded, settings));
    // Calls that outlived the grace are abandoned; their intents are in the store.
    runtime.shutdown_background();
    outcome
}

async fn serve(path: &Path, loaded: Loaded, settings: Daemon) -> anyhow::Result<()> {
    let health = Arc::new(Health::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let files: Arc<dyn Files> = Arc::new(SystemFiles);
    let host: Arc<dyn Host> = Arc::new(WatchedHost { health: health.clone(), clock: clock.clone() });

    state_dir::restrict_new_files();
    let state_dir = state_dir::locate(settings.state_dir.as_deref())?;
    state_dir::prepare(&state_dir)?;
    let _lock = StoreLock::take(&state_dir)?;
    host.log(&LogEvent::DaemonStarted {
        version: env!("CARGO_PKG_VERSION"),
        config: &path.display().to_string(),
        state_dir: &state_dir.display().to_string(),
    });
    let patience = Patience::new(host.clone(), clock.clone());
    let store = patience.with(|| SqliteStore::open(&state_dir), StoreError::may_pass).await?;
    let key = TokenKey::find(settings.token_key.as_ref(), &*files).map_err(anyhow::Error::msg)?;
    let open_tokens = || TokenStore::open(&state_dir, key.clone(), entropy.clone());
    let tokens = Arc::new(patience.with(open_tokens, TokenStoreError::may_pass).await?);

    let listener = bind(settings.listen).await?;
    let address = listener.local_addr().context("the listener's address")?;
    let public_url = settings.public_url.clone().unwrap_or_else(|| format!("http://{}", reachable(address)));
    let open_service = || {
        MeetingService::open(
            &state_dir.join(MeetingService::FILE_NAME),
            clock.clone(),
            entropy.clone(),
            ServiceSettings {
                entry_creates_rooms: settings.entry_creates_rooms,
                ..ServiceSettings::new(&public_url)
            },
        )
    };
    let service = patience.with(open_service, ServiceError::may_pass).await?;
    host.log(&LogEvent::DaemonListening { address: &address.to_string(), public_url: &public_url });
    let built_in = BuiltInService {
        base_url: format!("http://{}", reachable(address)),
        admin_secret: service.admin_secret().clone(),
    };
    let webhooks = Arc::new(crate::web::Webhooks::new(clock.clone(), host.clone()));
    let routes = crate::web::health_routes(health.clone(), clock.clone())
        .merge(webhooks.clone().routes())
        .merge(service.router());
    let (stop_listening, listener_stops) = tokio::sync::oneshot::channel::<()>();
    let mut web = tokio::spawn(async move {
        let stopped = async move { listener_stops.await.unwrap_or_default() };
        axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(stopped)
            .await
    });

    let witness = Arc::new(DateWitness::default());
    let client = HttpClient::new().context("cannot set up HTTPS")?;
    if !client.has_certificates() {
        host.log(&LogEvent::DaemonWithoutCertificates {});
    }
    let transport: Arc<dyn Transport> =
        Arc::new(Witnessed::new(Arc::new(client), witness.clone(), clock.clone()));
    let calls = tokio::runtime::Handle::current();
    let accounts = Arc::new(Accounts::new(auth::Outside {
        store: tokens,
        lock_dir: state_dir.clone(),
        transport: transport.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        host: host.clone(),
    }));
    let outside = Outside { clock: clock.clone(), entropy, host: host.clone(), witness, calls };
    let (engine_commands, commands) = mpsc::channel(COMMANDS);
    let mut engine = Engine::new(Box::new(store), outside)?;
    patience.with(|| engine.recover(), StoreError::may_pass).await?;
    let hints = engine_commands.clone();
    webhooks.connect(move |crate::web::Hint { provider, room_id }| {
        // An engine that is busy looks soon enough by itself.
        let _ = hints.try_send(Command::Hint { provider, room_id });
    });
    let mut engine_ended = spawn_engine(engine, commands)?;
    let engine = engine_commands;

    let socket = control::socket_path(&state_dir);
    let control = control::listen(&socket)?;
    let assembler =
        Assembler { transport, clock: clock.clone(), files, built_in, accounts: accounts.clone(), webhooks };
    let mut reloader = Reloader::new(
        path.to_owned(),
        assembler,
        host.clone(),
        engine.clone(),
        watch::Watched::new(state_dir.clone()),
        &state_dir,
        settings,
    );
    for (key, value) in [(control::SOCKET_KEY, socket.as_path()), (control::CONFIG_KEY, path)] {
        let (done, _) = tokio::sync::oneshot::channel();
        let note = Command::Remember { key, value: Some(value.display().to_string()), done };
        engine.send(note).await.context("the engine is gone")?;
    }
    // Before the first call can leave: a signal that nobody handles ends the process in the middle of it.
    let mut signals = Signals::new()?;
    let mut outcome = reloader.start(loaded).await;
    while matches!(outcome, reload::Outcome::Failed(_)) {
        tokio::select! {
            biased;
            // As a crash: what was committed stands.
            _ = signals.end() => return Ok(()),
            goes_on = patience.pause() => if !goes_on { break },
        }
        outcome = reloader.again().await;
    }
    match outcome {
        // The log has told each problem.
        reload::Outcome::Invalid(_) => return Err(InvalidSchedule.into()),
        reload::Outcome::Failed(error) => return Err(StoreUnusable(error).into()),
        reload::Outcome::Unchanged | reload::Outcome::Applied(_) | reload::Outcome::Held(_) => {}
    }
    let outlook = Arc::new(oauth::StoreOutlook::new(state_dir.clone()));
    let keeper = Arc::new(Keeper::new(accounts.clone(), outlook, clock.clone(), host.clone()));
    let _housekeeping =
        housekeeping::start(engine.clone(), service.clone(), keeper.clone(), host.clone(), state_dir.clone())
            .await?;
    let keeping = tokio::spawn(async move { keeper.run().await });
    let (requests, reloads) = mpsc::channel(8);
    tokio::spawn(reloader.run(reloads));
    tokio::spawn(control::serve(control, requests.clone(), health.clone()));
    engine.send(Command::Ready).await.context("the engine is gone")?;
    health.set_ready(true);

    let signal = tokio::select! {
        signal = signals.wait(&requests) => signal,
        ended = &mut web => {
            ended.context("the listener")?.context("the listener")?;
            anyhow::bail!("the listener ended unexpectedly");
        }
        _ = &mut engine_ended => anyhow::bail!("the engine ended unexpectedly"),
    };
    health.set_ready(false);
    tokio::spawn(exit_on_second_signal());
    engine.send(Command::Stop { signal }).await.context("the engine is gone")?;
    engine_ended.await.context("the engine ended unexpectedly")?;
    // A refresh that is under way may have used its token up: its answer is worth waiting for.
    keeping.abort();
    accounts.finish(TOKEN_GRACE).await;
    // The last calls may have gone to our own meeting service: it is the last to go. Connections that people's browsers
    // keep open are cut when their time is over.
    let _ = stop_listening.send(());
    let _ = tokio::time::timeout(LISTENER_GRACE, web).await;
    service.tidy().await;
    // Should that fail, the next daemon removes it.
    let _ = state_dir::remove_if_there(&socket);
    Ok(())
}

/// Runs the engine on a thread of its own, where waiting for the disk keeps nobody else waiting. What is returned comes
/// back when it has stopped, with an error if it panicked.
fn spawn_engine(
    engine: Engine,
    commands: mpsc::Receiver<Command>,
) -> anyhow::Result<tokio::sync::oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("engine")?;
    let (done, stopped) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("convened-engine".to_owned())
        .spawn(move || {
            runtime.block_on(engine.run(commands));
            // Nobody may be waiting any more.
            let _ = done.send(());
        })
        .context("cannot start the engine's thread")?;
    Ok(stopped)
}

/// The signals that concern the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the daemon and returns its name.
    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for a signal that ends the daemon and returns its name; SIGHUP on the way asks for a reload.
    async fn wait(mut self, requests: &mpsc::Sender<Request>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => {
                    // One that waits already will read what there is now.
                    let _ = requests.try_send(Request::Signalled);
                }
            }
        }
    }
}

/// Whoever asks twice does not want to wait.
async fn exit_on_second_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let code = tokio::select! {
        _ = terminate.recv() => 128 + 15,
        _ = interrupt.recv() => 128 + 2,
    };
    std::process::exit(code);
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: is it taken? `listen` in the [daemon] table chooses another address"
        )
    })
}

/// An address under which this machine reaches a listener that is bound to `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The service manager, with the engine's turns noted for `/healthz`.
struct WatchedHost {
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
}

impl Host for WatchedHost {
    fn notify(&self, state: HostState) {
        if state == HostState::Alive {
            self.health.turned(self.clock.boot());
        }
        SystemHost.notify(state);
    }

    fn log(&self, event: &LogEvent<'_>) {
        match event {
            LogEvent::StoreFailed { error } => self.health.set_problem(Some((*error).to_owned())),
            LogEvent::StoreRecovered {} => self.health.set_problem(None),
            _ => {}
        }
        SystemHost.log(event);
    }
}
