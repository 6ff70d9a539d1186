//! Several processes on one token store.
//!
//! The other processes are this test program, started anew with an instruction in its environment.

use crate::emulator::{Application, Fault, OAuthServer};
use convened::auth::{Accounts, Grant, OAuthClient, Outside, TokenSource as _, TokenStore};
use convened::seams::{SystemClock, SystemEntropy, SystemHost};
use convened::transport::HttpClient;
use secrecy::SecretString;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

const CLIENT_ID: &str = "client-1";
const SECRET: &str = "the client's secret";
/// In the environment of another process: the state folder, and where the service is.
const FOLDER: &str = "CONVENED_TEST_FOLDER";
const URL: &str = "CONVENED_TEST_URL";

/// Does what another process is started for: gets a token, and says of which generation.
#[test]
fn another_process() {
    let (Ok(folder), Ok(url)) = (std::env::var(FOLDER), std::env::var(URL)) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let token = runtime.block_on(async {
        let client = OAuthClient {
            provider: "acme".to_owned(),
            grant: Grant::RefreshToken,
            client_id: CLIENT_ID.to_owned(),
            client_secret: SecretString::from(SECRET),
            auth_url: url,
            scopes_needed: Vec::new(),
            timeout: Duration::from_secs(30),
        };
        let outside = Outside {
            store: Arc::new(TokenStore::open(folder.as_ref(), None, Arc::new(SystemEntropy)).unwrap()),
            lock_dir: folder.into(),
            transport: Arc::new(HttpClient::new().unwrap()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            host: Arc::new(SystemHost),
        };
        Accounts::new(outside).account(client).access_token().await
    });
    println!("GENERATION {}", token.unwrap().generation);
}

/// A service, and a store with a grant of it whose access token is over.
struct Place {
    server: Arc<OAuthServer>,
    url: String,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let server = OAuthServer::new(Application {
            client_id: CLIENT_ID.to_owned(),
            client_secret: SECRET.to_owned(),
            redirect_urls: Vec::new(),
            account_id: None,
            scopes: "meeting:write".to_owned(),
        });
        let url = server.serve();
        let folder = tempfile::tempdir().unwrap();
        drop(TokenStore::open(folder.path(), None, Arc::new(SystemEntropy)).unwrap());
        let place = Self { server, url, folder };
        let (access, refresh) = place.server.grant(CLIENT_ID);
        place
            .sql()
            .execute(
                "INSERT INTO accounts (name, grant_type, client_id, generation, access_token, refresh_token, scopes,
                    issued_at_ms, expires_at_ms)
                 VALUES ('acme', 'refresh_token', ?1, 1, CAST(?2 AS BLOB), CAST(?3 AS BLOB), '', 1, 2)",
                [CLIENT_ID, &access, &refresh],
            )
            .unwrap();
        place
    }

    fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join(TokenStore::FILE_NAME)).unwrap()
    }

    /// The access token's time is over.
    fn expire(&self) {
        self.sql().execute("UPDATE accounts SET issued_at_ms = 1, expires_at_ms = 2", []).unwrap();
    }

    fn stored(&self) -> (u64, String) {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let sql = "SELECT generation, CAST(refresh_token AS TEXT) FROM accounts";
        let (generation, refresh) = self.sql().query_row(sql, [], read).unwrap();
        (u64::try_from(generation).unwrap(), refresh)
    }

    fn start(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::another_process", "--nocapture"])
            .env(FOLDER, self.folder.path())
            .env(URL, &self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs another process to its end, which must be a good one; gives the generation of its token.
    fn run(&self) -> u64 {
        generation(&self.start().wait_with_output().unwrap())
    }

    fn is_in_step(&self) -> bool {
        Some(self.stored().1) == self.server.current_refresh_token(CLIENT_ID)
    }
}

fn generation(output: &Output) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("GENERATION "));
    let Some((_, number)) = line else {
        panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    number.trim().parse().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn processes_that_need_a_token_at_the_same_time_make_one_request() {
    let place = Place::new();
    place.server.then(Fault::Hold);
    let mut children: Vec<Child> = (0..4).map(|_| place.start()).collect();
    // While that one is under way, the others come to wait.
    place.server.wait_for_held(1);
    let waits = |child: &mut Child| {
        assert!(child.try_wait().unwrap().is_none(), "it waits for the one that is under way");
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().flatten();
        open.filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|path| path.ends_with("token-acme.lock"))
    };
    while !children.iter_mut().all(waits) {
        std::thread::yield_now();
    }
    place.server.release();
    let generations = children.into_iter().map(|child| generation(&child.wait_with_output().unwrap()));
    assert_eq!(generations.collect::<Vec<_>>(), [2, 2, 2, 2]);
    assert_eq!(place.server.asked().len(), 1);
    assert!(place.is_in_step());
    assert!(place.server.problems().is_empty(), "{:?}", place.server.problems());
}

#[test]
fn killed_before_the_request_is_acted_upon_nothing_is_lost_without_any_grace() {
    let place = Place::new();
    place.server.then(Fault::Hold);
    let child = place.start();
    place.server.wait_for_held(1);
    let before = place.stored();
    kill(child);
    assert_eq!(place.stored(), before);
    // The service has the request still; it acts upon it after its sender is dead, or not: here not yet.
    assert_eq!(place.run(), 2);
    assert!(place.is_in_step());
}

#[test]
fn killed_while_the_answer_is_on_its_way_a_grace_saves_the_grant() {
    let place = Place::new();
    place.server.habits(|habits| habits.grace_s = 5);
    for round in 1..=10 {
        place.expire();
        place.server.then(Fault::HoldReply);
        let child = place.start();
        place.server.wait_for_held(round);
        kill(child);
        place.server.release();
        assert!(!place.is_in_step(), "the service has gone on alone");
        place.run();
        assert!(place.is_in_step());
    }
}

#[test]
fn killed_at_any_moment_the_store_never_loses_what_had_arrived_in_it() {
    let place = Place::new();
    // Without a grace, whatever is not stored when a process dies is gone: the store must hold the token at each moment but the
    // one between answer and commit, and a grace covers that one.
    place.server.habits(|habits| habits.grace_s = 5);
    for round in 0..30_u32 {
        place.expire();
        let asked = place.server.asked().len();
        let child = place.start();
        // Right after the service has answered: a little later each time.
        while place.server.asked().len() == asked {
            std::thread::yield_now();
        }
        for _ in 0..round * 200 {
            std::thread::yield_now();
        }
        kill(child);
        let (generation, _) = place.stored();
        assert!(place.run() >= generation);
        assert!(place.is_in_step(), "round {round}");
    }
}

#[test]
fn a_finished_process_leaves_nothing_to_do() {
    let place = Place::new();
    assert_eq!(place.run(), 2);
    assert_eq!(place.run(), 2);
    assert_eq!(place.server.asked().len(), 1);
    let lock: &Path = &place.folder.path().join("token-acme.lock");
    assert!(lock.exists(), "it stays, and nobody holds it");
}
