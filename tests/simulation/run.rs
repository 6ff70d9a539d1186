//! One run of one world, on a runtime of its own whose clock jumps from timer to timer.

use crate::figures::Figures;
use crate::plan::{Fault, Plan, Point};
use crate::setup::Setup;
use crate::world::World;
use convened::store::SqliteStore;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// What came of a run.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<String>,
    pub(crate) figures: Figures,
    /// The same for the same seed.
    pub(crate) trace: u64,
    /// The points that the run came to, where a plan said what strikes.
    pub(crate) points: Vec<Point>,
    /// The faults that struck.
    pub(crate) struck: Vec<(u32, Fault)>,
}

impl Outcome {
    /// The plan that repeats this run's faults.
    pub(crate) fn plan(&self, setup: &Setup) -> Plan {
        let without = setup.plan.as_ref().map(|plan| plan.without.clone()).unwrap_or_default();
        Plan { faults: self.struck.iter().copied().collect(), without }
    }
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// A panic anywhere below the engine (a driver's, say) is contained there, and counts here.
pub(crate) fn count_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.set(PANICS.get() + 1);
        tell(panic);
    }));
}

/// Runs a world: its store is in a file that each life of the daemon opens anew, or in memory, where it outlives them.
pub(crate) fn run(setup: &Setup) -> Outcome {
    thread_local!(static KEPT: Arc<Mutex<SqliteStore>> = Arc::new(Mutex::new(SqliteStore::in_memory().unwrap())));
    if !setup.is_on_disk {
        let store = KEPT.with(Arc::clone);
        store.lock().unwrap().clear().unwrap();
        return run_in(setup, PathBuf::new(), Some(store));
    }
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let state_dir = folder.path().join("state-0");
    std::fs::create_dir(&state_dir).unwrap();
    std::fs::write(state_dir.join(SqliteStore::FILE_NAME), empty_store()).unwrap();
    run_in(setup, state_dir, None)
}

fn run_in(setup: &Setup, state_dir: PathBuf, store: Option<Arc<Mutex<SqliteStore>>>) -> Outcome {
    let panics = PANICS.get();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let mut outcome = runtime.block_on(async {
        let world = World::new(Arc::new(setup.clone()), state_dir, store);
        world.run().await;
        let mut state = world.lock();
        let outcome = Outcome {
            violation: state.violation.take(),
            figures: Figures { runs: 1, ..state.figures },
            trace: state.trace,
            points: std::mem::take(&mut state.recorded),
            struck: std::mem::take(&mut state.struck),
        };
        if let Some(node) = state.node.take() {
            node.kill();
        }
        state.forget_node();
        outcome
    });
    drop(runtime);
    if PANICS.get() != panics && outcome.violation.is_none() {
        outcome.violation = Some("something panicked".to_owned());
    }
    outcome
}

/// Where files cost no disk.
fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A store without anything in it, made once.
fn empty_store() -> &'static [u8] {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        drop(SqliteStore::open(folder.path()).unwrap());
        std::fs::read(folder.path().join(SqliteStore::FILE_NAME)).unwrap()
    })
}
