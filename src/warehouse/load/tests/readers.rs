//! What readers see while batches are exchanged, and how long they wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::*;

const BOTH: &str =
    "SELECT (SELECT string_agg(value, ',') FROM patients) || '/' || (SELECT string_agg(value, ',') FROM visits)";

const BEGIN: [&str; 2] = ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"];

fn contents(value: &str) -> [(&'static str, Vec<(&'static str, &str)>); 2] {
    [("patients", vec![("a", value)]), ("visits", vec![("v", value)])]
}

async fn load(world: &World, locks: &BatchLocks, value: &str) -> Committed {
    let [(p, patients), (v, visits)] = contents(value);
    world
        .load(locks, &day(2), &[(p, &patients), (v, &visits)])
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_older_than_the_load_sees_old_or_new_never_nothing() {
    let Some(world) = World::server().await else { return };
    load(&world, &world.locks(), "old").await;
    let reader = world.other_process().await.acquire_as_user().await.unwrap();
    reader
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class LIMIT 1")
        .await
        .unwrap();
    load(&world, &world.locks(), "new").await;
    assert_eq!(
        texts(&reader, BOTH).await,
        ["new/new"],
        "frozen rows are seen by every snapshot"
    );
    assert_eq!(texts(&reader, BOTH).await, ["new/new"]);
    reader.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_one_state_while_a_batch_is_rerun() {
    let Some(world) = World::server().await else { return };
    load(&world, &world.locks(), "x").await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for kind in 0..3 {
        let (done, warehouse) = (done.clone(), world.other_process().await);
        readers.push(tokio::spawn(async move {
            let client = warehouse.acquire_as_user().await.unwrap();
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let states = if kind == 0 {
                    texts(&client, BOTH).await
                } else {
                    client.batch_execute(BEGIN[kind - 1]).await.unwrap();
                    let patients = texts(&client, "SELECT value FROM patients").await.concat();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    let visits = texts(&client, "SELECT value FROM visits").await.concat();
                    client.batch_execute("COMMIT").await.unwrap();
                    vec![format!("{patients}/{visits}")]
                };
                assert!(
                    states == ["x/x"] || states == ["y/y"],
                    "{states:?} seen by reader {kind}"
                );
                seen += 1;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            seen
        }));
    }
    let locks = world.locks();
    for round in 0..20 {
        load(&world, &locks, if round % 2 == 0 { "y" } else { "x" }).await;
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_is_seen_whole_or_not_at_all() {
    let Some(world) = World::server().await else { return };
    let reader = world.other_process().await.acquire_as_user().await.unwrap();
    reader.batch_execute("BEGIN").await.unwrap();
    assert!(texts(&reader, "SELECT value FROM patients").await.is_empty());
    let locks = world.locks();
    let (loaded, visits) = tokio::join!(load(&world, &locks, "new"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let visits = texts(&reader, "SELECT value FROM visits").await;
        reader.batch_execute("COMMIT").await.unwrap();
        visits
    });
    assert!(
        visits.is_empty(),
        "patients were read before, so visits belong to the same state"
    );
    assert!(loaded.retries > 0);
    assert_eq!(world.texts(BOTH).await, ["new/new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_swap_gives_way_and_never_the_reader() {
    let Some(world) = World::server().await else { return };
    load(&world, &world.locks(), "old").await;
    let holder = world.other_process().await.acquire_as_user().await.unwrap();
    holder
        .batch_execute("BEGIN; SELECT count(*) FROM patients")
        .await
        .unwrap();
    let other = world.other_process().await.acquire_as_user().await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let read = async {
        let mut longest = Duration::ZERO;
        while !over.load(Ordering::Relaxed) {
            let started = Instant::now();
            texts(&other, "SELECT value FROM visits").await;
            longest = longest.max(started.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        longest
    };
    let hold = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let swap = async {
        let loaded = load(&world, &world.locks(), "new").await;
        over.store(true, Ordering::Relaxed);
        loaded
    };
    let (loaded, longest, ()) = tokio::join!(swap, read, hold);
    assert!(loaded.retries >= 1, "{loaded:?}");
    assert!(longest < Duration::from_millis(450), "a reader waited {longest:?}");
    assert_eq!(world.texts(BOTH).await, ["new/new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_ends_with_the_names_of_the_holders() {
    let Some(world) = World::server().await else { return };
    load(&world, &world.locks(), "old").await;
    let holder = world.other_process().await.acquire_as_user().await.unwrap();
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    holder
        .batch_execute("BEGIN; SELECT count(*) FROM patients")
        .await
        .unwrap();
    let run = world.locks().start_run(&day(2), &record(), false).await.unwrap();
    let staged = world.stage(&run, &[("patients", &[("a", "new")])]).await.unwrap();
    let client = world.warehouse.acquire_as_user().await.unwrap();
    let patience = Duration::from_millis(300);
    let error = run
        .swap_within(
            patience,
            client,
            &world.entities,
            staged,
            Summary::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "source_b 2023-05-02 found no moment to swap within 0 s: readers hold the tables"
    );
    assert_eq!(error.why(), Some(format!("server processes {pid}")));
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        world.state().await,
        (vec!["committed".to_owned(), "failed".to_owned()], vec![])
    );
    assert_eq!(world.texts(BOTH).await, ["old/old"]);
}
