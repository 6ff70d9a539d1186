//! When a token is refreshed, how often the service is asked, and what its answers do.

use super::emulator::Fault;
use super::world::{CLIENT_ID, Life, World};
use crate::auth::refresh::Probe;
use crate::auth::{AccessToken, Account, TokenError, TokenSource as _};
use crate::seams::Clock as _;
use secrecy::ExposeSecret as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn pass(life: &Life, seconds: u64) {
    life.clock.sleep(Duration::from_secs(seconds)).await;
}

/// What the store knows, read by another process.
fn another_account(world: &World, life: &Life) -> Account {
    let outside = crate::auth::Outside { store: std::sync::Arc::new(world.store()), ..life.outside.clone() };
    Account::new(life.client.clone(), outside, life.alarm.clone(), Probe::default())
}

#[test]
fn a_token_is_used_until_ten_minutes_before_its_end_and_asked_for_once_then() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        pass(&life, 2990).await;
        assert_eq!(life.account.access_token().await.unwrap().generation, 1);
        assert!(world.server.asked().is_empty());
        pass(&life, 20).await;
        let callers = (0..100).map(|_| {
            let account = life.account.clone();
            tokio::spawn(async move { account.access_token().await.unwrap().generation })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert_eq!(caller.await.unwrap(), 2);
        }
        assert_eq!(world.server.asked().len(), 1);
    });
    assert!(world.server.problems().is_empty(), "{:?}", world.server.problems());
}

#[test]
fn a_token_is_refreshed_early_for_what_needs_it_longer() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        pass(&life, 1800).await;
        let generation = |minutes: u64| {
            let account = life.account.clone();
            async move { account.token_for(Duration::from_secs(60 * minutes)).await.unwrap().generation }
        };
        assert_eq!(generation(29).await, 1);
        assert_eq!(generation(31).await, 2);
        // None lives that long: nothing would be gained by another.
        assert_eq!(generation(600).await, 2);
        assert_eq!(world.server.asked().len(), 1);
    });
}

#[test]
fn after_a_401_one_refresh_does_for_all_who_met_it() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        let refused = life.account.access_token().await.unwrap();
        world.server.forget_access_tokens();
        pass(&life, 100).await;
        let callers = (0..50).map(|_| {
            let (account, refused) = (life.account.clone(), refused.clone());
            tokio::spawn(async move { account.replace(&refused).await.unwrap().generation })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert_eq!(caller.await.unwrap(), 2);
        }
        assert_eq!(life.account.replace(&refused).await.unwrap().generation, 2);
        assert_eq!(world.server.asked().len(), 1);
    });
}

#[test]
fn a_token_that_is_refused_although_it_is_new_is_not_replaced_over_and_over() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        pass(&life, 100).await;
        let mut token = life.account.access_token().await.unwrap();
        for n in 0..100 {
            // Whatever it is given, the API says 401.
            match life.account.replace(&token).await {
                Ok(newer) => token = newer,
                Err(TokenError::Unavailable { retry_at, .. }) => assert!(retry_at.is_some()),
                Err(other) => panic!("{n}: {other}"),
            }
            pass(&life, 1).await;
        }
        assert_eq!(world.server.asked().len(), 2, "in a hundred seconds");
    });
}

#[test]
fn a_caller_who_gives_up_takes_no_answer_with_him() {
    let world = World::new();
    world.pass(3590);
    let world = &world;
    world.live(None, |life| async move {
        let mut call = life.account.access_token();
        tokio::select! {
            biased;
            _ = &mut call => panic!("it is not that fast"),
            () = life.clock.sleep(Duration::from_millis(75)) => {}
        }
        assert_eq!(world.server.asked().len(), 1, "the answer is on its way");
        drop(call);
        pass(&life, 1).await;
        assert_eq!(life.account.access_token().await.unwrap().generation, 2);
        assert_eq!(world.server.asked().len(), 1);
    });
    assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
}

#[test]
fn whoever_waits_for_a_lock_finds_the_token_that_the_other_process_got() {
    let world = World::new();
    world.pass(3590);
    let world = &world;
    world.live(None, |life| async move {
        let others = [another_account(world, &life), another_account(world, &life), life.account.clone()];
        let calls = others.map(|account| tokio::spawn(async move { account.access_token().await.unwrap() }));
        for call in calls {
            assert_eq!(call.await.unwrap().generation, 2);
        }
        assert_eq!(world.server.asked().len(), 1);
    });
}

#[test]
fn trouble_at_the_service_is_waited_out_and_kills_nothing() {
    let html = "<html>Service Unavailable</html>".to_owned();
    let faults = [
        Fault::Answer(500, Vec::new(), html.clone()),
        Fault::Answer(503, Vec::new(), "{\"error\":\"invalid_grant\"}".to_owned()),
        Fault::Answer(429, Vec::new(), String::new()),
        Fault::Answer(200, Vec::new(), html),
        Fault::Answer(400, Vec::new(), "{}".to_owned()),
        Fault::Unreachable,
        Fault::LoseRequest,
    ];
    for fault in faults {
        let world = World::new();
        world.pass(3300);
        let world = &world;
        world.live(None, |life| async move {
            for _ in 0..200 {
                world.server.then(fault.clone());
            }
            for _ in 0..600 {
                // As long as the token from before is valid, that is what callers get; then they are told when.
                match life.account.access_token().await {
                    Ok(token) => assert_eq!(token.generation, 1),
                    Err(TokenError::Unavailable { retry_at, .. }) => {
                        assert!(retry_at.is_some());
                        assert!(life.clock.boot() > Duration::from_secs(260), "{:?}", life.clock.boot());
                    }
                    Err(other) => panic!("{fault:?}: {other}"),
                }
                pass(&life, 1).await;
            }
            let asked = world.server.asked().len();
            assert!(asked <= 12, "{fault:?}: asked {asked} times in ten minutes");
            assert_eq!(world.entry().dead, None);
            world.server.forget_faults();
            pass(&life, 400).await;
            assert_eq!(life.account.access_token().await.unwrap().generation, 2, "{fault:?}");
        });
        assert!(world.entry().failures == 0 && world.entry().last_error.is_none());
    }
}

#[test]
fn a_pause_that_the_service_asks_for_is_kept_by_every_process() {
    let world = World::new();
    world.pass(3590);
    let at = "2027-01-15T09:04:50Z";
    world.server.then(Fault::Answer(429, vec![("retry-after", at.to_owned())], String::new()));
    let world = &world;
    world.live(None, |life| async move {
        let told = life.account.access_token().await.unwrap_err();
        let TokenError::Unavailable { retry_at: Some(retry_at), .. } = &told else { panic!("{told}") };
        assert_eq!(retry_at.to_rfc3339(), "2027-01-15T09:04:50+00:00");
        pass(&life, 280).await;
        assert!(another_account(world, &life).access_token().await.is_err());
        assert!(life.account.access_token().await.is_err());
        assert_eq!(world.server.asked().len(), 1);
        pass(&life, 30).await;
        assert!(another_account(world, &life).access_token().await.is_ok());
    });
}

#[test]
fn a_grant_that_was_withdrawn_is_dead_and_nobody_is_asked_any_more() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        pass(&life, 100).await;
        let token = life.account.access_token().await.unwrap();
        world.server.revoke(CLIENT_ID);
        let TokenError::Dead { cause, .. } = life.account.replace(&token).await.unwrap_err() else {
            panic!()
        };
        assert!(
            cause.contains("invalid_grant: Invalid Token!") && !cause.contains("never arrived"),
            "{cause}"
        );
        for _ in 0..100 {
            assert!(matches!(life.account.access_token().await, Err(TokenError::Dead { .. })));
            assert!(matches!(
                another_account(world, &life).replace(&token).await,
                Err(TokenError::Dead { .. })
            ));
        }
        assert_eq!(world.server.asked().len(), 1);
        let entry = world.entry();
        assert!(entry.dead.is_some_and(|dead| dead.cause == cause));
        // The row is kept, and a login is taken up without a word to this process.
        assert_eq!(world.log_in(), 2);
        let token = life.account.access_token().await;
        assert_eq!(token.unwrap().generation, 2);
        assert_eq!(world.log.of("account.mended").len(), 1);
    });
}

#[test]
fn a_refresh_token_of_a_grant_that_somebody_renewed_elsewhere_is_read_again_before_it_is_given_up() {
    // Another machine's process with the same store restored: it does not hold our lock.
    let world = World::new();
    world.pass(3590);
    let world = &world;
    world.live(None, |life| async move {
        let call = life.account.clone();
        let call = tokio::spawn(async move { call.access_token().await });
        pass(&life, 0).await;
        life.clock.sleep(Duration::from_millis(10)).await;
        // While the request is on its way.
        assert_eq!(world.log_in(), 2);
        assert_eq!(call.await.unwrap().unwrap().generation, 2);
        assert_eq!(world.entry().dead, None);
    });
}

#[test]
fn a_wrong_client_secret_is_the_operators_error_and_no_grants_end() {
    let mut world = World::new();
    world.secret = "another".to_owned();
    world.pass(3590);
    world.live(None, |life| async move {
        let told = life.account.access_token().await.unwrap_err();
        assert!(matches!(&told, TokenError::Misconfigured(why) if why.contains("invalid_client")), "{told}");
        for _ in 0..100 {
            assert!(life.account.access_token().await.is_err());
        }
    });
    assert_eq!(world.server.asked().len(), 1);
    assert!(world.entry().last_error.is_some());
    // Set right, it need not wait.
    world.secret = super::world::SECRET.to_owned();
    let token = world.live(None, |life| async move { life.account.access_token().await });
    assert_eq!(token.unwrap().unwrap().generation, 2);
}

#[test]
fn tokens_of_another_application_are_not_used() {
    let world = World::new();
    let told = world.live(None, |life| async move {
        let mut client = life.client.clone();
        client.client_id = "client-2".to_owned();
        Account::new(client, life.outside.clone(), life.alarm.clone(), Probe::default()).access_token().await
    });
    let told = told.unwrap().unwrap_err();
    assert!(matches!(&told, TokenError::Misconfigured(why) if why.contains("client-1")), "{told}");
    let world = World::without_login();
    let told = world.live(None, |life| async move { life.account.access_token().await });
    assert_eq!(told.unwrap().unwrap_err(), TokenError::NotLoggedIn);
}

#[test]
fn a_service_that_keeps_its_refresh_tokens_is_fine_too() {
    let world = World::new();
    world.server.habits(|habits| habits.rotates = false);
    let first = world.stored();
    for generation in 2..5 {
        world.pass(3590);
        let token = world.live(None, |life| async move { life.account.access_token().await });
        assert_eq!(token.unwrap().unwrap().generation, generation);
        assert_eq!(world.stored(), first);
    }
}

#[test]
fn credentials_are_exchanged_without_a_login_and_kept_for_the_next_process() {
    let world = World::with_credentials();
    let world = &world;
    let first = world.live(None, |life| async move { life.account.access_token().await.unwrap() }).unwrap();
    let again = world.live(None, |life| async move { life.account.access_token().await.unwrap() }).unwrap();
    assert_eq!(first.secret.expose_secret(), again.secret.expose_secret());
    assert_eq!(world.server.asked().len(), 1);
    // Early ends of such tokens are usual.
    world.server.forget_access_tokens();
    world.pass(120);
    let newer = world.live(None, |life| async move { life.account.replace(&again).await.unwrap() }).unwrap();
    assert!(world.server.scopes_of(newer.secret.expose_secret()).is_some());
    world.server.application(|application| application.account_id = None);
    world.pass(3590);
    let told =
        world.live(None, |life| async move { life.account.access_token().await }).unwrap().unwrap_err();
    assert!(matches!(&told, TokenError::Misconfigured(why) if why.contains("app type")), "{told}");
}

#[test]
fn a_wall_clock_that_is_set_makes_no_token_older_or_younger() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        assert_eq!(life.account.access_token().await.unwrap().generation, 1);
        for day in [-1, 1] {
            life.clock.set_by_ms.store(day * 86_400_000, Ordering::Relaxed);
            assert_eq!(life.account.access_token().await.unwrap().generation, 1, "{day}");
        }
        life.clock.set_by_ms.store(-86_400_000, Ordering::Relaxed);
        pass(&life, 3100).await;
        assert_eq!(life.account.access_token().await.unwrap().generation, 2);
    });
}

#[test]
fn no_token_is_in_what_can_be_printed() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        let token: AccessToken = life.account.access_token().await.unwrap();
        let row = life.outside.store.row("acme").unwrap().unwrap();
        let tokens = life.outside.store.tokens(&row).unwrap();
        let printed =
            format!("{token:?} {:?} {:?} {:?} {tokens:?}", life.account, life.client, life.outside.store);
        for secret in world.server.secrets() {
            assert!(!printed.contains(&secret), "{printed}");
        }
        assert!(printed.contains("REDACTED"));
    });
}
