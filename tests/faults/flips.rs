//! Bytes of the store flipped, in a thousand places: found, or of no consequence to what is called when.

use crate::random::Random;
use crate::store::stopped_store;
use convened::store::{DueKey, Record, SqliteStore, Store as _};
use std::path::Path;

const PLACES: usize = 1_000;

/// All that the store says, as the daemon reads it.
fn everything(folder: &Path) -> Result<(Vec<Record>, String), String> {
    let read = || -> Result<_, convened::store::StoreError> {
        let mut store = SqliteStore::open(folder)?;
        let records = store.report(None, usize::MAX, usize::MAX)?;
        let due = store.due(DueKey::START, chrono::DateTime::<chrono::Utc>::MAX_UTC, usize::MAX)?;
        let rest = (store.meetings()?, store.counts()?, store.interrupted()?, due);
        Ok((records, format!("{rest:?}")))
    };
    read().map_err(|error| error.to_string())
}

/// What decides who is called when.
fn decisive(records: &[Record]) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let of = |record: &Record| {
        let life = &record.occurrence;
        let room = life.room.as_ref().map(|room| room.id.clone());
        (
            record.seq,
            record.id.clone(),
            record.provider.clone(),
            life.state,
            life.times.starts_at,
            record.wake_at,
            room,
        )
    };
    records.iter().map(of).collect()
}

#[test]
fn a_flipped_byte_is_found_or_changes_nothing_that_decides() {
    let emulator = crate::emulator::Emulator::new();
    let place = stopped_store(&emulator);
    let file = place.state().join(SqliteStore::FILE_NAME);
    let good = std::fs::read(&file).unwrap();
    let (records, rest) = everything(&place.state()).unwrap();
    let seed = Random::seed("CONVENED_SEED");
    println!("flipped bytes: CONVENED_SEED={seed}");
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteStore::FILE_NAME);
    let (mut found, mut without_effect, mut unseen) = (0, 0, 0);
    for _ in 0..PLACES {
        let mut bad = good.clone();
        let at = usize::try_from(random.below(good.len() as u64)).unwrap();
        bad[at] ^= 1 << random.below(8);
        std::fs::write(&path, &bad).unwrap();
        // A panic here fails the test, as does a decision that changed.
        match everything(folder.path()) {
            Err(_) => found += 1,
            Ok(all) if all == (records.clone(), rest.clone()) => without_effect += 1,
            Ok((changed, _)) => {
                unseen += 1;
                assert_eq!(decisive(&changed), decisive(&records), "byte {at} of {}", good.len());
            }
        }
        for side in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.path().join(format!("{}{side}", SqliteStore::FILE_NAME)));
        }
    }
    println!(
        "flipped={PLACES} found={found} without_effect={without_effect} unseen_in_texts_and_numbers={unseen} panics=0"
    );
    assert!(found > 0, "nothing was found: is the file checked at all?");
}
