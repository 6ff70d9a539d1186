//! What was simulated, counted.

/// Counts of one run, or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) runs: u64,
    pub(crate) simulated_ms: i64,
    pub(crate) meetings: u64,
    pub(crate) calls: u64,
    pub(crate) commits: u64,
    pub(crate) faults: u64,
    pub(crate) crashes: u64,
    pub(crate) checks: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.simulated_ms += other.simulated_ms;
        self.meetings += other.meetings;
        self.calls += other.calls;
        self.commits += other.commits;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.checks += other.checks;
    }

    /// What there is of it in a minute of all cores, given the CPU time that it took.
    pub(crate) fn a_minute(&self, cpu_s: f64) -> String {
        let minutes = cpu_s.max(0.001) / 60.0 / crate::explore::THREADS as f64;
        let [meetings, faults, crashes] =
            [self.meetings, self.faults, self.crashes].map(|n| (n as f64 / minutes).round());
        let years = self.years() / minutes;
        format!("{years:.1} years, {meetings} meetings, {faults} faults, {crashes} crash-restarts")
    }

    pub(crate) fn years(&self) -> f64 {
        self.simulated_ms as f64 / (365.25 * 86_400_000.0)
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, meetings, calls, commits, faults, crashes, checks, .. } = self;
        write!(
            f,
            "{runs} runs, {:.1} years, {meetings} meetings, {calls} calls, {commits} commits, {faults} faults, \
             {crashes} crash-restarts, {checks} checks",
            self.years()
        )
    }
}
