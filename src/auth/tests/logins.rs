//! How a grant comes into being, without a browser.

use super::emulator::{CODE_LIFE_S, Consent};
use super::world::{CLIENT_ID, Life, World};
use crate::auth::TokenSource as _;
use crate::auth::login::{self, AnswerError, Attempt, LoggedIn, LoginError};
use crate::seams::SystemEntropy;

const REDIRECT: &str = "http://127.0.0.1:8687/callback";

fn begin(life: &Life) -> Attempt {
    Attempt::begin(&life.client, REDIRECT, &SystemEntropy).unwrap()
}

fn log_in(world: &World, wait_s: u64) -> Result<LoggedIn, LoginError> {
    let login = world.live(None, |life| async move {
        let attempt = begin(&life);
        let url = world.server.consent(attempt.authorize_url(), Consent::Yes).unwrap();
        let code = attempt.read_answer(&url).unwrap();
        crate::seams::Clock::sleep(&*life.clock, std::time::Duration::from_secs(wait_s)).await;
        login::redeem(&life.client, &attempt, &code, &life.outside).await
    });
    login.unwrap()
}

#[test]
fn a_consent_becomes_a_grant_that_works_and_is_measured_against_what_is_needed() {
    let world = World::without_login();
    let done = log_in(&world, 0).unwrap();
    assert_eq!(done.generation, 1);
    let missing: Vec<String> = done.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["meeting:delete:meeting (or meeting:write) to delete a meeting"]);
    assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
    let token = world.live(None, |life| async move { life.account.access_token().await }).unwrap();
    assert_eq!(token.unwrap().generation, 1);
    assert!(world.server.problems().is_empty(), "{:?}", world.server.problems());
}

#[test]
fn an_answer_is_taken_from_the_attempt_that_it_belongs_to_only() {
    let world = &World::without_login();
    world.live(None, |life| async move {
        let (attempt, other) = (begin(&life), begin(&life));
        assert_ne!(attempt.authorize_url(), other.authorize_url());
        let url = world.server.consent(other.authorize_url(), Consent::Yes).unwrap();
        assert_eq!(attempt.read_answer(&url).unwrap_err(), AnswerError::OtherState);
        let denied = world.server.consent(attempt.authorize_url(), Consent::No).unwrap();
        assert_eq!(
            attempt.read_answer(&denied).unwrap_err(),
            AnswerError::Denied("access_denied".to_owned())
        );
        // Somebody who cannot know the state cannot end a login, either.
        let forged = format!("{REDIRECT}?error=access_denied&state=x");
        assert_eq!(attempt.read_answer(&forged).unwrap_err(), AnswerError::OtherState);
        for nothing in ["", "hello", REDIRECT, "http://127.0.0.1:8687/callback?code=&state=x"] {
            assert_eq!(attempt.read_answer(nothing).unwrap_err(), AnswerError::NoAnswer, "{nothing:?}");
        }
        let url = world.server.consent(attempt.authorize_url(), Consent::Yes).unwrap();
        let query = url.split_once('?').unwrap().1;
        for answer in [url.clone(), format!("  {url}#_=_\r\n"), format!("?{query}"), query.to_owned()] {
            assert!(attempt.read_answer(&answer).is_ok(), "{answer}");
        }
    });
}

#[test]
fn a_code_that_is_too_old_or_used_leaves_what_there_was() {
    let world = World::new();
    let stored = world.stored();
    let late = u64::try_from(CODE_LIFE_S).unwrap() + 1;
    let told = log_in(&world, late).unwrap_err();
    assert!(
        matches!(&told, LoginError::CodeRefused(_)) && told.to_string().contains("run the login again"),
        "{told}"
    );
    assert_eq!((world.stored(), world.entry().generation), (stored, 1));
    let world = &world;
    world.live(None, |life| async move {
        let attempt = begin(&life);
        let url = world.server.consent(attempt.authorize_url(), Consent::Yes).unwrap();
        let code = attempt.read_answer(&url).unwrap();
        login::redeem(&life.client, &attempt, &code, &life.outside).await.unwrap();
        let again = login::redeem(&life.client, &attempt, &code, &life.outside).await;
        assert!(matches!(again, Err(LoginError::CodeRefused(_))));
        // A code is bound to the attempt by more than its state.
        let (mine, theirs) = (begin(&life), begin(&life));
        let url = world.server.consent(theirs.authorize_url(), Consent::Yes).unwrap();
        let stolen = theirs.read_answer(&url).unwrap();
        let stolen = login::redeem(&life.client, &mine, &stolen, &life.outside).await;
        assert!(matches!(stolen, Err(LoginError::CodeRefused(_))));
    });
}

#[test]
fn a_login_replaces_a_grant_as_the_next_generation() {
    let world = World::new();
    world.server.revoke(CLIENT_ID);
    world.pass(3590);
    assert!(world.live(None, |life| async move { life.account.access_token().await }).unwrap().is_err());
    assert!(world.entry().dead.is_some());
    assert_eq!(log_in(&world, 0).unwrap().generation, 2);
    assert_eq!(world.entry().dead, None);
    assert!(world.live(None, |life| async move { life.account.access_token().await }).unwrap().is_ok());
}

#[test]
fn a_login_without_the_key_of_the_store_is_refused_before_anybody_consents() {
    let mut world = World::new();
    world.key = Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    world.log_in();
    world.key = None;
    let told = world.live(None, |life| async move { login::prepare(&life.client, &life.outside) }).unwrap();
    assert!(matches!(told, Err(LoginError::KeyMissing)));
    assert!(matches!(log_in(&world, 0), Err(LoginError::KeyMissing)));
}

#[test]
fn credentials_can_be_tried() {
    let world = World::with_credentials();
    let done =
        world.live(None, |life| async move { login::try_credentials(&life.client, &life.outside).await });
    assert_eq!(done.unwrap().unwrap().missing.len(), 1);
    assert!(world.entry().logged_in_at.is_none());
}
