//! No token, code or secret of an account is in anything that the program says, whatever goes wrong; with a key, none is in any
//! file either.

use crate::canaries::{Canaries, canary};
use crate::emulator::{Consent, Fault};
use crate::logins::World;
use convened::auth::TokenStore;
use std::fs;

/// Everything in the state folder.
fn at_rest(world: &World) -> Vec<u8> {
    let files = fs::read_dir(world.place.state()).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
}

/// The access token's time is over.
fn expire(world: &World) {
    let sql = rusqlite::Connection::open(world.place.state().join(TokenStore::FILE_NAME)).unwrap();
    sql.execute("UPDATE accounts SET issued_at_ms = 1, expires_at_ms = 2, retry_at_ms = NULL", []).unwrap();
}

/// A service that repeats what it was told, in an error of that name.
fn echo(world: &World, status: u16, error: &str) -> Fault {
    let token = world.server.current_refresh_token("client-1").unwrap();
    let secrets = world.server.secrets();
    let reason = format!("{token} of {} is not liked", secrets[0]);
    let body = serde_json::json!({ "error": error, "reason": reason });
    Fault::Answer(status, Vec::new(), body.to_string())
}

#[test]
fn nothing_that_it_says_holds_a_token_and_with_a_key_no_file_does() {
    let secret = canary();
    let mut world = World::new(&secret);
    let key = "5a".repeat(32);
    let credentials = world.place.folder.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("token-key"), &key).unwrap();
    world.place.environment.push(("CREDENTIALS_DIRECTORY", credentials.into()));
    let mut said: Vec<(String, Vec<u8>)> = Vec::new();

    // A login that fails in each way, and one that does not.
    let mut login = world.login(&["--paste", "--redirect-url", "https://example.com/zoom"]);
    let denied = world.server.consent(&login.url, Consent::No).unwrap();
    login.paste(&denied);
    let (_, out, told) = login.end();
    said.push(("a login that is denied".to_owned(), format!("{out}{told}").into_bytes()));
    for fault in [
        Fault::Answer(400, Vec::new(), format!("{{\"error\":\"invalid_client\",\"reason\":{secret:?}}}")),
        Fault::Answer(500, Vec::new(), secret.clone()),
        Fault::LoseReply,
    ] {
        world.server.then(fault);
        let (exit, out, told) = world.log_in();
        assert!(!exit.success(), "{out}{told}");
        said.push(("a login that fails".to_owned(), format!("{out}{told}").into_bytes()));
    }
    let (exit, out, told) = world.log_in();
    assert!(exit.success(), "{out}{told}");
    said.push(("a login".to_owned(), format!("{out}{told}").into_bytes()));

    // The daemon, with a service that is out of order in each way.
    for (fault, event) in [
        (None, "call."),
        (Some(echo(&world, 400, "invalid_client")), "account.misconfigured"),
        (Some(echo(&world, 429, "slow_down")), "account.refresh_failed"),
        (Some(Fault::DoneBut(200, "{\"access_token\":\"".to_owned())), "account.refresh_failed"),
    ] {
        if let Some(fault) = fault {
            expire(&world);
            world.server.habits(|habits| habits.grace_s = 60);
            for _ in 0..5 {
                world.server.then(fault.clone());
            }
        }
        let mut daemon = world.place.start_with(&["run", "--log", "json", "-vvv"]);
        daemon.wait_for_text(event);
        for file in ["cmdline", "environ"] {
            let content = fs::read(format!("/proc/{}/{file}", daemon.pid())).unwrap();
            said.push((format!("/proc/PID/{file}"), content));
        }
        daemon.signal("TERM");
        said.push((format!("the log until {event}"), daemon.end().1.into_bytes()));
        world.server.forget_faults();
    }
    // All is well again; then the consent is withdrawn.
    expire(&world);
    let mut daemon = world.place.start_with(&["run", "--log", "json", "-vvv"]);
    daemon.wait_for_text("account.refreshed");
    daemon.signal("TERM");
    said.push(("the log of a refresh".to_owned(), daemon.end().1.into_bytes()));
    world.server.revoke("client-1");
    expire(&world);
    let mut daemon = world.place.start_with(&["run", "--log", "pretty", "-vvv"]);
    daemon.wait_for_text("account.dead");
    let commands: [&[&str]; 5] = [
        &["login", "--status"],
        &["login", "--status", "--json"],
        &["status", "--show-secrets"],
        &["check"],
        &["plan"],
    ];
    for command in commands {
        let output = world.place.run(command);
        said.push((command.join(" "), [output.stdout, output.stderr].concat()));
    }
    assert_eq!(world.status()["state"], "dead");
    daemon.signal("TERM");
    said.push(("the log of a death".to_owned(), daemon.end().1.into_bytes()));

    let mut canaries = Canaries::default();
    canaries.add("the key", &key);
    let secrets = world.server.secrets();
    for (n, secret) in secrets.iter().enumerate() {
        canaries.add(&format!("secret {n}"), secret);
    }
    assert!(secrets.len() > 8, "there was something to find: {}", secrets.len());
    let rest = at_rest(&world);
    said.push(("the files".to_owned(), rest));
    let leaks: Vec<String> = said
        .iter()
        .flat_map(|(place, what)| {
            canaries.found_in(what).into_iter().map(move |found| format!("{found}: {place}"))
        })
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));

    // The search is one that finds: without a key the tokens are in the file.
    let world = World::new(&secret);
    world.log_in();
    let mut canaries = Canaries::default();
    canaries.add("the refresh token", &world.server.current_refresh_token("client-1").unwrap());
    assert_eq!(canaries.found_in(&at_rest(&world)), ["the refresh token, as it is"]);
}
