//! Upgrades a database that an older version of the program has filled.

use super::*;
use crate::warehouse::schema::migrate;

/// A batch as versions before the fourth migration of the state left it: its partition is in `pipeline_leaves`, and
/// its run has an `epoch`.
const OLD: &str = "
    CREATE TABLE pipeline_leaves.patients_source_b PARTITION OF public.patients FOR VALUES IN ('source_b')
        PARTITION BY RANGE (batch_date);
    CREATE TABLE pipeline_leaves.patients_r7 PARTITION OF pipeline_leaves.patients_source_b
        FOR VALUES FROM ('2023-05-02') TO ('2023-05-03');
    INSERT INTO public.patients VALUES ('a', 'old', 'source_b', '2023-05-02');
    CREATE TABLE pipeline_leaves.patients_r8 (id text);
    INSERT INTO pipeline.runs (run_id, source, batch_date, epoch, action, status, invocation, program_version)
        OVERRIDING SYSTEM VALUE SELECT 7 + n, 'source_b', '2023-05-02', 3 + n, 'load', s, gen_random_uuid(), '0.0.9'
        FROM (VALUES (0, 'committed'), (1, 'running')) r (n, s);
    SELECT setval(pg_get_serial_sequence('pipeline.runs', 'run_id'), 8)";

/// The batch's tables in all schemas, with their schema.
const TABLES: &str = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                      WHERE c.relname LIKE 'patients_%' AND c.relkind IN ('r', 'p') ORDER BY 1";

async fn of_older_version(warehouse: Warehouse) -> World {
    let entities = contract();
    let mut client = warehouse.acquire_as_user().await.unwrap();
    migrate::apply_state_up_to(&mut client, 3).await.unwrap();
    for entity in &entities {
        client.batch_execute(&ddl::create_table(entity)).await.unwrap();
    }
    client.batch_execute(OLD).await.unwrap();
    drop(client);
    World {
        database: None,
        warehouse,
        entities,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_rows_runs_and_partitions_go_on() {
    for warehouse in testing::both().await {
        let world = of_older_version(warehouse).await;
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            migrate::apply(&world.warehouse, root.path()).await.unwrap(),
            [
                "pipeline V4__names",
                "pipeline V5__stale_views",
                "pipeline V6__column_masks",
                "pipeline V7__suppression",
                "pipeline V8__progress",
                "pipeline V9__read_as",
                "pipeline V10__dates"
            ]
        );
        assert_eq!(world.rows("patients").await, ["(a,old,source_b,2023-05-02)"]);
        assert_eq!(
            world.texts(TABLES).await,
            [
                "pipeline_partitions.patients_r7",
                "pipeline_partitions.patients_r8",
                "pipeline_partitions.patients_source_b"
            ]
        );
        // Recovery finds the run that died in the older version, and the next load replaces the rows of the first.
        let locks = world.locks();
        assert_eq!(crate::warehouse::recover(&locks).await.unwrap(), [8]);
        let new: &[(&str, Rows<'_>)] = &[("patients", &[("a", "new"), ("b", "new")])];
        assert_eq!(world.load(&locks, &day(2), new).await.unwrap().run_id, 9);
        assert_eq!(
            world.rows("patients").await,
            ["(a,new,source_b,2023-05-02)", "(b,new,source_b,2023-05-02)"]
        );
        assert_eq!(
            world
                .texts("SELECT concat_ws(' ', run_id, attempt, status) FROM pipeline.runs ORDER BY 1")
                .await,
            ["7 3 committed", "8 4 lost", "9 5 committed"]
        );
        assert_eq!(
            world.texts(TABLES).await,
            [
                "pipeline_partitions.patients_r9",
                "pipeline_partitions.patients_source_b"
            ]
        );
    }
}

/// `pipeline roles` may have made the new schema before the first migration makes the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_there_already_is_taken() {
    for warehouse in testing::both().await {
        let client = warehouse.acquire_as_user().await.unwrap();
        client.batch_execute("CREATE SCHEMA pipeline_partitions").await.unwrap();
        drop(client);
        let root = tempfile::tempdir().unwrap();
        migrate::apply(&warehouse, root.path()).await.unwrap();
        let client = warehouse.acquire_as_user().await.unwrap();
        let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'pipeline%' ORDER BY 1";
        assert_eq!(texts(&client, schemas).await, ["pipeline", "pipeline_partitions"]);
    }
}

/// `pipeline roles` of this version runs in a database that is not migrated yet.
#[tokio::test(flavor = "multi_thread")]
async fn roles_take_over_its_partitions() {
    use crate::warehouse::roles::{self, Access, Names, Table};
    let Some(warehouse) = testing::fresh(4).await else {
        return;
    };
    let world = of_older_version(warehouse).await;
    let names = Names {
        owner: "old_owner".to_owned(),
        loader: "old_loader".to_owned(),
        reader: "old_reader".to_owned(),
        checker: "old_checker".to_owned(),
    };
    let table = |entity: &Entity| Table {
        name: entity.name.clone(),
        columns: Vec::new(),
        hidden: Vec::new(),
    };
    let access = Access {
        hides: false,
        stale: Some(Vec::new()),
        asked: true,
        closed: Vec::new(),
        owed: Vec::new(),
        left: Vec::new(),
        tables: world.entities.iter().map(table).collect(),
        views: Vec::new(),
        mentions: Vec::new(),
        exposed: Vec::new(),
        files: Vec::new(),
    };
    roles::make(&world.warehouse, &names, &access).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    migrate::apply(&world.warehouse, root.path()).await.unwrap();
    let owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class \
                  WHERE relnamespace = 'pipeline_partitions'::regnamespace AND relkind IN ('r', 'p') \
                  UNION SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname LIKE 'pipeline%' AND nspname <> 'pipeline_check'";
    assert_eq!(world.texts(owners).await, ["old_owner"]);
    let seen = "SELECT has_schema_privilege('old_reader', 'pipeline_partitions', 'USAGE')::text";
    assert_eq!(world.texts(seen).await, ["false"]);
}
