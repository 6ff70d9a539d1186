//! Whatever dies and wherever: no token is lost that had arrived in the store, and none is given up that could be saved.

use super::emulator::Fault;
use super::world::{CLIENT_ID, EVERYWHERE, Where, World};
use crate::auth::refresh::Point;
use crate::auth::{TokenError, TokenSource as _};
use secrecy::ExposeSecret as _;
use std::time::Duration;

/// The service has rotated, and its answer was on the way, or in memory only.
fn loses_the_answer(place: Where) -> bool {
    matches!(place, Where::Replied | Where::At(Point::Answered))
}

/// Refreshes, dying at each of `crashes` in turn, then without.
fn after_crashes(grace_s: i64, crashes: &[Where]) -> World {
    let world = World::new();
    world.server.habits(|habits| habits.grace_s = grace_s);
    world.pass(3500);
    for (n, crash) in crashes.iter().enumerate() {
        let outcome = world.live(Some(*crash), |life| async move { life.account.access_token().await });
        // A pair that an earlier life has committed is all that a later one needs: it comes to no refresh, and does not die.
        if let Some(outcome) = outcome {
            let is_refreshed = crashes[..n].contains(&Where::At(Point::PairCommitted));
            let is_dead = grace_s == 0 && crashes[..n].iter().any(|crash| loses_the_answer(*crash));
            assert!(is_refreshed || is_dead, "{crashes:?}: {outcome:?}");
        }
        world.pass(1);
    }
    world
}

#[test]
fn wherever_it_dies_once_or_twice_a_grace_saves_the_grant() {
    let mut runs = 0;
    for first in EVERYWHERE {
        for second in std::iter::once(None).chain(EVERYWHERE.map(Some)) {
            let crashes: Vec<Where> = std::iter::once(first).chain(second).collect();
            let world = after_crashes(30, &crashes);
            let token = world.live(None, |life| async move { life.account.access_token().await }).unwrap();
            let token = token.unwrap_or_else(|error| panic!("{crashes:?}: {error}"));
            let is_good = world.server.scopes_of(token.secret.expose_secret()).is_some();
            assert!(is_good, "{crashes:?}: the service knows the token");
            assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID), "{crashes:?}");
            let entry = world.entry();
            assert_eq!((entry.intent, entry.failures, &entry.dead), (None, 0, &None), "{crashes:?}");
            runs += 1;
        }
    }
    assert_eq!(runs, 42);
}

#[test]
fn without_a_grace_a_grant_dies_only_where_its_answer_never_reached_the_store() {
    for first in EVERYWHERE {
        for second in std::iter::once(None).chain(EVERYWHERE.map(Some)) {
            let crashes: Vec<Where> = std::iter::once(first).chain(second).collect();
            let world = after_crashes(0, &crashes);
            let outcome = world.live(None, |life| async move {
                // The token from before would do for a while.
                let due = life.account.token_for(Duration::from_secs(2000)).await;
                (due, life.account.examine().await.0)
            });
            let (_, trouble) = outcome.unwrap();
            // What comes after a commit cannot lose anything any more.
            let is_lost = crashes
                .iter()
                .take_while(|crash| **crash != Where::At(Point::PairCommitted))
                .any(|crash| loses_the_answer(*crash));
            match trouble {
                None => assert!(!is_lost, "{crashes:?}"),
                Some(TokenError::Dead { cause, .. }) => {
                    assert!(is_lost, "{crashes:?}: {cause}");
                    assert!(cause.contains("never arrived"), "{cause}");
                    assert!(!world.stored().is_empty(), "its row is kept");
                }
                Some(other) => panic!("{crashes:?}: {other}"),
            }
        }
    }
}

#[test]
fn a_refresh_that_a_dead_process_began_is_told_and_ended_at_the_next_start() {
    let world = World::new();
    world.server.habits(|habits| habits.grace_s = 5);
    world.pass(3500);
    world.live(Some(Where::Replied), |life| async move { life.account.access_token().await });
    assert!(world.entry().intent.is_some_and(|intent| intent.is_open));
    world.live(None, |life| async move { life.account.settle().await }).unwrap().unwrap();
    assert_eq!(world.entry().intent, None);
    assert_eq!(world.log.of("account.recovered").len(), 1);
    let asked = world.server.asked();
    assert_eq!(asked[0].refresh_token, asked[1].refresh_token, "the same token again");
}

#[test]
fn a_lost_answer_is_asked_for_again_within_the_shortest_grace() {
    let world = World::new();
    world.server.habits(|habits| habits.grace_s = 5);
    world.server.then(Fault::LoseReply);
    world.server.then(Fault::LoseRequest);
    world.pass(3500);
    let took = world.live(None, |life| async move {
        life.account.access_token().await.unwrap();
        crate::seams::Clock::boot(&*life.clock)
    });
    assert!(took.unwrap() < Duration::from_secs(5), "{took:?}");
    assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
    assert_eq!(world.server.asked().len(), 2, "those that arrived");
}

#[test]
fn of_two_answers_to_one_token_the_store_holds_the_wrong_one_and_the_token_before_mends_it() {
    // The service took the first request late, after the one that was repeated: only its answer counts, and that is lost.
    let world = World::new();
    world.server.habits(|habits| habits.grace_s = 30);
    world.pass(3500);
    let first = world.stored();
    world.live(None, |life| async move { life.account.access_token().await }).unwrap().unwrap();
    assert_ne!(world.stored(), first);
    let late = world.live(None, |life| async move {
        let token = secrecy::SecretString::from(first);
        let ask = crate::auth::wire::Ask::Refresh(&token);
        let request = crate::auth::wire::request(&life.client, &ask).unwrap();
        life.outside.transport.send(request, Duration::ZERO).await.unwrap().status()
    });
    assert_eq!(late.unwrap(), 200);
    assert_ne!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
    let length = Duration::from_secs(3000);
    world.live(None, |life| async move {
        let held = life.account.access_token().await.unwrap();
        crate::seams::Clock::sleep(&*life.clock, Duration::from_secs(61)).await;
        drop((held, length));
    });
    // Still within the grace of that service: its habit is set anew, as the pair had to become old enough.
    world.server.habits(|habits| habits.grace_s = 10_000);
    world.pass(3000);
    world.live(None, |life| async move { life.account.access_token().await }).unwrap().unwrap();
    assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
    assert_eq!(world.entry().dead, None);
}

#[test]
fn what_cannot_be_written_is_kept_until_it_can_and_not_used_before() {
    let world = World::new();
    world.pass(2900);
    let connection = rusqlite::Connection::open(world.path().join("tokens.sqlite")).unwrap();
    connection
        .execute_batch(
            "CREATE TRIGGER full BEFORE UPDATE OF generation ON accounts
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        )
        .unwrap();
    let log = world.log.clone();
    let token = world.live(None, |life| async move {
        let waiting = life.account.clone();
        let waiting = tokio::spawn(async move { waiting.token_for(Duration::from_secs(2000)).await });
        crate::seams::Clock::sleep(&*life.clock, Duration::from_secs(240)).await;
        // Whoever has a token from before goes on with that.
        let spare = life.account.access_token().await.unwrap();
        assert_eq!(spare.generation, 1);
        assert_eq!(log.of("account.not_saved").len(), 1);
        connection.execute_batch("DROP TRIGGER full").unwrap();
        crate::seams::Clock::sleep(&*life.clock, Duration::from_secs(5)).await;
        drop(waiting);
        life.account.access_token().await.unwrap()
    });
    assert_eq!(token.unwrap().generation, 2);
    assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
    assert_eq!(world.server.asked().len(), 1);
}
