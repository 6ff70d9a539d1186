//! `convened login` from its first line to its last, with a browser on this machine or elsewhere.

use crate::emulator::{Application, CODE_LIFE_S, Consent, OAuthServer};
use crate::support::{Place, from_now, http, text};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Arc;

const CLIENT_ID: &str = "client-1";
const SECRET: &str = "the client's secret";
const GRANULAR: &str = "meeting:write:meeting meeting:read:list_meetings meeting:read:meeting meeting:update:meeting \
    meeting:update:status meeting:delete:meeting";

/// A service, and a schedule with an account on it and a meeting that is due now.
pub(crate) struct World {
    pub(crate) server: Arc<OAuthServer>,
    pub(crate) place: Place,
}

impl World {
    pub(crate) fn new(secret: &str) -> Self {
        let server = OAuthServer::new(Application {
            client_id: CLIENT_ID.to_owned(),
            client_secret: secret.to_owned(),
            redirect_urls: vec![
                "http://127.0.0.1:*/callback".to_owned(),
                "https://example.com/zoom".to_owned(),
            ],
            account_id: None,
            scopes: GRANULAR.to_owned(),
        });
        let url = server.serve();
        let place = Place::new(&format!(
            "horizon = \"30d\"\n[providers.acme]\nkind = \"zoom\"\ngrant = \"refresh_token\"\nclient_id = \"{CLIENT_ID}\"\n\
             client_secret = {{ file = \"secret\" }}\nbase_url = \"{url}/v2\"\nauth_url = \"{url}/oauth\"\n\
             [[meetings]]\nid = \"near\"\nstart = {}\nduration = \"1h\"\ncreate_ahead = \"1h\"\n",
            from_now(1800)
        ));
        std::fs::write(place.folder.path().join("secret"), secret).unwrap();
        Self { server, place }
    }

    /// Starts a login; gives it when it has printed its URL.
    pub(crate) fn login(&self, more: &[&str]) -> Login {
        let mut command = self.place.command(&[&["login", "acme"], more].concat());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Login { child, stdin, stdout, stderr, told: String::new(), url: url.trim().to_owned() }
    }

    /// Logs in by a pasted answer.
    pub(crate) fn log_in(&self) -> (ExitStatus, String, String) {
        let mut login = self.login(&["--paste", "--redirect-url", "https://example.com/zoom"]);
        let answer = self.server.consent(&login.url, Consent::Yes).unwrap();
        login.paste(&answer);
        login.end()
    }

    pub(crate) fn status(&self) -> Value {
        let lines = self.place.json(&["login", "--status", "--json"]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }
}

/// A login that waits for its answer.
pub(crate) struct Login {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    told: String,
    /// What a person is to open.
    pub(crate) url: String,
}

impl Login {
    pub(crate) fn paste(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits until it has told people something with `words` in it.
    fn wait_until_told(&mut self, words: &str) {
        while !self.told.contains(words) {
            assert!(self.stderr.read_line(&mut self.told).unwrap() > 0, "{}", self.told);
        }
    }

    /// Nothing more is pasted; its exit status, and what it said on both streams.
    pub(crate) fn end(mut self) -> (ExitStatus, String, String) {
        drop(self.stdin.take());
        self.ends_by_itself()
    }

    /// As [`Login::end`], while somebody could still paste.
    fn ends_by_itself(mut self) -> (ExitStatus, String, String) {
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        self.stderr.read_to_string(&mut self.told).unwrap();
        (self.child.wait().unwrap(), said, self.told)
    }
}

/// A browser on this machine: opens the URL, and goes where it is led.
fn browse(server: &str, url: &str) -> (u16, String) {
    let (head, _) = raw(url);
    let location = head.lines().find_map(|line| line.strip_prefix("location: "));
    http("GET", location.unwrap_or_else(|| panic!("{server} leads nowhere: {head}")), "")
}

/// Head and body of an answer.
fn raw(url: &str) -> (String, String) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn with_a_browser_on_this_machine_the_answer_comes_by_itself() {
    let world = World::new(SECRET);
    let login = world.login(&["--redirect-url", "http://127.0.0.1:0/callback"]);
    let (status, page) = browse("the service", &login.url);
    assert_eq!(status, 200);
    assert!(page.contains("You can close this page"), "{page}");
    let (exit, said, told) = login.ends_by_itself();
    assert!(exit.success(), "{said}{told}");
    assert!(said.contains("acme works") && !told.contains("missing"), "{said}{told}");
    let status = world.status();
    assert_eq!((&status["account"], &status["state"]), (&"acme".into(), &"alive".into()));
    assert_eq!((&status["generation"], &status["encrypted"]), (&1.into(), &false.into()));
    assert_eq!(status["missing_scopes"], Value::Array(Vec::new()));
    assert!(status["logged_in_at"].is_string() && status["expires_at"].is_string());
    assert!(world.server.problems().is_empty(), "{:?}", world.server.problems());
}

#[test]
fn with_a_browser_elsewhere_the_answer_is_pasted() {
    let world = World::new(SECRET);
    let (exit, said, told) = world.log_in();
    assert!(exit.success(), "{said}{told}");
    assert_eq!(world.status()["state"], "alive");
    // Also while it listens.
    let mut login = world.login(&["--redirect-url", "http://127.0.0.1:0/callback"]);
    let answer = world.server.consent(&login.url, Consent::Yes).unwrap();
    login.paste("what?");
    login.paste(&answer);
    let (exit, _, told) = login.ends_by_itself();
    assert!(exit.success() && told.contains("this is not the URL"), "{told}");
    assert_eq!(world.status()["generation"], 2);
}

#[test]
fn an_answer_to_another_login_is_not_taken_from_either_side() {
    let world = World::new(SECRET);
    let other = world.login(&["--paste", "--redirect-url", "https://example.com/zoom"]);
    let foreign = world.server.consent(&other.url, Consent::Yes).unwrap();
    let query = foreign.split_once('?').unwrap().1;
    let mut login = world.login(&["--redirect-url", "http://127.0.0.1:0/callback"]);
    let own = world.server.consent(&login.url, Consent::Yes).unwrap();
    let door = own.split_once('?').unwrap().0;
    for (path, status) in
        [(format!("{door}?{query}"), 400), (door.to_owned(), 400), (format!("{door}/x?{query}"), 404)]
    {
        assert_eq!(http("GET", &path, "").0, status, "{path}");
    }
    login.paste(&foreign);
    login.wait_until_told("belongs to another login");
    // It waits on, and takes its own.
    assert_eq!(http("GET", &own, "").0, 200);
    let (exit, _, told) = login.ends_by_itself();
    assert!(exit.success(), "{told}");
    let (exit, _, told) = other.end();
    assert!(!exit.success() && told.contains("no answer was pasted"), "{told}");
    assert_eq!(world.server.asked().len(), 1);
}

#[test]
fn whoever_denies_consent_ends_the_login_and_nothing_else() {
    let world = World::new(SECRET);
    world.log_in();
    let before = world.status();
    world.server.people_say(Consent::No);
    let login = world.login(&["--redirect-url", "http://127.0.0.1:0/callback"]);
    let (_, page) = browse("the service", &login.url);
    assert!(page.contains("denied"), "{page}");
    let (exit, _, told) = login.ends_by_itself();
    assert_eq!(exit.code(), Some(77), "{told}");
    assert!(told.contains("consent was denied: access_denied"), "{told}");
    assert_eq!(world.status(), before);
}

#[test]
fn missing_scopes_are_named_and_the_exit_code_says_so() {
    let world = World::new(SECRET);
    world.server.application(|application| {
        application.scopes = GRANULAR.replace("meeting:delete:meeting", "").trim().to_owned();
    });
    let (exit, said, told) = world.log_in();
    assert_eq!(exit.code(), Some(78));
    assert!(said.contains("acme works"), "{said}");
    assert!(told.contains("meeting:delete:meeting (or ") && told.contains("to delete a meeting"), "{told}");
    assert!(!told.contains("to create a meeting"), "{told}");
    assert_eq!(world.status()["missing_scopes"].as_array().unwrap().len(), 1);
    let check = world.place.run(&["check"]);
    let told = text(&check.stderr);
    assert!(check.status.success() && told.contains("lack the scope meeting:delete:meeting"), "{told}");
    assert!(told.contains("convened login acme"), "{told}");
    let shown = text(&world.place.run(&["login", "--status"]).stdout);
    assert!(
        shown.contains("1 missing") && shown.contains("acme: missing scope: meeting:delete:meeting"),
        "{shown}"
    );
}

#[test]
fn a_code_that_was_left_lying_is_refused_and_what_to_do_is_told() {
    let world = World::new(SECRET);
    let mut login = world.login(&["--paste", "--redirect-url", "https://example.com/zoom"]);
    let answer = world.server.consent(&login.url, Consent::Yes).unwrap();
    world.server.advance(CODE_LIFE_S + 1);
    login.paste(&answer);
    let (exit, _, told) = login.end();
    assert_eq!(exit.code(), Some(69), "{told}");
    assert!(told.contains("expired") && told.contains("run the login again"), "{told}");
    assert_eq!(world.status()["state"], "not-logged-in");
}

#[test]
fn a_wrong_secret_is_told_as_what_it_is() {
    let world = World::new(SECRET);
    world.server.application(|application| application.client_secret = "another".to_owned());
    let (exit, _, told) = world.log_in();
    assert_eq!(exit.code(), Some(78));
    assert!(told.contains("does not accept the application") && told.contains("invalid_client"), "{told}");
}

#[test]
fn what_cannot_be_logged_in_to_is_said() {
    let world = World::new(SECRET);
    for (arguments, words) in [
        (&["login", "acmee"][..], "there is no provider"),
        (&["login", "--redirect-url", "nonsense"][..], "is not a URL"),
        (&["login", "--status", "nobody"][..], "there is no account"),
    ] {
        let output = world.place.run(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
    let place = Place::new("[[meetings]]\nid = \"a\"\nstart = 2027-01-01T09:00:00\nduration = \"1h\"\n");
    let output = place.run(&["login"]);
    assert!(text(&output.stderr).contains("no provider of the schedule file needs a login"));
    assert_eq!(text(&place.run(&["login", "--status"]).stdout), "no provider needs a login\n");
}

#[test]
fn a_running_daemon_tells_of_what_is_missing_and_takes_a_login_up_by_itself() {
    let world = World::new(SECRET);
    let mut daemon = world.place.start_ready();
    let told = daemon.wait_for("account.not_logged_in", "");
    assert_eq!((&told["breaks"], &told["mend_with"]), (&1.into(), &"convened login acme".into()));
    assert!(told["meetings"].as_str().unwrap().starts_with("near ("), "{told}");
    world.log_in();
    daemon.wait_for("account.mended", "acme");
    let pid = daemon.pid();
    daemon.signal("TERM");
    assert!(daemon.end().0.success(), "{pid}");
}

#[test]
fn two_accounts_on_one_application_are_warned_of() {
    let world = World::new(SECRET);
    let schedule = std::fs::read_to_string(world.place.config()).unwrap();
    let account = schedule.split_once("[providers.acme]\n").unwrap().1.split_once("[[meetings]]").unwrap().0;
    let doubled = schedule.replace(
        "[[meetings]]\n",
        &format!("[providers.twin]\n{account}[[meetings]]\nprovider = \"acme\"\n"),
    );
    std::fs::write(world.place.config(), doubled).unwrap();
    let told = text(&world.place.run(&["check"]).stderr);
    assert!(told.contains("\"acme\" and \"twin\" have the same `client_id`"), "{told}");
    let output = world.place.run(&["login"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("which provider? One of acme, twin"));
}

#[test]
fn what_a_login_by_root_leaves_is_the_daemons() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::new(SECRET);
    std::fs::create_dir(world.place.state()).unwrap();
    if std::os::unix::fs::chown(world.place.state(), Some(61_234), Some(61_235)).is_err() {
        // Not root: whoever logs in is the daemon's user.
        return;
    }
    world.log_in();
    world.log_in();
    for file in std::fs::read_dir(world.place.state()).unwrap().map(Result::unwrap) {
        let owner = file.metadata().unwrap();
        assert_eq!((owner.uid(), owner.gid()), (61_234, 61_235), "{:?}", file.path());
        assert_eq!(owner.mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[test]
fn keys_come_from_the_credential_or_the_setting_and_a_wrong_one_is_told() {
    let mut world = World::new(SECRET);
    world.log_in();
    let key = |byte: &str| byte.repeat(32);
    let credentials = world.place.folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("token-key"), key("ab")).unwrap();
    world.place.environment.push(("CREDENTIALS_DIRECTORY", credentials.clone().into()));
    assert_eq!(world.status()["encrypted"], false, "until the next write");
    assert!(world.log_in().0.success());
    assert_eq!(world.status()["encrypted"], true);
    // Without it, a login would lay the tokens open.
    world.place.environment.clear();
    let output = world.place.run(&["login", "acme", "--paste"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("no key is given"), "{}", text(&output.stderr));
    std::fs::write(credentials.join("token-key"), "hunter2").unwrap();
    world.place.environment.push(("CREDENTIALS_DIRECTORY", credentials.into()));
    let output = world.place.run(&["login", "acme", "--paste"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("openssl rand -base64 32") && !told.contains("hunter2"), "{told}");
}
