//! The built daemon, as a process of its own: what it costs to start, to hold much, and to do nothing.

use super::world::{Child, LEAD, insert, stored};
use chrono::{TimeDelta, Utc};
use convened::seams::SystemFiles;
use convened::store::{Batch, SqliteStore, Store as _};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A running daemon with a folder of its own.
pub(super) struct Daemon {
    process: std::process::Child,
    folder: tempfile::TempDir,
    /// From its start to READY.
    pub(super) ready: Duration,
    /// Lines of its log since then.
    heard: Receiver<String>,
}

/// What every schedule here begins with.
fn head(child: &Child) -> String {
    format!(
        "timezone = \"UTC\"\n[daemon]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"state\"\n[providers.bench]\n\
         kind = \"meeting-service\"\nbase_url = \"{}\"\nadmin_secret = {{ file = \"secret\" }}\n[defaults]\n\
         provider = \"bench\"\n",
        child.base_url()
    )
}

/// So many series on working days, the first `changed` of them with another title.
fn series(count: usize, changed: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let title = if n < changed { "Changed" } else { "Series" };
        let (hour, minute) = (8 + n / 60 % 10, n % 60);
        write!(
            text,
            "[[meetings]]\nid = \"series-{n}\"\ntitle = \"{title}\"\nstart = 2026-11-02T{hour:02}:{minute:02}:00\n\
             duration = \"30m\"\nrepeat = \"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\"\n"
        )
        .unwrap();
    }
    text
}

impl Daemon {
    /// With so many occurrences in the store, none of them due for two days.
    pub(super) fn with_occurrences(child: &Child, occurrences: usize) -> Self {
        // A series that gives nothing within the horizon: the occurrences are put into the store in its name.
        Self::start(
            &(head(child) + "[[meetings]]\nid = \"bench\"\nstart = 2099-01-01T00:00:00\nduration = \"1h\"\n"),
            occurrences,
        )
    }

    /// With an empty store and so many series.
    pub(super) fn with_series(child: &Child, count: usize) -> Self {
        Self::start(&(head(child) + &series(count, 0)), 0)
    }

    fn start(config: &str, occurrences: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        std::fs::write(&path, config).unwrap();
        if occurrences > 0 {
            let mut store = SqliteStore::open(&state).unwrap();
            // As the daemon has it in the store once it is in force: it finds nothing to change.
            let loaded = convened::config::load(&path, &SystemFiles, Utc::now()).config.unwrap();
            let meetings = loaded.meetings.values().map(|meeting| stored(meeting)).collect();
            let meta = vec![("zone_data", Some(chrono_tz::IANA_TZDB_VERSION.to_owned()))];
            store.commit(&Batch { meetings, meta, ..Batch::default() }).unwrap();
            let far = Utc::now() + TimeDelta::days(2);
            let all = (0..occurrences).map(|n| far + TimeDelta::milliseconds(i64::try_from(n).unwrap() * 37));
            insert(&state, all.map(|at| (at, at + LEAD)), |_, _| "waiting".to_owned());
        }
        let begin = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_convened"))
            .args(["run", "--log", "json", "--config"])
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let is_ready = |line: &String| line.contains("daemon.ready");
        let line = lines.by_ref().map_while(Result::ok).find(is_ready).expect("it gets ready");
        assert!(occurrences == 0 || line.contains(&format!("\"occurrences\":{occurrences}")), "{line}");
        let ready = begin.elapsed();
        // Whatever it says from now on must not fill the pipe.
        let (said, heard) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(said.send(line))));
        Self { process, folder, ready, heard }
    }

    /// From the start of `convened reload`, on a file in which so many of the series changed, to the new schedule in force.
    /// (The daemon may have noticed the file before it is asked: the log tells when it is done.)
    pub(super) fn reload_changing(&self, child: &Child, count: usize, changed: usize) -> Duration {
        let path = self.folder.path().join("config.toml");
        std::fs::write(&path, head(child) + &series(count, changed)).unwrap();
        let begin = Instant::now();
        let program = env!("CARGO_BIN_EXE_convened");
        let reload = Command::new(program).args(["reload", "--config"]).arg(&path).output().unwrap();
        assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
        let applied = |line: &String| line.contains("schedule.applied");
        let line = self.heard.iter().find(applied).unwrap();
        assert!(line.contains(&format!("\"changed\":{changed}")), "{line}");
        begin.elapsed()
    }

    fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(PathBuf::from(format!("/proc/{}/{name}", self.process.id()))).unwrap()
    }

    /// Resident memory, in KiB.
    pub(super) fn resident_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// CPU time that it uses while nothing is due for `during`.
    pub(super) fn idle_cpu(&self, during: Duration) -> Duration {
        let cpu = || {
            let stat = self.proc("stat");
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            // utime and stime, in ticks of 10 ms.
            Duration::from_millis(
                10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()),
            )
        };
        let before = cpu();
        std::thread::sleep(during);
        cpu() - before
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
