//! What a batch holds after loads, repeats and drops, on a server and on the embedded database.

use super::*;
use crate::warehouse::load::drop::{count_batch, drop_batch};
use crate::warehouse::load::recover;
use crate::warehouse::load::runs::{self, Filter};
use tokio_util::sync::CancellationToken;

async fn worlds() -> Vec<World> {
    let mut worlds = vec![World::embedded().await];
    worlds.extend(World::server().await);
    worlds
}

#[tokio::test(flavor = "multi_thread")]
async fn first_load_repeat_and_another_day() {
    for world in worlds().await {
        let locks = world.locks();
        let first = world
            .load(
                &locks,
                &day(2),
                &[("patients", &[("a", "1"), ("b", "2")]), ("visits", &[("v", "x")])],
            )
            .await;
        let first = first.unwrap();
        assert_eq!((first.counts["patients"].rows, first.counts["visits"].rows), (2, 1));
        world
            .load(&locks, &day(1), &[("patients", &[("a", "0")]), ("visits", &[])])
            .await
            .unwrap();
        for _ in 0..2 {
            let contents: &[(&str, Rows<'_>)] = &[("patients", &[("a", "1"), ("c", "3")]), ("visits", &[("v", "y")])];
            world.load(&locks, &day(2), contents).await.unwrap();
            assert_eq!(
                world.rows("patients").await,
                [
                    "(a,0,source_b,2023-05-01)",
                    "(a,1,source_b,2023-05-02)",
                    "(c,3,source_b,2023-05-02)"
                ]
            );
            assert_eq!(world.rows("visits").await, ["(v,y,source_b,2023-05-02)"]);
        }
        assert_eq!(world.state().await, (vec!["committed".to_owned(); 4], vec![]));
        // Each partition matches its parents, and has no helper constraint left.
        let loose = "SELECT conname::text FROM pg_constraint WHERE contype = 'c' AND connamespace = 'pipeline_partitions'::regnamespace";
        assert!(world.texts(loose).await.is_empty());
        let invalid = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid OR NOT indisready";
        assert!(world.texts(invalid).await.is_empty());
        let per_leaf = "SELECT count(*)::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relkind = 'r' \
                        AND c.relnamespace = 'pipeline_partitions'::regnamespace GROUP BY c.oid";
        assert_eq!(world.texts(per_leaf).await, ["2", "2", "2", "2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_is_served_no_longer_loses_its_leaf_in_the_same_swap() {
    for world in worlds().await {
        let locks = world.locks();
        world
            .load(
                &locks,
                &day(2),
                &[("patients", &[("a", "1")]), ("visits", &[("v", "x")])],
            )
            .await
            .unwrap();
        let second = world
            .load(&locks, &day(2), &[("patients", &[("a", "2")])])
            .await
            .unwrap();
        assert_eq!(second.emptied, ["visits"]);
        assert_eq!(world.rows("visits").await, Vec::<String>::new());
        let none = world.load(&locks, &day(2), &[]).await.unwrap();
        assert_eq!(
            (none.emptied, world.rows("patients").await),
            (vec!["patients".to_owned()], vec![])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_what_ran() {
    for world in worlds().await {
        let locks = world.locks();
        world
            .load(&locks, &day(2), &[("patients", &[("a", "1")])])
            .await
            .unwrap();
        locks.skip(&day(3), &record()).await.unwrap();
        let client = world.warehouse.acquire_as_user().await.unwrap();
        let all = runs::list(&client, &Filter::default()).await.unwrap();
        assert_eq!(
            all.iter().map(|run| run.status.as_str()).collect::<Vec<_>>(),
            ["skipped", "committed"]
        );
        let run = &all[1];
        assert_eq!((run.attempt, run.records, run.action.as_str()), (1, Some(2), "load"));
        assert_eq!(run.files.as_ref().unwrap()[0]["path"], "file.json");
        assert_eq!(run.counts.as_ref().unwrap()["patients"]["rows"], 1);
        let timings = run.timings.as_ref().unwrap().as_object().unwrap();
        assert!(timings.contains_key("swap"), "{timings:?}");
        assert!(run.finished_at.is_some());
        let filter = Filter {
            source: Some("source_b".to_owned()),
            date: Some(day(3).date),
            limit: Some(5),
        };
        assert_eq!(runs::list(&client, &filter).await.unwrap().len(), 1);
        serde_json::to_string(&all).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_batch_is_gone_and_said() {
    for world in worlds().await {
        let locks = world.locks();
        world
            .load(&locks, &day(1), &[("patients", &[("a", "1")])])
            .await
            .unwrap();
        world
            .load(
                &locks,
                &day(2),
                &[("patients", &[("a", "1"), ("b", "2")]), ("visits", &[("v", "x")])],
            )
            .await
            .unwrap();
        let counts = count_batch(
            &world.warehouse.acquire_as_user().await.unwrap(),
            &world.entities,
            &day(2),
        )
        .await
        .unwrap();
        let dropped = drop_batch(&locks, &world.entities, &day(2), &record(), false)
            .await
            .unwrap();
        assert_eq!(dropped.rows, counts);
        assert_eq!(
            dropped.rows.into_iter().collect::<Vec<_>>(),
            [("patients".to_owned(), 2), ("visits".to_owned(), 1)]
        );
        assert_eq!(world.rows("patients").await, ["(a,1,source_b,2023-05-01)"]);
        let again = drop_batch(&locks, &world.entities, &day(2), &record(), false)
            .await
            .unwrap();
        assert!(again.rows.is_empty());
        assert_eq!(world.state().await, (vec!["committed".to_owned(); 4], vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_may_have_any_name() {
    for world in worlds().await {
        let batch = Batch {
            source: "O'Hara \\ \"x\" é_r7".to_owned(),
            ..day(2)
        };
        for value in ["1", "2"] {
            world
                .load(&world.locks(), &batch, &[("patients", &[("a", value)])])
                .await
                .unwrap();
        }
        assert_eq!(
            world.texts("SELECT source || value FROM patients").await,
            [format!("{}2", batch.source)]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datestyle_of_the_server_does_not_hide_a_leaf() {
    let Some(world) = World::server().await else { return };
    let database = world.database.clone().unwrap();
    let style = format!("ALTER DATABASE {database} SET datestyle = 'German'");
    world
        .warehouse
        .acquire_as_user()
        .await
        .unwrap()
        .batch_execute(&style)
        .await
        .unwrap();
    let other = world.other_process().await;
    for value in ["1", "2"] {
        world
            .load(
                &BatchLocks::new(other.clone()),
                &day(2),
                &[("patients", &[("a", value)])],
            )
            .await
            .unwrap();
    }
    assert_eq!(world.rows("patients").await, ["(a,2,source_b,2023-05-02)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_neither_scans_nor_builds() {
    let Some(world) = World::server().await else { return };
    let run = world.locks().start_run(&day(2), &record(), false).await.unwrap();
    let staged = world.stage(&run, &[("patients", &[("a", "1")])]).await.unwrap();
    let scans =
        "SELECT sum(coalesce(seq_tup_read, 0))::text FROM pg_stat_all_tables WHERE schemaname = 'pipeline_partitions'";
    let read = async || {
        // Each session keeps its own statistics until it flushes them, and the swap gives its session back to the
        // pool.
        for session in world.warehouse.reserve(world.warehouse.connections()).await.unwrap() {
            session
                .batch_execute("SELECT pg_stat_force_next_flush()")
                .await
                .unwrap();
        }
        world.texts(scans).await
    };
    let indexes = "SELECT string_agg(indexrelid::text, ',' ORDER BY indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid \
                   WHERE relname LIKE 'patients_r%'";
    let before = (read().await, world.texts(indexes).await);
    let client = world.warehouse.acquire_as_user().await.unwrap();
    run.swap(
        client,
        &world.entities,
        staged,
        Summary::default(),
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    assert_eq!((read().await, world.texts(indexes).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_costs_nothing_where_nothing_is_wrong() {
    for world in worlds().await {
        assert!(recover(&world.locks()).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_new_batches_of_a_new_source_at_once() {
    let Some(world) = World::server().await else { return };
    let (one, two) = (
        BatchLocks::new(world.other_process().await),
        BatchLocks::new(world.other_process().await),
    );
    let contents: &[(&str, Rows<'_>)] = &[("patients", &[("a", "1")]), ("visits", &[("v", "x")])];
    for round in 0..5 {
        let batch = |day_of: u32| Batch {
            source: format!("s{round}"),
            ..day(day_of)
        };
        let (first, second) = (batch(1), batch(2));
        let (first, second) = tokio::join!(world.load(&one, &first, contents), world.load(&two, &second, contents));
        first.unwrap();
        second.unwrap();
    }
    assert_eq!(world.texts("SELECT count(*)::text FROM patients").await, ["10"]);
}

/// The table is large enough to take turns in indexing, so each statement has its own limit of helpers.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_indexed_in_its_turn() {
    let Some(world) = World::server().await else { return };
    let ids: Vec<String> = (0..300_000).map(|id| format!("{id:020}")).collect();
    let rows: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), &id[12..])).collect();
    let locks = world.locks();
    let run = locks.start_run(&day(2), &record(), false).await.unwrap();
    let staged = world.stage(&run, &[("patients", &rows)]).await.unwrap();
    // Checked before the swap, because ATTACH would build missing indexes.
    let usable = "SELECT count(*)::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname = \
                  'patients_r1' AND indisvalid AND indisready";
    assert_eq!(world.texts(usable).await, ["2"]);
    let counted = "SELECT reltuples::text FROM pg_class WHERE relname = 'patients_r1'";
    assert_eq!(world.texts(counted).await, ["300000"]);

    let under_way = locks.index_turns().begin();
    let turn = under_way
        .turn(staged[0].bytes())
        .await
        .expect("a large table beside the server");
    let _others: Vec<_> = (0..crate::cores::cores())
        .map(|_| locks.index_turns().begin())
        .collect();
    let mut client = world.warehouse.acquire_as_user().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute(&turn.set_helpers()).await.unwrap();
    let helpers = "SELECT current_setting('max_parallel_maintenance_workers')";
    let shown: String = transaction.query_one(helpers, &[]).await.unwrap().get(0);
    assert_eq!(shown, "0");
    drop(transaction);
    assert_eq!(texts(&client, helpers).await, ["2"]);
}
