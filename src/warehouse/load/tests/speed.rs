//! Measurements, run by hand in a release build:
//! `cargo test --release --lib load::tests::speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use arrow::array::{Date32Array, Decimal128Array, Int32Array, TimestampMicrosecondArray};
use bytes::BytesMut;

use super::*;
use crate::warehouse::copy::Encoder;

#[test]
#[ignore = "a measurement"]
fn encoding() {
    let rows = 8192usize;
    let texts = |length: usize| {
        Arc::new(StringArray::from_iter_values(
            (0..rows).map(|row| format!("{row:0>length$}")),
        )) as ArrayRef
    };
    let counts = 0..i32::try_from(rows).unwrap();
    let decimals = Decimal128Array::from_iter_values(counts.clone().map(i128::from));
    let columns: Vec<(&str, PgType, ArrayRef)> = vec![
        ("id", PgType::Text, texts(16)),
        ("code", PgType::Varchar(Some(20)), texts(8)),
        ("notes", PgType::Text, texts(80)),
        (
            "n",
            PgType::Int4,
            Arc::new(Int32Array::from_iter_values(counts.clone())),
        ),
        (
            "day",
            PgType::Date,
            Arc::new(Date32Array::from_iter_values(counts.clone())),
        ),
        (
            "at",
            PgType::Timestamp,
            Arc::new(TimestampMicrosecondArray::from_iter_values(counts.map(i64::from))),
        ),
        (
            "dose",
            PgType::Numeric(Some((12, 2))),
            Arc::new(decimals.with_precision_and_scale(12, 2).unwrap()),
        ),
    ];
    let contract: Vec<_> = columns.iter().map(|(name, pg, _)| (*name, *pg, true)).collect();
    let batch = RecordBatch::try_from_iter(columns.into_iter().map(|(name, _, array)| (name, array))).unwrap();
    let encoder = Encoder::new(&entity(&contract), &batch.schema()).unwrap();
    let (started, mut bytes, mut out) = (Instant::now(), 0, BytesMut::new());
    while started.elapsed() < Duration::from_secs(2) {
        let mut rows = encoder.bind(&batch).unwrap();
        while rows.write(&mut out, 256 * 1024).unwrap() {
            bytes += out.len();
            out.clear();
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    let rate = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
    eprintln!("encoding: {rate:.0} MB/s");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_small_batch() {
    let Some(world) = World::server().await else { return };
    let locks = world.locks();
    let contents: &[(&str, Rows<'_>)] = &[("patients", &[("a", "1"), ("b", "2")]), ("visits", &[("v", "x")])];
    for round in 0..8 {
        let started = Instant::now();
        let loaded = world.load(&locks, &day(2), contents).await.unwrap();
        eprintln!("load {round}: {:?}, its swap {:?}", started.elapsed(), loaded.took);
    }
}

/// Readers without a pause, and how many swaps get between them: `swaps` per second and the readers' slowest hundredth.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn swaps_beside_readers() {
    const TABLES: [&str; 4] = ["patients", "visits", "diagnoses", "treatments"];
    let (mut alphabetical, mut reversed) = (TABLES, TABLES);
    alphabetical.sort_unstable();
    reversed.reverse();
    for (name, order) in [
        ("natural", TABLES),
        ("alphabetical", alphabetical),
        ("reversed", reversed),
    ] {
        for readers in [2, 6] {
            let Some(world) = World::server_of(&TABLES).await else {
                return;
            };
            beside_readers(&world, name, order, readers).await;
        }
    }
}

async fn beside_readers(world: &World, name: &str, order: [&'static str; 4], readers: usize) {
    const LENGTH: Duration = Duration::from_secs(15);
    let locks = world.locks();
    let contents: Vec<(&str, Rows<'_>)> = order
        .iter()
        .map(|table| (*table, &[("a", "1"), ("b", "2")][..]))
        .collect();
    world.load(&locks, &day(2), &contents).await.unwrap();
    let over = CancellationToken::new();
    let mut tasks = Vec::new();
    for _ in 0..readers {
        let (over, warehouse) = (over.clone(), world.other_process().await);
        tasks.push(tokio::spawn(async move {
            let client = warehouse.acquire_as_user().await.unwrap();
            let mut took = Vec::new();
            while !over.is_cancelled() {
                let started = Instant::now();
                // Four statements of 6 ms each in one transaction.
                client
                    .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    .await
                    .unwrap();
                for table in order {
                    let sql = format!("SELECT count(*), pg_sleep(0.006) FROM {table}");
                    client.batch_execute(&sql).await.unwrap();
                }
                client.batch_execute("COMMIT").await.unwrap();
                took.push(started.elapsed());
            }
            took
        }));
    }
    let (started, mut swaps, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while let Some(left) = LENGTH.checked_sub(started.elapsed()) {
        let Ok(loaded) = tokio::time::timeout(left, world.load(&locks, &day(2), &contents)).await else {
            break;
        };
        swaps += 1;
        longest = longest.max(loaded.unwrap().took);
    }
    over.cancel();
    let mut took = Vec::new();
    for task in tasks {
        // A reader that had been the victim of a deadlock would have failed.
        took.extend(task.await.unwrap());
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    eprintln!(
        "{readers} readers, {name}: {swaps} swaps in {LENGTH:?}, the longest {longest:?}; readers: median {:?}, p99 {:?}, most {:?}",
        at(50),
        at(99),
        at(100)
    );
}
