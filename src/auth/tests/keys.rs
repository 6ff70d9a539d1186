//! Tokens at rest, with and without a key.

use super::world::{CLIENT_ID, World};
use crate::auth::{TokenError, TokenSource as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "ICECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Everything in the state folder.
fn at_rest(world: &World) -> Vec<u8> {
    let files = std::fs::read_dir(world.path()).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle.as_bytes())
}

fn refresh(world: &World) -> Result<u64, TokenError> {
    let token =
        world.live(None, |life| async move { life.account.token_for(Duration::from_secs(2400)).await });
    token.unwrap().map(|token| token.generation)
}

#[test]
fn with_a_key_the_next_write_seals_what_was_plain_and_leaves_none_of_it() {
    let mut world = World::new();
    let plain = world.stored();
    assert!(holds(&at_rest(&world), &plain), "it is where it should be");
    world.key = Some(KEY);
    assert_eq!(world.stored(), plain, "still read");
    world.pass(3000);
    assert_eq!(refresh(&world).unwrap(), 2);
    assert!(world.entry().is_sealed);
    assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
    let at_rest = at_rest(&world);
    for secret in world.server.secrets() {
        assert!(!holds(&at_rest, &secret), "none of it is in any file");
    }
    for _ in 0..3 {
        world.pass(3000);
        refresh(&world).unwrap();
    }
    assert_eq!(world.entry().generation, 5);
}

#[test]
fn a_missing_or_wrong_key_is_told_and_nothing_is_lost_by_it() {
    let mut world = World::new();
    world.key = Some(KEY);
    world.log_in();
    let stored = world.stored();
    world.pass(3500);
    for (key, words) in [(None, "no key is given"), (Some(OTHER), "another key")] {
        world.key = key;
        let told = refresh(&world).unwrap_err();
        assert!(matches!(&told, TokenError::Misconfigured(why) if why.contains(words)), "{told}");
    }
    assert!(world.server.asked().is_empty());
    world.key = Some(KEY);
    assert_eq!(world.stored(), stored);
    assert_eq!(refresh(&world).unwrap(), 3);
}

#[test]
fn a_row_made_of_parts_of_others_does_not_open() {
    let mut world = World::new();
    world.key = Some(KEY);
    world.log_in();
    let connection = rusqlite::Connection::open(world.path().join("tokens.sqlite")).unwrap();
    for change in ["name = 'other'", "generation = 9", "access_token = refresh_token", "key_id = zeroblob(8)"]
    {
        let name = if change.starts_with("name") { "other" } else { "acme" };
        connection.execute_batch(&format!("BEGIN; UPDATE accounts SET {change}")).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        let store = world.store();
        let row = store.row(name).unwrap().unwrap();
        assert!(store.tokens(&row).is_err(), "{change}");
        connection.execute_batch("DELETE FROM accounts").unwrap();
        world.log_in();
    }
}

#[test]
fn credentials_need_no_key_of_yesterday() {
    let mut world = World::with_credentials();
    world.key = Some(KEY);
    world.live(None, |life| async move { life.account.access_token().await }).unwrap().unwrap();
    world.key = Some(OTHER);
    let token = world.live(None, |life| async move { life.account.access_token().await });
    assert_eq!(token.unwrap().unwrap().generation, 2);
}

#[test]
fn a_commit_outlives_a_power_cut_and_what_was_deleted_is_overwritten() {
    let store = World::new().store();
    let pragmas = ["synchronous", "journal_mode", "secure_delete"].map(|name| store.pragma(name));
    assert_eq!(pragmas, ["Integer(2)", "Text(\"wal\")", "Integer(1)"]);
}

#[test]
fn the_file_is_for_its_owner_alone_and_becomes_so_again() {
    let world = World::new();
    let path = world.path().join("tokens.sqlite");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _open = world.store();
    for file in std::fs::read_dir(world.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.path());
    }
}
