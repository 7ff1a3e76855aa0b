//! The history of runs, `pipeline.runs`: one row per run of a batch. Only a run whose row still says `running` may swap.
//! The table holds no value from the data.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};
use uuid::Uuid;

use super::column_masks;
use crate::error::{Error, Kind, Result};
use crate::model::{Batch, ColumnMasks};
use crate::warehouse::sql::db_error;

/// What a run does to its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Load,
    Drop,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Drop => "drop",
        }
    }
}

/// How a run ended without a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Failed,
    /// Stopped by a signal.
    Interrupted,
}

impl Failure {
    /// How an error ends a run.
    pub fn of(error: &Error) -> Self {
        match error.kind {
            Kind::Interrupted(_) => Self::Interrupted,
            _ => Self::Failed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What the history records of a run when it starts.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The id of the process's invocation.
    pub invocation: Uuid,
    pub action: Action,
    /// A hash of the YAML, the SQL and the input.
    pub fingerprint: Option<String>,
    /// A hash of the SQL alone, which tells where a person's id is looked for.
    pub sql_fingerprint: Option<String>,
    /// `[{path, size, etag}]`
    pub files: Value,
    /// Identifies the key of the masks; `None` where no mask of the source needs a key.
    pub mask_key_id: Option<String>,
}

/// What the history records of a load when it ends.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Records read.
    pub records: u64,
    /// `{records: {read, accepted, quarantined}, entities: {name: {produced, loaded, quarantined}}}`
    pub account: Value,
    /// Stage name to milliseconds. The warehouse adds its `swap`.
    pub timings: BTreeMap<String, u64>,
    /// Under which masks each column was loaded.
    pub masks: Vec<ColumnMasks>,
}

impl Summary {
    /// Adds the time of a stage.
    pub fn time(&mut self, stage: &str, took: Duration) {
        self.timings
            .insert(stage.to_owned(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }
}

/// The rows and bytes that were loaded for an entity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    pub rows: u64,
    /// Bytes sent, in the binary format.
    pub bytes: u64,
}

/// A row of the history. JSON columns are not parsed.
#[derive(Debug, Clone, serde::Serialize)]
pub struct RunRow {
    pub run_id: i64,
    #[serde(serialize_with = "as_text")]
    pub invocation: Uuid,
    pub source: String,
    pub batch_date: NaiveDate,
    /// The number of this run among those of its batch, from 1.
    pub attempt: i32,
    pub action: String,
    pub status: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub timings: Option<Value>,
    pub files: Option<Value>,
    pub fingerprint: Option<String>,
    pub records: Option<i64>,
    pub counts: Option<Value>,
    pub account: Option<Value>,
    pub error: Option<String>,
    pub program_version: String,
    pub mask_key_id: Option<String>,
    /// How far the executors of a cluster are, of a run that goes on: `{bytes, records, entities}`.
    pub progress: Option<Value>,
}

fn as_text<S: serde::Serializer>(invocation: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(invocation)
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub source: Option<String>,
    pub date: Option<NaiveDate>,
    /// The most runs to list.
    pub limit: Option<u32>,
}

/// A run that has started, and the dead runs of the same batch that were found.
pub(super) struct Started {
    pub run_id: i64,
    pub attempt: i32,
    pub lost: Vec<i64>,
}

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The runs of the history, the newest first.
pub async fn list(client: &Client, filter: &Filter) -> Result<Vec<RunRow>> {
    let limit = filter.limit.map_or(i64::MAX, i64::from);
    let sql = "SELECT run_id, invocation, source, batch_date, attempt, action, status, started_at, finished_at, timings, \
               files, fingerprint, records, counts, error, program_version, account, mask_key_id, \
               CASE status WHEN 'running' THEN (SELECT jsonb_build_object('bytes', sum(p.bytes), 'records', sum(p.records), \
               'entities', (array_agg(p.entities ORDER BY p.part))[1]) FROM pipeline.progress p \
               WHERE p.run_id = r.run_id HAVING count(*) > 0) END FROM pipeline.runs r \
               WHERE ($1 IS NULL OR source = $1) AND ($2 IS NULL OR batch_date = $2) ORDER BY run_id DESC LIMIT $3";
    let parameters: [Parameter<'_>; 3] = [
        (&filter.source, Type::TEXT),
        (&filter.date, Type::DATE),
        (&limit, Type::INT8),
    ];
    let rows = client.query_typed(sql, &parameters).await;
    let rows = rows.map_err(|error| db_error("the history of runs can't be read", &error))?;
    rows.iter()
        .map(run_row)
        .collect::<Result<_, _>>()
        .map_err(|error| db_error("the history of runs can't be read", &error))
}

/// The files of a run as `[{path, size, etag}]`; null where it has none.
pub async fn files(client: &Client, run_id: i64) -> Result<Value> {
    let failed = |error| db_error("the history of runs can't be read", &error);
    let sql = "SELECT files FROM pipeline.runs WHERE run_id = $1";
    let row = client
        .query_typed_one(sql, &[(&run_id, Type::INT8)])
        .await
        .map_err(failed)?;
    Ok(row.try_get::<_, Option<Value>>(0).map_err(failed)?.unwrap_or_default())
}

fn run_row(row: &Row) -> Result<RunRow, tokio_postgres::Error> {
    Ok(RunRow {
        run_id: row.try_get(0)?,
        invocation: row.try_get(1)?,
        source: row.try_get(2)?,
        batch_date: row.try_get(3)?,
        attempt: row.try_get(4)?,
        action: row.try_get(5)?,
        status: row.try_get(6)?,
        started_at: row.try_get(7)?,
        finished_at: row.try_get(8)?,
        timings: row.try_get(9)?,
        files: row.try_get(10)?,
        fingerprint: row.try_get(11)?,
        records: row.try_get(12)?,
        counts: row.try_get(13)?,
        error: row.try_get(14)?,
        program_version: row.try_get(15)?,
        account: row.try_get(16)?,
        mask_key_id: row.try_get(17)?,
        progress: row.try_get(18)?,
    })
}

/// Adds a run's row, and marks older runs of the batch as lost if they are still `running`. The caller holds the
/// batch's lock, so such a run is dead or has lost the lock. In the second case its swap will find that the run has
/// ended.
pub(super) async fn start(client: &Client, batch: &Batch, record: &RunRecord) -> Result<Started> {
    let sql = "WITH lost AS (UPDATE pipeline.runs SET status = 'lost', finished_at = clock_timestamp(), \
               error = 'its process ended before the swap' \
               WHERE source = $1 AND batch_date = $2 AND status = 'running' RETURNING run_id) \
               INSERT INTO pipeline.runs (source, batch_date, invocation, action, files, fingerprint, program_version, \
               mask_key_id, sql_fingerprint, status, attempt) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, 'running', \
               coalesce((SELECT max(attempt) FROM pipeline.runs WHERE source = $1 AND batch_date = $2), 0) + 1 \
               RETURNING run_id, attempt, array(SELECT run_id FROM lost)";
    let row = insert(client, sql, batch, record).await?;
    let started = || {
        Some(Started {
            run_id: row.try_get(0).ok()?,
            attempt: row.try_get(1).ok()?,
            lost: row.try_get(2).ok()?,
        })
    };
    started().ok_or_else(|| crate::Error::batch("pipeline.runs is not as this version made it"))
}

/// Records that a batch's input is missing and that its source says to skip it.
pub(super) async fn skip(client: &Client, batch: &Batch, record: &RunRecord) -> Result<i64> {
    let sql = "INSERT INTO pipeline.runs (source, batch_date, invocation, action, files, fingerprint, program_version, \
               mask_key_id, sql_fingerprint, status, finished_at, attempt) \
               SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, 'skipped', clock_timestamp(), \
               coalesce((SELECT max(attempt) FROM pipeline.runs WHERE source = $1 AND batch_date = $2), 0) + 1 \
               RETURNING run_id";
    let row = insert(client, sql, batch, record).await?;
    row.try_get(0)
        .map_err(|error| db_error("the skipped run can't be recorded", &error))
}

async fn insert(client: &Client, sql: &str, batch: &Batch, record: &RunRecord) -> Result<Row> {
    let version = env!("CARGO_PKG_VERSION");
    let action = record.action.name();
    let parameters: [Parameter<'_>; 9] = [
        (&batch.source, Type::TEXT),
        (&batch.date, Type::DATE),
        (&record.invocation, Type::UUID),
        (&action, Type::TEXT),
        (&record.files, Type::JSONB),
        (&record.fingerprint, Type::TEXT),
        (&version, Type::TEXT),
        (&record.mask_key_id, Type::TEXT),
        (&record.sql_fingerprint, Type::TEXT),
    ];
    let row = client.query_typed_one(sql, &parameters).await;
    row.map_err(|error| db_error(format!("the run of {batch} can't be recorded"), &error))
}

/// Marks a run as failed or interrupted. A run that is no longer `running` keeps its status.
pub(super) async fn fail(client: &Client, run_id: i64, failure: Failure, error: &str) -> Result<()> {
    let sql = "UPDATE pipeline.runs SET status = $2, error = $3, finished_at = clock_timestamp() \
               WHERE run_id = $1 AND status = 'running'";
    let status = failure.name();
    let parameters: [Parameter<'_>; 3] = [(&run_id, Type::INT8), (&status, Type::TEXT), (&error, Type::TEXT)];
    let done = client.query_typed(sql, &parameters).await;
    done.map(drop)
        .map_err(|error| db_error(format!("run {run_id} can't be marked {status}"), &error))
}

/// Marks a run as committed; true where it was still `running`. Part of the swap's transaction. Every materialized view
/// is marked as stale for each of the `changed` entities, whether it reads them or not: who refreshes finds that out.
/// The batch's masks become those of the run, and readers may see the batch.
pub(super) async fn commit(
    transaction: &Transaction<'_>,
    run_id: i64,
    summary: &Summary,
    counts: &BTreeMap<String, Count>,
    changed: &[String],
) -> Result<bool, tokio_postgres::Error> {
    let sql = "WITH committed AS (UPDATE pipeline.runs SET status = 'committed', finished_at = clock_timestamp(), \
               records = $2, timings = $3, counts = $4, account = $5 WHERE run_id = $1 AND status = 'running' \
               RETURNING run_id, source, batch_date), \
               forgotten AS (DELETE FROM pipeline.masks m USING committed c \
               WHERE m.source = c.source AND m.batch_date = c.batch_date AND m.run_id <> c.run_id), \
               shown AS (DELETE FROM pipeline.hidden_batches h USING committed c \
               WHERE h.source = c.source AND h.batch_date = c.batch_date), \
               masked AS (INSERT INTO pipeline.masks \
               SELECT c.run_id, c.source, c.batch_date, m.entity, m.column_name, m.fingerprint, m.fields, m.batch_date_in \
               FROM committed c, jsonb_to_recordset($7) \
               m (entity text, column_name text, fingerprint text, fields jsonb, batch_date_in text)), \
               marked AS (INSERT INTO pipeline.stale_views (name, entity, run_id) \
               SELECT v.name, e.entity, c.run_id FROM committed c, pipeline.views v, unnest($6) e (entity) \
               WHERE v.kind = 'materialized') \
               SELECT run_id FROM committed";
    let records = i64::try_from(summary.records).unwrap_or(i64::MAX);
    let timings = serde_json::json!(summary.timings);
    let counts = serde_json::json!(counts);
    let masks = column_masks::as_json(&summary.masks);
    let parameters: [Parameter<'_>; 7] = [
        (&run_id, Type::INT8),
        (&records, Type::INT8),
        (&timings, Type::JSONB),
        (&counts, Type::JSONB),
        (&summary.account, Type::JSONB),
        (&changed, Type::TEXT_ARRAY),
        (&masks, Type::JSONB),
    ];
    Ok(!transaction.query_typed(sql, &parameters).await?.is_empty())
}

/// The number of rows of an entity in the source's previous batch by date. `None` for the first batch.
pub async fn rows_before(client: &Client, batch: &Batch, entity: &str) -> Result<Option<u64>> {
    let sql = "SELECT (counts -> $3 ->> 'rows')::int8 FROM pipeline.runs WHERE source = $1 AND batch_date < $2 \
               AND status = 'committed' AND action = 'load' ORDER BY batch_date DESC, run_id DESC LIMIT 1";
    let parameters: [Parameter<'_>; 3] = [
        (&batch.source, Type::TEXT),
        (&batch.date, Type::DATE),
        (&entity, Type::TEXT),
    ];
    let failed = |error| db_error("the history of runs can't be read", &error);
    let row = client.query_typed_opt(sql, &parameters).await.map_err(failed)?;
    let rows: Option<i64> = row.map(|row| row.try_get(0)).transpose().map_err(failed)?.flatten();
    Ok(rows.and_then(|rows| u64::try_from(rows).ok()))
}

/// The accounts of two batches of a source, up to some date.
#[derive(Debug, Default)]
pub struct Accounts {
    /// The newest in which a kind had records.
    pub of_kind: Option<Value>,
    pub newest: Option<Value>,
}

/// The accounts of batches of the source up to this one, by date.
pub async fn accounts_of_kind(client: &Client, batch: &Batch, kind: &str) -> Result<Accounts> {
    let newest =
        "FROM pipeline.runs WHERE source = $1 AND batch_date <= $2 AND status = 'committed' AND action = 'load'";
    let order = "ORDER BY batch_date DESC, run_id DESC LIMIT 1";
    let sql = format!(
        "(SELECT true, account {newest} AND (account -> 'kinds' -> $3 ->> 'read')::int8 > 0 {order}) \
         UNION ALL (SELECT false, account {newest} {order})"
    );
    let parameters: [Parameter<'_>; 3] = [
        (&batch.source, Type::TEXT),
        (&batch.date, Type::DATE),
        (&kind, Type::TEXT),
    ];
    let failed = |error| db_error("the history of runs can't be read", &error);
    let rows = client.query_typed(&sql, &parameters).await.map_err(failed)?;
    let mut found = Accounts::default();
    for row in &rows {
        let account = row.try_get::<_, Option<Value>>(1).map_err(failed)?.unwrap_or_default();
        if row.try_get(0).map_err(failed)? {
            found.of_kind = Some(account);
        } else {
            found.newest = Some(account);
        }
    }
    Ok(found)
}

/// Whether a run has this status. A change that is not committed yet is not seen, and not waited for.
pub(super) async fn has_status(client: &Client, run_id: i64, status: &str) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT status = $2 FROM pipeline.runs WHERE run_id = $1";
    let parameters: [Parameter<'_>; 2] = [(&run_id, Type::INT8), (&status, Type::TEXT)];
    let row = client.query_typed_opt(sql, &parameters).await?;
    row.map_or(Ok(false), |row| row.try_get(0))
}

/// Whether a run is still `running`. If so, it stays so until the transaction ends. A session that wants to end the
/// run waits for that, and then finds the staging table that the transaction has made.
pub(super) async fn hold_running(transaction: &Client, run_id: i64) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT FROM pipeline.runs WHERE run_id = $1 AND status = 'running' FOR SHARE";
    let rows = transaction.query_typed(sql, &[(&run_id, Type::INT8)]).await?;
    Ok(!rows.is_empty())
}

/// A run's status, after waiting until no transaction locks its row.
pub(super) async fn final_status(client: &Client, run_id: i64) -> Result<Option<String>, tokio_postgres::Error> {
    let sql = "SELECT status FROM pipeline.runs WHERE run_id = $1 FOR UPDATE";
    let row = client.query_typed_opt(sql, &[(&run_id, Type::INT8)]).await?;
    row.map(|row| row.try_get(0)).transpose()
}
