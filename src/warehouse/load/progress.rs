//! How far executors are with a run, `pipeline.progress`. They write it, and the process that began the run reads it. It
//! is for people only: nothing is decided by it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;
use tokio_postgres::types::{Json, Type};

use super::batch_locks::BatchLocks;
use super::stage_counter::Phase;
use crate::error::Result;
use crate::warehouse::sql::db_error;

/// What was read and written of a batch so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input, as stored.
    pub bytes: u64,
    pub records: u64,
    /// By entity.
    pub entities: BTreeMap<String, EntityProgress>,
}

/// What was written of one entity so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityProgress {
    pub rows: u64,
    /// Bytes sent to the database.
    pub bytes: u64,
    pub phase: Phase,
}

impl Progress {
    fn and(mut self, other: Self) -> Self {
        self.bytes += other.bytes;
        self.records += other.records;
        self.entities.extend(other.entities);
        self
    }
}

impl BatchLocks {
    /// Notes how far a run is, in place of what was noted before. `part` is that of a batch which several executors read,
    /// from 1; 0 is all of it, or what comes after reading. Notes nothing of a run that is over.
    pub async fn note_progress(&self, run_id: i64, part: i32, progress: &Progress) -> Result<()> {
        let sql = "INSERT INTO pipeline.progress (run_id, part, bytes, records, entities) SELECT $1, $2, $3, $4, $5 \
                   WHERE EXISTS (SELECT FROM pipeline.runs WHERE run_id = $1 AND status = 'running') \
                   ON CONFLICT (run_id, part) DO UPDATE \
                   SET bytes = excluded.bytes, records = excluded.records, entities = excluded.entities";
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (bytes, records) = (number(progress.bytes), number(progress.records));
        let session = self.session().await?;
        let done = session
            .execute_typed(
                sql,
                &[
                    (&run_id, Type::INT8),
                    (&part, Type::INT4),
                    (&bytes, Type::INT8),
                    (&records, Type::INT8),
                    (&Json(&progress.entities), Type::JSONB),
                ],
            )
            .await;
        done.map(drop)
            .map_err(|error| db_error(format!("how far run {run_id} is can't be noted"), &error))
    }

    /// How far a run is, all its parts together.
    pub async fn progress(&self, run_id: i64) -> Result<Progress> {
        let sql = "SELECT bytes, records, entities FROM pipeline.progress WHERE run_id = $1";
        let session = self.session().await?;
        let failed = |error| db_error(format!("how far run {run_id} is can't be read"), &error);
        let rows = session
            .query_typed(sql, &[(&run_id, Type::INT8)])
            .await
            .map_err(failed)?;
        let part = |row: &tokio_postgres::Row| {
            Ok(Progress {
                bytes: u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default(),
                records: u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default(),
                entities: row.try_get::<_, Json<_>>(2)?.0,
            })
        };
        let parts: Result<Vec<Progress>, _> = rows.iter().map(part).collect();
        Ok(parts
            .map_err(failed)?
            .into_iter()
            .fold(Progress::default(), Progress::and))
    }
}

/// Removes what was noted of runs that are over.
pub(super) async fn forget(client: &Client) -> Result<()> {
    let sql =
        "DELETE FROM pipeline.progress p USING pipeline.runs r WHERE r.run_id = p.run_id AND r.status <> 'running'";
    let done = client.execute_typed(sql, &[]).await;
    done.map(drop)
        .map_err(|error| db_error("the progress of runs that are over can't be removed", &error))
}
