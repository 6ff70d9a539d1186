//! What a full queue, a refused commit and the clocks' fine print do to the engine.

use super::world::{Mood, World, at, meeting};
use crate::lifecycle::State;
use chrono::TimeDelta;
use std::time::Duration;

/// Turns, each a little later than the one before, until the engine would sleep.
fn turns_until_it_sleeps(world: &mut World, between: TimeDelta) -> usize {
    for turns in 1..100 {
        if world.engine.turn() > Duration::ZERO {
            return turns;
        }
        world.pass(between, between);
    }
    panic!("the engine never sleeps");
}

#[tokio::test]
async fn what_waits_for_a_busy_provider_keeps_nobody_awake() {
    let mut world = World::new();
    world.limits.max_in_flight = 1;
    let mut later = meeting("later");
    later.policy.close_delay = TimeDelta::minutes(6);
    world.apply([meeting("a"), later]).unwrap();
    world.run_until(at("09:34:59")).await;
    // One is being closed and never comes back; the other waits for its turn.
    world.next("close", Mood::Hangs);
    world.run_until(at("09:35:59")).await;
    world.pass(TimeDelta::seconds(2), TimeDelta::seconds(2));
    let turns = turns_until_it_sleeps(&mut world, TimeDelta::milliseconds(2));
    assert_eq!(world.state("later"), State::Closing, "its time is noticed all the same");
    assert!(turns < 5, "{turns}");
}
