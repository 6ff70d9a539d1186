//! The real binary, its log, and a schedule of its own.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long something may take that should come soon: only a daemon that hangs reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The arguments with which the daemon is started.
pub(crate) const RUN: [&str; 4] = ["run", "--log", "json", "-vv"];

/// The program under test: that of `CONVENED_BINARY`, else the one that was built with these tests.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("CONVENED_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_convened").into(), PathBuf::from)
}

/// A folder with a schedule and a state, and the programs that work there.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    /// What the programs have in their environment besides.
    pub(crate) environment: Vec<(&'static str, std::ffi::OsString)>,
}

impl Place {
    /// With this schedule, after a [daemon] table that keeps everything in the folder.
    pub(crate) fn new(schedule: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() };
        place.write(schedule);
        place
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Replaces the schedule, the way editors do: a new file over the old one.
    pub(crate) fn write(&self, schedule: &str) {
        let head = "timezone = \"UTC\"\n[daemon]\nlisten = \"127.0.0.1:0\"\nstate_dir = \"state\"\n";
        let draft = self.folder.path().join(".config.toml.swp");
        std::fs::write(&draft, format!("{head}{schedule}")).unwrap();
        std::fs::rename(&draft, self.config()).unwrap();
    }

    /// The program with these arguments, on this schedule.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--config").arg(self.config());
        // Whatever runs the tests may be a service itself.
        for name in
            ["CONVENED_CONFIG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "NOTIFY_SOCKET"]
        {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command prints as JSON lines.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What `status` says of one occurrence.
    pub(crate) fn status(&self, occurrence: &str) -> Value {
        let all = self.json(&["status", "--json", "--all"]);
        let found = all.iter().find(|line| line["occurrence"] == occurrence);
        found.unwrap_or_else(|| panic!("no {occurrence} in {all:?}")).clone()
    }

    /// Starts the daemon.
    pub(crate) fn start(&self) -> Daemon {
        self.start_with(&RUN)
    }

    /// Starts the daemon with these arguments.
    pub(crate) fn start_with(&self, arguments: &[&str]) -> Daemon {
        Self::start_as(self.command(arguments))
    }

    /// Starts the daemon by a command that was made to measure.
    pub(crate) fn start_as(mut command: Command) -> Daemon {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).all(|line| lines.send(line).is_ok()));
        Daemon { child, log, unmatched: Vec::new(), seen: Vec::new() }
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start_ready(&self) -> Daemon {
        let mut daemon = self.start();
        daemon.wait_for("daemon.ready", "");
        daemon
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Receiver<String>,
    /// Lines that nobody has waited for yet.
    unmatched: Vec<String>,
    pub(crate) seen: Vec<String>,
}

impl Daemon {
    /// Waits for an event of that name with `part` in its line, unless it came already. Each line is given once.
    pub(crate) fn wait_for(&mut self, event: &str, part: &str) -> Value {
        let name = format!("\"event\":\"{event}\"");
        let is_it = |line: &String| line.contains(&name) && line.contains(part);
        if let Some(at) = self.unmatched.iter().position(is_it) {
            return serde_json::from_str(&self.unmatched.remove(at)).unwrap();
        }
        loop {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else {
                panic!("no {event} with {part:?} came; the log:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if is_it(&line) {
                return serde_json::from_str(&line).unwrap();
            }
            self.unmatched.push(line);
        }
    }

    /// Waits for a line of text with `part` in it.
    pub(crate) fn wait_for_text(&mut self, part: &str) {
        loop {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else {
                panic!("no {part:?} came; the log:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| line.contains(part)) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; gives the exit status and the whole log.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        (self.child.wait().unwrap(), self.seen.join("\n"))
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

#[allow(dead_code, reason = "for the tests in tests/faults")]
impl Daemon {
    /// What it has told so far.
    pub(crate) fn told(&mut self) -> &[String] {
        while let Ok(line) = self.log.try_recv() {
            self.seen.push(line.clone());
            self.unmatched.push(line);
        }
        &self.seen
    }

    /// The exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A local time in UTC, `seconds` from now, as a TOML value.
#[expect(clippy::disallowed_methods, reason = "a test of the real binary runs in real time")]
pub(crate) fn from_now(seconds: i64) -> String {
    let instant = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
    instant.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Meetings far ahead whose rooms are due at once.
pub(crate) fn rooms_due_now(count: usize) -> String {
    let mut schedule =
        String::from("horizon = \"400d\"\n[defaults]\ncreate_ahead = \"30d\"\nduration = \"1h\"\n");
    let start = from_now(20 * 86_400);
    for n in 0..count {
        let _ = write!(schedule, "[[meetings]]\nid = \"m{n}\"\ntitle = \"Meeting {n}\"\nstart = {start}\n");
    }
    schedule
}

/// Sends an HTTP/1.1 request on a connection of its own; gives status and body.
pub(crate) fn http(method: &str, url: &str, body: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The file, whether it is there or not.
pub(crate) fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
