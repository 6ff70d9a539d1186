//! Many runs: every fault at every point, random worlds, and the shrinking of what fails.

use crate::figures::Figures;
use crate::plan::{ALIKE, Plan};
use crate::run::{Outcome, run};
use crate::scenarios::{NAMES, scenario};
use crate::setup::Setup;
use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// One run, with everything that is asked for.
pub(crate) fn one(setup: &Setup) -> ExitCode {
    let outcome = run(setup);
    println!("{} trace {:016x}", outcome.figures, outcome.trace);
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("{violation}");
            ExitCode::FAILURE
        }
    }
}

/// The world of a regression: a scenario's name or a seed, and a plan.
pub(crate) fn remembered(which: &str, plan: &str) -> Setup {
    let plan = Plan::parse(plan).unwrap();
    match which.parse() {
        Ok(seed) => Setup { plan: Some(plan), ..Setup::draw(seed) },
        Err(_) => scenario(which, plan).expect("a scenario"),
    }
}

pub(crate) fn regressions() -> ExitCode {
    let work = Work::default();
    for (which, plan, _) in crate::regressions::ALL {
        let setup = remembered(which, plan);
        work.done(&setup, &run(&setup));
    }
    work.finish("regressions")
}

/// What fits into a few seconds, also in a program that was not built to be fast.
pub(crate) fn slice() -> ExitCode {
    let work = Work::default();
    for (which, plan, _) in crate::regressions::ALL.iter().rev().take(8) {
        let setup = remembered(which, plan);
        work.done(&setup, &run(&setup));
    }
    for (name, skip) in NAMES.into_iter().zip(0..) {
        let setup = scenario(name, Plan::default()).unwrap();
        let base = run(&setup);
        work.done(&setup, &base);
        // Another part of the single faults for each scenario.
        for plan in singles(&base, &Plan::default()).skip(skip).step_by(NAMES.len()) {
            let setup = Setup { plan: Some(plan), ..setup.clone() };
            work.done(&setup, &run(&setup));
        }
    }
    work.finish("a slice")
}

/// The line that repeats a run.
pub(crate) fn reproduce(setup: &Setup, plan: &Plan) -> String {
    let which = match setup.scenario {
        Some(name) => format!("--scenario {name}"),
        None => format!("--seed {}", setup.seed),
    };
    format!("cargo test --profile simulation --test simulation -- {which} --plan \"{plan}\" --loud")
}

/// The name of the invariant that a violation speaks of.
pub(crate) fn invariant(violation: &str) -> &str {
    violation.split(' ').next().unwrap_or_default()
}

/// Leaves out of a plan what is not needed for the same invariant to be broken.
pub(crate) fn shrink(setup: &Setup, failed: &Outcome) -> (Plan, String) {
    let mut violation = failed.violation.clone().unwrap();
    let wanted = invariant(&violation).to_owned();
    let mut plan = failed.plan(setup);
    let mut attempts = 150;
    let mut still_fails = |plan: &Plan| {
        attempts -= 1;
        if attempts < 0 {
            return None;
        }
        let outcome = run(&Setup { plan: Some(plan.clone()), ..setup.clone() });
        outcome.violation.filter(|found| invariant(found) == wanted)
    };
    let script = 0..u32::try_from(setup.script.len()).unwrap();
    plan.without.extend(script.clone());
    match still_fails(&plan) {
        Some(found) => violation = found,
        None => {
            plan = failed.plan(setup);
            let mut piece = setup.script.len().div_ceil(2);
            while piece >= 1 {
                for from in script.clone().step_by(piece) {
                    let mut less = plan.clone();
                    less.without
                        .extend((from..from + u32::try_from(piece).unwrap()).filter(|n| script.contains(n)));
                    if less != plan
                        && let Some(found) = still_fails(&less)
                    {
                        (plan, violation) = (less, found);
                    }
                }
                piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
            }
        }
    }
    let mut piece = plan.faults.len().div_ceil(2);
    while piece >= 1 {
        let mut from = 0;
        while from < plan.faults.len() {
            let mut less = plan.clone();
            let points: Vec<u32> = plan.faults.keys().skip(from).take(piece).copied().collect();
            points.iter().for_each(|point| {
                less.faults.remove(point);
            });
            match still_fails(&less) {
                Some(found) => (plan, violation) = (less, found),
                None => from += piece,
            }
        }
        piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
    }
    (plan, violation)
}

/// Tells of a run that failed, on the line that repeats it.
pub(crate) fn tell(setup: &Setup, outcome: &Outcome) {
    let (plan, violation) = shrink(setup, outcome);
    println!("{violation}\n  {}", reproduce(setup, &plan));
}

/// What several threads work off together.
pub(crate) struct Work {
    /// The CPU time of the process before.
    begun: Duration,
    pub(crate) figures: Mutex<Figures>,
    pub(crate) failures: AtomicU64,
}

impl Default for Work {
    fn default() -> Self {
        Self { begun: process_cpu(), figures: Mutex::default(), failures: AtomicU64::new(0) }
    }
}

/// The CPU time of all threads: what others do on the machine does not change the figures.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Failures that are told before the rest is only counted.
const MOST_TOLD: u64 = 6;

impl Work {
    pub(crate) fn done(&self, setup: &Setup, outcome: &Outcome) {
        self.figures.lock().unwrap().add(&outcome.figures);
        if outcome.violation.is_some() && self.failures.fetch_add(1, Ordering::Relaxed) < MOST_TOLD {
            tell(setup, outcome);
        }
    }

    pub(crate) fn finish(&self, what: &str) -> ExitCode {
        let figures = *self.figures.lock().unwrap();
        let cpu = process_cpu().saturating_sub(self.begun).as_secs_f64();
        println!("{what}: {figures}");
        println!("  {cpu:.0} s of CPU time; in a minute of {THREADS} cores: {}", figures.a_minute(cpu));
        match self.failures.load(Ordering::Relaxed) {
            0 => ExitCode::SUCCESS,
            failures => {
                println!("{failures} runs failed");
                ExitCode::FAILURE
            }
        }
    }
}

pub(crate) const THREADS: u64 = 2;

/// Every scenario with every fault at every point, and with every pair of them.
pub(crate) fn exhaustive(depth: u32, only: Option<&str>) -> ExitCode {
    let work = Work::default();
    for name in NAMES.into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        let runs = work.figures.lock().unwrap().runs;
        let setup = scenario(name, Plan::default()).unwrap();
        let base = run(&setup);
        work.done(&setup, &base);
        let plans: Vec<Plan> = singles(&base, &Plan::default()).collect();
        let outcomes = in_parallel(&plans, |plan| {
            let setup = Setup { plan: Some(plan.clone()), ..setup.clone() };
            let outcome = run(&setup);
            work.done(&setup, &outcome);
            outcome
        });
        if depth >= 2 {
            pairs(&work, &setup, plans.into_iter().zip(outcomes));
        }
        println!("{name}: {} points, {} runs", base.points.len(), work.figures.lock().unwrap().runs - runs);
    }
    work.finish(if depth < 2 { "single faults" } else { "single faults and pairs" })
}

/// Every run with one fault, with every other fault after it.
///
/// Of runs with one fault that came out the same, to the last call, commit, time and field of a record, only the first is
/// gone on with: what a second fault makes of one it makes of all. And of two faults that no driver can tell apart, the
/// second one is the first (`ALIKE`; where a run with one of them does come out otherwise, that is a failure).
fn pairs(work: &Work, setup: &Setup, singles_run: impl Iterator<Item = (Plan, Outcome)>) {
    let mut traces: HashSet<u64> = HashSet::new();
    let mut trace_of: HashMap<(u32, &str), u64> = HashMap::new();
    let mut distinct = Vec::new();
    for (plan, outcome) in singles_run.filter(|(_, outcome)| outcome.violation.is_none()) {
        let (point, fault) = plan.faults.iter().next().map(|(point, fault)| (*point, *fault)).unwrap();
        trace_of.insert((point, fault.name()), outcome.trace);
        let first = ALIKE.iter().find(|(_, second)| *second == fault).map(|(first, _)| first.name());
        if first
            .is_some_and(|first| trace_of.get(&(point, first)).is_some_and(|trace| *trace != outcome.trace))
        {
            println!("{} at point {point} is not like what it should be like", fault.name());
            work.failures.fetch_add(1, Ordering::Relaxed);
        }
        if traces.insert(outcome.trace) {
            distinct.push((plan, outcome));
        }
    }
    in_parallel(&distinct, |(plan, outcome)| {
        let is_other = |pair: &Plan| {
            let last = pair.faults.values().next_back();
            ALIKE.iter().all(|(_, second)| Some(second) != last)
        };
        for pair in singles(outcome, plan).filter(is_other) {
            let setup = Setup { plan: Some(pair), ..setup.clone() };
            let outcome = run(&setup);
            work.done(&setup, &outcome);
        }
    });
}

/// What `each` makes of all of `items`, in their order.
fn in_parallel<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(at) else { return done };
                        done.push((at, each(item)));
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The plans with one more fault than `plan`, after all that it has, in the run that came of it.
pub(crate) fn singles<'a>(outcome: &'a Outcome, plan: &'a Plan) -> impl Iterator<Item = Plan> + 'a {
    let first = plan.faults.keys().next_back().map_or(0, |last| last + 1);
    outcome.points.iter().zip(0..).skip(usize::try_from(first).unwrap()).flat_map(move |(point, number)| {
        point.faults().iter().map(move |fault| {
            let mut plan = plan.clone();
            plan.faults.insert(number, *fault);
            plan
        })
    })
}

/// Random worlds, for so many seconds or until so many meetings took place.
#[expect(clippy::disallowed_methods, reason = "how long it really takes is what is asked")]
pub(crate) fn random(first_seed: u64, seconds: Option<u64>, meetings: Option<u64>) -> ExitCode {
    let work = Work::default();
    let next = AtomicU64::new(first_seed);
    let begin = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let is_late = seconds.is_some_and(|seconds| begin.elapsed().as_secs() >= seconds);
                    let is_done = meetings.is_some_and(|n| work.figures.lock().unwrap().meetings >= n);
                    if is_late || is_done {
                        return;
                    }
                    let setup = Setup::draw(next.fetch_add(1, Ordering::Relaxed));
                    let outcome = run(&setup);
                    work.done(&setup, &outcome);
                    // The canary: the same seed, the same trace.
                    if setup.seed.is_multiple_of(20) && outcome.violation.is_none() {
                        let again = run(&setup);
                        if again.trace != outcome.trace {
                            println!("seed {} gives another trace the second time", setup.seed);
                            work.failures.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    println!("random worlds took {:.0} s", begin.elapsed().as_secs_f64());
    println!("seeds {first_seed} to {}", next.load(Ordering::Relaxed) - 1);
    work.finish("random worlds")
}
