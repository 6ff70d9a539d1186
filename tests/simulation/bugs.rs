//! Can the simulation fail? Known bugs are put into the daemon, one by one, and each must be caught soon.

use crate::explore::{invariant, singles};
use crate::plan::Plan;
use crate::run::run;
use crate::scenarios::{NAMES, scenario};
use crate::setup::Setup;
use convened::seeded_bug::{Bug, choose};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// CPU time in which a bug must be caught.
const LIMIT: Duration = Duration::from_secs(60);

struct Caught {
    violation: Option<String>,
    runs: u64,
    cpu: Duration,
}

pub(crate) fn all(only: Option<&str>) -> ExitCode {
    let bugs: Vec<Bug> =
        Bug::ALL.iter().copied().filter(|bug| only.is_none_or(|only| only == bug.name())).collect();
    let caught: Mutex<Vec<Option<Caught>>> = Mutex::new(bugs.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..crate::explore::THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(bug) = bugs.get(at) else { return };
                    choose(Some(*bug));
                    let outcome = hunt();
                    choose(None);
                    caught.lock().unwrap()[at] = Some(outcome);
                }
            });
        }
    });
    let caught: Vec<Caught> = caught.into_inner().unwrap().into_iter().flatten().collect();
    println!("{:<24} {:<9} {:>6} {:>7}  what was seen", "bug", "caught by", "runs", "CPU s");
    for (bug, caught) in bugs.iter().zip(&caught) {
        let violation = caught.violation.as_deref().unwrap_or("NOT CAUGHT");
        let by = caught.violation.as_deref().map_or("-", invariant);
        let cpu = caught.cpu.as_secs_f64();
        println!("{:<24} {by:<9} {:>6} {cpu:>7.2}  {violation}", bug.name(), caught.runs);
    }
    let missed = caught.iter().filter(|caught| caught.violation.is_none()).count();
    println!("{} of {} seeded bugs caught", bugs.len() - missed, bugs.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hunt() -> Caught {
    let begin = cpu_time();
    let mut runs = 0;
    let spent = || cpu_time().saturating_sub(begin);
    let mut attempt = |setup: &Setup| {
        runs += 1;
        let outcome = run(setup);
        (outcome.violation.clone(), outcome)
    };
    let mut bases = Vec::new();
    let mut violation = None;
    for name in NAMES {
        let setup = scenario(name, Plan::default()).unwrap();
        let (found, base) = attempt(&setup);
        violation = violation.or(found);
        bases.push((setup, base));
    }
    // Worlds of a seed have more in them, scenarios with one fault are shorter: in turns.
    let nothing = Plan::default();
    let mut plans: Vec<_> = bases.iter().map(|(setup, base)| (setup, singles(base, &nothing))).collect();
    let mut seed = 0;
    while violation.is_none() && spent() < LIMIT {
        for (setup, plans) in &mut plans {
            for plan in plans.by_ref().take(12) {
                let (found, _) = attempt(&Setup { plan: Some(plan), ..(*setup).clone() });
                violation = violation.or(found);
            }
        }
        seed += 1;
        if violation.is_none() {
            violation = attempt(&Setup::draw(seed)).0;
        }
    }
    let cpu = spent();
    Caught { violation, runs, cpu }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
