//! Looking after accounts: ahead of what is due, weekly, and loud when one does not work.

use super::emulator::Fault;
use super::world::{CLIENT_ID, Life, World};
use crate::auth::{Account, Accounts, Keeper, Outlook};
use crate::seams::{BoxFuture, Clock as _};
use crate::store::Ahead;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A schedule with these starts, each with a room that is made a quarter of an hour before.
struct Meetings(Mutex<Vec<DateTime<Utc>>>);

impl Outlook for Meetings {
    fn ahead<'a>(
        &'a self,
        provider: &'a str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        named: usize,
    ) -> BoxFuture<'a, Ahead> {
        assert_eq!(provider, "acme");
        let starts = self.0.lock().unwrap();
        let all: Vec<_> = starts.iter().filter(|at| (now..until).contains(*at)).copied().collect();
        let first = all.iter().take(named).map(|at| (format!("m@{}", at.format("%H:%M")), *at)).collect();
        let count = all.len();
        Box::pin(async move { Ahead { count, first } })
    }

    fn next_due(&self, until: DateTime<Utc>) -> BoxFuture<'_, BTreeMap<String, DateTime<Utc>>> {
        let starts = self.0.lock().unwrap();
        let due = starts.iter().map(|at| *at - TimeDelta::minutes(15)).filter(|at| *at <= until).min();
        Box::pin(async move { due.map(|at| ("acme".to_owned(), at)).into_iter().collect() })
    }
}

/// A keeper with an account, and meetings so many minutes from now.
fn keeper(life: &Life, minutes: &[i64]) -> (Keeper, Account) {
    let now = life.clock.wall();
    let meetings = minutes.iter().map(|minutes| now + TimeDelta::minutes(*minutes)).collect();
    let accounts = Arc::new(Accounts::new(life.outside.clone()));
    let account = accounts.account(life.client.clone());
    let (clock, host) = (life.outside.clock.clone(), life.outside.host.clone());
    (Keeper::new(accounts, Arc::new(Meetings(Mutex::new(meetings))), clock, host), account)
}

async fn run_for(life: &Life, keeper: &Keeper, seconds: u64) {
    let clock = life.clock.clone();
    tokio::select! {
        biased;
        () = clock.sleep(Duration::from_secs(seconds)) => {}
        () = keeper.run() => {}
    }
}

#[test]
fn a_token_is_fresh_before_its_room_is_due_and_not_refreshed_for_nothing() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        // The room is made in 85 minutes; the token lives for 60.
        let (keeper, account) = keeper(&life, &[100]);
        run_for(&life, &keeper, 74 * 60).await;
        assert!(world.server.asked().is_empty(), "nothing is due for long");
        run_for(&life, &keeper, 3 * 60).await;
        assert_eq!(world.server.asked().len(), 1, "ten minutes ahead");
        run_for(&life, &keeper, 6 * 60).await;
        assert_eq!(account.token_for(Duration::ZERO).await.unwrap().generation, 2);
        assert_eq!(world.server.asked().len(), 1);
    });
}

#[test]
fn an_idle_grant_is_refreshed_within_a_week_for_ever() {
    let world = World::new();
    let world = &world;
    world.live(None, |life| async move {
        let (keeper, _account) = keeper(&life, &[]);
        // As the hourly job of the daemon does.
        for _ in 0..24 * 90 {
            let before = world.entry().issued_at;
            assert!(
                life.clock.wall() - before < TimeDelta::days(7),
                "{before} {:?} {:?}",
                life.clock.wall(),
                world.log.all()
            );
            keeper.sweep().await;
            life.clock.sleep(Duration::from_secs(3600)).await;
        }
        assert!((12..=15).contains(&world.server.asked().len()), "{}", world.server.asked().len());
    });
}

#[test]
fn a_dead_account_is_told_with_what_it_breaks_at_once_and_every_hour_until_a_login() {
    let world = World::new();
    world.server.revoke(CLIENT_ID);
    let world = &world;
    world.live(None, |life| async move {
        let (keeper, account) = keeper(&life, &[75, 120, 200, 300, 400, 500, 600, 10_000]);
        run_for(&life, &keeper, 30 * 60).await;
        assert!(world.log.of("account.dead").is_empty(), "nobody knows yet");
        // The token is refreshed for the room that is due in an hour, and that is how it is found out.
        run_for(&life, &keeper, 30 * 60).await;
        let told = world.log.of("account.dead");
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("breaks=7") && told[0].contains("m@09:15 (2027-01-15T09:15:00Z), m@10:00"),
            "{told:?}"
        );
        assert!(told[0].contains("…") && told[0].contains("mend_with=\"convened login acme\""), "{told:?}");
        run_for(&life, &keeper, 3 * 3600).await;
        let told = world.log.of("account.dead").len();
        assert!((3..=4).contains(&told), "{told}: once an hour");
        assert_eq!(world.server.asked().len(), 1, "and nobody is asked");
        world.log_in();
        run_for(&life, &keeper, 120).await;
        assert_eq!(world.log.of("account.mended").len(), 1);
        let lacks = world.log.of("account.lacks_scopes");
        assert!(lacks.len() == 1 && lacks[0].contains("meeting:delete:meeting"), "{lacks:?}");
        assert_eq!(account.client().provider, "acme");
        run_for(&life, &keeper, 2 * 3600).await;
        assert_eq!(world.log.of("account.dead").len(), told);
    });
}

#[test]
fn an_account_that_nobody_has_logged_in_to_is_told_at_the_start() {
    let world = World::without_login();
    world.live(None, |life| async move {
        let (keeper, _account) = keeper(&life, &[30]);
        run_for(&life, &keeper, 1).await;
    });
    let told = world.log.of("account.not_logged_in");
    assert!(told.len() == 1 && told[0].contains("breaks=1"), "{told:?}");
}

#[test]
fn a_wrong_secret_is_told_and_so_is_that_it_was_set_right_at_the_service() {
    let world = World::new();
    world.server.application(|application| application.client_secret = "a newer secret".to_owned());
    let world = &world;
    world.live(None, |life| async move {
        let (keeper, _account) = keeper(&life, &[40]);
        run_for(&life, &keeper, 60 * 60).await;
        let told = world.log.of("account.misconfigured");
        assert!(told.len() == 1 && told[0].contains("invalid_client"), "{told:?}");
        world.server.application(|application| application.client_secret = super::world::SECRET.to_owned());
        run_for(&life, &keeper, 70 * 60).await;
        assert_eq!(world.log.of("account.mended").len(), 1);
        assert_eq!(world.log.of("account.misconfigured").len(), 1);
    });
    assert!(world.server.asked().len() < 40);
}

#[test]
fn what_a_dead_process_left_is_settled_by_itself() {
    let world = World::new();
    world.server.habits(|habits| habits.grace_s = 600);
    world.pass(3500);
    let crash = Some(super::world::Where::Replied);
    world.live(crash, |life| async move { life.account.token_for(Duration::ZERO).await });
    world.server.then(Fault::Unreachable);
    world.live(None, |life| async move {
        let (keeper, _account) = keeper(&life, &[]);
        run_for(&life, &keeper, 120).await;
    });
    assert_eq!(world.entry().intent, None);
    assert_eq!(Some(world.stored()), world.server.current_refresh_token(CLIENT_ID));
}
