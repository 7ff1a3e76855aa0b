//! Runs, staging, swaps, drops and recovery against real databases. Each test has its own database. A second
//! `Warehouse` on it stands for a second process.

mod answers;
mod contents;
mod failures;
mod readers;
mod roundtrip;
mod speed;
mod upgrade;

use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use chrono::NaiveDate;
use futures::stream;
use tokio_postgres::Client;
use uuid::Uuid;

use super::active_run::ActiveRun;
use super::batch_locks::BatchLocks;
use super::runs::{Action, RunRecord, Summary};
use super::stage_counter::StageCounter;
use super::staging::Staged;
use super::swap::Committed;
use crate::error::Result;
use crate::model::{Batch, Entity, Index, PgType};
use crate::warehouse::connect::{Database, Warehouse};
use crate::warehouse::copy::testing::entity;
use crate::warehouse::schema::{ddl, state};
use crate::warehouse::sql::ident;
use crate::warehouse::testing;

/// Rows of one entity: key and value.
type Rows<'a> = &'a [(&'a str, &'a str)];

/// A database with the state's schema and the tables of a contract with two entities.
struct World {
    database: Option<String>,
    warehouse: Warehouse,
    entities: Vec<Entity>,
}

impl World {
    /// A world on the shared server; `None` where tests against a server are turned off.
    async fn server() -> Option<Self> {
        let server = testing::server()?;
        let database = server.create().await;
        let warehouse = server.open(&database, 4).await;
        Some(Self::prepare(warehouse, Some(database), contract()).await)
    }

    /// As [`World::server`], with entities of these names.
    async fn server_of(names: &[&str]) -> Option<Self> {
        let server = testing::server()?;
        let database = server.create().await;
        let warehouse = server.open(&database, 4).await;
        Some(Self::prepare(warehouse, Some(database), contract_of(names)).await)
    }

    async fn embedded() -> Self {
        let warehouse = Warehouse::open(Database::Memory, 1).await.unwrap();
        Self::prepare(warehouse, None, contract()).await
    }

    async fn prepare(warehouse: Warehouse, database: Option<String>, entities: Vec<Entity>) -> Self {
        let client = warehouse.acquire_as_user().await.unwrap();
        for (_, state) in state::MIGRATIONS {
            client.batch_execute(state).await.unwrap();
        }
        for entity in &entities {
            client.batch_execute(&ddl::create_table(entity)).await.unwrap();
        }
        drop(client);
        Self {
            database,
            warehouse,
            entities,
        }
    }

    /// A connection pool as another process would have it.
    async fn other_process(&self) -> Warehouse {
        testing::server()
            .unwrap()
            .open(self.database.as_ref().unwrap(), 4)
            .await
    }

    fn locks(&self) -> BatchLocks {
        BatchLocks::new(self.warehouse.clone())
    }

    async fn load(&self, locks: &BatchLocks, batch: &Batch, contents: &[(&str, Rows<'_>)]) -> Result<Committed> {
        let run = locks.start_run(batch, &record(), false).await?;
        let staged = self.stage(&run, contents).await?;
        let client = locks.warehouse().acquire_as_user().await?;
        run.swap(
            client,
            &self.entities,
            staged,
            Summary {
                records: 2,
                ..Summary::default()
            },
            &CancellationToken::new(),
        )
        .await
    }

    async fn stage(&self, run: &ActiveRun, contents: &[(&str, Rows<'_>)]) -> Result<Vec<Staged>> {
        let mut staged = Vec::new();
        for (name, rows) in contents {
            let mut client = run.locks.warehouse().acquire_as_user().await?;
            staged.push(self.stage_one(run, &mut client, name, rows).await?);
        }
        Ok(staged)
    }

    async fn stage_one(&self, run: &ActiveRun, client: &mut Client, name: &str, rows: Rows<'_>) -> Result<Staged> {
        let entity = self.entities.iter().find(|entity| entity.name == name).unwrap();
        let batches = stream::iter(vec![Ok(record_batch(rows))]);
        let place = |record: u64| format!("file.json, record {record}");
        run.staging()
            .stage(client, entity, batches, &place, &StageCounter::default())
            .await
    }

    /// Every row that a reader sees of an entity, as text.
    async fn rows(&self, entity: &str) -> Vec<String> {
        let client = self.warehouse.acquire_as_user().await.unwrap();
        texts(&client, &format!("SELECT t::text FROM {} t ORDER BY 1", ident(entity))).await
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        texts(&self.warehouse.acquire_as_user().await.unwrap(), sql).await
    }

    /// The status of all runs, and the names of the hidden tables.
    async fn state(&self) -> (Vec<String>, Vec<String>) {
        let runs = self.texts("SELECT status FROM pipeline.runs ORDER BY run_id").await;
        (runs, self.texts(STAGING).await)
    }
}

const STAGING: &str = "SELECT relname::text FROM pg_class WHERE relnamespace = 'pipeline_partitions'::regnamespace \
                       AND relkind = 'r' AND NOT relispartition ORDER BY 1";

async fn texts(client: &Client, sql: &str) -> Vec<String> {
    client
        .query(sql, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

fn contract() -> Vec<Entity> {
    contract_of(&["patients", "visits"])
}

fn contract_of(names: &[&str]) -> Vec<Entity> {
    let columns = [("id", PgType::Text, false), ("value", PgType::Varchar(Some(40)), true)];
    let of = |name: &&str| Entity {
        name: (*name).to_owned(),
        key: vec!["id".to_owned()],
        checks: vec![],
        indexes: vec![Index {
            columns: vec!["value".to_owned()],
        }],
        ..entity(&columns)
    };
    names.iter().map(of).collect()
}

fn day(day: u32) -> Batch {
    Batch {
        source: "source_b".to_owned(),
        date: NaiveDate::from_ymd_opt(2023, 5, day).unwrap(),
    }
}

fn record() -> RunRecord {
    RunRecord {
        invocation: Uuid::now_v7(),
        action: Action::Load,
        fingerprint: Some("f".to_owned()),
        sql_fingerprint: None,
        mask_key_id: None,
        files: serde_json::json!([{"path": "file.json", "size": 2, "etag": null}]),
    }
}

fn record_batch(rows: Rows<'_>) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
    let records: ArrayRef = Arc::new(UInt64Array::from_iter_values(1..=rows.len() as u64));
    RecordBatch::try_from_iter([("id", ids), ("value", values), ("_record", records)]).unwrap()
}
